// SPDX-License-Identifier: Apache-2.0
//! The plan of the root file system and its devices.

use super::extras::{Host, Mode, RootfsMounts};
use super::trees::{HostFile, Trees};
use super::{labels, mounts};
use crate::boundary::plan::{Dev, DevPlace, Join, Node, Rootfs};
use crate::boundary::tree::{self, Cloner, Later, NewNode, Shape, Tree, TreeHelper};
use crate::child::devices::DEVICE_MODE;
use crate::child::rootfs_maker::Place;
use crate::config::Config;
use crate::config::devices::{Node as NodeConfig, NodeKind};
use crate::config::field::invalid;
use crate::config::mounts::{Mount, MountSource};
use crate::config::namespaces::NamespaceKind;
use crate::error::{Context, Error, ErrorKind, Result};
use crate::path::root::Leaf;
use crate::path::show;
use libc::{MS_PRIVATE, MS_SHARED, MS_SLAVE, MS_UNBINDABLE};
use nix::sys::stat::fstat;
use runtime_sys::mount::Depth;
use runtime_sys::text::{c_str, concat};
use runtime_sys::{Errno, cred, fd};
use std::os::fd::OwnedFd;

/// Makes the plan of the root file system, with its mounts and devices.
pub(super) fn rootfs(
    config: &Config,
    host: &Host<'_>,
    joins: &[Join],
    barrier: bool,
    no_pivot: bool,
    given: Option<&RootfsMounts>,
) -> Result<Rootfs> {
    let path = host.rootfs;
    let dir = open_rootfs(path)?;
    let own_namespace = config.namespaces.is_own(NamespaceKind::Mount);
    let mut trees = Trees::new(config, host.mode.makes())?;
    if no_pivot && matches!(config.rootfs_propagation, Some((MS_PRIVATE, _))) {
        return Err(invalid("linux.rootfsPropagation", "[r]private is not safe without pivot_root"));
    }
    if config.mount_label.is_some() {
        labels::require_selinux("linux.mountLabel")?;
    }
    let tree = match (given, host.mode) {
        (Some(given), Mode::Make { cancel }) => {
            let locks = trees.cloner() != Cloner::Parent;
            let receives = is_slave(config);
            let place = Place { path, dir: &dir, may_be_chrooted: may_be_chrooted()?, locks, receives };
            Tree::Cloned((given.make)(&given.mounts, &place, cancel)?)
        }
        (Some(_), Mode::Show { .. }) => Tree::Taken,
        (None, _) => rootfs_tree(&dir, path, config, &mut trees)?,
    };
    let mounts = mounts::mounts(config, host, joins, &dir, &mut trees)?;
    Ok(Rootfs {
        tree,
        root: dir,
        helper: (trees.cloner() == Cloner::Helper).then(|| TreeHelper {
            socket: None,
            uses_mntns_holder: !config.namespaces.is_new(NamespaceKind::Mount),
        }),
        own_namespace,
        // In a chroot the kernel refuses to make user namespaces (EPERM).
        chrooted: config.namespaces.is_new(NamespaceKind::Mount)
            && !config.namespaces.is_new(NamespaceKind::User)
            && may_be_chrooted()?,
        mount_point: if own_namespace && !barrier { c"/".to_owned() } else { super::extras::c_string(path)? },
        pivot: !no_pivot,
        readonly: config.rootfs_readonly,
        covered: covered(config),
        // The clone has the other propagation types already.
        propagation: config.rootfs_propagation.filter(|(flag, _)| matches!(*flag, MS_SHARED | MS_UNBINDABLE)),
        mounts,
        dev: dev(config, &mut trees)?,
    })
}

/// Returns false if the runtime is certainly not in a chroot. Otherwise the child checks.
fn may_be_chrooted() -> Result<bool> {
    let own = fd::place(c"/").context(|| "statx /")?;
    Ok(fd::place(c"/proc/1/root/.") != Ok(own))
}

fn open_rootfs(path: &str) -> Result<OwnedFd> {
    c_str(path)
        .and_then(|path| fd::open_follow(fd::CWD, &path, libc::O_PATH | libc::O_DIRECTORY, 0))
        .context(|| format!("stat {path}"))
        .map_err(|error| error.wrap_as(ErrorKind::InvalidConfig, "invalid rootfs").at("root.path"))
}

/// Makes the tree of the rootfs with all mounts below it. The rootfs must not be a peer of the
/// host's mount: otherwise pivot_root(2) refuses it, and mounts in the container would
/// propagate to the host. The mounts below it are slaves, so they still receive mounts from
/// the host, as a hook or a volume plugin may expect.
fn rootfs_tree(dir: &OwnedFd, path: &str, config: &Config, trees: &mut Trees) -> Result<Tree> {
    let private = !is_slave(config);
    let shape = Shape {
        depth: Depth::All,
        propagation: [Some((MS_SLAVE, Depth::All)), private.then_some((MS_PRIVATE, Depth::One))],
        id_map: None,
    };
    trees.plain(dir, Leaf::Directory, shape).map_err(|(call, errno)| {
        let what = format!("cloning the mount of rootfs {path}");
        let error = Error::os(errno, call.name()).wrap_as(ErrorKind::Setup, what);
        match errno {
            Errno::EINVAL => error.with_hint("the mount of the rootfs is unbindable"),
            Errno::EPERM => {
                error.with_hint(
                    "it takes CAP_SYS_ADMIN: run as root, or with a user namespace (spec --rootless); a filter of \
                     the host's may forbid it, too",
                )
            }
            _ => error,
        }
    })
}

/// Returns true if the root receives the mounts that the host makes on its source.
fn is_slave(config: &Config) -> bool {
    matches!(config.rootfs_propagation, Some((MS_SLAVE, _)))
}

