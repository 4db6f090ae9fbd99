// SPDX-License-Identifier: Apache-2.0
//! What can be done to containers: one verb in each file.

mod bundle;
mod container_hooks;
mod create;
mod delete;
mod events;
mod exec;
mod features;
mod host_mount;
mod inherited;
mod kill;
mod list;
mod notify;
mod options;
mod pause;
mod process;
mod ps;
mod start;
mod state;
mod target;
mod transaction;
mod update;

pub use create::Create;
pub use events::{Event, Events};
pub use exec::Exec;
pub use features::features;
pub use list::Listed;
pub use options::check_preserved_fds;
pub use process::{Created, Held, Process};
pub use state::State;

use crate::id::ContainerId;
use crate::state::store::Store;
use std::path::PathBuf;

/// Of a container without the rights to make one.
const NO_CGROUP: &str = "the container has no cgroup of its own";

/// A directory with the state of containers, and with that the containers in it.
///
/// Everything can be done from any thread, and from several programs at once.
/// Nothing here changes the calling process: not its working directory, not its
/// signals, not its namespaces.
#[derive(Clone, Debug)]
pub struct Runtime {
    store: Store,
}

impl Runtime {
    /// Containers whose state is in the directory `root`. It should be on a file
    /// system that does not survive a reboot, such as /run. It is made, with
    /// mode 0700, when the first container is.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Runtime { store: Store::new(root.into()) }
    }

    /// The container `id`, which may exist or not.
    pub fn container(&self, id: ContainerId) -> Container {
        Container { store: self.store.clone(), id }
    }
}

/// One container, by name.
#[derive(Clone, Debug)]
pub struct Container {
    store: Store,
    id: ContainerId,
}

impl Container {
    /// Its name.
    pub fn id(&self) -> &ContainerId {
        &self.id
    }
}
