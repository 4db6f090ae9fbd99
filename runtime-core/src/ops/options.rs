// SPDX-License-Identifier: Apache-2.0
//! The options that create and exec have in common: what the process gets from the caller, and
//! how the process is reported to the caller.

use crate::error::{Context, Error, ErrorKind, Result};
use crate::parent::child::Child;
use crate::parent::peer::Peer;
use crate::prepare::{Extras, set_env, stand_in};
use crate::state::pid_file::write_atomically;
use crate::stdio::Stdio;
use crate::terminal::Terminal;
use crate::watch::Watch;
use runtime_sys::fd;
use std::io::{PipeReader, PipeWriter};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd, RawFd};
use std::path::{Path, PathBuf};

/// The options of a builder that belong to its process.
#[derive(Debug, Default)]
pub(super) struct ProcessOptions {
    pub(super) console_socket: Option<PathBuf>,
    pub(super) pidfd_socket: Option<PathBuf>,
    pub(super) pid_file: Option<PathBuf>,
    pub(super) cancel: Option<OwnedFd>,
    /// Standard input, output and error.
    pub(super) stdio: [Stdio; 3],
    /// True if the caller wants the master of the process's terminal.
    pub(super) terminal: bool,
    pub(super) extras: Extras,
}

/// The caller's ends of the standard streams.
#[derive(Debug, Default)]
pub(super) struct Streams {
    pub(super) stdin: Option<PipeWriter>,
    pub(super) stdout: Option<PipeReader>,
    pub(super) stderr: Option<PipeReader>,
    pub(super) terminal: Option<Terminal>,
    /// The socket that the terminal comes from.
    socket: Option<OwnedFd>,
}

impl Streams {
    /// Receives the terminal of a process that is ready to execute its program.
    pub(super) fn with_terminal(mut self) -> Result<Self> {
        if let Some(socket) = self.socket.take() {
            self.terminal = Some(Terminal::receive(&socket)?);
        }
        Ok(self)
    }
}

/// Defines the methods that set the options of every builder that makes a process.
macro_rules! stream_options {
    () => {
        /// Sets the source of the program's standard input. The default is
        /// [`Stdio::Inherit`](crate::Stdio::Inherit). A process with a terminal can have no other.
        pub fn stdin(mut self, stdin: impl Into<Stdio>) -> Self {
            let [input, _, _] = &mut self.options.stdio;
            *input = stdin.into();
            self
        }

        /// Sets the destination of the program's standard output. See [`stdin`](Self::stdin).
        pub fn stdout(mut self, stdout: impl Into<Stdio>) -> Self {
            let [_, output, _] = &mut self.options.stdio;
            *output = stdout.into();
            self
        }

        /// Sets the destination of the program's standard error. See [`stdin`](Self::stdin).
        pub fn stderr(mut self, stderr: impl Into<Stdio>) -> Self {
            let [_, _, error] = &mut self.options.stdio;
            *error = stderr.into();
            self
        }

        /// Gives the process a terminal, even if `process.terminal` is not true, and returns the
        /// master in [`Process::terminal`](crate::Process::terminal).
        pub fn terminal(mut self) -> Self {
            self.options.terminal = true;
            self
        }

        /// Sends the master of the process's terminal to the AF_UNIX SOCK_STREAM socket at
        /// `path`, as runc does. This or [`terminal`](Self::terminal) is required if
        /// `process.terminal` is true; this is refused otherwise.
        pub fn console_socket(mut self, path: impl Into<PathBuf>) -> Self {
            self.options.console_socket = Some(path.into());
            self
        }

        /// Sends a pidfd of the process to the socket at `path`.
        pub fn pidfd_socket(mut self, path: impl Into<PathBuf>) -> Self {
            self.options.pidfd_socket = Some(path.into());
            self
        }

        /// Writes the pid of the process, in decimal, to the file at `path`.
        pub fn pid_file(mut self, path: impl Into<PathBuf>) -> Self {
            self.options.pid_file = Some(path.into());
            self
        }

        /// Cancels the operation when `event` becomes readable. `event` may be any descriptor
        /// that poll(2) takes. The operation then removes everything it has made, and fails with
        /// [`ErrorKind::Cancelled`](crate::error::ErrorKind::Cancelled), or with
        /// [`ErrorKind::Hook`](crate::error::ErrorKind::Hook) if a hook was running. Without
        /// this, the caller may wait for ever: for a hook, for the peer of a socket, or because
        /// the new process is stopped by another process.
        pub fn cancel(mut self, event: OwnedFd) -> Self {
            self.options.cancel = Some(event);
            self
        }
    };
}
pub(super) use stream_options;

