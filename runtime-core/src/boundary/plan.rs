// SPDX-License-Identifier: Apache-2.0
//! What crosses the clone: plain data, made by the parent, used up by the child.
//!
//! C strings, descriptors, numbers, boxed slices and `Copy` enums. No `String`
//! to format, no map to look into, no question left to ask. The parent keeps its
//! copy to turn a [`Failure`](super::step::Failure) into a sentence.

use super::tree::{IdMap, Later, NewNode, Source, Tree, TreeHelper};
use crate::boundary::seal::Seal;
use crate::path::proc::Proc;
use crate::path::root::Leaf;
use crate::values::{Capabilities, MemoryPolicy, Rlimit};
use runtime_sys::exec::StringArray;
use runtime_sys::mount::{Depth, MountAttr};
use std::ffi::{CStr, CString};
use std::os::fd::OwnedFd;

/// All that a child needs to become a container's process.
#[derive(Debug)]
pub(crate) struct Plan {
    /// Existing namespaces to join, before anything else.
    pub(crate) joins: Box<[Join]>,
    /// CLONE_NEW* of the clone that makes the process, or of unshare(2).
    pub(crate) clone_flags: i32,
    /// How to hide the program file; `None` if the parent's is hidden already.
    pub(crate) seal: Seal,
    /// What security modules are told about the process.
    pub(crate) labels: Option<Labels>,
    /// Whether the parent has something to do before the child may go on.
    pub(crate) wait_go: bool,
    /// When the process hides itself from others.
    pub(crate) hide: Hide,
    /// For exec, whether the user namespace that is joined is another: become its root.
    pub(crate) becomes_root: bool,
    /// The host's procfs; `None` for exec, which must not bring it along.
    pub(crate) proc: Option<Proc>,
    /// For exec, the root directory of the container's init, relative to /proc.
    pub(crate) root: Option<CString>,
    /// For exec, the container's root directory, where its namespaces do not lead there.
    pub(crate) enter: Option<OwnedFd>,
    /// The container to make around the process; `None` for exec.
    pub(crate) container: Option<Container>,
    pub(crate) process: Process,
}

impl Plan {
    /// The helper that clones trees, if there is one.
    pub(crate) fn tree_helper(&mut self) -> Option<&mut TreeHelper> {
        self.container.as_mut()?.rootfs.helper.as_mut()
    }

    /// Whether the process that the parent clones is a stage: it joins existing
    /// namespaces, and clones the init in a new pid namespace.
    pub(crate) fn has_stage(&self) -> bool {
        !self.joins.is_empty() && self.clone_flags & libc::CLONE_NEWPID != 0
    }

    /// Whether the process joins existing namespaces itself, while the parent waits: what is in
    /// /proc of the process and its network is the host's until then.
    pub(crate) fn tells_of_joins(&self) -> bool {
        self.container.is_some() && !self.joins.is_empty() && !self.has_stage()
    }

    /// The clone makes no network namespace: this one is there, and somebody else
    /// brings lo up in it.
    pub(crate) fn enter_network(&mut self, namespace: OwnedFd) {
        self.clone_flags &= !libc::CLONE_NEWNET;
        if let Some(container) = &mut self.container {
            container.late_namespaces &= !libc::CLONE_NEWNET;
            container.network = Some(namespace);
            container.loopback = false;
        }
    }
}

/// When a process forbids others to look into it (PR_SET_DUMPABLE).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hide {
    AtOnce,
    /// When the id maps are written and the clocks are set: a parent who is root of a
    /// user namespace, and the process itself, may not get at its files in /proc later.
    AfterMaps,
    /// A parent without CAP_SYS_PTRACE could not join the namespaces of the process
    /// any more: for its hooks, or to execute others there. (execve ends it anyway.)
    Never,
}

/// A namespace file (or a pidfd) and the CLONE_NEW* flags of what to join.
#[derive(Debug)]
pub(crate) struct Join {
    pub(crate) fd: OwnedFd,
    pub(crate) flags: i32,
}

/// What the process writes about itself into the host's procfs.
#[derive(Debug)]
pub(crate) struct Labels {
    pub(crate) proc: Proc,
    pub(crate) writes: Box<[Label]>,
}

