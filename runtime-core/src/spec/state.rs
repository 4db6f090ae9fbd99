// SPDX-License-Identifier: Apache-2.0
//! The state of a container, as hooks and seccomp agents get it (runtime.md, "State").

use super::absent::is_zero;
use serde::Serialize;
use std::collections::BTreeMap;

/// The version of the specification that this library implements.
pub const OCI_VERSION: &str = "1.3.0";

/// Where in its life a container is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// It is being made.
    Creating,
    /// It is made; its program waits for `start`.
    Created,
    /// Its program runs.
    Running,
    /// Its cgroup is frozen.
    Paused,
    /// Its program has ended.
    Stopped,
}

impl Status {
    /// The word that config and command line use.
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

/// The document on a hook's standard input.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StateDocument<'a> {
    /// The version of the specification that the document complies with.
    pub oci_version: &'a str,
    /// The container.
    pub id: &'a str,
    /// Where in its life it is.
    pub status: Status,
    /// Its first process, as the reader sees it; 0 (left out) if it has none.
    #[serde(skip_serializing_if = "is_zero")]
    pub pid: i32,
    /// The bundle, an absolute path.
    pub bundle: &'a str,
    /// config.json's annotations.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: &'a BTreeMap<String, String>,
}

/// What a seccomp agent gets together with the listener (config-linux.md,
/// "The Container Process State").
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ContainerProcessState<'a> {
    /// The version of the specification that the document complies with.
    pub oci_version: &'a str,
    /// What the descriptors are that came with it.
    pub fds: &'a [&'a str],
    /// The process that loaded the filter, as the runtime sees it.
    pub pid: i32,
    /// config.json's `listenerMetadata`.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub metadata: &'a str,
    /// The container.
    pub state: StateDocument<'a>,
}
