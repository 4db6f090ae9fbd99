// SPDX-License-Identifier: Apache-2.0
//! `mounts`: sources opened and cloned, ids mapped, options in the kernel's words.

mod filesystem;

use super::trees::{HostFile, Trees};
use super::{Host, namespaces};
use crate::config::Config;
use crate::config::field::invalid;
use crate::config::mounts::{Filesystem, Follow, IdMap as IdMapConfig, Mount as MountConfig, Source};
use crate::config::namespaces::{Kind, Origin};
use crate::error::{Context, Error, ErrorKind, Result};
use crate::init::plan::{IdMap, Inside, Mount, NewMount, What};
use crate::init::step::{Call, During};
use crate::init::tree::{Cloner, Shape, Tree};
use crate::launch::{self, explain};
use crate::path::root::Leaf;
use crate::path::{clean, proc, show};
use crate::spec::IdMapping;
use crate::sys::mount::{self, Depth, MountAttr, attr};
use crate::sys::{Errno, fd, ns};
use libc::{MS_PRIVATE, MS_SHARED, MS_SLAVE};
use std::ffi::{CStr, CString};
use std::os::fd::OwnedFd;
use std::sync::Arc;

/// Plans the mounts of a container whose rootfs is at an absolute path.
pub(super) fn mounts(config: &Config, host: &Host<'_>, trees: &mut Trees) -> Result<Box<[Mount]>> {
    let mut planner = Planner {
        config,
        rootfs: clean(host.rootfs),
        hierarchy: host.hierarchy,
        trees,
        user_namespaces: Vec::new(),
    };
    config.mounts.iter().enumerate().map(|(i, m)| planner.mount(i, m)).collect()
}

/// What all mounts have in common.
struct Planner<'a> {
    config: &'a Config,
    /// Without its leading slash.
    rootfs: String,
    /// Where the host's cgroup2 is.
    hierarchy: &'a CStr,
    trees: &'a mut Trees,
    /// One for each different pair of maps, uid and gid.
    user_namespaces: Vec<(&'a [IdMapping], &'a [IdMapping], Arc<OwnedFd>)>,
}

impl<'a> Planner<'a> {
    fn mount(&mut self, i: usize, m: &'a MountConfig) -> Result<Mount> {
        let config = self.config;
        let mut plan = Mount {
            destination: m.destination.clone(),
            source: CString::default(),
            what: What::Remount,
            no_follow: m.no_follow,
            attr: m.flags.bind_attr(),
            all: m.all,
            propagation: m.propagation.clone().into(),
            readonly_later: false,
            attached: None,
        };
        match &m.source {
            Source::Remount => {}
            Source::Bind { path, depth, follow, id_map } => {
                plan.source = path.clone();
                let id_map = id_map.as_ref().map(|map| self.id_map(i, map)).transpose()?;
                let bind = Bind { i, m, path, depth: *depth, follow: *follow, config };
                plan.what = match bind.symlink()? {
                    Some(symlink) => symlink,
                    None => match self.inside(path) {
                        Some(inside) => What::Inside(bind.inside(inside, id_map, self.trees.cloner())),
                        None => bind.tree(id_map, &mut plan.attr, self.trees)?,
                    },
                };
            }
            Source::New { kind, fstype, source, options, copy_up } => {
                plan.source = source.clone();
                if *kind == Filesystem::Cgroup && !config.namespaces.is_own(Kind::Cgroup) {
                    // Not a new mount: in the host's first cgroup namespace that sets
                    // the options of the whole hierarchy anew, and takes nsdelegate
                    // and memory_recursiveprot from the host. And root of a user
                    // namespace may mount only what its own cgroup namespace shows.
                    plan.attr = Some(MountAttr { set: m.flags.new_attr(), ..MountAttr::default() });
                    plan.what = What::Tree {
                        tree: host_hierarchy(i, self.hierarchy, self.trees)?,
                        leaf: Leaf::Directory,
                    };
                    return Ok(plan);
                }
                // Mount points below it must still be made, so this waits.
                let is_dev = m.destination.as_c_str() == c"dev";
                plan.readonly_later = m.flags.is_readonly() && (*kind == Filesystem::Tmpfs || is_dev);
                let later = if plan.readonly_later { attr::RDONLY } else { 0 };
                plan.attr = None;
                plan.what = What::New(NewMount {
                    fstype: fstype.clone(),
                    options: filesystem::options(
                        i,
                        m,
                        (*kind, fstype),
                        source,
                        options,
                        config.mount_label.as_ref(),
                    )?,
                    label: match &config.mount_label {
                        // It has no mount options at all.
                        Some(label) if *kind == Filesystem::Mqueue => Some(label.label.clone()),
                        _ => None,
                    },
                    attr: m.flags.new_attr() & !later,
                    copy_up: *copy_up,
                    mode_of_target: *kind == Filesystem::Tmpfs
                        && options.iter().all(|o| o.key.as_c_str() != c"mode"),
                });
            }
        }
        Ok(plan)
    }