/// One of proc_pid_attr(5).
#[derive(Debug)]
pub(crate) struct Label {
    /// The field of config.json, for messages.
    pub(crate) field: &'static str,
    /// Relative to /proc.
    pub(crate) file: CString,
    pub(crate) content: CString,
}

/// What only the first process of a container does.
#[derive(Debug)]
pub(crate) struct Container {
    /// The user namespace is new: become its root before making anything.
    pub(crate) namespace_root: bool,
    /// CLONE_NEW* of the namespaces that the process makes when it is that root.
    pub(crate) late_namespaces: i32,
    /// Whether the parent moves network devices to the process, when all its namespaces are there.
    pub(crate) awaits_devices: bool,
    pub(crate) cgroup_namespace: bool,
    /// The text for /proc/self/timens_offsets; empty: none to set.
    pub(crate) time_namespace: Option<CString>,
    /// The new network namespace, if it was made before the clone.
    pub(crate) network: Option<OwnedFd>,
    pub(crate) loopback: bool,
    pub(crate) hostname: Option<CString>,
    pub(crate) domainname: Option<CString>,
    pub(crate) rootfs: Rootfs,
    pub(crate) sysctls: Box<[Sysctl]>,
    /// Whether the parent has hooks to run before pivot_root.
    pub(crate) barrier: bool,
    /// Whether the parent says so when the device filter is there. If not, the child waits
    /// for something that comes later.
    pub(crate) awaits_filter: bool,
    pub(crate) readonly_paths: Box<[CString]>,
    pub(crate) masked_paths: Box<[CString]>,
    /// The mount option that labels what covers masked directories.
    pub(crate) mask_label: Option<(&'static CStr, CString)>,
}

/// A kernel parameter.
#[derive(Debug)]
pub(crate) struct Sysctl {
    /// Relative to /proc.
    pub(crate) path: CString,
    pub(crate) line: CString,
}

/// The root file system and what goes into it.
#[derive(Debug)]
pub(crate) struct Rootfs {
    /// The directory; once it is attached, a clone of it that is the mount; then what is
    /// mounted on that.
    pub(crate) root: OwnedFd,
    pub(crate) tree: Tree,
    pub(crate) helper: Option<TreeHelper>,
    /// Whether the mount namespace is the container's: then it has no other tree.
    pub(crate) own_namespace: bool,
    /// The runtime's root directory is not that of its mount namespace (chroot(2)), or
    /// may not be until the child has looked.
    pub(crate) chrooted: bool,
    /// Where it is attached.
    pub(crate) mount_point: CString,
    pub(crate) pivot: bool,
    pub(crate) readonly: bool,
    /// The propagation that it gets at the end.
    pub(crate) propagation: Option<(libc::c_ulong, Depth)>,
    pub(crate) mounts: Box<[Mount]>,
    /// How many of them are covered in the end by one on the root.
    pub(crate) covered: usize,
    pub(crate) dev: Dev,
}

impl Rootfs {
    /// The mounts that the container sees.
    pub(crate) fn visible_mounts(&self) -> &[Mount] {
        self.mounts.get(self.covered..).unwrap_or_default()
    }

    /// Whether trees are cloned in a mount namespace that is not the container's.
    pub(crate) fn has_room(&self) -> bool {
        self.helper.as_ref().is_some_and(|helper| helper.has_room)
    }
}

/// Device nodes, and what else is made in /dev.
#[derive(Debug)]
pub(crate) struct Dev {
    pub(crate) place: DevPlace,
    pub(crate) nodes: Box<[Node]>,
    /// (target, path): `/proc/self/fd` at `dev/fd`.
    pub(crate) links: Box<[(&'static CStr, &'static CStr)]>,
}

/// Whose directory /dev is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DevPlace {
    /// The root of a new tmpfs, which is this one of the mounts that are not covered.
    Tmpfs(usize),
    /// The image's, if nothing else is mounted there in the end.
    Image,
    /// Another's: what is in it, is its owner's business.
    Given,
}

/// A device node.
#[derive(Debug)]
pub(crate) struct Node {
    /// Relative to the root.
    pub(crate) path: CString,
    /// S_IF* of mknod(2).
    pub(crate) kind: u32,
    pub(crate) dev: u64,
    /// `None`: those of the image's node, or of any new one.
    pub(crate) mode: Option<u32>,
    pub(crate) uid: Option<u32>,
    pub(crate) gid: Option<u32>,
    /// The node to mount there, where none can be made.
    pub(crate) host: Option<Tree>,
}

