// SPDX-License-Identifier: Apache-2.0
//! `linux.resources`: the container's resource limits (config-linux.md, "Control groups").
//!
//! The specification's fields are those of cgroup v1. They are converted to those of cgroup
//! v2. A field without a counterpart in cgroup v2 is an error. The values that engines write
//! for "not set" (0, -1 or an empty object, depending on the field) change nothing. `None` in
//! the types of this module leaves a setting unchanged.

use super::field::{invalid, number_list, unsupported};
use crate::error::{Result, Warning};
use crate::spec;
use std::fmt::Display;

const AT: &str = "linux.resources";

/// A limit in the form of the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Limit {
    /// No limit.
    Max,
    At(u64),
}

impl Display for Limit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Limit::Max => f.write_str("max"),
            Limit::At(value) => value.fmt(f),
        }
    }
}

/// All limits except the device filter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Resources {
    pub(crate) memory: Memory,
    pub(crate) cpu: Cpu,
    pub(crate) pids: Option<Limit>,
    pub(crate) io: Io,
    pub(crate) hugepages: Vec<Hugepages>,
    pub(crate) rdma: Vec<Rdma>,
    pub(crate) unified: Vec<Unified>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Memory {
    pub(crate) max: Option<Limit>,
    /// The soft limit (`memory.reservation`).
    pub(crate) low: Option<Limit>,
    /// The limit on swap alone, as cgroup v2 counts it.
    pub(crate) swap_max: Option<Limit>,
    /// The limits to compare with the current usage, so that a limit below it is refused
    /// instead of causing an OOM kill.
    pub(crate) check: Option<MemoryCheck>,
}

/// The limits that `checkBeforeUpdate` compares with the current usage, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MemoryCheck {
    pub(crate) memory: Option<u64>,
    pub(crate) memory_and_swap: Option<u64>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Cpu {
    pub(crate) weight: Option<u64>,
    pub(crate) bandwidth: Option<Bandwidth>,
    /// The unused CPU time that may accumulate, in microseconds.
    pub(crate) burst: Option<u64>,
    pub(crate) idle: Option<bool>,
    /// The list of CPUs in the format of cpuset(7); `mems` is the list of memory nodes.
    pub(crate) cpus: Option<String>,
    pub(crate) mems: Option<String>,
}

/// The CPU time in each period and the length of a period, both in microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bandwidth {
    pub(crate) quota: Limit,
    pub(crate) period: u64,
}

impl Bandwidth {
    /// The kernel's default (Documentation/admin-guide/cgroup-v2.rst, "cpu.max").
    const DEFAULT_PERIOD: u64 = 100_000;
}

/// The numbers of a block device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Device {
    pub(crate) major: u32,
    pub(crate) minor: u32,
}

