// SPDX-License-Identifier: Apache-2.0
//! A process that the parent has cloned, and the parent's end of the channel to it.

use super::{explain, reap};
use crate::boundary::channel::ParentEnd;
use crate::boundary::plan::Plan;
use crate::boundary::reply::Reply;
use crate::error::{Error, ErrorKind, Result};
use runtime_sys::process::ExitStatus;
use runtime_sys::{clone, fd, signal};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// A cloned process: the container's, or a helper. Dropping kills and reaps it.
#[derive(Debug)]
pub(super) struct Cloned {
    pub(super) pid: i32,
    pub(super) guard: Guard,
    pub(super) channel: ParentEnd,
}

/// The pidfd of a child that is killed and reaped on drop, unless it is taken out before.
#[derive(Debug)]
pub(super) struct Guard(Option<OwnedFd>);

impl Guard {
    pub(super) fn new(pidfd: OwnedFd) -> Self {
        Guard(Some(pidfd))
    }

    pub(super) fn pidfd(&self) -> BorrowedFd<'_> {
        // Only `disarm`, which consumes the guard, leaves it empty.
        self.0.as_ref().map_or(fd::CWD, AsFd::as_fd)
    }

    pub(super) fn disarm(mut self) -> Option<OwnedFd> {
        self.0.take()
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        let Some(pidfd) = self.0.take() else { return };
        reap::end(pidfd);
    }
}

impl Cloned {
    /// Clones a process that runs `main`, with the namespaces of `flags`, in `cgroup` if one is
    /// given.
    ///
    /// The calling thread blocks its signals during the clone, so that no handler of the program
    /// runs in the child, and unblocks them before this function returns.
    pub(super) fn new(
        flags: i32,
        cgroup: Option<BorrowedFd<'_>>,
        main: impl clone::ChildMain,
        channel: ParentEnd,
    ) -> Result<Self> {
        let blocked = signal::Blocked::all();
        let cloned = clone::clone3(flags, false, cgroup, main);
        drop(blocked);
        let (pid, pidfd) = cloned.map_err(explain::clone)?;
        Ok(Cloned { pid, guard: Guard::new(pidfd), channel })
    }

    /// Returns the pidfd of the process.
    pub(super) fn pidfd(&self) -> BorrowedFd<'_> {
        self.guard.pidfd()
    }

    /// Returns true if the process was killed with SIGKILL, for example by the OOM killer.
    pub(super) fn is_killed(&self) -> bool {
        let ended = fd::poll(self.pidfd(), libc::POLLIN, 0).is_ok_and(|events| events != 0);
        let status = || reap::peek(self.pid, self.pidfd());
        ended && status() == Ok(ExitStatus::Signaled(libc::SIGKILL))
    }

    /// Makes the error for an unexpected reply.
    pub(super) fn failed(&self, reply: Option<Reply>, plan: &Plan) -> Error {
        match reply {
            Some(Reply::Failed(failure)) => explain::failure(failure, self.channel.kernel_message(), plan),
            Some(other) => Error::new(ErrorKind::Setup, format!("unexpected {other:?} from the child")),
            None => self.ended(),
        }
    }

    /// Waits for the end of a process that will send nothing more, and makes the error for it.
    pub(super) fn ended(&self) -> Error {
        let words = match reap::peek(self.pid, self.pidfd()) {
            Ok(status) => format!("the child ended without a message: {status}"),
            Err(_) => "the child closed its end of the channel".to_owned(),
        };
        Error::new(ErrorKind::Setup, words)
    }
}
