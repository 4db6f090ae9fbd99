// SPDX-License-Identifier: Apache-2.0
//! The errors of calls: a code of gRPC, which ttrpc shares, and a text.

use runtime_core::ErrorKind;

/// A code of gRPC that the shim answers with. containerd decides by the code, for example that a task
/// is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Code {
    Cancelled = 1,
    Unknown = 2,
    InvalidArgument = 3,
    DeadlineExceeded = 4,
    NotFound = 5,
    AlreadyExists = 6,
    PermissionDenied = 7,
    ResourceExhausted = 8,
    FailedPrecondition = 9,
    Unimplemented = 12,
    DataLoss = 15,
}

/// The error of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Status {
    pub(crate) code: Code,
    pub(crate) message: String,
}

/// The result of a call.
pub(crate) type Result<T> = std::result::Result<T, Status>;

impl Status {
    pub(crate) fn new(code: Code, message: impl Into<String>) -> Self {
        Status { code, message: message.into() }
    }

    /// Makes the error of a system call, of `what` it was.
    pub(crate) fn io(error: &std::io::Error, what: impl std::fmt::Display) -> Self {
        let code = error.raw_os_error().map_or(Code::Unknown, code_of);
        Status::new(code, format!("{what}: {error}"))
    }

    /// Puts the name of the operation before the text.
    pub(crate) fn within(mut self, operation: &str) -> Self {
        self.message = format!("{operation}: {}", self.message);
        self
    }
}

impl std::fmt::Display for Status {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

/// ENOENT and EEXIST are UNKNOWN: as NOT_FOUND and ALREADY_EXISTS they would mean the task, and not a
/// file.
fn code_of(errno: i32) -> Code {
    match errno {
        libc::EACCES | libc::EPERM => Code::PermissionDenied,
        libc::ENOSPC | libc::EDQUOT | libc::EMFILE | libc::ENFILE | libc::ENOMEM => Code::ResourceExhausted,
        libc::EINVAL => Code::InvalidArgument,
        _ => Code::Unknown,
    }
}

impl From<runtime_core::Error> for Status {
    fn from(error: runtime_core::Error) -> Self {
        let code = match error.kind() {
            ErrorKind::InvalidId | ErrorKind::InvalidConfig => Code::InvalidArgument,
            ErrorKind::NotFound => Code::NotFound,
            ErrorKind::AlreadyExists => Code::AlreadyExists,
            // After UNIMPLEMENTED, containerd would try another version of the service.
            ErrorKind::InvalidState | ErrorKind::NotRunning | ErrorKind::Unsupported => {
                Code::FailedPrecondition
            }
            ErrorKind::BadRecord => Code::DataLoss,
            ErrorKind::Cancelled => Code::Cancelled,
            _ => error.errno().map_or(Code::Unknown, code_of),
        };
        Status::new(code, error.report())
    }
}
