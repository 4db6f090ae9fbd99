// SPDX-License-Identifier: Apache-2.0
//! Translation of limits to unit properties (systemd.resource-control(5)), so that systemd
//! knows the limits and does not overwrite them. This module does no I/O.
//!
//! The mapping begins with files, not with fields of config.json. So it also covers `unified`
//! and old values that are restored.

use super::wire::Value;
use crate::cgroup::limits::{IfAbsent, Write};
use crate::config::field::number_list;

/// The properties for systemd, and the writes that the runtime does itself.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Translated {
    pub(super) properties: Vec<(String, Value)>,
    /// All limits. The CPU quota is rounded as systemd rounds it.
    pub(super) writes: Vec<Write>,
}

/// The first versions of systemd with features that not all supported versions have.
pub(super) const IDLE_SINCE: u32 = 252;
pub(super) const SCOPE_OOM_POLICY_SINCE: u32 = 253;

/// Returns whether the translation depends on the version of systemd.
pub(super) fn depends_on_version(writes: &[Write]) -> bool {
    writes.iter().any(|write| matches!(write.file.as_str(), "cpu.idle" | "memory.oom.group"))
}

/// Translates limits for a version of systemd. With `new`, the unit is to be made, and a few
/// more properties can be set.
///
/// Limits that systemd does not know, and values that only the kernel can judge, get no
/// property and are only written to the kernel's files.
pub(super) fn translate(writes: &[Write], version: u32, new: bool) -> Translated {
    let mut out = Translated::default();
    for write in writes {
        let mut write = write.clone();
        let value = write.value.trim();
        let property: Option<(&str, Value)> = match write.file.as_str() {
            "memory.min" => number(value).map(|n| ("MemoryMin", n)),
            "memory.low" => number(value).map(|n| ("MemoryLow", n)),
            "memory.high" => number(value).map(|n| ("MemoryHigh", n)),
            "memory.max" => number(value).map(|n| ("MemoryMax", n)),
            "memory.swap.max" => number(value).map(|n| ("MemorySwapMax", n)),
            // TasksMax cannot be 0.
            "pids.max" if value == "0" => Some(("TasksMax", Value::Uint64(1))),
            "pids.max" => number(value).map(|n| ("TasksMax", n)),
            "cpu.weight" => number(value).map(|n| ("CPUWeight", n)),
            // The only property for "not idle" is a weight.
            "cpu.idle" if value == "1" && version >= IDLE_SINCE => Some(("CPUWeight", Value::Uint64(0))),
            "cpuset.cpus" => bits(value).map(|bits| ("AllowedCPUs", bits)),
            "cpuset.mems" => bits(value).map(|bits| ("AllowedMemoryNodes", bits)),
            "memory.oom.group" if new && version >= SCOPE_OOM_POLICY_SINCE => match value {
                "0" => Some(("OOMPolicy", Value::str("continue"))),
                "1" => Some(("OOMPolicy", Value::str("kill"))),
                _ => None,
            },
            "cpu.max" => {
                if let Some((per_second, period, quota)) = quota(value) {
                    out.properties.push(("CPUQuotaPeriodUSec".to_owned(), Value::Uint64(period)));
                    write.value = quota;
                    Some(("CPUQuotaPerSecUSec", Value::Uint64(per_second)))
                } else {
                    None
                }
            }
            "io.weight" | "io.bfq.weight" => io_weight(&write),
            "io.max" => {
                out.properties.extend(io_max(value));
                None
            }
            _ => None,
        };
        out.properties.extend(property.map(|(name, value)| (name.to_owned(), value)));
        out.writes.push(write);
    }
    out
}

/// Parses a number, or `max` as systemd's infinity.
fn number(value: &str) -> Option<Value> {
    if value == "max" { Some(Value::Uint64(u64::MAX)) } else { value.parse().ok().map(Value::Uint64) }
}

/// Converts a list (cpuset(7)) to a bit mask, lowest bits first.
fn bits(list: &str) -> Option<Value> {
    let mask = number_list("", "", list).ok()?;
    let mut bytes: Vec<u8> = mask.into_iter().flat_map(u64::to_le_bytes).collect();
    while bytes.last() == Some(&0) {
        bytes.pop();
    }
    // To systemd an empty mask means all CPUs or memory nodes.
    (!bytes.is_empty()).then(|| Value::Array("y".to_owned(), bytes.into_iter().map(Value::Byte).collect()))
}

