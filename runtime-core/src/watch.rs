// SPDX-License-Identifier: Apache-2.0
//! Waiting for programs that may never answer: a hook, a peer on a socket.

use crate::error::{Error, ErrorKind, Result};
use std::os::fd::BorrowedFd;

/// Events that end any wait: each is a descriptor that becomes readable.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Watch<'a> {
    /// The pidfd of the container's process: nothing is done for one that has ended, by
    /// `delete --force`, say, which waits for the caller.
    pub(crate) process: Option<BorrowedFd<'a>>,
    /// See [`Create::cancel`](crate::Create::cancel).
    pub(crate) cancel: Option<BorrowedFd<'a>>,
}

impl<'a> Watch<'a> {
    /// Watches nothing but `cancel`.
    pub(crate) fn cancel(cancel: Option<BorrowedFd<'a>>) -> Self {
        Watch { process: None, cancel }
    }

    /// Watches `process` too.
    pub(crate) fn with(self, process: BorrowedFd<'a>) -> Self {
        Watch { process: Some(process), ..self }
    }

    /// Entries for poll(2), besides those of the caller's own.
    pub(crate) fn entries(&self) -> [Option<(BorrowedFd<'a>, i16)>; 2] {
        [self.process, self.cancel].map(|fd| fd.map(|fd| (fd, libc::POLLIN)))
    }

    /// Fails if poll(2) has seen one of the [`entries`](Self::entries).
    pub(crate) fn check(events: [i16; 2]) -> Result<()> {
        match events {
            [0, 0] => Ok(()),
            [0, _] => Err(cancelled()),
            _ => Err(Error::new(ErrorKind::Setup, "the container's init has ended meanwhile")),
        }
    }
}

/// The error of an operation that its caller has cancelled.
pub(crate) fn cancelled() -> Error {
    Error::new(ErrorKind::Cancelled, "interrupted")
}
