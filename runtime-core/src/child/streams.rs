// SPDX-License-Identifier: Apache-2.0
//! Standard streams, and what else of the container's files the process gets by a
//! descriptor of its own.
//!
//! Nothing here opens what an image or a process in the container chose: a file is looked
//! at first (O_PATH), and what was looked at is opened, through a procfs that they
//! have no hand in. That procfs, and for exec the way to the container's root, are the
//! host's, so exec opens these files before it joins any namespace.

use super::devices::SHARED;
use super::lookup;
use super::places::{Places, View};
use crate::boundary::plan::{Plan, Process};
use crate::boundary::step::{Call, During, Failure, InStep, Step, StepResult};
use crate::path::proc::Proc;
use nix::sys::stat::fstat;
use runtime_sys::{Errno, fd};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// For the first process of a container, once it is in its root.
pub(super) fn take(process: &mut Process, view: &View<'_>) -> Result<(), Failure> {
    let devices = host_devices(process)?;
    replace(process, devices, view)?;
    find_home(process, view).step(Step::Home)
}

/// For a later process, before it joins anything. The root is that of the init, which is
/// alive: otherwise it could not be joined.
pub(super) fn take_ahead(plan: &mut Plan) -> Result<(), Failure> {
    let Some(path) = &plan.root else { return Ok(()) };
    let process = &mut plan.process;
    let devices = host_devices(process)?;
    if devices == [None; 3] && process.home.is_none() {
        return Ok(());
    }
    let open = || -> StepResult<(OwnedFd, Proc)> {
        let proc = Proc::host().during(Call::Open)?;
        // A link that leads out of procfs, like those of descriptors.
        let flags = libc::O_PATH | libc::O_DIRECTORY;
        Ok((fd::open_follow(&proc, path, flags, 0).during(Call::Open)?, proc))
    };
    let (root, proc) = open().step(Step::Stdio)?;
    let view = View { places: Places::below(&root), proc: &proc };
    replace(process, devices, &view)?;
    find_home(process, &view).step(Step::Home)
}

/// Which of [`SHARED`] each standard stream is.
fn host_devices(process: &Process) -> Result<[Option<usize>; 3], Failure> {
    let mut devices = [None; 3];
    if process.terminal.is_some() {
        return Ok(devices);
    }
    for ((device, given), n) in devices.iter_mut().zip(&process.stdio).zip(0..) {
        let stream = given.as_ref().map_or(fd::stdio(n), AsFd::as_fd);
        let st = fstat(stream).during(Call::Stat).step(Step::Stdio)?;
        *device = SHARED.iter().position(|device| device.is(&st));
    }
    Ok(devices)
}

/// Puts the container's own devices in the place of standard streams that are the
/// host's: a program that opens them again or changes them must not reach those. A
/// container without the device is an error. It may be without it on purpose, to keep
/// the host's.
fn replace(process: &mut Process, devices: [Option<usize>; 3], view: &View<'_>) -> Result<(), Failure> {
    for (n, index) in devices.iter().enumerate() {
        let Some((index, device)) = index.and_then(|index| Some((index, SHARED.get(index)?))) else {
            continue;
        };
        // A stream before this one may have it.
        let same = devices.iter().take(n).position(|other| *other == Some(index));
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

/// Fills in HOME where config.json has none.
fn find_home(process: &mut Process, view: &View<'_>) -> StepResult {
    if let Some(index) = process.home.take() {
        lookup::home(view, process.uid, |home| process.env.patch(index, b"HOME=".len(), home));
    }
    Ok(())
}

/// Puts the given descriptors in the place of the standard ones.
pub(super) fn set(process: &Process) -> StepResult {
    for (given, n) in process.stdio.iter().zip(0..) {
        if let Some(given) = given {
            fd::dup_onto(given, n).during(Call::Dup)?;
        }
    }
    Ok(())
}

/// Makes a standard stream the user's, who may open /dev/stdout again only then. Of a file
/// system that does not allow it, or knows no owners, that is not an error.
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

/// True for what the caller has most likely made for this container: a pipe, a terminal, a
/// file to write to. A file that is only read may be anybody's. Devices are everybody's on
/// the host, also the one that leads each process to its own terminal (/dev/tty).
fn is_handed_over(stream: BorrowedFd<'_>, st: &libc::stat) -> bool {
    match st.st_mode & libc::S_IFMT {
        libc::S_IFIFO => true,
        libc::S_IFCHR => st.st_rdev != libc::makedev(5, 0) && nix::unistd::isatty(stream) == Ok(true),
        libc::S_IFREG => fd::access_mode(stream) != Ok(libc::O_RDONLY),
        _ => false,
    }
}
