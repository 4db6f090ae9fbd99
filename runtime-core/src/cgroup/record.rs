// SPDX-License-Identifier: Apache-2.0
//! What a container's record says of its cgroup.

use super::systemd::Manager;
use serde::{Deserialize, Serialize};

/// Which driver made the cgroup, and what there is to remove.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "driver", rename_all = "lowercase")]
pub(crate) enum CgroupRecord {
    /// There is none: the container is where its creator was.
    None,
    Fs {
        /// How many components at the end of the path the container made.
        made: usize,
    },
    Systemd {
        manager: Manager,
        unit: String,
        /// The name of the cgroup in the scope's that the processes are in, if it is not that.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        leaf: String,
    },
}
