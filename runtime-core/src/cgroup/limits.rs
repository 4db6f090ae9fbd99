// SPDX-License-Identifier: Apache-2.0
//! Translation of checked limits to writes into the cgroup's files
//! (Documentation/admin-guide/cgroup-v2.rst). Only [`apply`](super::apply) writes.

use crate::config::resources::{Bandwidth, Cpu, Io, Limit, Memory, Resources};
use std::collections::BTreeSet;

/// A write into a file of the container's cgroup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Write {
    pub(crate) file: String,
    pub(crate) value: String,
    /// The field of config.json that asks for the write.
    pub(crate) field: String,
    pub(crate) if_absent: IfAbsent,
}

/// The action if a file does not exist although its controller does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum IfAbsent {
    Fail,
    /// Skip the write: the kernel was built or booted without a feature, and the file is
    /// optional, or its limit is zero or none anyway.
    Skip,
    /// Write to another file.
    Instead {
        file: &'static str,
        value: String,
    },
}

impl Write {
    fn new(file: impl Into<String>, value: impl ToString, field: &str) -> Self {
        Write {
            file: file.into(),
            value: value.to_string(),
            field: format!("linux.resources.{field}"),
            if_absent: IfAbsent::Fail,
        }
    }

    /// Returns the controller that the file belongs to; `None` for files of the cgroup core.
    pub(crate) fn controller(&self) -> Option<&str> {
        let (controller, _) = self.file.split_once('.')?;
        (controller != "cgroup").then_some(controller)
    }
}

/// Names and values of the properties of a systemd unit, in words.
pub(crate) type UnitProperties = Vec<(String, String)>;

/// Returns all writes, in the order in which they are to be done.
pub(crate) fn writes(resources: &Resources) -> Vec<Write> {
    let mut all = Vec::new();
    if let Some(limit) = resources.pids {
        // systemd does not know a limit of 0. For a cgroup with one process, 1 is equivalent.
        let limit = if limit == Limit::At(0) { Limit::At(1) } else { limit };
        all.push(Write::new("pids.max", limit, "pids.limit"));
    }
    memory(&resources.memory, &mut all);
    io(&resources.io, &mut all);
    cpu(&resources.cpu, &mut all);
    for (i, huge) in resources.hugepages.iter().enumerate() {
        let field = format!("hugepageLimits[{i}]");
        all.push(Write::new(format!("hugetlb.{}.max", huge.size), huge.limit, &field));
        // The limit of reservations exists since 5.7, but not in every kernel.
        let reserved = Write::new(format!("hugetlb.{}.rsvd.max", huge.size), huge.limit, &field);
        all.push(Write { if_absent: IfAbsent::Skip, ..reserved });
    }
    for rdma in &resources.rdma {
        let mut value = rdma.device.clone();
        for (key, limit) in [("hca_handle", rdma.handles), ("hca_object", rdma.objects)] {
            if let Some(limit) = limit {
                value.push_str(&format!(" {key}={limit}"));
            }
        }
        all.push(Write::new("rdma.max", value, &format!("rdma.{:?}", rdma.device)));
    }
    let replaced: BTreeSet<&str> = resources
        .unified
        .iter()
        .map(|unified| unified.file.as_str())
        .filter(|file| !is_keyed(file))
        .collect();
    all.retain(|write| !replaced.contains(write.file.as_str()));
    for unified in &resources.unified {
        let field = format!("unified.{:?}", unified.file);
        // The kernel accepts only one line per write.
        let lines = unified.value.lines().filter(|line| !line.trim().is_empty());
        let before = all.len();
        all.extend(lines.map(|line| Write::new(unified.file.as_str(), line, &field)));
        if all.len() == before {
            // A value of blank lines empties the file, for example cpuset.cpus.
            all.push(Write::new(unified.file.as_str(), "\n", &field));
        }
    }
    all
}

