// SPDX-License-Identifier: Apache-2.0
//! The system calls of tests, of the conformance suite and of its attacks that neither nix nor
//! `runtime-sys` has. **Never part of the product**: only programs that test or measure depend on
//! this crate. Together with `runtime-sys` it has all the `unsafe` code of the workspace, so that
//! every other crate can forbid it.
//!
//! The rules of `runtime-sys` hold here too, with one exception: some functions are safe to call
//! only if the caller keeps a promise that stands in their documentation, for example that a child
//! takes no lock. A broken promise makes a test hang or crash. Nobody's host depends on it.
#![allow(unsafe_code)]

pub mod command;
pub mod descriptor;
pub mod filter;
pub mod heap;
pub mod keyring;
pub mod memory;
pub mod notification;
pub mod process;
pub mod ptrace;
pub mod raw;
pub mod terminal;
