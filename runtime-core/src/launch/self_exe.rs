// SPDX-License-Identifier: Apache-2.0
//! Hiding the program file from the container (CVE-2019-5736).
//!
//! Until it executes the container's program, the init runs from the file of
//! whoever called this library, and /proc/PID/exe leads to it: `execve` of
//! "/proc/self/exe", or a script with that interpreter, starts the host's program
//! inside the container, from where its file can be written to once nothing
//! executes it any more. So the init runs from a copy that cannot be written to.
//!
//! The copy is a clone of the mount that the file is on, detached, so that no path
//! leads to it, and read-only, so that opening it for writing is EROFS for everybody.
//! Each init changes over to it by itself ([`prepare`] and [`apply`]): it replaces
//! its mappings of the file by mappings of the copy and tells the kernel (prctl(2),
//! PR_SET_MM_MAP). The caller of the library, whoever it is, stays what it was.
//!
//! A program without CAP_SYS_ADMIN can neither clone a mount nor change its file.
//! It can call [`protect_program`], as the binary does.

use crate::error::{Context, Error, Result};
use crate::init::step::{Call, During, StepResult};
use crate::launch::ids;
use crate::sys::exe::{self, Image};
use crate::sys::exec::{StringArray, execve_fd};
use crate::sys::mount::{self, Depth, MountAttr, attr};
use crate::sys::{self, Errno, cred, fd};
use std::ffi::CString;
use std::os::fd::{AsRawFd, OwnedFd};

const EXE: &std::ffi::CStr = c"/proc/self/exe";

/// A prepared exchange of the program file.
#[derive(Debug)]
pub(crate) struct Seal {
    file: OwnedFd,
    /// The mount that the file is on, if it is one of ours. The last one to let go of
    /// it waits until no processor is in the kernel without pause, as umount2(2) does:
    /// the parent, when it has nothing else to do.
    _mount: Option<OwnedFd>,
    image: Image,
    /// By the stage, for the init that it clones.
    applied: bool,
}

/// How the program that calls this library hides its file, in words for a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protection {
    /// It runs from a read-only mount, or from a sealed memory file.
    Sealed,
    /// It does not; each container's init will see to it itself.
    PerInit,
}

/// Whether the running program's file is protected already.
pub fn protection() -> Result<Protection> {
    protection_of(&open_exe()?)
}

fn protection_of(file: &OwnedFd) -> Result<Protection> {
    let readonly = fd::mount_flags(file).context(|| "statvfs /proc/self/exe")? & libc::ST_RDONLY != 0;
    Ok(if readonly || exe::is_sealed(file) { Protection::Sealed } else { Protection::PerInit })
}

/// Sees to what cannot be left to each init. To be called first thing in `main`, by
/// programs with one thread, as the binary does; it returns if all is done, or on
/// failure.
///
/// Root's program is hidden from processes without CAP_SYS_PTRACE, so that its
/// children are from the moment of their birth (docs/threat-model.md, "Being looked into").
///
/// Without CAP_SYS_ADMIN the program is executed again, from a sealed copy in memory,
/// so that no container can write to its file.
pub fn protect_program() -> Result<()> {
    if !ids::is_rootless()? {
        cred::set_undumpable().context(|| "prctl(PR_SET_DUMPABLE)")?;
    }
    if cred::cap_get().context(|| "capget")?.effective & 1 << cred::CAP_SYS_ADMIN != 0 {
        return Ok(());
    }
    let file = open_exe()?;
    if protection_of(&file)? == Protection::Sealed {
        return Ok(());
    }
    let copy = memory_copy(file)?;
    let args = exe::arguments().context(|| "reading /proc/self/cmdline")?;
    let (args, env) = (StringArray::new(args), StringArray::new(exe::environment()));
    Err(Error::os(execve_fd(copy, &args, &env), "execve of a sealed copy of /proc/self/exe"))
}

fn open_exe() -> Result<OwnedFd> {
    fd::open_follow(fd::CWD, EXE, libc::O_RDONLY, 0).context(|| "open /proc/self/exe")
}

/// A detached, read-only mount of the program file alone.
fn readonly_clone(file: &OwnedFd) -> sys::Result<OwnedFd> {
    let clone = mount::clone_tree(file, c"", Depth::One, 0)?;
    mount::set_attr(&clone, Depth::One, &MountAttr { set: attr::RDONLY, ..MountAttr::default() })?;
    Ok(clone)
}

/// A sealed copy of the program file in memory.
fn memory_copy(from: OwnedFd) -> Result<OwnedFd> {
    let copy = || -> sys::Result<OwnedFd> {
        let to = exe::memfd(c"runtime:/proc/self/exe")?;
        while exe::copy_some(&from, &to)? > 0 {}
        exe::seal(&to)?;
        Ok(to)
    };
    copy().context(|| "copying /proc/self/exe into a sealed memory file")
}

/// What a child needs to exchange the program file; `None` if there is no need.
pub(crate) fn prepare() -> Result<Option<Seal>> {
    let exe = open_exe()?;
    if protection_of(&exe)? == Protection::Sealed {
        return Ok(None);
    }
    let image = Image::of_self(&exe).context(|| "finding where the program is in memory")?;
    let (file, mount) = match readonly_clone(&exe) {
        Ok(clone) => {
            let path = CString::new(format!("/proc/self/fd/{}", clone.as_raw_fd())).unwrap_or_default();
            let file = fd::open_follow(fd::CWD, &path, libc::O_RDONLY, 0)
                .context(|| "open the copy of /proc/self/exe")?;
            (file, Some(clone))
        }
        // EPERM: in a user namespace that the mount namespace is not of. EINVAL:
        // the file is on a mount that is unbindable, or of another mount namespace.
        Err(Errno::EPERM | Errno::EINVAL) => (memory_copy(exe)?, None),
        Err(errno) => return Err(Error::os(errno, "cloning the mount of /proc/self/exe")),
    };
    Ok(Some(Seal { file, _mount: mount, image, applied: false }))
}

/// In the child: runs from the copy from now on.
pub(crate) fn apply(seal: &mut Seal) -> StepResult {
    if !std::mem::replace(&mut seal.applied, true) {
        exe::run_from(&seal.file, &seal.image).during(Call::Mmap)?;
    }
    Ok(())
}
