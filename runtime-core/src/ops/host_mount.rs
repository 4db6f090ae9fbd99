// SPDX-License-Identifier: Apache-2.0
//! The one mount that a container without a mount namespace of its own has on the
//! host: its root file system, with everything else below it.

use crate::error::{Context, Result};
use crate::state::record::Record;
use nix::mount::{MntFlags, umount2};
use runtime_sys::{Errno, fd};
use std::ffi::CString;

/// The id of the mount that is on top at `path`.
pub(super) fn id_at(path: &str) -> Result<u64> {
    id(path).context(|| format!("statx {path}"))
}

fn id(path: &str) -> runtime_sys::Result<u64> {
    let path = CString::new(path).unwrap_or_default();
    fd::mount_id(fd::open_follow(fd::CWD, &path, libc::O_PATH | libc::O_DIRECTORY, 0)?)
}

/// Takes the container's mount away from its rootfs, unless the mount there is
/// the one that was there before it.
pub(super) fn remove(record: &Record) -> Result<()> {
    let Some(before) = record.host_mount_below else { return Ok(()) };
    let path = &record.rootfs;
    match id(path) {
        Ok(now) if now != before => {
            let c_path = CString::new(path.as_str()).unwrap_or_default();
            // Lazily: the container's processes are gone, others may look around in it.
            match umount2(c_path.as_c_str(), MntFlags::MNT_DETACH) {
                // Somebody else was faster.
                Ok(()) | Err(Errno::EINVAL | Errno::ENOENT) => Ok(()),
                Err(errno) => Err(errno).context(|| format!("umount {path}")),
            }
        }
        Ok(_) | Err(Errno::ENOENT | Errno::ENOTDIR) => Ok(()),
        Err(errno) => Err(errno).context(|| format!("statx {path}")),
    }
}
