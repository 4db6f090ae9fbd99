// SPDX-License-Identifier: Apache-2.0
//! One error for the whole library: a kind to match on, a chain to read.

use nix::errno::Errno;
use std::fmt;

/// What the library's functions return.
pub type Result<T> = std::result::Result<T, Error>;

/// What kind of failure it was; the text says the rest.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The container id breaks the rules of [`ContainerId`](crate::ContainerId).
    InvalidId,
    /// No container with that id.
    NotFound,
    /// The id is taken, or the cgroup in use.
    AlreadyExists,
    /// The container is not in a state in which this can be done.
    InvalidState,
    /// The container has stopped; for a kill that is often good news.
    NotRunning,
    /// config.json, or an option, asks for something that makes no sense.
    InvalidConfig,
    /// It asks for something that this kernel, host or library does not have.
    Unsupported,
    /// The container could not be set up; nothing of it is left.
    Setup,
    /// The container's program could not be executed.
    NotExecuted,
    /// A hook failed.
    Hook,
    /// The state directory holds something that this library did not write.
    BadRecord,
    /// The caller has given up waiting ([`Create::cancel`](crate::Create::cancel)).
    Cancelled,
    /// The kernel refused something else.
    System,
}

/// Why an operation failed.
///
/// `Display` prints this level only, and [`source`](std::error::Error::source)
/// leads on; [`report`](Error::report) prints all of it in one line, outermost
/// first, with the kernel's error last. Texts that programs match on are those
/// of runc (`container does not exist`, ...).
pub struct Error(Box<Repr>);

struct Repr {
    kind: ErrorKind,
    text: String,
    hint: Option<String>,
    warnings: Vec<Warning>,
    source: Option<Cause>,
}

enum Cause {
    Error(Error),
    Os(OsError),
}

/// An error number of the kernel; prints it in the words of errno(3), in lower case
/// as programs around runc expect it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OsError(pub i32);

/// The longest text of one level of an error, in bytes: what a configuration holds may be in
/// it, and engines put it into logs and answers.
const TEXT_MAX: usize = 4096;

/// The text, or its beginning and its end.
fn shorten(text: &str) -> std::borrow::Cow<'_, str> {
    if text.len() <= TEXT_MAX {
        return text.into();
    }
    // A character has four bytes at most.
    let head = (0..4).find_map(|less| text.get(..TEXT_MAX / 4 * 3 - less)).unwrap_or_default();
    let tail = (0..4).find_map(|less| text.get(text.len() - TEXT_MAX / 4 + less..)).unwrap_or_default();
    format!("{head} [... {} bytes ...] {tail}", text.len() - head.len() - tail.len()).into()
}

impl fmt::Display for OsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(runtime_sys::errno::text(Errno::from_raw(self.0)))
    }
}

impl std::error::Error for OsError {}

impl Error {
    /// An error that stands by itself.
    pub(crate) fn new(kind: ErrorKind, text: impl Into<String>) -> Self {
        Error(Box::new(Repr { kind, text: text.into(), hint: None, warnings: Vec::new(), source: None }))
    }

    /// `what` (a system call and its object) failed with `errno`.
    pub(crate) fn os(errno: Errno, what: impl Into<String>) -> Self {
        let hint = match errno {
            Errno::EMFILE => Some("the limit of open files is reached (RLIMIT_NOFILE, ulimit -n)"),
            Errno::ENFILE => Some("the host's limit of open files is reached (/proc/sys/fs/file-max)"),
            Errno::ENOSYS => Some(
                "the kernel lacks this system call, or a filter of the host's hides it, such as systemd's \
                 RestrictNamespaces and RestrictSUIDSGID",
            ),
            _ => None,
        };
        Error(Box::new(Repr {
            kind: ErrorKind::System,
            text: what.into(),
            hint: hint.map(str::to_owned),
            warnings: Vec::new(),
            source: Some(Cause::Os(OsError(errno as i32))),
        }))
    }

    /// `what` failed, and std has asked the kernel why.
    pub(crate) fn io(error: &std::io::Error, what: impl Into<String>) -> Self {
        Error::os(Errno::from_raw(error.raw_os_error().unwrap_or(libc::EIO)), what)
    }

    /// Wraps the error into an outer one of the same kind.
    pub(crate) fn wrap(self, text: impl Into<String>) -> Self {
        let kind = self.kind();
        self.wrap_as(kind, text)
    }

    /// Wraps the error into an outer one of another kind.
    pub(crate) fn wrap_as(self, kind: ErrorKind, text: impl Into<String>) -> Self {
        Error(Box::new(Repr {
            kind,
            text: text.into(),
            hint: None,
            warnings: Vec::new(),
            source: Some(Cause::Error(self)),
        }))
    }

