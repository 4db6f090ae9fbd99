// SPDX-License-Identifier: Apache-2.0
//! The task service: one method for each call of containerd.

use crate::events::{Event, Publisher};
use crate::options::Options;
use crate::proto::events::{
    TaskCreate, TaskDelete, TaskExecAdded, TaskExecStarted, TaskId, TaskIo, TaskStart,
};
use crate::proto::rpc::Request;
use crate::proto::task::{
    CloseIoRequest, ConnectResponse, CreateTaskRequest, CreateTaskResponse, DeleteResponse,
    ExecProcessRequest, KillRequest, PidsResponse, ProcessInfo, ProcessRequest, ResizePtyRequest,
    StartResponse, StateResponse, StatsResponse, TaskRequest, UpdateTaskRequest, WaitResponse,
};
use crate::proto::{Any, Empty, Mount, ProcessStatus, metrics, options};
use crate::record;
use crate::socket;
use crate::status::{Code, Result, Status};
use crate::stream::{Names, Owner, Streams, Theirs};
use crate::task::{Member, MemoryWatch, Task};
use crate::ttrpc::{Service, decode};
use prost::Message;
use runtime_core::spec::{self, Spec};
use runtime_core::{
    CgroupManager, ContainerBuilder, ContainerId, DeleteOptions, ErrorKind, Process, Runtime,
};
use runtime_sys::fd;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::task::{spawn_blocking, spawn_local};
use tokio::time::timeout;

/// The time for the first process to end after its container was deleted.
const END: Duration = Duration::from_secs(10);

/// The time between two checks of a container that has ended and is not deleted.
const CHECK: Duration = Duration::from_secs(5);

/// The time between the end of the last task and that of a shim whose Shutdown came before.
const LAST_CALLS: Duration = Duration::from_secs(1);

/// The containers of a shim.
pub(crate) struct Tasks {
    namespace: String,
    registry: Rc<Registry>,
    events: Rc<Publisher>,
}

/// The tasks by their ids, and the end of the shim, which comes when there are none.
struct Registry {
    tasks: RefCell<BTreeMap<String, Slot>>,
    socket: PathBuf,
    /// Shutdown was called while there were tasks.
    end_wanted: Cell<bool>,
    /// The shim ends: the socket is removed, and nothing can be created.
    closing: Cell<bool>,
    closed: Notify,
}

enum Slot {
    Creating(Rc<Creation>),
    Task(Rc<Task>),
}

/// A Create that has not finished.
struct Creation {
    /// The writing end of the pipe that cancels the operation of the library.
    cancel: OwnedFd,
    over: Cell<bool>,
    changed: Notify,
}

/// An id that is taken while its task is being created.
struct Reserved {
    registry: Rc<Registry>,
    id: String,
    creation: Rc<Creation>,
}

impl Drop for Reserved {
    fn drop(&mut self) {
        let mut tasks = self.registry.tasks.borrow_mut();
        if let Some(Slot::Creating(_)) = tasks.get(&self.id) {
            tasks.remove(&self.id);
        }
        drop(tasks);
        self.creation.over.set(true);
        self.creation.changed.notify_waiters();
        self.registry.task_is_gone();
    }
}

impl Registry {
    fn task(&self, id: &str) -> Option<Rc<Task>> {
        match self.tasks.borrow().get(id) {
            Some(Slot::Task(task)) => Some(Rc::clone(task)),
            _ => None,
        }
    }

    /// Ends the shim. `start` gets a new one from here on.
    fn close(&self) {
        if self.closing.replace(true) {
            return;
        }
        if let Err(error) = socket::remove_file(&self.socket) {
            crate::log::warn(format_args!("{error}"));
        }
        self.closed.notify_one();
    }

    /// Ends the shim a little later if a Shutdown came too early and no task is left. containerd does
    /// not repeat it if the task was being created. It may still make calls after the last Delete.
    fn task_is_gone(self: &Rc<Self>) {
        if !self.end_wanted.get() || !self.tasks.borrow().is_empty() {
            return;
        }
        let registry = Rc::clone(self);
        spawn_local(async move {
            tokio::time::sleep(LAST_CALLS).await;
            if registry.end_wanted.get() && registry.tasks.borrow().is_empty() {
                registry.close();
            }
        });
    }
}

