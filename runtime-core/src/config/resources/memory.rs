// SPDX-License-Identifier: Apache-2.0
//! `linux.resources.memory`: the limits on memory and swap.

use super::limit::{AT, Limit, limit, no_limit, only_version_1};
use crate::config::field::invalid;
use crate::error::{Result, Warning};
use crate::spec;

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

pub(super) fn memory(spec: &spec::Memory, warnings: &mut Vec<Warning>) -> Result<Memory> {
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
