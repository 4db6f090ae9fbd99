// SPDX-License-Identifier: Apache-2.0
//! The plan: plain data that the parent makes and the child uses up.
//!
//! The plan has only C strings, descriptors, numbers, boxed slices and `Copy` enums. The child
//! neither formats a `String`, nor looks into a map, nor decides anything. The parent keeps its
//! copy to turn a [`StepFailure`](super::step::StepFailure) into a sentence.

use super::tree::{IdMap, Later, NewNode, Tree, TreeHelper, TreeSource};
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
    /// CLONE_NEW* flags for the clone that makes the process, or for unshare(2).
    pub(crate) clone_flags: i32,
    /// The prepared exchange of the program file.
    pub(crate) seal: Seal,
    /// Labels that the process sets for the security modules.
    pub(crate) labels: Option<Labels>,
    /// True if the child waits until the parent has done its part.
    pub(crate) wait_go: bool,
    /// The moment when the process hides itself from others.
    pub(crate) hide: Hide,
    /// True for exec into another user namespace, whose root the process becomes.
    pub(crate) becomes_root: bool,
    /// The host's procfs; `None` for exec, which must not bring it into the container.
    pub(crate) proc: Option<Proc>,
    /// The root directory of the container's init, relative to /proc; only for exec.
    pub(crate) root: Option<CString>,
    /// The container's root directory, if joining its namespaces does not lead there; only for exec.
    pub(crate) enter: Option<OwnedFd>,
    /// The container to make around the process; `None` for exec.
    pub(crate) container: Option<InitPlan>,
    pub(crate) process: Process,
}

impl Plan {
    /// Returns the helper that clones trees, if there is one.
    pub(crate) fn tree_helper(&mut self) -> Option<&mut TreeHelper> {
        self.container.as_mut()?.rootfs.helper.as_mut()
    }

    /// Returns true if the process that the parent clones is a stage: it joins existing namespaces,
    /// and clones the init in a new pid namespace.
    pub(crate) fn has_stage(&self) -> bool {
        !self.joins.is_empty() && self.clone_flags & libc::CLONE_NEWPID != 0
    }

    /// Returns true if the process joins existing namespaces itself while the parent waits. Until
    /// then its /proc files and its network are the host's.
    pub(crate) fn tells_of_joins(&self) -> bool {
        self.container.is_some() && !self.joins.is_empty() && !self.has_stage()
    }

    /// Makes the child enter the existing network namespace `namespace` instead of making one.
    /// Another thread brings lo up in it.
    pub(crate) fn enter_network(&mut self, namespace: OwnedFd) {
        self.clone_flags &= !libc::CLONE_NEWNET;
        if let Some(container) = &mut self.container {
            container.late_namespaces &= !libc::CLONE_NEWNET;
            container.network = Some(namespace);
            container.loopback = false;
        }
    }
}

/// The moment when a process forbids others to inspect or trace it (PR_SET_DUMPABLE).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hide {
    AtOnce,
    /// After the id maps are written and the clocks are set: later, a parent who is root of a user
    /// namespace, and the process itself, may not write the process's files in /proc.
    AfterMaps,
    /// Never, if the parent lacks CAP_SYS_PTRACE: it could no longer join the namespaces of the
    /// process, for its hooks or for exec. (execve(2) makes the process dumpable again anyway.)
    Never,
}

/// A namespace file (or a pidfd), and the CLONE_NEW* flags of the namespaces to join.
#[derive(Debug)]
pub(crate) struct Join {
    pub(crate) fd: OwnedFd,
    pub(crate) flags: i32,
}

/// Attributes that the process writes about itself into the host's procfs.
#[derive(Debug)]
pub(crate) struct Labels {
    pub(crate) proc: Proc,
    pub(crate) writes: Box<[Label]>,
}

/// An attribute of proc_pid_attr(5).
#[derive(Debug)]
pub(crate) struct Label {
    /// The field of config.json, for messages.
    pub(crate) field: &'static str,
    /// The file, relative to /proc.
    pub(crate) file: CString,
    pub(crate) content: CString,
}