impl Service for Tasks {
    async fn call(&self, request: &Request) -> Result<Vec<u8>> {
        match request.service.as_str() {
            // The two versions differ in calls that stream, of which there are none yet.
            "containerd.task.v2.Task" | "containerd.task.v3.Task" => {}
            other => return Err(Status::new(Code::Unimplemented, format!("service {other}"))),
        }
        let message = request.payload.as_slice();
        match request.method.as_str() {
            "State" => self.state(decode(message)?).map(|it| it.encode_to_vec()),
            "Create" => self.create(decode(message)?).await.map(|it| it.encode_to_vec()),
            "Start" => self.start(decode(message)?).await.map(|it| it.encode_to_vec()),
            "Delete" => self.delete(decode(message)?).await.map(|it| it.encode_to_vec()),
            "Pids" => self.pids(&decode(message)?).map(|it| it.encode_to_vec()),
            "Pause" => self.pause(&decode(message)?).await.map(|it| it.encode_to_vec()),
            "Resume" => self.resume(&decode(message)?).await.map(|it| it.encode_to_vec()),
            "Checkpoint" => Err(Status::new(
                Code::Unimplemented,
                "checkpoint: this shim cannot yet; runtime-cli under io.containerd.runc.v2 can",
            )),
            "Kill" => self.kill(&decode(message)?).await.map(|it| it.encode_to_vec()),
            "Exec" => self.exec(decode(message)?).map(|it| it.encode_to_vec()),
            "ResizePty" => self.resize_pty(&decode(message)?).map(|it| it.encode_to_vec()),
            "CloseIO" => self.close_io(&decode(message)?).map(|it| it.encode_to_vec()),
            "Update" => self.update(decode(message)?).await.map(|it| it.encode_to_vec()),
            "Wait" => self.wait(&decode(message)?).await.map(|it| it.encode_to_vec()),
            "Stats" => self.stats(&decode(message)?).await.map(|it| it.encode_to_vec()),
            "Connect" => Ok(self.connect(&decode(message)?).encode_to_vec()),
            "Shutdown" => Ok(self.shut_down().encode_to_vec()),
            other => Err(Status::new(Code::Unimplemented, format!("method {other}"))),
        }
    }

    fn only_waits(&self, request: &Request) -> bool {
        request.method == "Wait"
    }
}

impl Tasks {
    /// Makes the service of the shim that listens on the socket at `socket`.
    pub(crate) fn new(namespace: &str, socket: &Path, events: Rc<Publisher>) -> Self {
        let registry = Registry {
            tasks: RefCell::default(),
            socket: socket.to_owned(),
            end_wanted: Cell::new(false),
            closing: Cell::new(false),
            closed: Notify::new(),
        };
        Tasks { namespace: namespace.to_owned(), registry: Rc::new(registry), events }
    }

    /// Waits until containerd wants the shim to end, and there is no task.
    pub(crate) async fn until_shutdown(&self) {
        self.registry.closed.notified().await;
    }

    fn task(&self, id: &str) -> Result<Rc<Task>> {
        self.registry.task(id).ok_or_else(|| Status::new(Code::NotFound, "container not created"))
    }

    fn member(&self, id: &str, exec_id: &str) -> Result<(Rc<Task>, Rc<Member>)> {
        let task = self.task(id)?;
        let member = task.member(exec_id)?;
        Ok((task, member))
    }

