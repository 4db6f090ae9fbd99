// SPDX-License-Identifier: Apache-2.0
//! The hierarchy of control groups: its root, and the cgroups of processes.

use super::group::Cgroup;
use crate::error::{Context, Error, ErrorKind, Result};
use crate::path;
use crate::path::proc::PidFile;
use runtime_sys::fd::resolve;
use runtime_sys::text::c_str;
use runtime_sys::{Errno, fd};
use std::ffi::CStr;
use std::os::fd::OwnedFd;

const CGROUP2_MAGIC: i64 = 0x6367_7270;
/// The magic numbers of version 1, and of the tmpfs below which its hierarchies are mounted.
const CGROUP_MAGIC: i64 = 0x27_e0eb;
const TMPFS_MAGIC: i64 = 0x0102_1994;

/// The mount points of cgroup2: alone, or beside version 1 on a hybrid host. No others are
/// tried, because the cost of reading the mount table grows with the number of mounts.
const MOUNT_POINTS: [&CStr; 2] = [c"/sys/fs/cgroup", c"/sys/fs/cgroup/unified"];

/// The root directory of the hierarchy.
#[derive(Debug)]
pub(crate) struct Hierarchy {
    pub(super) root: OwnedFd,
    mount_point: &'static CStr,
}

impl Hierarchy {
    pub(crate) fn find() -> Result<Self> {
        let mut others = false;
        for mount_point in MOUNT_POINTS {
            let flags = libc::O_PATH | libc::O_DIRECTORY;
            let root = match fd::open_follow(fd::CWD, mount_point, flags, 0) {
                Err(Errno::ENOENT | Errno::ENOTDIR) => continue,
                opened => opened.context(|| format!("open {}", path::show(mount_point)))?,
            };
            let magic = fd::filesystem(&root).context(|| format!("statfs {}", path::show(mount_point)))?;
            if magic == CGROUP2_MAGIC {
                return Ok(Hierarchy { root, mount_point });
            }
            others |= magic == TMPFS_MAGIC || magic == CGROUP_MAGIC;
        }
        let text = "no cgroup2 file system at /sys/fs/cgroup or /sys/fs/cgroup/unified";
        Err(Error::new(ErrorKind::Unsupported, text).with_hint(match others {
            true => "control groups of version 1 are not supported",
            false => "mount one: mount -t cgroup2 cgroup2 /sys/fs/cgroup",
        }))
    }

    pub(crate) fn mount_point(&self) -> &CStr {
        self.mount_point
    }

    /// Returns the absolute path of a cgroup.
    pub(crate) fn absolute(&self, relative: &str) -> String {
        format!("{}/{relative}", path::show(self.mount_point))
    }

    /// Returns an absolute path relative to the root; `None` if the path is elsewhere.
    pub(super) fn relative<'a>(&self, absolute: &'a str) -> Option<&'a str> {
        absolute.strip_prefix(self.mount_point.to_str().ok()?)?.strip_prefix('/')
    }

    /// Returns whether version 1 is mounted as well.
    pub(super) fn is_hybrid(&self) -> bool {
        self.mount_point != MOUNT_POINTS[0]
    }

    /// Opens a directory below the root.
    pub(super) fn open_dir(&self, relative: &CStr) -> runtime_sys::Result<OwnedFd> {
        let flags = libc::O_RDONLY | libc::O_DIRECTORY;
        fd::openat2(&self.root, relative, flags, 0, resolve::BENEATH | resolve::NO_SYMLINKS)
    }

    /// Returns the path of the calling process's cgroup, relative to the root.
    pub(crate) fn own() -> Result<String> {
        Self::read(PidFile::own("cgroup"))
    }

    /// Returns the path of a process's cgroup, relative to the root.
    pub(crate) fn of(pid: i32) -> Result<String> {
        Self::read(PidFile::new(pid, "cgroup"))
    }

    fn read(file: PidFile<'_>) -> Result<String> {
        let text = file
            .absolute()
            .and_then(|path| fd::read_piece(fd::CWD, &path))
            .context(|| format!("read {file}"))?;
        own_path(&String::from_utf8_lossy(&text))
            .ok_or_else(|| Error::new(ErrorKind::System, format!("{file} has no line for cgroup2")))
    }

    /// Opens the cgroup of a process.
    pub(crate) fn of_process(&self, pid: i32) -> Result<Cgroup> {
        let path = Self::of(pid)?;
        self.open(&path)?.ok_or_else(|| {
            Error::new(
                ErrorKind::System,
                format!("the cgroup {path} of process {pid} is outside of the mounted hierarchy"),
            )
        })
    }

    /// Opens an existing cgroup by its path relative to the root; `None` if there is none.
    pub(crate) fn open(&self, relative: &str) -> Result<Option<Cgroup>> {
        // The empty path is the root, in which processes of the host and of users may be.
        let dir = if relative.is_empty() { "." } else { relative };
        match c_str(dir).and_then(|dir| self.open_dir(&dir)) {
            Ok(dir) => Ok(Some(Cgroup { dir, path: self.absolute(relative) })),
            Err(Errno::ENOENT | Errno::ENODEV) => Ok(None),
            Err(errno) => {
                let error = Error::os(errno, format!("open cgroup {}", self.absolute(relative)));
                Err(match errno {
                    Errno::EPERM => error.with_hint("a seccomp filter of the host may forbid openat2(2)"),
                    _ => error,
                })
            }
        }
    }
}

/// Returns true if cgroup2 is mounted at /sys/fs/cgroup itself, and not beside version 1.
pub fn is_unified() -> bool {
    Hierarchy::find().is_ok_and(|hierarchy| !hierarchy.is_hybrid())
}

/// Returns the path in the line `0::/path` (cgroups(7)), without the leading slash.
pub(super) fn own_path(text: &str) -> Option<String> {
    let line = text.lines().find_map(|line| line.strip_prefix("0::/"))?;
    // The kernel adds this to the path if the cgroup was removed.
    Some(line.strip_suffix(" (deleted)").unwrap_or(line).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_own_cgroup_is_that_of_version_2() {
        assert_eq!(own_path("9:name=systemd:/x\n0::/user.slice/a b\n").as_deref(), Some("user.slice/a b"));
        assert_eq!(own_path("0::/\n").as_deref(), Some(""));
        assert_eq!(own_path("0::/a (deleted)\n").as_deref(), Some("a"));
        assert_eq!(own_path("1:cpu:/\n"), None);
    }
}
