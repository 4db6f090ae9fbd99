// SPDX-License-Identifier: Apache-2.0
//! The handles: a state directory, and a container in it.

use crate::id::ContainerId;
use crate::state::store::Store;
use std::path::PathBuf;

/// Error text for a container that has no cgroup of its own.
pub(super) const NO_CGROUP: &str = "the container has no cgroup of its own";

/// A state directory, with the containers in it.
///
/// All methods can be called from any thread, and by several programs at once. None of them
/// changes the working directory, the signals or the namespaces of the calling process.
#[derive(Clone, Debug)]
pub struct Runtime {
    pub(super) store: Store,
}

impl Runtime {
    /// Makes a handle of the state directory `root`, which should be on a file system that does
    /// not survive a reboot, such as /run. The directory is made, with mode 0700, with the first
    /// container.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Runtime { store: Store::new(root.into()) }
    }

    /// Returns a handle of the container `id`, which need not exist.
    pub fn container(&self, id: ContainerId) -> Container {
        Container { store: self.store.clone(), id }
    }
}

/// A handle of a container.
#[derive(Clone, Debug)]
pub struct Container {
    pub(super) store: Store,
    pub(super) id: ContainerId,
}

impl Container {
    /// Returns the container's id.
    pub fn id(&self) -> &ContainerId {
        &self.id
    }
}
