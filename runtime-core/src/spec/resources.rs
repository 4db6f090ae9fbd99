// SPDX-License-Identifier: Apache-2.0
//! `linux.resources` of config.json (config-linux.md, "Control groups"), and the document of
//! `update --resources`.

use super::absent::null_default;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

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
