// SPDX-License-Identifier: Apache-2.0
//! Mounts of the host, for containers.

use crate::result::{Doing, Result};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// A mount of this process, until it is dropped.
#[derive(Debug)]
pub struct Mounted(PathBuf);

impl Mounted {
    /// Returns its line of mountinfo.
    pub fn line(&self) -> Result<String> {
        let target = self.0.to_str().unwrap_or_default();
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").doing("mountinfo")?;
        let line = mounts.lines().find(|line| line.split(' ').nth(4) == Some(target));
        line.map(str::to_owned).ok_or_else(|| format!("{target} is not mounted"))
    }

    /// Mounts a tmpfs.
    pub fn tmpfs(target: &Path) -> Result<Self> {
        mount(Some("tmpfs"), target, Some("tmpfs"), MsFlags::empty(), None::<&str>).doing("mount")?;
        Ok(Mounted(target.to_owned()))
    }

    /// Mounts a directory or a file.
    pub fn bind(source: &Path, target: &Path) -> Result<Self> {
        mount(Some(source), target, None::<&str>, MsFlags::MS_BIND, None::<&str>).doing("mount")?;
        Ok(Mounted(target.to_owned()))
    }

    /// Makes the mount shared.
    pub fn shared(self) -> Result<Self> {
        self.share()?;
        Ok(self)
    }

    /// Makes the mount, and those below it, shared.
    pub fn share(&self) -> Result {
        let flags = MsFlags::MS_SHARED | MsFlags::MS_REC;
        mount(None::<&str>, &self.0, None::<&str>, flags, None::<&str>).doing("mount")
    }

    /// Returns its path.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Sets flags of the mount.
    pub fn with(self, flags: MsFlags) -> Result<Self> {
        let remount = MsFlags::MS_REMOUNT | MsFlags::MS_BIND;
        mount(None::<&str>, &self.0, None::<&str>, remount | flags, None::<&str>).doing("mount")?;
        Ok(self)
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        // A mount that stays is reported by the check of what is left behind.
        let _left = umount2(&self.0, MntFlags::MNT_DETACH);
    }
}

/// A tmpfs on the host with one file, both writable for all users.
#[derive(Debug)]
pub struct Volume {
    /// Its path.
    pub path: PathBuf,
    /// The mount.
    pub mounted: Mounted,
    _dir: tempfile::TempDir,
}

impl Volume {
    /// Mounts a new volume.
    pub fn new() -> Result<Self> {
        let dir = tempfile::tempdir().doing("temporary directory")?;
        let path = dir.path().to_owned();
        let mounted = Mounted::tmpfs(&path)?;
        for (path, mode) in [(path.clone(), 0o777), (path.join("file"), 0o666)] {
            if !path.exists() {
                fs::write(&path, "ours").doing("write")?;
            }
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).doing("chmod")?;
        }
        Ok(Volume { path, mounted, _dir: dir })
    }

    /// Sets every flag that the kernel may lock.
    pub fn restricted(mut self) -> Result<Self> {
        self.mounted = self
            .mounted
            .with(MsFlags::MS_RDONLY | MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC)?;
        Ok(self)
    }
}
