// SPDX-License-Identifier: Apache-2.0
//! The meaning of a policy, without compiling it.

use crate::action::{Action, ENOSYS};
use crate::arch::{Arch, X32_BIT};
use crate::bpf::SeccompData;
use crate::condition::{Condition, Operator};
use crate::policy::{Alternative, Policy, Rule};

/// Returns the policy's action for one call.
///
/// This is the definition that [`compile`](crate::compile()) is tested against. It is written to be
/// read, not to be fast.
pub fn eval(policy: &Policy, data: &SeccompData) -> Action {
    let Some(arch) = arch_of(policy, data) else {
        return Action::KillThread;
    };
    // Rules with the default action have no effect.
    let rules = || policy.rules.iter().filter(|rule| rule.action != policy.default);
    // The alternatives with which a rule applies to this number.
    let readings = |rule: &Rule| readings(rule, arch, data.nr);

    // The first rule without conditions decides, wherever it stands.
    if let Some(rule) = rules().find(|rule| readings(rule).iter().any(Vec::is_empty)) {
        return rule.action;
    }
    // Of the alternatives that hold, the least in rank decides, and among equals the first.
    let holding = rules().flat_map(|rule| readings(rule).into_iter().map(|all| (all, rule.action)));
    let holding = holding.filter(|(all, _)| all.iter().all(|c| c.holds(data.args[usize::from(c.argument)])));
    if let Some((_, action)) = holding.min_by_key(|(all, _)| rank(all)) {
        return action;
    }
    if policy.hides_newer_calls() && is_newer(policy, arch, data.nr) {
        return Action::Errno(ENOSYS);
    }
    policy.default
}

/// Returns the ABI of the call, if it is one of the policy's.
fn arch_of(policy: &Policy, data: &SeccompData) -> Option<Arch> {
    let has = |arch| policy.archs.contains(&arch);
    let same_audit = policy.archs.iter().copied().find(|arch| arch.audit() == data.arch)?;
    match same_audit {
        // -1 is a tracer's "skip this call", and no x32 call.
        Arch::X86_64 | Arch::X32 if data.nr >= X32_BIT && (has(Arch::X32) || data.nr != u32::MAX) => {
            Some(Arch::X32).filter(|arch| has(*arch))
        }
        Arch::X86_64 | Arch::X32 => Some(Arch::X86_64).filter(|arch| has(*arch)),
        other => Some(other),
    }
}

/// Returns the alternatives of a rule for one number: its own if it names the call with this
/// number, others if it names a call that the number's multiplexer carries.
fn readings(rule: &Rule, arch: Arch, nr: u32) -> Vec<Alternative> {
    let mut readings = Vec::new();
    for call in rule.calls.iter() {
        if call.number(arch) == Some(nr) {
            let on_arch = |all: &Alternative| all.iter().filter_map(|c| c.on(arch)).collect();
            readings.extend(rule.any.iter().map(on_arch));
        }
        if let Some((multiplexer, inner)) = call.multiplexed(arch)
            && multiplexer == nr
        {
            // The first argument selects the call. A condition on the first argument of that call
            // cannot be tested, because that argument is in memory.
            let selects = Condition::new(0, Operator::Eq, u64::from(inner), 0);
            let behind = |all: &Alternative| {
                let others = all.iter().copied().filter(|c| c.argument != 0);
                std::iter::once(selects).chain(others).filter_map(|c| c.on(arch)).collect()
            };
            readings.extend(rule.any.iter().map(behind));
        }
    }
    readings
}

fn rank(all: &Alternative) -> impl Ord + use<> {
    all.iter().map(|condition| condition.rank()).collect::<Vec<_>>()
}

/// Returns true if a number is above all numbers that the policy's rules name.
fn is_newer(policy: &Policy, arch: Arch, nr: u32) -> bool {
    let calls = || policy.rules.iter().flat_map(|rule| rule.calls.iter());
    let numbers = || {
        let direct = calls().filter_map(|call| call.number(arch));
        direct.chain(calls().filter_map(|call| call.multiplexed(arch)).map(|(multiplexer, _)| multiplexer))
    };
    let in_range = numbers().filter(|n| arch.same_range(*n, nr)).max();
    in_range.or_else(|| numbers().filter(|n| *n < nr).max()).is_some_and(|highest| nr > highest)
}
