// SPDX-License-Identifier: Apache-2.0
//! A place for notifications (sd_notify(3)): a directory of the container's state
//! that the container sees, read-only, at /run/notify, and a variable that says so.
//!
//! Only the directory is mounted, so the socket may be made after the container:
//! whoever calls `start` listens, which may be another process than the one that
//! called `create`.

use super::container::Container;
use crate::error::{Error, ErrorKind, Result};
use crate::id::ContainerId;
use crate::spec::{Mount, Spec};
use crate::state::store::{NOTIFY, Store};
use std::path::{Path, PathBuf};

/// Where the container sees the directory, and the socket in it.
const DIRECTORY: &str = "/run/notify";
const SOCKET: &str = "notify.sock";

impl Container {
    /// Where whoever starts the container listens for its notifications, if it was
    /// made with [`Create::notify`](super::Create::notify).
    pub fn notify_socket(&self) -> PathBuf {
        directory(&self.store, &self.id).join(SOCKET)
    }
}

fn directory(store: &Store, id: &ContainerId) -> PathBuf {
    store.path().join(id.as_str()).join(NOTIFY)
}

/// Adds mount and variable to a configuration.
pub(super) fn add(spec: &mut Spec, store: &Store, id: &ContainerId) -> Result<()> {
    let bad =
        |path: &Path, why: &str| Error::new(ErrorKind::InvalidConfig, format!("{}: {why}", path.display()));
    let directory = directory(store, id);
    // A relative source would begin at the bundle.
    let directory = std::path::absolute(&directory).map_err(|error| bad(&directory, &error.to_string()))?;
    let source = directory.to_str().ok_or_else(|| bad(&directory, "not UTF-8"))?;
    spec.mounts.push(Mount {
        destination: DIRECTORY.to_owned(),
        source: source.to_owned(),
        options: ["bind", "nosuid", "noexec", "nodev", "ro"].map(str::to_owned).to_vec(),
        ..Mount::default()
    });
    if let Some(process) = &mut spec.process {
        process.env.push(format!("NOTIFY_SOCKET={DIRECTORY}/{SOCKET}"));
    }
    Ok(())
}
