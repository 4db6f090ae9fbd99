// SPDX-License-Identifier: Apache-2.0
//! The resource usage of a container: [`Stats`] in the format of runc's `events --stats`, whose field
//! names are those of cgroup version 1, and [`Metrics`] with the names and units of version 2.

use super::group::Cgroup;
#[cfg(feature = "fuzzing")]
use super::metrics;
use super::metrics::is_default;
pub use super::metrics::{
    HugetlbMetrics, IoMetrics, MemoryMetrics, Metrics, PidsMetrics, Pressure, Psi, RdmaMetrics,
};
use crate::error::Result;
use serde::Serialize;
use std::collections::BTreeMap;

/// The current and past resource usage of a container, in runc's format. Numbers that the host does
/// not account for are 0; [`Metrics`] tells them from a real 0.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Stats {
    /// The CPU time.
    pub cpu: CpuStats,
    /// The properties of version 1's cpuset controller. Version 2 has none of them.
    pub cpuset: CpusetStats,
    /// Memory.
    pub memory: MemoryStats,
    /// Number of tasks.
    pub pids: PidsStats,
    /// Block devices.
    pub blkio: BlkioStats,
    /// Huge pages by their size.
    pub hugetlb: BTreeMap<String, HugetlbStats>,
    /// The usage of Intel RDT (Resource Director Technology).
    pub intel_rdt: IntelRdtStats,
    /// Always `None`. runc, too, lists only the interfaces that it has made itself.
    pub network_interfaces: Option<Vec<()>>,
}

/// CPU time, in nanoseconds.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct CpuStats {
    /// The CPU time that was used.
    #[serde(skip_serializing_if = "is_default")]
    pub usage: CpuUsage,
    /// The effect of the CPU quota.
    #[serde(skip_serializing_if = "is_default")]
    pub throttling: Throttling,
    /// The pressure stall information of the CPU.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub psi: Option<Psi>,
}

/// The CPU time that was used, in nanoseconds.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct CpuUsage {
    /// The sum of kernel and user mode.
    #[serde(skip_serializing_if = "is_default")]
    pub total: u64,
    /// The time in the kernel.
    pub kernel: u64,
    /// The time in user mode.
    pub user: u64,
}

/// The effect of a CPU quota.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Throttling {
    /// The number of periods in which a task ran.
    #[serde(skip_serializing_if = "is_default")]
    pub periods: u64,
    /// The number of periods in which the quota was used up.
    #[serde(skip_serializing_if = "is_default")]
    pub throttled_periods: u64,
    /// The time for which tasks were throttled, in nanoseconds.
    #[serde(skip_serializing_if = "is_default")]
    pub throttled_time: u64,
}

/// The properties of version 1's cpuset controller.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[allow(missing_docs)] // Always 0.
pub struct CpusetStats {
    pub cpu_exclusive: u64,
    pub mem_hardwall: u64,
    pub mem_exclusive: u64,
    pub memory_migrate: u64,
    pub memory_spread_page: u64,
    pub memory_spread_slab: u64,
    pub memory_pressure: u64,
    pub sched_load_balance: u64,
    pub sched_relax_domain_level: i64,
}

/// Memory, in bytes.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct MemoryStats {
    /// The page cache.
    #[serde(skip_serializing_if = "is_default")]
    pub cache: u64,
    /// The whole memory, without swap.
    #[serde(skip_serializing_if = "is_default")]
    pub usage: MemoryUsage,
    /// Memory and swap together.
    #[serde(skip_serializing_if = "is_default")]
    pub swap: MemoryUsage,
    /// The values of memory.stat: bytes, and numbers of events.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub raw: BTreeMap<String, u64>,
    /// The pressure stall information of memory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub psi: Option<Psi>,
}

/// One kind of memory, in bytes.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct MemoryUsage {
    /// The limit; `u64::MAX` without one.
    pub limit: u64,
    /// The current usage.
    #[serde(skip_serializing_if = "is_default")]
    pub usage: u64,
    /// The highest usage so far. Needs Linux 5.19 (memory.peak): 0 before, and always 0 for swap.
    #[serde(skip_serializing_if = "is_default")]
    pub max: u64,
    /// The number of times that the limit was hit.
    pub failcnt: u64,
}

