// SPDX-License-Identifier: Apache-2.0
//! Create: the one call that makes a task.

use super::bundle::{is_confined, make_rootfs, manager_of, mount_of};
use super::registry::{Slot, forget};
use super::tasks::Tasks;
use crate::events::Event;
use crate::options::Options;
use crate::proto::events::{TaskCreate, TaskIo};
use crate::proto::task::{CreateTaskRequest, CreateTaskResponse};
use crate::record;
use crate::status::{Code, Result, Status};
use crate::stream::{Names, Owner, Streams, Theirs};
use crate::task::{Member, MemoryWatch, Task};
use runtime_core::{ContainerBuilder, ContainerId, DeleteOptions, ErrorKind, Process, Runtime};
use std::cell::{Cell, RefCell};
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::task::spawn_local;

impl Tasks {
    pub(super) async fn create(&self, request: CreateTaskRequest) -> Result<CreateTaskResponse> {
        if !request.checkpoint.is_empty() {
            let text =
                "create from a checkpoint: this shim cannot yet; runtime-cli under io.containerd.runc.v2 can";
            return Err(Status::new(Code::Unimplemented, text));
        }
        let id = ContainerId::new(&request.id)?;
        let (reserved, cancel) = self.registry.reserve(&request.id)?;
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
        let stream_ids = (options.io_uid, options.io_gid);
        let owner = Owner {
            id: request.id.clone(),
            namespace: self.namespace.clone(),
            ids: stream_ids,
            confined,
            is_exec: false,
        };
        let (mut streams, theirs) = Streams::open_unless(reserved.cancelled(), names.clone(), owner).await?;
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
            stream_ids,
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
            let known = Rc::downgrade(&task);
            task.watch_init(process, events).await;
            forget(&known, &registry).await;
        });
        Ok(CreateTaskResponse { pid })
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
