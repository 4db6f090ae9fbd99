// SPDX-License-Identifier: Apache-2.0
//! Checkpoint, and the Start of a task that was created from one.

use super::tasks::Tasks;
use super::watch::undone;
use crate::events::Event;
use crate::options::of_checkpoint;
use crate::proto::common::Empty;
use crate::proto::events::TaskCheckpointed;
use crate::proto::task::CheckpointTaskRequest;
use crate::status::{Code, Result, Status};
use crate::task::{Restore, Task};
use runtime_core::ManageCgroups;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;
use tokio::time::timeout;

impl Tasks {
    /// Makes a checkpoint. When `limit` is over, it is cancelled, and the container goes on.
    pub(super) async fn checkpoint(
        &self,
        request: CheckpointTaskRequest,
        limit: Option<Duration>,
    ) -> Result<Empty> {
        let task = self.task(&request.id)?;
        let options = of_checkpoint(request.options.as_ref(), &request.path)?;
        // The content of network namespaces is left out in any case.
        if let Some(other) = options.empty_namespaces.iter().find(|name| *name != "network") {
            let text = format!("empty_namespaces: namespace {other:?} is not supported");
            return Err(Status::new(Code::Unimplemented, text));
        }
        let work = work_dir(&options.work_path, &task.bundle);
        let mut builder = task.made()?.checkpoint(&request.path).work_dir(work);
        if !task.criu.is_empty() {
            builder = builder.criu(&task.criu);
        }
        if !options.parent_path.is_empty() {
            builder = builder.parent(&options.parent_path);
        }
        let builder = builder
            .leave_running(!options.exit)
            .tcp_established(options.open_tcp)
            .external_unix_sockets(options.external_unix_sockets)
            .shell_job(options.terminal)
            .file_locks(options.file_locks)
            .manage_cgroups(manage_cgroups(&options.cgroups_mode)?);
        let mut dump = pin!(builder.cancel(task.begin_checkpoint()?).dump_async());
        let dumped = match timeout(limit.unwrap_or(Duration::MAX), &mut dump).await {
            Ok(dumped) => dumped,
            Err(_elapsed) => {
                task.cancel_checkpoint();
                dump.await
            }
        };
        task.end_checkpoint();
        dumped.map_err(|error| Status::from(error).within("OCI runtime checkpoint failed"))?;
        self.events.send(&Event::Checkpointed(TaskCheckpointed {
            container_id: request.id,
            checkpoint: request.path,
        }));
        Ok(Empty {})
    }

    /// Restores the container of a task that was created from a checkpoint.
    pub(super) async fn restore(&self, task: &Rc<Task>, restore: Restore) -> Result<()> {
        let Restore { builder, streams } = restore;
        let restored = builder.restore_async().await;
        task.restoring.borrow_mut().take();
        let mut process = match restored {
            Ok(process) => process,
            Err(error) => {
                streams.close();
                return Err(Status::from(error).within("OCI runtime restore failed"));
            }
        };
        for warning in process.warnings() {
            crate::log::warn(format_args!("{}: {warning}", task.id));
        }
        let terminal = process.terminal.take();
        let process = Rc::new(process);
        *task.init.process.borrow_mut() = Some(Rc::clone(&process));
        if let Err(error) = task.init.connect(streams, terminal) {
            return Err(undone(error, &process).await);
        }
        self.watch(task, process);
        // The restore was over when it was cancelled.
        if task.cancelled.get()
            && let Err(error) = task.container.kill_async(libc::SIGKILL).await
        {
            crate::log::warn(format_args!("killing {} after its restore: {error:#}", task.id));
        }
        Ok(())
    }
}

/// Returns the directory for the files that CRIU does not need for a restore, such as its log: that of the
/// caller, or otherwise one in the bundle, which ends with that.
pub(super) fn work_dir(given: &str, bundle: &str) -> PathBuf {
    if given.is_empty() { Path::new(bundle).join("criu-work") } else { PathBuf::from(given) }
}

fn manage_cgroups(mode: &str) -> Result<ManageCgroups> {
    match mode {
        "" => Ok(ManageCgroups::Default),
        "ignore" => Ok(ManageCgroups::Ignore),
        "soft" => Ok(ManageCgroups::Soft),
        "full" => Ok(ManageCgroups::Full),
        "strict" => Ok(ManageCgroups::Strict),
        other => Err(Status::new(Code::InvalidArgument, format!("cgroups_mode: unknown value {other:?}"))),
    }
}
