// SPDX-License-Identifier: Apache-2.0
//! The decision for each number, from rules with names.

use super::arguments::decide;
use super::graph::{Graph, Id};
use crate::arch::Arch;
use crate::condition::{Condition, Operator};
use crate::policy::{Alternative, Policy, Rule};
use crate::table::Syscall;
use std::collections::BTreeMap;

/// A rule that applies to a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Claim {
    rule: u32,
    inner: Inner,
}

/// The first argument with which a multiplexer makes the rule's call; `None`: a direct call.
type Inner = Option<u8>;

/// A rule as it applies to programs of one ABI.
struct Reading<'a> {
    any: &'a [Alternative],
    arch: Arch,
    then: Id,
    /// True if its action differs from the default action.
    differs: bool,
    /// True if one of its alternatives always holds.
    unconditional: bool,
}

/// The rules that name each call, in the order of the policy.
pub(super) struct Named {
    /// For each call, the index behind its last rule.
    ends: Vec<usize>,
    rules: Vec<u32>,
}

impl Named {
    pub(super) fn by(policy: &Policy) -> Named {
        // The number of rules of each call, then the index of the first, then, once `rules` is
        // filled, the index behind the last.
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

    /// Returns the claims on the number of a call, in the order of the policy.
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

/// Returns every number that the policy names on this ABI, ascending, with its decision.
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
    // Rules often name many calls: equal sets of competing rules are decided once.
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

/// Sorts alternatives by rank, and removes those that cannot decide.
fn ranked(alternatives: impl Iterator<Item = (Alternative, Id)>) -> Vec<(Alternative, Id)> {
    let mut ranked: Vec<_> = alternatives.collect();
    // Stable: equal ranks keep the order of the policy, and the first of equal alternatives hides
    // the others.
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

    /// Returns the alternatives, without conditions that always hold.
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

/// Returns the conditions that can be tested behind a multiplexer. Its first argument selects the
/// call; the first argument of that call is in memory, where no filter can see it.
fn behind(inner: u8, all: impl Iterator<Item = Condition>) -> Alternative {
    let selects = Condition::new(0, Operator::Eq, u64::from(inner), 0);
    std::iter::once(selects).chain(all.filter(|condition| condition.argument != 0)).collect()
}
