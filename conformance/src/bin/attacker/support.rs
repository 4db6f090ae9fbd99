// SPDX-License-Identifier: Apache-2.0
//! System calls of the attacks that have no safe wrapper.

use conformance::{Doing, Result};
use nix::NixPath;
use nix::fcntl::OFlag;
use nix::libc;
use nix::sched::CloneFlags;
use nix::sys::stat::Mode;
use nix::unistd::{ForkResult, fork};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

/// `int renameat2(AT_FDCWD, from, AT_FDCWD, to, flags)`. nix has it for glibc alone.
pub(crate) fn rename(from: &str, to: &str, flags: u32) -> nix::Result<()> {
    let at = libc::AT_FDCWD;
    let call = from.with_nix_path(|from| {
        to.with_nix_path(|to| {
            // SAFETY: two C strings that live until the call is over.
            #[allow(unsafe_code)]
            unsafe {
                libc::syscall(libc::SYS_renameat2, at, from.as_ptr(), at, to.as_ptr(), flags)
            }
        })
    })??;
    nix::errno::Errno::result(call).map(drop)
}

/// Starts a process that calls `child` and exits.
pub(crate) fn spawn(child: impl FnOnce() -> Result) -> Result<nix::unistd::Pid> {
    // SAFETY: this program has one thread.
    #[allow(unsafe_code)]
    match unsafe { fork() }.doing("fork")? {
        ForkResult::Parent { child } => Ok(child),
        ForkResult::Child => std::process::exit(i32::from(child().is_err())),
    }
}

/// Starts a process that shares its descriptor table with this one.
pub(crate) fn spawn_sharing_files(mut child: impl FnMut() -> Result) -> Result {
    let stack = Box::leak(vec![0; 1 << 18].into_boxed_slice());
    let entry = Box::new(move || isize::from(child().is_err()));
    // SAFETY: the child has a copy of this memory, a stack of its own, and no threads.
    #[allow(unsafe_code)]
    unsafe { nix::sched::clone(entry, stack, CloneFlags::CLONE_FILES, Some(libc::SIGCHLD)) }
        .doing("clone")
        .map(drop)
}

/// Opens a path without the right to read or write.
pub(crate) fn open_path(path: &str) -> nix::Result<OwnedFd> {
    nix::fcntl::open(path, OFlag::O_PATH | OFlag::O_CLOEXEC, Mode::empty())
}

/// Clears the flag "read-only" of the mount that a descriptor is on.
pub(crate) fn clear_read_only(fd: i32) -> nix::Result<()> {
    let attributes =
        libc::mount_attr { attr_set: 0, attr_clr: libc::MOUNT_ATTR_RDONLY, propagation: 0, userns_fd: 0 };
    // SAFETY: the kernel reads a whole mount_attr, and an empty string.
    #[allow(unsafe_code)]
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            fd,
            c"".as_ptr(),
            libc::AT_EMPTY_PATH,
            &raw const attributes,
            size_of_val(&attributes),
        )
    };
    nix::errno::Errno::result(result).map(drop)
}

/// Returns a path that leads to the file of a descriptor.
pub(crate) fn path_of(fd: &impl AsFd) -> String {
    format!("/proc/self/fd/{}", fd.as_fd().as_raw_fd())
}

/// Returns the pids of the processes that were started last, newest first.
pub(crate) fn newest_pids(count: i32) -> impl Iterator<Item = i32> {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let last: i32 = text.trim().rsplit(' ').next().and_then(|n| n.parse().ok()).unwrap_or(0);
    (last - count + 1..=last).rev().filter(|pid| *pid > 1)
}

/// Returns true if a path is on a procfs.
pub(crate) fn is_procfs(path: &str) -> Result<bool> {
    let fs = nix::sys::statfs::statfs(path).doing(path)?;
    Ok(fs.filesystem_type() == nix::sys::statfs::PROC_SUPER_MAGIC)
}
