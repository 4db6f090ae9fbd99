// SPDX-License-Identifier: Apache-2.0
//! The standard output and error of the program. Only `events`, and the copies of a foreground
//! process, write to them elsewhere.

use std::io::Write;

/// Prints to standard output. Ignores a failure, because the reader is gone then.
pub(crate) fn print(text: &str) {
    let mut stdout = std::io::stdout();
    runtime_sys::ignore(stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()));
}

/// Prints to standard error in one write, because conmon reads an error with one read.
pub(crate) fn print_error(text: &str) {
    // If standard error is gone, there is no place for the text.
    runtime_sys::ignore(std::io::stderr().write_all(text.as_bytes()));
}
