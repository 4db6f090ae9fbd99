// SPDX-License-Identifier: Apache-2.0
//! The source of a mount: a path of the host, or a new file system.

use super::options::FsOption;
use crate::values::IdRange;
use runtime_sys::mount::Depth;
use std::ffi::CString;

/// What is mounted.
#[derive(Debug)]
pub(crate) enum Source {
    /// What is at a path of the host.
    Bind { path: CString, depth: Depth, follow: Follow, id_map: Option<IdMap> },
    /// A new file system.
    New { kind: Filesystem, fstype: CString, source: CString, options: Vec<FsOption>, copy_up: bool },
    /// The mount that is there already, with other options: `is_bind` leaves its file system
    /// alone.
    Remount { is_bind: bool, options: Vec<FsOption> },
}

/// What to do about a symbolic link at the end of a bind mount's source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Follow {
    /// Mount what it leads to.
    Yes,
    /// Mount the link itself.
    No,
    /// Make the same link in the container.
    Copy,
}

/// File systems that are more than a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Filesystem {
    Proc,
    Sysfs,
    Tmpfs,
    Cgroup,
    Mqueue,
    Other,
}

impl Filesystem {
    /// Whether a label can be a mount option. procfs, sysfs and cgroup2 have
    /// labels for each file by the policy, mqueue takes an extended attribute.
    pub(crate) fn takes_label(self) -> bool {
        matches!(self, Filesystem::Tmpfs | Filesystem::Other)
    }
}

/// The mappings of an id-mapped mount; without ranges: those of the container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct IdMap {
    pub(crate) depth: Depth,
    pub(crate) uid: Vec<IdRange>,
    pub(crate) gid: Vec<IdRange>,
}
