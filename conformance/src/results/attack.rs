// SPDX-License-Identifier: Apache-2.0
//! The outcome of an attack, for the table of docs/attacks.md.

use crate::result::{Doing, Result};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// One attack and its outcome.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AttackOutcome {
    /// The area of the attack.
    pub area: String,
    /// Its name.
    pub name: String,
    /// The vulnerability that it stands for.
    pub stands_for: String,
    /// The counts, or the reason why the attack could not be made.
    pub count: std::result::Result<Count, String>,
}

/// The counted tries of an attack.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Count {
    /// The number of tries.
    pub tries: u64,
    /// The number of times that the attacker was in the position to succeed. An attack with 0
    /// proves nothing.
    pub near: u64,
    /// The number of successes.
    pub successes: u64,
    /// The evidence of successes, each kind once.
    pub evidence: Vec<String>,
}

impl Count {
    /// Counts one try in which the attacker was near; with evidence, a successful one.
    pub fn count(&mut self, evidence: Option<String>) {
        self.tries += 1;
        self.near += 1;
        if let Some(evidence) = evidence {
            self.success(evidence);
        }
    }

    /// Adds the tries of another part of the attack.
    pub fn add(&mut self, other: Count) {
        self.tries += other.tries;
        self.near += other.near;
        let silent = other.successes - other.evidence.len() as u64;
        other.evidence.into_iter().for_each(|evidence| self.success(evidence));
        self.successes += silent;
    }

    /// Counts a success of a try that is counted already.
    pub fn success(&mut self, evidence: String) {
        self.successes += 1;
        if self.evidence.len() < 5 && !self.evidence.contains(&evidence) {
            self.evidence.push(evidence);
        }
    }
}

impl std::fmt::Display for Count {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Count { tries, near, successes, evidence } = self;
        write!(f, "{successes} of {tries} tries succeeded ({near} were near)")?;
        evidence.iter().try_for_each(|line| write!(f, "\n  {line}"))
    }
}

/// The variable that names the file for the outcomes.
pub const VARIABLE: &str = "OUTCOMES";

/// Writes outcomes to a file, as JSON.
pub fn write(path: &Path, outcomes: &[AttackOutcome]) -> Result {
    let json = serde_json::to_vec(outcomes).doing("outcomes")?;
    std::fs::write(path, json).doing(&path.display().to_string())
}

/// Reads what [`write()`] has written.
pub fn read(path: &Path) -> Result<Vec<AttackOutcome>> {
    let json = std::fs::read(path).doing(&path.display().to_string())?;
    serde_json::from_slice(&json).doing("outcomes")
}
