// SPDX-License-Identifier: Apache-2.0
//! A range of numbers cut into intervals, and the balanced tree that finds the right one.

use super::graph::{Graph, Id};

/// A decision for each number of a range: one from each start up to the next start.
///
/// The first start is 0; starts ascend; neighbours differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Intervals<T>(Vec<(T, Id)>);

impl<T: Copy + Ord + Default> Intervals<T> {
    /// Returns one interval for the whole range.
    pub(super) fn all(then: Id) -> Intervals<T> {
        Intervals(vec![(T::default(), then)])
    }

    /// Sets the decision from `start` on, which must not be below the start of the last call.
    pub(super) fn from(&mut self, start: T, then: Id) {
        debug_assert!(self.0.last().is_none_or(|last| last.0 <= start));
        if self.0.last().is_some_and(|last| last.0 == start) {
            self.0.pop();
        }
        if self.last() != Some(then) {
            self.0.push((start, then));
        }
    }

    /// Returns the decision at the end of the range so far.
    pub(super) fn last(&self) -> Option<Id> {
        self.0.last().map(|last| last.1)
    }
}

impl Intervals<u32> {
    /// Builds the tree for a word of the call's data.
    pub(super) fn tree(&self, graph: &mut Graph, word: u32) -> Id {
        tree(graph, word, &self.0)
    }
}

fn tree(graph: &mut Graph, word: u32, intervals: &[(u32, Id)]) -> Id {
    match *intervals {
        [(_, only)] => only,
        // An interval of one number inside another one: one test for equality.
        [(_, around), (number, then), (next, again)] if again == around && next - number == 1 => {
            graph.equal(word, number, then, around)
        }
        _ => {
            // After an odd number of intervals, so that single numbers stay with the interval
            // around them.
            let middle = (intervals.len() / 2) | 1;
            let (below, above) = intervals.split_at(middle);
            let yes = tree(graph, word, above);
            let no = tree(graph, word, below);
            graph.at_least(word, above[0].0, yes, no)
        }
    }
}

impl Intervals<u64> {
    /// Builds the tree for an argument of 32 bits: no start is larger.
    pub(super) fn narrow_tree(&self, graph: &mut Graph, low: u32) -> Id {
        let lows: Vec<(u32, Id)> = self.0.iter().map(|&(start, then)| (start as u32, then)).collect();
        tree(graph, low, &lows)
    }

    /// Builds the tree for an argument of 64 bits: first its high half, then its low half.
    pub(super) fn wide_tree(&self, graph: &mut Graph, high: u32, low: u32) -> Id {
        let half = |start: u64| (start >> 32) as u32;
        let mut highs = Intervals(Vec::new());
        for inside in self.0.chunk_by(|a, b| half(a.0) == half(b.0)) {
            // The starts within one high half. The decision before lasts up to the first of them.
            let mut lows = Intervals(Vec::new());
            if let Some(before) = highs.last() {
                lows.from(0, before);
            }
            for &(start, then) in inside {
                lows.from(start as u32, then);
            }
            let (start, last) = inside[inside.len() - 1];
            highs.from(half(start), lows.tree(graph, low));
            if let Some(next) = half(start).checked_add(1) {
                highs.from(next, last);
            }
        }
        highs.tree(graph, high)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::action::Action;

    #[test]
    fn neighbours_differ_and_a_start_is_there_once() {
        let mut graph = Graph::default();
        let (log, allow) = (graph.action(Action::Log), graph.action(Action::Allow));
        let mut line = Intervals::<u32>::all(log);
        line.from(5, allow);
        line.from(6, allow);
        line.from(7, log);
        line.from(7, allow);
        assert_eq!(line.0, [(0, log), (5, allow)]);
        line.from(9, log);
        line.from(u32::MAX, log);
        assert_eq!(line.0, [(0, log), (5, allow), (9, log)]);
    }

    #[test]
    fn a_single_number_is_one_test() {
        let mut graph = Graph::default();
        let (log, allow) = (graph.action(Action::Log), graph.action(Action::Allow));
        let mut line = Intervals::<u32>::all(log);
        line.from(5, allow);
        line.from(6, log);
        let root = line.tree(&mut graph, 0);
        assert_eq!(root, graph.equal(0, 5, allow, log));
        // In 64 bits, one for each half.
        let mut line = Intervals::<u64>::all(log);
        line.from(5 << 32 | 7, allow);
        line.from(5 << 32 | 8, log);
        let root = line.wide_tree(&mut graph, 20, 16);
        let low = graph.equal(16, 7, allow, log);
        assert_eq!(root, graph.equal(20, 5, low, log));
    }
}
