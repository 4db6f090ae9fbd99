// SPDX-License-Identifier: Apache-2.0
//! The library's error type: a kind to match on, and a chain of texts to print.

use nix::errno::Errno;
use std::fmt;

/// The result of the library's functions.
pub type Result<T> = std::result::Result<T, Error>;

/// The kind of an [`Error`], to match on.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The container id breaks the rules of [`ContainerId`](crate::ContainerId).
    InvalidId,
    /// No container has this id.
    NotFound,
    /// The id is taken, or the cgroup is in use.
    AlreadyExists,
    /// The container's state does not allow the operation.
    InvalidState,
    /// The container has stopped. A caller of [`Container::kill`](crate::Container::kill) may take
    /// this for success.
    NotRunning,
    /// config.json or an option is not valid.
    InvalidConfig,
    /// config.json or an option asks for something that this kernel, host or library does not have.
    Unsupported,
    /// The container could not be set up; everything made for it was removed.
    Setup,
    /// The container's program could not be executed.
    NotExecuted,
    /// A hook failed.
    Hook,
    /// A file in the state directory is damaged, or was not written by this library.
    BadRecord,
    /// The caller has cancelled the operation ([`ContainerBuilder::cancel`](crate::ContainerBuilder::cancel)).
    Cancelled,
    /// Another operation failed, mostly a system call.
    System,
}

/// The reason why an operation failed: a chain of errors.
///
/// `{}` prints the outermost error only; [`source`](std::error::Error::source) returns the next
/// one. `{:#}`, and [`report`](Error::report), print the whole chain in one line, outermost first,
/// with the kernel's error last, then the hints. Texts that programs match on are those of runc
/// (`container does not exist`, ...).
pub struct Error(Box<Repr>);

struct Repr {
    kind: ErrorKind,
    text: String,
    hint: Option<String>,
    field: Option<String>,
    step: Option<String>,
    warnings: Vec<Warning>,
    source: Option<Cause>,
}

impl Repr {
    fn new(kind: ErrorKind, text: String, source: Option<Cause>) -> Self {
        Repr { kind, text, hint: None, field: None, step: None, warnings: Vec::new(), source }
    }
}

enum Cause {
    Error(Error),
    Os(OsError),
}

/// An error number of the kernel. `Display` prints the text of strerror(3) in lower case,
/// as programs around runc expect it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", runtime_sys::errno::text(Errno::from_raw(*.0)))]
pub struct OsError(pub i32);

/// The longest text of one level of an error, in bytes. The text may contain strings of the
/// configuration, and engines copy the text into logs and responses.
const TEXT_MAX: usize = 4096;

/// Returns `text`, or its beginning and end if it is longer than [`TEXT_MAX`].
fn shorten(text: &str) -> std::borrow::Cow<'_, str> {
    if text.len() <= TEXT_MAX {
        return text.into();
    }
    // A character has four bytes at most.
    let head = (0..4).find_map(|less| text.get(..TEXT_MAX / 4 * 3 - less)).unwrap_or_default();
    let tail = (0..4).find_map(|less| text.get(text.len() - TEXT_MAX / 4 + less..)).unwrap_or_default();
    format!("{head} [... {} bytes ...] {tail}", text.len() - head.len() - tail.len()).into()
}

impl Error {
    /// Makes an error without a source.
    pub(crate) fn new(kind: ErrorKind, text: impl Into<String>) -> Self {
        Error(Box::new(Repr::new(kind, text.into(), None)))
    }

    /// Makes the error of `what` (a system call and its object), which failed with `errno`.
    pub(crate) fn os(errno: Errno, what: impl Into<String>) -> Self {
        let hint = match errno {
            Errno::EMFILE => Some("the limit of open files is reached (RLIMIT_NOFILE, ulimit -n)"),
            Errno::ENFILE => Some("the host's limit of open files is reached (/proc/sys/fs/file-max)"),
            Errno::ENOSYS => Some(
                "the kernel lacks this system call, or a seccomp filter of the host hides it, such as systemd's \
                 RestrictNamespaces and RestrictSUIDSGID",
            ),
            _ => None,
        };
        let mut error = Repr::new(ErrorKind::System, what.into(), Some(Cause::Os(OsError(errno as i32))));
        error.hint = hint.map(str::to_owned);
        Error(Box::new(error))
    }

