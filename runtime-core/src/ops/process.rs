// SPDX-License-Identifier: Apache-2.0
//! A process that create or exec has made.

use super::container::Container;
use crate::boundary::plan::Plan;
use crate::cgroup::oom::OomWatch;
use crate::error::{Context, Error, Result, Warning};
use crate::marks::{Mark, Traced};
use crate::parent::reap::reap;
use crate::parent::{Child, Running};
use crate::state::process::is_halted;
use crate::state::record::Record;
use crate::watch::Watch;
use runtime_sys::process::ExitStatus;
use runtime_sys::{Errno, process};
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
    /// The container, and its record as create has left it, if this is its first process.
    first: Option<(Container, Record)>,
    cancel: Option<OwnedFd>,
}

impl Held {
    pub(super) fn new(child: Child, plan: Plan, watch: Option<OomWatch>, notes: Vec<String>) -> Self {
        Held { child, plan, watch, warnings: Vec::new(), notes, first: None, cancel: None }
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

    /// Marks this process as the init of `container`, which `record` describes.
    pub(super) fn with_container(self, container: Container, record: Record) -> Self {
        Held { first: Some((container, record)), ..self }
    }

    /// Lets `cancel` end the waits that are still to come.
    pub(super) fn cancelled_by(self, cancel: Option<OwnedFd>) -> Self {
        Held { cancel, ..self }
    }

    /// Lets the program be executed. The caller has never seen the warnings.
    pub(super) fn release_at_once(self) -> Result<Created> {
        let warnings = self.warnings.clone();
        self.release().map_err(|error| error.with_warnings(warnings))
    }

    /// Lets the program be executed, waits until it has been, and runs the poststart hooks
    /// if it is the first of a container, of which nothing is left after an error. An error
    /// does not repeat the warnings.
    ///
    /// Errors: [`ErrorKind::NotExecuted`](crate::error::ErrorKind::NotExecuted),
    /// [`ErrorKind::Hook`](crate::error::ErrorKind::Hook).
    pub fn release(self) -> Result<Created> {
        let Held { child, plan, watch, warnings, notes, first, cancel } = self;
        let running = child.release().map_err(|error| undo(error, first.as_ref()))?;
        drop(plan);
        let cancelled = cancel.as_ref().map(AsFd::as_fd);
        let begun = running.await_exec(cancelled).and_then(|()| match &first {
            Some((container, record)) => container.poststart(record, Watch::cancel(cancelled)),
            None => Ok(()),
        });
        if let Err(error) = begun {
            running.end();
            return Err(undo(error, first.as_ref()));
        }
        let record = first.map(|(_, record)| record);
        let process = Process { running, watch, record, cancel };
        Ok(Created { process, warnings, notes })
    }

    /// Lets the process wait for `start`. The caller has never seen the warnings.
    pub(super) fn let_go(self) -> Result<Created> {
        let Held { child, plan, watch, warnings, notes, first, cancel } = self;
        let running = match child.release() {
            Ok(running) => running,
            Err(error) => return Err(undo(error, first.as_ref()).with_warnings(warnings)),
        };
        drop(plan);
        let record = first.map(|(_, record)| record);
        let process = Process { running, watch, record, cancel };
        Ok(Created { process, warnings, notes })
    }
}

/// Destroys the container whose first process has come to nothing.
fn undo(error: Error, first: Option<&(Container, Record)>) -> Error {
    match first {
        Some((container, record)) => container.destroy_for(error, record, Watch::default()),
        None => error,
    }
}

/// A container's process that this library has started: a child of the calling
/// process, which should [`wait`](Process::wait) for it, or end, so that somebody
/// else does.
#[derive(Debug)]
pub struct Process {
    running: Running,
    watch: Option<OomWatch>,
    /// The container's record as create has left it, if this is its first process.
    pub(super) record: Option<Record>,
    cancel: Option<OwnedFd>,
}

impl Process {
    /// Its pid, in the caller's pid namespace.
    pub fn pid(&self) -> i32 {
        self.running.pid
    }

    /// Waits until it has ended. Waiting without a thread: poll the pidfd that
    /// [`AsFd`] gives for POLLIN (pidfd_open(2)), then call this.
    ///
    /// A process of the container that traces this one and never waits for it keeps it
    /// as a zombie; but the caller is not kept waiting.
    pub fn wait(&self) -> Result<ExitStatus> {
        reap(self.running.pid, &self.running.pidfd).context(|| "waitid").traced(Mark::AwaitEnd)
    }

    /// Whether a signal such as SIGSTOP, or a tracer, keeps it from running at the moment:
    /// then it does not take any signal but SIGKILL.
    pub fn is_halted(&self) -> Result<bool> {
        is_halted(self.running.pid)
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

    /// See [`Create::cancel`](super::Create::cancel).
    pub(super) fn cancel(&self) -> Option<BorrowedFd<'_>> {
        self.cancel.as_ref().map(AsFd::as_fd)
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
