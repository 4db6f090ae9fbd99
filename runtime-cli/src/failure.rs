// SPDX-License-Identifier: Apache-2.0
//! An error of the program: a text, and an exit status.

use runtime_core::{ErrorKind, OsError};
use std::error::Error as _;
use std::fmt::Display;
use std::io;

/// An error that ends the program.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) text: String,
    /// Warnings to print before the error.
    pub(crate) warnings: Vec<String>,
    /// The exit status of the program.
    pub(crate) status: u8,
    /// True for an error of the container's program. Its text is printed to standard error
    /// unchanged, in the one line that runc prints, and is not logged.
    pub(crate) plain: bool,
    /// The text of a plain failure with its hint, for the log.
    pub(crate) hint: Option<String>,
}

impl Failure {
    /// Returns a failure with exit status 1.
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Failure { text: text.into(), warnings: Vec::new(), status: 1, plain: false, hint: None }
    }

    /// Returns the failure of an operation that failed with an I/O error.
    pub(crate) fn io(operation: impl Display, error: &io::Error) -> Self {
        Failure::new(format!("{operation}: {}", io_text(error)))
    }

    /// Puts the name of the operation in front of the text.
    pub(crate) fn during(mut self, operation: &str) -> Self {
        if !self.plain {
            self.text = format!("{operation}: {}", self.text);
        }
        self
    }

    /// Returns the failure of a foreground process. A program that cannot be executed counts as
    /// a failure of the process itself, as it does with runc.
    pub(crate) fn of_process(error: runtime_core::Error) -> Self {
        if error.kind() != ErrorKind::NotExecuted {
            return error.into();
        }
        let reason = error.source().map_or_else(String::new, |reason| format!(": {reason}"));
        let text = format!("{error}{reason}");
        let hint = error.hint().map(|_| error.report());
        Failure { text, plain: true, status: 255, hint, ..error.into() }
    }
}

impl From<runtime_core::Error> for Failure {
    fn from(error: runtime_core::Error) -> Self {
        let warnings = error.warnings().iter().map(ToString::to_string).collect();
        Failure { warnings, ..Failure::new(error.report()) }
    }
}

/// Returns the text of an I/O error. For an error of the kernel, the text is runtime-core's.
pub(crate) fn io_text(error: &io::Error) -> String {
    error.raw_os_error().map_or_else(|| error.to_string(), |errno| OsError(errno).to_string())
}
