// SPDX-License-Identifier: Apache-2.0
//! Tasks: containers, and the processes in them. Every change is made by the one thread of the shim,
//! between two waits, so nothing here has a lock.

use crate::events::{Event, Publisher};
use crate::proto::common::{ProcessStatus, Timestamp};
use crate::proto::events::{TaskExit, TaskId};
use crate::proto::metrics::Metrics;
use crate::status::{Code, Result, Status};
use crate::stream::{Names, Streams};
use runtime_core::{
    Container, ErrorKind, Event as ContainerEvent, Events, ExitStatus, Process, RestoreBuilder, Terminal,
    spec,
};
use runtime_sys::fd;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

/// The end of a process.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Exit {
    pub(crate) status: u32,
    pub(crate) at: Timestamp,
}

impl Exit {
    fn now(status: Option<ExitStatus>) -> Self {
        /// The status of a process that cannot be waited for, as containerd sets it for one that is lost.
        const LOST: u32 = 255;
        let status = status.map_or(LOST, |status| status.code().try_into().unwrap_or(LOST));
        Exit { status, at: Timestamp::now() }
    }
}

/// The first process of a container, or one of an exec.
pub(crate) struct Member {
    /// The id of the exec; empty for the first process.
    pub(crate) id: String,
    pub(crate) names: Names,
    /// The program of an exec.
    pub(crate) program: Option<spec::Process>,
    pub(crate) process: RefCell<Option<Rc<Process>>>,
    pub(crate) streams: RefCell<Option<Streams>>,
    /// Rows and columns of the terminal, asked for before the end of Start.
    pub(crate) size: Cell<Option<(u16, u16)>>,
    /// CloseIO has come before the end of Start.
    pub(crate) stdin_closed: Cell<bool>,
    exit: Cell<Option<Exit>>,
    /// Start has begun.
    pub(crate) started: Cell<bool>,
    /// Delete has begun.
    pub(crate) deleting: Cell<bool>,
    changed: Notify,
}

impl Member {
    pub(crate) fn new(id: String, names: Names, program: Option<spec::Process>) -> Self {
        Member {
            id,
            names,
            program,
            process: RefCell::default(),
            streams: RefCell::default(),
            size: Cell::new(None),
            stdin_closed: Cell::new(false),
            exit: Cell::new(None),
            started: Cell::new(false),
            deleting: Cell::new(false),
            changed: Notify::new(),
        }
    }

    /// Connects the streams with the process, which has started. Closes them after an error.
    pub(crate) fn connect(&self, mut streams: Streams, terminal: Option<Terminal>) -> Result<()> {
        if let Err(error) = streams.connect(terminal, self.size.get()) {
            streams.close();
            return Err(error);
        }
        if self.stdin_closed.get() {
            streams.close_stdin();
        }
        *self.streams.borrow_mut() = Some(streams);
        Ok(())
    }

    pub(crate) fn pid(&self) -> u32 {
        self.process.borrow().as_ref().map_or(0, |process| process.pid().try_into().unwrap_or(0))
    }

    pub(crate) fn exit(&self) -> Option<Exit> {
        self.exit.get()
    }

    pub(crate) fn status(&self) -> ProcessStatus {
        if self.exit.get().is_some() {
            ProcessStatus::Stopped
        } else if self.started.get() && self.process.borrow().is_some() {
            ProcessStatus::Running
        } else {
            ProcessStatus::Created
        }
    }

    pub(crate) fn set_exit(&self, exit: Exit) {
        self.exit.set(Some(exit));
        self.changed.notify_waiters();
    }

    /// Marks a process that could not be started.
    pub(crate) fn fail(&self) {
        self.set_exit(Exit::now(None));
    }

    /// Waits until the process has ended.
    pub(crate) async fn ended(&self) -> Exit {
        loop {
            let changed = self.changed.notified();
            match self.exit.get() {
                Some(exit) => return exit,
                None => changed.await,
            }
        }
    }
}

/// The state of the task that reports OOM kills.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MemoryWatch {
    Runs,
    /// It has to look once more, and to end.
    Last,
    Ended,
}

/// The restore that Start makes of a task from a checkpoint.
pub(crate) struct Restore {
    pub(crate) builder: RestoreBuilder,
    pub(crate) streams: Streams,
}

