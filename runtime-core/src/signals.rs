// SPDX-License-Identifier: Apache-2.0
//! The signals of the calling program, to be waited for together with its containers.

use crate::error::{Context, Result};
use runtime_sys::signal;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// The signals of a thread, as a descriptor to wait for and read from (signalfd(2)).
#[derive(Debug)]
pub struct Signals(OwnedFd);

impl Signals {
    /// Blocks all signals of the calling thread and receives them by this descriptor from now on,
    /// including those that C libraries reserve for themselves. Programs that this library starts
    /// for the thread, such as hooks, get the signal mask from before. Errors: EMFILE, ENFILE,
    /// ENOMEM.
    pub fn of_thread() -> Result<Self> {
        signal::take_all().map(Signals).context(|| "signalfd4")
    }

    /// Returns a descriptor that is readable while SIGHUP, SIGINT, SIGQUIT or SIGTERM is pending,
    /// for [`ContainerBuilder::cancel`](crate::ContainerBuilder::cancel). Errors: EMFILE, ENFILE, ENOMEM.
    pub fn ending() -> Result<OwnedFd> {
        signal::ending().context(|| "signalfd4")
    }

    /// Returns the next pending signal, if any, without waiting. A SIGPIPE that the calling
    /// process raised itself, by a write to a hook that does not read, is skipped: it must not be
    /// passed on to the container.
    pub fn next(&self) -> Result<Option<i32>> {
        signal::next(&self.0).context(|| "read from a signalfd")
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
