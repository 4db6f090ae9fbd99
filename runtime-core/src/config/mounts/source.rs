// SPDX-License-Identifier: Apache-2.0
//! The source of a mount: a path of the host, or a new file system.

use super::options::FsOption;
use crate::values::IdRange;
use runtime_sys::mount::Depth;
use std::ffi::CString;

/// The source of a mount.
#[derive(Debug)]
pub(crate) enum MountSource {
    /// A bind mount of a path on the host.
    Bind { path: CString, depth: Depth, follow: Follow, id_map: Option<IdMap> },
    /// A new file system.
    New { kind: Filesystem, fstype: CString, source: CString, options: Vec<FsOption>, copy_up: bool },
    /// The existing mount with other options. With `is_bind`, its file system is left
    /// unchanged.
    Remount { is_bind: bool, options: Vec<FsOption> },
}

/// The treatment of a symbolic link at the end of a bind mount's source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Follow {
    /// Mounts the target of the link.
    Yes,
    /// Mounts the link itself.
    No,
    /// Creates the same link in the container.
    Copy,
}

/// The file systems that need special treatment, and all others.
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
    /// Returns whether a label can be a mount option. In procfs, sysfs and cgroup2, the policy
    /// labels each file; the label of an mqueue is an extended attribute.
    pub(crate) fn takes_label(self) -> bool {
        matches!(self, Filesystem::Tmpfs | Filesystem::Other)
    }
}

/// The mappings of an id-mapped mount. Without ranges, the container's mappings apply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct IdMap {
    pub(crate) depth: Depth,
    pub(crate) uid: Vec<IdRange>,
    pub(crate) gid: Vec<IdRange>,
}
