// SPDX-License-Identifier: Apache-2.0
//! The signals of the calling program, to wait for beside its containers.

use crate::error::{Context, Result};
use runtime_sys::signal;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// The signals of a thread as something to wait for and to read (signalfd(2)).
#[derive(Debug)]
pub struct Signals(OwnedFd);

impl Signals {
    /// From now on all signals of the calling thread come by this, those included that
    /// C libraries keep to themselves. Programs that this library starts for the thread,
    /// such as hooks, have the mask from before. Errors: EMFILE, ENFILE, ENOMEM.
    pub fn of_thread() -> Result<Self> {
        signal::take_all().map(Signals).context(|| "signalfd4")
    }

    /// A descriptor that can be read as long as a signal is pending that people end
    /// programs with: SIGHUP, SIGINT, SIGQUIT or SIGTERM. For
    /// [`Create::cancel`](crate::Create::cancel). Errors: EMFILE, ENFILE, ENOMEM.
    pub fn ending() -> Result<OwnedFd> {
        signal::ending().context(|| "signalfd4")
    }

    /// The next signal that has come, if one has. Does not wait. A SIGPIPE that the calling
    /// process has raised itself, by a write to a hook that does not read, is left out: it is
    /// not for the container.
    pub fn next(&self) -> Result<Option<i32>> {
        signal::next(&self.0).context(|| "read from a signalfd")
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