/// Number of tasks.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct PidsStats {
    /// The current number of tasks.
    #[serde(skip_serializing_if = "is_default")]
    pub current: u64,
    /// The limit; 0 without one.
    #[serde(skip_serializing_if = "is_default")]
    pub limit: u64,
}

/// The usage of block devices.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BlkioStats {
    /// The bytes that were transferred.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub io_service_bytes_recursive: Vec<BlkioEntry>,
    /// The number of operations.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub io_serviced_recursive: Vec<BlkioEntry>,
    /// The pressure stall information of I/O.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub psi: Option<Psi>,
}

/// The usage of one block device.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct BlkioEntry {
    /// The major number of the device.
    #[serde(skip_serializing_if = "is_default")]
    pub major: u64,
    /// The minor number of the device.
    #[serde(skip_serializing_if = "is_default")]
    pub minor: u64,
    /// `Read` or `Write`.
    pub op: &'static str,
    /// The number of bytes or operations.
    #[serde(skip_serializing_if = "is_default")]
    pub value: u64,
}

/// The usage of huge pages of one size.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct HugetlbStats {
    /// The current usage, in bytes.
    #[serde(skip_serializing_if = "is_default")]
    pub usage: u64,
    /// The number of times that the limit was hit.
    pub failcnt: u64,
}

/// The usage of Intel RDT. Always empty: resctrl is not read for the statistics.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct IntelRdtStats {}

impl Cgroup {
    /// Reads all statistics, except those that the host does not account for.
    pub(crate) fn stats(&self) -> Result<Stats> {
        let mut stats = Stats::from(self.metrics_of_runc()?);
        if stats.pids.current == 0 {
            stats.pids.current = self.pids()?.len() as u64;
        }
        Ok(stats)
    }
}

impl From<Metrics> for Stats {
    fn from(metrics: Metrics) -> Self {
        let Metrics { cpu: cpu_stat, cpu_pressure, memory_pressure, io_pressure, .. } = metrics;
        let limit = |max: u64| if max == u64::MAX { 0 } else { max };
        let pids = metrics.pids.map(|pids| PidsStats { current: pids.current, limit: limit(pids.max) });
        let mut hugetlb = BTreeMap::new();
        for pages in metrics.hugetlb {
            let usage = pages.rsvd_current.unwrap_or(pages.current);
            hugetlb.insert(pages.size, HugetlbStats { usage, failcnt: pages.events_max });
        }
        Stats {
            cpu: CpuStats { psi: cpu_pressure, ..cpu(&cpu_stat) },
            memory: MemoryStats { psi: memory_pressure, ..metrics.memory.map(memory).unwrap_or_default() },
            pids: pids.unwrap_or_default(),
            blkio: BlkioStats { psi: io_pressure, ..blkio(&metrics.io) },
            hugetlb,
            ..Stats::default()
        }
    }
}

fn cpu(stat: &BTreeMap<String, u64>) -> CpuStats {
    let get = |key: &str| stat.get(key).copied().unwrap_or(0);
    let nanoseconds = |key: &str| get(key).saturating_mul(1000);
    CpuStats {
        usage: CpuUsage {
            total: nanoseconds("usage_usec"),
            kernel: nanoseconds("system_usec"),
            user: nanoseconds("user_usec"),
        },
        throttling: Throttling {
            periods: get("nr_periods"),
            throttled_periods: get("nr_throttled"),
            throttled_time: nanoseconds("throttled_usec"),
        },
        psi: None,
    }
}

fn memory(metrics: MemoryMetrics) -> MemoryStats {
    let usage = MemoryUsage {
        limit: metrics.max,
        usage: metrics.current,
        max: metrics.peak.unwrap_or(0),
        failcnt: metrics.events.get("max").copied().unwrap_or(0),
    };
    let swap_max = metrics.swap_max.unwrap_or(0);
    let swap = MemoryUsage {
        limit: if swap_max == u64::MAX { swap_max } else { swap_max.saturating_add(metrics.max) },
        usage: metrics.current.saturating_add(metrics.swap_current.unwrap_or(0)),
        max: 0,
        failcnt: 0,
    };
    let cache = metrics.stat.get("file").copied().unwrap_or(0);
    MemoryStats { cache, usage, swap, raw: metrics.stat, psi: None }
}