    /// Makes the error of `what`, which failed with an error of std.
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
        Error(Box::new(Repr::new(kind, text.into(), Some(Cause::Error(self)))))
    }

    /// Adds a hint: what the user can do about the error. It follows an earlier hint.
    pub(crate) fn with_hint(mut self, hint: impl Into<String>) -> Self {
        let hint = hint.into();
        self.0.hint = Some(match self.0.hint.take() {
            Some(earlier) => format!("{earlier}; {hint}"),
            None => hint,
        });
        self
    }

    /// Adds the property of config.json that the error is about: the JSON path at the beginning of
    /// `place`, up to a colon or a space.
    pub(crate) fn at(mut self, place: &str) -> Self {
        let path = place.split([':', ' ']).next().unwrap_or_default();
        self.0.field = (!path.is_empty()).then(|| path.to_owned());
        self
    }

    /// Adds the step of the container's process that failed.
    pub(crate) fn in_step(mut self, step: impl fmt::Debug) -> Self {
        self.0.step = Some(format!("{step:?}"));
        self
    }

    /// Adds the warnings of the failed operation: one of them may be the reason.
    pub(crate) fn with_warnings(mut self, warnings: Vec<Warning>) -> Self {
        self.0.warnings.extend(warnings);
        self
    }

    /// Changes the kind.
    pub(crate) fn of_kind(mut self, kind: ErrorKind) -> Self {
        self.0.kind = kind;
        self
    }

    /// Returns the kind of the outermost error.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Returns the errors of the chain, outermost first.
    fn chain(&self) -> impl Iterator<Item = &Error> {
        std::iter::successors(Some(self), |error| match &error.0.source {
            Some(Cause::Error(inner)) => Some(inner),
            _ => None,
        })
    }

    /// Returns what the user can do about the error, if there is something to say. The text is a
    /// part of [`report`](Self::report).
    pub fn hint(&self) -> Option<&str> {
        self.chain().find_map(|error| error.0.hint.as_deref())
    }

    /// Returns the JSON path of the property in config.json that the error is about, such as
    /// `linux.namespaces[5]`, if it is about one. The path is also in the text.
    pub fn field(&self) -> Option<&str> {
        self.chain().find_map(|error| error.0.field.as_deref())
    }

    /// Returns the name of the step that failed in the container's process, such as `PivotRoot`, if
    /// the process has reported one. The repository's docs/architecture.md has the list.
    pub fn step(&self) -> Option<&str> {
        self.chain().find_map(|error| error.0.step.as_deref())
    }

    /// Returns the kernel's error number at the end of the chain, if there is one.
    pub fn errno(&self) -> Option<i32> {
        match self.0.source.as_ref()? {
            Cause::Error(error) => error.errno(),
            Cause::Os(os) => Some(os.0),
        }
    }

    /// Returns the warnings that the operation gave before it failed.
    pub fn warnings(&self) -> Vec<&Warning> {
        let inner = match &self.0.source {
            Some(Cause::Error(error)) => error.warnings(),
            _ => Vec::new(),
        };
        inner.into_iter().chain(&self.0.warnings).collect()
    }

    /// Returns the whole chain in one line, then the hints.
    pub fn report(&self) -> String {
        let mut line = String::new();
        let mut hints = String::new();
        for error in self.chain() {
            line.push_str(&shorten(&error.0.text));
            if let Some(hint) = &error.0.hint {
                hints.push_str("; hint: ");
                hints.push_str(&shorten(hint));
            }
            match &error.0.source {
                None => {}
                Some(Cause::Error(_)) => line.push_str(": "),
                Some(Cause::Os(os)) => line.push_str(&format!(": {os}")),
            }
        }
        line + &hints
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if f.alternate() { f.write_str(&self.report()) } else { f.write_str(&shorten(&self.0.text)) }
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

/// Turns the result of a call into this library's [`Result`].
pub(crate) trait Context<T> {
    /// Adds the text that says which operation failed.
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

/// A part of the configuration that was not applied, where the specification says to warn
/// and go on.
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
        assert_eq!(format!("{error:#}"), error.report());
        assert_eq!(error.to_string(), "mounts[3]");
        assert_eq!(error.hint(), Some("the target leaves the rootfs"));
        assert_eq!((error.field(), error.step()), (None, None));
        assert_eq!(error.kind(), ErrorKind::Setup);
        assert_eq!(error.errno(), Some(Errno::EXDEV as i32));
        assert_eq!(error.source().unwrap().to_string(), "openat2 /data");
        let error = error.at("mounts[3].source: open").in_step(ErrorKind::Setup).wrap("x");
        assert_eq!((error.field(), error.step()), (Some("mounts[3].source"), Some("Setup")));
    }

    #[test]
    fn the_length_of_texts_is_limited() {
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
