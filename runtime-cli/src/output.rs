// SPDX-License-Identifier: Apache-2.0
//! The standard output and error of the program; no other file writes to them.

use std::io::Write;

/// Prints to standard output. A failure is ignored: there is no reader.
pub(crate) fn print(text: &str) {
    let mut stdout = std::io::stdout();
    let _written = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
}

/// Prints to standard error in one write, because conmon reads an error with one read.
pub(crate) fn print_error(text: &str) {
    let _written = std::io::stderr().write_all(text.as_bytes());
}
