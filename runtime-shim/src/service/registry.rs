// SPDX-License-Identifier: Apache-2.0
//! The tasks of a shim by their ids, and the end of the shim.

use crate::socket;
use crate::status::{Code, Result, Status};
use crate::task::Task;
use runtime_sys::fd;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::rc::{Rc, Weak};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::task::spawn_local;

/// The time between two checks of a container that has ended and is not deleted.
const CHECK: Duration = Duration::from_secs(5);

/// The time between the end of the last task and that of a shim whose Shutdown came before.
const LAST_CALLS: Duration = Duration::from_secs(1);

/// The tasks by their ids, and the end of the shim, which comes when there are none.
pub(super) struct Registry {
    pub(super) tasks: RefCell<BTreeMap<String, Slot>>,
    socket: PathBuf,
    /// Shutdown was called while there were tasks.
    pub(super) end_wanted: Cell<bool>,
    /// The shim ends: the socket is removed, and nothing can be created.
    closing: Cell<bool>,
    closed: Notify,
}

pub(super) enum Slot {
    Creating(Rc<Creation>),
    Task(Rc<Task>),
}

/// A Create that has not finished.
pub(super) struct Creation {
    /// The writing end of the pipe that cancels the operation of the library.
    cancel: OwnedFd,
    cancelled: Cell<bool>,
    over: Cell<bool>,
    changed: Notify,
}

/// An id that is taken while its task is being created.
pub(super) struct Reserved {
    registry: Rc<Registry>,
    id: String,
    creation: Rc<Creation>,
}

impl Reserved {
    /// Waits until the creation is cancelled.
    pub(super) async fn cancelled(&self) {
        loop {
            let changed = self.creation.changed.notified();
            if self.creation.cancelled.get() {
                return;
            }
            changed.await;
        }
    }
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
    pub(super) fn new(socket: &Path) -> Rc<Self> {
        Rc::new(Registry {
            tasks: RefCell::default(),
            socket: socket.to_owned(),
            end_wanted: Cell::new(false),
            closing: Cell::new(false),
            closed: Notify::new(),
        })
    }

    /// Waits until the shim ends.
    pub(super) async fn closed(&self) {
        self.closed.notified().await;
    }

    pub(super) fn task(&self, id: &str) -> Option<Rc<Task>> {
        match self.tasks.borrow().get(id) {
            Some(Slot::Task(task)) => Some(Rc::clone(task)),
            _ => None,
        }
    }

    /// Ends the shim. `start` gets a new one from here on.
    pub(super) fn close(&self) {
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
    pub(super) fn task_is_gone(self: &Rc<Self>) {
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

    /// Takes an id for a new task. Returns the pipe whose data cancels the creation, too.
    pub(super) fn reserve(self: &Rc<Self>, id: &str) -> Result<(Reserved, OwnedFd)> {
        if self.closing.get() {
            return Err(Status::new(Code::FailedPrecondition, "the shim ends, after Shutdown"));
        }
        let mut tasks = self.tasks.borrow_mut();
        if tasks.contains_key(id) {
            return Err(Status::new(Code::AlreadyExists, format!("task {id}: already exists")));
        }
        let (event, cancel) = fd::pipe().map_err(|errno| Status::io(&errno.into(), "pipe2"))?;
        let creation = Rc::new(Creation {
            cancel,
            cancelled: Cell::new(false),
            over: Cell::new(false),
            changed: Notify::new(),
        });
        tasks.insert(id.to_owned(), Slot::Creating(Rc::clone(&creation)));
        // An earlier Shutdown was for the tasks before this one.
        self.end_wanted.set(false);
        Ok((Reserved { registry: Rc::clone(self), id: id.to_owned(), creation }, event))
    }

    /// Cancels the creation of a task, and waits for its end. Does nothing to a task that exists.
    pub(super) async fn end_creation(&self, id: &str) {
        let creation = match self.tasks.borrow().get(id) {
            Some(Slot::Creating(creation)) => Rc::clone(creation),
            _ => return,
        };
        // A second Delete writes once more, and the pipe takes it.
        runtime_sys::ignore(fd::write(&creation.cancel, &[0]));
        creation.cancelled.set(true);
        creation.changed.notify_waiters();
        loop {
            let changed = creation.changed.notified();
            if creation.over.get() {
                return;
            }
            changed.await;
        }
    }
}

/// Forgets a task whose container another program has deleted, and ends the shim after the last one.
/// A containerd that cannot reach a shim after its restart runs `delete`, and never calls Delete.
pub(super) async fn forget(task: &Weak<Task>, registry: &Registry) {
    loop {
        tokio::time::sleep(CHECK).await;
        // Delete ends the task, and its descriptors, while this sleeps.
        let Some(task) = task.upgrade() else { return };
        if !registry.task(&task.id).is_some_and(|known| Rc::ptr_eq(&known, &task)) {
            return;
        }
        if task.init.deleting.get() || !task.is_lost() {
            continue;
        }
        crate::log::warn(format_args!("{}: another program has deleted the container", task.id));
        task.close_streams();
        registry.tasks.borrow_mut().remove(&task.id);
        if registry.tasks.borrow().is_empty() {
            registry.close();
        }
        return;
    }
}
