// SPDX-License-Identifier: Apache-2.0
//! `delete`: removes what a dead shim has left.

use crate::args::Args;
use crate::proto::common::Timestamp;
use crate::proto::task::DeleteResponse;
use crate::status::{Code, Result, Status};
use crate::{record, socket, start};
use prost::Message;
use runtime_core::{ContainerId, DeleteOptions, Runtime};
use std::io::Write;
use std::path::{Path, PathBuf};

/// Deletes the container with its processes, and returns the answer for containerd. A failure of the
/// container's deletion is an error: containerd keeps the bundle, and the deletion can be repeated.
pub(crate) fn delete(args: &Args) -> Result<Vec<u8>> {
    let bundle = bundle(args)?;
    let root = record::root(&record::read(&bundle)?, &args.namespace);
    let container = Runtime::new(root).container(ContainerId::new(&args.id)?);
    // The pid is for the event of containerd only. There may be no record.
    let pid = container.state().map_or(0, |state| state.pid.try_into().unwrap_or(0));
    for warning in container.delete(DeleteOptions::new().force(true))? {
        // containerd writes standard error into its log.
        runtime_sys::ignore(writeln!(std::io::stderr(), "{warning}"));
    }
    // containerd may have named another directory of sockets to `start`, and names none here.
    let address = record::read_address(&bundle)?;
    if let Some(path) = address.strip_prefix("unix://") {
        socket::remove_dead(Path::new(path))?;
    } else if let Ok(group) = start::group(&bundle, &args.id) {
        socket::remove_dead(&socket::path(socket::DIRECTORY, &args.address, &args.namespace, &group))?;
    }
    const KILLED: u32 = 128 + 9;
    Ok(DeleteResponse { pid, exit_status: KILLED, exited_at: Some(Timestamp::now()) }.encode_to_vec())
}

/// Returns the bundle of the container. containerd may call this in the bundle of another container of
/// the pod.
fn bundle(args: &Args) -> Result<PathBuf> {
    if !args.bundle.is_empty() {
        return Ok(PathBuf::from(&args.bundle));
    }
    let current = std::env::current_dir().map_err(|error| Status::io(&error, "getcwd"))?;
    let parent = current.parent().unwrap_or(Path::new("/"));
    match ContainerId::new(&args.id) {
        Ok(_) => Ok(parent.join(&args.id)),
        Err(error) => Err(Status::new(Code::InvalidArgument, error.report())),
    }
}
