// SPDX-License-Identifier: Apache-2.0
//! Ways in which root of a container may undo the host's restrictions.

use crate::ensure;
use crate::result::{Doing, Result};
use nix::fcntl::{OFlag, open};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sys::stat::Mode;
use runtime_sys::mount::{Depth, MountAttr, attr, set_attr};
use std::path::Path;

const NONE: Option<&str> = None;

/// Writes `text` to `file` on the read-only mount at `path`. Tries every way to make the mount
/// writable, also by a copy of it at `copy`.
pub fn write_read_only(path: &Path, copy: &Path, file: &str, text: &str) -> Result {
    let restrictions = [
        MsFlags::empty(),
        MsFlags::MS_NOSUID,
        MsFlags::MS_NOSUID | MsFlags::MS_NODEV,
        MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC,
        MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC | MsFlags::MS_NOATIME,
    ];
    let remounts = |path: &Path| {
        restrictions.iter().any(|flags| {
            mount(NONE, path, NONE, MsFlags::MS_REMOUNT | MsFlags::MS_BIND | *flags, NONE).is_ok()
        }) || clear_attributes(path).is_ok()
    };
    let bind = MsFlags::MS_BIND | MsFlags::MS_REC;
    let copies = || mount(Some(path), copy, NONE, bind, NONE).is_ok() && remounts(copy);
    let written = if remounts(path) {
        std::fs::write(path.join(file), text)
    } else if copies() {
        std::fs::write(copy.join(file), text)
    } else {
        return Err("the flags are locked".to_owned());
    };
    written.doing("write")
}

/// Reads `file` in the directory `path`, which another mount covers.
pub fn read_covered(path: &Path, copy: &Path, file: &str) -> Result<String> {
    let uncovered = umount2(path, MntFlags::MNT_DETACH).is_ok()
        || mount(Some(path.parent().unwrap_or(path)), copy, NONE, MsFlags::MS_BIND, NONE).is_ok();
    ensure!(uncovered, "the mount is locked");
    let below = copy.join(path.file_name().unwrap_or_default());
    [path, below.as_path()]
        .into_iter()
        .find_map(|dir| std::fs::read_to_string(dir.join(file)).ok())
        .ok_or_else(|| "there is no such file".to_owned())
}

/// Enters a new user namespace in which setgroups(2) is denied, as `unshare --user --map-root-user`
/// does.
pub fn deny_groups() -> Result {
    nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWUSER).doing("unshare")?;
    for (file, text) in [("setgroups", "deny"), ("uid_map", "0 0 1"), ("gid_map", "0 0 1")] {
        std::fs::write(format!("/proc/self/{file}"), text).doing(file)?;
    }
    Ok(())
}

/// Clears the flags of the mount at `path` (mount_setattr(2)).
fn clear_attributes(path: &Path) -> nix::Result<()> {
    let clear = attr::RDONLY | attr::NOSUID | attr::NODEV | attr::NOEXEC;
    let mount = open(path, OFlag::O_PATH | OFlag::O_CLOEXEC, Mode::empty())?;
    set_attr(mount, Depth::One, &MountAttr { clear, ..MountAttr::default() })
}
