// SPDX-License-Identifier: Apache-2.0
//! The state of the service, which all calls share.

use super::registry::Registry;
use crate::events::Publisher;
use crate::status::{Code, Result, Status};
use crate::task::{Member, Task};
use std::path::Path;
use std::rc::Rc;

/// The containers of a shim.
pub(crate) struct Tasks {
    pub(super) namespace: String,
    pub(super) registry: Rc<Registry>,
    pub(super) events: Rc<Publisher>,
}

impl Tasks {
    /// Makes the service of the shim that listens on the socket at `socket`.
    pub(crate) fn new(namespace: &str, socket: &Path, events: Rc<Publisher>) -> Self {
        Tasks { namespace: namespace.to_owned(), registry: Registry::new(socket), events }
    }

    /// Waits until containerd wants the shim to end, and there is no task.
    pub(crate) async fn until_shutdown(&self) {
        self.registry.closed().await;
    }

    pub(super) fn task(&self, id: &str) -> Result<Rc<Task>> {
        self.registry.task(id).ok_or_else(|| Status::new(Code::NotFound, "container not created"))
    }

    pub(super) fn member(&self, id: &str, exec_id: &str) -> Result<(Rc<Task>, Rc<Member>)> {
        let task = self.task(id)?;
        let member = task.member(exec_id)?;
        Ok((task, member))
    }
}
