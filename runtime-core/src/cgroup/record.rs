// SPDX-License-Identifier: Apache-2.0
//! The cgroup's entry in a container's record.

use super::systemd::Manager;
use serde::{Deserialize, Serialize};

/// The driver that made the cgroup, and what is to be removed with it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "driver", rename_all = "lowercase")]
pub(crate) enum CgroupRecord {
    /// No cgroup of its own: the container is in the cgroup of its creator.
    None,
    Fs {
        /// The number of components at the end of the path that were made for the container.
        made: usize,
    },
    Systemd {
        manager: Manager,
        unit: String,
        /// The name of the cgroup in the scope that the processes are in; empty: the scope's own.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        leaf: String,
    },
}