fn blkio(devices: &[IoMetrics]) -> BlkioStats {
    let mut stats = BlkioStats::default();
    let (bytes, operations) = (&mut stats.io_service_bytes_recursive, &mut stats.io_serviced_recursive);
    for IoMetrics { major, minor, stat } in devices {
        let add = |list: &mut Vec<BlkioEntry>, op, key| {
            if let Some(value) = stat.get(key) {
                list.push(BlkioEntry { major: *major, minor: *minor, op, value: *value });
            }
        };
        add(bytes, "Read", "rbytes");
        add(bytes, "Write", "wbytes");
        add(operations, "Read", "rios");
        add(operations, "Write", "wios");
    }
    stats
}

/// Parses any text as each of the files. For the fuzz target.
#[cfg(feature = "fuzzing")]
pub(super) fn check_parsers(text: &str) {
    let memory = MemoryMetrics { stat: metrics::pairs(text), ..MemoryMetrics::default() };
    let stats = Stats::from(Metrics {
        cpu: metrics::pairs(text),
        cpu_pressure: Some(metrics::psi(text)),
        memory: Some(memory),
        io: metrics::io(text),
        rdma: metrics::rdma(text, text),
        ..Metrics::default()
    });
    assert!(serde_json::to_string(&stats).is_ok());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_number_comes_from_its_file() {
        let pairs =
            |list: &[(&str, u64)]| list.iter().map(|(key, value)| ((*key).to_owned(), *value)).collect();
        let memory = MemoryMetrics {
            current: 5,
            max: 100,
            peak: Some(9),
            swap_current: Some(2),
            swap_max: Some(10),
            stat: pairs(&[("file", 3)]),
            events: pairs(&[("max", 4)]),
            ..MemoryMetrics::default()
        };
        let stats = Stats::from(Metrics {
            cpu: pairs(&[
                ("usage_usec", 120),
                ("user_usec", 100),
                ("system_usec", 20),
                ("nr_periods", 3),
                ("nr_throttled", 2),
                ("throttled_usec", 7),
            ]),
            memory: Some(memory),
            pids: Some(PidsMetrics { current: 6, max: u64::MAX }),
            io: super::super::metrics::io("8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=0\n7:1 \n"),
            hugetlb: vec![HugetlbMetrics {
                size: "2MB".to_owned(),
                current: 1,
                rsvd_current: Some(8),
                max: 9,
                events_max: 11,
            }],
            ..Metrics::default()
        });
        assert_eq!(stats.cpu.usage, CpuUsage { total: 120_000, kernel: 20_000, user: 100_000 });
        assert_eq!(
            stats.cpu.throttling,
            Throttling { periods: 3, throttled_periods: 2, throttled_time: 7_000 }
        );
        assert_eq!(stats.memory.usage, MemoryUsage { limit: 100, usage: 5, max: 9, failcnt: 4 });
        assert_eq!(stats.memory.swap, MemoryUsage { limit: 110, usage: 7, max: 0, failcnt: 0 });
        assert_eq!(stats.memory.cache, 3);
        assert_eq!(stats.pids, PidsStats { current: 6, limit: 0 });
        assert_eq!(stats.hugetlb["2MB"], HugetlbStats { usage: 8, failcnt: 11 });
        let entry = |op, value| BlkioEntry { major: 8, minor: 0, op, value };
        assert_eq!(stats.blkio.io_service_bytes_recursive, [entry("Read", 1), entry("Write", 2)]);
        assert_eq!(stats.blkio.io_serviced_recursive, [entry("Read", 3), entry("Write", 4)]);
    }

    #[test]
    fn the_document_is_runc_s() {
        let json = serde_json::to_string(&Stats::default()).unwrap();
        assert_eq!(
            json,
            concat!(
                r#"{"cpu":{},"cpuset":{"cpu_exclusive":0,"mem_hardwall":0,"mem_exclusive":0,"memory_migrate":0,"#,
                r#""memory_spread_page":0,"memory_spread_slab":0,"memory_pressure":0,"sched_load_balance":0,"#,
                r#""sched_relax_domain_level":0},"memory":{},"pids":{},"blkio":{},"hugetlb":{},"intel_rdt":{},"#,
                r#""network_interfaces":null}"#
            )
        );
        let memory = MemoryUsage { limit: u64::MAX, usage: 5, max: 0, failcnt: 0 };
        assert_eq!(
            serde_json::to_string(&memory).unwrap(),
            r#"{"limit":18446744073709551615,"usage":5,"failcnt":0}"#
        );
    }
}
