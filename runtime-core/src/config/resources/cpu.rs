// SPDX-License-Identifier: Apache-2.0
//! `linux.resources.cpu`: the share of CPU time, its bandwidth, and the CPUs.

use super::limit::{AT, Limit, limit, no_limit, only_version_1};
use crate::config::field::{invalid, number_list};
use crate::error::{Result, Warning};
use crate::spec;

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
    pub(super) const DEFAULT_PERIOD: u64 = 100_000;
}

pub(super) fn cpu(spec: &spec::Cpu, warnings: &mut Vec<Warning>) -> Result<Cpu> {
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

#[cfg(test)]
mod tests {
    use super::*;

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
}