/// Converts "quota period" to the CPU time per second and the period, in microseconds, and
/// the value to write. systemd keeps whole percents. As in runc, the quota is rounded up to
/// these, so that systemd and the runtime write the same value.
fn quota(value: &str) -> Option<(u64, u64, String)> {
    const SECOND: u128 = 1_000_000;
    const PERCENT: u128 = SECOND / 100;
    let mut words = value.split_ascii_whitespace();
    let quota = words.next()?;
    let period: u64 = words.next().map_or(Ok(100_000), str::parse).ok()?;
    if words.next().is_some() || period == 0 {
        return None;
    }
    if quota == "max" {
        return Some((u64::MAX, period, value.to_owned()));
    }
    let quota: u64 = quota.parse().ok()?;
    let exact = u128::from(quota) * SECOND / u128::from(period);
    let per_second = exact.next_multiple_of(PERCENT);
    let quota = if per_second == exact {
        value.to_owned()
    } else {
        format!("{} {period}", per_second * u128::from(period) / SECOND)
    };
    Some((u64::try_from(per_second).ok()?, period, quota))
}

fn device_path(device: &str) -> Value {
    Value::str(&format!("/dev/block/{device}"))
}

/// Returns a list of one device and its value.
fn for_device(device: &str, value: u64) -> Value {
    let entry = Value::Struct(vec![device_path(device), Value::Uint64(value)]);
    Value::Array("(st)".to_owned(), vec![entry])
}

fn is_device(word: &str) -> bool {
    word.split_once(':').is_some_and(|(major, minor)| {
        [major, minor].iter().all(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()))
    })
}

/// Translates a weight. systemd's weights are those of io.weight. systemd converts them to
/// BFQ's weights itself, and its results differ a little from ours.
fn io_weight(write: &Write) -> Option<(&'static str, Value)> {
    let value = match &write.if_absent {
        IfAbsent::Instead { file: "io.weight", value } => value,
        _ if write.file == "io.weight" => &write.value,
        _ => return None,
    };
    let mut words = value.split_ascii_whitespace();
    match (words.next()?, words.next()) {
        ("default", Some(weight)) | (weight, None) => Some(("IOWeight", Value::Uint64(weight.parse().ok()?))),
        (device, Some(weight)) if is_device(device) => {
            Some(("IODeviceWeight", for_device(device, weight.parse().ok()?)))
        }
        _ => None,
    }
}

