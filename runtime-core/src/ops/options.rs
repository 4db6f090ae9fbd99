// SPDX-License-Identifier: Apache-2.0
//! The options that create and exec have in common: what the caller gives to the process, and
//! what it wants to be told of it.

use crate::error::{Context, Error, ErrorKind, Result};
use crate::parent::Child;
use crate::parent::peer::Peer;
use crate::prepare::Extras;
use crate::state::store::write_atomically;
use crate::watch::Watch;
use runtime_sys::fd;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd, RawFd};
use std::path::PathBuf;

#[derive(Debug, Default)]
pub(super) struct ProcessOptions {
    pub(super) console_socket: Option<PathBuf>,
    pub(super) pidfd_socket: Option<PathBuf>,
    pub(super) pid_file: Option<PathBuf>,
    pub(super) cancel: Option<OwnedFd>,
    pub(super) extras: Extras,
}

/// The methods of the two builders that set them.
macro_rules! process_options {
    () => {
        /// Sends the master of the process's terminal to the AF_UNIX SOCK_STREAM
        /// socket at `path`. Needed if and only if `process.terminal` is true.
        pub fn console_socket(mut self, path: impl Into<PathBuf>) -> Self {
            self.options.console_socket = Some(path.into());
            self
        }

        /// As [`console_socket`](Self::console_socket), with a connected socket.
        pub fn console(mut self, socket: OwnedFd) -> Self {
            self.options.extras.console = Some(socket);
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

        /// Gives up when `event` becomes readable, which may be any descriptor that poll(2)
        /// takes: then there is an error of the kind
        /// [`ErrorKind::Cancelled`](crate::error::ErrorKind::Cancelled), or of
        /// [`ErrorKind::Hook`](crate::error::ErrorKind::Hook) if a hook was running, and nothing
        /// is left. A hook, a peer, or a process that stops the one that is made could
        /// otherwise keep the caller waiting.
        pub fn cancel(mut self, event: OwnedFd) -> Self {
            self.options.cancel = Some(event);
            self
        }

        /// What becomes the program's standard input, output and error; `None`: what
        /// the caller has. Ignored with a terminal.
        pub fn stdio(mut self, stdio: [Option<OwnedFd>; 3]) -> Self {
            self.options.extras.stdio = stdio;
            self
        }

        /// Gives the program the caller's descriptors 3 to 2 + `count` too.
        pub fn preserve_fds(mut self, count: u16) -> Self {
            self.options.extras.preserve_fds = count;
            self
        }

        /// Adds a variable to the program's environment.
        pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
            self.options.extras.add_env(name.as_ref(), value.as_ref());
            self
        }
    };
}
pub(super) use process_options;

impl ProcessOptions {
    /// Checks what only the caller's descriptors can tell, before anything is opened.
    pub(super) fn check(&self) -> Result<()> {
        check_preserved_fds(self.extras.preserve_fds)
    }

    pub(super) fn cancel(&self) -> Option<BorrowedFd<'_>> {
        self.cancel.as_ref().map(AsFd::as_fd)
    }

    /// Returns the events that end every wait for others while `child` is on its way.
    pub(super) fn watch<'a>(&'a self, child: &'a Child) -> Watch<'a> {
        Watch::cancel(self.cancel()).with(child.pidfd())
    }

    /// Takes out what goes into the plan, with the console connected.
    pub(super) fn take_extras(&mut self) -> Result<Extras> {
        let mut extras = std::mem::take(&mut self.extras);
        if let Some(path) = &self.console_socket {
            let peer = Peer::connect(path, Watch::cancel(self.cancel()))
                .map_err(|error| error.of_kind(ErrorKind::InvalidConfig))?;
            extras.console = Some(peer.into_socket());
        }
        Ok(extras)
    }

    /// Writes the pid file, and sends a pidfd with the text `kind`, if the caller asked for them.
    pub(super) fn report_pid(&self, child: &Child, kind: &[u8]) -> Result<()> {
        if let Some(path) = &self.pidfd_socket {
            Peer::connect(path, self.watch(child))
                .and_then(|peer| peer.send(kind, child.pidfd()))
                .context(|| format!("sending the pidfd to {}", path.display()))?;
        }
        match &self.pid_file {
            Some(path) => write_atomically(path, child.pid.to_string().as_bytes()),
            None => Ok(()),
        }
    }
}

/// Whether the descriptors 3 to 2 + `count`, which [`Create::preserve_fds`](crate::Create::preserve_fds) gives
/// to the container, are open. For a program that opens others before it calls
/// the library: a number that is free now would be given to one of those, and
/// that to the container.
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