/// The steps that only the init of a container does.
#[derive(Debug)]
pub(crate) struct InitPlan {
    /// True if the user namespace is new. The process becomes its root before it makes anything.
    pub(crate) namespace_root: bool,
    /// CLONE_NEW* of the namespaces that the process makes as root of that user namespace.
    pub(crate) late_namespaces: i32,
    /// True if the parent moves network devices to the process once all its namespaces exist.
    pub(crate) awaits_devices: bool,
    pub(crate) cgroup_namespace: bool,
    /// The text for /proc/self/timens_offsets, if there is a new time namespace. Empty: no offsets.
    pub(crate) time_namespace: Option<CString>,
    /// The new network namespace, if it was made before the clone.
    pub(crate) network: Option<OwnedFd>,
    pub(crate) loopback: bool,
    pub(crate) hostname: Option<CString>,
    pub(crate) domainname: Option<CString>,
    pub(crate) rootfs: Rootfs,
    pub(crate) sysctls: Box<[Sysctl]>,
    /// True if the parent has hooks to run before pivot_root.
    pub(crate) barrier: bool,
    /// True if the parent sends a Go when the device filter is attached. If false, a Go that the
    /// child waits for anyway comes after that.
    pub(crate) awaits_filter: bool,
    pub(crate) readonly_paths: Box<[CString]>,
    pub(crate) masked_paths: Box<[CString]>,
    /// The mount option that labels the covers of masked directories.
    pub(crate) mask_label: Option<(&'static CStr, CString)>,
}

/// A kernel parameter.
#[derive(Debug)]
pub(crate) struct Sysctl {
    /// The file, relative to /proc.
    pub(crate) path: CString,
    pub(crate) line: CString,
}

/// The root file system and its content.
#[derive(Debug)]
pub(crate) struct Rootfs {
    /// The rootfs directory; once attached, the clone of it that is the mount; after a mount on the
    /// root, that mount.
    pub(crate) root: OwnedFd,
    pub(crate) tree: Tree,
    pub(crate) helper: Option<TreeHelper>,
    /// True if the mount namespace is the container's own: then it shows no other tree.
    pub(crate) own_namespace: bool,
    /// True if the runtime's root directory is not the root of its mount namespace (chroot(2)), or
    /// if only the child can tell.
    pub(crate) chrooted: bool,
    /// The path where the rootfs is attached.
    pub(crate) mount_point: CString,
    pub(crate) pivot: bool,
    pub(crate) readonly: bool,
    /// The propagation that the rootfs gets at the end.
    pub(crate) propagation: Option<(libc::c_ulong, Depth)>,
    pub(crate) mounts: Box<[Mount]>,
    /// The number of leading `mounts` that a later mount on the root covers.
    pub(crate) covered: usize,
    pub(crate) dev: Dev,
}

impl Rootfs {
    /// Returns the mounts that the container sees.
    pub(crate) fn visible_mounts(&self) -> &[Mount] {
        self.mounts.get(self.covered..).unwrap_or_default()
    }

    /// Returns true if the helper works in another mount namespace than the container's.
    pub(crate) fn uses_mntns_holder(&self) -> bool {
        self.helper.as_ref().is_some_and(|helper| helper.uses_mntns_holder)
    }
}

/// Device nodes and links in /dev.
#[derive(Debug)]
pub(crate) struct Dev {
    pub(crate) place: DevPlace,
    pub(crate) nodes: Box<[Node]>,
    /// Pairs of target and path, such as `/proc/self/fd` and `dev/fd`.
    pub(crate) links: Box<[(&'static CStr, &'static CStr)]>,
}

/// The owner of the directory /dev.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DevPlace {
    /// The container: /dev is the root of a new tmpfs, which has this index in the visible mounts.
    Tmpfs(usize),
    /// The image, if nothing else is mounted on its /dev in the end.
    Image,
    /// Another: something other than a new tmpfs is mounted on /dev, or the container exists
    /// already. Nodes and links there are left to that owner.
    Given,
}

/// A device node.
#[derive(Debug)]
pub(crate) struct Node {
    /// The path of the node, relative to the root.
    pub(crate) path: CString,
    /// S_IF* of mknod(2).
    pub(crate) kind: u32,
    pub(crate) dev: u64,
    /// `None`: the image's node keeps its mode, uid and gid; a new node gets the defaults.
    pub(crate) mode: Option<u32>,
    pub(crate) uid: Option<u32>,
    pub(crate) gid: Option<u32>,
    /// The host's node to bind mount, where mknod(2) is not possible.
    pub(crate) host: Option<Tree>,
}

impl Node {
    /// Returns the node that the helper makes, if the helper makes it.
    pub(crate) fn made_by_helper(&self) -> Option<&NewNode> {
        match &self.host {
            Some(Tree::Later(Later { source: TreeSource::New(node), .. })) => Some(node),
            _ => None,
        }
    }
}