fn io_max(value: &str) -> Vec<(String, Value)> {
    let mut words = value.split_ascii_whitespace();
    let Some(device) = words.next().filter(|device| is_device(device)) else { return Vec::new() };
    let property = |word: &str| {
        let (key, limit) = word.split_once('=')?;
        let name = match key {
            "rbps" => "IOReadBandwidthMax",
            "wbps" => "IOWriteBandwidthMax",
            "riops" => "IOReadIOPSMax",
            "wiops" => "IOWriteIOPSMax",
            _ => return None,
        };
        let limit = if limit == "max" { u64::MAX } else { limit.parse().ok()? };
        Some((name.to_owned(), for_device(device, limit)))
    };
    words.filter_map(property).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cgroup::limits;
    use crate::config::resources::Resources;
    use crate::spec;

    fn of(json: &str, version: u32) -> Translated {
        let spec = spec::from_json(json.as_bytes()).unwrap();
        let writes = limits::writes(&Resources::new(&spec, &mut Vec::new()).unwrap());
        translate(&writes, version, true)
    }

    fn check(json: &str, want: &[(&str, Value)]) {
        let want: Vec<_> = want.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        assert_eq!(of(json, 252).properties, want, "{json}");
    }

    fn bytes(bytes: &[u8]) -> Value {
        Value::Array("y".into(), bytes.iter().map(|b| Value::Byte(*b)).collect())
    }

    #[test]
    fn limits_are_properties() {
        check(
            r#"{"memory": {"limit": 1000, "swap": 3000, "reservation": 500}, "pids": {"limit": 20}}"#,
            &[
                ("TasksMax", Value::Uint64(20)),
                ("MemorySwapMax", Value::Uint64(2000)),
                ("MemoryMax", Value::Uint64(1000)),
                ("MemoryLow", Value::Uint64(500)),
            ],
        );
        let infinity = Value::Uint64(u64::MAX);
        check(
            r#"{"memory": {"limit": -1}, "pids": {"limit": -1}}"#,
            &[("TasksMax", infinity.clone()), ("MemorySwapMax", infinity.clone()), ("MemoryMax", infinity)],
        );
        check(r#"{"pids": {"limit": 0}}"#, &[("TasksMax", Value::Uint64(1))]);
        check(r#"{"cpu": {"shares": 100}}"#, &[("CPUWeight", Value::Uint64(17))]);
        check(
            r#"{"cpu": {"cpus": "0-5,9", "mems": "0"}}"#,
            &[("AllowedCPUs", bytes(&[0x3f, 0x02])), ("AllowedMemoryNodes", bytes(&[1]))],
        );
    }

    #[test]
    fn unified_limits_are_properties() {
        check(
            r#"{"unified": {"memory.min": "131072", "memory.high": " max\n", "cpu.max": "10000 100000", "cpu.weight": "42",
                "pids.max": "0", "hugetlb.2MB.max": "0", "cpuset.cpus": "5-8"}}"#,
            &[
                ("CPUQuotaPeriodUSec", Value::Uint64(100_000)),
                ("CPUQuotaPerSecUSec", Value::Uint64(100_000)),
                ("CPUWeight", Value::Uint64(42)),
                ("AllowedCPUs", bytes(&[0xe0, 0x01])),
                ("MemoryHigh", Value::Uint64(u64::MAX)),
                ("MemoryMin", Value::Uint64(131_072)),
                ("TasksMax", Value::Uint64(1)),
            ],
        );
        // The kernel judges these values.
        check(
            r#"{"unified": {"memory.max": "abc", "cpu.max": "1 2 3", "cpuset.cpus": "", "io.max": "x"}}"#,
            &[],
        );
    }

    #[test]
    fn quotas_are_whole_percents() {
        for (value, want) in [
            ("500000 1000000", Some((500_000, 1_000_000, "500000 1000000"))),
            ("600000 900000", Some((670_000, 900_000, "603000 900000"))),
            ("5000 100000", Some((50_000, 100_000, "5000 100000"))),
            ("1001 100000", Some((20_000, 100_000, "2000 100000"))),
            ("max 50000", Some((u64::MAX, 50_000, "max 50000"))),
            ("30000", Some((300_000, 100_000, "30000"))),
            ("18446744073709551615 1000", None),
            ("1 0", None),
            ("", None),
        ] {
            assert_eq!(quota(value), want.map(|(a, b, text)| (a, b, text.to_owned())), "{value}");
        }
        let writes = of(r#"{"cpu": {"quota": 600000, "period": 900000}}"#, 252).writes;
        assert_eq!(writes[0].value, "603000 900000");
    }

    #[test]
    fn limits_of_block_devices_are_properties() {
        let device = |value| for_device("8:16", value);
        check(
            r#"{"blockIO": {"weight": 750, "weightDevice": [{"major": 8, "minor": 16, "weight": 10}],
                "throttleReadBpsDevice": [{"major": 8, "minor": 16, "rate": 600}],
                "throttleWriteIOPSDevice": [{"major": 8, "minor": 16, "rate": 7}]}}"#,
            &[
                ("IOWeight", Value::Uint64(7475)),
                ("IODeviceWeight", device(1)),
                ("IOReadBandwidthMax", device(600)),
                ("IOWriteIOPSMax", device(7)),
            ],
        );
        check(
            r#"{"unified": {"io.max": "8:16 rbps=max wbps=3", "io.weight": "default 50\n8:16 20"}}"#,
            &[
                ("IOReadBandwidthMax", device(u64::MAX)),
                ("IOWriteBandwidthMax", device(3)),
                ("IOWeight", Value::Uint64(50)),
                ("IODeviceWeight", device(20)),
            ],
        );
    }

    #[test]
    fn older_versions_get_no_property_that_they_lack() {
        let idle = r#"{"cpu": {"idle": 1}}"#;
        assert!(of(idle, 251).properties.is_empty());
        assert_eq!(of(idle, 252).properties, [("CPUWeight".to_owned(), Value::Uint64(0))]);
        assert!(of(r#"{"cpu": {"idle": 0}}"#, 252).properties.is_empty());
        let group = r#"{"unified": {"memory.oom.group": "1"}}"#;
        assert!(of(group, 252).properties.is_empty());
        assert_eq!(of(group, 253).properties, [("OOMPolicy".to_owned(), Value::str("kill"))]);
    }
}
