// SPDX-License-Identifier: Apache-2.0
//! The compiler from a policy to a program.
//!
//! ```text
//! Policy ──▶ for each ABI: number ─▶ rules that compete for it      (lower)
//!        ──▶ their conditions as tests of arguments                 (arguments)
//!        ──▶ all numbers of a kind of kernel entry, as a tree       (intervals)
//!        ──▶ a choice among the entries, everything in one graph    (graph)
//!        ──▶ instructions                                           (assemble)
//! ```

mod arguments;
mod assemble;
mod graph;
mod intervals;
mod lower;

use crate::action::{Action, ENOSYS};
use crate::arch::{ARM_PRIVATE, Arch, X32_BIT};
use crate::bpf::{MAX_INSTRUCTIONS, Program, op};
use crate::policy::Policy;
use graph::{Graph, Id};
use intervals::Intervals;
use lower::Named;

/// The error for a policy whose program would be longer than the kernel allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the filter needs {instructions} instructions, and the kernel takes {MAX_INSTRUCTIONS}")]
pub struct TooLong {
    /// The number of instructions that it would need.
    pub instructions: usize,
}

/// Compiles the program that decides as [`eval`](crate::eval()) does.
pub fn compile(policy: &Policy) -> Result<Program, TooLong> {
    let mut graph = Graph::default();
    let root = dispatch(policy, &mut graph);
    let code = assemble::assemble(&graph, root);
    match code.len() {
        1..=MAX_INSTRUCTIONS => Ok(Program::trusted(code)),
        instructions => Err(TooLong { instructions }),
    }
}

/// Adds the tests for the entry of the call. The native entry is tested first.
fn dispatch(policy: &Policy, graph: &mut Graph) -> Id {
    let mut entries: Vec<u32> = Vec::new();
    for arch in &policy.archs {
        if !entries.contains(&arch.audit()) {
            entries.push(arch.audit());
        }
    }
    let named = Named::by(policy);
    // The last entry is added first, so that the first one stands near the beginning.
    let kill = graph.action(Action::KillThread);
    entries.into_iter().rev().fold(kill, |others, audit| {
        let numbers = numbers(policy, &named, graph, audit);
        graph.equal(op::ARCH, audit, numbers, others)
    })
}

/// Adds the tree of all numbers of an entry.
fn numbers(policy: &Policy, named: &Named, graph: &mut Graph, audit: u32) -> Id {
    let kill = graph.action(Action::KillThread);
    let mut line = Intervals::all(kill);
    let mut archs: Vec<Arch> = policy.archs.iter().copied().filter(|arch| arch.audit() == audit).collect();
    archs.sort_unstable_by_key(|arch| *arch.numbers().start());
    for &arch in &archs {
        section(policy, named, graph, arch, &mut line);
    }
    if archs == [Arch::X86_64] {
        // The policy does not include x32. But -1 is a tracer's "skip this call", so it is treated
        // like any number above those of x86_64.
        let above = line.last().unwrap_or(kill);
        line.from(X32_BIT, kill);
        line.from(u32::MAX, above);
    }
    line.tree(graph, op::NR)
}

/// Adds the numbers of one ABI to the range.
fn section(policy: &Policy, named: &Named, graph: &mut Graph, arch: Arch, line: &mut Intervals<u32>) {
    let default = graph.action(policy.default);
    let above = if policy.hides_newer_calls() { graph.action(Action::Errno(ENOSYS)) } else { default };
    let calls = lower::lower(policy, named, graph, arch, default);
    line.from(*arch.numbers().start(), default);
    for range in calls.chunk_by(|a, b| arch.same_range(a.0, b.0)) {
        if range[0].0 >= ARM_PRIVATE && arch == Arch::Arm {
            line.from(ARM_PRIVATE, default);
        }
        for &(number, then) in range {
            line.from(number, then);
            line.from(number + 1, default);
        }
        line.from(range[range.len() - 1].0 + 1, above);
    }
}
