// SPDX-License-Identifier: Apache-2.0
//! The root file system, its mounts and devices: sources opened and cloned.

use super::labels;
use crate::cgroup::Hierarchy;
use crate::config::Config;
use crate::config::devices::{Node as NodeConfig, NodeKind};
use crate::config::field::{invalid, unsupported};
use crate::config::mounts::{Filesystem, Follow, FsOption, Mount as MountConfig, MountLabel, Source};
use crate::config::namespaces::Kind;
use crate::error::{Context, Error, ErrorKind, Result};
use crate::init::plan::{Dev, Mount, NewMount, Node, Rootfs, What};
use crate::init::step::Call;
use crate::init::tree::{self, Cloner, Tree};
use crate::path::root::Leaf;
use crate::path::{proc, show};
use crate::sys::mount::{Depth, MountAttr, attr};
use crate::sys::{Errno, cred, fd};
use libc::{MS_PRIVATE, MS_SHARED, MS_SLAVE, MS_UNBINDABLE};
use std::ffi::{CStr, CString};
use std::os::fd::OwnedFd;

pub(super) fn rootfs(config: &Config, path: &str, no_pivot: bool) -> Result<Rootfs> {
    let dir = open_rootfs(path)?;
    let own_namespace = config.namespaces.is_own(Kind::Mount);
    let cloner = cloner(config)?;
    if no_pivot && matches!(config.rootfs_propagation, Some((MS_PRIVATE, _))) {
        return Err(invalid("linux.rootfsPropagation", "[r]private is not safe without pivot_root"));
    }
    if config.mount_label.is_some() {
        labels::require_selinux("linux.mountLabel")?;
    }
    let mounts = config
        .mounts
        .iter()
        .enumerate()
        .map(|(i, m)| plan_mount(i, m, config, cloner))
        .collect::<Result<_>>()?;
    Ok(Rootfs {
        tree: rootfs_tree(path, config, cloner)?,
        root: dir,
        own_namespace,
        mount_point: if own_namespace && !config.hooks.are_before_pivot() {
            c"/".to_owned()
        } else {
            super::c_string(path)
        },
        pivot: !no_pivot,
        readonly: config.rootfs_readonly,
        // The others are what the clone has already.
        propagation: config.rootfs_propagation.filter(|(flag, _)| matches!(*flag, MS_SHARED | MS_UNBINDABLE)),
        mounts,
        dev: if brings_own_dev(config) { None } else { Some(dev(config, cloner)?) },
    })
}

fn open_rootfs(path: &str) -> Result<OwnedFd> {
    let c_path = super::c_string(path);
    fd::open_follow(fd::CWD, &c_path, libc::O_PATH | libc::O_DIRECTORY, 0)
        .context(|| format!("stat {path}"))
        .map_err(|error| error.wrap_as(ErrorKind::InvalidConfig, "invalid rootfs"))
}

/// Only the privileged can clone mounts where they are.
fn cloner(config: &Config) -> Result<Cloner> {
    if !config.namespaces.is_new(Kind::User) {
        return Ok(Cloner::Parent);
    }
    let effective = cred::cap_get().context(|| "capget")?.effective;
    Ok(if effective & 1 << cred::CAP_SYS_ADMIN == 0 { Cloner::Child } else { Cloner::Parent })
}

/// The rootfs, with all that is mounted below it. It is not a peer of the host's
/// mount, or pivot_root would refuse it and mounts in the container would show on
/// the host; what is mounted below still receives from the host, as a hook or a
/// volume plugin may expect.
fn rootfs_tree(path: &str, config: &Config, cloner: Cloner) -> Result<Tree> {
    let private = !matches!(config.rootfs_propagation, Some((MS_SLAVE, _)));
    let source = tree::Source {
        path: super::c_string(path),
        depth: Depth::All,
        flags: 0,
        propagation: [Some((MS_SLAVE, Depth::All)), private.then_some((MS_PRIVATE, Depth::One))],
    };
    Tree::new(source, cloner).map_err(|(call, errno)| {
        let what = format!("cloning the mount of rootfs {path}");
        let error = Error::os(errno, call.name()).wrap_as(ErrorKind::Setup, what);
        if errno == Errno::EINVAL {
            error.with_hint("the mount that the rootfs is on is unbindable")
        } else {
            error
        }
    })
}

