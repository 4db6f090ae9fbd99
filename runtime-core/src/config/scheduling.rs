// SPDX-License-Identifier: Apache-2.0
//! The check of a process's CPU scheduling and I/O priority.

use super::field::{invalid, lookup};
use crate::error::Result;
use crate::spec;
use crate::values::SCHED_DEADLINE;
use runtime_sys::process::SchedAttr;

const POLICIES: &[(&str, u32)] = &[
    ("SCHED_OTHER", 0),
    ("SCHED_FIFO", 1),
    ("SCHED_RR", 2),
    ("SCHED_BATCH", 3),
    ("SCHED_ISO", 4),
    ("SCHED_IDLE", 5),
    ("SCHED_DEADLINE", SCHED_DEADLINE),
];

const SCHED_FLAGS: &[(&str, u64)] = &[
    ("SCHED_FLAG_RESET_ON_FORK", 0x01),
    ("SCHED_FLAG_RECLAIM", 0x02),
    ("SCHED_FLAG_DL_OVERRUN", 0x04),
    ("SCHED_FLAG_KEEP_POLICY", 0x08),
    ("SCHED_FLAG_KEEP_PARAMS", 0x10),
    ("SCHED_FLAG_UTIL_CLAMP_MIN", 0x20),
    ("SCHED_FLAG_UTIL_CLAMP_MAX", 0x40),
];

/// The class without priorities (linux/ioprio.h).
const IOPRIO_CLASS_IDLE: u16 = 3;
const IO_CLASSES: &[(&str, u16)] =
    &[("IOPRIO_CLASS_RT", 1), ("IOPRIO_CLASS_BE", 2), ("IOPRIO_CLASS_IDLE", IOPRIO_CLASS_IDLE)];

/// Checks `process.scheduler`.
pub(super) fn scheduler(spec: &spec::Scheduler) -> Result<SchedAttr> {
    let at = "process.scheduler";
    let policy = lookup(format_args!("{at}.policy"), "unknown scheduling policy", &spec.policy, POLICIES)?;
    let mut flags = 0;
    for (i, flag) in spec.flags.iter().enumerate() {
        flags |= lookup(format_args!("{at}.flags[{i}]"), "unknown scheduling flag", flag, SCHED_FLAGS)?;
    }
    if !(-20..=19).contains(&spec.nice) {
        return Err(invalid(
            format_args!("{at}.nice"),
            format_args!("expected -20 to 19, got {}", spec.nice),
        ));
    }
    let real_time = matches!(spec.policy.as_str(), "SCHED_FIFO" | "SCHED_RR");
    if spec.priority != 0 && !real_time {
        let why = "only SCHED_FIFO and SCHED_RR have a priority";
        return Err(invalid(format_args!("{at}.priority"), why));
    }
    if !(0..=99).contains(&spec.priority) {
        let why = format!("expected 0 to 99, got {}", spec.priority);
        return Err(invalid(format_args!("{at}.priority"), why));
    }
    for (field, value) in [("runtime", spec.runtime), ("deadline", spec.deadline), ("period", spec.period)] {
        if value != 0 && policy != SCHED_DEADLINE {
            return Err(invalid(format_args!("{at}.{field}"), "only SCHED_DEADLINE has it"));
        }
    }
    if policy == SCHED_DEADLINE {
        check_deadline(spec)?;
    }
    Ok(SchedAttr {
        size: 0,
        policy,
        flags,
        nice: spec.nice,
        priority: spec.priority as u32,
        runtime: spec.runtime,
        deadline: spec.deadline,
        period: spec.period,
    })
}

/// Checks the kernel's rules for SCHED_DEADLINE (__checkparam_dl of kernel/sched/deadline.c).
/// The kernel's own error does not tell which rule is broken. The limits on the period are
/// settings of the host, and not checked here.
fn check_deadline(spec: &spec::Scheduler) -> Result<()> {
    let spec::Scheduler { runtime, deadline, period, .. } = *spec;
    let bad = |field: &str, why: String| Err(invalid(format_args!("process.scheduler.{field}"), why));
    if deadline == 0 {
        return bad("deadline", "SCHED_DEADLINE needs a value above 0".to_owned());
    }
    for (field, value) in [("deadline", deadline), ("period", period)] {
        if value >= 1 << 63 {
            return bad(field, format!("expected less than 2^63 nanoseconds, got {value}"));
        }
    }
    // The kernel counts in units of 1024 nanoseconds (DL_SCALE).
    if runtime < 1024 {
        return bad("runtime", format!("expected 1024 nanoseconds or more, got {runtime}"));
    }
    if runtime > deadline {
        return bad("runtime", format!("must not be larger than the deadline, {runtime} > {deadline}"));
    }
    if period != 0 && deadline > period {
        return bad("deadline", format!("must not be larger than the period, {deadline} > {period}"));
    }
    Ok(())
}

