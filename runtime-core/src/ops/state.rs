// SPDX-License-Identifier: Apache-2.0
//! state(1): what a container is, and where in its life.

use super::container::Container;
use crate::cgroup::Cgroup;
use crate::error::Result;
use crate::marks::{Mark, Traced};
use crate::spec::{OCI_VERSION, Status};
use crate::state::record::{Phase, Record};
use crate::state::store::Entry;
use serde::Serialize;
use std::collections::BTreeMap;

/// The state of a container (runtime.md, "State"), with runc's additions.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct State {
    /// The version of the specification that this complies with.
    pub oci_version: String,
    /// Its name.
    pub id: String,
    /// Its first process; 0 if that has ended.
    pub pid: i32,
    /// Where in its life it is.
    pub status: Status,
    /// Its bundle, an absolute path.
    pub bundle: String,
    /// Its root directory, an absolute path.
    pub rootfs: String,
    /// When it was made, RFC 3339.
    pub created: String,
    /// config.json's annotations.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// The user that owns its state, by name or `#uid`; empty except in lists.
    pub owner: String,
}

impl Container {
    /// The state of the container.
    pub fn state(&self) -> Result<State> {
        let entry = self.store.entry(&self.id)?;
        state(&entry, entry.record()?)
    }
}

/// The state that a record describes now.
pub(super) fn state(entry: &Entry, record: Record) -> Result<State> {
    let status = status(entry, &record)?;
    Ok(State {
        oci_version: OCI_VERSION.to_owned(),
        pid: if status == Status::Stopped { 0 } else { record.init.pid },
        status,
        id: record.id,
        bundle: record.bundle,
        rootfs: record.rootfs,
        created: record.created,
        annotations: record.annotations,
        owner: String::new(),
    })
}

/// Nothing of this is remembered: it is what the kernel says now.
pub(super) fn status(entry: &Entry, record: &Record) -> Result<Status> {
    if record.phase == Phase::Creating {
        return Ok(Status::Creating);
    }
    if !record.init.is_alive()? {
        return Ok(Status::Stopped);
    }
    if Cgroup::is_frozen(record.cgroup_path())? {
        return Ok(Status::Paused);
    }
    let fifo = entry.fifo().traced(Mark::Status)?;
    Ok(if fifo.is_some() { Status::Created } else { Status::Running })
}