fn plan_mount(i: usize, m: &MountConfig, config: &Config, cloner: Cloner) -> Result<Mount> {
    let mut plan = Mount {
        destination: m.destination.clone(),
        source: CString::default(),
        what: What::Remount,
        no_follow: m.no_follow,
        attr: m.bind_attr(),
        all: m.all,
        propagation: m.propagation.clone().into(),
        readonly_later: false,
        attached: None,
    };
    match &m.source {
        Source::Remount => {}
        Source::Bind { path, depth, follow, id_map } => {
            plan.source = path.clone();
            if id_map.is_some() {
                return Err(unsupported(
                    format_args!("mounts[{i}]"),
                    "id-mapped mounts are not supported yet",
                ));
            }
            plan.what = bind(i, m, path, *depth, *follow, config, cloner)?;
        }
        Source::New { kind, fstype, source, options, copy_up } => {
            plan.source = source.clone();
            if *copy_up {
                return Err(unsupported(
                    format_args!("mounts[{i}].options"),
                    "tmpcopyup is not supported yet",
                ));
            }
            if *kind == Filesystem::Cgroup && !config.namespaces.is_own(Kind::Cgroup) {
                // Not a new mount: in the host's first cgroup namespace that sets
                // the options of the whole hierarchy anew, and takes nsdelegate
                // and memory_recursiveprot from the host. And root of a user
                // namespace may mount only what its own cgroup namespace shows.
                plan.attr = Some(MountAttr { set: m.new_attr(), ..MountAttr::default() });
                plan.what = What::Tree { tree: host_hierarchy(i, cloner)?, leaf: Leaf::Directory };
                return Ok(plan);
            }
            // Mount points below it must still be made, so this waits.
            let is_dev = m.destination.as_c_str() == c"dev";
            plan.readonly_later = m.is_readonly() && (*kind == Filesystem::Tmpfs || is_dev);
            let later = if plan.readonly_later { attr::RDONLY } else { 0 };
            plan.attr = None;
            plan.what = What::New(NewMount {
                fstype: fstype.clone(),
                options: filesystem_options(m, *kind, source, options, config.mount_label.as_ref()),
                label: match &config.mount_label {
                    // It has no mount options at all.
                    Some(label) if *kind == Filesystem::Mqueue => Some(label.label.clone()),
                    _ => None,
                },
                attr: m.new_attr() & !later,
                mode_of_target: *kind == Filesystem::Tmpfs
                    && options.iter().all(|o| o.key.as_c_str() != c"mode"),
            });
        }
    }
    Ok(plan)
}

fn host_hierarchy(i: usize, cloner: Cloner) -> Result<Tree> {
    let source = tree::Source {
        path: Hierarchy::find()?.mount_point().to_owned(),
        depth: Depth::One,
        flags: 0,
        propagation: [Some((MS_PRIVATE, Depth::One)), None],
    };
    Tree::new(source, cloner).map_err(|(call, errno)| {
        Error::os(errno, call.name()).wrap(format!("mounts[{i}]: cloning the mount of the cgroup hierarchy"))
    })
}

/// The options for fsconfig(2): the source, the flags of the file system, its own.
fn filesystem_options(
    m: &MountConfig,
    kind: Filesystem,
    source: &CStr,
    options: &[FsOption],
    label: Option<&MountLabel>,
) -> Box<[(CString, Option<CString>)]> {
    let mut all = vec![(c"source".to_owned(), Some(source.to_owned()))];
    // Kernel file systems are one for many mounts: there, read-only is a
    // property of the mount alone.
    if m.is_readonly() && kind == Filesystem::Other {
        all.push((c"ro".to_owned(), None));
    }
    all.extend(m.superblock_flags().map(|flag| (flag.to_owned(), None)));
    all.extend(options.iter().map(|o| (o.key.clone(), o.value.clone())));
    if let Some(MountLabel { option, label }) = label.filter(|_| kind.takes_label()) {
        all.push(((*option).to_owned(), Some(label.clone())));
    }
    all.into()
}

