// SPDX-License-Identifier: Apache-2.0
//! Processes under ptrace(2).

mod authority;
mod ptrace;
pub mod tally;
pub mod witness;
