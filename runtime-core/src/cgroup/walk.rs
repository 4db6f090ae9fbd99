// SPDX-License-Identifier: Apache-2.0
//! A walk over a cgroup and all cgroups below it. The container may have made these, in any
//! number, at any depth and with any names.

use runtime_sys::{Errno, Result, dir, fd};
use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// Calls `enter` with the directory of each cgroup, beginning with `top`. Calls `leave` with
/// the parent directory and the name of each cgroup but `top`, after everything below that
/// cgroup was visited. Skips cgroups that vanish meanwhile. The numbers of open descriptors
/// and of stack frames do not depend on the depth.
pub(super) fn walk(
    top: BorrowedFd<'_>,
    mut enter: impl FnMut(BorrowedFd<'_>) -> Result<()>,
    mut leave: impl FnMut(BorrowedFd<'_>, &CStr) -> Result<()>,
) -> Result<()> {
    let open = |dir: BorrowedFd<'_>, name: &CStr| fd::open(dir, name, libc::O_RDONLY | libc::O_DIRECTORY, 0);
    let mut dir = open(top, c".")?;
    enter(dir.as_fd())?;
    // The path from `top`: the name of each cgroup, and those below it still to be visited.
    let mut way = vec![(CString::default(), below(&dir)?)];
    while let Some((_, pending)) = way.last_mut() {
        if let Some(name) = pending.pop() {
            match open(dir.as_fd(), &name) {
                Ok(child) => {
                    enter(child.as_fd())?;
                    way.push((name, below(&child)?));
                    dir = child;
                }
                Err(Errno::ENOENT | Errno::ENODEV) => {}
                Err(errno) => return Err(errno),
            }
        } else if let Some((name, _)) = way.pop().filter(|_| !way.is_empty()) {
            dir = open(dir.as_fd(), c"..")?;
            leave(dir.as_fd(), &name)?;
        }
    }
    Ok(())
}

/// Returns the names of the cgroups directly below one.
fn below(dir: &OwnedFd) -> Result<Vec<CString>> {
    match dir::entries(dir) {
        Err(Errno::ENOENT | Errno::ENODEV) => Ok(Vec::new()),
        entries => Ok(entries?.into_iter().filter(|entry| entry.is_dir).map(|entry| entry.name).collect()),
    }
}
