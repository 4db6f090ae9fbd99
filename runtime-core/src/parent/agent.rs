// SPDX-License-Identifier: Apache-2.0
//! The handover of a filter's listener to the agent that answers for the filter (config-linux.md,
//! "Seccomp", `listenerPath`).

use super::peer::Peer;
use crate::error::{Context, Error, ErrorKind, Result};
use crate::marks::{Mark, Traced};
use crate::spec::state::{ContainerProcessState, OCI_VERSION, StateDocument};
use crate::watch::Watch;
use seccomp::Listener;
use std::os::fd::OwnedFd;
use std::path::Path;

/// The name of the descriptor that is sent.
const LISTENER: &str = "seccompFd";

/// Sends the listener of process `pid` to the agent: one connection, one document, closed
/// afterwards. Fails at an event of `watch`.
pub(crate) fn hand_over(
    agent: &Listener,
    listener: OwnedFd,
    pid: i32,
    state: StateDocument<'_>,
    watch: Watch<'_>,
) -> Result<()> {
    let document = ContainerProcessState {
        oci_version: OCI_VERSION,
        fds: &[LISTENER],
        pid,
        metadata: agent.metadata.as_deref().unwrap_or_default(),
        state,
    };
    let json = serde_json::to_vec(&document).map_err(|error| {
        Error::new(ErrorKind::Setup, format!("writing the container process state: {error}"))
    })?;
    let path = &agent.path;
    let peer = Peer::connect(Path::new(path), watch)
        .context(|| "failed to connect with seccomp agent (linux.seccomp.listenerPath)")?;
    peer.send(&json, &listener)
        .context(|| format!("cannot send the seccomp listener to the agent at {path}"))
        .traced(Mark::SeccompAgent)
}
