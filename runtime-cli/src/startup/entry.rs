// SPDX-License-Identifier: Apache-2.0
//! The entry of the program, in the place of Rust's: that one installs a handler for stack
//! overflows first, which takes more system calls than the rest of a `state`.
//!
//! Two other things that Rust's entry does are done here, because the program relies on them: the
//! descriptors 0, 1 and 2 are open, and a write to a pipe without a reader is an error instead of
//! a signal.
#![allow(unsafe_code)] // The definition of a function of C's, which gets pointers.

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
    // SAFETY: SIG_IGN is no function, so nothing can be wrong with what it calls.
    let ignored = unsafe { signal(Signal::SIGPIPE, SigHandler::SigIgn) };
    debug_assert!(ignored.is_ok(), "SIGPIPE can be ignored");
    // SAFETY: this is `main`, and these are its arguments.
    crate::start(unsafe { collect(count, arguments) }).into()
}

/// Opens /dev/null as each of the descriptors 0, 1 and 2 that is closed. Otherwise the next file
/// that is opened would be standard output.
fn open_standard_descriptors() -> nix::Result<()> {
    // SAFETY: a closed one is no descriptor, but only poll(2) sees it, which says so.
    let standard = [0, 1, 2].map(|fd| unsafe { BorrowedFd::borrow_raw(fd) });
    let mut fds = standard.map(|fd| PollFd::new(fd, PollFlags::empty()));
    poll(&mut fds, PollTimeout::ZERO)?;
    for (number, fd) in (0..).zip(fds) {
        if fd.revents().is_some_and(|events| events.contains(PollFlags::POLLNVAL)) {
            // open(2) returns the lowest free number, which is this one: those below it are open.
            // Without O_CLOEXEC, as standard descriptors are.
            let null = open(c"/dev/null", OFlag::O_RDWR, Mode::empty())?.into_raw_fd();
            debug_assert_eq!(null, number);
        }
    }
    Ok(())
}

/// Returns the arguments of `main`. (`std::env::args` has them only where the C library hands
/// them to its initializers too, which musl does not.)
///
/// # Safety
///
/// `arguments` are `count` pointers to C strings, which nothing writes to meanwhile.
unsafe fn collect(count: c_int, arguments: *const *const c_char) -> Vec<OsString> {
    // SAFETY: the caller's.
    let arguments = unsafe { std::slice::from_raw_parts(arguments, usize::try_from(count).unwrap_or(0)) };
    // SAFETY: C strings, by the caller's promise.
    let bytes = |argument: &*const c_char| unsafe { CStr::from_ptr(*argument) }.to_bytes().to_vec();
    arguments.iter().map(bytes).map(OsString::from_vec).collect()
}
