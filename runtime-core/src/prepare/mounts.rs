// SPDX-License-Identifier: Apache-2.0
//! The plan of `mounts`: opens and clones their sources, maps ids, translates options.

pub(super) mod filesystem;
mod sysfs;
pub(super) mod user_namespaces;

use super::extras::{Host, Mode, stand_in};
use super::namespaces;
use super::source::{self, BindSource, Sources};
use super::trees::{HostFile, Trees};
use crate::boundary::plan::{
    FromContainer, FsOptions, Join, Mount, MountKind, NewMount, Parameters, PidNamespace, Remount,
};
use crate::boundary::reply::MESSAGE_MAX;
use crate::boundary::step::{Call, During};
use crate::boundary::tree::{Cloner, IdMap, Shape, Tree};
use crate::child::mounts::make_tree;
use crate::config::Config;
use crate::config::field::invalid;
use crate::config::mounts::{Filesystem, Follow, IdMap as IdMapConfig, Mount as MountConfig, MountSource};
use crate::config::namespaces::{NamespaceKind, Origin};
use crate::error::{Error, ErrorKind, Result};
use crate::parent::explain;
use crate::path::root::Leaf;
use crate::path::{proc, show};
use libc::{MS_PRIVATE, MS_SHARED, MS_SLAVE};
use runtime_sys::mount::{self, Depth, MountAttr, attr};
use runtime_sys::{Errno, fd};
use std::ffi::{CStr, CString};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use user_namespaces::UserNamespaces;

/// Makes the plan of the mounts of a container with this rootfs.
pub(super) fn mounts(
    config: &Config,
    host: &Host<'_>,
    joins: &[Join],
    rootfs: &OwnedFd,
    trees: &mut Trees,
) -> Result<Box<[Mount]>> {
    let mut planner = Planner {
        config,
        joins,
        sources: Sources::new(rootfs, host.rootfs),
        hierarchy: host.hierarchy,
        mode: host.mode,
        trees,
        user_namespaces: UserNamespaces::default(),
    };
    config.mounts.iter().enumerate().map(|(i, m)| planner.mount(i, m)).collect()
}

/// The state that all mounts share.
struct Planner<'a> {
    config: &'a Config,
    joins: &'a [Join],
    sources: Sources<'a>,
    /// The mount point of the host's cgroup2.
    hierarchy: &'a CStr,
    mode: Mode<'a>,
    trees: &'a mut Trees,
    user_namespaces: UserNamespaces<'a>,
}

