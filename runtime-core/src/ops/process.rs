// SPDX-License-Identifier: Apache-2.0
//! The processes that create and exec make.

use super::container::Container;
use super::options::Streams;
use crate::boundary::plan::Plan;
use crate::cgroup::oom::OomWatch;
use crate::error::{Context, Error, Result, Warning};
use crate::exit_status::ExitStatus;
use crate::marks::{Mark, Traced};
use crate::parent::child::{Child, Running};
use crate::parent::reap;
use crate::state::process::is_halted;
use crate::state::record::Record;
use crate::stdio::Collected;
use crate::terminal::Terminal;
use crate::watch::{self, Watch};
use runtime_sys::{Errno, fd, process};
use std::io::{PipeReader, PipeWriter};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Mutex, PoisonError};

/// A process of a container that is ready to execute its program. Dropping this value kills the
/// process; a container whose first process it is has then stopped, and is left to be deleted.
#[derive(Debug)]
#[must_use]
pub struct Pending {
    child: Child,
    /// The plan, which is not used any more. It is kept because dropping it takes time, in which
    /// the child would wait.
    plan: Plan,
    streams: Streams,
    about: About,
}

/// The properties of a process that is ready to execute its program, or has executed it.
#[derive(Debug)]
pub(super) struct About {
    container: Container,
    /// The container's record at the end of create, if this is the container's first process.
    record: Option<Record>,
    watch: Option<OomWatch>,
    warnings: Vec<Warning>,
    notes: Vec<String>,
    /// The event that ends later waits for hooks and for the execution.
    pub(super) cancel: Option<OwnedFd>,
}

impl Pending {
    pub(super) fn new(
        container: Container,
        child: Child,
        plan: Plan,
        watch: Option<OomWatch>,
        notes: Vec<String>,
        streams: Streams,
    ) -> Self {
        let about = About { container, record: None, watch, warnings: Vec::new(), notes, cancel: None };
        Pending { child, plan, streams, about }
    }

    /// Adds the warnings to the process, or to the error.
    pub(super) fn warned(made: Result<Self>, warnings: Vec<Warning>) -> Result<Self> {
        match made {
            Ok(mut pending) => {
                pending.about.warnings = warnings;
                Ok(pending)
            }
            Err(error) => Err(error.with_warnings(warnings)),
        }
    }

    /// Returns the parts of the configuration that were not applied, where the specification says
    /// to warn.
    pub fn warnings(&self) -> &[Warning] {
        &self.about.warnings
    }

    /// Takes the master of the process's terminal, which is in [`Process::terminal`] otherwise.
    pub fn take_terminal(&mut self) -> Option<Terminal> {
        self.streams.terminal.take()
    }

    /// Marks this process as the first of the container that `record` describes.
    pub(super) fn with_record(mut self, record: Record) -> Self {
        self.about.record = Some(record);
        self
    }

    /// Lets `cancel` end all later waits for hooks and for the execution.
    pub(super) fn cancelled_by(mut self, cancel: Option<OwnedFd>) -> Self {
        self.about.cancel = cancel;
        self
    }

    /// Starts the program like [`start`](Self::start). An error includes the warnings, because the
    /// caller has not seen them.
    pub(super) fn start_at_once(self) -> Result<Process> {
        let warnings = self.about.warnings.clone();
        self.start().map_err(|error| error.with_warnings(warnings))
    }

    /// Lets the process execute its program, and waits until the program has been executed. For a
    /// container's first process, then runs the poststart hooks; after an error, the container is
    /// destroyed. An error does not repeat the warnings.
    ///
    /// Errors: [`ErrorKind::NotExecuted`](crate::error::ErrorKind::NotExecuted),
    /// [`ErrorKind::Hook`](crate::error::ErrorKind::Hook).
    pub fn start(self) -> Result<Process> {
        let Pending { child, plan, streams, about } = self;
        let running = child.release().map_err(|error| about.undo(error))?;
        drop(plan);
        let cancelled = about.cancel.as_ref().map(AsFd::as_fd);
        let begun = running.await_exec(cancelled).and_then(|()| match &about.record {
            Some(record) => about.container.poststart(record, Watch::cancel(cancelled)),
            None => Ok(()),
        });
        if let Err(error) = begun {
            running.end();
            return Err(about.undo(error));
        }
        Ok(Process::new(running, streams, about))
    }

    /// Lets the process wait for `start`. An error includes the warnings, because the caller has
    /// not seen them.
    pub(super) fn await_start(self) -> Result<Process> {
        let Pending { child, plan, streams, about } = self;
        let running = match child.release() {
            Ok(running) => running,
            Err(error) => return Err(about.undo(error).with_warnings(about.warnings)),
        };
        drop(plan);
        Ok(Process::new(running, streams, about))
    }

    #[cfg(feature = "tokio")]
    pub(super) fn about_mut(&mut self) -> &mut About {
        &mut self.about
    }
}

