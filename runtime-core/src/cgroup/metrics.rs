// SPDX-License-Identifier: Apache-2.0
//! The resource usage of a container, as the files of its cgroup have it.

use super::group::Cgroup;
use crate::error::{Context, Error, ErrorKind, Result};
use crate::path;
use runtime_sys::text::c_str;
use runtime_sys::{Errno, dir, fd};
use serde::Serialize;
use std::collections::BTreeMap;
use std::ffi::CStr;

/// The resource usage of a container, as the files of its cgroup have it
/// (Documentation/admin-guide/cgroup-v2.rst). A part is `None` or empty if the cgroup does not have the
/// controller, or the kernel does not have the file.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Metrics {
    /// cpu.stat: times in microseconds, and counts, by the kernel's names (`usage_usec`, ...).
    pub cpu: BTreeMap<String, u64>,
    /// The files memory.*.
    pub memory: Option<MemoryMetrics>,
    /// The files pids.*.
    pub pids: Option<PidsMetrics>,
    /// io.stat: an entry for each block device.
    pub io: Vec<IoMetrics>,
    /// The files hugetlb.*: an entry for each size of pages.
    pub hugetlb: Vec<HugetlbMetrics>,
    /// The files rdma.*: an entry for each device.
    pub rdma: Vec<RdmaMetrics>,
    /// cpu.pressure.
    pub cpu_pressure: Option<Psi>,
    /// memory.pressure.
    pub memory_pressure: Option<Psi>,
    /// io.pressure.
    pub io_pressure: Option<Psi>,
}

/// The files memory.*, in bytes.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemoryMetrics {
    /// memory.current: the usage, without swap.
    pub current: u64,
    /// memory.max: the limit on `current`; `u64::MAX` without one.
    pub max: u64,
    /// memory.peak: the highest usage so far. Needs Linux 5.19.
    pub peak: Option<u64>,
    /// memory.swap.current: the usage of swap alone.
    pub swap_current: Option<u64>,
    /// memory.swap.max: the limit on `swap_current`; `u64::MAX` without one.
    pub swap_max: Option<u64>,
    /// memory.swap.peak: the highest usage of swap so far. Needs Linux 6.5.
    pub swap_peak: Option<u64>,
    /// memory.zswap.current: the memory that compressed swap takes, a part of `current`. Needs Linux
    /// 5.19 with CONFIG_ZSWAP.
    pub zswap_current: Option<u64>,
    /// memory.zswap.max: the limit on `zswap_current`; `u64::MAX` without one. Needs Linux 5.19.
    pub zswap_max: Option<u64>,
    /// memory.stat: bytes, and counts, by the kernel's names (`anon`, ...).
    pub stat: BTreeMap<String, u64>,
    /// memory.events: counts, by the kernel's names (`oom_kill`, ...).
    pub events: BTreeMap<String, u64>,
}

/// The files pids.*: numbers of tasks.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PidsMetrics {
    /// pids.current: the number of tasks.
    pub current: u64,
    /// pids.max: the limit on `current`; `u64::MAX` without one.
    pub max: u64,
}

/// A line of io.stat: the usage of one block device.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IoMetrics {
    /// The major number of the device.
    pub major: u64,
    /// The minor number of the device.
    pub minor: u64,
    /// Bytes and operations, by the kernel's names (`rbytes`, `wios`, ...).
    pub stat: BTreeMap<String, u64>,
}

/// The files hugetlb.SIZE.*, in bytes.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HugetlbMetrics {
    /// SIZE: the size of the pages (`2MB`, ...).
    pub size: String,
    /// hugetlb.SIZE.current: the usage.
    pub current: u64,
    /// hugetlb.SIZE.rsvd.current: the reserved pages.
    pub rsvd_current: Option<u64>,
    /// hugetlb.SIZE.max: the limit on `current`; `u64::MAX` without one.
    pub max: u64,
    /// `max` of hugetlb.SIZE.events: how often the limit was hit.
    pub events_max: u64,
}

