// SPDX-License-Identifier: Apache-2.0
//! The task service: one method for each call of containerd.

mod bundle;
mod checkpoint;
mod create;
mod registry;
mod tasks;
mod watch;

use crate::events::Event;
use crate::proto::common::{Any, Empty, ProcessStatus};
use crate::proto::events::{TaskDelete, TaskExecAdded, TaskExecStarted, TaskId, TaskStart};
use crate::proto::rpc::Request;
use crate::proto::task::{
    CloseIoRequest, ConnectResponse, DeleteResponse, ExecProcessRequest, KillRequest, PidsResponse,
    ProcessInfo, ProcessRequest, ResizePtyRequest, StartResponse, StateResponse, StatsResponse, TaskRequest,
    UpdateTaskRequest, WaitResponse,
};
use crate::proto::{metrics, options};
use crate::status::{Code, Result, Status};
use crate::stream::{Names, Owner, Streams};
use crate::task::{Member, Task};
use crate::ttrpc::{Service, decode};
use bundle::is_confined;
use prost::Message;
use runtime_core::{DeleteOptions, ErrorKind, Process, spec};
use std::rc::Rc;
use std::time::Duration;
pub(crate) use tasks::Tasks;
use tokio::task::{spawn_blocking, spawn_local};
use tokio::time::timeout;

/// The time for the first process to end after its container was deleted.
const END: Duration = Duration::from_secs(10);

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
            "Checkpoint" => {
                self.checkpoint(decode(message)?, request.limit()).await.map(|it| it.encode_to_vec())
            }
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
    async fn start(&self, request: ProcessRequest) -> Result<StartResponse> {
        let (task, member) = self.member(&request.id, &request.exec_id)?;
        if member.deleting.get() || task.init.deleting.get() {
            return Err(being_deleted(&request));
        }
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
        let restore = task.restore.borrow_mut().take();
        let is_restore = restore.is_some();
        let started = match restore {
            Some(restore) => self.restore(task, restore).await,
            None => {
                let started = async { Ok(task.made()?.start_async().await?) }.await;
                started.map_err(|error: Status| error.within("OCI runtime start failed"))
            }
        };
        let pid = task.init.pid();
        if started.is_ok() {
            self.events.send(&Event::Start(TaskStart { container_id: task.id.clone(), pid }));
        }
        task.starting.set(false);
        task.changed.notify_waiters();
        match started {
            Ok(()) => Ok(pid),
            Err(error) if is_restore => {
                task.init.fail();
                Err(error)
            }
            Err(error) => {
                // The container waits still, or has stopped, which its exit tells.
                task.init.started.set(false);
                Err(error)
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
            id: member.id.clone(),
            namespace: self.namespace.clone(),
            ids: task.stream_ids,
            confined: task.confined || is_confined(&program),
            is_exec: true,
        };
        let container = task.made()?;
        // The exit of the container waits for this Start.
        let (streams, theirs) = Streams::open_unless(task.over(), member.names.clone(), owner).await?;
        let exec = container.exec(program);
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
        if let Err(error) = member.connect(streams, process.terminal.take()) {
            runtime_sys::ignore(process.signal(libc::SIGKILL));
            runtime_sys::ignore(process.wait_async().await);
            return Err(error);
        }
        Ok(process)
    }

    async fn delete(&self, request: ProcessRequest) -> Result<DeleteResponse> {
        if request.exec_id.is_empty() {
            // containerd deletes a task whose creation has taken too long.
            self.registry.end_creation(&request.id).await;
        }
        let (task, member) = self.member(&request.id, &request.exec_id)?;
        let is_init = request.exec_id.is_empty();
        // Nor does containerd wait for the Start of a restore whose creation it gives up.
        if is_init && task.cancel_restore() {
            member.ended().await;
        }
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
            return Err(being_deleted(&request));
        }
        // A container that waits for start keeps them until it is deleted, which can fail.
        let streams = if member.exit().is_some() { member.streams.borrow_mut().take() } else { None };
        if let Some(mut streams) = streams {
            streams.drain().await;
            streams.close();
        }
        if is_init {
            // CRIU can wait for ever for a process that was killed.
            task.cancel_checkpoint();
            task.checkpoint_ended().await;
        }
        // A task from a checkpoint has no process before Start, and no container either.
        if is_init && let Ok(container) = task.made() {
            match container.delete_async(DeleteOptions::new()).await {
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
        }
        if is_init {
            // Of execs that were not deleted, too.
            task.close_streams();
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
        let container = task.made()?;
        task.has_no_checkpoint()?;
        task.pausing.set(true);
        let paused = container.pause_async().await;
        task.pausing.set(false);
        paused?;
        self.events.send(&Event::Paused(TaskId { container_id: request.id.clone() }));
        Ok(Empty {})
    }

    async fn resume(&self, request: &TaskRequest) -> Result<Empty> {
        let task = self.task(&request.id)?;
        task.has_no_checkpoint()?;
        task.made()?.resume_async().await?;
        self.events.send(&Event::Resumed(TaskId { container_id: request.id.clone() }));
        Ok(Empty {})
    }

    async fn kill(&self, request: &KillRequest) -> Result<Empty> {
        let (task, member) = self.member(&request.id, &request.exec_id)?;
        let signal = i32::try_from(request.signal)
            .map_err(|_too_large| Status::new(Code::InvalidArgument, format!("signal {}", request.signal)))?;
        let finished = || Status::new(Code::NotFound, "process already finished");
        // The processes that CRIU has made are not yet those of a container.
        if request.exec_id.is_empty() && signal == libc::SIGKILL && task.cancel_restore() {
            return Ok(Empty {});
        }
        if request.exec_id.is_empty() {
            // As in runc, `all` only changes that a container that has stopped is no error: SIGKILL
            // always ends every process.
            if signal == libc::SIGKILL {
                task.cancel_checkpoint();
            }
            let killed = match task.made() {
                Ok(container) => container.kill_async(signal).await,
                Err(_) if request.all => return Ok(Empty {}),
                Err(_) => return Err(finished()),
            };
            return match killed {
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
        let pids = match task.made()?.pids() {
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
        if !request.stdin {
            return Ok(Empty {});
        }
        if let Some(streams) = member.streams.borrow_mut().as_mut() {
            streams.close_stdin();
        } else {
            // For a process that is not started yet.
            member.stdin_closed.set(true);
        }
        Ok(Empty {})
    }

    async fn update(&self, request: UpdateTaskRequest) -> Result<Empty> {
        let task = self.task(&request.id)?;
        task.has_no_checkpoint()?;
        let resources: spec::Resources = serde_json::from_slice(&request.resources.unwrap_or_default().value)
            .map_err(|error| Status::new(Code::InvalidArgument, format!("resources: {error}")))?;
        for warning in task.made()?.update_async(&resources).await? {
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
        let container = task.made()?.clone();
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

fn named(request: &ProcessRequest) -> &str {
    if request.exec_id.is_empty() { &request.id } else { &request.exec_id }
}

fn being_deleted(request: &ProcessRequest) -> Status {
    Status::new(Code::FailedPrecondition, format!("{} is being deleted", named(request)))
}

/// Makes the error of a call that has panicked, in a build that goes on then.
fn lost(error: tokio::task::JoinError) -> Status {
    Status::new(Code::Unknown, error.to_string())
}
