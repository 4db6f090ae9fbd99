// SPDX-License-Identifier: Apache-2.0
//! From rules about names to decisions about numbers.

use super::arguments::decide;
use super::graph::{Graph, Id};
use crate::arch::Arch;
use crate::condition::{Condition, Operator};
use crate::policy::{Alternative, Policy, Rule};
use std::collections::HashMap;

/// That a rule is about a number. In the order of numbers, then of the policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Claim {
    number: u32,
    rule: u32,
    inner: Inner,
}

/// If the number is that of a multiplexer: what its first argument is for the call that the rule names.
type Inner = Option<u8>;

/// A rule as programs of one ABI can meet it.
struct Reading {
    then: Id,
    /// Without conditions that always hold.
    any: Vec<Alternative>,
    /// Whether it says anything else than what happens anyway.
    differs: bool,
}

/// Every number that the policy names on this ABI, ascending, with the decision about it.
pub(super) fn lower(policy: &Policy, graph: &mut Graph, arch: Arch, default: Id) -> Vec<(u32, Id)> {
    let readings: Vec<Reading> =
        policy.rules.iter().map(|rule| Reading::new(rule, graph, arch, default)).collect();
    // Rules often name many calls: what competes for them is then worked out once.
    let mut decided = HashMap::new();
    claims(policy, arch)
        .chunk_by(|a, b| a.number == b.number)
        .map(|claims| {
            let competing = || {
                let claims = claims.iter().map(|claim| (&readings[claim.rule as usize], claim));
                claims.filter(|(reading, _)| reading.differs)
            };
            let unconditional = competing().find(|(reading, claim)| reading.is_unconditional(claim.inner));
            let then = match unconditional {
                Some((reading, _)) => reading.then,
                None => {
                    let rules: Vec<(u32, Inner)> =
                        competing().map(|(_, claim)| (claim.rule, claim.inner)).collect();
                    *decided.entry(rules).or_insert_with(|| {
                        let competing =
                            competing().flat_map(|(reading, claim)| reading.alternatives(claim.inner));
                        decide(graph, arch, &ranked(competing), default)
                    })
                }
            };
            (claims[0].number, then)
        })
        .collect()
}

fn claims(policy: &Policy, arch: Arch) -> Vec<Claim> {
    let mut claims = Vec::with_capacity(policy.rules.iter().map(|rule| rule.calls.len()).sum());
    for (rule, calls) in (0..).zip(policy.rules.iter().map(|rule| &rule.calls)) {
        for call in calls {
            claims.extend(call.number(arch).map(|number| Claim { number, rule, inner: None }));
            let multiplexed = call.multiplexed(arch);
            claims.extend(multiplexed.map(|(number, inner)| Claim { number, rule, inner: Some(inner) }));
        }
    }
    claims.sort_unstable();
    claims
}

/// In the order in which they decide; those that cannot decide are left out.
fn ranked(alternatives: impl Iterator<Item = (Alternative, Id)>) -> Vec<(Alternative, Id)> {
    let mut ranked: Vec<_> = alternatives.collect();
    // Stable: among equals in rank, the order of the policy. The first of equal ones hides the others.
    ranked.sort_by_cached_key(|(all, _)| all.iter().map(|condition| condition.rank()).collect::<Vec<_>>());
    ranked.dedup_by(|later, first| later.0 == first.0);
    ranked
}

impl Reading {
    fn new(rule: &Rule, graph: &mut Graph, arch: Arch, default: Id) -> Reading {
        let then = graph.action(rule.action);
        let on_arch = |all: &Alternative| all.iter().filter_map(|condition| condition.on(arch)).collect();
        Reading { then, any: rule.any.iter().map(on_arch).collect(), differs: then != default }
    }

    fn is_unconditional(&self, inner: Inner) -> bool {
        inner.is_none() && self.any.iter().any(Vec::is_empty)
    }

    fn alternatives(&self, inner: Inner) -> impl Iterator<Item = (Alternative, Id)> {
        self.any.iter().map(move |all| {
            let all = match inner {
                None => all.clone(),
                Some(inner) => behind(inner, all),
            };
            (all, self.then)
        })
    }
}

/// What can be tested of an alternative behind a multiplexer: its first argument
/// selects the call, and takes the place of that call's own.
fn behind(inner: u8, all: &Alternative) -> Alternative {
    let selects = Condition::new(0, Operator::Eq, u64::from(inner), 0);
    std::iter::once(selects).chain(all.iter().copied().filter(|condition| condition.argument != 0)).collect()
}
