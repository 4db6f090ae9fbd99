// SPDX-License-Identifier: Apache-2.0
//! The public form of a plan: steps, and what each of them is about.

use crate::error::Warning;
use serde::Serialize;

/// The plan of a creation, made by [`ContainerBuilder::plan_create`](crate::ContainerBuilder::plan_create)
/// or [`plan_run`](crate::ContainerBuilder::plan_run).
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CreationPlan {
    /// The id of the container.
    pub id: String,
    /// The absolute path of the bundle.
    pub bundle: String,
    /// The absolute path of the root directory, as config.json names it.
    pub rootfs: String,
    /// The steps. The processes work at the same time: a step of one process stands before the
    /// first step of another that waits for it.
    pub steps: Vec<PlannedStep>,
    /// The warnings about the configuration.
    #[serde(skip)]
    pub warnings: Vec<Warning>,
}

impl CreationPlan {
    /// Returns the steps with this name.
    pub fn steps_named<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a PlannedStep> {
        self.steps.iter().filter(move |step| step.name == name)
    }
}

/// One step of a creation.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PlannedStep {
    /// The process that takes the step.
    pub by: Actor,
    /// The name of the step, which is also its name in a timeline ([`Trace`](crate::trace::Trace)).
    /// The steps of the container's process are those of docs/architecture.md.
    pub name: String,
    /// The index in the list that the step is taken for, such as `mounts`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub item: Option<usize>,
    /// The action, in words for people.
    pub text: String,
    /// The values that the step has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub details: Option<Details>,
}

/// A process that takes steps.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Actor {
    /// The process that creates the container.
    Runtime,
    /// A thread of it, which makes the network namespace.
    Network,
    /// The process that joins existing namespaces and clones the init into a new pid namespace.
    Stage,
    /// The process that becomes the container's program.
    Init,
    /// The process that executes the program in an existing pid namespace.
    Program,
    /// The caller of [`Container::start`](crate::Container::start).
    Start,
    /// The caller of [`Container::delete`](crate::Container::delete).
    Delete,
}

impl Actor {
    /// Returns the name of the process, as it is in JSON.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Actor::Runtime => "runtime",
            Actor::Network => "network",
            Actor::Stage => "stage",
            Actor::Init => "init",
            Actor::Program => "program",
            Actor::Start => "start",
            Actor::Delete => "delete",
        }
    }
}

/// The values of a step.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Details {
    /// A path: on the host for steps of the runtime, otherwise in the container.
    Path(String),
    /// A text that is written into a file of the kernel.
    Write(PlannedWrite),
    /// A value of config.json that a system call sets.
    Setting(PlannedSetting),
    /// The container's cgroup.
    Cgroup(PlannedCgroup),
    /// The properties of the systemd unit, which systemd is asked for.
    Unit(Vec<PlannedSetting>),
    /// The rules of the device filter, such as `allow c 1:3 rwm`. The last one that matches decides.
    DeviceRules(Vec<String>),
    /// The types of namespaces to make.
    Namespaces(Vec<&'static str>),
    /// An existing namespace to join.
    Join(PlannedJoin),
    /// A mount.
    Mount(Box<PlannedMount>),
    /// A device node.
    Device(PlannedDevice),
    /// A symbolic link.
    Link(PlannedLink),
    /// The files of descriptors that the program gets.
    Descriptors(Vec<PlannedDescriptor>),
    /// A resource limit.
    Rlimit(PlannedRlimit),
    /// The sets of capabilities.
    Capabilities(PlannedCapabilities),
    /// The bounding set.
    Bounding(Vec<&'static str>),
    /// The user.
    User(PlannedUser),
    /// The system call filter.
    Filter(PlannedFilter),
    /// A hook.
    Hook(PlannedHook),
    /// The program.
    Program(PlannedProgram),
}

/// A write into a file of the kernel.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PlannedWrite {
    /// The file. PID stands for the pid of the container's process.
    pub file: String,
    /// The text.
    pub value: String,
    /// The property of config.json that asks for it.
    pub field: String,
    /// True if the creation goes on without it, where this kernel does not have the file, or refuses.
    pub optional: bool,
}

/// A value that a system call sets.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PlannedSetting {
    /// The property of config.json, or of a systemd unit.
    pub name: String,
    /// The value.
    pub value: String,
}

/// The place of a container's cgroup.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PlannedCgroup {
    /// The maker of the cgroup: `cgroupfs` or `systemd`.
    pub manager: &'static str,
    /// The absolute path.
    pub path: String,
    /// The number of directories that are made, counted from the end of the path. With systemd, that
    /// is its part.
    pub made: usize,
    /// The name of systemd's unit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// The name of the cgroup in that of the unit in which the processes are, if it is another one. It
    /// gets the limits, too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub leaf: Option<String>,
    /// True if the container goes without a cgroup where the caller may not make one.
    pub optional: bool,
}