    /// Says what the user can do about it.
    pub(crate) fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hint = Some(hint.into());
        self
    }

    /// Adds the warnings of an operation that has failed after all: one of them may be why.
    pub(crate) fn with_warnings(mut self, warnings: Vec<Warning>) -> Self {
        self.0.warnings.extend(warnings);
        self
    }

    /// The same error under another kind.
    pub(crate) fn of_kind(mut self, kind: ErrorKind) -> Self {
        self.0.kind = kind;
        self
    }

    /// The kind of the outermost error.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The kernel's error number at the end of the chain, if one is there.
    pub fn errno(&self) -> Option<i32> {
        match self.0.source.as_ref()? {
            Cause::Error(error) => error.errno(),
            Cause::Os(os) => Some(os.0),
        }
    }

    /// The warnings that the operation would have returned, had it not failed.
    pub fn warnings(&self) -> Vec<&Warning> {
        let inner = match &self.0.source {
            Some(Cause::Error(error)) => error.warnings(),
            _ => Vec::new(),
        };
        inner.into_iter().chain(&self.0.warnings).collect()
    }

    /// The whole chain in one line, then the hints.
    pub fn report(&self) -> String {
        let mut line = String::new();
        let mut hints = String::new();
        let mut next = Some(self);
        while let Some(error) = next {
            line.push_str(&shorten(&error.0.text));
            if let Some(hint) = &error.0.hint {
                hints.push_str("; hint: ");
                hints.push_str(&shorten(hint));
            }
            next = match &error.0.source {
                None => None,
                Some(Cause::Error(inner)) => {
                    line.push_str(": ");
                    Some(inner)
                }
                Some(Cause::Os(os)) => {
                    line.push_str(": ");
                    line.push_str(&os.to_string());
                    None
                }
            };
        }
        line + &hints
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&shorten(&self.0.text))
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.0.kind, self.report())
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self.0.source.as_ref()? {
            Cause::Error(error) => Some(error),
            Cause::Os(os) => Some(os),
        }
    }
}

/// Turns what a call returned into this library's [`Result`].
pub(crate) trait Context<T> {
    /// Says what was being done when it failed.
    fn context<S: Into<String>>(self, text: impl FnOnce() -> S) -> Result<T>;
}

impl<T> Context<T> for std::result::Result<T, Errno> {
    fn context<S: Into<String>>(self, text: impl FnOnce() -> S) -> Result<T> {
        self.map_err(|errno| Error::os(errno, text()))
    }
}

impl<T> Context<T> for Result<T> {
    fn context<S: Into<String>>(self, text: impl FnOnce() -> S) -> Result<T> {
        self.map_err(|error| error.wrap(text()))
    }
}

/// Something that was done with less than was asked for, where the
/// specification says to warn and go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning(pub(crate) String);

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&shorten(&self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::error::Error as _;

    #[test]
    fn report_prints_the_chain_once_and_the_hint_last() {
        let error = Error::os(Errno::EXDEV, "openat2 /data")
            .with_hint("the target leaves the rootfs")
            .wrap_as(ErrorKind::Setup, "mounts[3]");
        assert_eq!(
            error.report(),
            "mounts[3]: openat2 /data: invalid cross-device link; hint: the target leaves the rootfs"
        );
        assert_eq!(error.to_string(), "mounts[3]");
        assert_eq!(error.kind(), ErrorKind::Setup);
        assert_eq!(error.errno(), Some(Errno::EXDEV as i32));
        assert_eq!(error.source().unwrap().to_string(), "openat2 /data");
    }

    #[test]
    fn texts_have_an_end() {
        let long = "ä".repeat(1 << 20);
        let error = Error::new(ErrorKind::InvalidConfig, format!("process.env[3]: {long}|"));
        let report = error.with_hint(long.as_str()).report();
        assert!(report.len() < 3 * TEXT_MAX && report.starts_with("process.env[3]: ä"), "{}", report.len());
        assert!(report.contains("ä [... ") && report.contains("ä|; hint: ä"));
        assert!(Warning(long).to_string().len() < 2 * TEXT_MAX);
        let short = "x".repeat(TEXT_MAX);
        assert_eq!(Error::new(ErrorKind::System, short.as_str()).report(), short);
    }

    #[test]
    fn warnings_survive_what_an_error_is_wrapped_into() {
        let warning = |text: &str| Warning(text.to_owned());
        let error = Error::os(Errno::EPERM, "x").with_warnings(vec![warning("a")]).wrap("y");
        let error = error.with_warnings(vec![warning("b"), warning("c")]);
        assert_eq!(error.warnings(), [&warning("a"), &warning("b"), &warning("c")]);
        assert_eq!(error.report(), "y: x: operation not permitted");
    }

    #[test]
    fn errno_text_is_what_programs_around_runc_match() {
        assert_eq!(OsError(libc::ENOENT).to_string(), "no such file or directory");
        assert_eq!(OsError(libc::EACCES).to_string(), "permission denied");
        assert_eq!(OsError(libc::EISDIR).to_string(), "is a directory");
        assert_eq!(OsError(libc::ENOTDIR).to_string(), "not a directory");
        assert_eq!(OsError(libc::EPERM).to_string(), "operation not permitted");
        assert_eq!(OsError(libc::ENOEXEC).to_string(), "exec format error");
    }
}
