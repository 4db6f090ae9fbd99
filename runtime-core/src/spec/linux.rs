// SPDX-License-Identifier: Apache-2.0
//! `linux` of config.json (config-linux.md).

use super::absent::{is_false, is_zero, null_default};
use super::names::Names;
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

/// The resource limits (config-linux.md, "Control groups").
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, from = "WrittenResources")]
pub struct Resources {
    /// The rules of the device filter.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_default")]
    pub devices: Vec<DeviceCgroup>,
    /// The limits on memory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<Memory>,
    /// The limits on CPU time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu: Option<Cpu>,
    /// The limit on the number of tasks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pids: Option<Pids>,
    /// The limits on block devices.
    #[serde(rename = "blockIO", skip_serializing_if = "Option::is_none")]
    pub block_io: Option<BlockIo>,
    /// The limits on huge pages.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_default")]
    pub hugepage_limits: Vec<HugepageLimit>,
    /// The network class and priorities; cgroup v1 only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network: Option<NetworkClass>,
    /// The limits on RDMA devices, by device name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "null_default")]
    pub rdma: BTreeMap<String, Rdma>,
    /// The files of cgroup v2 to write, and their values.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "null_default")]
    pub unified: BTreeMap<String, String>,
}

/// [`Resources`] in the spellings that are accepted. runc matches names regardless of their
/// case, and its callers and tests write some names in another case than the specification.
/// If a document has both spellings, runc reads one after the other into the same fields.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct WrittenResources {
    #[serde(deserialize_with = "null_default")]
    devices: Vec<DeviceCgroup>,
    memory: Option<Memory>,
    cpu: Option<Cpu>,
    #[serde(rename = "CPU")]
    cpu_in_capitals: Option<Cpu>,
    pids: Option<Pids>,
    #[serde(rename = "blockIO")]
    block_io: Option<BlockIo>,
    #[serde(deserialize_with = "null_default")]
    hugepage_limits: Vec<HugepageLimit>,
    network: Option<NetworkClass>,
    #[serde(deserialize_with = "null_default")]
    rdma: BTreeMap<String, Rdma>,
    #[serde(deserialize_with = "null_default")]
    unified: BTreeMap<String, String>,
}

impl From<WrittenResources> for Resources {
    fn from(written: WrittenResources) -> Self {
        let cpu = match (written.cpu, written.cpu_in_capitals) {
            (Some(first), Some(second)) => Some(second.or(first)),
            (first, second) => first.or(second),
        };
        Resources {
            devices: written.devices,
            memory: written.memory,
            cpu,
            pids: written.pids,
            block_io: written.block_io,
            hugepage_limits: written.hugepage_limits,
            network: written.network,
            rdma: written.rdma,
            unified: written.unified,
        }
    }
}

impl Cpu {
    /// Returns these limits, with those of `others` in place of absent ones.
    fn or(self, others: Cpu) -> Cpu {
        let text = |own: String, other| if own.is_empty() { other } else { own };
        Cpu {
            shares: self.shares.or(others.shares),
            quota: self.quota.or(others.quota),
            burst: self.burst.or(others.burst),
            period: self.period.or(others.period),
            realtime_runtime: self.realtime_runtime.or(others.realtime_runtime),
            realtime_period: self.realtime_period.or(others.realtime_period),
            cpus: text(self.cpus, others.cpus),
            mems: text(self.mems, others.mems),
            idle: self.idle.or(others.idle),
        }
    }
}

/// A rule of the device filter.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceCgroup {
    /// True if the rule allows the access, false if it denies it.
    pub allow: bool,
    /// The device type: `c`, `b`, or `a` for all. Absent means `a`.
    #[serde(rename = "type", default, skip_serializing_if = "String::is_empty")]
    pub kind: String,
    /// The major number; absent or -1 means any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub major: Option<i64>,
    /// The minor number; absent or -1 means any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub minor: Option<i64>,
    /// The accesses that the rule covers: letters of `r`, `w` and `m`. Absent means all of them.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub access: String,
}

