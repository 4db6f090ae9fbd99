// SPDX-License-Identifier: Apache-2.0
//! The system calls that nix lacks, and those whose libc wrapper must not be
//! used after a clone. **The only crate of the library with `unsafe`.** What nix has,
//! its callers take from nix; a function here that is safe and calls nix adds something:
//! flags that are never left out, another try after EINTR, buffers without the heap.
//!
//! It is written for runtime-core, and promises nothing to others: "child only" on a
//! function means that a program with threads must not call it.
//!
//! Rules, on which runtime-core relies:
//!
//! * No function here touches the heap, takes a lock or formats, except where
//!   its documentation says so ("parent only"). All others may run in the child
//!   of a raw `clone3` in a program with a hundred threads.
//! * Paths are `&CStr`, made before the clone. Of nix's functions the child may use
//!   those that it calls with a `&CStr`: an `OsStr` or `Path` is copied, to the heap
//!   if it is long. runtime-core's tests/no_heap.rs watches.
//! * File descriptors are `BorrowedFd` in and `OwnedFd` out, close-on-exec from birth.
//! * Credentials are changed by raw system calls: glibc's `setresuid` and its
//!   kin signal every thread that glibc believes to exist, and wait for them.
//!   The child of a clone has none of them (nptl(7)).
//! * The first line of each function is its C signature; what follows says since
//!   which kernel, if that is newer than 5.0, and which errors to expect.
#![allow(unsafe_code)]

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
pub mod tty;

pub use nix::errno::Errno;

use std::os::fd::{FromRawFd, OwnedFd};

/// What every function here returns: a value, or the kernel's error number.
pub type Result<T> = std::result::Result<T, Errno>;

/// The value of a system call that returned `ret` by libc's convention.
fn check(ret: libc::c_long) -> Result<libc::c_long> {
    if ret == -1 { Err(Errno::last()) } else { Ok(ret) }
}

/// As [`check`], for libc functions that return an `int`.
fn check_int(ret: libc::c_int) -> Result<libc::c_int> {
    if ret == -1 { Err(Errno::last()) } else { Ok(ret) }
}

/// Drops a result whose failure changes nothing; a comment beside each call says why.
pub fn ignore<T>(_result: Result<T>) {}

/// As [`check`], for calls whose only news is success.
fn done(ret: libc::c_long) -> Result<()> {
    check(ret).map(drop)
}

/// As [`check`], for calls that return a new file descriptor.
fn new_fd(ret: libc::c_long) -> Result<OwnedFd> {
    let fd = check(ret)?;
    // SAFETY: the kernel has just returned this descriptor, nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as libc::c_int) })
}

/// The path as a C string.
#[cfg(test)]
fn c_path(path: &std::path::Path) -> std::ffi::CString {
    use std::os::unix::ffi::OsStrExt;
    std::ffi::CString::new(path.as_os_str().as_bytes()).unwrap()
}
