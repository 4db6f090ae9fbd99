// SPDX-License-Identifier: Apache-2.0
//! A cgroup that the container may divide among its own processes.

use super::group::Cgroup;
use crate::error::{Context, Error, Result};
use crate::path;
use nix::unistd::geteuid;
use runtime_sys::{Errno, fd};
use std::ffi::{CStr, CString};

/// What may be given away if the kernel does not say (config-linux.md, "Cgroup ownership").
const FILES: [&CStr; 3] = [c"cgroup.procs", c"cgroup.subtree_control", c"cgroup.threads"];

impl Cgroup {
    /// Gives it to a user of the host: the directory, and those files of which
    /// the kernel says that they are safe. With the others the container could
    /// raise its own limits.
    pub(crate) fn delegate(&self, uid: u32) -> Result<()> {
        if uid == geteuid().as_raw() {
            // We have made it.
            return Ok(());
        }
        match self.chown(c"", uid) {
            // The specification leaves it to us, and the kernel to root.
            Err(Errno::EPERM) => return Ok(()),
            other => other.context(|| format!("chown {}", self.path))?,
        }
        for file in delegated_files()? {
            match self.chown(&file, uid) {
                // Not every cgroup has every file.
                Ok(()) | Err(Errno::ENOENT) => {}
                Err(errno) => {
                    return Err(Error::os(errno, format!("chown {}/{}", self.path, path::show(&file))));
                }
            }
        }
        Ok(())
    }

    fn chown(&self, file: &CStr, uid: u32) -> runtime_sys::Result<()> {
        let same_group = u32::MAX;
        fd::chown_at(&self.dir, file, uid, same_group, libc::AT_EMPTY_PATH | libc::AT_SYMLINK_NOFOLLOW)
    }
}

fn delegated_files() -> Result<Vec<CString>> {
    match fd::read_file(fd::CWD, c"/sys/kernel/cgroup/delegate", 1 << 16) {
        Err(Errno::ENOENT) => Ok(FILES.map(CStr::to_owned).into()),
        other => {
            let text = other.context(|| "read /sys/kernel/cgroup/delegate")?;
            let names = text.split(|b| *b == b'\n').filter(|name| !name.is_empty() && !name.contains(&b'/'));
            Ok(names.filter_map(|name| CString::new(name).ok()).collect())
        }
    }
}
