// SPDX-License-Identifier: Apache-2.0
//! A process that create or exec has made.

use crate::cgroup::oom::OomWatch;
use crate::error::{Context, Error, Result, Warning};
use crate::init::plan::Plan;
use crate::launch::{Child, Running};
use crate::state::record::Record;
use crate::state::store::Version;
use crate::sys::process::ExitStatus;
use crate::sys::{Errno, process};
use crate::trace::{Mark, Traced};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// A container that has been made, whose first process is a child of the caller.
#[derive(Debug)]
pub struct Created {
    /// Its first process.
    pub process: Process,
    /// What was asked for and left out, where the specification says to warn.
    pub warnings: Vec<Warning>,
    /// What somebody who looks for a mistake in a configuration may want to know.
    pub notes: Vec<String>,
}

/// A container, or a process in one, that is ready to execute its program.
/// Dropped, its process is killed.
#[derive(Debug)]
#[must_use]
pub struct Held {
    child: Child,
    /// Of no use any more. But to take it apart would keep the child waiting.
    plan: Plan,
    watch: Option<OomWatch>,
    warnings: Vec<Warning>,
    notes: Vec<String>,
    written: Option<Written>,
}

impl Held {
    pub(super) fn new(child: Child, plan: Plan, watch: Option<OomWatch>, notes: Vec<String>) -> Self {
        Held { child, plan, watch, warnings: Vec::new(), notes, written: None }
    }

    /// Adds what was left out on the way, or adds it to the error.
    pub(super) fn warned(made: Result<Self>, warnings: Vec<Warning>) -> Result<Self> {
        match made {
            Ok(held) => Ok(Held { warnings, ..held }),
            Err(error) => Err(error.with_warnings(warnings)),
        }
    }

    /// What was asked for and left out, where the specification says to warn.
    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }

    /// It is the first process of the container that this was written of.
    pub(super) fn first_of(self, written: Written) -> Self {
        Held { written: Some(written), ..self }
    }

    /// Lets the program be executed. The caller has never seen the warnings.
    pub(super) fn release_at_once(self) -> Result<Created> {
        let warnings = self.warnings.clone();
        self.release().map_err(|error| error.with_warnings(warnings))
    }

    /// Lets the program be executed. An error does not repeat the warnings.
    pub fn release(self) -> Result<Created> {
        let process = Process { running: self.child.release()?, watch: self.watch, written: self.written };
        drop(self.plan);
        Ok(Created { process, warnings: self.warnings, notes: self.notes })
    }
}

/// A container's process that this library has started: a child of the calling
/// process, which should [`wait`](Process::wait) for it, or end, so that somebody
/// else does.
#[derive(Debug)]
pub struct Process {
    running: Running,
    watch: Option<OomWatch>,
    /// If it is the first process of a container.
    pub(super) written: Option<Written>,
}

/// A container's record as create has left it.
#[derive(Debug)]
pub(super) struct Written {
    pub(super) record: Record,
    pub(super) version: Version,
}

impl Process {
    /// Its pid, in the caller's pid namespace.
    pub fn pid(&self) -> i32 {
        self.running.pid
    }

    /// Waits until it has ended. Waiting without a thread: poll the pidfd that
    /// [`AsFd`] gives for POLLIN (pidfd_open(2)), then call this.
    pub fn wait(&self) -> Result<ExitStatus> {
        process::wait(&self.running.pidfd, 0).context(|| "waitid").traced(Mark::AwaitEnd)
    }

    /// Sends it a signal. False if it has ended.
    pub fn signal(&self, signal: i32) -> Result<bool> {
        match process::pidfd_send_signal(&self.running.pidfd, signal) {
            Ok(()) => Ok(true),
            Err(Errno::ESRCH) => Ok(false),
            Err(errno) => Err(Error::os(errno, format!("pidfd_send_signal {signal}"))),
        }
    }

    /// After it was killed: the limit on memory for which it was, if it was that.
    /// (If others of the container were meanwhile, it cannot be told apart. And systemd
    /// removes a scope, with the kernel's count, when the last process in it has ended:
    /// then this may come too late.)
    pub fn killed_for_memory(&self, status: ExitStatus) -> Option<Warning> {
        let limit = self.watch.as_ref().filter(|_| status == ExitStatus::Signaled(libc::SIGKILL))?.limit()?;
        Some(Warning(format!("process {} was OOM-killed: {limit}", self.running.pid)))
    }

    /// Waits until the program has been executed. Only after [`Create::run`].
    pub(crate) fn await_exec(&self) -> Result<()> {
        self.running.await_exec()
    }
}

impl From<Process> for OwnedFd {
    /// Its pidfd.
    fn from(process: Process) -> Self {
        process.running.pidfd
    }
}

impl AsFd for Process {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.running.pidfd.as_fd()
    }
}