    async fn create(&self, request: CreateTaskRequest) -> Result<CreateTaskResponse> {
        if !request.checkpoint.is_empty() {
            let text =
                "create from a checkpoint: this shim cannot yet; runtime-cli under io.containerd.runc.v2 can";
            return Err(Status::new(Code::Unimplemented, text));
        }
        let id = ContainerId::new(&request.id)?;
        let (reserved, cancel) = self.reserve(&request.id)?;
        let options = Options::of(request.options.as_ref())?;
        let names = Names {
            stdin: request.stdin.clone(),
            stdout: request.stdout.clone(),
            stderr: request.stderr.clone(),
            terminal: request.terminal,
        };
        let root = record::root(&options.root, &self.namespace);
        let bundle = Path::new(&request.bundle);
        // For `delete`, in case that this shim is killed.
        record::write(bundle, &options.root)?;
        let builder = Runtime::new(root).builder(id, bundle).parallel(true);
        let builder = if names.terminal { builder.terminal() } else { builder }.load()?;
        let manager = manager_of(builder.loaded(), &options);
        let program = builder.loaded().and_then(|spec| spec.process.as_ref());
        let confined = program.is_some_and(is_confined);
        let mut builder = builder
            .cgroup_manager(manager)
            .no_pivot(options.no_pivot_root)
            .no_new_keyring(options.no_new_keyring)
            .cancel(cancel);
        if !request.rootfs.is_empty() {
            make_rootfs(bundle)?;
            builder = builder.rootfs_mounts(request.rootfs.iter().map(mount_of));
        }
        let owner = Owner {
            id: &request.id,
            namespace: &self.namespace,
            ids: (options.io_uid, options.io_gid),
            confined,
        };
        let (mut streams, theirs) = Streams::open(&names, &owner).await?;
        let mut process = match make(builder, names.terminal, theirs).await {
            Ok(process) => process,
            Err(error) => {
                streams.close();
                return Err(error);
            }
        };
        for warning in process.warnings() {
            crate::log::warn(format_args!("{}: {warning}", request.id));
        }
        if let Err(error) = streams.connect(process.terminal.take(), None) {
            streams.close();
            return Err(undone(error, process).await);
        }
        let container = process.container().clone();
        let member = Member::new(String::new(), names, None);
        let process = Rc::new(process);
        *member.process.borrow_mut() = Some(Rc::clone(&process));
        *member.streams.borrow_mut() = Some(streams);
        let task = Rc::new(Task {
            id: request.id.clone(),
            bundle: request.bundle.clone(),
            container,
            init: Rc::new(member),
            execs: RefCell::default(),
            stream_ids: owner.ids,
            confined,
            pausing: Cell::new(false),
            starting: Cell::new(false),
            is_over: Cell::new(false),
            running_execs: Cell::new(0),
            memory: Cell::new(MemoryWatch::Ended),
            metrics: RefCell::default(),
            changed: Notify::new(),
        });
        let pid = task.init.pid();
        self.registry.tasks.borrow_mut().insert(request.id.clone(), Slot::Task(Rc::clone(&task)));
        drop(reserved);
        self.events.send(&Event::Create(TaskCreate {
            container_id: request.id.clone(),
            bundle: request.bundle,
            rootfs: request.rootfs,
            io: Some(TaskIo {
                stdin: request.stdin,
                stdout: request.stdout,
                stderr: request.stderr,
                terminal: request.terminal,
            }),
            pid,
        }));
        match task.container.events(Duration::MAX) {
            Ok(kills) => {
                task.memory.set(MemoryWatch::Runs);
                spawn_local(Rc::clone(&task).watch_memory(kills, Rc::clone(&self.events)));
            }
            // A container without a cgroup of its own has no such events.
            Err(error) if error.kind() == ErrorKind::Unsupported => {}
            Err(error) => crate::log::warn(format_args!("watching the memory of {}: {error:#}", task.id)),
        }
        let events = Rc::clone(&self.events);
        let registry = Rc::clone(&self.registry);
        spawn_local(async move {
            Rc::clone(&task).watch_init(process, events).await;
            forget(&task, &registry).await;
        });
        Ok(CreateTaskResponse { pid })
    }

    /// Takes an id for a new task. Returns the pipe whose data cancels the creation, too.
    fn reserve(&self, id: &str) -> Result<(Reserved, OwnedFd)> {
        if self.registry.closing.get() {
            return Err(Status::new(Code::FailedPrecondition, "the shim ends, after Shutdown"));
        }
        let mut tasks = self.registry.tasks.borrow_mut();
        if tasks.contains_key(id) {
            return Err(Status::new(Code::AlreadyExists, format!("task {id}: already exists")));
        }
        let (event, cancel) = fd::pipe().map_err(|errno| Status::io(&errno.into(), "pipe2"))?;
        let creation = Rc::new(Creation { cancel, over: Cell::new(false), changed: Notify::new() });
        tasks.insert(id.to_owned(), Slot::Creating(Rc::clone(&creation)));
        // An earlier Shutdown was for the tasks before this one.
        self.registry.end_wanted.set(false);
        Ok((Reserved { registry: Rc::clone(&self.registry), id: id.to_owned(), creation }, event))
    }

    /// Cancels the creation of a task, and waits for its end. Does nothing to a task that exists.
    async fn end_creation(&self, id: &str) {
        let creation = match self.registry.tasks.borrow().get(id) {
            Some(Slot::Creating(creation)) => Rc::clone(creation),
            _ => return,
        };
        // A second Delete writes once more, and the pipe takes it.
        runtime_sys::ignore(fd::write(&creation.cancel, &[0]));
        loop {
            let changed = creation.changed.notified();
            if creation.over.get() {
                return;
            }
            changed.await;
        }
    }

