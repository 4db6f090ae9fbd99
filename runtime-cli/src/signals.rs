// SPDX-License-Identifier: Apache-2.0
//! The signals of this program, to be waited for together with its container.

use crate::failure::Failure;
use runtime_sys::signal;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// The signals of a thread, as a descriptor to wait for and read from (signalfd(2)).
#[derive(Debug)]
pub(crate) struct Signals(OwnedFd);

impl Signals {
    /// Blocks all signals of the calling thread and receives them by this descriptor from now on,
    /// including those that C libraries reserve for themselves. Programs that the library starts
    /// for the thread, such as hooks, get the signal mask from before.
    pub(crate) fn of_thread() -> Result<Self, Failure> {
        signal::take_all().map(Signals).map_err(|errno| Failure::io("signalfd4", &errno.into()))
    }

    /// Returns a descriptor that is readable while SIGHUP, SIGINT, SIGQUIT or SIGTERM is pending,
    /// to cancel the creation of a process.
    pub(crate) fn ending() -> Result<OwnedFd, Failure> {
        signal::ending().map_err(|errno| Failure::io("signalfd4", &errno.into()))
    }

    /// Returns the next pending signal, if any, without waiting. A SIGPIPE that this program raised
    /// itself, by a write to a hook that does not read, is skipped: it must not be passed on to the
    /// container.
    pub(crate) fn next(&self) -> Result<Option<i32>, Failure> {
        signal::next(&self.0).map_err(|errno| Failure::io("read from a signalfd", &errno.into()))
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
