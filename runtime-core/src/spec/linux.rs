// SPDX-License-Identifier: Apache-2.0
//! `linux` of config.json (config-linux.md).

use super::absent::{is_false, is_zero, null_default};
use super::names::Names;
use super::resources::Resources;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The Linux-specific part of config.json.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Linux {
    /// The user id mappings of the container's user namespace.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_default")]
    pub uid_mappings: Vec<IdMapping>,
    /// The group id mappings of the container's user namespace.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_default")]
    pub gid_mappings: Vec<IdMapping>,
    /// The kernel parameters to set in the container's namespaces, by name (sysctl(8)).
    #[serde(skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "null_default")]
    pub sysctl: BTreeMap<String, String>,
    /// The resource limits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resources: Option<Resources>,
    /// The path of the container's cgroup; `slice:prefix:name` for
    /// [`CgroupManager::Systemd`](crate::CgroupManager::Systemd).
    #[serde(skip_serializing_if = "String::is_empty")]
    pub cgroups_path: String,
    /// The namespaces that the container does not share with the runtime (namespaces(7)).
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_default")]
    pub namespaces: Vec<Namespace>,
    /// The device nodes besides the default ones.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_default")]
    pub devices: Vec<Device>,
    /// The network interfaces to move into the container, by their names on the host.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "null_default")]
    pub net_devices: BTreeMap<String, NetDevice>,
    /// The system call filter.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seccomp: Option<Seccomp>,
    /// The mount propagation of the root file system: `shared`, `slave`, `private` or
    /// `unbindable`, with or without a leading `r`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub rootfs_propagation: String,
    /// The paths that cannot be read in the container.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_default")]
    pub masked_paths: Vec<String>,
    /// The paths that cannot be written in the container.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_default")]
    pub readonly_paths: Vec<String>,
    /// The SELinux label of mounts.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub mount_label: String,
    /// The allocation of cache and memory bandwidth.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub intel_rdt: Option<IntelRdt>,
    /// The NUMA memory policy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_policy: Option<MemoryPolicy>,
    /// The execution domain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub personality: Option<Personality>,
    /// The clock offsets of the container's time namespace, by clock: `monotonic`, `boottime`
    /// (time_namespaces(7)).
    #[serde(skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "null_default")]
    pub time_offsets: BTreeMap<String, TimeOffset>,
}

/// One namespace: a new one, or the one at a path.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Namespace {
    /// The type: `pid`, `network`, `mount`, `ipc`, `uts`, `user`, `cgroup` or `time`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The path of the namespace to join; empty for a new one.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub path: String,
}

/// A range of an id mapping (user_namespaces(7)).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdMapping {
    /// The first id in the container.
    #[serde(rename = "containerID")]
    pub container_id: u32,
    /// The id on the host that the first id is mapped to.
    #[serde(rename = "hostID")]
    pub host_id: u32,
    /// The number of ids.
    pub size: u32,
}

/// The offset of a clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TimeOffset {
    /// The seconds of the offset, which may be negative.
    #[serde(skip_serializing_if = "is_zero", deserialize_with = "null_default")]
    pub secs: i64,
    /// The nanoseconds of the offset.
    #[serde(skip_serializing_if = "is_zero", deserialize_with = "null_default")]
    pub nanosecs: u32,
}

/// A device node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Device {
    /// The path inside the container.
    pub path: String,
    /// The type: `c`, `u` (the same as `c`), `b` or `p`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The major number; a fifo needs none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub major: Option<i64>,
    /// The minor number; a fifo needs none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub minor: Option<i64>,
    /// The permission bits (chmod(2)).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file_mode: Option<u32>,
    /// The uid of the owner in the container.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uid: Option<u32>,
    /// The gid of the owner in the container.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gid: Option<u32>,
}

/// A network interface to move into the container.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct NetDevice {
    /// The name in the container; empty for the same name as on the host.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
}

/// The system call filter (config-linux.md, "Seccomp").
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Seccomp {
    /// The action for a call that no rule matches.
    pub default_action: String,
    /// The error number of the default action, if the action takes one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default_errno_ret: Option<u32>,
    /// The architectures whose calls the rules cover.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_default")]
    pub architectures: Vec<String>,
    /// The flags of seccomp(2). An absent list is not empty: it means SPEC_ALLOW, as in runc.
    /// `SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV` needs Linux 5.19.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flags: Option<Vec<String>>,
    /// The path of the agent's socket for SCMP_ACT_NOTIFY.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub listener_path: String,
    /// The metadata that is passed on to the agent.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub listener_metadata: String,
    /// The rules.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_default")]
    pub syscalls: Vec<Syscall>,
}

/// One rule of a system call filter.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Syscall {
    /// The names of the system calls.
    #[serde(deserialize_with = "null_default")]
    pub names: Names,
    /// The action for a call that the rule matches.
    pub action: String,
    /// The error number of the action, if the action takes one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub errno_ret: Option<u32>,
    /// The conditions on the arguments.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_default")]
    pub args: Vec<SyscallArg>,
}

/// A condition on one argument.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SyscallArg {
    /// The index of the argument, 0 to 5.
    pub index: u32,
    /// The value to compare the argument with; for SCMP_CMP_MASKED_EQ, the mask.
    pub value: u64,
    /// The value to compare the masked argument with, for SCMP_CMP_MASKED_EQ.
    #[serde(default, skip_serializing_if = "is_zero", deserialize_with = "null_default")]
    pub value_two: u64,
    /// The operator: `SCMP_CMP_EQ`, ...
    pub op: String,
}

/// The settings of Intel's Resource Director Technology (config-linux.md, "IntelRdt").
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct IntelRdt {
    /// The class of service.
    #[serde(rename = "closID", skip_serializing_if = "String::is_empty")]
    pub clos_id: String,
    /// The lines for the schemata file of the class.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_default")]
    pub schemata: Vec<String>,
    /// The lines of the schemata file for the L3 cache.
    #[serde(rename = "l3CacheSchema", skip_serializing_if = "String::is_empty")]
    pub l3_cache_schema: String,
    /// The line of the schemata file for the memory bandwidth.
    #[serde(rename = "memBwSchema", skip_serializing_if = "String::is_empty")]
    pub mem_bw_schema: String,
    /// True if a monitoring group is created.
    #[serde(
        rename = "enableMonitoring",
        skip_serializing_if = "is_false",
        deserialize_with = "null_default"
    )]
    pub enable_monitoring: bool,
}

/// The NUMA memory policy (set_mempolicy(2)).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct MemoryPolicy {
    /// The mode: `MPOL_BIND`, ... `MPOL_PREFERRED_MANY` needs Linux 5.15, and
    /// `MPOL_WEIGHTED_INTERLEAVE` 6.9.
    pub mode: String,
    /// The list of nodes, such as `0-3,7`.
    pub nodes: String,
    /// The flags: `MPOL_F_STATIC_NODES`, ...
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_default")]
    pub flags: Vec<String>,
}

/// The execution domain (personality(2)).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Personality {
    /// The domain: `LINUX` or `LINUX32`.
    pub domain: String,
    /// The flags, of which the specification defines none.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_default")]
    pub flags: Vec<String>,
}
