// SPDX-License-Identifier: Apache-2.0
//! Tools to judge an OCI runtime by what it does: a builder of bundles, a runner
//! for any runtime's command line, and what a program inside the container sees
//! (`probe`, a static program of this crate).
//!
//! The cases are in `tests/`; each quotes the sentence that it checks.
#![allow(clippy::disallowed_methods)] // It tests; it guards nothing.

pub mod agent;
pub mod attack;
pub mod bundle;
pub mod change;
pub mod console;
pub mod host;
pub mod load;
pub mod messages;
pub mod opens;
pub mod payload;
mod ptrace;
pub mod report;
pub mod requirements;
pub mod runtime;
pub mod score;
pub mod tally;
pub mod tamper;
pub mod verdict;
pub mod volume;
pub mod witness;

pub use agent::Agent;
pub use bundle::Bundle;
pub use opens::Opens;
pub use report::Report;
pub use runtime::{Output, Runtime};
pub use verdict::{Outcome, Verdict};
pub use volume::{Mounted, Volume};

/// Why a case failed, in words.
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

/// Says what was being done when an operation of the test itself failed.
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

/// A document, with another text between two marks that stand on lines of their own.
pub fn between(document: &str, begin: &str, end: &str, text: &str) -> Result<String> {
    let (before, rest) = document.split_once(begin).ok_or(format!("there is no {begin}"))?;
    let (_, after) = rest.split_once(end).ok_or(format!("there is no {end}"))?;
    Ok(format!("{before}{begin}\n\n{text}\n{end}{after}"))
}
