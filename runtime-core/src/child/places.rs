// SPDX-License-Identifier: Apache-2.0
//! The places of the container's files, and of files to make.

use crate::boundary::plan::{DevPlace, Mount, Rootfs};
use crate::boundary::step::{Call, During, StepResult};
use crate::path::proc::Proc;
use crate::path::root::{Leaf, Root};
use runtime_sys::{Errno, fd};
use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// The mount points whose mounts are kept open. Paths are covered and files are made in them
/// through the mount itself.
pub(super) const KEPT: [&CStr; 3] = [c"proc", c"sys", c"dev"];

/// The container's files, and the host's procfs.
pub(super) struct View<'a> {
    pub(super) places: Places<'a>,
    pub(super) proc: &'a Proc,
}

/// The root, and the mounts on /proc, /sys and /dev. A path in one of these is looked up in the
/// mount itself. Otherwise a container that shares the rootfs could exchange the mount points, so
/// that a mask would be made in another directory or not at all. And a link of the image could put
/// a volume on top of them.
#[derive(Clone, Copy)]
pub(super) struct Places<'a> {
    pub(super) root: Root<'a>,
    pub(super) mounts: &'a [Mount],
    pub(super) dev: DevPlace,
}

/// An opened directory.
pub(super) enum Dir<'a> {
    Kept(&'a OwnedFd),
    Opened(OwnedFd),
}

impl AsFd for Dir<'_> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Dir::Kept(dir) => dir.as_fd(),
            Dir::Opened(dir) => dir.as_fd(),
        }
    }
}

impl<'a> Places<'a> {
    pub(super) fn of(rootfs: &'a Rootfs) -> Self {
        Places { root: Root::new(&rootfs.root), mounts: rootfs.visible_mounts(), dev: rootfs.dev.place }
    }

    /// Makes the places of a container that exists already.
    pub(super) fn below(root: &'a OwnedFd) -> Self {
        Places { root: Root::new(root), mounts: &[], dev: DevPlace::Given }
    }

    /// Returns the root to look a path up in, and the path relative to it.
    pub(super) fn find<'p>(&self, path: &'p CStr) -> (Root<'a>, &'p CStr) {
        let inside = KEPT.iter().find_map(|at| Some((self.kept(at)?, below(path, at)?)));
        inside.map_or((self.root, path), |(mount, path)| (Root::new(mount), path))
    }

    /// Returns true if a path is looked up in one of these mounts.
    pub(super) fn keep(&self, path: &CStr) -> bool {
        KEPT.iter().any(|at| below(path, at).is_some() && self.kept(at).is_some())
    }

    fn kept(&self, at: &CStr) -> Option<&'a OwnedFd> {
        self.mounts.iter().rev().filter(|m| m.destination.as_c_str() == at).find_map(|m| m.attached.as_ref())
    }

    /// Opens (O_PATH) the file at a path; `None` if the container does not have it.
    pub(super) fn open(&self, path: &CStr) -> StepResult<Option<OwnedFd>> {
        let (root, path) = self.find(path);
        match open_below(root, path) {
            Err((Call::Open, Errno::ENOENT)) => Ok(None),
            other => other.map(Some),
        }
    }

    /// Returns the container's /dev, if it is the container's own.
    pub(super) fn own_dev(&self) -> StepResult<Option<Dir<'a>>> {
        match self.dev {
            DevPlace::Given => Ok(None),
            DevPlace::Tmpfs(i) => Ok(self.mounts.get(i).and_then(|m| m.attached.as_ref()).map(Dir::Kept)),
            DevPlace::Image => {
                let dev = self.root.open_or_make(c"dev", Leaf::Directory).during(Call::Open)?;
                let is_own = fd::mount_id(&dev).during(Call::Stat)? == self.mount_id(c".")?;
                Ok(is_own.then_some(Dir::Opened(dev)))
            }
        }
    }

    /// Returns true if a node with this path may be made in this directory: in the rootfs, in a new
    /// tmpfs, or in a mount whose destination is above the path.
    pub(super) fn allow(&self, dir: &OwnedFd, path: &CStr) -> StepResult<bool> {
        let id = fd::mount_id(dir).during(Call::Stat)?;
        if id == self.mount_id(c".")? {
            return Ok(true);
        }
        let may_be = |m: &&Mount| m.is_new_tmpfs() || below(path, &m.destination).is_some();
        for m in self.mounts.iter().filter(may_be) {
            if self.mount_id(&m.destination)? == id {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn mount_id(&self, path: &CStr) -> StepResult<u64> {
        let (root, path) = self.find(path);
        fd::mount_id(root.open(path, libc::O_PATH).during(Call::Open)?).during(Call::Stat)
    }
}

/// Opens (O_PATH) a mount point. A link of the image may lead to it, but not to the root: a mount
/// on the root would be the root directory of all processes that join the mount namespace, but not
/// of the container's own process.
pub(super) fn open_below(root: Root<'_>, path: &CStr) -> StepResult<OwnedFd> {
    match root.open_no_symlinks(path, libc::O_PATH) {
        Err(Errno::ELOOP) => {
            let place = root.open(path, libc::O_PATH).during(Call::Open)?;
            check_below(root, &place)?;
            Ok(place)
        }
        other => other.during(Call::Open),
    }
}

/// Fails if the place is the root.
fn check_below(root: Root<'_>, place: &OwnedFd) -> StepResult {
    let place_of = |dir: BorrowedFd<'_>| fd::place_of(dir).during(Call::Stat);
    if place_of(place.as_fd())? == place_of(root.dir())? {
        return Err((Call::CheckRoot, Errno::ELOOP));
    }
    Ok(())
}

/// Returns the rest of a path that begins with the component `at`.
fn below<'p>(path: &'p CStr, at: &CStr) -> Option<&'p CStr> {
    match path.to_bytes_with_nul().strip_prefix(at.to_bytes())? {
        [0] => Some(c"."),
        [b'/', rest @ ..] => CStr::from_bytes_with_nul(rest).ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rest_of_a_path_is_relative_to_its_component() {
        assert_eq!(below(c"proc/sys/net", c"proc"), Some(c"sys/net"));
        assert_eq!(below(c"proc", c"proc"), Some(c"."));
        assert_eq!(below(c"process", c"proc"), None);
        assert_eq!(below(c"a/proc/sys", c"proc"), None);
    }
}
