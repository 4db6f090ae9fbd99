// SPDX-License-Identifier: Apache-2.0
//! The entry of the program. It replaces the entry of Rust's standard library, which installs a
//! handler for stack overflows with many system calls (docs/decisions/startup.md).
//!
//! Both entries open the descriptors 0, 1 and 2 if they are closed, and ignore SIGPIPE, so that a
//! write to a pipe without a reader returns an error. The program relies on both.
#![allow(unsafe_code)] // C's `main` gets raw pointers.

use crate::failure::io_text;
use crate::log::Log;
use nix::fcntl::{OFlag, open};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigHandler, Signal, signal};
use nix::sys::stat::Mode;
use std::ffi::{CStr, OsString, c_char, c_int};
use std::os::fd::{BorrowedFd, IntoRawFd};
use std::os::unix::ffi::OsStringExt;

/// `int main(int argc, char *argv[])`
#[unsafe(no_mangle)]
extern "C" fn main(count: c_int, arguments: *const *const c_char) -> c_int {
    if let Err(error) = open_standard_descriptors() {
        let error = io_text(&error.into());
        let operation = "opening /dev/null for a closed standard descriptor";
        Log::to_stderr().fatal(&format!("{operation}: {error}"));
        return 1;
    }
    // SAFETY: SIG_IGN installs no handler, so the signal runs no code.
    let ignored = unsafe { signal(Signal::SIGPIPE, SigHandler::SigIgn) };
    debug_assert!(ignored.is_ok(), "SIGPIPE can be ignored");
    // SAFETY: the C library calls `main` with `count` pointers to C strings, which live as long as
    // the program and which nothing changes.
    crate::start(unsafe { collect(count, arguments) }).into()
}

/// Opens /dev/null as each of the descriptors 0, 1 and 2 that is closed. Otherwise the next file
/// that is opened would be standard output.
fn open_standard_descriptors() -> nix::Result<()> {
    // SAFETY: a number may be closed, but it is only passed to poll(2), which then reports POLLNVAL.
    let standard = [0, 1, 2].map(|fd| unsafe { BorrowedFd::borrow_raw(fd) });
    let mut fds = standard.map(|fd| PollFd::new(fd, PollFlags::empty()));
    poll(&mut fds, PollTimeout::ZERO)?;
    for (number, fd) in (0..).zip(fds) {
        if fd.revents().is_some_and(|events| events.contains(PollFlags::POLLNVAL)) {
            // The lower numbers are open by now, so open(2) returns this one, the lowest free one.
            // Without O_CLOEXEC, because programs inherit standard descriptors.
            let null = open(c"/dev/null", OFlag::O_RDWR, Mode::empty())?.into_raw_fd();
            debug_assert_eq!(null, number);
        }
    }
    Ok(())
}

/// Returns the arguments of `main`. `std::env::args` has them only with a C library that passes
/// them to initializers, which musl does not.
///
/// # Safety
///
/// `arguments` must be `count` pointers to C strings that do not change during the call.
unsafe fn collect(count: c_int, arguments: *const *const c_char) -> Vec<OsString> {
    // SAFETY: the caller guarantees `count` pointers.
    let arguments = unsafe { std::slice::from_raw_parts(arguments, usize::try_from(count).unwrap_or(0)) };
    // SAFETY: the caller guarantees that each pointer is to a C string.
    let bytes = |argument: &*const c_char| unsafe { CStr::from_ptr(*argument) }.to_bytes().to_vec();
    arguments.iter().map(bytes).map(OsString::from_vec).collect()
}
