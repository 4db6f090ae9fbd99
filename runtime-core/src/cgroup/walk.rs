// SPDX-License-Identifier: Apache-2.0
//! A cgroup and all that are below it, which a container may have made: as many
//! as it liked, as deep as it liked, with any name.

use runtime_sys::{Errno, Result, dir, fd};
use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// Calls `enter` with the directory of each cgroup from `top` on, and `leave` with
/// the directory above it and its name when everything below it was visited; not
/// for `top` itself. What vanishes meanwhile is passed over. Neither descriptors
/// nor stack are used up by depth.
pub(super) fn walk(
    top: BorrowedFd<'_>,
    mut enter: impl FnMut(BorrowedFd<'_>) -> Result<()>,
    mut leave: impl FnMut(BorrowedFd<'_>, &CStr) -> Result<()>,
) -> Result<()> {
    let open = |dir: BorrowedFd<'_>, name: &CStr| fd::open(dir, name, libc::O_RDONLY | libc::O_DIRECTORY, 0);
    let mut dir = open(top, c".")?;
    enter(dir.as_fd())?;
    // The way down: the name of each, and what is to be visited below it.
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

/// The names of the cgroups right below one.
fn below(dir: &OwnedFd) -> Result<Vec<CString>> {
    match dir::entries(dir) {
        Err(Errno::ENOENT | Errno::ENODEV) => Ok(Vec::new()),
        entries => Ok(entries?.into_iter().filter(|entry| entry.is_dir).map(|entry| entry.name).collect()),
    }
}
