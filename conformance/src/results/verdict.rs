// SPDX-License-Identifier: Apache-2.0
//! The outcome of a case, for tables.

use crate::result::{Doing, Result};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// One case and its outcome.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Verdict {
    /// The group of the case.
    pub group: String,
    /// Its name.
    pub name: String,
    /// The sentence that it checks, and its source.
    pub quote: String,
    /// The outcome.
    pub outcome: CaseOutcome,
}

impl Verdict {
    /// Returns true if the case checks a sentence of the specification, not behaviour of runc or a
    /// vulnerability.
    pub fn is_specified(&self) -> bool {
        self.quote.contains(".md") && !self.quote.starts_with("runc")
    }
}

/// The outcome of a case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CaseOutcome {
    /// The runtime does what the sentence says.
    Passed,
    /// The runtime does what the sentence says, but leaves something behind.
    Leaves,
    /// The runtime does not do what the sentence says.
    Failed,
}

/// The variable that names the file for the verdicts.
pub const VARIABLE: &str = "VERDICTS";

/// Writes verdicts to a file, as JSON.
pub fn write(path: &Path, verdicts: &[Verdict]) -> Result {
    let json = serde_json::to_vec(verdicts).doing("verdicts")?;
    std::fs::write(path, json).doing(&path.display().to_string())
}

/// Reads what [`write()`] has written.
pub fn read(path: &Path) -> Result<Vec<Verdict>> {
    let json = std::fs::read(path).doing(&path.display().to_string())?;
    serde_json::from_slice(&json).doing("verdicts")
}