    async fn start(&self, request: ProcessRequest) -> Result<StartResponse> {
        let (task, member) = self.member(&request.id, &request.exec_id)?;
        if member.exit().is_some() || member.started.replace(true) {
            let text = format!("cannot start {}: it has been started already", named(&request));
            return Err(Status::new(Code::FailedPrecondition, text));
        }
        let pid = match &member.program {
            None => self.start_init(&task).await?,
            Some(program) => self.start_exec(&task, &member, program.clone()).await?,
        };
        Ok(StartResponse { pid })
    }

    async fn start_init(&self, task: &Rc<Task>) -> Result<u32> {
        task.starting.set(true);
        let started = task.container.start_async().await;
        let pid = task.init.pid();
        if started.is_ok() {
            self.events.send(&Event::Start(TaskStart { container_id: task.id.clone(), pid }));
        }
        task.starting.set(false);
        task.changed.notify_waiters();
        match started {
            Ok(()) => Ok(pid),
            Err(error) => {
                // The container waits still, or has stopped, which its exit tells.
                task.init.started.set(false);
                Err(Status::from(error).within("OCI runtime start failed"))
            }
        }
    }

    async fn start_exec(&self, task: &Rc<Task>, member: &Rc<Member>, program: spec::Process) -> Result<u32> {
        if task.is_over.get() {
            member.fail();
            let text = format!("container {} init process is not running", task.id);
            return Err(Status::new(Code::FailedPrecondition, text));
        }
        task.running_execs.set(task.running_execs.get() + 1);
        let started = self.spawn(task, member, program).await;
        match started {
            Ok(process) => {
                let process = Rc::new(process);
                *member.process.borrow_mut() = Some(Rc::clone(&process));
                let pid = member.pid();
                self.events.send(&Event::ExecStarted(TaskExecStarted {
                    container_id: task.id.clone(),
                    exec_id: member.id.clone(),
                    pid,
                }));
                spawn_local(Rc::clone(task).watch_exec(Rc::clone(member), process, Rc::clone(&self.events)));
                Ok(pid)
            }
            Err(error) => {
                member.fail();
                task.exec_ended();
                Err(error.within("OCI runtime exec failed"))
            }
        }
    }

    async fn spawn(&self, task: &Task, member: &Member, program: spec::Process) -> Result<Process> {
        let owner = Owner {
            id: &member.id,
            namespace: &self.namespace,
            ids: task.stream_ids,
            confined: task.confined || is_confined(&program),
        };
        let (mut streams, theirs) = Streams::open(&member.names, &owner).await?;
        let exec = task.container.exec(program);
        let exec = if member.names.terminal {
            exec.terminal()
        } else {
            exec.stdin(theirs.stdin).stdout(theirs.stdout).stderr(theirs.stderr)
        };
        let mut process = match exec.spawn_async().await {
            Ok(process) => process,
            Err(error) => {
                streams.close();
                return Err(error.into());
            }
        };
        if let Err(error) = streams.connect(process.terminal.take(), member.size.get()) {
            streams.close();
            runtime_sys::ignore(process.signal(libc::SIGKILL));
            runtime_sys::ignore(process.wait_async().await);
            return Err(error);
        }
        *member.streams.borrow_mut() = Some(streams);
        Ok(process)
    }

