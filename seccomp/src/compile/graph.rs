// SPDX-License-Identifier: Apache-2.0
//! A filter as a graph of decisions.

use crate::action::Action;
use crate::bpf::op;
use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, Hasher};
use std::time::SystemTime;

/// A node of the graph. A node is always younger than the nodes that it leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Id(u32);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Node {
    Return(u32),
    Test(Test),
}

/// A comparison of one word of the call's data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Test {
    /// The word's offset in `struct seccomp_data`.
    pub(super) word: u32,
    /// The compared bits of the word.
    pub(super) mask: u32,
    /// `JEQ`, `JGE` or `JSET`.
    pub(super) jump: u16,
    pub(super) k: u32,
    pub(super) yes: Id,
    pub(super) no: Id,
}

/// Written out, because hashing field by field takes a third of the compiler's time.
impl Hash for Test {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let pair = |a: u32, b: u32| u64::from(a) << 32 | u64::from(b);
        state.write_u64(pair(self.word << 16 | u32::from(self.jump), self.mask));
        state.write_u64(pair(self.k, self.yes.0));
        state.write_u32(self.no.0);
    }
}

/// A hasher that multiplies by a secret number, so that no profile can choose collisions. The
/// standard hasher takes longer than all other work on a few hundred nodes.
#[derive(Debug)]
struct Secret(u64);

impl Default for Secret {
    /// Derives the secret from the time and the address of the stack. The standard library would
    /// call getrandom(2), and panic if a filter around this process denies it.
    fn default() -> Self {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let mut mixed = Multiplied { state: 0x9e37_79b9_7f4a_7c15, by: 0xd6e8_feb8_6659_fd93 };
        mixed.write_u64(now.as_nanos() as u64);
        mixed.write_u64(std::ptr::from_ref(&now).addr() as u64);
        Secret(mixed.finish())
    }
}

impl BuildHasher for Secret {
    type Hasher = Multiplied;

    fn build_hasher(&self) -> Multiplied {
        Multiplied { state: self.0, by: self.0 | 1 }
    }
}

struct Multiplied {
    state: u64,
    by: u64,
}

impl Hasher for Multiplied {
    fn write_u64(&mut self, word: u64) {
        // Every bit of both factors affects the upper half of a product.
        let product = u128::from(self.state ^ word) * u128::from(self.by);
        self.state = product as u64 ^ (product >> 64) as u64;
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u64((*byte).into()));
    }

    fn write_u32(&mut self, word: u32) {
        self.write_u64(word.into());
    }

    fn write_isize(&mut self, discriminant: isize) {
        self.write_u64(discriminant as u64);
    }

    fn finish(&self) -> u64 {
        self.state
    }
}

/// The nodes, without duplicates: equal decisions share a node.
#[derive(Debug)]
pub(super) struct Graph {
    nodes: Vec<Node>,
    ids: HashMap<Node, Id, Secret>,
}

impl Default for Graph {
    fn default() -> Self {
        // A usual size, because growing means hashing everything again.
        let nodes = 400;
        Graph {
            nodes: Vec::with_capacity(nodes),
            ids: HashMap::with_capacity_and_hasher(nodes, Secret::default()),
        }
    }
}

impl Graph {
    /// Adds a verdict.
    pub(super) fn action(&mut self, action: Action) -> Id {
        self.node(Node::Return(action.ret()))
    }

    /// Adds a test: is the word equal to `k`?
    pub(super) fn equal(&mut self, word: u32, k: u32, yes: Id, no: Id) -> Id {
        self.test(Test { word, mask: u32::MAX, jump: op::JEQ, k, yes, no })
    }

    /// Adds a test: is the word at least `k`?
    pub(super) fn at_least(&mut self, word: u32, k: u32, yes: Id, no: Id) -> Id {
        self.test(Test { word, mask: u32::MAX, jump: op::JGE, k, yes, no })
    }

    /// Adds a test: are these bits of the word equal to those of `k`?
    pub(super) fn masked_equal(&mut self, word: u32, mask: u32, k: u32, yes: Id, no: Id) -> Id {
        match (mask, k) {
            (0, _) => yes,
            (u32::MAX, _) => self.equal(word, k, yes, no),
            // JSET tests for "none of these bits" without an AND, and keeps the word for the next
            // test.
            (_, 0) => self.test(Test { word, mask: u32::MAX, jump: op::JSET, k: mask, yes: no, no: yes }),
            _ => self.test(Test { word, mask, jump: op::JEQ, k, yes, no }),
        }
    }

    fn test(&mut self, test: Test) -> Id {
        if test.yes == test.no { test.yes } else { self.node(Node::Test(test)) }
    }

    fn node(&mut self, node: Node) -> Id {
        *self.ids.entry(node).or_insert_with(|| {
            self.nodes.push(node);
            // 2^32 nodes do not fit into memory.
            Id(u32::try_from(self.nodes.len() - 1).unwrap_or(u32::MAX))
        })
    }

    /// Returns the nodes in the order of their indices; a node leads to earlier ones only.
    pub(super) fn nodes(&self) -> &[Node] {
        &self.nodes
    }
}

impl Id {
    pub(super) fn index(self) -> usize {
        self.0 as usize
    }
}