/// Returns the number of mounts up to the last one on the root, which covers those before it.
fn covered(config: &Config) -> usize {
    config.mounts.iter().rposition(Mount::is_new_root).map_or(0, |last| last + 1)
}

/// Returns the kind of directory that /dev is, by the last mount on it. Only a tmpfs is certain
/// to be new: other mounts may be volumes, and a devtmpfs is the host's.
fn dev_place(config: &Config) -> DevPlace {
    let visible = config.mounts.get(covered(config)..).unwrap_or_default();
    let is_dev =
        |m: &Mount| m.destination.as_c_str() == c"dev" && !matches!(m.source, MountSource::Remount { .. });
    let last = visible.iter().enumerate().rev().find(|(_, m)| is_dev(m));
    match last {
        None => DevPlace::Image,
        Some((i, Mount { source: MountSource::New { fstype, .. }, .. }))
            if [c"tmpfs", c"ramfs"].contains(&fstype.as_c_str()) =>
        {
            DevPlace::Tmpfs(i)
        }
        Some(_) => DevPlace::Given,
    }
}

/// Returns the device nodes that are bind mounts: those of a container in a user namespace.
pub(crate) fn mounted_nodes(config: &Config) -> Vec<&NodeConfig> {
    if !config.namespaces.is_own(NamespaceKind::User) {
        return Vec::new();
    }
    made_nodes(config, &dev_place(config)).filter(|node| node.kind != NodeKind::Fifo).collect()
}

fn dev(config: &Config, trees: &mut Trees) -> Result<Dev> {
    let may_make = crate::userns::is_initial_user_namespace()?
        && cred::cap_get().context(|| "capget")?.effective & 1 << cred::CAP_MKNOD != 0;
    let maker = match (may_make, config.namespaces.is_own(NamespaceKind::User), trees.cloner()) {
        (true, false, _) => Maker::Child,
        (true, true, Cloner::Helper) => Maker::Helper,
        _ => Maker::Host,
    };
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
    let place = dev_place(config);
    let nodes = made_nodes(config, &place).map(|n| node(n, maker, trees)).collect::<Result<_>>()?;
    Ok(Dev { place, nodes, links: links.into() })
}

fn made_nodes<'a>(config: &'a Config, place: &DevPlace) -> impl Iterator<Item = &'a NodeConfig> {
    let is_given = *place == DevPlace::Given;
    config.nodes.iter().filter(move |node| {
        let path = node.path.as_c_str();
        path != c"dev/ptmx" && !(is_given && path.to_bytes().starts_with(b"dev/"))
    })
}

/// The maker of the device nodes. The kernel refuses mknod(2) of a device in a user namespace
/// and without CAP_MKNOD.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Maker {
    /// The child makes each node in its final place.
    Child,
    /// The helper makes the nodes on a file system of its own, and each is bind-mounted from
    /// there. Default devices are the host's nodes: root of the user namespace need not own them.
    Helper,
    /// No nodes are made. The host's nodes are bind-mounted, with their owners and modes.
    Host,
}

fn node(node: &NodeConfig, maker: Maker, trees: &mut Trees) -> Result<Node> {
    let dev = libc::makedev(node.major, node.minor);
    // A fifo is not a device: making it takes no privilege.
    let maker = if node.kind == NodeKind::Fifo { Maker::Child } else { maker };
    let host = match maker {
        Maker::Child => None,
        Maker::Helper if !node.is_default => Some(new_node(node, dev)),
        Maker::Helper | Maker::Host => Some(host_node(node, trees)?),
    };
    Ok(Node {
        path: node.path.clone(),
        kind: node.kind.mode(),
        dev,
        mode: node.mode,
        uid: node.uid,
        gid: node.gid,
        host,
    })
}

fn new_node(node: &NodeConfig, dev: u64) -> Tree {
    let source = tree::TreeSource::New(NewNode {
        mode: node.kind.mode() | node.mode.unwrap_or(DEVICE_MODE),
        dev,
        uid: node.uid.unwrap_or(0),
        gid: node.gid.unwrap_or(0),
    });
    let shape = Shape { depth: Depth::One, propagation: [None; 2], id_map: None };
    Tree::Later(Later { cloner: Cloner::Helper, source, shape })
}

/// Opens the host's node of the same path, and checks that it is the same device.
pub(super) fn host_file(node: &NodeConfig) -> Result<HostFile> {
    let path = concat(&[c"/", &node.path]);
    let at = || device_of_host(node);
    let file = HostFile::open(&path).context(at)?;
    let st = fstat(&file).context(at)?;
    if st.st_mode & libc::S_IFMT != node.kind.mode() || st.st_rdev != libc::makedev(node.major, node.minor) {
        return Err(invalid("linux.devices", format_args!("{} is not {}:{}", at(), node.major, node.minor)));
    }
    Ok(file)
}

fn device_of_host(node: &NodeConfig) -> String {
    format!("device /{} of the host", show(&node.path))
}

fn host_node(node: &NodeConfig, trees: &mut Trees) -> Result<Tree> {
    let file = host_file(node)?;
    let propagation = [Some((MS_PRIVATE, Depth::One)), None];
    let shape = Shape { depth: Depth::One, propagation, id_map: None };
    trees
        .plain(&file, file.leaf, shape)
        .map_err(|(call, errno)| Error::os(errno, call.name()).wrap(device_of_host(node)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_root_that_is_not_a_directory_is_refused() {
        assert!(open_rootfs("/proc/self").is_ok());
        for path in ["/proc/self/stat", "/proc/self/missing"] {
            let report = open_rootfs(path).unwrap_err().report();
            assert!(report.starts_with("invalid rootfs"), "{report}");
        }
    }
}
