// SPDX-License-Identifier: Apache-2.0
//! The resource usage of a container, in the format of runc's `events --stats`. The
//! field names are those of cgroup version 1.

use super::group::{Cgroup, keyed};
use crate::error::{Context, Error, Result};
use crate::path;
use runtime_sys::text::c_str;
use runtime_sys::{Errno, dir, fd};
use serde::Serialize;
use std::collections::BTreeMap;
use std::ffi::CStr;

/// The current and past resource usage of a container.
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

/// Pressure stall information (Documentation/accounting/psi.rst), if the kernel has it: CONFIG_PSI,
/// without psi=0.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Psi {
    /// The time in which at least one task was stalled.
    #[serde(skip_serializing_if = "is_default")]
    pub some: Pressure,
    /// The time in which all non-idle tasks were stalled at once.
    #[serde(skip_serializing_if = "is_default")]
    pub full: Pressure,
}

/// A share of the time, in percent, and a total time.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Pressure {
    /// The share of the last 10 seconds.
    pub avg10: f64,
    /// The share of the last minute.
    pub avg60: f64,
    /// The share of the last 5 minutes.
    pub avg300: f64,
    /// The total time, in microseconds.
    pub total: u64,
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

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl Cgroup {
    /// Reads all statistics, except those that the host does not account for.
    pub(crate) fn stats(&self) -> Result<Stats> {
        Ok(Stats {
            cpu: CpuStats { psi: self.psi(c"cpu.pressure")?, ..cpu(&self.text(c"cpu.stat")?) },
            memory: MemoryStats { psi: self.psi(c"memory.pressure")?, ..self.memory()? },
            pids: self.pids_stats()?,
            blkio: BlkioStats { psi: self.psi(c"io.pressure")?, ..io(&self.text(c"io.stat")?) },
            hugetlb: self.hugetlb()?,
            ..Stats::default()
        })
    }

    /// Returns the content of a file; `None` if the file does not exist.
    fn optional(&self, file: &CStr) -> Result<Option<String>> {
        match fd::read_file(&self.dir, file, 1 << 20) {
            Ok(text) => Ok(Some(String::from_utf8_lossy(&text).into_owned())),
            // EOPNOTSUPP: a pressure file, while PSI is disabled.
            Err(Errno::ENOENT | Errno::EOPNOTSUPP) => Ok(None),
            Err(errno) => Err(Error::os(errno, format!("read {}/{}", self.path, path::show(file)))),
        }
    }

    fn text(&self, file: &CStr) -> Result<String> {
        Ok(self.optional(file)?.unwrap_or_default())
    }

    /// Returns the number in a file, or `u64::MAX` for `max`.
    fn number(&self, file: &CStr) -> Result<Option<u64>> {
        let number = |text: String| text.trim().parse().unwrap_or(u64::MAX);
        Ok(self.optional(file)?.map(number))
    }

    fn psi(&self, file: &CStr) -> Result<Option<Psi>> {
        Ok(self.optional(file)?.map(|text| psi(&text)))
    }

    fn memory(&self) -> Result<MemoryStats> {
        let Some(usage) = self.number(c"memory.current")? else { return Ok(MemoryStats::default()) };
        let raw = pairs(&self.text(c"memory.stat")?);
        let memory = MemoryUsage {
            limit: self.number(c"memory.max")?.unwrap_or(u64::MAX),
            usage,
            // KERNEL(5.19): memory.peak
            max: self.number(c"memory.peak")?.unwrap_or(0),
            failcnt: keyed(self.text(c"memory.events")?.as_bytes(), "max"),
        };
        let swap_limit = self.number(c"memory.swap.max")?.unwrap_or(0);
        let swap = MemoryUsage {
            limit: if swap_limit == u64::MAX { swap_limit } else { swap_limit.saturating_add(memory.limit) },
            usage: memory.usage.saturating_add(self.number(c"memory.swap.current")?.unwrap_or(0)),
            max: 0,
            failcnt: 0,
        };
        let cache = raw.get("file").copied().unwrap_or(0);
        Ok(MemoryStats { cache, usage: memory, swap, raw, psi: None })
    }

    fn pids_stats(&self) -> Result<PidsStats> {
        let limit = self.number(c"pids.max")?.filter(|limit| *limit != u64::MAX).unwrap_or(0);
        let current = match self.number(c"pids.current")? {
            Some(current) => current,
            None => self.pids()?.len() as u64,
        };
        Ok(PidsStats { current, limit })
    }

    fn hugetlb(&self) -> Result<BTreeMap<String, HugetlbStats>> {
        let mut all = BTreeMap::new();
        for entry in dir::entries(&self.dir).context(|| format!("read {}", self.path))? {
            let name = entry.name.to_string_lossy();
            let size = name.strip_prefix("hugetlb.").and_then(|name| name.strip_suffix(".current"));
            let Some(size) = size.filter(|size| !size.contains('.')) else { continue };
            let file = |what: &str| {
                let file = format!("hugetlb.{size}.{what}");
                c_str(file.as_str()).context(|| format!("read {}/{file}", self.path))
            };
            let usage = match self.number(&file("rsvd.current")?)? {
                Some(usage) => usage,
                None => self.number(&file("current")?)?.unwrap_or(0),
            };
            let failcnt = keyed(self.text(&file("events")?)?.as_bytes(), "max");
            all.insert(size.to_owned(), HugetlbStats { usage, failcnt });
        }
        Ok(all)
    }
}