impl<'a> Planner<'a> {
    fn mount(&mut self, i: usize, m: &'a MountConfig) -> Result<Mount> {
        let config = self.config;
        let mut plan = Mount {
            destination: m.destination.clone(),
            source: CString::default(),
            what: MountKind::Remount(Remount::default()),
            no_follow: m.no_follow,
            attr: m.flags.bind_attr(),
            all: m.all,
            propagation: m.propagation.clone().into(),
            readonly_later: false,
            attached: None,
            id: 0,
        };
        match &m.source {
            MountSource::Remount { is_bind: true, .. } => {}
            MountSource::Remount { is_bind: false, options } => {
                let words = m.flags.superblock_changes().map(|word| (word.to_owned(), None));
                let own = options.iter().map(|option| (option.key.clone(), option.value.clone()));
                plan.what = MountKind::Remount(Remount {
                    readonly: m.flags.readonly(),
                    parameters: words.chain(own).collect(),
                });
            }
            MountSource::Bind { path, depth, follow, id_map } => {
                plan.source = path.clone();
                let id_map = id_map.as_ref().map(|map| self.id_map(i, map)).transpose()?;
                let bind = Bind { i, m, path, depth: *depth, follow: *follow, config };
                let found = match self.mode {
                    Mode::Show { notify: Some(notify) } if notify == path.as_c_str() => {
                        BindSource::Host(HostFile::root().map_err(|errno| bind.failed(errno, "open"))?)
                    }
                    _ => bind.find(&self.sources)?,
                };
                plan.what = match (bind.symlink(&found, &self.sources)?, found) {
                    (Some(symlink), _) => symlink,
                    (None, BindSource::FromContainer(inside)) => {
                        MountKind::FromContainer(bind.inside(inside, id_map, self.trees.cloner())?)
                    }
                    (None, BindSource::Host(file)) => bind.tree(file, id_map, &mut plan.attr, self.trees)?,
                };
            }
            MountSource::New { kind, fstype, source, options, copy_up } => {
                plan.source = source.clone();
                if *kind == Filesystem::Cgroup && !namespaces::has_cgroups_apart(&config.namespaces)? {
                    // The host's mount is cloned. A new mount in the initial cgroup namespace
                    // would reset the options of the whole hierarchy: the host would lose
                    // nsdelegate and memory_recursiveprot. And root of a user namespace may mount
                    // only the hierarchy of a cgroup namespace of its own.
                    plan.attr = Some(MountAttr { set: m.flags.new_attr(), ..MountAttr::default() });
                    plan.what = MountKind::Tree {
                        tree: host_hierarchy(i, self.hierarchy, self.trees)?,
                        leaf: Leaf::Directory,
                    };
                    return Ok(plan);
                }
                if *kind == Filesystem::Sysfs
                    && m.flags.is_readonly()
                    && sysfs::is_refused(&config.namespaces)?
                {
                    // The host's sysfs replaces it, as with crun.
                    plan.attr = None;
                    plan.all.set |= m.flags.new_attr() & !attr::ATIME;
                    plan.what =
                        MountKind::Tree { tree: sysfs::of_host(i, self.trees)?, leaf: Leaf::Directory };
                    return Ok(plan);
                }
                // Read-only is set later, because mount points below must still be made.
                let is_dev = m.destination.as_c_str() == c"dev";
                plan.readonly_later = m.flags.is_readonly() && (*kind == Filesystem::Tmpfs || is_dev);
                let later = if plan.readonly_later { attr::RDONLY } else { 0 };
                plan.attr = None;
                let new = NewMount {
                    fstype: fstype.clone(),
                    options: filesystem::options(
                        format_args!("mounts[{i}]"),
                        m,
                        (*kind, fstype),
                        source,
                        options,
                        config.mount_label.as_ref(),
                    )?,
                    label: match &config.mount_label {
                        // mqueue takes no mount options, so its root directory is labeled instead.
                        Some(label) if *kind == Filesystem::Mqueue => Some(label.label.clone()),
                        _ => None,
                    },
                    attr: m.flags.new_attr() & !later,
                    shows: match fstype.as_c_str() == c"proc" {
                        true => self.joined_pid_namespace()?,
                        false => None,
                    },
                    copy_up: *copy_up,
                    readonly_superblock: *kind == Filesystem::Other,
                    mode_of_target: *kind == Filesystem::Tmpfs
                        && options.iter().all(|o| o.key.as_c_str() != c"mode"),
                };
                let is_ours =
                    *kind == Filesystem::Other && self.trees.cloner() == Cloner::Parent && self.mode.makes();
                plan.what = match &new.options {
                    FsOptions::Parameters(parameters) if is_ours && is_block_device(source) => {
                        MountKind::Tree {
                            tree: Tree::Cloned(on_block_device(i, m, source, &new, parameters)?),
                            leaf: Leaf::Directory,
                        }
                    }
                    _ => MountKind::New(new),
                };
            }
        }
        Ok(plan)
    }

    /// Returns the pid namespace that the container joins, if any.
    fn joined_pid_namespace(&self) -> Result<Option<PidNamespace>> {
        let flag = NamespaceKind::Pid.flag();
        let Some(join) = self.joins.iter().find(|join| join.flags == flag) else { return Ok(None) };
        let joined = join.fd.try_clone().map_err(|error| Error::io(&error, "dup"))?;
        Ok(Some(PidNamespace { joined, context: None }))
    }

    /// Returns the id map of a mount: a user namespace with the mount's own mappings, or with the
    /// container's.
    fn id_map(&mut self, i: usize, map: &'a IdMapConfig) -> Result<IdMap> {
        let namespaces = &self.config.namespaces;
        let (uid, gid) = match (map.uid.is_empty(), namespaces.origin(NamespaceKind::User)) {
            (true, Origin::Path(path)) => {
                let namespace = Arc::new(namespaces::open(NamespaceKind::User, path)?);
                return Ok(IdMap { namespace, depth: map.depth });
            }
            (true, _) => (namespaces.uid_map.as_slice(), namespaces.gid_map.as_slice()),
            (false, _) => (map.uid.as_slice(), map.gid.as_slice()),
        };
        let namespace = match self.mode.makes() {
            true => self.user_namespaces.get(format_args!("mounts[{i}]"), uid, gid)?,
            false => Arc::new(stand_in()?),
        };
        Ok(IdMap { namespace, depth: map.depth })
    }
}