/// Returns true if memory is limited, so that processes may be OOM-killed.
pub(crate) fn limit_memory(resources: &Resources) -> bool {
    writes(resources).iter().any(|write| write.file == "memory.max" && write.value.trim() != "max")
}

/// Returns whether a file holds a value for each of several keys, such as devices.
pub(crate) fn is_keyed(file: &str) -> bool {
    matches!(
        file,
        "io.max" | "io.weight" | "io.bfq.weight" | "io.latency" | "rdma.max" | "misc.max" | "dmem.max"
    )
}

fn memory(memory: &Memory, all: &mut Vec<Write>) {
    // Swap is limited first: lowering memory.max first would swap out more.
    if let Some(limit) = memory.swap_max {
        // Without the file there is no swap, or no accounting for it.
        let absent = if matches!(limit, Limit::Max | Limit::At(0)) { IfAbsent::Skip } else { IfAbsent::Fail };
        all.push(Write { if_absent: absent, ..Write::new("memory.swap.max", limit, "memory.swap") });
    }
    if let Some(limit) = memory.max {
        all.push(Write::new("memory.max", limit, "memory.limit"));
    }
    if let Some(limit) = memory.low {
        all.push(Write::new("memory.low", limit, "memory.reservation"));
    }
}

fn cpu(cpu: &Cpu, all: &mut Vec<Write>) {
    if let Some(idle) = cpu.idle {
        all.push(Write::new("cpu.idle", u8::from(idle), "cpu.idle"));
    }
    if let Some(weight) = cpu.weight {
        all.push(Write::new("cpu.weight", weight, "cpu.shares"));
    }
    let burst = |value| Write::new("cpu.max.burst", value, "cpu.burst");
    if let Some(Bandwidth { quota, period }) = cpu.bandwidth {
        if cpu.burst.is_some() {
            // The kernel refuses a burst above the quota: both the old burst with the
            // new quota, and the new burst with the old quota.
            all.push(burst(0));
        }
        let field = if quota == Limit::Max { "cpu.period" } else { "cpu.quota" };
        all.push(Write::new("cpu.max", format_args!("{quota} {period}"), field));
    }
    if let Some(value) = cpu.burst
        && !(value == 0 && cpu.bandwidth.is_some())
    {
        all.push(burst(value));
    }
    if let Some(cpus) = &cpu.cpus {
        all.push(Write::new("cpuset.cpus", cpus, "cpu.cpus"));
    }
    if let Some(mems) = &cpu.mems {
        all.push(Write::new("cpuset.mems", mems, "cpu.mems"));
    }
}

fn io(io: &Io, all: &mut Vec<Write>) {
    // The BFQ scheduler has weights of its own. All others use those of iocost.
    let weight = |bfq: String, iocost: String, field: &str| Write {
        if_absent: IfAbsent::Instead { file: "io.weight", value: iocost },
        ..Write::new("io.bfq.weight", bfq, field)
    };
    if let Some(value) = io.weight {
        all.push(weight(value.to_string(), iocost(value).to_string(), "blockIO.weight"));
    }
    for (i, entry) in io.device_weights.iter().enumerate() {
        let device = entry.device;
        let (bfq, iocost) = match entry.weight {
            Some(weight) => (weight.to_string(), iocost(weight).to_string()),
            None => ("default".to_owned(), "default".to_owned()),
        };
        let field = format!("blockIO.weightDevice[{i}]");
        all.push(weight(format!("{device} {bfq}"), format!("{device} {iocost}"), &field));
    }
    for rate in &io.rates {
        all.push(Write::new(
            "io.max",
            format_args!("{} {}={}", rate.device, rate.key, rate.limit),
            &rate.field,
        ));
    }
}

