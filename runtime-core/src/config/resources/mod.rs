// SPDX-License-Identifier: Apache-2.0
//! `linux.resources`: the container's resource limits (config-linux.md, "Control groups").
//!
//! The specification's fields are those of cgroup v1. They are converted to those of cgroup
//! v2. A field without a counterpart in cgroup v2 is an error. The values that engines write
//! for "not set" (0, -1 or an empty object, depending on the field) change nothing. `None` in
//! the types of this module leaves a setting unchanged.

mod cpu;
mod io;
mod limit;
mod memory;

use super::field::invalid;
use crate::error::{Result, Warning};
use crate::spec;
use cpu::cpu;
use io::io;
use limit::{AT, any_limit, only_version_1};
use memory::memory;

pub(crate) use cpu::{Bandwidth, Cpu};
pub(crate) use io::Io;
pub(crate) use limit::Limit;
pub(crate) use memory::{Memory, MemoryCheck};

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
                    "{AT}.cpu: unable to apply both a weight (shares) and idle; idle is used"
                )));
            }
        }
    }
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
    fn values_that_engines_write_for_no_limit_set_none() {
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
    fn zeros_without_an_effect_are_warnings() {
        let json = r#"{"memory": {"kernel": 0, "kernelTCP": 0}, "cpu": {"realtimeRuntime": 0, "realtimePeriod": 0}}"#;
        let (resources, warnings) = check(json).unwrap();
        assert_eq!(resources, Resources::default());
        let texts: Vec<_> = warnings.iter().map(ToString::to_string).collect();
        let fields = ["memory.kernel", "memory.kernelTCP", "cpu.realtimeRuntime", "cpu.realtimePeriod"];
        let expected = fields
            .map(|field| format!("linux.resources.{field}: 0 is ignored: cgroup v2 has no such setting"));
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
    fn a_missing_quota_or_period_has_its_default() {
        let cpu = |json: &str| ok(&format!(r#"{{"cpu": {json}}}"#)).cpu.bandwidth.unwrap();
        assert_eq!(
            cpu(r#"{"quota": 5000}"#),
            Bandwidth { quota: Limit::At(5000), period: Bandwidth::DEFAULT_PERIOD }
        );
        assert_eq!(cpu(r#"{"period": 50000}"#), Bandwidth { quota: Limit::Max, period: 50_000 });
        assert_eq!(cpu(r#"{"quota": -1}"#).quota, Limit::Max);
    }

    #[test]
    fn a_pids_limit_of_0_is_a_limit_and_minus_1_is_none() {
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
    fn a_weight_of_an_idle_cgroup_is_left_out_with_a_warning() {
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
    fn names_in_the_case_of_runc_s_callers_are_read() {
        let cpu = ok(r#"{"cpu": {"shares": 100, "cpus": "0"}, "CPU": {"Cpus": "1", "Mems": "0"}}"#).cpu;
        assert_eq!((cpu.weight, cpu.cpus.as_deref(), cpu.mems.as_deref()), (Some(17), Some("1"), Some("0")));
        let huge = ok(r#"{"hugepageLimits": [{"pagesize": "2MB", "limit": 1}]}"#).hugepages;
        assert_eq!(huge[0].size, "2MB");
    }

    #[test]
    fn memory_is_checked_only_below_a_limit() {
        let memory = ok(r#"{"memory": {"limit": 1024, "swap": 2048, "checkBeforeUpdate": true}}"#).memory;
        let want = MemoryCheck { memory: Some(1024), memory_and_swap: Some(2048) };
        assert_eq!(memory.check, Some(want));
        assert_eq!(ok(r#"{"memory": {"limit": -1, "checkBeforeUpdate": true}}"#).memory.check, None);
    }
}