/// Checks `process.ioPriority`. Returns the class and the priority as ioprio_set(2) takes them.
pub(super) fn io_priority(spec: &spec::IoPriority) -> Result<u16> {
    let class = lookup("process.ioPriority.class", "unknown class", &spec.class, IO_CLASSES)?;
    let at = "process.ioPriority.priority";
    match spec.priority {
        Some(priority @ 0..=7) => Ok(class << 13 | priority as u16),
        Some(priority) => Err(invalid(at, format_args!("expected 0 to 7, got {priority}"))),
        None if class == IOPRIO_CLASS_IDLE => Ok(class << 13),
        None => Err(invalid(at, format_args!("must be given for {}", spec.class))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_priority_belongs_to_a_policy_that_has_one() {
        let policy = |policy: &str, priority, runtime| spec::Scheduler {
            policy: policy.into(),
            priority,
            runtime,
            ..Default::default()
        };
        let report = |spec: &spec::Scheduler| scheduler(spec).unwrap_err().report();
        assert_eq!(scheduler(&policy("SCHED_RR", 7, 0)).unwrap().priority, 7);
        assert!(report(&policy("SCHED_X", 0, 0)).contains("SCHED_DEADLINE"));
        assert!(report(&policy("SCHED_OTHER", 1, 0)).starts_with("process.scheduler.priority"));
        assert!(report(&policy("SCHED_RR", 1, 9)).starts_with("process.scheduler.runtime"));
    }

    #[test]
    fn a_deadline_follows_the_rules_of_the_kernel() {
        for (runtime, deadline, period, error) in [
            (1024, 1024, 0, None),
            (1024, 2048, 4096, None),
            (1023, 2048, 4096, Some("runtime: expected 1024 nanoseconds or more, got 1023")),
            (2049, 2048, 4096, Some("runtime: must not be larger than the deadline, 2049 > 2048")),
            (1024, 4097, 4096, Some("deadline: must not be larger than the period, 4097 > 4096")),
            (1024, 0, 4096, Some("deadline: SCHED_DEADLINE needs a value above 0")),
            (
                1024,
                1 << 63,
                0,
                Some("deadline: expected less than 2^63 nanoseconds, got 9223372036854775808"),
            ),
            (
                1024,
                2048,
                1 << 63,
                Some("period: expected less than 2^63 nanoseconds, got 9223372036854775808"),
            ),
        ] {
            let spec = spec::Scheduler {
                policy: "SCHED_DEADLINE".into(),
                runtime,
                deadline,
                period,
                ..Default::default()
            };
            let checked = scheduler(&spec).map(drop).map_err(|error| error.report());
            assert_eq!(checked, error.map_or(Ok(()), |error| Err(format!("process.scheduler.{error}"))));
        }
    }

    #[test]
    fn an_io_priority_has_a_class_and_a_level() {
        let io = |class: &str, priority| io_priority(&spec::IoPriority { class: class.into(), priority });
        let report = |class: &str, priority| io(class, priority).unwrap_err().report();
        assert_eq!(io("IOPRIO_CLASS_BE", Some(4)).unwrap(), 2 << 13 | 4);
        assert_eq!(io("IOPRIO_CLASS_IDLE", None).unwrap(), 3 << 13);
        assert_eq!(
            report("IOPRIO_CLASS_BE", None),
            "process.ioPriority.priority: must be given for IOPRIO_CLASS_BE"
        );
        assert!(report("IOPRIO_CLASS_BE", Some(8)).starts_with("process.ioPriority.priority"));
        assert!(report("BE", Some(1)).starts_with("process.ioPriority.class"));
    }
}
