// SPDX-License-Identifier: Apache-2.0
//! Changes of limits: the meaning of an `update`, given the limits requested before.

use crate::spec::{BlockIo, Cpu, Memory, Resources};
use std::collections::BTreeSet;

/// Returns the limits to set: the request, completed with old values that its new values
/// depend on. A limit on memory belongs together with that on memory and swap, and a quota
/// with its period, but runc's `update` accepts one without the other.
pub(crate) fn complete(old: &Resources, request: &Resources) -> Resources {
    let mut wanted = request.clone();
    if let Some(memory) = &mut wanted.memory {
        complete_memory(old.memory.as_ref().unwrap_or(&Memory::default()), memory);
    }
    if let Some(cpu) = &mut wanted.cpu {
        let (old, unset) = (old.cpu.clone().unwrap_or_default(), (is_unset(cpu.quota), is_unset(cpu.period)));
        match unset {
            (false, true) => cpu.period = old.period,
            (true, false) => cpu.quota = old.quota,
            _ => {}
        }
    }
    wanted
}

fn is_unset<T: Default + PartialEq>(value: Option<T>) -> bool {
    value.is_none_or(|value| value == T::default())
}

fn complete_memory(old: &Memory, memory: &mut Memory) {
    match (is_unset(memory.limit), is_unset(memory.swap)) {
        // Without a limit on memory, the old limit on memory and swap is void.
        (false, true) if memory.limit == Some(-1) => memory.swap = Some(0),
        (false, true) => memory.swap = old.swap,
        (true, false) => memory.limit = old.limit,
        _ => {}
    }
}

/// Returns whether the value of a file comes only from [`complete`], because another value
/// depends on it.
pub(crate) fn is_only_partner(request: &Resources, file: &str) -> bool {
    file == "memory.max" && request.memory.as_ref().is_none_or(|memory| is_unset(memory.limit))
}

/// Returns the limits to store in the record: the old values, replaced by new ones.
pub(crate) fn merge(old: &Resources, request: &Resources) -> Resources {
    let mut all = old.clone();
    if let Some(new) = &request.memory {
        let memory = all.memory.get_or_insert_default();
        if new.limit == Some(-1) && is_unset(new.swap) {
            memory.swap = None;
        }
        replace(&mut memory.limit, new.limit);
        replace(&mut memory.swap, new.swap);
        replace(&mut memory.reservation, new.reservation);
    }
    if let Some(new) = &request.cpu {
        merge_cpu(all.cpu.get_or_insert_default(), new);
    }
    if let Some(limit) = request.pids.as_ref().and_then(|pids| pids.limit) {
        all.pids.get_or_insert_default().limit = Some(limit);
    }
    if let Some(new) = &request.block_io {
        merge_io(all.block_io.get_or_insert_default(), new);
    }
    upsert(&mut all.hugepage_limits, &request.hugepage_limits, |limit| limit.page_size.clone());
    all.rdma.extend(request.rdma.clone());
    let unified = request.unified.iter().filter(|(_, value)| !value.is_empty());
    all.unified.extend(unified.map(|(file, value)| (file.clone(), value.clone())));
    if !request.devices.is_empty() {
        all.devices.clone_from(&request.devices);
    }
    all
}

fn replace<T: Default + PartialEq>(place: &mut Option<T>, value: Option<T>) {
    if let Some(value) = value
        && value != T::default()
    {
        *place = Some(value);
    }
}

fn merge_cpu(cpu: &mut Cpu, new: &Cpu) {
    replace(&mut cpu.quota, new.quota);
    replace(&mut cpu.period, new.period);
    if new.burst.is_some() {
        cpu.burst = new.burst;
    }
    // Weight and idle exclude each other.
    if new.idle.is_some() || !is_unset(new.shares) {
        (cpu.idle, cpu.shares) = (new.idle, new.shares);
    }
    for (place, value) in [(&mut cpu.cpus, &new.cpus), (&mut cpu.mems, &new.mems)] {
        if !value.is_empty() {
            place.clone_from(value);
        }
    }
}

fn merge_io(io: &mut BlockIo, new: &BlockIo) {
    replace(&mut io.weight, new.weight);
    upsert(&mut io.weight_device, &new.weight_device, |entry| (entry.major, entry.minor));
    for (all, new) in [
        (&mut io.throttle_read_bps_device, &new.throttle_read_bps_device),
        (&mut io.throttle_write_bps_device, &new.throttle_write_bps_device),
        (&mut io.throttle_read_iops_device, &new.throttle_read_iops_device),
        (&mut io.throttle_write_iops_device, &new.throttle_write_iops_device),
    ] {
        upsert(all, new, |entry| (entry.major, entry.minor));
    }
}

