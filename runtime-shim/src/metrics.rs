// SPDX-License-Identifier: Apache-2.0
//! The resource usage of a container in the form that containerd takes.

use crate::proto::metrics::{
    Cpu, HugeTlb, Io, IoEntry, Memory, MemoryEvents, Metrics, Pids, Psi, PsiData, Rdma, RdmaEntry,
};
use runtime_core::stats;
use std::collections::BTreeMap;

type Numbers = BTreeMap<String, u64>;

impl From<stats::Metrics> for Metrics {
    fn from(metrics: stats::Metrics) -> Self {
        let events = metrics.memory.as_ref().map(|memory| memory_events(&memory.events));
        let pids = metrics.pids.map(|pids| Pids { current: pids.current, limit: pids.max });
        Metrics {
            pids,
            cpu: Some(cpu(&metrics.cpu, metrics.cpu_pressure)),
            memory: metrics.memory.map(|memory| self::memory(&memory, metrics.memory_pressure)),
            rdma: Some(rdma(&metrics.rdma)),
            io: Some(Io { usage: metrics.io.iter().map(io).collect(), psi: metrics.io_pressure.map(psi) }),
            hugetlb: metrics.hugetlb.into_iter().map(hugetlb).collect(),
            memory_events: events,
        }
    }
}

fn get(numbers: &Numbers, name: &str) -> u64 {
    numbers.get(name).copied().unwrap_or(0)
}

fn psi(psi: stats::Psi) -> Psi {
    let data = |it: stats::Pressure| PsiData {
        avg10: it.avg10,
        avg60: it.avg60,
        avg300: it.avg300,
        total: it.total,
    };
    Psi { some: Some(data(psi.some)), full: Some(data(psi.full)) }
}

fn cpu(stat: &Numbers, pressure: Option<stats::Psi>) -> Cpu {
    Cpu {
        usage_usec: get(stat, "usage_usec"),
        user_usec: get(stat, "user_usec"),
        system_usec: get(stat, "system_usec"),
        nr_periods: get(stat, "nr_periods"),
        nr_throttled: get(stat, "nr_throttled"),
        throttled_usec: get(stat, "throttled_usec"),
        psi: pressure.map(psi),
        nr_bursts: get(stat, "nr_bursts"),
        burst_usec: get(stat, "burst_usec"),
    }
}

fn memory(memory: &stats::MemoryMetrics, pressure: Option<stats::Psi>) -> Memory {
    let stat = |name| get(&memory.stat, name);
    Memory {
        anon: stat("anon"),
        file: stat("file"),
        kernel_stack: stat("kernel_stack"),
        slab: stat("slab"),
        sock: stat("sock"),
        shmem: stat("shmem"),
        file_mapped: stat("file_mapped"),
        file_dirty: stat("file_dirty"),
        file_writeback: stat("file_writeback"),
        anon_thp: stat("anon_thp"),
        inactive_anon: stat("inactive_anon"),
        active_anon: stat("active_anon"),
        inactive_file: stat("inactive_file"),
        active_file: stat("active_file"),
        unevictable: stat("unevictable"),
        slab_reclaimable: stat("slab_reclaimable"),
        slab_unreclaimable: stat("slab_unreclaimable"),
        pgfault: stat("pgfault"),
        pgmajfault: stat("pgmajfault"),
        // KERNEL(5.9): split into _anon and _file.
        workingset_refault: stat("workingset_refault_anon").saturating_add(stat("workingset_refault_file")),
        workingset_activate: stat("workingset_activate_anon")
            .saturating_add(stat("workingset_activate_file")),
        workingset_nodereclaim: stat("workingset_nodereclaim"),
        pgrefill: stat("pgrefill"),
        pgscan: stat("pgscan"),
        pgsteal: stat("pgsteal"),
        pgactivate: stat("pgactivate"),
        pgdeactivate: stat("pgdeactivate"),
        pglazyfree: stat("pglazyfree"),
        pglazyfreed: stat("pglazyfreed"),
        thp_fault_alloc: stat("thp_fault_alloc"),
        thp_collapse_alloc: stat("thp_collapse_alloc"),
        usage: memory.current,
        usage_limit: memory.max,
        swap_usage: memory.swap_current.unwrap_or(0),
        swap_limit: memory.swap_max.unwrap_or(0),
        max_usage: memory.peak.unwrap_or(0),
        swap_max_usage: memory.swap_peak.unwrap_or(0),
        psi: pressure.map(psi),
    }
}

fn memory_events(events: &Numbers) -> MemoryEvents {
    MemoryEvents {
        low: get(events, "low"),
        high: get(events, "high"),
        max: get(events, "max"),
        oom: get(events, "oom"),
        oom_kill: get(events, "oom_kill"),
        oom_group_kill: get(events, "oom_group_kill"),
    }
}

fn io(device: &stats::IoMetrics) -> IoEntry {
    IoEntry {
        major: device.major,
        minor: device.minor,
        rbytes: get(&device.stat, "rbytes"),
        wbytes: get(&device.stat, "wbytes"),
        rios: get(&device.stat, "rios"),
        wios: get(&device.stat, "wios"),
    }
}

fn hugetlb(pages: stats::HugetlbMetrics) -> HugeTlb {
    HugeTlb { current: pages.current, max: pages.max, pagesize: pages.size, failcnt: pages.events_max }
}

fn rdma(devices: &[stats::RdmaMetrics]) -> Rdma {
    let entry = |device: &stats::RdmaMetrics, numbers: &Numbers| {
        let number = |name| get(numbers, name).try_into().unwrap_or(u32::MAX);
        RdmaEntry {
            device: device.device.clone(),
            hca_handles: number("hca_handle"),
            hca_objects: number("hca_object"),
        }
    };
    Rdma {
        current: devices.iter().map(|device| entry(device, &device.current)).collect(),
        limit: devices.iter().map(|device| entry(device, &device.max)).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unlimited_resource_is_written_as_containerd_writes_it() {
        let mut metrics = stats::Metrics::default();
        let mut pids = stats::PidsMetrics::default();
        (pids.current, pids.max) = (3, u64::MAX);
        metrics.pids = Some(pids);
        let mut memory = stats::MemoryMetrics::default();
        (memory.current, memory.max) = (5, u64::MAX);
        memory.events.insert("oom_kill".to_owned(), 7);
        memory.stat.insert("workingset_refault_anon".to_owned(), 1);
        memory.stat.insert("workingset_refault_file".to_owned(), 2);
        metrics.memory = Some(memory);
        let metrics = Metrics::from(metrics);
        assert_eq!(metrics.pids, Some(Pids { current: 3, limit: u64::MAX }));
        let memory = metrics.memory.unwrap();
        assert_eq!((memory.usage, memory.usage_limit, memory.workingset_refault), (5, u64::MAX, 3));
        assert_eq!(metrics.memory_events.unwrap().oom_kill, 7);
    }
}
