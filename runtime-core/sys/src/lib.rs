// SPDX-License-Identifier: Apache-2.0
//! The system calls that nix lacks, and those whose libc wrapper must not be
//! used after a clone. **The only crate of the library with `unsafe`.** runtime-core
//! calls nix directly for everything else. A function here that calls nix adds
//! something: flags that are always set, another try after EINTR, or a buffer that
//! is not on the heap.
//!
//! The crate is written for runtime-core, and has no stable API. A function that is
//! marked "child only" must not be called by a program with threads.
//!
//! Rules, on which runtime-core relies:
//!
//! * No function here touches the heap, takes a lock or formats, except where
//!   its documentation says so ("parent only"). All others may run in the child
//!   of a raw `clone3` in a program with a hundred threads.
//! * Paths are `&CStr`, made before the clone. The child may pass only a `&CStr` to
//!   a function of nix: nix copies an `OsStr` or `Path`, and a long one to the heap.
//!   runtime-core's tests/no_heap.rs checks that the child leaves the heap alone.
//! * File descriptors are `BorrowedFd` in and `OwnedFd` out, close-on-exec from birth.
//! * Credentials are changed by raw system calls. glibc's `setresuid` and the like
//!   signal every thread that glibc knows of, and wait for an answer (nptl(7)). The
//!   child of a clone has none of these threads.
//! * The documentation of a system call begins with its C signature. It names the
//!   first kernel with the call, if that is newer than 5.0, and the errors to expect.
#![allow(unsafe_code)]

#[cfg(feature = "tokio")]
pub mod async_fd;
pub mod bpf;
pub mod clone;
pub mod cred;
pub mod dir;
pub mod errno;
pub mod exe;
pub mod exec;
pub mod fd;
mod ioctl;
pub mod keyctl;
pub mod mount;
pub mod net;
pub mod ns;
pub mod process;
pub mod seccomp;
pub mod shared;
pub mod signal;
pub mod socket;
#[cfg(feature = "startup")]
pub mod startup;
pub mod tty;

pub use nix::errno::Errno;

use std::os::fd::{FromRawFd, OwnedFd};

/// A value, or the kernel's error number.
pub type Result<T> = std::result::Result<T, Errno>;

/// Returns the value of a system call, or `errno` if `ret` is -1.
fn check(ret: libc::c_long) -> Result<libc::c_long> {
    if ret == -1 { Err(Errno::last()) } else { Ok(ret) }
}

/// Does what [`check`] does, for libc functions that return an `int`.
fn check_int(ret: libc::c_int) -> Result<libc::c_int> {
    if ret == -1 { Err(Errno::last()) } else { Ok(ret) }
}

/// Drops a result whose failure changes nothing; a comment beside each call says why.
pub fn ignore<T>(_result: Result<T>) {}

/// Checks a call whose return value has no other meaning than success.
fn done(ret: libc::c_long) -> Result<()> {
    check(ret).map(drop)
}

/// Returns the new file descriptor that a call has made, or its error.
fn new_fd(ret: libc::c_long) -> Result<OwnedFd> {
    let fd = check(ret)?;
    // SAFETY: the kernel has just made this descriptor for the caller: it is open and has no
    // other owner.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as libc::c_int) })
}

/// Returns the path as a C string.
#[cfg(test)]
fn c_path(path: &std::path::Path) -> std::ffi::CString {
    use std::os::unix::ffi::OsStrExt;
    std::ffi::CString::new(path.as_os_str().as_bytes()).unwrap()
}