/// A container with its processes.
pub(crate) struct Task {
    pub(crate) id: String,
    pub(crate) bundle: String,
    /// The program CRIU; empty for the one in PATH.
    pub(crate) criu: String,
    pub(crate) container: Container,
    pub(crate) init: Rc<Member>,
    pub(crate) execs: RefCell<BTreeMap<String, Rc<Member>>>,
    /// Until Start, if the task is from a checkpoint.
    pub(crate) restore: RefCell<Option<Restore>>,
    /// The writing end of the pipe that cancels the restore, until its end.
    pub(crate) restoring: RefCell<Option<OwnedFd>>,
    /// The restore was cancelled, maybe too late.
    pub(crate) cancelled: Cell<bool>,
    /// A checkpoint is being made.
    pub(crate) checkpointing: Cell<bool>,
    /// The writing end of the pipe that cancels it, until it is cancelled.
    pub(crate) checkpoint: RefCell<Option<OwnedFd>>,
    /// The owner and the group of pipes.
    pub(crate) stream_ids: (u32, u32),
    /// A security module confines the first process.
    pub(crate) confined: bool,
    pub(crate) pausing: Cell<bool>,
    /// Start of the first process is not yet finished: its exit comes after that.
    pub(crate) starting: Cell<bool>,
    /// The first process has ended.
    pub(crate) is_over: Cell<bool>,
    /// The number of execs that run or are being started.
    pub(crate) running_execs: Cell<usize>,
    pub(crate) memory: Cell<MemoryWatch>,
    /// The resource usage at the end.
    pub(crate) metrics: RefCell<Option<Metrics>>,
    pub(crate) changed: Notify,
}

impl Task {
    /// Returns the first process, or that of an exec.
    pub(crate) fn member(&self, exec_id: &str) -> Result<Rc<Member>> {
        if exec_id.is_empty() {
            return Ok(Rc::clone(&self.init));
        }
        let found = self.execs.borrow().get(exec_id).cloned();
        found.ok_or_else(|| {
            Status::new(Code::NotFound, format!("process does not exist {exec_id}: not found"))
        })
    }

    /// Returns the container if it is that of this task. Another program can give the id to a container of
    /// its own: before the Start of a restore, and after it has deleted this one.
    pub(crate) fn made(&self) -> Result<&Container> {
        let Some(process) = self.init.process.borrow().clone() else {
            let text = format!("task {}: its container has not been restored", self.id);
            return Err(Status::new(Code::FailedPrecondition, text));
        };
        match self.container.state() {
            // A container that has ended has the pid 0.
            Ok(state) if state.pid != 0 && state.pid != process.pid() => {
                let text = format!("task {}: another program has replaced its container", self.id);
                Err(Status::new(Code::NotFound, text))
            }
            _ => Ok(&self.container),
        }
    }

    /// Returns true if another program has deleted the container.
    pub(crate) fn is_lost(&self) -> bool {
        match self.made() {
            Ok(container) => container.state().is_err_and(|error| error.kind() == ErrorKind::NotFound),
            Err(error) => error.code == Code::NotFound,
        }
    }

    /// Cancels the restore that Start makes. Returns false if there is none.
    pub(crate) fn cancel_restore(&self) -> bool {
        let restoring = self.restoring.borrow();
        let Some(cancel) = restoring.as_ref().filter(|_| self.init.started.get()) else { return false };
        if !self.cancelled.replace(true) {
            runtime_sys::ignore(fd::write(cancel, &[0]));
        }
        true
    }

    /// Takes the task for a checkpoint. Returns the pipe whose end cancels it.
    pub(crate) fn begin_checkpoint(&self) -> Result<OwnedFd> {
        self.has_no_checkpoint()?;
        let (event, cancel) = fd::pipe().map_err(|errno| Status::io(&errno.into(), "pipe2"))?;
        *self.checkpoint.borrow_mut() = Some(cancel);
        self.checkpointing.set(true);
        Ok(event)
    }

    pub(crate) fn end_checkpoint(&self) {
        self.checkpointing.set(false);
        self.cancel_checkpoint();
        self.changed.notify_waiters();
    }

    /// Cancels the checkpoint, if there is one.
    pub(crate) fn cancel_checkpoint(&self) {
        self.checkpoint.borrow_mut().take();
    }

    /// Waits until there is no checkpoint.
    pub(crate) async fn checkpoint_ended(&self) {
        self.until(|task| !task.checkpointing.get()).await;
    }

    /// Fails while there is a checkpoint, which has the lock of the container.
    pub(crate) fn has_no_checkpoint(&self) -> Result<()> {
        if !self.checkpointing.get() {
            return Ok(());
        }
        Err(Status::new(Code::FailedPrecondition, format!("a checkpoint of task {} is being made", self.id)))
    }