fn bind(
    i: usize,
    m: &MountConfig,
    path: &CStr,
    depth: Depth,
    follow: Follow,
    config: &Config,
    cloner: Cloner,
) -> Result<What> {
    let failed = |errno: Errno, call: &str| {
        let error = Error::os(errno, format!("{call} {}", show(path))).wrap("failed to fulfil mount request");
        let error = error.wrap_as(ErrorKind::Setup, format!("mounts[{i}].source"));
        if errno == Errno::EINVAL {
            error.with_hint("the mount that the source is on is unbindable")
        } else {
            error
        }
    };
    if follow == Follow::Copy {
        let mut buf = [0; libc::PATH_MAX as usize];
        match fd::readlink(fd::CWD, path, &mut buf) {
            Ok(target) => return Ok(What::Symlink { target: CString::new(target).unwrap_or_default() }),
            // Not a link: mount it.
            Err(Errno::EINVAL) => {}
            Err(errno) => return Err(failed(errno, "readlink")),
        }
    }
    // Peers of the host's mounts only where the configuration wants the whole
    // rootfs to be one (config-linux.md, "Rootfs Mount Propagation").
    let propagation = match config.rootfs_propagation {
        Some((MS_SHARED, _)) => None,
        Some((MS_PRIVATE, _)) => Some((MS_PRIVATE, Depth::All)),
        _ => Some((MS_SLAVE, Depth::All)),
    };
    let flags = if follow == Follow::No { libc::AT_SYMLINK_NOFOLLOW } else { 0 };
    let source = tree::Source { path: path.to_owned(), depth, flags, propagation: [propagation, None] };
    let tree = Tree::new(source, cloner)
        .map_err(|(call, errno)| failed(errno, if call == Call::CloneTree { "open" } else { call.name() }))?;
    if m.destination.as_c_str() == c"proc"
        && !tree.look(|root| proc::is_procfs(root)).map_err(|errno| failed(errno, "statfs"))?
    {
        let at = format!("mounts[{i}].destination");
        return Err(invalid(at, "\"/proc\" cannot be mounted because it is not of type proc"));
    }
    let st = tree.look(|root| fd::stat(root)).map_err(|errno| failed(errno, "stat"))?;
    let leaf = if st.st_mode & libc::S_IFMT == libc::S_IFDIR { Leaf::Directory } else { Leaf::File };
    Ok(What::Tree { tree, leaf })
}

/// With a bind mount on /dev, what is in it is the configuration's business.
fn brings_own_dev(config: &Config) -> bool {
    config
        .mounts
        .iter()
        .any(|m| m.destination.as_c_str() == c"dev" && matches!(m.source, Source::Bind { .. }))
}

fn dev(config: &Config, cloner: Cloner) -> Result<Dev> {
    let by_binding = config.namespaces.is_own(Kind::User);
    let mut links = vec![
        (c"/proc/self/fd", c"dev/fd"),
        (c"/proc/self/fd/0", c"dev/stdin"),
        (c"/proc/self/fd/1", c"dev/stdout"),
        (c"/proc/self/fd/2", c"dev/stderr"),
        (c"pts/ptmx", c"dev/ptmx"),
    ];
    if fd::access(fd::CWD, c"/proc/kcore", libc::F_OK, 0).is_ok() {
        links.push((c"/proc/kcore", c"dev/core"));
    }
    let is_ptmx = |node: &&NodeConfig| node.path.as_c_str() == c"dev/ptmx";
    let nodes = config
        .nodes
        .iter()
        .filter(|node| !is_ptmx(node))
        .map(|n| node(n, by_binding.then_some(cloner)))
        .collect::<Result<_>>()?;
    Ok(Dev { nodes, links: links.into() })
}

/// `bind`: the kernel lets nobody make device nodes in a user namespace, so the
/// container gets a mount of the host's.
fn node(node: &NodeConfig, bind: Option<Cloner>) -> Result<Node> {
    let dev = libc::makedev(node.major, node.minor);
    // A fifo is no device: everybody may make one.
    let bind = bind.filter(|_| node.kind != NodeKind::Fifo);
    Ok(Node {
        path: node.path.clone(),
        mode: node.kind.mode() | node.mode,
        dev,
        uid: node.uid,
        gid: node.gid,
        host: bind.map(|cloner| host_node(node, dev, cloner)).transpose()?,
    })
}

fn host_node(node: &NodeConfig, dev: u64, cloner: Cloner) -> Result<Tree> {
    let path = CString::new([b"/", node.path.to_bytes()].concat()).unwrap_or_default();
    let at = format!("device {} of the host", show(&path));
    let propagation = [Some((MS_PRIVATE, Depth::One)), None];
    let source = tree::Source { path, depth: Depth::One, flags: 0, propagation };
    let tree =
        Tree::new(source, cloner).map_err(|(call, errno)| Error::os(errno, call.name()).wrap(at.clone()))?;
    let st = tree.look(|root| fd::stat(root)).context(|| at.clone())?;
    if st.st_mode & libc::S_IFMT != node.kind.mode() || st.st_rdev != dev {
        return Err(invalid("linux.devices", format_args!("{at} is not {}:{}", node.major, node.minor)));
    }
    Ok(tree)
}