impl About {
    /// Destroys the container if its first process has failed.
    fn undo(&self, error: Error) -> Error {
        match &self.record {
            Some(record) => self.container.destroy_for(error, record, Watch::default()),
            None => error,
        }
    }

    /// Destroys the container if this is its first process, whose handle is lost. Does nothing to
    /// another container that has the id by now.
    #[cfg(feature = "tokio")]
    pub(super) fn discard(&self) {
        // There is no caller to report a failure to.
        drop(self.undo(watch::cancelled()));
    }
}

/// A process of a container that this library has started: the container's first, from
/// [`ContainerBuilder`](super::ContainerBuilder), or another, from
/// [`ExecBuilder`](super::ExecBuilder).
///
/// It is a child of the calling process, which should [`wait`](Process::wait) for it, or exit, so
/// that init or a subreaper does. Dropping this value leaves the process running, as a zombie
/// after its end. A zombie of an exec keeps the container's init from ending, and so
/// [`Container::delete`] from succeeding.
#[derive(Debug)]
pub struct Process {
    /// The pipe to the program's standard input, with [`Stdio::Piped`](crate::Stdio::Piped).
    pub stdin: Option<PipeWriter>,
    /// The pipe from the program's standard output, with [`Stdio::Piped`](crate::Stdio::Piped).
    pub stdout: Option<PipeReader>,
    /// The pipe from the program's standard error, with [`Stdio::Piped`](crate::Stdio::Piped).
    pub stderr: Option<PipeReader>,
    /// The master of the process's terminal, if the builder's method `terminal` was called.
    pub terminal: Option<Terminal>,
    running: Running,
    /// The exit status, once the process has been waited for: the kernel tells it only once.
    status: Mutex<Option<ExitStatus>>,
    about: About,
}

/// The collected output of a process that has ended.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// The exit status of the process.
    pub status: ExitStatus,
    /// The bytes that came from standard output.
    pub stdout: Vec<u8>,
    /// The bytes that came from standard error.
    pub stderr: Vec<u8>,
    /// True if more bytes came from one of the streams than were kept.
    pub is_truncated: bool,
}

impl Process {
    fn new(running: Running, streams: Streams, about: About) -> Self {
        let Streams { stdin, stdout, stderr, terminal, .. } = streams;
        Process { stdin, stdout, stderr, terminal, running, status: Mutex::new(None), about }
    }

    /// Makes the handle of the first process of a restored container, which `record` describes.
    pub(super) fn restored(
        container: Container,
        running: Running,
        streams: Streams,
        watch: Option<OomWatch>,
        record: Record,
        cancel: Option<OwnedFd>,
    ) -> Self {
        let (warnings, notes) = (Vec::new(), Vec::new());
        let about = About { container, record: Some(record), watch, warnings, notes, cancel };
        Process::new(running, streams, about)
    }

    /// Adds the warnings about the configuration.
    pub(super) fn with_warnings(mut self, warnings: Vec<Warning>) -> Self {
        self.about.warnings = warnings;
        self
    }

    /// Returns the process's pid in the caller's pid namespace.
    pub fn pid(&self) -> i32 {
        self.running.pid
    }

    /// Returns the container that the process was started in.
    pub fn container(&self) -> &Container {
        &self.about.container
    }

    /// Returns the container's record at the end of create, if this is the container's first
    /// process.
    pub(super) fn record(&self) -> Option<&Record> {
        self.about.record.as_ref()
    }

    /// Returns the parts of the configuration that were not applied, where the specification says
    /// to warn.
    pub fn warnings(&self) -> &[Warning] {
        &self.about.warnings
    }

    /// Returns notes for a debug log.
    pub fn notes(&self) -> &[String] {
        &self.about.notes
    }

    /// Waits until the process has ended, however long it runs, and returns its exit status. Any
    /// thread may call this, more than once.
    ///
    /// To wait without a thread, poll the pidfd that [`AsFd`] returns for POLLIN (pidfd_open(2)),
    /// then call this; with the feature `tokio`, call `wait_async`.
    ///
    /// A tracer in the container that never waits for this process keeps it as a zombie. This
    /// does not delay the caller by more than 100 ms.
    ///
    /// Errors: ECHILD if another part of the program has waited for the process, for example with
    /// `waitpid(-1)`, or if the program ignores SIGCHLD.
    pub fn wait(&self) -> Result<ExitStatus> {
        if let Some(status) = self.try_wait()? {
            return Ok(status);
        }
        fd::poll(self, libc::POLLIN, -1).context(|| "poll")?;
        // Without the lock, so that `try_wait` in another thread does not wait.
        for _ in 0..reap::CHECKS {
            if let Some(status) = self.try_wait().traced(Mark::AwaitEnd)? {
                return Ok(status);
            }
            std::thread::sleep(reap::PAUSE);
        }
        self.kept_status()
    }

