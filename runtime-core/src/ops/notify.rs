// SPDX-License-Identifier: Apache-2.0
//! The notification socket (sd_notify(3)): a directory of the container's state is mounted
//! read-only at /run/notify in the container, and NOTIFY_SOCKET is set.
//!
//! Only the directory is mounted, so the socket may be made after the container. The caller of
//! `start` listens on it, and may be another process than the caller of `create`.

use super::container::Container;
use crate::error::{Error, ErrorKind, Result};
use crate::id::ContainerId;
use crate::spec::{Mount, Spec};
use crate::state::entry::NOTIFY;
use crate::state::store::Store;
use std::path::{Path, PathBuf};

/// The directory's path in the container.
const DIRECTORY: &str = "/run/notify";
const SOCKET: &str = "notify.sock";

impl Container {
    /// Returns the path at which the caller of [`start`](Self::start) listens for the container's
    /// notifications. Only for a container made with [`ContainerBuilder::notify`](super::ContainerBuilder::notify).
    pub fn notify_socket(&self) -> PathBuf {
        directory(&self.store, &self.id).join(SOCKET)
    }
}

fn directory(store: &Store, id: &ContainerId) -> PathBuf {
    store.path().join(id.as_str()).join(NOTIFY)
}

/// Returns the source of the mount.
pub(super) fn source(store: &Store, id: &ContainerId) -> Result<String> {
    let bad =
        |path: &Path, why: &str| Error::new(ErrorKind::InvalidConfig, format!("{}: {why}", path.display()));
    let directory = directory(store, id);
    // A relative source would be relative to the bundle.
    let absolute = std::path::absolute(&directory).map_err(|error| bad(&directory, &error.to_string()))?;
    absolute.into_os_string().into_string().map_err(|_not_text| bad(&directory, "not UTF-8"))
}

/// Adds the mount and the variable to a configuration.
pub(super) fn add(spec: &mut Spec, store: &Store, id: &ContainerId) -> Result<()> {
    spec.mounts.push(Mount {
        destination: DIRECTORY.to_owned(),
        source: source(store, id)?,
        options: ["bind", "nosuid", "noexec", "nodev", "ro"].map(str::to_owned).to_vec(),
        ..Mount::default()
    });
    if let Some(process) = &mut spec.process {
        process.env.push(format!("NOTIFY_SOCKET={DIRECTORY}/{SOCKET}"));
    }
    Ok(())
}