/// An existing namespace.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PlannedJoin {
    /// The type, as in config.json.
    pub namespace: &'static str,
    /// The path of its file on the host.
    pub path: String,
}

/// An entry of `mounts`.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PlannedMount {
    /// The kind of mount.
    pub kind: PlannedMountKind,
    /// The absolute mount point in the container.
    pub destination: String,
    /// The source. For a bind mount that is a path: of the container if `of_container` is true,
    /// otherwise of the host.
    pub source: String,
    /// True if the source is below the root of the container.
    pub of_container: bool,
    /// The type of a new file system.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub filesystem: Option<String>,
    /// True if the mounts below the source of a bind mount are mounted, too.
    pub recursive: bool,
    /// The attributes that the mount gets, such as `ro`. A bind mount keeps all others of its source.
    pub attributes: Vec<String>,
    /// The attributes of its source that a bind mount loses.
    pub cleared: Vec<String>,
    /// The options of the file system.
    pub options: Vec<String>,
    /// The propagation types, in the order in which they are set, such as `rslave`.
    pub propagation: Vec<String>,
    /// The mappings of ids, as the lines of uid_map and gid_map.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub id_map: Vec<String>,
    /// The process that clones the source of a bind mount: `runtime`, `helper` or `init`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cloned_by: Option<&'static str>,
}

/// The kind of a mount.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum PlannedMountKind {
    /// A new file system.
    New,
    /// A bind mount.
    Bind,
    /// A symbolic link to `source` in the place of a mount.
    Symlink,
    /// New options of an existing mount.
    Remount,
}

/// A device node.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PlannedDevice {
    /// The absolute path in the container.
    pub path: String,
    /// The type: `c`, `b` or `p`.
    #[serde(rename = "type")]
    pub kind: char,
    /// The major number.
    pub major: u32,
    /// The minor number.
    pub minor: u32,
    /// The permissions. `None`: an existing node keeps them, and a new one gets 0666.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<u32>,
    /// The owner. `None`: an existing node keeps it, and a new one belongs to root.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uid: Option<u32>,
    /// The group, as `uid`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gid: Option<u32>,
    /// True if the node is mounted there, because mknod(2) is not possible in a user namespace.
    pub mounted: bool,
}

/// A symbolic link.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PlannedLink {
    /// The absolute path in the container.
    pub path: String,
    /// The target.
    pub target: String,
}

/// A descriptor of the program.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PlannedDescriptor {
    /// The number.
    pub number: u32,
    /// The source, in words.
    pub source: String,
}

/// A resource limit.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PlannedRlimit {
    /// The resource, such as `RLIMIT_NOFILE`.
    pub resource: &'static str,
    /// The soft limit. `None`: unlimited.
    pub soft: Option<u64>,
    /// The hard limit.
    pub hard: Option<u64>,
}

/// The sets of capabilities, by name.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PlannedCapabilities {
    /// The effective set.
    pub effective: Vec<&'static str>,
    /// The permitted set.
    pub permitted: Vec<&'static str>,
    /// The inheritable set.
    pub inheritable: Vec<&'static str>,
    /// The ambient set.
    pub ambient: Vec<&'static str>,
}

/// The user of the program.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PlannedUser {
    /// The uid in the container.
    pub uid: u32,
    /// The gid.
    pub gid: u32,
    /// The supplementary groups.
    pub additional_gids: Vec<u32>,
    /// The groups of the caller that stay: `none`, `undroppable` or `all`.
    pub keeps: &'static str,
    /// The umask.
    pub umask: u32,
    /// True: pipes, terminals and files to write to, which are the program's standard streams, get this
    /// uid as their owner.
    pub owns_streams: bool,
}

/// The system call filter.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PlannedFilter {
    /// The number of BPF instructions.
    pub instructions: usize,
    /// The names of the flags.
    pub flags: Vec<&'static str>,
    /// The socket of the agent that is asked about calls.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
}

/// A hook.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PlannedHook {
    /// The kind, as in config.json.
    pub kind: &'static str,
    /// The program: on the host, for startContainer hooks in the container.
    pub path: String,
    /// The arguments, with the name of the program.
    pub args: Vec<String>,
    /// The limit of its time, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<u64>,
}

/// The program of the container.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PlannedProgram {
    /// The arguments, with the name of the program.
    pub args: Vec<String>,
    /// The names of the environment's variables. Their values may be secrets.
    pub env: Vec<String>,
    /// The directories in which the program is searched; none if `args` has its path.
    pub searched: Vec<String>,
}