/// Replaces the entries that have the same key, and adds the others. Of several new entries
/// with the same key, the last one counts.
fn upsert<T: Clone, K: Ord>(all: &mut Vec<T>, new: &[T], key: impl Fn(&T) -> K) {
    let mut keys = BTreeSet::new();
    let mut last: Vec<T> = new.iter().rev().filter(|entry| keys.insert(key(entry))).cloned().collect();
    last.reverse();
    all.retain(|old| !keys.contains(&key(old)));
    all.append(&mut last);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cgroup::limits;
    use crate::config::resources;
    use crate::spec;

    fn parse(json: &str) -> Resources {
        spec::from_json(json.as_bytes()).unwrap()
    }

    fn writes(old: &str, request: &str) -> Result<Vec<String>, String> {
        let (old, request) = (parse(old), parse(request));
        let wanted = resources::Resources::new(&complete(&old, &request), &mut Vec::new());
        let writes = limits::writes(&wanted.map_err(|error| error.report())?);
        let writes = writes.into_iter().filter(|write| !is_only_partner(&request, &write.file));
        Ok(writes.map(|write| format!("{} {}", write.file, write.value)).collect())
    }

    fn check(old: &str, request: &str, want: &[&str]) {
        assert_eq!(writes(old, request).unwrap(), want, "{request}");
    }

    const OLD: &str = r#"{"memory": {"limit": 100, "swap": 300, "reservation": 50},
        "cpu": {"shares": 100, "quota": 500000, "period": 1000000, "cpus": "0"}, "pids": {"limit": 20}}"#;

    #[test]
    fn only_given_limits_are_written() {
        check(OLD, "{}", &[]);
        check(OLD, r#"{"memory": {}, "cpu": {}, "pids": {}, "blockIO": {}}"#, &[]);
        check(OLD, r#"{"pids": {"limit": 0}}"#, &["pids.max 1"]);
        check(OLD, r#"{"memory": {"reservation": 70}}"#, &["memory.low 70"]);
        check(OLD, r#"{"cpu": {"shares": 200}}"#, &["cpu.weight 29"]);
        check(OLD, r#"{"cpu": {"idle": 1}}"#, &["cpu.idle 1"]);
        check(OLD, r#"{"cpu": {"cpus": "1"}}"#, &["cpuset.cpus 1"]);
    }

    #[test]
    fn one_of_two_keeps_the_other() {
        check(OLD, r#"{"cpu": {"period": 900000}}"#, &["cpu.max 500000 900000"]);
        check(OLD, r#"{"cpu": {"quota": 600000}}"#, &["cpu.max 600000 1000000"]);
        check(OLD, r#"{"cpu": {"quota": -1}}"#, &["cpu.max max 1000000"]);
        check("{}", r#"{"cpu": {"period": 50000}}"#, &["cpu.max max 50000"]);
        check("{}", r#"{"cpu": {"quota": 30000}}"#, &["cpu.max 30000 100000"]);
        // The old request is 300 for memory and swap together.
        check(OLD, r#"{"memory": {"limit": 200}}"#, &["memory.swap.max 100", "memory.max 200"]);
        check(OLD, r#"{"memory": {"swap": 150}}"#, &["memory.swap.max 50"]);
        check(OLD, r#"{"memory": {"swap": -1}}"#, &["memory.swap.max max"]);
        check(OLD, r#"{"memory": {"limit": -1}}"#, &["memory.swap.max max", "memory.max max"]);
        assert!(
            writes(OLD, r#"{"memory": {"limit": 400}}"#).unwrap_err().contains("memory+swap limit should be")
        );
        assert!(writes("{}", r#"{"memory": {"swap": 150}}"#).unwrap_err().contains("without memory limit"));
    }

    #[test]
    fn the_record_keeps_limits_that_an_update_leaves_open() {
        let merged = |old: &str, request: &str| merge(&parse(old), &parse(request));
        assert_eq!(merged(OLD, "{}"), parse(OLD));
        let cpu = merged(OLD, r#"{"cpu": {"idle": 1, "quota": 7000}}"#).cpu.unwrap();
        assert_eq!(
            (cpu.idle, cpu.shares, cpu.quota, cpu.period),
            (Some(1), None, Some(7000), Some(1_000_000))
        );
        let memory = merged(OLD, r#"{"memory": {"limit": -1}}"#).memory.unwrap();
        assert_eq!((memory.limit, memory.swap, memory.reservation), (Some(-1), None, Some(50)));
        let io = |rate| format!(r#"{{"blockIO": {{"throttleReadBpsDevice": [{rate}]}}}}"#);
        let both = merged(
            &io(r#"{"major": 8, "minor": 0, "rate": 1}, {"major": 8, "minor": 16, "rate": 2}"#),
            &io(r#"{"major": 8, "minor": 0, "rate": 3}"#),
        );
        let rates = both.block_io.unwrap().throttle_read_bps_device;
        assert_eq!(
            rates.iter().map(|entry| (entry.minor, entry.rate)).collect::<Vec<_>>(),
            [(16, 2), (0, 3)]
        );
        let unified = merged(r#"{"unified": {"a.b": "1"}}"#, r#"{"unified": {"c.d": "2"}}"#).unified;
        assert_eq!(unified.len(), 2);
        let (none, all) = (r#"{"devices": [{"allow": false}]}"#, r#"{"devices": [{"allow": true}]}"#);
        assert_eq!(merged(none, all), parse(all), "device rules are one list");
        assert_eq!(merged(none, "{}"), parse(none));
    }
}