impl Display for Device {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.major, self.minor)
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Io {
    /// The weight, 10 to 1000.
    pub(crate) weight: Option<u16>,
    pub(crate) device_weights: Vec<DeviceWeight>,
    pub(crate) rates: Vec<Rate>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct DeviceWeight {
    pub(crate) device: Device,
    /// The weight, 10 to 1000. `None` resets the device to the cgroup's weight.
    pub(crate) weight: Option<u16>,
}

/// A limit on the bytes or operations per second of a block device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rate {
    pub(crate) device: Device,
    /// The field of config.json that the limit comes from.
    pub(crate) field: String,
    /// The name of the limit in io.max: `rbps`, `wbps`, `riops`, `wiops`.
    pub(crate) key: &'static str,
    pub(crate) limit: Limit,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Hugepages {
    /// The page size as in the names of the kernel's files: `2MB`, ...
    pub(crate) size: String,
    pub(crate) limit: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rdma {
    pub(crate) device: String,
    pub(crate) handles: Option<u32>,
    pub(crate) objects: Option<u32>,
}

/// A file of the container's cgroup, and the value to write into it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Unified {
    pub(crate) file: String,
    pub(crate) value: String,
}

impl Resources {
    /// Checks the limits.
    pub(crate) fn new(spec: &spec::Resources, warnings: &mut Vec<Warning>) -> Result<Self> {
        if let Some(network) = &spec.network {
            if network.class_id.unwrap_or(0) != 0 {
                return Err(only_version_1("network.classID"));
            }
            if !network.priorities.is_empty() {
                return Err(only_version_1("network.priorities"));
            }
        }
        let mut resources = Resources {
            memory: match &spec.memory {
                None => Memory::default(),
                Some(spec) => memory(spec, warnings)?,
            },
            cpu: match &spec.cpu {
                None => Cpu::default(),
                Some(spec) => cpu(spec, warnings)?,
            },
            pids: match &spec.pids {
                None => None,
                Some(pids) => pids.limit.map(|limit| any_limit("pids.limit", limit)).transpose()?,
            },
            io: spec.block_io.as_ref().map(io).transpose()?.unwrap_or_default(),
            hugepages: hugepages(&spec.hugepage_limits)?,
            rdma: spec.rdma.iter().map(|(device, limits)| rdma(device, limits)).collect::<Result<_>>()?,
            unified: spec.unified.iter().map(|(file, value)| unified(file, value)).collect::<Result<_>>()?,
        };
        // An empty value changes nothing. (The value "\n" empties a file.)
        resources.unified.retain(|unified| !unified.value.is_empty());
        resources.idle_wins(warnings);
        Ok(resources)
    }

    /// Drops the weight of an idle cgroup with a warning, because the kernel refuses to set a
    /// weight there.
    fn idle_wins(&mut self, warnings: &mut Vec<Warning>) {
        let is = |u: &Unified, file: &str| u.file == file;
        let unified_idle = self.unified.iter().find(|u| is(u, "cpu.idle")).map(|u| u.value.trim() == "1");
        if unified_idle.unwrap_or(self.cpu.idle == Some(true)) {
            let before = self.unified.len();
            self.unified.retain(|u| !is(u, "cpu.weight") && !is(u, "cpu.weight.nice"));
            if self.cpu.weight.take().is_some() || self.unified.len() < before {
                warnings.push(Warning(format!(
                    "{AT}.cpu: unable to apply both a weight (shares) and idle: idle it is"
                )));
            }
        }
    }
}

/// Warns of a 0 in a field without a counterpart in cgroup v2. In cgroup v1, 0 was a limit,
/// but in the documented input of runc's `update`, 0 means "leave unchanged".
fn no_limit<T: PartialEq + From<u8>>(field: &str, value: Option<T>, warnings: &mut Vec<Warning>) {
    if value == Some(T::from(0)) {
        warnings.push(Warning(format!("{AT}.{field}: 0 is ignored: cgroup v2 has no such thing")));
    }
}

fn only_version_1(field: &str) -> crate::error::Error {
    unsupported(format_args!("{AT}.{field}"), "cgroup v2 has no such thing")
}

/// Converts a limit for which 0 is a limit, too.
fn any_limit(field: &str, value: i64) -> Result<Limit> {
    match value {
        -1 => Ok(Limit::Max),
        value => u64::try_from(value).map(Limit::At).map_err(|_negative| {
            invalid(format_args!("{AT}.{field}"), format_args!("expected -1 or more, got {value}"))
        }),
    }
}

/// Converts a limit for which 0 means "not set".
fn limit(field: &str, value: Option<i64>) -> Result<Option<Limit>> {
    value.filter(|value| *value != 0).map(|value| any_limit(field, value)).transpose()
}

fn memory(spec: &spec::Memory, warnings: &mut Vec<Warning>) -> Result<Memory> {
    let unset = |value: Option<i64>| matches!(value, None | Some(0 | -1));
    // u64::MAX is -1 as cast by Go, which engines write for "not set". 0 is a setting: never
    // swap.
    if !matches!(spec.swappiness, None | Some(u64::MAX)) {
        return Err(only_version_1("memory.swappiness"));
    }
    no_limit("memory.kernel", spec.kernel, warnings);
    no_limit("memory.kernelTCP", spec.kernel_tcp, warnings);
    if !unset(spec.kernel) {
        return Err(only_version_1("memory.kernel"));
    }
    if !unset(spec.kernel_tcp) {
        return Err(only_version_1("memory.kernelTCP"));
    }
    if spec.disable_oom_killer == Some(true) {
        return Err(only_version_1("memory.disableOOMKiller"));
    }
    // In cgroup v2, memory accounting is always hierarchical.
    if spec.use_hierarchy == Some(false) {
        return Err(only_version_1("memory.useHierarchy"));
    }
    let max = limit("memory.limit", spec.limit)?;
    let total = limit("memory.swap", spec.swap)?;
    let at = |limit| match limit {
        Some(Limit::At(value)) => Some(value),
        _ => None,
    };
    let (memory, memory_and_swap) = (at(max), at(total));
    let check = spec.check_before_update == Some(true) && (memory.is_some() || memory_and_swap.is_some());
    Ok(Memory {
        max,
        low: limit("memory.reservation", spec.reservation)?,
        swap_max: swap_alone(max, total)?,
        check: check.then_some(MemoryCheck { memory, memory_and_swap }),
    })
}

/// Returns the limit on swap alone. The specification counts memory and swap together,
/// cgroup v2 counts swap alone.
fn swap_alone(memory: Option<Limit>, total: Option<Limit>) -> Result<Option<Limit>> {
    let bad = |why: &str| Err(invalid(format_args!("{AT}.memory.swap"), why));
    match (memory, total) {
        // Unlimited memory implies unlimited swap.
        (Some(Limit::Max), None) => Ok(Some(Limit::Max)),
        (_, None) => Ok(None),
        (_, Some(Limit::Max)) | (Some(Limit::Max), _) => Ok(total),
        (None, Some(Limit::At(_))) => bad("unable to set swap limit without memory limit"),
        (Some(Limit::At(memory)), Some(Limit::At(total))) => match total.checked_sub(memory) {
            Some(swap) => Ok(Some(Limit::At(swap))),
            None => bad("memory+swap limit should be >= memory limit"),
        },
    }
}

fn cpu(spec: &spec::Cpu, warnings: &mut Vec<Warning>) -> Result<Cpu> {
    no_limit("cpu.realtimeRuntime", spec.realtime_runtime, warnings);
    no_limit("cpu.realtimePeriod", spec.realtime_period, warnings);
    if spec.realtime_runtime.unwrap_or(0) != 0 {
        return Err(only_version_1("cpu.realtimeRuntime"));
    }
    if spec.realtime_period.unwrap_or(0) != 0 {
        return Err(only_version_1("cpu.realtimePeriod"));
    }
    let quota = limit("cpu.quota", spec.quota)?;
    let period = spec.period.filter(|period| *period != 0);
    // These are the bounds of the kernel (kernel/sched/core.c, tg_set_cfs_bandwidth).
    if let Some(Limit::At(quota)) = quota
        && quota < 1_000
    {
        let why = format_args!("expected -1, or 1000 microseconds or more, got {quota}");
        return Err(invalid(format_args!("{AT}.cpu.quota"), why));
    }
    if let Some(period) = period
        && !(1_000..=1_000_000).contains(&period)
    {
        let why = format_args!("expected 1000 to 1000000 microseconds, got {period}");
        return Err(invalid(format_args!("{AT}.cpu.period"), why));
    }
    if let (Some(burst), Some(Limit::At(quota))) = (spec.burst, quota)
        && burst > quota
    {
        let why = format_args!("must not be larger than the quota, {burst} > {quota}");
        return Err(invalid(format_args!("{AT}.cpu.burst"), why));
    }
    let bandwidth = (quota.is_some() || period.is_some()).then(|| Bandwidth {
        quota: quota.unwrap_or(Limit::Max),
        period: period.unwrap_or(Bandwidth::DEFAULT_PERIOD),
    });
    let idle = match spec.idle {
        None => None,
        Some(idle @ (0 | 1)) => Some(idle == 1),
        Some(other) => {
            return Err(invalid(format_args!("{AT}.cpu.idle"), format_args!("expected 0 or 1, got {other}")));
        }
    };
    Ok(Cpu {
        weight: spec.shares.and_then(weight),
        bandwidth,
        burst: spec.burst,
        idle,
        cpus: list("cpu.cpus", &spec.cpus)?,
        mems: list("cpu.mems", &spec.mems)?,
    })
}

/// Converts shares (2 to 262144, default 1024) to a weight (1 to 10000, default 100) with the
/// formula of runc: a curve through the minima, defaults and maxima. Returns `None` for 0.
fn weight(shares: u64) -> Option<u64> {
    match shares {
        0 => None,
        1 | 2 => Some(1),
        262_144.. => Some(10_000),
        shares => {
            let l = (shares as f64).log2();
            let exponent = (l * l + 125.0 * l) / 612.0 - 7.0 / 34.0;
            Some(10f64.powf(exponent).ceil() as u64)
        }
    }
}

fn list(field: &str, list: &str) -> Result<Option<String>> {
    let mask = number_list(format_args!("{AT}.{field}"), "invalid list", list)?;
    if mask.is_empty() && !list.is_empty() {
        return Err(invalid(format_args!("{AT}.{field}"), format_args!("{list:?} names none")));
    }
    Ok((!list.is_empty()).then(|| list.to_owned()))
}

fn io(spec: &spec::BlockIo) -> Result<Io> {
    if spec.leaf_weight.unwrap_or(0) != 0 {
        return Err(only_version_1("blockIO.leafWeight"));
    }
    let mut device_weights = Vec::new();
    for (i, entry) in spec.weight_device.iter().enumerate() {
        let field = format!("blockIO.weightDevice[{i}]");
        if entry.leaf_weight.unwrap_or(0) != 0 {
            return Err(only_version_1(&format!("{field}.leafWeight")));
        }
        let Some(weight) = entry.weight else {
            return Err(invalid(format_args!("{AT}.{field}.weight"), "must be given"));
        };
        device_weights.push(DeviceWeight {
            device: device(&field, entry.major, entry.minor)?,
            weight: io_weight(&format!("{field}.weight"), weight)?,
        });
    }
    let mut rates = Vec::new();
    for (name, key, entries) in [
        ("throttleReadBpsDevice", "rbps", &spec.throttle_read_bps_device),
        ("throttleWriteBpsDevice", "wbps", &spec.throttle_write_bps_device),
        ("throttleReadIOPSDevice", "riops", &spec.throttle_read_iops_device),
        ("throttleWriteIOPSDevice", "wiops", &spec.throttle_write_iops_device),
    ] {
        for (i, entry) in entries.iter().enumerate() {
            let field = format!("blockIO.{name}[{i}]");
            rates.push(Rate {
                device: device(&field, entry.major, entry.minor)?,
                field,
                key,
                // A rate of 0 removes a limit in cgroup v1. In cgroup v2 the kernel refuses it.
                limit: if entry.rate == 0 { Limit::Max } else { Limit::At(entry.rate) },
            });
        }
    }
    Ok(Io {
        weight: spec.weight.map(|weight| io_weight("blockIO.weight", weight)).transpose()?.flatten(),
        device_weights,
        rates,
    })
}

fn io_weight(field: &str, weight: u16) -> Result<Option<u16>> {
    match weight {
        0 => Ok(None),
        10..=1000 => Ok(Some(weight)),
        _ => Err(invalid(format_args!("{AT}.{field}"), format_args!("expected 10 to 1000, got {weight}"))),
    }
}

fn device(field: &str, major: i64, minor: i64) -> Result<Device> {
    let number = |name: &str, value: i64, max: u32| match u32::try_from(value) {
        Ok(value) if value <= max => Ok(value),
        _ => Err(invalid(
            format_args!("{AT}.{field}.{name}"),
            format_args!("expected 0 to {max}, got {value}"),
        )),
    };
    // The kernel's MKDEV has 12 bits for the major and 20 bits for the minor number.
    Ok(Device { major: number("major", major, 0xfff)?, minor: number("minor", minor, 0xf_ffff)? })
}

fn hugepages(spec: &[spec::HugepageLimit]) -> Result<Vec<Hugepages>> {
    let check = |(i, entry): (usize, &spec::HugepageLimit)| {
        let digits = entry.page_size.bytes().take_while(u8::is_ascii_digit).count();
        let unit = entry.page_size.get(digits..).unwrap_or_default();
        if !(1..=6).contains(&digits) || !["KB", "MB", "GB"].contains(&unit) {
            return Err(invalid(
                format_args!("{AT}.hugepageLimits[{i}].pageSize"),
                format_args!("expected a size such as 2MB, got {:?}", entry.page_size),
            ));
        }
        Ok(Hugepages { size: entry.page_size.clone(), limit: entry.limit })
    };
    spec.iter().enumerate().map(check).collect()
}

fn rdma(device: &str, spec: &spec::Rdma) -> Result<Rdma> {
    let at = format!("{AT}.rdma.{device:?}");
    if device.is_empty() || device.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Err(invalid(at, "not the name of a device"));
    }
    if spec.hca_handles.is_none() && spec.hca_objects.is_none() {
        return Err(invalid(at, "has neither hcaHandles nor hcaObjects"));
    }
    Ok(Rdma { device: device.to_owned(), handles: spec.hca_handles, objects: spec.hca_objects })
}

