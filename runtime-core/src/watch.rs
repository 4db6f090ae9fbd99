// SPDX-License-Identifier: Apache-2.0
//! Waits for programs that may never respond: a hook, the peer of a socket.

use crate::error::{Error, ErrorKind, Result};
use std::os::fd::BorrowedFd;

/// The events that end any wait. Each is a descriptor that becomes readable.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Watch<'a> {
    /// The pidfd of the container's process. When it has ended, there is no point in waiting:
    /// `delete --force`, for example, kills init and then waits for the lock that the caller holds.
    pub(crate) process: Option<BorrowedFd<'a>>,
    /// The event of [`ContainerBuilder::cancel`](crate::ContainerBuilder::cancel).
    pub(crate) cancel: Option<BorrowedFd<'a>>,
}

impl<'a> Watch<'a> {
    /// Watches `cancel` only.
    pub(crate) fn cancel(cancel: Option<BorrowedFd<'a>>) -> Self {
        Watch { process: None, cancel }
    }

    /// Adds the pidfd `process`.
    pub(crate) fn with(self, process: BorrowedFd<'a>) -> Self {
        Watch { process: Some(process), ..self }
    }

    /// Returns the entries to add to the caller's own for poll(2).
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

/// Makes the error of an operation that the caller has cancelled.
pub(crate) fn cancelled() -> Error {
    Error::new(ErrorKind::Cancelled, "interrupted")
}
