// SPDX-License-Identifier: Apache-2.0
//! Standard streams, and other files of the container that the process gets as descriptors of its
//! own.
//!
//! No file that an image or a process in the container has chosen is opened unchecked. A file is
//! checked first (O_PATH), and then opened through a procfs that the image and the processes cannot
//! change. That procfs, and for exec the path to the container's root, are the host's. So exec
//! opens these files before it joins any namespace.

use super::devices::SHARED;
use super::lookup;
use super::places::{Places, View};
use crate::boundary::plan::{Plan, Process, Stream};
use crate::boundary::step::{Call, During, InStep, Step, StepFailure, StepResult};
use crate::path::proc::Proc;
use nix::sys::stat::fstat;
use runtime_sys::{Errno, fd};
use std::os::fd::{BorrowedFd, OwnedFd};

/// Replaces the streams and finds HOME for the init of a container, once it is in its root.
pub(super) fn take(process: &mut Process, view: &View<'_>) -> Result<(), StepFailure> {
    replace(process, view)?;
    find_home(process, view).step(Step::Home)
}

/// Replaces the streams and finds HOME for a later process, before it joins any namespace. The root
/// is that of the init, which is alive: otherwise it could not be joined.
pub(super) fn take_ahead(plan: &mut Plan) -> Result<(), StepFailure> {
    let Some(path) = &plan.root else { return Ok(()) };
    let process = &mut plan.process;
    let replaces = process.streams.iter().any(|stream| matches!(stream, Stream::Device(_)));
    if !replaces && process.home.is_none() {
        return Ok(());
    }
    let open = || -> StepResult<(OwnedFd, Proc)> {
        let proc = Proc::host().during(Call::Open)?;
        // The path is a link that leads out of procfs, like those of descriptors.
        let flags = libc::O_PATH | libc::O_DIRECTORY;
        Ok((fd::open_follow(&proc, path, flags, 0).during(Call::Open)?, proc))
    };
    let (root, proc) = open().step(Step::Stdio)?;
    let view = View { places: Places::below(&root), proc: &proc };
    replace(process, &view)?;
    find_home(process, &view).step(Step::Home)
}

/// Replaces standard streams that are the host's devices by the container's own devices: a program
/// that opens them again or changes them must not reach the host's. A missing device is an error,
/// because an image could lack it on purpose, to keep the host's.
fn replace(process: &mut Process, view: &View<'_>) -> Result<(), StepFailure> {
    for (n, stream) in process.streams.iter().enumerate() {
        let Stream::Device(index) = *stream else { continue };
        let Some(device) = SHARED.get(index) else { continue };
        // An earlier stream may already have the device open.
        let same = process.streams.iter().take(n).position(|other| other == stream);
        let opened = match same.and_then(|same| process.stdio.get(same)?.as_ref()) {
            Some(opened) => fd::duplicate(opened).during(Call::Dup),
            None => device.open(&view.places, view.proc),
        };
        if let Some(stream) = process.stdio.get_mut(n) {
            *stream = Some(opened.item(Step::Stdio, index)?);
        }
    }
    Ok(())
}

/// Fills in HOME if config.json does not set it.
fn find_home(process: &mut Process, view: &View<'_>) -> StepResult {
    if let Some(index) = process.home.take() {
        lookup::home(view, process.uid, |home| process.env.patch(index, b"HOME=".len(), home));
    }
    Ok(())
}

/// Makes the given descriptors the standard streams.
pub(super) fn set(process: &Process) -> StepResult {
    for (given, n) in process.stdio.iter().zip(0..) {
        if let Some(given) = given {
            fd::dup_onto(given, n).during(Call::Dup)?;
        }
    }
    Ok(())
}

/// Makes the user the owner of a standard stream. Otherwise the user could not open /dev/stdout
/// again. It is not an error if the file system does not allow the change, or has no owners.
pub(crate) fn own(stream: BorrowedFd<'_>, uid: u32) -> runtime_sys::Result<()> {
    let st = fstat(stream)?;
    if st.st_uid == uid || !is_handed_over(stream, &st) {
        return Ok(());
    }
    use Errno::{EACCES, EINVAL, ENOSYS, EOPNOTSUPP, EPERM, EROFS};
    match fd::chown_at(stream, c"", uid, u32::MAX, libc::AT_EMPTY_PATH) {
        Err(EACCES | EINVAL | ENOSYS | EOPNOTSUPP | EPERM | EROFS) => Ok(()),
        other => other,
    }
}

/// Returns true for a file that the caller has most likely made for this container: a pipe, a
/// terminal, a file to write to. A file that is only read may belong to anyone. Devices belong to
/// all of the host, also /dev/tty, which leads each process to its own terminal.
fn is_handed_over(stream: BorrowedFd<'_>, st: &libc::stat) -> bool {
    match st.st_mode & libc::S_IFMT {
        libc::S_IFIFO => true,
        libc::S_IFCHR => st.st_rdev != libc::makedev(5, 0) && nix::unistd::isatty(stream) == Ok(true),
        libc::S_IFREG => fd::access_mode(stream) != Ok(libc::O_RDONLY),
        _ => false,
    }
}