    async fn delete(&self, request: ProcessRequest) -> Result<DeleteResponse> {
        if request.exec_id.is_empty() {
            // containerd deletes a task whose creation has taken too long.
            self.end_creation(&request.id).await;
        }
        let (task, member) = self.member(&request.id, &request.exec_id)?;
        let is_init = request.exec_id.is_empty();
        match member.status() {
            ProcessStatus::Stopped => {}
            // A container that waits for start is deleted with its process. An exec has none yet.
            ProcessStatus::Created if !member.started.get() => {}
            _ => {
                let text = format!("cannot delete a running process: {}", named(&request));
                return Err(Status::new(Code::FailedPrecondition, text));
            }
        }
        if member.deleting.replace(true) {
            let text = format!("{} is being deleted", named(&request));
            return Err(Status::new(Code::FailedPrecondition, text));
        }
        let streams = member.streams.borrow_mut().take();
        if let Some(mut streams) = streams {
            if member.exit().is_some() {
                streams.drain().await;
            }
            streams.close();
        }
        if is_init {
            match task.container.delete_async(DeleteOptions::new()).await {
                Ok(warnings) => {
                    for warning in warnings {
                        crate::log::warn(format_args!("{}: {warning}", task.id));
                    }
                }
                // Another program has deleted it.
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => {
                    member.deleting.set(false);
                    return Err(Status::from(error).within("failed to delete task"));
                }
            }
            if timeout(END, member.ended()).await.is_err() {
                member.deleting.set(false);
                let text = format!("{}: deleted, but its process has not ended after {END:?}", task.id);
                return Err(Status::new(Code::DeadlineExceeded, text));
            }
            // Of execs that were not deleted: their loggers have to be waited for.
            for exec in task.execs.borrow().values() {
                if let Some(streams) = exec.streams.borrow_mut().take() {
                    streams.close();
                }
            }
        }
        let pid = member.pid();
        let (exit_status, exited_at) = member.exit().map_or((0, None), |exit| (exit.status, Some(exit.at)));
        if is_init {
            self.registry.tasks.borrow_mut().remove(&request.id);
            self.registry.task_is_gone();
            let container_id = request.id;
            self.events.send(&Event::Delete(TaskDelete { container_id, pid, exit_status, exited_at }));
        } else {
            task.execs.borrow_mut().remove(&request.exec_id);
        }
        Ok(DeleteResponse { pid, exit_status, exited_at })
    }

    fn exec(&self, request: ExecProcessRequest) -> Result<Empty> {
        let task = self.task(&request.id)?;
        if request.exec_id.is_empty() {
            return Err(Status::new(Code::InvalidArgument, "exec_id is empty"));
        }
        if task.execs.borrow().contains_key(&request.exec_id) {
            return Err(Status::new(Code::AlreadyExists, format!("id {}: already exists", request.exec_id)));
        }
        let program = spec::Process::from_json(&request.spec.unwrap_or_default().value)?;
        let program = spec::Process { terminal: request.terminal, ..program };
        let names = Names {
            stdin: request.stdin,
            stdout: request.stdout,
            stderr: request.stderr,
            terminal: request.terminal,
        };
        let member = Rc::new(Member::new(request.exec_id.clone(), names, Some(program)));
        task.execs.borrow_mut().insert(request.exec_id.clone(), member);
        self.events
            .send(&Event::ExecAdded(TaskExecAdded { container_id: request.id, exec_id: request.exec_id }));
        Ok(Empty {})
    }

    fn state(&self, request: ProcessRequest) -> Result<StateResponse> {
        let (task, member) = self.member(&request.id, &request.exec_id)?;
        let mut status = member.status();
        if status == ProcessStatus::Running {
            if task.pausing.get() {
                status = ProcessStatus::Pausing;
            } else if let Ok(state) = task.container.state()
                && state.status == spec::Status::Paused
            {
                // Other programs, too, can pause a container.
                status = ProcessStatus::Paused;
            }
        }
        let exit = member.exit();
        let names = &member.names;
        Ok(StateResponse {
            id: if request.exec_id.is_empty() { request.id } else { request.exec_id.clone() },
            bundle: task.bundle.clone(),
            pid: member.pid(),
            status: status as i32,
            stdin: names.stdin.clone(),
            stdout: names.stdout.clone(),
            stderr: names.stderr.clone(),
            terminal: names.terminal,
            exit_status: exit.map_or(0, |exit| exit.status),
            exited_at: exit.map(|exit| exit.at),
            exec_id: request.exec_id,
        })
    }

    async fn pause(&self, request: &TaskRequest) -> Result<Empty> {
        let task = self.task(&request.id)?;
        task.pausing.set(true);
        let paused = task.container.pause_async().await;
        task.pausing.set(false);
        paused?;
        self.events.send(&Event::Paused(TaskId { container_id: request.id.clone() }));
        Ok(Empty {})
    }

    async fn resume(&self, request: &TaskRequest) -> Result<Empty> {
        let task = self.task(&request.id)?;
        task.container.resume_async().await?;
        self.events.send(&Event::Resumed(TaskId { container_id: request.id.clone() }));
        Ok(Empty {})
    }