/// An entry of `mounts`.
#[derive(Debug)]
pub(crate) struct Mount {
    /// The mount point, relative to the root.
    pub(crate) destination: CString,
    /// The source, for messages.
    pub(crate) source: CString,
    pub(crate) what: MountKind,
    /// True if the destination may not contain a symbolic link.
    pub(crate) no_follow: bool,
    /// Attributes of the mount itself.
    pub(crate) attr: Option<MountAttr>,
    /// Attributes of all mounts of the tree.
    pub(crate) all: MountAttr,
    pub(crate) propagation: Box<[(libc::c_ulong, Depth)]>,
    /// True if the mount becomes read-only only after everything is mounted below it.
    pub(crate) readonly_later: bool,
    /// The mount. The child keeps it to make it read-only later, and to cover paths in it.
    pub(crate) attached: Option<OwnedFd>,
    /// The id of the mount, if there are too many mounts to keep open, or if there are remounts.
    pub(crate) id: u64,
}

impl Mount {
    /// Returns true for a new tmpfs or ramfs: no other mount leads to its content.
    pub(crate) fn is_new_tmpfs(&self) -> bool {
        self.is_new(&[c"tmpfs", c"ramfs"])
    }

    /// Returns true for a new procfs or sysfs of the container, in which paths are covered.
    pub(crate) fn is_view_of_kernel(&self) -> bool {
        self.is_new(&[c"proc", c"sysfs"])
    }

    fn is_new(&self, types: &[&CStr]) -> bool {
        matches!(&self.what, MountKind::New(new) if types.contains(&new.fstype.as_c_str()))
    }
}

/// The source of a mount.
#[derive(Debug)]
pub(crate) enum MountKind {
    /// A clone of a tree of the host.
    Tree { tree: Tree, leaf: Leaf },
    /// A bind mount of the file or directory at a path in the container, opened when the turn of
    /// this mount comes.
    FromContainer(FromContainer),
    /// A new file system.
    New(NewMount),
    /// A symbolic link in the place of a mount.
    Symlink { target: CString },
    /// New options for an existing mount.
    Remount(Remount),
}

/// Changes of a remount besides the attributes of the mount.
#[derive(Debug, Default)]
pub(crate) struct Remount {
    /// The new read-only state of the file system itself.
    pub(crate) readonly: Option<bool>,
    /// Parameters of the file system.
    pub(crate) parameters: Parameters,
}

/// A bind mount whose source is below the rootfs.
#[derive(Debug)]
pub(crate) struct FromContainer {
    /// The source, relative to the root.
    pub(crate) path: CString,
    pub(crate) depth: Depth,
    /// True if a symbolic link at the end of the path is mounted itself.
    pub(crate) no_follow: bool,
    pub(crate) id_map: Option<IdMap>,
    /// True if the helper makes the mount, because the child may not map ids.
    pub(crate) by_helper: bool,
}

/// A file system to make.
#[derive(Debug)]
pub(crate) struct NewMount {
    pub(crate) fstype: CString,
    pub(crate) options: FsOptions,
    pub(crate) attr: u64,
    /// The pid namespace that procfs shows, if it is an existing one: the process that mounts the
    /// procfs does not enter it.
    pub(crate) shows: Option<PidNamespace>,
    /// The SELinux label of the root directory, for a file system without a mount option for it.
    pub(crate) label: Option<CString>,
    /// True if the option `ro` applies to the file system too. A kernel file system has one
    /// superblock for many mounts.
    pub(crate) readonly_superblock: bool,
    /// True if the file system gets the content of the directory that it covers.
    pub(crate) copy_up: bool,
    /// True if a tmpfs gets the permissions of the directory that it covers.
    pub(crate) mode_of_target: bool,
}

/// The options of a new file system.
#[derive(Debug)]
pub(crate) enum FsOptions {
    /// Options for fsconfig(2).
    Parameters(Parameters),
    /// Options for mount(2), if one is too long for fsconfig(2).
    Page { source: CString, flags: libc::c_ulong, data: CString },
}

/// Keys and values for fsconfig(2). A key without a value is a flag.
pub(crate) type Parameters = Box<[(CString, Option<CString>)]>;

/// An existing pid namespace.
#[derive(Debug)]
pub(crate) struct PidNamespace {
    pub(crate) joined: OwnedFd,
    /// The mount context of a procfs that shows it, which the child opens before it joins the
    /// namespace. `None` if the kernel has an option for that, or the runtime lacks the rights.
    pub(crate) context: Option<OwnedFd>,
}

/// The file of a standard stream, as far as it matters. A terminal that is still to be made counts
/// as any other file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stream {
    /// A device node of the host: its index in [`SHARED`](crate::child::devices::SHARED).
    Device(usize),
    /// A pipe, by its inode number.
    Pipe(u64),
    /// A fifo with a name, by the id of its mount and its inode number.
    Fifo {
        mount: u64,
        inode: u64,
    },
    Other,
}

