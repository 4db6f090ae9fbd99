// SPDX-License-Identifier: Apache-2.0
//! The first process of a container, once it exists.

use super::registry::forget;
use super::tasks::Tasks;
use crate::status::Status;
use crate::task::{MemoryWatch, Task};
use runtime_core::{DeleteOptions, ErrorKind, Process};
use std::rc::Rc;
use std::time::Duration;
use tokio::task::spawn_local;

impl Tasks {
    /// Reports the OOM kills of a container, and the end of its first process.
    pub(super) fn watch(&self, task: &Rc<Task>, process: Rc<Process>) {
        match task.container.events(Duration::MAX) {
            Ok(kills) => {
                task.memory.set(MemoryWatch::Runs);
                spawn_local(Rc::clone(task).watch_memory(kills, Rc::clone(&self.events)));
            }
            // A container without a cgroup of its own has no such events.
            Err(error) if error.kind() == ErrorKind::Unsupported => {}
            Err(error) => crate::log::warn(format_args!("watching the memory of {}: {error:#}", task.id)),
        }
        let events = Rc::clone(&self.events);
        let registry = Rc::clone(&self.registry);
        let task = Rc::clone(task);
        spawn_local(async move {
            let known = Rc::downgrade(&task);
            task.watch_init(process, events).await;
            forget(&known, &registry).await;
        });
    }
}

/// Deletes a container that cannot be used, and returns the error that says why.
pub(super) async fn undone(error: Status, process: &Process) -> Status {
    let deleted = process.container().delete_async(DeleteOptions::new().force(true)).await;
    runtime_sys::ignore(process.wait_async().await);
    match deleted {
        Ok(_) => error,
        Err(left) => Status::new(error.code, format!("{error}; deleting the container: {}", left.report())),
    }
}
