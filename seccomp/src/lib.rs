// SPDX-License-Identifier: Apache-2.0
//! A pure compiler from OCI seccomp policies to classic BPF.
#![forbid(unsafe_code)]

mod action;
mod arch;
mod bpf;
mod compile;
mod condition;
mod eval;
mod flag;
mod policy;
mod profile;
mod table;

pub use action::Action;
pub use arch::Arch;
pub use bpf::{Fault, Instruction, InvalidProgram, MAX_INSTRUCTIONS, Program, SeccompData, interp};
pub use compile::{TooLong, compile};
pub use condition::Operator;
pub use eval::eval;
pub use flag::Flag;
pub use policy::{Listener, Policy, PolicyError};
pub use profile::{Arg, Profile, SyscallRule};
