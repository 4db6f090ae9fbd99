// SPDX-License-Identifier: Apache-2.0
//! From rules about names to decisions about numbers.

use super::arguments::decide;
use super::graph::{Graph, Id};
use crate::arch::Arch;
use crate::condition::{Condition, Operator};
use crate::policy::{Alternative, Policy};
use std::collections::HashMap;

/// A rule as it is about one number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Claim {
    /// Its place in the policy.
    rule: usize,
    /// If the number is that of a multiplexer: what its first argument is for the call that the rule names.
    inner: Option<u64>,
}

/// Every number that the policy names on this ABI, ascending, with the decision about it.
pub(super) fn lower(policy: &Policy, graph: &mut Graph, arch: Arch, default: Id) -> Vec<(u32, Id)> {
    let mut claims: Vec<(u32, Claim)> = Vec::new();
    for (rule, calls) in policy.rules.iter().map(|rule| &rule.calls).enumerate() {
        for call in calls {
            claims.extend(call.number(arch).map(|number| (number, Claim { rule, inner: None })));
            let multiplexed = call.multiplexed(arch);
            claims.extend(multiplexed.map(|(number, inner)| (number, Claim { rule, inner: Some(inner) })));
        }
    }
    // Stable: the claims to one number stay in the order of the policy.
    claims.sort_by_key(|(number, _)| *number);

    let rules = Rules::new(policy, arch);
    // Rules often name many calls: what competes for them is then worked out once.
    let mut decided: HashMap<Vec<Claim>, Id> = HashMap::new();
    claims
        .chunk_by(|a, b| a.0 == b.0)
        .map(|claims| {
            // A rule that says what happens anyway is as if it were not there.
            let effective = claims.iter().map(|(_, claim)| *claim).filter(|claim| rules.differs(*claim));
            let then = match effective.clone().find(|claim| rules.is_unconditional(*claim)) {
                Some(claim) => graph.action(policy.rules[claim.rule].action),
                None => {
                    let effective: Vec<Claim> = effective.collect();
                    match decided.get(&effective) {
                        Some(then) => *then,
                        None => {
                            let then = rules.decide(graph, &effective, default);
                            decided.insert(effective, then);
                            then
                        }
                    }
                }
            };
            (claims[0].0, then)
        })
        .collect()
}

/// The policy's rules as programs of one ABI can meet them.
struct Rules<'a> {
    policy: &'a Policy,
    arch: Arch,
    /// For each rule, its alternatives without conditions that always hold.
    alternatives: Vec<Vec<Alternative>>,
}

impl Rules<'_> {
    fn new(policy: &Policy, arch: Arch) -> Rules<'_> {
        let on_arch = |all: &Alternative| all.iter().filter_map(|c| c.on(arch)).collect();
        let alternatives = policy.rules.iter().map(|rule| rule.any.iter().map(on_arch).collect()).collect();
        Rules { policy, arch, alternatives }
    }

    fn differs(&self, claim: Claim) -> bool {
        self.policy.rules[claim.rule].action != self.policy.default
    }

    fn is_unconditional(&self, claim: Claim) -> bool {
        claim.inner.is_none() && self.alternatives[claim.rule].iter().any(Vec::is_empty)
    }

    /// The decision among rules that all have conditions.
    fn decide(&self, graph: &mut Graph, claims: &[Claim], default: Id) -> Id {
        let mut sorted: Vec<(Alternative, Id)> = Vec::new();
        for claim in claims {
            let then = graph.action(self.policy.rules[claim.rule].action);
            let alternatives = &self.alternatives[claim.rule];
            match claim.inner {
                None => sorted.extend(alternatives.iter().map(|all| (all.clone(), then))),
                Some(inner) => sorted.extend(alternatives.iter().map(|all| (behind(inner, all), then))),
            }
        }
        // Stable: among equals in rank, the order of the policy. The first of equal ones hides the others.
        sorted.sort_by_cached_key(|(all, _)| all.iter().map(|c| c.rank()).collect::<Vec<_>>());
        sorted.dedup_by(|later, first| later.0 == first.0);
        decide(graph, self.arch, &sorted, default)
    }
}

/// What can be tested of an alternative behind a multiplexer: its first argument
/// selects the call, and takes the place of that call's own.
fn behind(inner: u64, all: &Alternative) -> Alternative {
    let selects = Condition::new(0, Operator::Eq, inner, 0);
    std::iter::once(selects).chain(all.iter().copied().filter(|c| c.argument != 0)).collect()
}
