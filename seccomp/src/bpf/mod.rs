// SPDX-License-Identifier: Apache-2.0
//! Classic BPF of seccomp(2): instructions, the kernel's rules for them, and an interpreter.

mod check;
mod display;
mod instruction;
mod interp;
pub(crate) mod op;
mod program;

pub use check::{Fault, InvalidProgram};
pub use instruction::{Instruction, MAX_INSTRUCTIONS, SeccompData};
pub use interp::interp;
pub use program::Program;