impl Node {
    /// What the helper makes, if that is who makes the node.
    pub(crate) fn made_by_helper(&self) -> Option<&NewNode> {
        match &self.host {
            Some(Tree::Later(Later { source: Source::New(node), .. })) => Some(node),
            _ => None,
        }
    }
}

/// One entry of `mounts`.
#[derive(Debug)]
pub(crate) struct Mount {
    /// Relative to the root.
    pub(crate) destination: CString,
    /// For messages.
    pub(crate) source: CString,
    pub(crate) what: What,
    /// The destination may have no link in it.
    pub(crate) no_follow: bool,
    /// Attributes of the mount itself.
    pub(crate) attr: Option<MountAttr>,
    /// Attributes of all mounts of the tree.
    pub(crate) all: MountAttr,
    pub(crate) propagation: Box<[(libc::c_ulong, Depth)]>,
    /// Read-only comes when everything is mounted below it.
    pub(crate) readonly_later: bool,
    /// The mount, kept by the child for that, and for covering paths in it.
    pub(crate) attached: Option<OwnedFd>,
    /// Its id, if it is one of too many to keep, or if there are remounts.
    pub(crate) id: u64,
}

impl Mount {
    /// True for a file system that nothing but this mount leads to.
    pub(crate) fn is_new_tmpfs(&self) -> bool {
        self.is_new(&[c"tmpfs", c"ramfs"])
    }

    /// True for a procfs or sysfs of the container's, in which paths are covered.
    pub(crate) fn is_view_of_kernel(&self) -> bool {
        self.is_new(&[c"proc", c"sysfs"])
    }

    fn is_new(&self, types: &[&CStr]) -> bool {
        matches!(&self.what, What::New(new) if types.contains(&new.fstype.as_c_str()))
    }
}

/// What a mount is made of.
#[derive(Debug)]
pub(crate) enum What {
    /// A clone of what the host has.
    Tree { tree: Tree, leaf: Leaf },
    /// What the container itself has at a path when it is this mount's turn.
    Inside(Inside),
    /// A new file system.
    New(NewMount),
    /// A symbolic link in the place of a mount.
    Symlink { target: CString },
    /// The mount that is there already, with other options.
    Remount(Remount),
}

/// What a remount changes besides the attributes of the mount.
#[derive(Debug, Default)]
pub(crate) struct Remount {
    /// Whether the file system is to be read-only, if that is its own property.
    pub(crate) readonly: Option<bool>,
    /// Of the file system.
    pub(crate) parameters: Parameters,
}

/// A bind mount whose source is below the rootfs.
#[derive(Debug)]
pub(crate) struct Inside {
    /// Relative to the root.
    pub(crate) path: CString,
    pub(crate) depth: Depth,
    /// A link at the end of it is mounted itself.
    pub(crate) no_follow: bool,
    pub(crate) id_map: Option<IdMap>,
    /// The child may not map ids, so the helper makes the mount for it.
    pub(crate) by_helper: bool,
}

/// A file system to make.
#[derive(Debug)]
pub(crate) struct NewMount {
    pub(crate) fstype: CString,
    pub(crate) options: FsOptions,
    pub(crate) attr: u64,
    /// The pid namespace that procfs shows, if it is an existing one, which the process
    /// that mounts it does not enter itself.
    pub(crate) shows: Option<PidNamespace>,
    /// The SELinux label of its root, where no option sets it.
    pub(crate) label: Option<CString>,
    /// The option `ro` is about the file system, too. Those of the kernel are one for many
    /// mounts.
    pub(crate) readonly_superblock: bool,
    /// It gets the content of the directory that it covers.
    pub(crate) copy_up: bool,
    /// tmpfs gets the permissions of the directory that it covers.
    pub(crate) mode_of_target: bool,
}

/// The options of a new file system.
#[derive(Debug)]
pub(crate) enum FsOptions {
    /// For fsconfig(2).
    Parameters(Parameters),
    /// For mount(2): some are longer than fsconfig(2) takes them.
    Page { source: CString, flags: libc::c_ulong, data: CString },
}

/// Keys and values for fsconfig(2); without a value: flags.
pub(crate) type Parameters = Box<[(CString, Option<CString>)]>;