/// The files that are not limits: the runtime itself uses them to move, freeze and kill the
/// container's processes. A pid in cgroup.procs could be that of any process of the host.
const NOT_LIMITS: [&str; 5] =
    ["cgroup.procs", "cgroup.threads", "cgroup.kill", "cgroup.freeze", "cgroup.type"];

fn unified(file: &str, value: &str) -> Result<Unified> {
    let at = format!("{AT}.unified.{file:?}");
    if file.contains('/') {
        return Err(invalid(at, "must be a file name (no slashes)"));
    }
    if file.split_once('.').is_none_or(|(controller, rest)| controller.is_empty() || rest.is_empty()) {
        return Err(invalid(at, "must be in the form CONTROLLER.PARAMETER"));
    }
    if file.contains('\0') || value.contains('\0') {
        return Err(invalid(at, "has a NUL byte"));
    }
    if NOT_LIMITS.contains(&file) {
        return Err(invalid(at, "is not a limit, and is used by the runtime itself"));
    }
    Ok(Unified { file: file.to_owned(), value: value.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(json: &str) -> Result<(Resources, Vec<Warning>)> {
        let spec = spec::from_json(json.as_bytes()).unwrap();
        let mut warnings = Vec::new();
        Ok((Resources::new(&spec, &mut warnings)?, warnings))
    }

    fn ok(json: &str) -> Resources {
        let (resources, warnings) = check(json).unwrap();
        assert!(warnings.is_empty(), "{warnings:?}");
        resources
    }

    fn report(json: &str) -> String {
        check(json).unwrap_err().report()
    }

    #[test]
    fn what_engines_write_for_nothing_is_nothing() {
        let docker = r#"{"memory": {"disableOOMKiller": false}, "cpu": {"shares": 0}, "blockIO": {"weight": 0},
            "network": {}, "pids": {}, "unified": {}, "hugepageLimits": null}"#;
        assert_eq!(ok(docker), Resources::default());
        let zeros = r#"{"memory": {"limit": 0, "reservation": 0, "swap": 0, "kernel": -1, "kernelTCP": -1,
            "useHierarchy": true}, "cpu": {"quota": 0, "period": 0, "cpus": ""},
            "blockIO": {"leafWeight": 0, "weightDevice": []}, "network": {"classID": 0}}"#;
        assert_eq!(ok(zeros), Resources::default());
        assert_eq!(ok(r#"{"memory": {"swappiness": 18446744073709551615}}"#), Resources::default());
    }

    #[test]
    fn zeros_that_would_be_dropped_are_warned_of() {
        let json = r#"{"memory": {"kernel": 0, "kernelTCP": 0}, "cpu": {"realtimeRuntime": 0, "realtimePeriod": 0}}"#;
        let (resources, warnings) = check(json).unwrap();
        assert_eq!(resources, Resources::default());
        let texts: Vec<_> = warnings.iter().map(ToString::to_string).collect();
        let fields = ["memory.kernel", "memory.kernelTCP", "cpu.realtimeRuntime", "cpu.realtimePeriod"];
        let expected =
            fields.map(|field| format!("linux.resources.{field}: 0 is ignored: cgroup v2 has no such thing"));
        assert_eq!(texts, expected);
    }

    #[test]
    fn swap_is_counted_alone() {
        let swap = |limit: i64, swap: i64| {
            check(&format!(r#"{{"memory": {{"limit": {limit}, "swap": {swap}}}}}"#))
                .map(|(resources, _)| resources.memory.swap_max)
                .map_err(|error| error.report())
        };
        assert_eq!(swap(100, 300), Ok(Some(Limit::At(200))));
        assert_eq!(swap(100, 100), Ok(Some(Limit::At(0))));
        assert_eq!(swap(100, -1), Ok(Some(Limit::Max)));
        assert_eq!(swap(100, 0), Ok(None));
        assert_eq!(swap(-1, 0), Ok(Some(Limit::Max)));
        assert_eq!(swap(-1, 300), Ok(Some(Limit::At(300))));
        assert_eq!(swap(0, -1), Ok(Some(Limit::Max)));
        assert_eq!(
            swap(0, 300).unwrap_err(),
            "linux.resources.memory.swap: unable to set swap limit without memory limit"
        );
        assert_eq!(
            swap(300, 100).unwrap_err(),
            "linux.resources.memory.swap: memory+swap limit should be >= memory limit"
        );
    }

    #[test]
    fn shares_become_weights_by_runc_s_formula() {
        let points = [(1, 1), (2, 1), (3, 2), (100, 17), (200, 29), (512, 59), (1024, 100), (1025, 101)];
        let more = [(2048, 174), (3333, 256), (262_143, 10_000), (262_144, 10_000), (u64::MAX, 10_000)];
        for (shares, want) in points.into_iter().chain(more) {
            assert_eq!(weight(shares), Some(want), "{shares}");
        }
        assert_eq!(weight(0), None);
        // More shares never give less weight.
        assert!((2..=262_144).map(weight).is_sorted());
    }

    #[test]
    fn bandwidth() {
        let cpu = |json: &str| ok(&format!(r#"{{"cpu": {json}}}"#)).cpu.bandwidth.unwrap();
        assert_eq!(
            cpu(r#"{"quota": 5000}"#),
            Bandwidth { quota: Limit::At(5000), period: Bandwidth::DEFAULT_PERIOD }
        );
        assert_eq!(cpu(r#"{"period": 50000}"#), Bandwidth { quota: Limit::Max, period: 50_000 });
        assert_eq!(cpu(r#"{"quota": -1}"#).quota, Limit::Max);
    }

    #[test]
    fn pids() {
        assert_eq!(ok(r#"{"pids": {"limit": 0}}"#).pids, Some(Limit::At(0)));
        assert_eq!(ok(r#"{"pids": {"limit": -1}}"#).pids, Some(Limit::Max));
    }

    #[test]
    fn absurd_values_are_refused_by_name() {
        for (json, error) in [
            (r#"{"memory": {"limit": -5}}"#, "linux.resources.memory.limit: expected -1 or more, got -5"),
            (r#"{"memory": {"reservation": -2}}"#, "linux.resources.memory.reservation: expected -1 or more"),
            (r#"{"memory": {"swap": -2}}"#, "linux.resources.memory.swap: expected -1 or more"),
            (
                r#"{"memory": {"disableOOMKiller": true}}"#,
                "linux.resources.memory.disableOOMKiller: cgroup v2 has no",
            ),
            (r#"{"memory": {"swappiness": 0}}"#, "linux.resources.memory.swappiness: cgroup v2 has no"),
            (r#"{"memory": {"swappiness": 60}}"#, "linux.resources.memory.swappiness: cgroup v2 has no"),
            (r#"{"memory": {"kernel": 1024}}"#, "linux.resources.memory.kernel: cgroup v2 has no"),
            (r#"{"memory": {"kernelTCP": 1024}}"#, "linux.resources.memory.kernelTCP: cgroup v2 has no"),
            (
                r#"{"memory": {"useHierarchy": false}}"#,
                "linux.resources.memory.useHierarchy: cgroup v2 has no",
            ),
            (r#"{"cpu": {"quota": -7}}"#, "linux.resources.cpu.quota: expected -1 or more"),
            (r#"{"cpu": {"quota": 999}}"#, "linux.resources.cpu.quota: expected -1, or 1000 microseconds"),
            (r#"{"cpu": {"period": 100}}"#, "linux.resources.cpu.period: expected 1000 to 1000000"),
            (r#"{"cpu": {"quota": 2000, "burst": 3000}}"#, "linux.resources.cpu.burst: must not be larger"),
            (r#"{"cpu": {"idle": 2}}"#, "linux.resources.cpu.idle: expected 0 or 1, got 2"),
            (r#"{"cpu": {"cpus": "x"}}"#, "linux.resources.cpu.cpus: invalid list \"x\""),
            (r#"{"cpu": {"mems": ","}}"#, "linux.resources.cpu.mems: \",\" names none"),
            (r#"{"cpu": {"realtimeRuntime": 5}}"#, "linux.resources.cpu.realtimeRuntime: cgroup v2 has no"),
            (r#"{"cpu": {"realtimePeriod": 5}}"#, "linux.resources.cpu.realtimePeriod: cgroup v2 has no"),
            (r#"{"pids": {"limit": -2}}"#, "linux.resources.pids.limit: expected -1 or more, got -2"),
            (r#"{"blockIO": {"weight": 5}}"#, "linux.resources.blockIO.weight: expected 10 to 1000, got 5"),
            (r#"{"blockIO": {"leafWeight": 5}}"#, "linux.resources.blockIO.leafWeight: cgroup v2 has no"),
            (
                r#"{"blockIO": {"weightDevice": [{"major": 8, "minor": 0}]}}"#,
                "linux.resources.blockIO.weightDevice[0].weight: must be given",
            ),
            (
                r#"{"blockIO": {"throttleReadIOPSDevice": [{"major": -1, "minor": 0, "rate": 1}]}}"#,
                "linux.resources.blockIO.throttleReadIOPSDevice[0].major: expected 0 to 4095, got -1",
            ),
            (
                r#"{"hugepageLimits": [{"pageSize": "2M/../x", "limit": 0}]}"#,
                "linux.resources.hugepageLimits[0].pageSize: expected a size such as 2MB",
            ),
            (r#"{"rdma": {"mlx5_0": {}}}"#, "linux.resources.rdma.\"mlx5_0\": has neither"),
            (r#"{"rdma": {"a b": {"hcaHandles": 1}}}"#, "linux.resources.rdma.\"a b\": not the name"),
            (r#"{"network": {"classID": 7}}"#, "linux.resources.network.classID: cgroup v2 has no"),
            (r#"{"unified": {"../x.y": "1"}}"#, "linux.resources.unified.\"../x.y\": must be a file name"),
            (r#"{"unified": {"memory": "1"}}"#, "linux.resources.unified.\"memory\": must be in the form"),
            (
                r#"{"unified": {"cgroup.procs": "1"}}"#,
                "linux.resources.unified.\"cgroup.procs\": is not a limit",
            ),
        ] {
            assert!(report(json).starts_with(error), "{json}: {}", report(json));
        }
    }

    #[test]
    fn idle_and_weight() {
        for json in [
            r#"{"cpu": {"idle": 1, "shares": 200}}"#,
            r#"{"cpu": {"shares": 200}, "unified": {"cpu.idle": "1"}}"#,
            r#"{"unified": {"cpu.idle": " 1\n", "cpu.weight": "8"}}"#,
        ] {
            let (resources, warnings) = check(json).unwrap();
            assert!(warnings[0].to_string().contains("unable to apply both"), "{json}");
            assert_eq!(resources.cpu.weight, None);
            assert!(resources.unified.iter().all(|u| u.file == "cpu.idle"));
        }
        let busy = ok(r#"{"cpu": {"idle": 0, "shares": 200}}"#).cpu;
        assert_eq!((busy.idle, busy.weight), (Some(false), Some(29)));
    }

    #[test]
    fn names_in_the_case_that_runc_s_callers_use() {
        let cpu = ok(r#"{"cpu": {"shares": 100, "cpus": "0"}, "CPU": {"Cpus": "1", "Mems": "0"}}"#).cpu;
        assert_eq!((cpu.weight, cpu.cpus.as_deref(), cpu.mems.as_deref()), (Some(17), Some("1"), Some("0")));
        let huge = ok(r#"{"hugepageLimits": [{"pagesize": "2MB", "limit": 1}]}"#).hugepages;
        assert_eq!(huge[0].size, "2MB");
    }

    #[test]
    fn check_before_update() {
        let memory = ok(r#"{"memory": {"limit": 1024, "swap": 2048, "checkBeforeUpdate": true}}"#).memory;
        let want = MemoryCheck { memory: Some(1024), memory_and_swap: Some(2048) };
        assert_eq!(memory.check, Some(want));
        assert_eq!(ok(r#"{"memory": {"limit": -1, "checkBeforeUpdate": true}}"#).memory.check, None);
    }
}