/// A line of rdma.current and of rdma.max: the resources of one device.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RdmaMetrics {
    /// The name of the device (`mlx5_0`, ...).
    pub device: String,
    /// The numbers in use, by the kernel's names (`hca_handle`, `hca_object`).
    pub current: BTreeMap<String, u64>,
    /// The limits on `current`; `u64::MAX` without one.
    pub max: BTreeMap<String, u64>,
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

pub(super) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl Cgroup {
    /// Reads all statistics, except those that the host does not account for.
    pub(crate) fn metrics(&self) -> Result<Metrics> {
        let rdma = rdma(&self.text(c"rdma.current")?, &self.text(c"rdma.max")?);
        // KERNEL(5.19): memory.zswap.*
        let (zswap_current, zswap_max) =
            (self.number(c"memory.zswap.current")?, self.number(c"memory.zswap.max")?);
        let mut metrics = Metrics { rdma, ..self.metrics_of_runc()? };
        if let Some(memory) = &mut metrics.memory {
            (memory.zswap_current, memory.zswap_max) = (zswap_current, zswap_max);
        }
        Ok(metrics)
    }

    /// Reads the statistics that [`Stats`](super::stats::Stats) has.
    ///
    /// Errors: [`ErrorKind::NotRunning`] if the cgroup was removed meanwhile.
    pub(super) fn metrics_of_runc(&self) -> Result<Metrics> {
        let metrics = Metrics {
            memory: self.memory()?,
            pids: self.pids_metrics()?,
            io: io(&self.text(c"io.stat")?),
            hugetlb: self.hugetlb()?,
            cpu_pressure: self.psi(c"cpu.pressure")?,
            memory_pressure: self.psi(c"memory.pressure")?,
            io_pressure: self.psi(c"io.pressure")?,
            ..Metrics::default()
        };
        // Every cgroup has this file. It is read last, so the others were not missing because the
        // cgroup was removed.
        let cpu = self.optional(c"cpu.stat")?.ok_or_else(|| self.is_gone())?;
        Ok(Metrics { cpu: pairs(&cpu), ..metrics })
    }

    fn is_gone(&self) -> Error {
        Error::new(ErrorKind::NotRunning, format!("the cgroup {} was removed meanwhile", self.path))
    }

    /// Returns the content of a file; `None` if the file does not exist.
    fn optional(&self, file: &CStr) -> Result<Option<String>> {
        match fd::read_file(&self.dir, file, 1 << 20) {
            Ok(text) => Ok(Some(String::from_utf8_lossy(&text).into_owned())),
            // EOPNOTSUPP: a pressure file, while PSI is disabled. EISDIR: a cgroup that the container
            // has made with the name of a file that the kernel does not have.
            Err(Errno::ENOENT | Errno::EOPNOTSUPP | Errno::EISDIR) => Ok(None),
            // The cgroup was removed between open(2) and read(2).
            Err(Errno::ENODEV) => Err(self.is_gone()),
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

    fn memory(&self) -> Result<Option<MemoryMetrics>> {
        let Some(current) = self.number(c"memory.current")? else { return Ok(None) };
        Ok(Some(MemoryMetrics {
            current,
            max: self.number(c"memory.max")?.unwrap_or(u64::MAX),
            // KERNEL(5.19): memory.peak
            peak: self.number(c"memory.peak")?,
            swap_current: self.number(c"memory.swap.current")?,
            swap_max: self.number(c"memory.swap.max")?,
            // KERNEL(6.5): memory.swap.peak
            swap_peak: self.number(c"memory.swap.peak")?,
            zswap_current: None,
            zswap_max: None,
            stat: pairs(&self.text(c"memory.stat")?),
            events: pairs(&self.text(c"memory.events")?),
        }))
    }

    fn pids_metrics(&self) -> Result<Option<PidsMetrics>> {
        let Some(current) = self.number(c"pids.current")? else { return Ok(None) };
        Ok(Some(PidsMetrics { current, max: self.number(c"pids.max")?.unwrap_or(u64::MAX) }))
    }

    fn hugetlb(&self) -> Result<Vec<HugetlbMetrics>> {
        let mut all = Vec::new();
        for entry in dir::entries(&self.dir).context(|| format!("read {}", self.path))? {
            let name = entry.name.to_string_lossy();
            let size = name.strip_prefix("hugetlb.").and_then(|name| name.strip_suffix(".current"));
            let Some(size) = size.filter(|size| !size.contains('.') && !entry.is_dir) else { continue };
            let file = |what: &str| {
                let file = format!("hugetlb.{size}.{what}");
                c_str(file.as_str()).context(|| format!("read {}/{file}", self.path))
            };
            all.push(HugetlbMetrics {
                size: size.to_owned(),
                current: self.number(&file("current")?)?.unwrap_or(0),
                rsvd_current: self.number(&file("rsvd.current")?)?,
                max: self.number(&file("max")?)?.unwrap_or(u64::MAX),
                events_max: pairs(&self.text(&file("events")?)?).get("max").copied().unwrap_or(0),
            });
        }
        Ok(all)
    }
}

/// Parses `key number` lines.
pub(super) fn pairs(text: &str) -> BTreeMap<String, u64> {
    let pair = |line: &str| {
        let (key, value) = line.split_once(' ')?;
        Some((key.to_owned(), value.trim().parse().ok()?))
    };
    collect(&mut text.lines().filter_map(pair))
}

/// Collects into a map: one copy of this code for all files.
fn collect(pairs: &mut dyn Iterator<Item = (String, u64)>) -> BTreeMap<String, u64> {
    let mut map = BTreeMap::new();
    for (key, value) in pairs {
        map.insert(key, value);
    }
    map
}

pub(super) fn psi(text: &str) -> Psi {
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
pub(super) fn io(text: &str) -> Vec<IoMetrics> {
    let device = |line: &str| {
        let mut words = line.split_ascii_whitespace();
        let (major, minor) = words.next()?.split_once(':')?;
        let (major, minor) = (major.parse().ok()?, minor.parse().ok()?);
        Some(IoMetrics { major, minor, stat: collect(&mut words.filter_map(pair)) })
    };
    text.lines().filter_map(device).collect()
}

/// Parses a word such as `rbytes=1`. The value `max` is the largest number.
fn pair(word: &str) -> Option<(String, u64)> {
    let (key, value) = word.split_once('=')?;
    Some((key.to_owned(), if value == "max" { u64::MAX } else { value.parse().ok()? }))
}

/// Parses rdma.current and rdma.max: lines such as `mlx5_0 hca_handle=2 hca_object=max`.
pub(super) fn rdma(current: &str, max: &str) -> Vec<RdmaMetrics> {
    let mut devices: BTreeMap<&str, RdmaMetrics> = BTreeMap::new();
    let mut read = |text, field: fn(&mut RdmaMetrics) -> &mut BTreeMap<String, u64>| {
        for line in str::lines(text) {
            let Some((device, words)) = line.split_once(' ') else { continue };
            let metrics = devices.entry(device).or_default();
            device.clone_into(&mut metrics.device);
            *field(metrics) = collect(&mut words.split_ascii_whitespace().filter_map(pair));
        }
    };
    read(current, |metrics| &mut metrics.current);
    read(max, |metrics| &mut metrics.max);
    devices.into_values().collect()
}

#[cfg(test)]
#[allow(clippy::disallowed_methods)]
mod tests {
    use super::*;

    #[test]
    fn pressure_is_parsed() {
        let text = "some avg10=1.50 avg60=0.00 avg300=0.25 total=77\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=9\n";
        let psi = psi(text);
        assert_eq!(psi.some, Pressure { avg10: 1.5, avg60: 0.0, avg300: 0.25, total: 77 });
        assert_eq!(psi.full.total, 9);
    }

    #[test]
    fn block_devices_are_parsed() {
        let devices = io("8:0 rbytes=1 wbytes=2 rios=3 cost.usage=7 x\n7:1 \nx rbytes=1\n");
        assert_eq!(devices.iter().map(|it| (it.major, it.minor)).collect::<Vec<_>>(), [(8, 0), (7, 1)]);
        let stat = devices.first().map(|device| device.stat.iter().map(|(k, v)| (k.as_str(), *v)).collect());
        assert_eq!(stat, Some(vec![("cost.usage", 7), ("rbytes", 1), ("rios", 3), ("wbytes", 2)]));
    }

    #[test]
    fn rdma_devices_are_parsed() {
        let current = "mlx4_0 hca_handle=2 hca_object=2000\nocrdma1 hca_handle=3 hca_object=0\n";
        let devices = rdma(current, "ocrdma1 hca_handle=4 hca_object=max\nx\n");
        let names: Vec<_> = devices.iter().map(|it| it.device.as_str()).collect();
        assert_eq!(names, ["mlx4_0", "ocrdma1"]);
        assert_eq!((devices[0].current["hca_object"], devices[0].max.len()), (2000, 0));
        assert_eq!((devices[1].max["hca_handle"], devices[1].max["hca_object"]), (4, u64::MAX));
    }

    /// Few hosts have these files.
    #[test]
    #[allow(clippy::disallowed_methods)]
    fn compressed_swap_and_rdma_have_files_of_their_own() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().to_str().unwrap().to_owned();
        let dir = std::fs::File::open(&path).unwrap().into();
        let cgroup = Cgroup { dir, path };
        for (name, text) in [
            ("cpu.stat", "usage_usec 1\n"),
            ("memory.current", "2\n"),
            ("memory.zswap.current", "3\n"),
            ("memory.zswap.max", "max\n"),
            ("rdma.current", "mlx4_0 hca_handle=4\n"),
            ("rdma.max", "mlx4_0 hca_handle=5\n"),
        ] {
            std::fs::write(place.path().join(name), text).unwrap();
        }
        let metrics = cgroup.metrics().unwrap();
        let memory = metrics.memory.unwrap();
        assert_eq!((memory.zswap_current, memory.zswap_max), (Some(3), Some(u64::MAX)));
        let rdma = &metrics.rdma[0];
        assert_eq!((rdma.current["hca_handle"], rdma.max["hca_handle"]), (4, 5));
    }

    /// Root only.
    #[test]
    fn a_removed_cgroup_has_no_statistics() {
        let own = crate::cgroup::Hierarchy::find().unwrap();
        let own = own.of_process(std::process::id() as i32).unwrap();
        let path = format!("{}/gone-{}", own.path, std::process::id());
        std::fs::create_dir(&path).unwrap();
        let cgroup = Cgroup::from_record(&path).unwrap().unwrap();
        let (metrics, stats) = (cgroup.metrics().unwrap(), cgroup.stats());
        assert!(metrics.cpu.contains_key("usage_usec") && stats.is_ok(), "{metrics:?} {stats:?}");
        std::fs::remove_dir(&path).unwrap();
        for error in [cgroup.metrics().unwrap_err(), cgroup.stats().unwrap_err()] {
            assert_eq!(error.kind(), ErrorKind::NotRunning, "{error:?}");
        }
    }

    /// A real cgroup, with as many controllers as the host has. Root only.
    #[test]
    fn the_files_of_a_cgroup_are_read() {
        let hierarchy = crate::cgroup::Hierarchy::find().unwrap();
        let metrics = hierarchy.of_process(std::process::id() as i32).unwrap().metrics().unwrap();
        assert!(metrics.cpu.contains_key("usage_usec"), "{metrics:?}");
    }
}
