// SPDX-License-Identifier: Apache-2.0
//! Operations on other threads than that of their future, and their end if the future is dropped.

use super::create::ContainerBuilder;
use super::exec::ExecBuilder;
use super::makers::in_maker;
use super::process::{Pending, Process};
use super::restore::RestoreBuilder;
use crate::error::{Context, Error, ErrorKind, Result};
use crate::watch::cancelled;
use runtime_sys::async_fd::either_readable;
use runtime_sys::fd;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use tokio::runtime::Handle;
use tokio::task::{JoinHandle, spawn_blocking};

pub(super) fn copy_of(fd: BorrowedFd<'_>) -> Result<OwnedFd> {
    fd.try_clone_to_owned().map_err(|error| Error::io(&error, "dup"))
}

/// An operation, or a process, with an event that cancels the operation or later waits for hooks.
pub(super) trait Cancellable: Send + 'static {
    /// Sets the event, and returns the one before.
    fn replace_cancel(&mut self, event: Option<OwnedFd>) -> Option<OwnedFd>;
}

impl Cancellable for ContainerBuilder {
    fn replace_cancel(&mut self, event: Option<OwnedFd>) -> Option<OwnedFd> {
        std::mem::replace(&mut self.options.cancel, event)
    }
}

impl Cancellable for ExecBuilder {
    fn replace_cancel(&mut self, event: Option<OwnedFd>) -> Option<OwnedFd> {
        std::mem::replace(&mut self.options.cancel, event)
    }
}

impl Cancellable for RestoreBuilder {
    fn replace_cancel(&mut self, event: Option<OwnedFd>) -> Option<OwnedFd> {
        std::mem::replace(&mut self.options.cancel, event)
    }
}

impl Cancellable for Pending {
    fn replace_cancel(&mut self, event: Option<OwnedFd>) -> Option<OwnedFd> {
        std::mem::replace(&mut self.about_mut().cancel, event)
    }
}

impl Cancellable for Process {
    fn replace_cancel(&mut self, event: Option<OwnedFd>) -> Option<OwnedFd> {
        std::mem::replace(&mut self.about_mut().cancel, event)
    }
}

/// A [`Process`] or [`Pending`] that a future has made and has not given to its caller.
pub(super) trait Unclaimed: Cancellable {
    /// Sends SIGKILL.
    fn kill(&self);

    /// Kills and reaps the process, and destroys the container whose first process it is.
    fn undo(self);
}

impl Unclaimed for Process {
    fn kill(&self) {
        // A process that has ended needs no signal.
        runtime_sys::ignore(self.signal(libc::SIGKILL));
    }

    fn undo(self) {
        Process::undo(self);
    }
}

impl Unclaimed for Pending {
    /// Does nothing: a dropped `Pending` kills its process.
    fn kill(&self) {}

    fn undo(mut self) {
        self.about_mut().discard();
    }
}

/// A process that belongs to a future. If the future is dropped, the process is killed and reaped,
/// and the container whose first process it is is destroyed, on a thread of tokio's pool: poststop
/// hooks may run for long.
pub(super) struct Owned<P: Unclaimed>(pub(super) Option<P>);

impl<P: Unclaimed> Drop for Owned<P> {
    fn drop(&mut self) {
        let Some(process) = self.0.take() else { return };
        // First, because a runtime that shuts down runs nothing more.
        process.kill();
        let undo = UndoOnDrop(Some(process));
        match Handle::try_current() {
            // A pool that shuts down drops the closure.
            Ok(runtime) => drop(runtime.spawn_blocking(move || drop(undo))),
            Err(_) => drop(undo),
        }
    }
}

/// An unclaimed process that is undone by the thread that drops this value.
struct UndoOnDrop<P: Unclaimed>(Option<P>);

impl<P: Unclaimed> Drop for UndoOnDrop<P> {
    fn drop(&mut self) {
        if let Some(process) = self.0.take() {
            process.undo();
        }
    }
}

impl<P: Unclaimed> Cancellable for Owned<P> {
    fn replace_cancel(&mut self, event: Option<OwnedFd>) -> Option<OwnedFd> {
        self.0.as_mut().and_then(|process| process.replace_cancel(event))
    }
}

impl<P: Unclaimed> Owned<P> {
    /// Gives the process to the caller.
    pub(super) fn claim(mut self) -> Result<P> {
        self.0.take().ok_or_else(cancelled)
    }
}

/// Runs `make`, a method of `operation`, on a thread that makes processes. It is cancelled if the event
/// of the operation is readable, or the future is dropped. What a cancelled operation has made is
/// removed.
pub(super) async fn off_thread<O: Cancellable, P: Unclaimed>(
    mut operation: O,
    make: impl FnOnce(O) -> Result<P> + Send + 'static,
) -> Result<Owned<P>> {
    // Readable when its other end, which is dropped with the future, is closed.
    let (read, _gone) = fd::pipe().context(|| "pipe2")?;
    let own = operation.replace_cancel(None);
    let either = match &own {
        Some(own) => either_readable(own.as_fd(), read.as_fd()).context(|| "epoll_ctl")?,
        None => copy_of(read.as_fd())?,
    };
    operation.replace_cancel(Some(either));
    // The thread of the pool waits, so that a runtime of tokio that is dropped waits for the operation.
    let made = spawn_blocking(move || {
        let runtime = Handle::current();
        let made = in_maker(move || {
            // For the caller's hooks.
            let _entered = runtime.enter();
            make(operation)
        });
        let made = made.map(|mut process| {
            process.replace_cancel(own);
            Owned(Some(process))
        });
        // Open until here, because a descriptor that is closed leaves the set of epoll(7).
        drop(read);
        made
    });
    joined(made).await
}

/// Runs `call` on a thread of tokio's pool. If the future is dropped, the call goes on to its end: a
/// start or a deletion that is given up in the middle would leave neither the old state nor the new.
pub(super) async fn on_the_pool<T: Send + 'static>(
    call: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    joined(spawn_blocking(call)).await
}

/// Returns the result of a thread of tokio's pool, or panics as that thread did.
async fn joined<T>(thread: JoinHandle<Result<T>>) -> Result<T> {
    match thread.await {
        Ok(result) => result,
        Err(failed) => match failed.try_into_panic() {
            Ok(payload) => std::panic::resume_unwind(payload),
            Err(_) => Err(Error::new(ErrorKind::Cancelled, "the runtime of tokio shuts down")),
        },
    }
}
