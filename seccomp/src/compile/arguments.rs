// SPDX-License-Identifier: Apache-2.0
//! The rules that compete for one call, as tests of its arguments.

use super::graph::{Graph, Id};
use super::intervals::Intervals;
use crate::arch::Arch;
use crate::bpf::op;
use crate::condition::{Condition, Operator};
use crate::policy::Alternative;
use std::collections::BTreeSet;

/// Adds the decision among alternatives that are sorted by rank; `rest` if none holds.
pub(super) fn decide(graph: &mut Graph, arch: Arch, sorted: &[(Alternative, Id)], rest: Id) -> Id {
    // From the last to the first, each leading to the one behind it. Comparisons of one argument
    // form one test.
    let groups = sorted.chunk_by(|(a, _), (b, _)| compared(a).is_some() && compared(a) == compared(b));
    groups.rev().fold(rest, |next, group| match group {
        [(all, then)] => conjunction(graph, arch, all, *then, next),
        _ => {
            let conditions: Vec<_> = group.iter().map(|(all, then)| (all[0], *then)).collect();
            compare(graph, arch, &conditions, next)
        }
    })
}

/// Returns the argument of an alternative that consists of one comparison.
fn compared(all: &Alternative) -> Option<u8> {
    match *all.as_slice() {
        [condition] if condition.operator != Operator::MaskedEq => Some(condition.argument),
        _ => None,
    }
}

/// Adds tests that all conditions hold.
fn conjunction(graph: &mut Graph, arch: Arch, all: &Alternative, then: Id, otherwise: Id) -> Id {
    all.iter().rev().fold(then, |then, &condition| match condition.operator {
        Operator::MaskedEq => masked(graph, condition, then, otherwise),
        _ => compare(graph, arch, &[(condition, then)], otherwise),
    })
}

fn masked(graph: &mut Graph, condition: Condition, then: Id, otherwise: Id) -> Id {
    let Condition { argument, value, mask, .. } = condition;
    let low = graph.masked_equal(op::low(argument), mask as u32, value as u32, then, otherwise);
    // On a 32-bit ABI the mask has no high half, so this test always holds.
    graph.masked_equal(op::high(argument), (mask >> 32) as u32, (value >> 32) as u32, low, otherwise)
}

/// Adds comparisons of one argument. The first that holds decides.
///
/// They cut the range of values into intervals, so a hundred of them cost only a few tests.
fn compare(graph: &mut Graph, arch: Arch, conditions: &[(Condition, Id)], rest: Id) -> Id {
    let max = arch.max_argument();
    // The values at which a condition begins or ceases to hold.
    let mut edges = Vec::with_capacity(2 * conditions.len());
    for (place, (condition, _)) in conditions.iter().enumerate() {
        for (first, last) in holds_between(*condition, max) {
            edges.push((first, place));
            edges.extend((last < max).then(|| (last + 1, place)));
        }
    }
    edges.sort_unstable();
    let mut line = Intervals::all(rest);
    let mut holding = BTreeSet::new();
    for at_one_value in edges.chunk_by(|a, b| a.0 == b.0) {
        for &(_, place) in at_one_value {
            if !holding.remove(&place) {
                holding.insert(place);
            }
        }
        let then = holding.first().map_or(rest, |&place: &usize| conditions[place].1);
        line.from(at_one_value[0].0, then);
    }
    let argument = conditions[0].0.argument;
    if max == u64::MAX {
        line.wide_tree(graph, op::high(argument), op::low(argument))
    } else {
        line.narrow_tree(graph, op::low(argument))
    }
}

/// Returns the intervals of values, both ends included, for which a comparison holds.
fn holds_between(condition: Condition, max: u64) -> impl Iterator<Item = (u64, u64)> {
    let value = condition.value;
    let below = |value: u64| value.checked_sub(1).map(|last| (0, last));
    let above = |value: u64| (value < max).then(|| (value + 1, max));
    let intervals = match condition.operator {
        Operator::Eq | Operator::MaskedEq => [Some((value, value)), None],
        Operator::Ne => [below(value), above(value)],
        Operator::Lt => [below(value), None],
        Operator::Le => [Some((0, value)), None],
        Operator::Gt => [above(value), None],
        Operator::Ge => [Some((value, max)), None],
    };
    intervals.into_iter().flatten()
}