/// The process to execute: the container's init or a later one.
#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) keyring: Option<Keyring>,
    pub(crate) terminal: Option<TerminalPlan>,
    /// The new standard input, output and error; `None`: the parent's.
    pub(crate) stdio: [Option<OwnedFd>; 3],
    pub(crate) streams: [Stream; 3],
    pub(crate) personality: Option<u32>,
    pub(crate) memory_policy: Option<MemoryPolicy>,
    /// Limits that the process sets itself. The parent sets those of a process in a user
    /// namespace (`parent::attributes`).
    pub(crate) rlimits: Box<[Rlimit]>,
    pub(crate) umask: u32,
    pub(crate) cwd: CString,
    /// True if the working directory is made where it is missing.
    pub(crate) make_cwd: bool,
    pub(crate) args: StringArray,
    pub(crate) env: StringArray,
    /// The index of the HOME entry in `env`, if the child has to fill it in.
    pub(crate) home: Option<usize>,
    pub(crate) program: Program,
    pub(crate) no_new_privileges: bool,
    pub(crate) filter: Option<Filter>,
    pub(crate) capabilities: Option<Capabilities>,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) groups: Box<[u32]>,
    pub(crate) keeps: Keeps,
    /// True if the process is cloned into an existing pid namespace, as the last step.
    pub(crate) enters_pid: bool,
    /// The OOM score that a process in an existing pid namespace inherits from the one that clones
    /// it: with the runtime's own score, which engines keep low, a process that was taken over would
    /// survive where others are killed. The parent sets any other process's score later.
    pub(crate) inherited_oom_score: Option<i32>,
    /// The number of descriptors, from 3 on, that the program gets.
    pub(crate) preserve_fds: i32,
    /// The fifo of `start`; `None` if the parent itself starts the program.
    pub(crate) fifo: Option<OwnedFd>,
}

/// The supplementary groups of the caller that a process keeps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Keeps {
    /// None: the process gets exactly the groups in its plan.
    #[default]
    None,
    /// The groups that cannot be dropped, because the user namespace denies setgroups(2).
    Undroppable,
    /// All groups.
    All,
}

/// The system call filter.
#[derive(Debug)]
pub(crate) struct Filter {
    /// The BPF program, as the kernel takes it.
    pub(crate) program: Box<[seccomp::Instruction]>,
    /// SECCOMP_FILTER_FLAG_*.
    pub(crate) flags: u32,
    /// True if some calls wait for an agent's answer. The parent hands the listener to the agent.
    pub(crate) notifies: bool,
    /// True if the filter does not kill a process that closes a descriptor.
    pub(crate) survives_close: bool,
    /// True if the filter allows the calls that find out why a program cannot be executed.
    pub(crate) allows_reading: bool,
    /// True if loading the filter takes CAP_SYS_ADMIN: without the capability the kernel demands
    /// no_new_privs.
    pub(crate) privileged: bool,
    /// True if the filter is loaded before the process is cloned into an existing pid namespace,
    /// where another process could take it over without a filter. Such a filter allows the
    /// remaining steps.
    pub(crate) is_early: bool,
}

/// The session keyring to join.
#[derive(Debug)]
pub(crate) struct Keyring {
    pub(crate) name: CString,
    /// Permissions for a new keyring; `None`: the keyring exists.
    pub(crate) permissions: Option<u32>,
    /// True if users outside of the container can make keyrings with the same name.
    pub(crate) may_be_anothers: bool,
}

/// A pseudoterminal to make.
#[derive(Debug)]
pub(crate) struct TerminalPlan {
    /// The socket that receives the master.
    pub(crate) socket: OwnedFd,
    pub(crate) size: Option<(u16, u16)>,
}

/// The way the program is found.
#[derive(Debug)]
pub(crate) enum Program {
    /// A path with a slash, which is used as it is.
    Path(CString),
    /// A file that was opened at this path on the host. The process's mount namespace may have
    /// hidden or replaced it. `by_path` if the file may be executed by its path where the path
    /// still leads to it, so that a script learns its own path.
    OfHost { path: CString, file: OwnedFd, by_path: bool },
    /// A search in these directories, in this order.
    Search { name: CString, directories: Box<[CString]> },
}

impl Program {
    /// Returns the program file, if it has been opened.
    pub(crate) fn file(&self) -> Option<&OwnedFd> {
        match self {
            Program::OfHost { file, .. } => Some(file),
            Program::Path(_) | Program::Search { .. } => None,
        }
    }
}

/// The room for HOME in the environment: the longest line of passwd(5) that is read.
pub(crate) const HOME_MAX: usize = 1024;
