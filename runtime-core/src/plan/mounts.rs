// SPDX-License-Identifier: Apache-2.0
//! `mounts`: sources opened and cloned, ids mapped, options in the kernel's words.

mod filesystem;

use super::{Host, namespaces};
use crate::config::Config;
use crate::config::field::invalid;
use crate::config::mounts::{Filesystem, Follow, IdMap as IdMapConfig, Mount as MountConfig, Source};
use crate::config::namespaces::{Kind, Origin};
use crate::error::{Context, Error, ErrorKind, Result};
use crate::init::plan::{IdMap, Inside, Mount, NewMount, What};
use crate::init::step::Call;
use crate::init::tree::{self, Cloner, Tree};
use crate::launch;
use crate::path::root::Leaf;
use crate::path::{clean, proc, show};
use crate::spec::IdMapping;
use crate::sys::mount::{self, Depth, MountAttr, attr};
use crate::sys::{Errno, fd, ns};
use libc::{MS_PRIVATE, MS_SHARED, MS_SLAVE};
use std::ffi::{CStr, CString};
use std::os::fd::OwnedFd;

/// Plans the mounts of a container whose rootfs is at an absolute path.
pub(super) fn mounts(config: &Config, host: &Host<'_>, cloner: Cloner) -> Result<Box<[Mount]>> {
    let mut planner = Planner {
        config,
        rootfs: clean(host.rootfs),
        hierarchy: host.hierarchy,
        cloner,
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
    cloner: Cloner,
    /// One for each different pair of maps, uid and gid.
    user_namespaces: Vec<(&'a [IdMapping], &'a [IdMapping], OwnedFd)>,
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
                let bind = Bind { i, m, path, depth: *depth, follow: *follow, config, cloner: self.cloner };
                plan.what = match bind.symlink()? {
                    Some(symlink) => symlink,
                    None => match self.inside(path) {
                        Some(inside) => What::Inside(bind.inside(inside, id_map)),
                        None => bind.tree(id_map, &mut plan.attr)?,
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
                        tree: host_hierarchy(i, self.hierarchy, self.cloner)?,
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
                return Ok(IdMap { namespace: namespaces::open(Kind::User, path)?, depth: map.depth });
            }
            (true, _) => (namespaces.uid_map.as_slice(), namespaces.gid_map.as_slice()),
            (false, _) => (map.uid.as_slice(), map.gid.as_slice()),
        };
        let known = self.user_namespaces.iter().find(|(u, g, _)| (*u, *g) == (uid, gid));
        let namespace = match known {
            Some((_, _, namespace)) => namespace.try_clone().map_err(|error| Error::io(&error, "dup"))?,
            None => {
                let made = launch::user_namespace(uid, gid).map_err(|error| {
                    error.wrap_as(
                        ErrorKind::Setup,
                        format!("mounts[{i}]: making a user namespace with its mappings"),
                    )
                })?;
                let copy = made.try_clone().map_err(|error| Error::io(&error, "dup"))?;
                self.user_namespaces.push((uid, gid, made));
                copy
            }
        };
        Ok(IdMap { namespace, depth: map.depth })
    }
}

fn host_hierarchy(i: usize, hierarchy: &CStr, cloner: Cloner) -> Result<Tree> {
    let source = tree::Source {
        path: hierarchy.to_owned(),
        depth: Depth::One,
        flags: 0,
        propagation: [Some((MS_PRIVATE, Depth::One)), None],
    };
    Tree::new(source, cloner).map_err(|(call, errno)| {
        Error::os(errno, call.name()).wrap(format!("mounts[{i}]: cloning the mount of the cgroup hierarchy"))
    })
}

/// A bind mount.
struct Bind<'a> {
    i: usize,
    m: &'a MountConfig,
    path: &'a CStr,
    depth: Depth,
    follow: Follow,
    config: &'a Config,
    cloner: Cloner,
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
    fn inside(&self, path: CString, id_map: Option<IdMap>) -> Inside {
        // Only who may mount the file system may map its ids, and that is not the
        // root of the container's user namespace.
        let by_parent = id_map.is_some() && self.config.namespaces.is_own(Kind::User);
        Inside { path, depth: self.depth, no_follow: self.follow == Follow::No, id_map, by_parent }
    }

    /// The source is on the host: a detached clone of it. `attr` is what the
    /// options do to it.
    fn tree(&self, id_map: Option<IdMap>, attr: &mut Option<MountAttr>) -> Result<What> {
        // Peers of the host's mounts only where the configuration wants the whole
        // rootfs to be one (config-linux.md, "Rootfs Mount Propagation").
        let propagation = match self.config.rootfs_propagation {
            Some((MS_SHARED, _)) => None,
            Some((MS_PRIVATE, _)) => Some((MS_PRIVATE, Depth::All)),
            _ => Some((MS_SLAVE, Depth::All)),
        };
        let source = tree::Source {
            path: self.path.to_owned(),
            depth: self.depth,
            flags: if self.follow == Follow::No { libc::AT_SYMLINK_NOFOLLOW } else { 0 },
            propagation: [propagation, None],
        };
        let tree = Tree::new(source, self.cloner).map_err(|(call, errno)| {
            let error = self.failed(errno, if call == Call::CloneTree { "open" } else { call.name() });
            match errno {
                Errno::EINVAL => error.with_hint("the mount that the source is on is unbindable"),
                _ => error,
            }
        })?;
        if self.m.destination.as_c_str() == c"proc"
            && !tree.look(|root| proc::is_procfs(root)).map_err(|errno| self.failed(errno, "statfs"))?
        {
            let at = format!("mounts[{}].destination", self.i);
            return Err(invalid(at, "\"/proc\" cannot be mounted because it is not of type proc"));
        }
        if let Some(map) = id_map {
            let tree = tree.cloned().ok_or_else(|| self.not_mapped(Errno::EPERM))?;
            map.apply(tree).map_err(|errno| self.not_mapped(errno))?;
        }
        if self.locks_flags(&tree, attr.as_ref())? {
            let source =
                tree.look(|root| fd::mount_flags(root)).map_err(|errno| self.failed(errno, "statvfs"))?;
            *attr = self.m.flags.locked_attr(source).map_err(|flag| self.locked(flag))?;
        }
        let st = tree.look(|root| fd::stat(root)).map_err(|errno| self.failed(errno, "stat"))?;
        let leaf = if st.st_mode & libc::S_IFMT == libc::S_IFDIR { Leaf::Directory } else { Leaf::File };
        Ok(What::Tree { tree, leaf })
    }

    /// Whether the kernel holds on to flags of the mount in the container's mount
    /// namespace (mount_namespaces(7), "Restrictions on mount namespaces"). If that
    /// belongs to a new user namespace, it would, but for the mount being cloned
    /// before it comes there; so we do. If it is that of a rootless caller, it says so.
    fn locks_flags(&self, tree: &Tree, attr: Option<&MountAttr>) -> Result<bool> {
        let (Some(attr), Some(tree)) = (attr, tree.cloned()) else { return Ok(attr.is_some()) };
        if self.config.namespaces.is_own(Kind::User) {
            return Ok(true);
        }
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
        let error = self.failed(errno, "failed to set MOUNT_ATTR_IDMAP on");
        match errno {
            Errno::EINVAL => error.with_hint("the file system does not support id-mapped mounts"),
            Errno::EPERM => error.with_hint(
                "it takes CAP_SYS_ADMIN where the file system was mounted, and a mount that is not mapped already",
            ),
            _ => error,
        }
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
