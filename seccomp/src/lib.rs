// SPDX-License-Identifier: Apache-2.0
//! A pure compiler from OCI seccomp policies to classic BPF.
//!
//! It compiles `linux.seccomp` of config.json to the program that seccomp(2) loads. It does no
//! I/O, allows no unsafe code, and depends neither on other crates nor on the running kernel. The
//! caller loads the program.
//!
//! # Example
//!
//! ```
//! use seccomp::{Arch, Policy, Profile, SyscallRule, compile};
//!
//! let profile = Profile {
//!     default_action: "SCMP_ACT_ALLOW",
//!     architectures: vec!["SCMP_ARCH_X86"],
//!     syscalls: vec![SyscallRule {
//!         names: vec!["mount", "umount2", "no_such_call"],
//!         action: "SCMP_ACT_ERRNO",
//!         ..SyscallRule::default()
//!     }],
//!     ..Profile::default()
//! };
//! let policy = Policy::new(&profile, Arch::X86_64)?;
//! for note in policy.notes() {
//!     // linux.seccomp.syscalls[0].names[2]: the unknown system call "no_such_call" is ignored
//!     println!("linux.seccomp.{note}");
//! }
//! let program = compile(&policy)?;
//!
//! // For the kernel: seccomp(SECCOMP_SET_MODE_FILTER, policy.filter_flags(), &sock_fprog)
//! // with a sock_fprog that points to this.
//! let instructions: &[seccomp::Instruction] = program.instructions();
//! assert!(instructions.len() < 30);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Terminology
//!
//! * A **profile** is `linux.seccomp` as it is written; [`Profile`] mirrors it.
//! * A **policy** is a profile that was checked, for a machine: [`Policy`].
//!   Its errors name the field, relative to `linux.seccomp`.
//! * A **rule** is an entry of `syscalls`: an action for some calls, under conditions.
//! * A **condition** is an entry of `args`. All conditions of a rule must hold. If
//!   two of them test the same argument, each is an **alternative** instead: any of
//!   them is enough.
//! * An **action** is the kernel's reaction to a call: [`Action`].
//! * An **ABI**, in config.json "architecture", is a way to make calls: [`Arch`].
//!   The **native** one is the kernel's own; it is always part of the policy.
//! * A **program** is a list of BPF instructions that the kernel would accept: [`Program`].
//!
//! # The meaning of a policy
//!
//! [`eval`] defines the action for each call, and is written to be read. In short:
//!
//! 1. If no ABI of the policy makes such calls, it kills the thread.
//! 2. Rules with the default action have no effect.
//! 3. The first rule for the call that has no conditions decides, wherever it stands.
//! 4. Of the rules whose conditions hold, the one of least rank decides: later
//!    arguments before earlier ones, equality before "less" before "greater",
//!    the narrower before the wider, and only among equals the first.
//! 5. A number above all that the profile names gets ENOSYS, unless the default
//!    action lets calls through or asks an agent or a tracer.
//! 6. The default action.
//!
//! These are the rules of libseccomp and runc, so a profile has the same effect as there.
//! `docs/seccomp.md` has the reasons, and the exceptions.
//!
//! # Tests
//!
//! [`interp`] executes programs as the kernel does, and [`Program::new`] accepts
//! what the kernel accepts. The tests compare `interp(compile(p))` with `eval(p)`,
//! with libseccomp's program, and with the running kernel.
//!
//! # Limits
//!
//! * It does not know which actions and flags the running kernel supports.
//! * It cannot look behind pointers. On ABIs with socketcall(2), a program evades a
//!   condition on an argument of socket(2) by that call.
//! * It does not detect contradictory profiles: the list above applies to them, too.
//! * Architectures without a table here are refused by name.
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