/// The memory limits in bytes; -1 means no limit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Memory {
    /// The limit on memory (memory.max).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<i64>,
    /// The memory that is protected from reclaim (memory.low).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reservation: Option<i64>,
    /// The limit on memory and swap together (memory.swap.max limits swap alone).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub swap: Option<i64>,
    /// The limit on kernel memory; obsolete.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kernel: Option<i64>,
    /// The limit on TCP buffer memory; cgroup v1 only.
    #[serde(rename = "kernelTCP", skip_serializing_if = "Option::is_none")]
    pub kernel_tcp: Option<i64>,
    /// The swappiness; cgroup v1 only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub swappiness: Option<u64>,
    /// True if the OOM killer is disabled; cgroup v1 only.
    #[serde(rename = "disableOOMKiller", skip_serializing_if = "Option::is_none")]
    pub disable_oom_killer: Option<bool>,
    /// True if memory accounting is hierarchical; cgroup v1 only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub use_hierarchy: Option<bool>,
    /// True if a new limit that is below the current usage is refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub check_before_update: Option<bool>,
}

/// The limits on CPU time.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Cpu {
    /// The relative share of CPU time, 2 to 262144, which is converted to cpu.weight.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shares: Option<u64>,
    /// The CPU time in each period, in microseconds; -1 means no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quota: Option<i64>,
    /// The unused CPU time that may accumulate, in microseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub burst: Option<u64>,
    /// The length of a period in microseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub period: Option<u64>,
    /// The real-time CPU time in each real-time period, in microseconds; cgroup v1 only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub realtime_runtime: Option<i64>,
    /// The length of a real-time period in microseconds; cgroup v1 only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub realtime_period: Option<u64>,
    /// The list of CPUs (cpuset(7)).
    #[serde(skip_serializing_if = "String::is_empty", alias = "Cpus")]
    pub cpus: String,
    /// The list of memory nodes (cpuset(7)).
    #[serde(skip_serializing_if = "String::is_empty", alias = "Mems")]
    pub mems: String,
    /// The value 1 for an idle cgroup, which runs only when no other one wants to. Needs Linux 5.15
    /// (cpu.idle).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idle: Option<i64>,
}

/// A limit on the number of tasks.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Pids {
    /// The limit. Absent leaves it unchanged, and -1 means no limit; 0 is a limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<i64>,
}

/// The limits on block devices.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct BlockIo {
    /// The relative share of I/O, 10 to 1000.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight: Option<u16>,
    /// The relative share of the cgroup's own tasks against its child cgroups; cgroup v1 only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub leaf_weight: Option<u16>,
    /// The shares of single devices.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_default")]
    pub weight_device: Vec<WeightDevice>,
    /// The limits on bytes read per second.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_default")]
    pub throttle_read_bps_device: Vec<ThrottleDevice>,
    /// The limits on bytes written per second.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_default")]
    pub throttle_write_bps_device: Vec<ThrottleDevice>,
    /// The limits on reads per second.
    #[serde(
        rename = "throttleReadIOPSDevice",
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "null_default"
    )]
    pub throttle_read_iops_device: Vec<ThrottleDevice>,
    /// The limits on writes per second.
    #[serde(
        rename = "throttleWriteIOPSDevice",
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "null_default"
    )]
    pub throttle_write_iops_device: Vec<ThrottleDevice>,
}

/// The share of one block device.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WeightDevice {
    /// The major number.
    pub major: i64,
    /// The minor number.
    pub minor: i64,
    /// The relative share of I/O, 10 to 1000.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight: Option<u16>,
    /// The relative share of the cgroup's own tasks against its child cgroups; cgroup v1 only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub leaf_weight: Option<u16>,
}

/// The rate limit of one block device.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ThrottleDevice {
    /// The major number.
    pub major: i64,
    /// The minor number.
    pub minor: i64,
    /// The bytes or the operations per second.
    pub rate: u64,
}

/// A limit on huge pages of one size.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HugepageLimit {
    /// The page size as in the names of the kernel's files: `2MB`, `1GB`, ...
    #[serde(alias = "pagesize")]
    pub page_size: String,
    /// The limit in bytes.
    pub limit: u64,
}

/// The settings of net_cls and net_prio of cgroup v1.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct NetworkClass {
    /// The class of packets.
    #[serde(rename = "classID", skip_serializing_if = "Option::is_none")]
    pub class_id: Option<u32>,
    /// The priorities of interfaces.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_default")]
    pub priorities: Vec<InterfacePriority>,
}

/// The priority of one interface.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct InterfacePriority {
    /// The name of the interface.
    pub name: String,
    /// Its priority.
    pub priority: u32,
}

/// Limits on one RDMA device.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Rdma {
    /// The limit on HCA handles.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hca_handles: Option<u32>,
    /// The limit on HCA objects.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hca_objects: Option<u32>,
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
