// SPDX-License-Identifier: Apache-2.0
//! The files of the host that CRIU mounts into a restored container: the sources of bind mounts, and
//! device nodes. CRIU gets their paths.

use super::extras::RootfsMounts;
use super::rootfs::{host_file, mounted_nodes};
use super::source::{BindSource, Sources};
use super::trees::HostFile;
use crate::boundary::tree::{FileId, open_no_links};
use crate::child::helpers::RestoredBind;
use crate::child::rootfs_maker::Place;
use crate::config::Config;
use crate::config::field::{invalid, unsupported};
use crate::config::mounts::{Mount, MountSource, RESTRICTIONS, restrictions_of};
use crate::config::namespaces::NamespaceKind;
use crate::error::{Context, Error, ErrorKind, Result};
use crate::path::proc::is_procfs;
use crate::path::root::Leaf;
use crate::path::{c_path, of_fd, show};
use runtime_sys::mount::{self, Depth, attr};
use runtime_sys::{Errno, fd};
use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// The source of a bind mount.
#[derive(Debug)]
pub(crate) struct Source {
    /// The index of the mount.
    index: usize,
    file: HostFile,
    id: FileId,
    /// The path by which CRIU finds the file.
    pub(crate) path: String,
    /// The restrictions of the mount that the file is on.
    own: u64,
    /// True if create's mount would have these in any case.
    locks: bool,
}

/// Returns the tree of the root file system, and its directory: that of the caller's mounts if `given`,
/// otherwise a clone of what is mounted at `dir`, the directory at `path`. Fails if `cancel` becomes
/// readable meanwhile.
pub(crate) fn rootfs(
    given: Option<&RootfsMounts>,
    path: &str,
    dir: OwnedFd,
    cancel: Option<BorrowedFd<'_>>,
) -> Result<(OwnedFd, OwnedFd)> {
    let Some(given) = given else {
        let tree = mount::clone_tree(&dir, c"", Depth::All, 0);
        return Ok((tree.context(|| format!("cloning the mount of rootfs {path}"))?, dir));
    };
    // A user namespace gets a copy of what CRIU mounts, in which everything is locked.
    let place = Place { path, dir: &dir, may_be_chrooted: true, locks: false, receives: false };
    let tree = (given.make)(&given.mounts, &place, cancel)?;
    let root = fd::open(&tree, c".", libc::O_PATH | libc::O_DIRECTORY, 0);
    let root = root.context(|| "the root of rootfs_mounts")?;
    Ok((tree, root))
}

/// Opens the sources of all bind mounts, of a container with this rootfs.
pub(crate) fn sources(config: &Config, rootfs: &OwnedFd, rootfs_path: &str) -> Result<Vec<Source>> {
    let sources = Sources::new(rootfs, rootfs_path);
    let locks = config.namespaces.is_own(NamespaceKind::User);
    let mut all = Vec::new();
    for (index, mount) in config.mounts.iter().enumerate() {
        if let MountSource::Bind { path, .. } = &mount.source {
            let source = Source::find(index, path, &sources, locks)?;
            if mount.destination.as_c_str() == c"proc" && !is_procfs(&source.file).unwrap_or_default() {
                let why = "\"/proc\" cannot be mounted because it is not of type proc";
                return Err(invalid(format_args!("mounts[{index}].destination"), why));
            }
            all.push(source);
        }
    }
    Ok(all)
}

impl Source {
    fn find(index: usize, path: &CStr, sources: &Sources<'_>, locks: bool) -> Result<Self> {
        let at = format!("mounts[{index}].source");
        let failed = |errno: Errno| {
            Error::os(errno, format!("open {}", show(path))).wrap_as(ErrorKind::Setup, at.as_str()).at(&at)
        };
        let file = match sources.find(path, false).map_err(failed)? {
            BindSource::Host(file) => file,
            BindSource::FromContainer(_) => {
                let why = format!("restore cannot mount {}, which is inside of the rootfs", show(path));
                return Err(unsupported(&at, why));
            }
        };
        let Some(name) = name_of(&file).map_err(failed)? else {
            let why = format!("criu could not find {} by a path of the host", show(path));
            return Err(unsupported(&at, why));
        };
        let own = restrictions_of(fd::mount_flags(&file).map_err(failed)?);
        let id = FileId::of(&file).map_err(failed)?;
        Ok(Source { index, file, id, path: name, own, locks })
    }

    /// Returns the restrictions that the mount has when these first entries of `mounts` are made.
    fn restrictions(&self, mounts: &[Mount]) -> u64 {
        let restrictions = restrictions(mounts.get(self.index..).unwrap_or_default(), self.own);
        restrictions | if self.locks { self.own } else { 0 }
    }

    /// Returns whether the mount is read-only when these first entries of `mounts` are made.
    pub(crate) fn is_readonly(&self, mounts: &[Mount]) -> bool {
        self.restrictions(mounts) & attr::RDONLY != 0
    }

    pub(crate) fn leaf(&self) -> Leaf {
        self.file.leaf
    }

    /// Returns true if this is the source of the mount with this index.
    pub(crate) fn is_of(&self, index: usize) -> bool {
        self.index == index
    }

    /// Returns the check and the attributes of the restored mount. `mounts` are those of the
    /// configuration.
    pub(crate) fn bind(&self, mounts: &[Mount]) -> Option<RestoredBind> {
        let mount = mounts.get(self.index)?;
        Some(RestoredBind {
            index: self.index,
            destination: mount.destination.clone(),
            no_follow: mount.no_follow,
            source: self.id,
            restrictions: self.restrictions(mounts),
        })
    }
}

