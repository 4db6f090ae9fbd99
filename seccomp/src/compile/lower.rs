// SPDX-License-Identifier: Apache-2.0
//! From rules about names to decisions about numbers.

use super::arguments::decide;
use super::graph::{Graph, Id};
use crate::arch::Arch;
use crate::condition::{Condition, Operator};
use crate::policy::{Alternative, Policy, Rule};
use crate::table::Syscall;
use std::collections::BTreeMap;

/// That a rule is about a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Claim {
    rule: u32,
    inner: Inner,
}

/// If the number is that of a multiplexer: what its first argument is for the call that the rule names.
type Inner = Option<u8>;

/// A rule as programs of one ABI can meet it.
struct Reading<'a> {
    any: &'a [Alternative],
    arch: Arch,
    then: Id,
    /// Whether it says anything else than what happens anyway.
    differs: bool,
    /// Whether an alternative of it always holds.
    unconditional: bool,
}

/// The rules that name each call, in the order of the policy.
pub(super) struct Named {
    /// Where those of a call end, and those of the next one begin.
    ends: Vec<usize>,
    rules: Vec<u32>,
}

impl Named {
    pub(super) fn by(policy: &Policy) -> Named {
        // First how many there are of each, then where they begin; filled, that is where they end.
        let mut ends: Vec<usize> = Syscall::all().map(|_| 0).collect();
        let names =
            || (0..).zip(&policy.rules).flat_map(|(rule, r)| r.calls.iter().map(move |call| (rule, call)));
        names().for_each(|(_, call)| ends[call.index()] += 1);
        let mut total = 0;
        for end in &mut ends {
            total += std::mem::replace(end, total);
        }
        let mut rules = vec![0; total];
        for (rule, call) in names() {
            rules[ends[call.index()]] = rule;
            ends[call.index()] += 1;
        }
        Named { ends, rules }
    }

    fn of(&self, call: Syscall) -> &[u32] {
        let begin = call.index().checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.rules[begin..self.ends[call.index()]]
    }

    /// All that is said about the number of a call, in the order of the policy.
    fn claims(&self, arch: Arch, number: u32, call: Syscall) -> Vec<Claim> {
        let claims = |call, inner| self.of(call).iter().map(move |&rule| Claim { rule, inner });
        let mut all: Vec<Claim> = claims(call, None).collect();
        if arch.multiplexers().is_some_and(|both| [both.socketcall, both.ipc].contains(&number)) {
            let carried = |call: Syscall| Some((call, call.multiplexed(arch).filter(|of| of.0 == number)?.1));
            let carried = Syscall::all().filter_map(carried);
            all.extend(carried.flat_map(|(call, inner)| claims(call, Some(inner))));
            all.sort_by_key(|claim| claim.rule);
        }
        all
    }
}

/// Every number that the policy names on this ABI, ascending, with the decision about it.
pub(super) fn lower(
    policy: &Policy,
    named: &Named,
    graph: &mut Graph,
    arch: Arch,
    default: Id,
) -> Vec<(u32, Id)> {
    let readings: Vec<Reading<'_>> =
        policy.rules.iter().map(|rule| Reading::new(rule, graph, arch, default)).collect();
    let reading = |rule: u32| &readings[rule as usize];
    // Rules often name many calls: what competes for them is then worked out once.
    let mut decided = BTreeMap::new();
    let mut decisions = Vec::with_capacity(named.rules.len());
    for (number, call) in Syscall::numbers(arch) {
        let mut direct = named.of(call).iter().map(|rule| reading(*rule));
        if let Some(reading) = direct.find(|reading| reading.differs && reading.unconditional) {
            decisions.push((number, reading.then));
            continue;
        }
        let mut claims = named.claims(arch, number, call);
        if claims.is_empty() {
            continue;
        }
        claims.retain(|claim| reading(claim.rule).differs);
        let then = decided.entry(claims).or_insert_with_key(|claims: &Vec<Claim>| {
            let competing = claims.iter().flat_map(|claim| reading(claim.rule).alternatives(claim.inner));
            decide(graph, arch, &ranked(competing), default)
        });
        decisions.push((number, *then));
    }
    decisions
}

/// In the order in which they decide; those that cannot decide are left out.
fn ranked(alternatives: impl Iterator<Item = (Alternative, Id)>) -> Vec<(Alternative, Id)> {
    let mut ranked: Vec<_> = alternatives.collect();
    // Stable: among equals in rank, the order of the policy. The first of equal ones hides the others.
    ranked.sort_by_cached_key(|(all, _)| all.iter().map(|condition| condition.rank()).collect::<Vec<_>>());
    ranked.dedup_by(|later, first| later.0 == first.0);
    ranked
}

impl<'a> Reading<'a> {
    fn new(rule: &'a Rule, graph: &mut Graph, arch: Arch, default: Id) -> Reading<'a> {
        let then = graph.action(rule.action);
        let always = |all: &Alternative| all.iter().all(|condition| condition.on(arch).is_none());
        let unconditional = rule.any.iter().any(always);
        Reading { any: &rule.any, arch, then, differs: then != default, unconditional }
    }

    /// Without conditions that always hold.
    fn alternatives(&self, inner: Inner) -> impl Iterator<Item = (Alternative, Id)> {
        self.any.iter().map(move |all| {
            let all = all.iter().filter_map(|condition| condition.on(self.arch));
            let all = match inner {
                None => all.collect(),
                Some(inner) => behind(inner, all),
            };
            (all, self.then)
        })
    }
}

/// What can be tested of an alternative behind a multiplexer: its first argument
/// selects the call, and takes the place of that call's own.
fn behind(inner: u8, all: impl Iterator<Item = Condition>) -> Alternative {
    let selects = Condition::new(0, Operator::Eq, u64::from(inner), 0);
    std::iter::once(selects).chain(all.filter(|condition| condition.argument != 0)).collect()
}