    /// Closes the streams of all processes. Loggers have to be waited for.
    pub(crate) fn close_streams(&self) {
        if let Some(restore) = self.restore.borrow_mut().take() {
            restore.streams.close();
        }
        let execs = self.execs.borrow();
        for member in execs.values().chain([&self.init]) {
            if let Some(streams) = member.streams.borrow_mut().take() {
                streams.close();
            }
        }
    }

    /// Waits until the first process has ended. Processes of execs may still run.
    pub(crate) async fn over(&self) {
        self.until(|task| task.is_over.get()).await;
    }

    async fn until(&self, condition: impl Fn(&Self) -> bool) {
        loop {
            let changed = self.changed.notified();
            if condition(self) {
                return;
            }
            changed.await;
        }
    }

    /// Waits for the end of the first process. Its event comes after those of all other processes of
    /// the container.
    pub(crate) async fn watch_init(self: Rc<Self>, process: Rc<Process>, events: Rc<Publisher>) {
        let status = waited(&process).await;
        self.until(|task| !task.starting.get()).await;
        self.is_over.set(true);
        self.changed.notify_waiters();
        // Other processes can outlive the first if it had the pid namespace of others, and, in a
        // container that was paused, the child of an exec that is on its way in. This thaws it.
        if let Ok(container) = self.made()
            && let Err(error) = container.kill_async(libc::SIGKILL).await
            && !matches!(error.kind(), ErrorKind::NotRunning | ErrorKind::NotFound)
        {
            crate::log::warn(format_args!("killing what is left of {}: {error:#}", self.id));
        }
        self.until(|task| task.running_execs.get() == 0).await;
        if let Ok(container) = self.made().cloned()
            && let Ok(Ok(metrics)) = spawn_blocking(move || container.metrics()).await
        {
            *self.metrics.borrow_mut() = Some(metrics.into());
        }
        if self.memory.get() == MemoryWatch::Runs {
            self.memory.set(MemoryWatch::Last);
            self.changed.notify_waiters();
        }
        self.until(|task| task.memory.get() == MemoryWatch::Ended).await;
        self.report_exit(&self.init, status, &events);
    }

    /// Reports the OOM kills of the container, until it has no process.
    pub(crate) async fn watch_memory(self: Rc<Self>, mut kills: Events, events: Rc<Publisher>) {
        loop {
            let next = tokio::select! {
                biased;
                next = kills.next_async() => next,
                () = self.until(|task| task.memory.get() == MemoryWatch::Last) => {
                    // The kernel counts a kill before the process ends, and reports the file's change
                    // at any time.
                    timeout(Duration::ZERO, kills.next_async()).await.unwrap_or(Ok(None))
                }
            };
            match next {
                Ok(Some(ContainerEvent::OutOfMemory)) => {
                    events.send(&Event::OutOfMemory(TaskId { container_id: self.id.clone() }));
                }
                Ok(Some(_)) => {}
                Ok(None) => break,
                Err(error) => {
                    crate::log::warn(format_args!("watching the memory of {}: {error:#}", self.id));
                    break;
                }
            }
        }
        self.memory.set(MemoryWatch::Ended);
        self.changed.notify_waiters();
    }

    /// Waits for the end of a process of an exec.
    pub(crate) async fn watch_exec(
        self: Rc<Self>,
        member: Rc<Member>,
        process: Rc<Process>,
        events: Rc<Publisher>,
    ) {
        let status = waited(&process).await;
        self.report_exit(&member, status, &events);
        self.exec_ended();
    }

    pub(crate) fn exec_ended(&self) {
        self.running_execs.set(self.running_execs.get().saturating_sub(1));
        self.changed.notify_waiters();
    }

    fn report_exit(&self, member: &Member, status: Option<ExitStatus>, events: &Publisher) {
        let exit = Exit::now(status);
        let id = if member.id.is_empty() { self.id.clone() } else { member.id.clone() };
        events.send(&Event::Exit(TaskExit {
            container_id: self.id.clone(),
            id,
            pid: member.pid(),
            exit_status: exit.status,
            exited_at: Some(exit.at),
        }));
        member.set_exit(exit);
    }
}

async fn waited(process: &Process) -> Option<ExitStatus> {
    match process.wait_async().await {
        Ok(status) => Some(status),
        Err(error) => {
            crate::log::warn(format_args!("waiting for process {}: {error:#}", process.pid()));
            None
        }
    }
}
