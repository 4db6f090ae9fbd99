// SPDX-License-Identifier: Apache-2.0
//! What came of an attack, for the table of docs/attacks.md.

use crate::{Doing, Result};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// One attack and what came of it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Outcome {
    /// The area of the attack.
    pub area: String,
    /// Its name.
    pub name: String,
    /// The vulnerability that it stands for.
    pub stands_for: String,
    /// What was counted, or why the attack could not be made.
    pub count: std::result::Result<Count, String>,
}

/// The tries of an attack, counted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Count {
    /// How often the attack was tried.
    pub tries: u64,
    /// How often the attacker was in the place and moment that it needs. An attack that
    /// never got there shows nothing.
    pub near: u64,
    /// How often it succeeded.
    pub successes: u64,
    /// What the attacker got, for each kind of success.
    pub evidence: Vec<String>,
}

impl Count {
    /// Counts one try, which the attacker was near to, and which succeeded if there is
    /// evidence of it.
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
pub fn write(path: &Path, outcomes: &[Outcome]) -> Result {
    let json = serde_json::to_vec(outcomes).doing("outcomes")?;
    std::fs::write(path, json).doing(&path.display().to_string())
}

/// Reads what [`write()`] has written.
pub fn read(path: &Path) -> Result<Vec<Outcome>> {
    let json = std::fs::read(path).doing(&path.display().to_string())?;
    serde_json::from_slice(&json).doing("outcomes")
}