    /// The path relative to the rootfs, if it is below that: then it means what the
    /// container has there when it is the mount's turn, other mounts included.
    fn inside(&self, path: &CStr) -> Option<CString> {
        let path = path.to_str().ok()?;
        // Only the kernel knows where that leads.
        if path.split('/').any(|part| part == "..") {
            return None;
        }
        let path = clean(path);
        let rest = path.strip_prefix(&self.rootfs).filter(|_| !self.rootfs.is_empty())?;
        match rest.strip_prefix('/') {
            Some(rest) => Some(super::c_string(rest)),
            None if rest.is_empty() => Some(c".".to_owned()),
            None => None,
        }
    }

    /// The user namespace whose mappings a mount gets: with those of its own, or
    /// the container's.
    fn id_map(&mut self, i: usize, map: &'a IdMapConfig) -> Result<IdMap> {
        let namespaces = &self.config.namespaces;
        let (uid, gid) = match (map.uid.is_empty(), namespaces.origin(Kind::User)) {
            (true, Origin::Path(path)) => {
                let namespace = Arc::new(namespaces::open(Kind::User, path)?);
                return Ok(IdMap { namespace, depth: map.depth });
            }
            (true, _) => (namespaces.uid_map.as_slice(), namespaces.gid_map.as_slice()),
            (false, _) => (map.uid.as_slice(), map.gid.as_slice()),
        };
        let known = self.user_namespaces.iter().find(|(u, g, _)| (*u, *g) == (uid, gid));
        let namespace = match known {
            Some((_, _, namespace)) => Arc::clone(namespace),
            None => {
                let made = launch::user_namespace(uid, gid).map_err(|error| {
                    error.wrap_as(
                        ErrorKind::Setup,
                        format!("mounts[{i}]: making a user namespace with its mappings"),
                    )
                })?;
                let made = Arc::new(made);
                self.user_namespaces.push((uid, gid, Arc::clone(&made)));
                made
            }
        };
        Ok(IdMap { namespace, depth: map.depth })
    }
}

fn host_hierarchy(i: usize, hierarchy: &CStr, trees: &mut Trees) -> Result<Tree> {
    let shape =
        Shape { depth: Depth::One, propagation: [Some((MS_PRIVATE, Depth::One)), None], id_map: None };
    HostFile::open(hierarchy).during(Call::Open).and_then(|file| trees.plain(file, shape)).map_err(
        |(call, errno)| {
            Error::os(errno, call.name())
                .wrap(format!("mounts[{i}]: cloning the mount of the cgroup hierarchy"))
        },
    )
}

/// A bind mount.
struct Bind<'a> {
    i: usize,
    m: &'a MountConfig,
    path: &'a CStr,
    depth: Depth,
    follow: Follow,
    config: &'a Config,
}

