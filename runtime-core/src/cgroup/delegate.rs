// SPDX-License-Identifier: Apache-2.0
//! Delegation of a cgroup to the container, which may divide it among its own processes.

use super::group::Cgroup;
use crate::error::{Context, Error, Result};
use crate::path;
use nix::unistd::geteuid;
use runtime_sys::{Errno, fd};
use std::ffi::{CStr, CString};

/// The files to delegate if the kernel has no list (config-linux.md, "Cgroup ownership").
const FILES: [&CStr; 3] = [c"cgroup.procs", c"cgroup.subtree_control", c"cgroup.threads"];

impl Cgroup {
    /// Makes a user of the host the owner of the directory and of the files that the kernel
    /// lists as safe to delegate. With any other file the container could raise its own limits.
    pub(crate) fn delegate(&self, uid: u32) -> Result<()> {
        if uid == geteuid().as_raw() {
            // We own the cgroup already, because we have made it.
            return Ok(());
        }
        match self.chown(c"", uid) {
            // Only root may change the owner, and the specification makes the change optional.
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