/// Parses `key number` lines.
fn pairs(text: &str) -> BTreeMap<String, u64> {
    let pair = |line: &str| {
        let (key, value) = line.split_once(' ')?;
        Some((key.to_owned(), value.trim().parse().ok()?))
    };
    text.lines().filter_map(pair).collect()
}

fn cpu(text: &str) -> CpuStats {
    let stat = pairs(text);
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

fn psi(text: &str) -> Psi {
    let pressure = |kind: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(kind)).unwrap_or_default();
        let field = |key: &str| {
            line.split_ascii_whitespace().find_map(|word| word.strip_prefix(key)?.strip_prefix('='))
        };
        let average = |key: &str| field(key).and_then(|value| value.parse().ok()).unwrap_or(0.0);
        Pressure {
            avg10: average("avg10"),
            avg60: average("avg60"),
            avg300: average("avg300"),
            total: field("total").and_then(|value| value.parse().ok()).unwrap_or(0),
        }
    };
    Psi { some: pressure("some "), full: pressure("full ") }
}

/// Parses io.stat: lines such as `8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=0 dios=0`.
fn io(text: &str) -> BlkioStats {
    let mut stats = BlkioStats::default();
    for line in text.lines() {
        let mut words = line.split_ascii_whitespace();
        let device = words.next().and_then(|device| device.split_once(':'));
        let Some((Ok(major), Ok(minor))) = device.map(|(major, minor)| (major.parse(), minor.parse())) else {
            continue;
        };
        for (key, value) in words.filter_map(|word| word.split_once('=')) {
            let (list, op) = match key {
                "rbytes" => (&mut stats.io_service_bytes_recursive, "Read"),
                "wbytes" => (&mut stats.io_service_bytes_recursive, "Write"),
                "rios" => (&mut stats.io_serviced_recursive, "Read"),
                "wios" => (&mut stats.io_serviced_recursive, "Write"),
                _ => continue,
            };
            list.push(BlkioEntry { major, minor, op, value: value.parse().unwrap_or(0) });
        }
    }
    stats
}

/// Parses any text as each of the files. For the fuzz target.
#[cfg(feature = "fuzzing")]
pub(super) fn check_parsers(text: &str) {
    let stats = Stats {
        cpu: CpuStats { psi: Some(psi(text)), ..cpu(text) },
        blkio: io(text),
        memory: MemoryStats { raw: pairs(text), ..MemoryStats::default() },
        ..Stats::default()
    };
    assert!(serde_json::to_string(&stats).is_ok());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_time_is_in_nanoseconds() {
        let text =
            "usage_usec 120\nuser_usec 100\nsystem_usec 20\nnr_periods 3\nnr_throttled 2\nthrottled_usec 7\n";
        let stats = cpu(text);
        assert_eq!(stats.usage, CpuUsage { total: 120_000, kernel: 20_000, user: 100_000 });
        assert_eq!(stats.throttling, Throttling { periods: 3, throttled_periods: 2, throttled_time: 7_000 });
    }

    #[test]
    fn pressure_is_parsed() {
        let text = "some avg10=1.50 avg60=0.00 avg300=0.25 total=77\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=9\n";
        let psi = psi(text);
        assert_eq!(psi.some, Pressure { avg10: 1.5, avg60: 0.0, avg300: 0.25, total: 77 });
        assert_eq!(psi.full.total, 9);
    }

    #[test]
    fn reads_and_writes_of_block_devices_are_parsed() {
        let stats = io("8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=0 dios=0\n7:1 \nx rbytes=1\n");
        let entry = |op, value| BlkioEntry { major: 8, minor: 0, op, value };
        assert_eq!(stats.io_service_bytes_recursive, [entry("Read", 1), entry("Write", 2)]);
        assert_eq!(stats.io_serviced_recursive, [entry("Read", 3), entry("Write", 4)]);
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
