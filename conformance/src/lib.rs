// SPDX-License-Identifier: Apache-2.0
//! Judges an OCI runtime by its behaviour. The crate and the folders beside it are
//! four products:
//!
//! - **the suite**: `tests/cases`, each with the sentence that it checks; `tests/attacks`, hostile
//!   programs in containers; `mutants`, which breaks the runtime to judge the suite;
//! - **the benchmark**: `bench`, and its promises as a test, `tests/budget.rs`;
//! - **the engines**: `engines`, which lets Docker, Podman and others drive the runtime;
//! - **the virtual machine**: `vm`, in which any of these runs.
//!
//! This library is what they share: `harness` makes bundles and runs any runtime's command
//! line; `inside` is for programs in containers (`probe`, `attacker`); `trace` follows
//! processes with ptrace(2); `results` holds outcomes, for pages of docs/.
#![allow(clippy::disallowed_methods)] // The reasons in clippy.toml are those of a runtime.

mod harness;
mod inside;
mod result;
mod results;
mod trace;

pub use harness::{agent, bundle, change, console, host, opens, payload, runtime, volume};
pub use inside::{load, report, score, tamper};
pub use results::{attack, requirements, verdict};
pub use trace::{tally, witness};

pub use agent::Agent;
pub use bundle::Bundle;
pub use opens::Opens;
pub use report::Report;
pub use result::{Doing, Result, each};
pub use results::page::between;
pub use runtime::{Output, Runtime};
pub use verdict::{CaseOutcome, Verdict};
pub use volume::{Mounted, Volume};

/// Fails a case unless a condition holds.
#[macro_export]
macro_rules! ensure {
    ($condition:expr, $($text:tt)+) => {
        if !$condition {
            return Err(format!($($text)+));
        }
    };
}

/// Fails a case unless two values are the same.
#[macro_export]
macro_rules! ensure_eq {
    ($left:expr, $right:expr $(,)?) => {
        match (&$left, &$right) {
            (left, right) if left == right => {}
            (left, right) => return Err(format!("{}: got {left:?}, want {right:?}", stringify!($left))),
        }
    };
}