/// An existing pid namespace.
#[derive(Debug)]
pub(crate) struct PidNamespace {
    pub(crate) joined: OwnedFd,
    /// The one that the process is in which has joined it for its children.
    pub(crate) own: OwnedFd,
}

/// What a process is, whether the container's first or a later one.
#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) keyring: Option<Keyring>,
    pub(crate) terminal: Option<Terminal>,
    /// What becomes standard input, output and error; `None`: what the parent has.
    pub(crate) stdio: [Option<OwnedFd>; 3],
    pub(crate) personality: Option<u32>,
    pub(crate) memory_policy: Option<MemoryPolicy>,
    /// Limits that the process sets itself (see `parent::outside`).
    pub(crate) rlimits: Box<[Rlimit]>,
    pub(crate) umask: u32,
    pub(crate) cwd: CString,
    /// Make the working directory if it is missing.
    pub(crate) make_cwd: bool,
    pub(crate) args: StringArray,
    pub(crate) env: StringArray,
    /// Where in `env` HOME has to be filled in, if it has.
    pub(crate) home: Option<usize>,
    pub(crate) program: Program,
    pub(crate) no_new_privileges: bool,
    pub(crate) filter: Option<Filter>,
    pub(crate) capabilities: Option<Capabilities>,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) groups: Box<[u32]>,
    pub(crate) keeps: Keeps,
    /// The process is cloned into an existing pid namespace, as the last thing.
    pub(crate) enters_pid: bool,
    /// Descriptors from 3 on that the program gets.
    pub(crate) preserve_fds: i32,
    /// The fifo of `start`, or `None` if the parent itself gives the word.
    pub(crate) fifo: Option<OwnedFd>,
}

/// The supplementary groups of the caller that a process keeps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Keeps {
    /// None: it gets the groups that it is to have, if any.
    #[default]
    None,
    /// Those that cannot be dropped, because its user namespace denies setgroups(2).
    Undroppable,
    /// All.
    All,
}

/// The system call filter.
#[derive(Debug)]
pub(crate) struct Filter {
    /// As the kernel takes it.
    pub(crate) program: Box<[seccomp::Instruction]>,
    /// SECCOMP_FILTER_FLAG_*.
    pub(crate) flags: u32,
    /// Some calls wait for an agent's answer, to whom the parent hands the listener.
    pub(crate) notifies: bool,
    /// It does not end a process that closes a descriptor.
    pub(crate) survives_close: bool,
    /// Loading it takes CAP_SYS_ADMIN: without it the kernel lets filters only be
    /// loaded by processes that cannot gain rights.
    pub(crate) privileged: bool,
    /// It is loaded before the process is cloned into an existing pid namespace, where
    /// CAP_SYS_ADMIN could be taken from it: it allows what is left to do.
    pub(crate) is_early: bool,
}

/// The session keyring to join.
#[derive(Debug)]
pub(crate) struct Keyring {
    pub(crate) name: CString,
    /// Permissions for a new one; `None`: it exists.
    pub(crate) permissions: Option<u32>,
    /// Users whom the container has nothing to do with can make keyrings of the same name.
    pub(crate) may_be_anothers: bool,
}

/// A pseudoterminal to make.
#[derive(Debug)]
pub(crate) struct Terminal {
    /// Who gets its master.
    pub(crate) socket: OwnedFd,
    pub(crate) size: Option<(u16, u16)>,
}

/// Where the program is looked for.
#[derive(Debug)]
pub(crate) enum Program {
    /// It has a slash: there.
    Path(CString),
    /// The file that is at this path on the host, which the process's mount namespace may
    /// have hidden or replaced. `by_path` if it may be executed by its path where that
    /// still leads to it: a script learns where it is.
    OfHost { path: CString, file: OwnedFd, by_path: bool },
    /// In these directories, in this order.
    Search { name: CString, directories: Box<[CString]> },
}

impl Program {
    /// The file, if it has been opened.
    pub(crate) fn file(&self) -> Option<&OwnedFd> {
        match self {
            Program::OfHost { file, .. } => Some(file),
            Program::Path(_) | Program::Search { .. } => None,
        }
    }
}

/// The room that HOME gets in the environment: as much as a line of passwd(5)
/// that is read at all.
pub(crate) const HOME_MAX: usize = 1024;
