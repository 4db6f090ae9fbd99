// SPDX-License-Identifier: Apache-2.0
//! The mount on the host of a container without a mount namespace of its own. It is the
//! container's root file system; all its other mounts are below it.

use crate::error::{Context, Result};
use crate::state::record::Record;
use nix::mount::{MntFlags, umount2};
use runtime_sys::text::c_str;
use runtime_sys::{Errno, fd};

/// Returns the id of the topmost mount at `path`.
pub(super) fn id_at(path: &str) -> Result<u64> {
    id(path).context(|| format!("statx {path}"))
}

fn id(path: &str) -> runtime_sys::Result<u64> {
    let path = c_str(path)?;
    fd::mount_id(fd::open_follow(fd::CWD, &path, libc::O_PATH | libc::O_DIRECTORY, 0)?)
}

/// Unmounts the container's mount from its rootfs, unless the topmost mount there is the one
/// from before.
pub(super) fn remove(record: &Record) -> Result<()> {
    let Some(before) = record.host_mount_below else { return Ok(()) };
    let path = &record.rootfs;
    match id(path) {
        Ok(now) if now != before => {
            let c_path = c_str(path.as_str()).context(|| format!("umount {path:?}"))?;
            // A lazy unmount: the container's processes have ended, but other processes may
            // still use the mount.
            match umount2(c_path.as_c_str(), MntFlags::MNT_DETACH) {
                // Another process has unmounted it.
                Ok(()) | Err(Errno::EINVAL | Errno::ENOENT) => Ok(()),
                Err(errno) => Err(errno).context(|| format!("umount {path}")),
            }
        }
        Ok(_) | Err(Errno::ENOENT | Errno::ENOTDIR) => Ok(()),
        Err(errno) => Err(errno).context(|| format!("statx {path}")),
    }
}