/// Defines the methods that set all of these options, for the builders of processes that execute a
/// program.
macro_rules! process_options {
    () => {
        crate::ops::options::stream_options!();

        /// Passes the caller's descriptors 3 to 2 + `count` to the program.
        pub fn preserve_fds(mut self, count: u16) -> Self {
            self.options.extras.preserve_fds = count;
            self
        }

        /// Sets a variable in the program's environment, in place of one of the same name in
        /// `process.env`. A name that is empty or has a `=`, and a NUL byte in the name or the
        /// value, are errors of the operation.
        pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
            self.options.extras.env.push((name.as_ref().to_owned(), value.as_ref().to_owned()));
            self
        }
    };
}
pub(super) use process_options;

impl ProcessOptions {
    /// Checks that the descriptors to preserve are open, and that the variables to set can be set.
    /// Must be called before the library opens any descriptor.
    pub(super) fn check(&self) -> Result<()> {
        check_preserved_fds(self.extras.preserve_fds)?;
        set_env(Vec::new(), &self.extras.env).map(drop)
    }

    pub(super) fn cancel(&self) -> Option<BorrowedFd<'_>> {
        self.cancel.as_ref().map(AsFd::as_fd)
    }

    /// Returns the events that end any wait while `child` is being set up: its end, and the
    /// caller's cancellation.
    pub(super) fn watch<'a>(&'a self, child: &'a Child) -> Watch<'a> {
        Watch::cancel(self.cancel()).with(child.pidfd())
    }

    /// Takes out the extras for the plan, with the console socket connected. Returns the caller's
    /// ends of the streams with them.
    pub(super) fn take_extras(&mut self) -> Result<(Extras, Streams)> {
        self.extras_with(|path, cancel| {
            let peer = Peer::connect(path, Watch::cancel(cancel));
            Ok(peer.map_err(|error| error.of_kind(ErrorKind::InvalidConfig))?.into_socket())
        })
    }

    /// Takes out the extras like [`take_extras`](Self::take_extras), with a file in the place of the
    /// connected console socket.
    pub(super) fn extras_unconnected(&mut self) -> Result<(Extras, Streams)> {
        self.extras_with(|_, _| stand_in())
    }

    fn extras_with(
        &mut self,
        connect: impl FnOnce(&Path, Option<BorrowedFd<'_>>) -> Result<OwnedFd>,
    ) -> Result<(Extras, Streams)> {
        let mut extras = std::mem::take(&mut self.extras);
        let mut ours = Streams::default();
        let [stdin, stdout, stderr] = std::mem::take(&mut self.stdio);
        extras.stdio = [
            stdin.into_input(&mut ours.stdin)?,
            stdout.into_output(&mut ours.stdout)?,
            stderr.into_output(&mut ours.stderr)?,
        ];
        if self.terminal {
            let (theirs, socket) = Terminal::sockets()?;
            (extras.console, ours.socket) = (Some(theirs), Some(socket));
        }
        if let Some(path) = &self.console_socket {
            if self.terminal {
                let text = "the terminal can be sent to a console socket, or be returned, but not both";
                return Err(Error::new(ErrorKind::InvalidConfig, text));
            }
            extras.console = Some(connect(path, self.cancel())?);
        }
        Ok((extras, ours))
    }

    /// Writes the pid file, and sends a pidfd with the text `kind`, if the caller asked for them.
    pub(super) fn report_pid(&self, pid: i32, pidfd: BorrowedFd<'_>, kind: &[u8]) -> Result<()> {
        if let Some(path) = &self.pidfd_socket {
            Peer::connect(path, Watch::cancel(self.cancel()).with(pidfd))
                .and_then(|peer| peer.send(kind, pidfd))
                .context(|| format!("sending the pidfd to {}", path.display()))?;
        }
        match &self.pid_file {
            Some(path) => write_atomically(path, pid.to_string().as_bytes()),
            None => Ok(()),
        }
    }
}

/// Checks that the descriptors 3 to 2 + `count`, which
/// [`ContainerBuilder::preserve_fds`](crate::ContainerBuilder::preserve_fds) passes to the container, are open. For
/// a program that opens other descriptors before it calls the library: one of those could get
/// a number that is free now, and would then be passed to the container. Errors:
/// [`ErrorKind::InvalidConfig`].
pub fn check_preserved_fds(count: u16) -> Result<()> {
    for n in 0..i32::from(count) {
        let number: RawFd = 3 + n;
        if !fd::is_open(number) {
            let text = format!("unable to stat preserved-fd {n} (of {count}): fd {number} is not open");
            return Err(Error::new(ErrorKind::InvalidConfig, text));
        }
    }
    Ok(())
}