impl AsFd for Source {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

/// Returns the path of a file, if the path leads to the file and has no link. A file on a detached
/// mount has a path, too, where the host has another file.
fn name_of(file: &HostFile) -> runtime_sys::Result<Option<String>> {
    let path = of_fd(file)?;
    let same = match open_no_links(&c_path(&path)?, file.leaf, false) {
        Ok(again) => fd::mount_id(&again)? == fd::mount_id(file)? && FileId::of(&again)? == FileId::of(file)?,
        Err(_) => false,
    };
    Ok(path.into_os_string().into_string().ok().filter(|path| same && path.starts_with('/')))
}

/// Returns the restrictions of the first of these mounts, a bind mount of a source with the
/// restrictions `own`, after the remounts that follow.
fn restrictions(mounts: &[Mount], own: u64) -> u64 {
    let Some((bind, later)) = mounts.split_first() else { return own };
    let changes = later.iter().filter(|mount| matches!(mount.source, MountSource::Remount { .. }));
    let mut all = own;
    for mount in std::iter::once(bind).chain(changes) {
        let is_same = mount.destination == bind.destination;
        if let Some(change) = mount.flags.bind_attr().filter(|_| is_same) {
            all = all & !change.clear | change.set;
        }
        if is_same || is_above(&mount.destination, &bind.destination) {
            all = all & !mount.all.clear | mount.all.set;
        }
    }
    all & RESTRICTIONS
}

/// Returns true if the directory `dir` is above `path`. Both are relative to the root and clean.
fn is_above(dir: &CStr, path: &CStr) -> bool {
    dir == c"." || path.to_bytes().strip_prefix(dir.to_bytes()).is_some_and(|rest| rest.starts_with(b"/"))
}

/// Returns the paths of the device nodes, relative to the root, that are nodes of the host. Each is
/// checked to be the device that config.json names.
pub(crate) fn nodes(config: &Config) -> Result<Vec<&CStr>> {
    let nodes = mounted_nodes(config).into_iter();
    let nodes: Result<_> = nodes.map(|node| host_file(node).map(|_file| node.path.as_c_str())).collect();
    nodes.map_err(|error| error.of_kind(ErrorKind::Unsupported))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec;
    use std::os::fd::AsRawFd;
    use std::os::unix::fs::symlink;
    use std::path::Path;

    fn mount(destination: &str, source: &str, options: &[&str]) -> Mount {
        let spec = spec::Mount {
            destination: destination.into(),
            source: source.into(),
            options: options.iter().copied().map(str::to_owned).collect(),
            ..spec::Mount::default()
        };
        Mount::new(0, &spec, "/bundle", "/bundle/rootfs").unwrap()
    }

    #[test]
    fn a_mount_is_as_restricted_as_the_configuration_says() {
        let bind = |options: &[&str]| mount("/a/b", "/s", &[&["rbind"], options].concat());
        let remount =
            |path: &str, options: &[&str]| mount(path, "", &[&["remount", "bind"], options].concat());
        let (ro, nosuid, nodev) = (attr::RDONLY, attr::NOSUID, attr::NODEV);
        for (mounts, want) in [
            (vec![bind(&[])], nodev),
            (vec![bind(&["ro"])], ro),
            (vec![bind(&["rro"])], ro | nodev),
            (vec![bind(&["rw", "nosuid"])], nosuid),
            (vec![bind(&[]), remount("/a/b", &["ro"])], ro),
            (vec![bind(&["ro"]), remount("/a/b", &["rw"])], 0),
            (vec![bind(&[]), remount("/a", &["rro"])], ro | nodev),
            (vec![bind(&[]), remount("/", &["rro"])], ro | nodev),
            (vec![bind(&[]), remount("/a", &["ro"]), remount("/a/bc", &["rro"])], nodev),
            (vec![bind(&[]), mount("/a", "/s", &["bind", "rro"])], nodev),
        ] {
            assert_eq!(restrictions(&mounts, nodev), want, "{mounts:?}");
        }
    }

    #[test]
    fn a_source_is_a_path_of_the_host_and_outside_of_the_rootfs() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        for name in ["rootfs/vol", "volume"] {
            std::fs::create_dir_all(path(name)).unwrap();
        }
        symlink("/etc", path("rootfs/link")).unwrap();
        symlink("volume", path("to-volume")).unwrap();
        symlink("rootfs", path("to-rootfs")).unwrap();
        let rootfs = HostFile::open(&c_path(&path("rootfs")).unwrap()).unwrap().into();
        let find = |path: &Path| {
            let sources = Sources::new(&rootfs, dir.path().join("rootfs").to_str().unwrap());
            Source::find(3, &c_path(path).unwrap(), &sources, false)
        };
        let found = find(&path("to-volume")).unwrap();
        assert!(found.path.ends_with("/volume"), "{}", found.path);
        for name in ["rootfs/link", "rootfs/vol", "to-rootfs/link", "volume/../rootfs/link"] {
            let error = find(&path(name)).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Unsupported);
            assert!(error.report().starts_with("mounts[3].source: restore cannot mount "), "{error:?}");
        }
        let detached = mount::clone_tree(&found, c"", Depth::One, 0).unwrap();
        let file = fd::open(&detached, c".", libc::O_PATH, 0).unwrap();
        let error = find(Path::new(&format!("/proc/self/fd/{}", file.as_raw_fd()))).unwrap_err();
        assert!(error.report().contains("could not find"), "{error:?}");
    }
}
