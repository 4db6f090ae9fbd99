// SPDX-License-Identifier: Apache-2.0
//! What the program prints: the only place that writes to its own standard
//! output and error.

use std::io::Write;

/// Prints to standard output. Whoever closed it does not want to know.
pub(crate) fn print(text: &str) {
    let mut stdout = std::io::stdout();
    let _written = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
}

/// Prints to standard error, in one write: conmon reads an error with one read.
pub(crate) fn print_error(text: &str) {
    let _written = std::io::stderr().write_all(text.as_bytes());
}
