// SPDX-License-Identifier: Apache-2.0
//! What came of a case, for who makes a table of it.

use crate::{Doing, Result};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// One case and what came of it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Verdict {
    /// The group of the case.
    pub group: String,
    /// Its name.
    pub name: String,
    /// The sentence that it checks, and where it stands.
    pub quote: String,
    /// What came of it.
    pub outcome: Outcome,
}

impl Verdict {
    /// Whether the case is about a sentence of the specification, and not about what
    /// runc does, or about a vulnerability.
    pub fn is_specified(&self) -> bool {
        self.quote.contains(".md") && !self.quote.starts_with("runc")
    }
}

/// What came of a case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// All is as it should be.
    Passed,
    /// As it should be, but something was left behind.
    Leaves,
    /// Something is not as it should be.
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
