// SPDX-License-Identifier: Apache-2.0
//! Processes, paths and descriptors of the attacks.

use conformance::{Doing, Result};
use nix::fcntl::OFlag;
use nix::sys::stat::Mode;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use sys_testing::process::{fork, fork_sharing_files};

/// Starts a process that calls `child` and exits. This program has one thread.
pub(crate) fn spawn(child: impl FnOnce() -> Result) -> Result<nix::unistd::Pid> {
    fork(|| i32::from(child().is_err())).doing("fork")
}

/// Starts a process that shares its descriptor table with this one.
pub(crate) fn spawn_sharing_files(mut child: impl FnMut() -> Result) -> Result {
    fork_sharing_files(|| i32::from(child().is_err())).doing("clone").map(drop)
}

/// Opens a path without the right to read or write.
pub(crate) fn open_path(path: &str) -> nix::Result<OwnedFd> {
    nix::fcntl::open(path, OFlag::O_PATH | OFlag::O_CLOEXEC, Mode::empty())
}

/// Returns a path that leads to the file of a descriptor.
pub(crate) fn path_of(fd: &impl AsFd) -> String {
    format!("/proc/self/fd/{}", fd.as_fd().as_raw_fd())
}

/// Returns the pids of the processes that were started last, newest first.
pub(crate) fn newest_pids(count: i32) -> impl Iterator<Item = i32> {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let last: i32 = text.trim().rsplit(' ').next().and_then(|n| n.parse().ok()).unwrap_or(0);
    (last - count + 1..=last).rev().filter(|pid| *pid > 1)
}

/// Returns true if a path is on a procfs.
pub(crate) fn is_procfs(path: &str) -> Result<bool> {
    let fs = nix::sys::statfs::statfs(path).doing(path)?;
    Ok(fs.filesystem_type() == nix::sys::statfs::PROC_SUPER_MAGIC)
}
