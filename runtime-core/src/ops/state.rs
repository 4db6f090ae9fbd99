// SPDX-License-Identifier: Apache-2.0
//! state(1): the state of a container.

use super::container::Container;
use crate::cgroup::Cgroup;
use crate::error::Result;
use crate::marks::{Mark, Traced};
use crate::spec::{OCI_VERSION, Status};
use crate::state::entry::StateEntry;
use crate::state::record::{Phase, Record};
use serde::Serialize;
use std::collections::BTreeMap;
use std::os::fd::OwnedFd;

/// The state of a container (runtime.md, "State"), with runc's additions.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct State {
    /// The version of the specification that this state complies with.
    pub oci_version: String,
    /// The container's id.
    pub id: String,
    /// The pid of the container's first process in the caller's pid namespace; 0 if it has ended.
    pub pid: i32,
    /// The container's status.
    pub status: Status,
    /// The absolute path of the bundle.
    pub bundle: String,
    /// The absolute path of the root directory.
    pub rootfs: String,
    /// The time of creation, RFC 3339.
    pub created: String,
    /// The annotations of config.json.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// The user that owns the container's state, by name or `#uid`. Empty except in lists.
    pub owner: String,
}

impl Container {
    /// Returns the state of the container, as it is now.
    ///
    /// Errors: [`ErrorKind::NotFound`](crate::ErrorKind::NotFound),
    /// [`ErrorKind::BadRecord`](crate::ErrorKind::BadRecord).
    pub fn state(&self) -> Result<State> {
        let entry = self.store.entry(&self.id)?;
        state(&entry, entry.record()?)
    }

    /// Returns a pidfd of the container's first process, `None` if it has ended. The pidfd is
    /// readable when the process ends (pidfd_open(2)), also for a caller that is not its parent.
    ///
    /// Errors: [`ErrorKind::NotFound`](crate::ErrorKind::NotFound).
    pub fn pidfd(&self) -> Result<Option<OwnedFd>> {
        self.store.entry(&self.id)?.record()?.init.open()
    }
}

/// Returns the present state of the container that a record describes.
pub(super) fn state(entry: &StateEntry, record: Record) -> Result<State> {
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

/// Returns the present status. Only the phase of creation is in the record; the rest is read
/// from the kernel.
pub(super) fn status(entry: &StateEntry, record: &Record) -> Result<Status> {
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
