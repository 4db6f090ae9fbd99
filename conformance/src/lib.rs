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
#![allow(clippy::disallowed_methods)] // It tests; it guards nothing.

mod harness;
mod inside;
mod results;
mod trace;

pub use harness::{agent, bundle, change, console, host, messages, opens, payload, runtime, volume};
pub use inside::{load, report, score, tamper};
pub use results::{attack, requirements, verdict};
pub use trace::{tally, witness};

pub use agent::Agent;
pub use bundle::Bundle;
pub use opens::Opens;
pub use report::Report;
pub use runtime::{Output, Runtime};
pub use verdict::{Outcome, Verdict};
pub use volume::{Mounted, Volume};

/// The reason why a case failed.
pub type Result<T = ()> = std::result::Result<T, String>;

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

/// Adds the failed operation of the test itself to an error.
pub trait Doing<T> {
    /// Turns the error into the reason of a failed case.
    fn doing(self, what: &str) -> Result<T>;
}

impl<T, E: std::fmt::Display> Doing<T> for std::result::Result<T, E> {
    fn doing(self, what: &str) -> Result<T> {
        self.map_err(|error| format!("{what}: {error}"))
    }
}

/// Checks every item, and names all that fail.
pub fn each<T: std::fmt::Debug>(
    items: impl IntoIterator<Item = T>,
    mut check: impl FnMut(&T) -> Result,
) -> Result {
    let (mut count, mut failed) = (0, Vec::new());
    for item in items {
        count += 1;
        if let Err(why) = check(&item) {
            failed.push(format!("{item:?}: {why}"));
        }
    }
    ensure!(failed.is_empty(), "{} of {count} fail:\n{}", failed.len(), failed.join("\n"));
    Ok(())
}

/// Replaces the text between two marks of a document, which stand on lines of their own.
pub fn between(document: &str, begin: &str, end: &str, text: &str) -> Result<String> {
    let (before, rest) = document.split_once(begin).ok_or(format!("there is no {begin}"))?;
    let (_, after) = rest.split_once(end).ok_or(format!("there is no {end}"))?;
    Ok(format!("{before}{begin}\n\n{text}\n{end}{after}"))
}
