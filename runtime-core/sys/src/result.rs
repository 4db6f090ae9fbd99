// SPDX-License-Identifier: Apache-2.0
//! Results of system calls.

use nix::errno::Errno;
use std::os::fd::{FromRawFd, OwnedFd};

/// A value, or the kernel's error number.
pub type Result<T> = std::result::Result<T, Errno>;

/// Returns the value of a system call, or `errno` if `ret` is -1.
pub(crate) fn check(ret: libc::c_long) -> Result<libc::c_long> {
    if ret == -1 { Err(Errno::last()) } else { Ok(ret) }
}

/// Does what [`check`] does, for libc functions that return an `int`.
pub(crate) fn check_int(ret: libc::c_int) -> Result<libc::c_int> {
    if ret == -1 { Err(Errno::last()) } else { Ok(ret) }
}

/// Drops a result whose failure changes nothing. A comment beside each call says why.
pub fn ignore<T, E>(_result: std::result::Result<T, E>) {}

/// Checks a call whose return value has no other meaning than success.
pub(crate) fn done(ret: libc::c_long) -> Result<()> {
    check(ret).map(drop)
}

/// Returns the new file descriptor that a call has made, or its error.
pub(crate) fn new_fd(ret: libc::c_long) -> Result<OwnedFd> {
    let fd = check(ret)?;
    // SAFETY: the kernel has just made this descriptor for the caller: it is open and has no
    // other owner.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as libc::c_int) })
}