impl Bind<'_> {
    fn failed(&self, errno: Errno, call: &str) -> Error {
        let error =
            Error::os(errno, format!("{call} {}", show(self.path))).wrap("failed to fulfil mount request");
        error.wrap_as(ErrorKind::Setup, format!("mounts[{}].source", self.i))
    }

    /// `copy-symlink` of a path that is one.
    fn symlink(&self) -> Result<Option<What>> {
        if self.follow != Follow::Copy {
            return Ok(None);
        }
        let mut buf = [0; libc::PATH_MAX as usize];
        match fd::readlink(fd::CWD, self.path, &mut buf) {
            Ok(target) => Ok(Some(What::Symlink { target: CString::new(target).unwrap_or_default() })),
            // Not a link: mount it.
            Err(Errno::EINVAL) => Ok(None),
            Err(errno) => Err(self.failed(errno, "readlink")),
        }
    }

    /// The source is below the rootfs.
    fn inside(&self, path: CString, id_map: Option<IdMap>, cloner: Cloner) -> Inside {
        // Only who may mount the file system may map its ids, and that is not the
        // root of the container's user namespace.
        let by_helper = id_map.is_some() && cloner == Cloner::Helper;
        Inside { path, depth: self.depth, no_follow: self.follow == Follow::No, id_map, by_helper }
    }

    /// The source is on the host: a detached clone of it. `attr` is what the
    /// options do to it.
    fn tree(&self, id_map: Option<IdMap>, attr: &mut Option<MountAttr>, trees: &mut Trees) -> Result<What> {
        let file = self.open().map_err(|errno| self.failed(errno, "open"))?;
        if self.m.destination.as_c_str() == c"proc"
            && !proc::is_procfs(&file).map_err(|errno| self.failed(errno, "statfs"))?
        {
            let at = format!("mounts[{}].destination", self.i);
            return Err(invalid(at, "\"/proc\" cannot be mounted because it is not of type proc"));
        }
        if id_map.is_some() && trees.cloner() == Cloner::Child {
            return Err(self.not_mapped(Errno::EPERM));
        }
        let shape = Shape { depth: self.depth, propagation: self.propagation(), id_map };
        let cloned = trees.clone(&file, &shape).map_err(|(call, errno)| match (call, errno) {
            (Call::MapIds, errno) => self.not_mapped(errno),
            (Call::CloneTree, Errno::EINVAL) => {
                self.failed(errno, "open").with_hint("the mount that the source is on is unbindable")
            }
            (call, errno) => self.failed(errno, call.name()),
        })?;
        if self.locks_flags(cloned.as_ref(), attr.as_ref())? {
            let source = fd::mount_flags(&file).map_err(|errno| self.failed(errno, "statvfs"))?;
            *attr = self.m.flags.locked_attr(source).map_err(|flag| self.locked(flag))?;
        }
        let leaf = file.leaf;
        let tree =
            trees.tree(cloned, file, shape).map_err(|(call, errno)| self.failed(errno, call.name()))?;
        Ok(What::Tree { tree, leaf })
    }

    fn open(&self) -> crate::sys::Result<HostFile> {
        match self.follow {
            Follow::No => HostFile::open_no_links(self.path),
            Follow::Yes | Follow::Copy => HostFile::open(self.path),
        }
    }

    /// The propagation of a clone of the host's mounts. They are peers of the host's only
    /// where the configuration wants the whole rootfs to be one (config-linux.md, "Rootfs
    /// Mount Propagation") and the container is as privileged as the host. If it has a
    /// user namespace, they are slaves first, and then peers of each other, as in a mount
    /// namespace that the kernel copies for another user namespace.
    fn propagation(&self) -> [Option<(libc::c_ulong, Depth)>; 2] {
        let all = |propagation| Some((propagation, Depth::All));
        match self.config.rootfs_propagation {
            Some((MS_SHARED, _)) if self.config.namespaces.is_own(Kind::User) => {
                [all(MS_SLAVE), all(MS_SHARED)]
            }
            Some((MS_SHARED, _)) => [None, None],
            Some((MS_PRIVATE, _)) => [all(MS_PRIVATE), None],
            _ => [all(MS_SLAVE), None],
        }
    }

    /// Whether the kernel holds on to flags of the mount in the container's mount
    /// namespace (mount_namespaces(7), "Restrictions on mount namespaces"). Of the
    /// parent's own clone in the mount namespace of a rootless caller, it says so.
    fn locks_flags(&self, cloned: Option<&OwnedFd>, attr: Option<&MountAttr>) -> Result<bool> {
        let (Some(attr), Some(tree)) = (attr, cloned) else { return Ok(attr.is_some()) };
        if ns::is_initial_user_namespace().context(|| "stat /proc/self/ns/user")? {
            return Ok(false);
        }
        match mount::set_attr(tree, Depth::One, attr) {
            Ok(()) => Ok(false),
            Err(Errno::EPERM) => Ok(true),
            Err(errno) => Err(self.failed(errno, "mount_setattr")),
        }
    }

    fn not_mapped(&self, errno: Errno) -> Error {
        explain::map_ids(self.failed(errno, "failed to set MOUNT_ATTR_IDMAP on"), errno)
    }

    fn locked(&self, flag: &str) -> Error {
        let (source, destination) = (self.path.to_string_lossy(), self.m.destination.to_string_lossy());
        Error::os(Errno::EPERM, format!("cannot clear the locked flag {flag} of the source"))
            .with_hint("in a user namespace a mount keeps the restrictions that it has on the host")
            .wrap_as(
                ErrorKind::Setup,
                format!("error mounting {source:?} to rootfs at \"/{destination}\" (mounts[{}])", self.i),
            )
    }
}
