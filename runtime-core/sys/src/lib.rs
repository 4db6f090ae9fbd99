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
mod result;
pub mod seccomp;
pub mod shared;
pub mod signal;
pub mod socket;
#[cfg(feature = "startup")]
pub mod startup;
pub mod text;
pub mod tty;

pub use nix::errno::Errno;
pub use result::{Result, ignore};

/// Returns the path as a C string.
#[cfg(test)]
fn c_path(path: &std::path::Path) -> std::ffi::CString {
    use std::os::unix::ffi::OsStrExt;
    std::ffi::CString::new(path.as_os_str().as_bytes()).unwrap()
}
