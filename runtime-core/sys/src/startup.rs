// SPDX-License-Identifier: Apache-2.0
//! The start of a program without the entry of Rust's standard library, which makes many system
//! calls (docs/decisions/startup.md). [`entry!`](crate::entry) defines C's `main`.

use nix::fcntl::{OFlag, open};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigHandler, Signal, signal};
use nix::sys::stat::Mode;
use std::ffi::{CStr, c_char, c_int};
use std::os::fd::{BorrowedFd, IntoRawFd};

/// Defines `int main(int argc, char *argv[])`, which calls a `fn(Arguments) -> u8` and ends the
/// program with the result. For a program with `#![no_main]`.
///
/// Unlike Rust's entry, it neither opens closed standard descriptors nor ignores SIGPIPE. See
/// [`open_standard_descriptors`] and [`ignore_sigpipe`].
#[macro_export]
macro_rules! entry {
    ($start:path) => {
        /// C's `main`.
        ///
        /// # Safety
        ///
        /// Only the C library calls it, with `count` pointers to C strings.
        #[unsafe(no_mangle)]
        unsafe extern "C" fn main(
            count: ::core::ffi::c_int,
            arguments: *const *const ::core::ffi::c_char,
        ) -> ::core::ffi::c_int {
            // SAFETY: the C library calls `main` with `count` pointers to C strings, which live as
            // long as the program and which nothing changes.
            let arguments = unsafe { $crate::startup::Arguments::new(count, arguments) };
            let status: u8 = $start(arguments);
            status.into()
        }
    };
}

/// The arguments of `main`. `std::env::args` has them only with a C library that passes them to
/// initializers, which musl does not.
#[derive(Clone, Copy, Debug)]
pub struct Arguments {
    pointers: &'static [*const c_char],
}

impl Arguments {
    /// Takes the arguments of `main`. For [`entry!`](crate::entry).
    ///
    /// # Safety
    ///
    /// `arguments` must be `count` pointers to C strings, all of which live as long as the program
    /// and never change.
    pub unsafe fn new(count: c_int, arguments: *const *const c_char) -> Self {
        let count = usize::try_from(count).unwrap_or(0);
        // SAFETY: the caller guarantees `count` pointers.
        Arguments { pointers: unsafe { std::slice::from_raw_parts(arguments, count) } }
    }

    /// Returns argument number `n`; 0 is the name of the program.
    pub fn get(self, n: usize) -> Option<&'static CStr> {
        // SAFETY: the contract of `new`: the pointer is to a C string that lives as long as the
        // program and never changes.
        self.pointers.get(n).map(|argument| unsafe { CStr::from_ptr(*argument) })
    }

    /// Returns all arguments, beginning with the name of the program.
    pub fn iter(self) -> impl Iterator<Item = &'static CStr> {
        (0..self.pointers.len()).filter_map(move |n| self.get(n))
    }
}

/// Opens /dev/null as each of the descriptors 0, 1 and 2 that is closed. Otherwise the next file
/// that is opened would be standard output.
pub fn open_standard_descriptors() -> super::result::Result<()> {
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

/// Ignores SIGPIPE, so that a write to a pipe without a reader returns EPIPE.
pub fn ignore_sigpipe() {
    // SAFETY: SIG_IGN installs no handler, so the signal runs no code.
    let ignored = unsafe { signal(Signal::SIGPIPE, SigHandler::SigIgn) };
    debug_assert!(ignored.is_ok(), "SIGPIPE can be ignored");
}