    async fn kill(&self, request: &KillRequest) -> Result<Empty> {
        let (task, member) = self.member(&request.id, &request.exec_id)?;
        let signal = i32::try_from(request.signal)
            .map_err(|_too_large| Status::new(Code::InvalidArgument, format!("signal {}", request.signal)))?;
        let finished = || Status::new(Code::NotFound, "process already finished");
        if request.exec_id.is_empty() {
            // As in runc, `all` only changes that a container that has stopped is no error: SIGKILL
            // always ends every process.
            return match task.container.kill_async(signal).await {
                Ok(()) => Ok(Empty {}),
                Err(error) if !matches!(error.kind(), ErrorKind::NotRunning | ErrorKind::NotFound) => {
                    Err(error.into())
                }
                Err(_) if request.all => Ok(Empty {}),
                Err(_) => Err(finished()),
            };
        }
        if member.exit().is_some() {
            return Err(finished());
        }
        let process = member.process.borrow().clone();
        let process = process.ok_or_else(|| Status::new(Code::FailedPrecondition, "process not created"))?;
        if process.signal(signal)? { Ok(Empty {}) } else { Err(finished()) }
    }

    fn pids(&self, request: &TaskRequest) -> Result<PidsResponse> {
        let task = self.task(&request.id)?;
        let execs = task.execs.borrow();
        let info = |pid: u32| {
            let exec = execs.values().find(|member| member.pid() == pid && member.exit().is_none())?;
            let details = options::ProcessDetails { exec_id: exec.id.clone() };
            Some(Any::of("containerd.runc.v1.ProcessDetails", &details))
        };
        let pids = match task.container.pids() {
            // Without a cgroup of its own.
            Err(error) if error.kind() == ErrorKind::Unsupported => {
                vec![task.init.pid().try_into().unwrap_or(0)]
            }
            other => other?,
        };
        let pids = pids.into_iter().filter_map(|pid| u32::try_from(pid).ok());
        Ok(PidsResponse { processes: pids.map(|pid| ProcessInfo { pid, info: info(pid) }).collect() })
    }

    fn resize_pty(&self, request: &ResizePtyRequest) -> Result<Empty> {
        let (_, member) = self.member(&request.id, &request.exec_id)?;
        let number = |size: u32| {
            size.try_into()
                .map_err(|_too_large| Status::new(Code::InvalidArgument, format!("a size of {size}")))
        };
        let size = (number(request.height)?, number(request.width)?);
        if !member.names.terminal {
            return Err(Status::new(Code::FailedPrecondition, "the process has no terminal"));
        }
        match member.streams.borrow().as_ref() {
            Some(streams) => streams.resize(size)?,
            // For an exec that is not started yet.
            None => member.size.set(Some(size)),
        }
        Ok(Empty {})
    }

    fn close_io(&self, request: &CloseIoRequest) -> Result<Empty> {
        let (_, member) = self.member(&request.id, &request.exec_id)?;
        if request.stdin
            && let Some(streams) = member.streams.borrow_mut().as_mut()
        {
            streams.close_stdin();
        }
        Ok(Empty {})
    }

    async fn update(&self, request: UpdateTaskRequest) -> Result<Empty> {
        let task = self.task(&request.id)?;
        let resources: spec::Resources = serde_json::from_slice(&request.resources.unwrap_or_default().value)
            .map_err(|error| Status::new(Code::InvalidArgument, format!("resources: {error}")))?;
        for warning in task.container.update_async(&resources).await? {
            crate::log::warn(format_args!("{}: {warning}", request.id));
        }
        Ok(Empty {})
    }

    async fn wait(&self, request: &ProcessRequest) -> Result<WaitResponse> {
        let (_, member) = self.member(&request.id, &request.exec_id)?;
        let exit = member.ended().await;
        Ok(WaitResponse { exit_status: exit.status, exited_at: Some(exit.at) })
    }

    async fn stats(&self, request: &TaskRequest) -> Result<StatsResponse> {
        let task = self.task(&request.id)?;
        let container = task.container.clone();
        // The kernel may have to add up the numbers of many cgroups.
        let read = spawn_blocking(move || container.metrics()).await.map_err(lost)?;
        let metrics = match read {
            Ok(metrics) => metrics::Metrics::from(metrics),
            Err(error) if error.kind() == ErrorKind::NotRunning => {
                // systemd removes the cgroup of a scope as soon as it is empty.
                let last = task.metrics.borrow().clone();
                last.ok_or_else(|| Status::new(Code::NotFound, error.report()))?
            }
            Err(error) => return Err(error.into()),
        };
        Ok(StatsResponse { stats: Some(Any::of("io.containerd.cgroups.v2.Metrics", &metrics)) })
    }