/// Maps a weight of 10 to 1000 linearly to 1 to 10000, as runc and crun do.
fn iocost(weight: u16) -> u64 {
    1 + (u64::from(weight).saturating_sub(10)) * 9999 / 990
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec;

    fn of(json: &str) -> Vec<Write> {
        let spec = spec::from_json(json.as_bytes()).unwrap();
        writes(&Resources::new(&spec, &mut Vec::new()).unwrap())
    }

    fn pairs(json: &str) -> Vec<(String, String)> {
        of(json).into_iter().map(|write| (write.file, write.value)).collect()
    }

    fn check(json: &str, want: &[(&str, &str)]) {
        let want: Vec<_> =
            want.iter().map(|(file, value)| ((*file).to_owned(), (*value).to_owned())).collect();
        assert_eq!(pairs(json), want, "{json}");
    }

    #[test]
    fn each_field_has_its_file() {
        check("{}", &[]);
        check(
            r#"{"memory": {"limit": 33554432, "reservation": 25165824, "swap": 67108864}}"#,
            &[("memory.swap.max", "33554432"), ("memory.max", "33554432"), ("memory.low", "25165824")],
        );
        check(r#"{"memory": {"limit": -1}}"#, &[("memory.swap.max", "max"), ("memory.max", "max")]);
        check(r#"{"cpu": {"shares": 100, "idle": 0}}"#, &[("cpu.idle", "0"), ("cpu.weight", "17")]);
        check(r#"{"cpu": {"quota": 500000, "period": 1000000}}"#, &[("cpu.max", "500000 1000000")]);
        check(r#"{"cpu": {"quota": -1}}"#, &[("cpu.max", "max 100000")]);
        check(
            r#"{"cpu": {"cpus": "0-3,7", "mems": "0"}}"#,
            &[("cpuset.cpus", "0-3,7"), ("cpuset.mems", "0")],
        );
        check(r#"{"pids": {"limit": 20}}"#, &[("pids.max", "20")]);
        check(r#"{"pids": {"limit": -1}}"#, &[("pids.max", "max")]);
        check(r#"{"pids": {"limit": 0}}"#, &[("pids.max", "1")]);
        check(r#"{"pids": {}}"#, &[]);
        check(
            r#"{"hugepageLimits": [{"pageSize": "2MB", "limit": 209715200}]}"#,
            &[("hugetlb.2MB.max", "209715200"), ("hugetlb.2MB.rsvd.max", "209715200")],
        );
        check(
            r#"{"rdma": {"mlx4_0": {"hcaObjects": 7}, "mlx5_1": {"hcaHandles": 3, "hcaObjects": 10000}}}"#,
            &[("rdma.max", "mlx4_0 hca_object=7"), ("rdma.max", "mlx5_1 hca_handle=3 hca_object=10000")],
        );
    }

    #[test]
    fn only_small_limits_may_kill() {
        let of = |json: &str| {
            limit_memory(
                &Resources::new(&spec::from_json(json.as_bytes()).unwrap(), &mut Vec::new()).unwrap(),
            )
        };
        assert!(of(r#"{"memory": {"limit": 33554432}}"#) && of(r#"{"unified": {"memory.max": "4096"}}"#));
        for none in ["{}", r#"{"memory": {"limit": -1}}"#, r#"{"memory": {"reservation": 4096}}"#] {
            assert!(!of(none), "{none}");
        }
    }

    #[test]
    fn limits_of_block_devices_are_lines() {
        check(
            r#"{"blockIO": {
                "weight": 750,
                "weightDevice": [{"major": 8, "minor": 0, "weight": 444}, {"major": 8, "minor": 16, "weight": 0}],
                "throttleReadBpsDevice": [{"major": 8, "minor": 0, "rate": 600}],
                "throttleWriteBpsDevice": [{"major": 8, "minor": 0, "rate": 0}],
                "throttleReadIOPSDevice": [{"major": 8, "minor": 16, "rate": 300}],
                "throttleWriteIOPSDevice": [{"major": 8, "minor": 16, "rate": 1}]}}"#,
            &[
                ("io.bfq.weight", "750"),
                ("io.bfq.weight", "8:0 444"),
                ("io.bfq.weight", "8:16 default"),
                ("io.max", "8:0 rbps=600"),
                ("io.max", "8:0 wbps=max"),
                ("io.max", "8:16 riops=300"),
                ("io.max", "8:16 wiops=1"),
            ],
        );
        let instead = |json: &str| match of(json).remove(0).if_absent {
            IfAbsent::Instead { file: "io.weight", value } => value,
            other => panic!("{other:?}"),
        };
        assert_eq!(instead(r#"{"blockIO": {"weight": 10}}"#), "1");
        assert_eq!(instead(r#"{"blockIO": {"weight": 750}}"#), "7475");
        assert_eq!(instead(r#"{"blockIO": {"weight": 1000}}"#), "10000");
        let device = r#"{"blockIO": {"weightDevice": [{"major": 8, "minor": 0, "weight": 1000}]}}"#;
        assert_eq!(instead(device), "8:0 10000");
    }

    #[test]
    fn a_burst_is_never_above_the_quota() {
        check(
            r#"{"cpu": {"quota": 20000, "burst": 10000}}"#,
            &[("cpu.max.burst", "0"), ("cpu.max", "20000 100000"), ("cpu.max.burst", "10000")],
        );
        check(
            r#"{"cpu": {"quota": 20000, "burst": 0}}"#,
            &[("cpu.max.burst", "0"), ("cpu.max", "20000 100000")],
        );
        check(r#"{"cpu": {"burst": 0}}"#, &[("cpu.max.burst", "0")]);
        check(r#"{"cpu": {"burst": 7}}"#, &[("cpu.max.burst", "7")]);
    }

    #[test]
    fn unified_is_last_verbatim_and_instead() {
        check(
            r#"{"memory": {"limit": 33554432}, "pids": {"limit": 5}, "unified": {
                "memory.max": "41943040", "memory.oom.group": "1", "new.thing": " x  y "}}"#,
            &[
                ("pids.max", "5"),
                ("memory.max", "41943040"),
                ("memory.oom.group", "1"),
                ("new.thing", " x  y "),
            ],
        );
        check(
            r#"{"blockIO": {"throttleReadBpsDevice": [{"major": 8, "minor": 0, "rate": 600}]},
                "unified": {"io.max": "7:1 riops=333 wiops=444\n7:2 riops=555\n"}}"#,
            &[("io.max", "8:0 rbps=600"), ("io.max", "7:1 riops=333 wiops=444"), ("io.max", "7:2 riops=555")],
        );
        check(r#"{"unified": {"cpuset.cpus": "\n"}}"#, &[("cpuset.cpus", "\n")]);
        // An empty value writes nothing, and replaces no other limit.
        check(
            r#"{"unified": {"hugetlb.2MB.max": "", "pids.max": ""}, "pids": {"limit": 7}}"#,
            &[("pids.max", "7")],
        );
    }

    #[test]
    fn errors_will_name_the_field_and_the_controller() {
        let write = &of(r#"{"cpu": {"shares": 100}}"#)[0];
        assert_eq!((write.field.as_str(), write.controller()), ("linux.resources.cpu.shares", Some("cpu")));
        let write = &of(r#"{"unified": {"cgroup.max.depth": "3"}}"#)[0];
        assert_eq!(
            (write.field.as_str(), write.controller()),
            ("linux.resources.unified.\"cgroup.max.depth\"", None)
        );
        let huge = of(r#"{"hugepageLimits": [{"pageSize": "1GB", "limit": 0}]}"#);
        assert_eq!(huge[0].if_absent, IfAbsent::Fail);
        assert_eq!(huge[1].if_absent, IfAbsent::Skip);
        assert_eq!(of(r#"{"memory": {"limit": 5, "swap": 5}}"#)[0].if_absent, IfAbsent::Skip);
        assert_eq!(of(r#"{"memory": {"limit": 5, "swap": 6}}"#)[0].if_absent, IfAbsent::Fail);
    }
}
