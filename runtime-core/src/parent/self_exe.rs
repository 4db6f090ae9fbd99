// SPDX-License-Identifier: Apache-2.0
//! Hiding the program file from the container (CVE-2019-5736).
//!
//! Until it executes the container's program, the init runs from the program file of the caller of
//! this library, and /proc/PID/exe leads to that file. `execve` of "/proc/self/exe", or a script
//! with that interpreter, starts the host's program inside the container. From there its file can
//! be written to as soon as no process executes it. So the init runs from a copy that cannot be
//! written to.
//!
//! The copy is the same file on a mount of its own: a read-only clone of the file's mount,
//! unmounted before any child has it ([`on_a_dead_mount`]). Opening the file there for writing
//! fails with EROFS, and the kernel lets no process change a mount that is in no mount namespace.
//! Each init changes over to the copy itself ([`apply`](crate::boundary::seal::apply)): it replaces
//! its mappings of the file by mappings of the copy, and tells the kernel (prctl(2),
//! PR_SET_MM_MAP). The calling program does not change.
//!
//! The unmount waits for an RCU grace period. So the copy is made after the child is cloned, and
//! sent to the child ([`copy`]).
//!
//! A program without CAP_SYS_ADMIN can neither clone a mount nor change its file. It can call
//! [`protect_program`], as the binary does.

use crate::error::{Context, Error, Result};
use crate::parent::ids;
use nix::sys::prctl;
use runtime_sys::exe;
use runtime_sys::exec::{StringArray, execve_fd};
use runtime_sys::mount::{self, Depth, MountAttr, attr};
use runtime_sys::text::c_str;
use runtime_sys::{Errno, cred, fd};
use std::os::fd::{AsRawFd, OwnedFd};

const EXE: &std::ffi::CStr = c"/proc/self/exe";

/// The way in which the program that calls this library hides its file, for a log.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protection {
    /// The program runs from a sealed memory file. (A read-only mount is not enough: it can be made
    /// writable later, while a process of the container keeps a descriptor of it.)
    Sealed,
    /// The program does not hide its file: each container's init does that itself.
    PerInit,
}

/// Returns how the running program's file is protected. Errors: /proc is not mounted.
pub fn protection() -> Result<Protection> {
    open_exe().map(|exe| protection_of(&exe))
}

fn protection_of(file: &OwnedFd) -> Protection {
    if exe::is_sealed(file) { Protection::Sealed } else { Protection::PerInit }
}

/// Does what cannot be left to each init. Must be called first in `main`, by programs with one
/// thread, like the binary. Returns when all is done, or on failure.
///
/// Hides root's program from processes without CAP_SYS_PTRACE, so that its children are hidden from
/// their birth (docs/threat-model.md, "Tracing").
///
/// Without CAP_SYS_ADMIN, executes the program again from a sealed copy in memory, so that no
/// container can write to its file.
///
/// Errors: /proc is not mounted, or the copy cannot be made or executed: memfd_create(2), execve(2).
pub fn protect_program() -> Result<()> {
    if !ids::is_rootless()? {
        prctl::set_dumpable(false).context(|| "prctl(PR_SET_DUMPABLE)")?;
    }
    if cred::cap_get().context(|| "capget")?.effective & 1 << cred::CAP_SYS_ADMIN != 0 {
        return Ok(());
    }
    let file = open_exe()?;
    if protection_of(&file) == Protection::Sealed {
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

/// Opens the program file on a read-only clone of its mount, which is unmounted by the time this
/// function returns. `None` if the clone is still mounted: another thread has cloned a process
/// meanwhile, whose copy of the descriptor keeps the mount.
///
/// While the clone is mounted, in an anonymous mount namespace of its own, a process that sees its
/// root can make it writable (mount_setattr(2) asks for CAP_SYS_ADMIN over the *caller's* mount
/// namespace only), and /proc/PID/exe in a container shows that root. Once unmounted, it cannot be
/// changed, attached or cloned again (EINVAL).
///
/// `close` closes the descriptor that it is given.
fn on_a_dead_mount(exe: &OwnedFd, close: impl FnOnce(OwnedFd)) -> runtime_sys::Result<Option<OwnedFd>> {
    let readonly = MountAttr { set: attr::RDONLY, ..MountAttr::default() };
    let mount = mount::clone_tree(exe, c"", Depth::One, 0)?;
    mount::set_attr(&mount, Depth::One, &readonly)?;
    let path = c_str(format!("/proc/self/fd/{}", mount.as_raw_fd()))?;
    let file = fd::open_follow(fd::CWD, &path, libc::O_RDONLY, 0)?;
    close(mount);
    match mount::set_attr(&file, Depth::One, &readonly) {
        Err(Errno::EINVAL) => Ok(Some(file)),
        Ok(()) => Ok(None),
        Err(errno) => Err(errno),
    }
}

/// Makes a sealed copy of the program file in memory.
fn memory_copy(from: OwnedFd) -> Result<OwnedFd> {
    let copy = || -> runtime_sys::Result<OwnedFd> {
        let to = exe::memfd(c"runtime:/proc/self/exe")?;
        while exe::copy_some(&from, &to)? > 0 {}
        exe::seal(&to)?;
        Ok(to)
    };
    copy().context(|| "copying /proc/self/exe into a sealed memory file")
}

/// Opens the program file where it cannot be opened for writing, for a child that is already
/// cloned. `None` if the program runs from such a file already. Parent only.
pub(crate) fn copy() -> Result<Option<OwnedFd>> {
    let exe = open_exe()?;
    if protection_of(&exe) == Protection::Sealed {
        return Ok(None);
    }
    match on_a_dead_mount(&exe, drop) {
        Ok(Some(file)) => Ok(Some(file)),
        // EPERM: in a user namespace that does not own the mount namespace. EINVAL: the file is on
        // a mount that is unbindable, or that belongs to another mount namespace.
        Ok(None) | Err(Errno::EPERM | Errno::EINVAL) => memory_copy(exe).map(Some),
        Err(errno) => Err(Error::os(errno, "cloning the mount of /proc/self/exe")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The copy stands for one in a process that was cloned at the wrong moment. Root only.
    #[test]
    fn a_mount_that_lives_on_is_not_used() {
        let exe = open_exe().unwrap();
        let mut copy = None;
        let kept = on_a_dead_mount(&exe, |mount| copy = mount.try_clone().ok()).unwrap();
        assert!(copy.is_some() && kept.is_none());
        let file = on_a_dead_mount(&exe, drop).unwrap().unwrap();
        drop(copy);
        let writable = MountAttr { clear: attr::RDONLY, ..MountAttr::default() };
        assert_eq!(mount::set_attr(&file, Depth::One, &writable), Err(Errno::EINVAL));
    }
}