    /// Returns the exit status of this process, which has ended, if its tracer does not wait for it.
    pub(super) fn kept_status(&self) -> Result<ExitStatus> {
        let mut status = self.status.lock().unwrap_or_else(PoisonError::into_inner);
        match *status {
            Some(status) => Ok(status),
            // The process has not been reaped, so the pid is not reused.
            None => {
                let kept = reap::status_of(self.running.pid).context(|| "waitid")?;
                Ok(*status.insert(ExitStatus::new(kept)))
            }
        }
    }

    /// Returns the exit status if the process has ended, without waiting. Errors: see
    /// [`wait`](Self::wait).
    pub fn try_wait(&self) -> Result<Option<ExitStatus>> {
        let mut status = self.status.lock().unwrap_or_else(PoisonError::into_inner);
        if status.is_none() {
            let ended = process::try_wait(&self.running.pidfd, 0).context(|| "waitid")?;
            *status = ended.map(ExitStatus::new);
        }
        Ok(*status)
    }

    /// Closes [`stdin`](Self::stdin), reads [`stdout`](Self::stdout) and [`stderr`](Self::stderr),
    /// and waits until the process has ended, however long it runs.
    ///
    /// Keeps up to `limit` bytes of each stream, because a container could write until the caller
    /// has no memory left; the rest is read and dropped. Does not wait for other processes of the
    /// container that still have the pipes open after the end of this one. Errors: see
    /// [`wait`](Self::wait).
    pub fn wait_with_output(&mut self, limit: usize) -> Result<Output> {
        self.collect(limit, None)
    }

    /// Does the same as [`wait_with_output`](Self::wait_with_output) until the builder's `cancel`
    /// becomes readable. After an error, the process is killed.
    pub(super) fn into_output(mut self, limit: usize) -> Result<Output> {
        let cancel = self.about.cancel.take();
        let output = self.collect(limit, cancel.as_ref().map(AsFd::as_fd));
        if output.is_err() {
            self.running.end();
        }
        output
    }

    fn collect(&mut self, limit: usize, cancel: Option<BorrowedFd<'_>>) -> Result<Output> {
        drop(self.stdin.take());
        let mut stdout = Collected::of(self.stdout.take(), limit)?;
        let mut stderr = Collected::of(self.stderr.take(), limit)?;
        let cancel = cancel.map(|event| (event, libc::POLLIN));
        loop {
            let ended = Some((self.as_fd(), libc::POLLIN));
            let ready = fd::poll_many([stdout.interest(), stderr.interest(), ended, cancel], -1);
            let [_, _, ended, cancelled] = ready.context(|| "poll")?;
            if ended != 0 {
                break;
            }
            if cancelled != 0 {
                return Err(watch::cancelled());
            }
            stdout.read()?;
            stderr.read()?;
        }
        self.output_of(stdout, stderr)
    }

    /// Reads what is left of the output of this process, which has ended.
    pub(super) fn output_of(&self, mut stdout: Collected, mut stderr: Collected) -> Result<Output> {
        // Other processes may be writing meanwhile, without end.
        const PIPE_MAX: usize = 1 << 20;
        for stream in [&mut stdout, &mut stderr] {
            let mut pieces = 0..PIPE_MAX / 8192;
            while stream.read()? {
                if pieces.next().is_none() {
                    stream.is_truncated = true;
                    break;
                }
            }
        }
        let is_truncated = stdout.is_truncated || stderr.is_truncated;
        Ok(Output { status: self.wait()?, stdout: stdout.bytes, stderr: stderr.bytes, is_truncated })
    }

    /// Returns true if the process is stopped, by a signal such as SIGSTOP or by a tracer. A
    /// stopped process handles no signal but SIGKILL.
    ///
    /// False for a process that has ended. After [`wait`](Self::wait) the result means nothing,
    /// because another process may have the pid.
    ///
    /// Errors: /proc/PID/stat cannot be read.
    pub fn is_halted(&self) -> Result<bool> {
        is_halted(self.running.pid)
    }

    /// Sends the process a signal (signal(7)). False if it has ended. Errors: EINVAL: there is no such
    /// signal; EPERM.
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
    pub fn oom_killed(&self, status: ExitStatus) -> Option<Warning> {
        let limit =
            self.about.watch.as_ref().filter(|_| status == ExitStatus::Signaled(libc::SIGKILL))?.limit()?;
        Some(Warning(format!("process {} was OOM-killed: {limit}", self.running.pid)))
    }

    #[cfg(feature = "tokio")]
    pub(super) fn about_mut(&mut self) -> &mut About {
        &mut self.about
    }

    /// Kills and reaps the process, whose handle is lost, and destroys the container whose first
    /// process it is.
    #[cfg(feature = "tokio")]
    pub(super) fn undo(self) {
        self.about.discard();
        self.running.end();
    }

    /// Returns the event of [`ContainerBuilder::cancel`](super::ContainerBuilder::cancel).
    pub(super) fn cancel(&self) -> Option<BorrowedFd<'_>> {
        self.about.cancel.as_ref().map(AsFd::as_fd)
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
