// SPDX-License-Identifier: Apache-2.0
//! The processes that create and exec make.

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

/// A process of a container that is ready to execute its program. Dropping this value kills the
/// process; a container whose first process it is has then stopped, and is left to be deleted.
#[derive(Debug)]
#[must_use]
pub struct Pending {
    child: Child,
    /// The plan, which is not used any more. It is kept because dropping it takes time, in which
    /// the child would wait.
    plan: Plan,
    watch: Option<OomWatch>,
    warnings: Vec<Warning>,
    notes: Vec<String>,
    container: Container,
    /// The container's record at the end of create, if this is the container's first process.
    record: Option<Record>,
    cancel: Option<OwnedFd>,
}

impl Pending {
    pub(super) fn new(
        container: Container,
        child: Child,
        plan: Plan,
        watch: Option<OomWatch>,
        notes: Vec<String>,
    ) -> Self {
        let warnings = Vec::new();
        Pending { child, plan, watch, warnings, notes, container, record: None, cancel: None }
    }

    /// Adds the warnings to the process, or to the error.
    pub(super) fn warned(made: Result<Self>, warnings: Vec<Warning>) -> Result<Self> {
        match made {
            Ok(pending) => Ok(Pending { warnings, ..pending }),
            Err(error) => Err(error.with_warnings(warnings)),
        }
    }

    /// Returns the parts of the configuration that were not applied, where the specification says
    /// to warn.
    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }

    /// Marks this process as the first of the container that `record` describes.
    pub(super) fn with_record(self, record: Record) -> Self {
        Pending { record: Some(record), ..self }
    }

    /// Lets `cancel` end all later waits.
    pub(super) fn cancelled_by(self, cancel: Option<OwnedFd>) -> Self {
        Pending { cancel, ..self }
    }

    /// Starts the program like [`start`](Self::start). An error includes the warnings, because the
    /// caller has not seen them.
    pub(super) fn start_at_once(self) -> Result<Process> {
        let warnings = self.warnings.clone();
        self.start().map_err(|error| error.with_warnings(warnings))
    }

    /// Lets the process execute its program, and waits until the program has been executed. For a
    /// container's first process, then runs the poststart hooks; after an error, the container is
    /// destroyed. An error does not repeat the warnings.
    ///
    /// Errors: [`ErrorKind::NotExecuted`](crate::error::ErrorKind::NotExecuted),
    /// [`ErrorKind::Hook`](crate::error::ErrorKind::Hook).
    pub fn start(self) -> Result<Process> {
        let Pending { child, plan, watch, warnings, notes, container, record, cancel } = self;
        let running = child.release().map_err(|error| undo(error, &container, record.as_ref()))?;
        drop(plan);
        let cancelled = cancel.as_ref().map(AsFd::as_fd);
        let begun = running.await_exec(cancelled).and_then(|()| match &record {
            Some(record) => container.poststart(record, Watch::cancel(cancelled)),
            None => Ok(()),
        });
        if let Err(error) = begun {
            running.end();
            return Err(undo(error, &container, record.as_ref()));
        }
        Ok(Process { container, running, watch, record, warnings, notes, cancel })
    }

    /// Lets the process wait for `start`. An error includes the warnings, because the caller has
    /// not seen them.
    pub(super) fn await_start(self) -> Result<Process> {
        let Pending { child, plan, watch, warnings, notes, container, record, cancel } = self;
        let running = match child.release() {
            Ok(running) => running,
            Err(error) => return Err(undo(error, &container, record.as_ref()).with_warnings(warnings)),
        };
        drop(plan);
        Ok(Process { container, running, watch, record, warnings, notes, cancel })
    }
}

/// Destroys the container if its first process has failed.
fn undo(error: Error, container: &Container, record: Option<&Record>) -> Error {
    match record {
        Some(record) => container.destroy_for(error, record, Watch::default()),
        None => error,
    }
}

/// A process of a container that this library has started: the container's first, from
/// [`ContainerBuilder`](super::ContainerBuilder), or another, from
/// [`ExecBuilder`](super::ExecBuilder).
///
/// It is a child of the calling process, which should [`wait`](Process::wait) for it, or exit, so
/// that init or a subreaper does. Dropping this value leaves the process running, as a zombie
/// after its end.
#[derive(Debug)]
pub struct Process {
    container: Container,
    running: Running,
    watch: Option<OomWatch>,
    /// The container's record at the end of create, if this is the container's first process.
    pub(super) record: Option<Record>,
    warnings: Vec<Warning>,
    notes: Vec<String>,
    cancel: Option<OwnedFd>,
}

impl Process {
    /// Returns the process's pid in the caller's pid namespace.
    pub fn pid(&self) -> i32 {
        self.running.pid
    }

    /// Returns the container that the process was started in.
    pub fn container(&self) -> &Container {
        &self.container
    }

    /// Returns the parts of the configuration that were not applied, where the specification says
    /// to warn.
    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }

    /// Returns notes for a debug log.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// Waits until the process has ended. To wait without a thread, poll the pidfd that
    /// [`AsFd`] returns for POLLIN (pidfd_open(2)), then call this.
    ///
    /// A tracer in the container that never waits for this process keeps it as a zombie. This
    /// does not delay the caller.
    pub fn wait(&self) -> Result<ExitStatus> {
        reap(self.running.pid, &self.running.pidfd).context(|| "waitid").traced(Mark::AwaitEnd)
    }

    /// Returns whether the process is stopped, by a signal such as SIGSTOP or by a tracer. A
    /// stopped process handles no signal but SIGKILL.
    pub fn is_halted(&self) -> Result<bool> {
        is_halted(self.running.pid)
    }

    /// Sends the process a signal. False if it has ended.
    pub fn signal(&self, signal: i32) -> Result<bool> {
        match process::pidfd_send_signal(&self.running.pidfd, signal) {
            Ok(()) => Ok(true),
            Err(Errno::ESRCH) => Ok(false),
            Err(errno) => Err(Error::os(errno, format!("pidfd_send_signal {signal}"))),
        }
    }

    /// Returns a warning with the memory limit if the process, which ended with `status`, was
    /// probably OOM-killed.
    ///
    /// The warning may be wrong if another process of the container was OOM-killed and this one was
    /// killed for another reason. An OOM kill may be missed with systemd, which removes a scope and
    /// the kernel's count of OOM kills with it when the last process in the scope has ended.
    pub fn killed_for_memory(&self, status: ExitStatus) -> Option<Warning> {
        let limit = self.watch.as_ref().filter(|_| status == ExitStatus::Signaled(libc::SIGKILL))?.limit()?;
        Some(Warning(format!("process {} was OOM-killed: {limit}", self.running.pid)))
    }

    /// Returns the event of [`ContainerBuilder::cancel`](super::ContainerBuilder::cancel).
    pub(super) fn cancel(&self) -> Option<BorrowedFd<'_>> {
        self.cancel.as_ref().map(AsFd::as_fd)
    }
}

impl From<Process> for OwnedFd {
    /// Returns the process's pidfd.
    fn from(process: Process) -> Self {
        process.running.pidfd
    }
}

impl AsFd for Process {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.running.pidfd.as_fd()
    }
}
