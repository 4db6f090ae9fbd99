// SPDX-License-Identifier: Apache-2.0
//! The instructions of a graph.
//!
//! Jumps of classic BPF only go forward, and conditional ones skip at most 255 instructions. So the
//! program is built from its end: the targets of a jump have their final distance, and if one is
//! too far away, a copy of the verdict or an unconditional jump is inserted.

use super::graph::{Graph, Id, Node, Test};
use crate::bpf::{Instruction, op};

/// The content of the accumulator at a node.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Loaded {
    /// No path leads to the node.
    Never,
    /// This word, unmasked, on every path.
    Word(u32),
    /// It differs between paths.
    Unknown,
}

/// The range of a conditional jump, less the instructions that may still be inserted.
const REACH: usize = 255 - 2;

/// Returns the instructions for the decision that begins at `root`.
pub(super) fn assemble(graph: &Graph, root: Id) -> Vec<Instruction> {
    let loaded = loaded(graph, root);
    let mut code = Backward { code: Vec::new(), places: vec![None; graph.nodes().len()] };
    for (index, node) in graph.nodes().iter().enumerate() {
        match (node, loaded[index]) {
            // A verdict is written where it is first needed.
            (_, Loaded::Never) | (Node::Return(_), _) => (),
            (Node::Test(test), loaded) => {
                code.test(graph, test, loaded == Loaded::Word(test.word));
                code.places[index] = Some(code.code.len());
            }
        }
    }
    if let Node::Return(value) = graph.nodes()[root.index()] {
        code.code.push(instruction(op::RET | op::K, value));
    }
    code.code.reverse();
    code.code
}

/// Returns the content of the accumulator at each node, for paths from `root`.
fn loaded(graph: &Graph, root: Id) -> Vec<Loaded> {
    let mut loaded = vec![Loaded::Never; graph.nodes().len()];
    loaded[root.index()] = Loaded::Unknown;
    // Nodes only lead to older ones: from the youngest down, all paths to a node are known when it
    // is visited.
    for (index, node) in graph.nodes().iter().enumerate().rev() {
        let Node::Test(test) = node else { continue };
        if loaded[index] == Loaded::Never {
            continue;
        }
        let leaves = if test.mask == u32::MAX { Loaded::Word(test.word) } else { Loaded::Unknown };
        for to in [test.yes, test.no] {
            let at = &mut loaded[to.index()];
            *at = if *at == Loaded::Never || *at == leaves { leaves } else { Loaded::Unknown };
        }
    }
    loaded
}

/// A program that is built from its end; the vector is in reverse order.
struct Backward {
    code: Vec<Instruction>,
    /// The beginning of the latest copy of each node, counted from the end.
    places: Vec<Option<usize>>,
}

impl Backward {
    fn test(&mut self, graph: &Graph, test: &Test, loaded: bool) {
        let no = self.near(graph, test.no);
        let yes = self.near(graph, test.yes);
        let skip = |place: usize| {
            let distance = self.code.len() - place;
            // REACH guarantees it. No filter is better than one with a wrong jump.
            assert!(distance <= usize::from(u8::MAX), "a jump over {distance} instructions");
            distance as u8
        };
        let (jt, jf) = (skip(yes), skip(no));
        self.code.push(Instruction { code: op::JMP | test.jump | op::K, jt, jf, k: test.k });
        if test.mask != u32::MAX {
            self.code.push(instruction(op::ALU | op::AND | op::K, test.mask));
        }
        if !loaded {
            self.code.push(instruction(op::LD | op::ABS, test.word));
        }
    }

    /// Returns a place within reach of the next jump that leads to this node.
    fn near(&mut self, graph: &Graph, to: Id) -> usize {
        let place = self.places[to.index()];
        if let Some(place) = place
            && self.code.len() - place <= REACH
        {
            return place;
        }
        let bridge = match (graph.nodes()[to.index()], place) {
            (Node::Return(value), _) => instruction(op::RET | op::K, value),
            (Node::Test(_), Some(place)) => instruction(op::JMP | op::JA, (self.code.len() - place) as u32),
            (Node::Test(_), None) => unreachable!("a test is put down before those that lead to it"),
        };
        self.code.push(bridge);
        let place = self.code.len();
        self.places[to.index()] = Some(place);
        place
    }
}

fn instruction(code: u16, k: u32) -> Instruction {
    Instruction { code, jt: 0, jf: 0, k }
}