    fn connect(&self, request: &TaskRequest) -> ConnectResponse {
        let task_pid = self.task(&request.id).map_or(0, |task| task.init.pid());
        ConnectResponse { shim_pid: std::process::id(), task_pid, version: String::new() }
    }

    fn shut_down(&self) -> Empty {
        if self.registry.tasks.borrow().is_empty() {
            self.registry.close();
        } else {
            self.registry.end_wanted.set(true);
        }
        Empty {}
    }
}

/// Forgets a task whose container another program has deleted, and ends the shim after the last one.
/// A containerd that cannot reach a shim after its restart runs `delete`, and never calls Delete.
async fn forget(task: &Rc<Task>, registry: &Registry) {
    loop {
        tokio::time::sleep(CHECK).await;
        if !registry.task(&task.id).is_some_and(|known| Rc::ptr_eq(&known, task)) {
            return;
        }
        let state = task.container.state();
        if task.init.deleting.get() || !state.is_err_and(|error| error.kind() == ErrorKind::NotFound) {
            continue;
        }
        crate::log::warn(format_args!("{}: another program has deleted the container", task.id));
        if let Some(streams) = task.init.streams.borrow_mut().take() {
            streams.close();
        }
        registry.tasks.borrow_mut().remove(&task.id);
        if registry.tasks.borrow().is_empty() {
            registry.close();
        }
        return;
    }
}

/// Makes the container, whose program waits for Start.
async fn make(builder: ContainerBuilder, terminal: bool, theirs: Theirs) -> Result<Process> {
    let builder = if terminal {
        builder
    } else {
        builder.stdin(theirs.stdin).stdout(theirs.stdout).stderr(theirs.stderr)
    };
    builder.create_async().await.map_err(|error| Status::from(error).within("OCI runtime create failed"))
}

/// Deletes a container that cannot be used, and returns the error that says why.
async fn undone(error: Status, process: Process) -> Status {
    let deleted = process.container().delete_async(DeleteOptions::new().force(true)).await;
    runtime_sys::ignore(process.wait_async().await);
    match deleted {
        Ok(_) => error,
        Err(left) => Status::new(error.code, format!("{error}; deleting the container: {}", left.report())),
    }
}

/// Returns who makes the cgroup.
fn manager_of(spec: Option<&Spec>, options: &Options) -> CgroupManager {
    let linux = spec.and_then(|spec| spec.linux.as_ref());
    // The CRI tells systemd's form of the path to every runtime, and the option to runc's shim only.
    let by_path = linux.is_some_and(|linux| {
        !linux.cgroups_path.starts_with('/') && linux.cgroups_path.matches(':').count() == 2
    });
    if options.systemd_cgroup || by_path { CgroupManager::Systemd } else { CgroupManager::Fs }
}

/// Returns true if a security module may refuse the process a fifo of the host: AppArmor decides by the
/// path, SELinux by the label of the file.
fn is_confined(program: &spec::Process) -> bool {
    !matches!(program.apparmor_profile.as_str(), "" | "unconfined") || !program.selinux_label.is_empty()
}

/// Makes the directory on which the library mounts the root file system.
fn make_rootfs(bundle: &Path) -> Result<()> {
    let path = bundle.join("rootfs");
    let made = std::os::unix::fs::DirBuilderExt::mode(&mut std::fs::DirBuilder::new(), 0o711).create(&path);
    match made {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
            Err(Status::io(&error, format_args!("mkdir {}", path.display())))
        }
        _ => Ok(()),
    }
}

fn mount_of(mount: &Mount) -> spec::Mount {
    spec::Mount {
        destination: mount.target.clone(),
        kind: mount.kind.clone(),
        source: mount.source.clone(),
        options: mount.options.clone(),
        ..spec::Mount::default()
    }
}

fn named(request: &ProcessRequest) -> &str {
    if request.exec_id.is_empty() { &request.id } else { &request.exec_id }
}

/// Makes the error of a call that has panicked, in a build that goes on then.
fn lost(error: tokio::task::JoinError) -> Status {
    Status::new(Code::Unknown, error.to_string())
}
