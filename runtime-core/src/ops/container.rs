// SPDX-License-Identifier: Apache-2.0
//! The handles: a directory with containers, and one container by name.

use crate::id::ContainerId;
use crate::state::store::Store;
use std::path::PathBuf;

/// Error text for a container that has no cgroup of its own.
pub(super) const NO_CGROUP: &str = "the container has no cgroup of its own";

/// A directory with the state of containers, and with that the containers in it.
///
/// Everything can be done from any thread, and from several programs at once.
/// Nothing here changes the calling process: not its working directory, not its
/// signals, not its namespaces.
#[derive(Clone, Debug)]
pub struct Runtime {
    pub(super) store: Store,
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
    pub(super) store: Store,
    pub(super) id: ContainerId,
}

impl Container {
    /// Its name.
    pub fn id(&self) -> &ContainerId {
        &self.id
    }
}
