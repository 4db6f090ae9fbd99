// SPDX-License-Identifier: Apache-2.0
//! The state of a container that hooks and seccomp agents receive (runtime.md, "State").

use super::absent::is_zero;
use serde::Serialize;
use std::collections::BTreeMap;

/// The version of the specification that this library implements.
pub const OCI_VERSION: &str = "1.3.0";

/// The status of a container in its life cycle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// The container is being created.
    Creating,
    /// The container was created; its program waits for `start`.
    Created,
    /// The container's program runs.
    Running,
    /// The container's cgroup is frozen.
    Paused,
    /// The container's program has ended.
    Stopped,
}

impl Status {
    /// Returns the word that the specification and the command line use.
    pub fn as_str(self) -> &'static str {
        match self {
            Status::Creating => "creating",
            Status::Created => "created",
            Status::Running => "running",
            Status::Paused => "paused",
            Status::Stopped => "stopped",
        }
    }
}

impl std::fmt::Display for Status {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The state document that a hook reads from its standard input.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StateDocument<'a> {
    /// The version of the specification that the document complies with.
    pub oci_version: &'a str,
    /// The container's id.
    pub id: &'a str,
    /// The container's status.
    pub status: Status,
    /// The pid of the container's init in the reader's pid namespace; 0, which is left out, if
    /// there is none.
    #[serde(skip_serializing_if = "is_zero")]
    pub pid: i32,
    /// The absolute path of the bundle.
    pub bundle: &'a str,
    /// The annotations of config.json.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: &'a BTreeMap<String, String>,
}

/// The document that a seccomp agent receives together with the listener (config-linux.md,
/// "The Container Process State").
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ContainerProcessState<'a> {
    /// The version of the specification that the document complies with.
    pub oci_version: &'a str,
    /// The names of the descriptors that are sent with the document, in their order.
    pub fds: &'a [&'a str],
    /// The pid of the process that loaded the filter, in the runtime's pid namespace.
    pub pid: i32,
    /// The `listenerMetadata` of config.json.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub metadata: &'a str,
    /// The container's state.
    pub state: StateDocument<'a>,
}