fn host_hierarchy(i: usize, hierarchy: &CStr, trees: &mut Trees) -> Result<Tree> {
    let shape =
        Shape { depth: Depth::One, propagation: [Some((MS_PRIVATE, Depth::One)), None], id_map: None };
    HostFile::open(hierarchy)
        .during(Call::Open)
        .and_then(|file| trees.plain(&file, file.leaf, shape))
        .map_err(|(call, errno)| {
            Error::os(errno, call.name())
                .wrap(format!("mounts[{i}]: cloning the mount of the cgroup hierarchy"))
                .at(&format!("mounts[{i}]"))
        })
}

fn is_block_device(path: &CStr) -> bool {
    let is_block = |st: libc::stat| st.st_mode & libc::S_IFMT == libc::S_IFBLK;
    path.to_bytes().starts_with(b"/") && fd::stat_at(fd::CWD, path, 0).is_ok_and(is_block)
}

/// Mounts the file system of a block device in the parent, outside of the container's cgroup.
/// So the mount does not depend on the container's device filter (linux.resources.devices), nor
/// on whether the filter is attached already.
fn on_block_device(
    i: usize,
    m: &MountConfig,
    source: &CStr,
    new: &NewMount,
    parameters: &Parameters,
) -> Result<OwnedFd> {
    let (source, destination) = (source.to_string_lossy(), m.destination.to_string_lossy());
    let at = || format!("error mounting {source:?} to rootfs at \"/{destination}\" (mounts[{i}])");
    let field = format!("mounts[{i}]");
    let failed = |errno, call: Call| Error::os(errno, call.name()).wrap_as(ErrorKind::Setup, at()).at(&field);
    let context = mount::fsopen(&new.fstype).map_err(|errno| failed(errno, Call::Fsopen))?;
    make_tree(&context, new, parameters, None).map_err(|(call, errno)| {
        let mut buf = [0; MESSAGE_MAX];
        match mount::last_words(&context, &mut buf) {
            Some(words) => {
                let words = String::from_utf8_lossy(words);
                failed(errno, call).with_hint(format!("the kernel reports {words:?}"))
            }
            None => failed(errno, call),
        }
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
}

impl Bind<'_> {
    fn failed(&self, errno: Errno, call: &str) -> Error {
        let error =
            Error::os(errno, format!("{call} {}", show(self.path))).wrap("failed to fulfil mount request");
        let field = format!("mounts[{}].source", self.i);
        error.wrap_as(ErrorKind::Setup, field.as_str()).at(&field)
    }

    fn find(&self, sources: &Sources<'_>) -> Result<BindSource> {
        sources.find(self.path, self.follow != Follow::Yes).map_err(|errno| self.failed(errno, "open"))
    }

    /// Returns the link to make for the option `copy-symlink`; `None` if the source is to be mounted.
    fn symlink(&self, found: &BindSource, sources: &Sources<'_>) -> Result<Option<MountKind>> {
        if self.follow != Follow::Copy {
            return Ok(None);
        }
        let target = match found {
            BindSource::Host(file) => source::read_link(file),
            BindSource::FromContainer(path) => sources.read_link(path),
        };
        match (target, found) {
            (Ok(target), _) => Ok(Some(MountKind::Symlink { target })),
            // The source is not a link, or does not exist before other mounts are made: mount it.
            (Err(Errno::EINVAL), _) | (Err(Errno::ENOENT), BindSource::FromContainer(_)) => Ok(None),
            (Err(errno), _) => Err(self.failed(errno, "readlink")),
        }
    }

    /// Makes the plan of a bind mount whose source is below the rootfs.
    fn inside(&self, path: CString, id_map: Option<IdMap>, cloner: Cloner) -> Result<FromContainer> {
        // A source below the rootfs is never a procfs (see `clone_inside`).
        if self.is_on_proc() {
            return Err(self.not_proc());
        }
        // Mapping ids takes CAP_SYS_ADMIN over the file system, which root of the container's
        // user namespace does not have. So the helper does it.
        let by_helper = id_map.is_some() && cloner == Cloner::Helper;
        Ok(FromContainer { path, depth: self.depth, no_follow: self.follow == Follow::No, id_map, by_helper })
    }

    /// Makes the plan of a bind mount whose source is on the host: a detached clone of the source.
    /// `attr` are the mount attributes of the options.
    fn tree(
        &self,
        file: HostFile,
        id_map: Option<IdMap>,
        attr: &mut Option<MountAttr>,
        trees: &mut Trees,
    ) -> Result<MountKind> {
        if self.is_on_proc() && !proc::is_procfs(&file).map_err(|errno| self.failed(errno, "statfs"))? {
            return Err(self.not_proc());
        }
        if id_map.is_some() && trees.cloner() == Cloner::Child {
            return Err(self.not_mapped(Errno::EPERM));
        }
        let shape = Shape { depth: self.depth, propagation: self.propagation(trees.cloner()), id_map };
        let cloned = match trees.clone(&file, &shape) {
            // The mount is unbindable, but its copy in the container's mount namespace is a slave.
            Err((Call::CloneTree, Errno::EINVAL)) if self.config.namespaces.is_new(NamespaceKind::Mount) => {
                let leaf = file.leaf;
                let tree = Trees::of_child(&file, leaf, shape);
                let tree = tree.map_err(|(call, errno)| self.failed(errno, call.name()))?;
                return Ok(MountKind::Tree { tree, leaf });
            }
            Err((Call::CloneTree, errno @ Errno::EINVAL)) => {
                let hint = "the mount of the source is unbindable";
                return Err(self.failed(errno, "open").with_hint(hint));
            }
            Err((Call::MapIds, errno)) => return Err(self.not_mapped(errno)),
            Err((call, errno)) => return Err(self.failed(errno, call.name())),
            Ok(cloned) => cloned,
        };
        if self.locks_flags(cloned.as_ref(), attr.as_ref(), trees.cloner())? {
            let source = fd::mount_flags(&file).map_err(|errno| self.failed(errno, "statvfs"))?;
            *attr = self.m.flags.locked_attr(source).map_err(|flag| self.locked(flag))?;
        }
        let leaf = file.leaf;
        let tree = trees
            .tree(cloned, &file, leaf, shape)
            .map_err(|(call, errno)| self.failed(errno, call.name()))?;
        Ok(MountKind::Tree { tree, leaf })
    }

    fn is_on_proc(&self) -> bool {
        self.m.destination.as_c_str() == c"proc"
    }

    fn not_proc(&self) -> Error {
        let at = format!("mounts[{}].destination", self.i);
        invalid(at, "\"/proc\" cannot be mounted because it is not of type proc")
    }

    /// Returns the propagation of a clone of the host's mounts. The clone is a peer of the host's
    /// mounts only if the configuration asks for a shared rootfs (config-linux.md, "Rootfs Mount
    /// Propagation") and the container has no user namespace of its own. With a user namespace,
    /// the mounts are made slaves first and then shared, as in a mount namespace that the kernel
    /// copies for another user namespace.
    fn propagation(&self, cloner: Cloner) -> [Option<(libc::c_ulong, Depth)>; 2] {
        let all = |propagation| Some((propagation, Depth::All));
        match self.config.rootfs_propagation {
            Some((MS_SHARED, _)) if cloner == Cloner::Parent => [None, None],
            Some((MS_SHARED, _)) => [all(MS_SLAVE), all(MS_SHARED)],
            // `private` is for the root alone: a volume may still be a slave.
            Some((MS_PRIVATE, Depth::All)) => [all(MS_PRIVATE), None],
            _ => [all(MS_SLAVE), None],
        }
    }

    /// Returns whether the kernel may lock flags of the mount in the container's mount namespace
    /// (mount_namespaces(7), "Restrictions on mount namespaces"). For the parent's own clone in a
    /// user namespace, the change of flags is tried: EPERM means locked. For a tree that another
    /// process clones later, the flags are assumed to be locked.
    fn locks_flags(
        &self,
        cloned: Option<&OwnedFd>,
        attr: Option<&MountAttr>,
        cloner: Cloner,
    ) -> Result<bool> {
        let Some(attr) = attr else { return Ok(false) };
        if cloner == Cloner::Parent && crate::userns::is_initial_user_namespace()? {
            return Ok(false);
        }
        let Some(tree) = cloned else { return Ok(true) };
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
            .at(&format!("mounts[{}]", self.i))
    }
}
