// SPDX-License-Identifier: Apache-2.0
//! An error of the program: a text, and an exit status.

use runtime_core::{ErrorKind, OsError};
use std::fmt::Display;
use std::io;

/// Why the program fails: what it says, and its exit status.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) text: String,
    /// Said before it.
    pub(crate) warnings: Vec<String>,
    pub(crate) status: u8,
    /// Not for the log: the text is on standard error as the container's would be.
    pub(crate) plain: bool,
}

impl Failure {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Failure { text: text.into(), warnings: Vec::new(), status: 1, plain: false }
    }

    /// Returns the failure of an operation of the system.
    pub(crate) fn io(operation: impl Display, error: &io::Error) -> Self {
        Failure::new(format!("{operation}: {}", io_text(error)))
    }

    /// Says first which operation it was.
    pub(crate) fn during(mut self, operation: &str) -> Self {
        if !self.plain {
            self.text = format!("{operation}: {}", self.text);
        }
        self
    }

    /// An error of a process that we stay with. A program that cannot be executed is, as
    /// with runc, the process's own failure.
    pub(crate) fn of_process(error: runtime_core::Error) -> Self {
        let plain = error.kind() == ErrorKind::NotExecuted;
        Failure { plain, status: if plain { 255 } else { 1 }, ..error.into() }
    }
}

impl From<runtime_core::Error> for Failure {
    fn from(error: runtime_core::Error) -> Self {
        let warnings = error.warnings().iter().map(ToString::to_string).collect();
        Failure { warnings, ..Failure::new(error.report()) }
    }
}

/// Returns the text of an error of the standard library, in the words of the kernel.
pub(crate) fn io_text(error: &io::Error) -> String {
    error.raw_os_error().map_or_else(|| error.to_string(), |errno| OsError(errno).to_string())
}
