// SPDX-License-Identifier: Apache-2.0
//! Create: the one call that makes a task.

use super::bundle::{is_confined, make_rootfs, manager_of, mount_of};
use super::checkpoint::work_dir;
use super::registry::Slot;
use super::tasks::Tasks;
use super::watch::undone;
use crate::events::Event;
use crate::options::Options;
use crate::proto::events::{TaskCreate, TaskIo};
use crate::proto::task::{CreateTaskRequest, CreateTaskResponse};
use crate::record;
use crate::status::{Code, Result, Status};
use crate::stream::{Names, Owner, Streams, Theirs};
use crate::task::{Member, MemoryWatch, Restore, Task};
use runtime_core::spec::Spec;
use runtime_core::{Container, ContainerBuilder, ContainerId, ErrorKind, Process, RestoreBuilder, Runtime};
use runtime_sys::fd;
use std::cell::{Cell, RefCell};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::rc::Rc;
use tokio::sync::Notify;

/// The builder of a new container, or of one from a checkpoint.
enum Builder {
    New(ContainerBuilder),
    Restored(RestoreBuilder),
}

impl Builder {
    fn loaded(&self) -> Option<&Spec> {
        match self {
            Builder::New(builder) => builder.loaded(),
            Builder::Restored(builder) => builder.loaded(),
        }
    }
}

impl Tasks {
    pub(super) async fn create(&self, mut request: CreateTaskRequest) -> Result<CreateTaskResponse> {
        let id = ContainerId::new(&request.id)?;
        let (reserved, cancel) = self.registry.reserve(&request.id)?;
        let options = Options::of(request.options.as_ref())?;
        // For runc's shim, containerd itself reads the option.
        if request.checkpoint.is_empty() {
            request.checkpoint.clone_from(&options.criu_image_path);
        }
        let names = Names {
            stdin: request.stdin.clone(),
            stdout: request.stdout.clone(),
            stderr: request.stderr.clone(),
            terminal: request.terminal,
        };
        let root = record::root(&options.root, &self.namespace);
        let bundle = Path::new(&request.bundle);
        let runtime = Runtime::new(root);
        let container = runtime.container(id.clone());
        let is_restore = !request.checkpoint.is_empty();
        if is_restore {
            is_free(&container)?;
            has_no_diff(Path::new(&request.checkpoint))?;
        }
        // For `delete`, in case that this shim is killed.
        record::write(bundle, &options.root)?;
        if !request.rootfs.is_empty() {
            make_rootfs(bundle)?;
        }
        let builder = if is_restore {
            let builder = runtime.restore(id, bundle, &request.checkpoint);
            Builder::Restored(restored(builder, &request, &options)?)
        } else {
            Builder::New(new(runtime.builder(id, bundle), &request, &options, cancel)?)
        };
        let program = builder.loaded().and_then(|spec| spec.process.as_ref());
        let confined = program.is_some_and(is_confined);
        let stream_ids = (options.io_uid, options.io_gid);
        let owner = Owner {
            id: request.id.clone(),
            namespace: self.namespace.clone(),
            ids: stream_ids,
            confined,
            is_exec: false,
        };
        let (streams, theirs) = Streams::open_unless(reserved.cancelled(), names.clone(), owner).await?;
        let member = Member::new(String::new(), names.clone(), None);
        let (mut restore, mut restoring, mut made) = (None, None, None);
        match builder {
            Builder::New(builder) => {
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
                if let Err(error) = member.connect(streams, process.terminal.take()) {
                    return Err(undone(error, &process).await);
                }
                let process = Rc::new(process);
                *member.process.borrow_mut() = Some(Rc::clone(&process));
                made = Some(process);
            }
            Builder::Restored(builder) => {
                let builder = if names.terminal {
                    builder.terminal()
                } else {
                    builder.stdin(theirs.stdin).stdout(theirs.stdout).stderr(theirs.stderr)
                };
                let (event, cancel) = fd::pipe().map_err(|errno| Status::io(&errno.into(), "pipe2"))?;
                restoring = Some(cancel);
                restore = Some(Restore { builder: builder.cancel(event), streams });
            }
        }
        let task = Rc::new(Task {
            id: request.id.clone(),
            bundle: request.bundle.clone(),
            criu: options.criu_path,
            container,
            init: Rc::new(member),
            execs: RefCell::default(),
            restore: RefCell::new(restore),
            restoring: RefCell::new(restoring),
            cancelled: Cell::new(false),
            checkpointing: Cell::new(false),
            checkpoint: RefCell::default(),
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
            checkpoint: request.checkpoint,
            pid,
        }));
        if let Some(process) = made {
            self.watch(&task, process);
        }
        Ok(CreateTaskResponse { pid })
    }
}

/// Fails if there is a container with this id. A task from a checkpoint takes the id only at Start.
fn is_free(container: &Container) -> Result<()> {
    match container.state() {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        _ => {
            let text = format!("container {}: already exists, and the shim did not make it", container.id());
            Err(Status::new(Code::AlreadyExists, text))
        }
    }
}

/// Refuses a checkpoint of the CRI with changes of the root file system. Between Create and Start, containerd
/// unpacks them into BUNDLE/rootfs, which here is not the root but an empty directory of the host.
fn has_no_diff(checkpoint: &Path) -> Result<()> {
    let Some(diff) = checkpoint.parent().map(|dir| dir.join("rootfs-diff.tar")) else { return Ok(()) };
    match diff.symlink_metadata() {
        // The restore reports what is wrong with the directory.
        Err(_) => Ok(()),
        Ok(_) => {
            let text = format!("{}: this shim restores no changes of the root file system", diff.display());
            Err(Status::new(Code::Unimplemented, text))
        }
    }
}

/// Reads the configuration of a new container, and applies the options.
fn new(
    builder: ContainerBuilder,
    request: &CreateTaskRequest,
    options: &Options,
    cancel: OwnedFd,
) -> Result<ContainerBuilder> {
    let builder = builder.parallel(true);
    let builder = if request.terminal { builder.terminal() } else { builder }.load()?;
    let manager = manager_of(builder.loaded(), options);
    let builder = builder
        .cgroup_manager(manager)
        .no_pivot(options.no_pivot_root)
        .no_new_keyring(options.no_new_keyring)
        .cancel(cancel);
    Ok(match request.rootfs.as_slice() {
        [] => builder,
        mounts => builder.rootfs_mounts(mounts.iter().map(mount_of)),
    })
}

/// Reads the configuration of a container from a checkpoint, and applies the options. The processes are
/// made by Start, as with runc's shim: until then, the caller prepares their network.
fn restored(
    builder: RestoreBuilder,
    request: &CreateTaskRequest,
    options: &Options,
) -> Result<RestoreBuilder> {
    let builder = builder.load()?;
    let manager = manager_of(builder.loaded(), options);
    let work = work_dir(&options.criu_work_path, &request.bundle);
    let mut builder = builder.cgroup_manager(manager).work_dir(work);
    if !options.criu_path.is_empty() {
        builder = builder.criu(&options.criu_path);
    }
    Ok(match request.rootfs.as_slice() {
        [] => builder,
        mounts => builder.rootfs_mounts(mounts.iter().map(mount_of)),
    })
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
