// SPDX-License-Identifier: Apache-2.0
//! Calls of `check`, and its answers.

use conformance::runtime::finish;
use conformance::{Output, Runtime, host};
use serde_json::Value;
use std::process::Command;

/// The answer of `check --format json`, with the exit status.
pub(crate) struct Answer {
    pub(crate) status: i32,
    pub(crate) json: Value,
}

impl Answer {
    pub(crate) fn of(output: &Output) -> Self {
        let json = serde_json::from_str(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output}"));
        Answer { status: output.status.code().unwrap(), json }
    }

    pub(crate) fn row(&self, name: &str) -> &Value {
        let rows = self.json["rows"].as_array().unwrap();
        rows.iter().find(|row| row["name"] == name).unwrap_or_else(|| panic!("no row {name}: {}", self.json))
    }

    pub(crate) fn fitness(&self, name: &str) -> &str {
        self.row(name)["fitness"].as_str().unwrap()
    }

    pub(crate) fn found(&self, name: &str) -> &str {
        self.row(name)["found"].as_str().unwrap()
    }

    pub(crate) fn names(&self) -> Vec<&str> {
        self.json["rows"].as_array().unwrap().iter().map(|row| row["name"].as_str().unwrap()).collect()
    }

    /// Fails unless the row has this fitness, and these words in its finding.
    pub(crate) fn expect(&self, name: &str, fitness: &str, words: &str) {
        let row = self.row(name);
        assert_eq!(row["fitness"], fitness, "{row}");
        assert!(row["found"].as_str().unwrap().contains(words), "must say {words:?}: {row}");
        let lacks = fitness != "works";
        for text in ["effect", "remedy"] {
            assert_eq!(!row[text].as_str().unwrap().is_empty(), lacks, "{row}");
        }
    }
}

pub(crate) fn runtime() -> Runtime {
    Runtime::new(&conformance::bundle::beside("runtime-cli")).unwrap()
}

/// Checks this host.
pub(crate) fn here(args: &[&str]) -> Answer {
    answer(runtime().command(&[&["check", "--format", "json"], args].concat()))
}

/// Checks the host that `make`, shell commands in a mount namespace of their own, has made of this
/// one. `$by` may execute the runtime.
pub(crate) fn on(make: &str) -> Answer {
    let runtime = runtime();
    let script = format!("by=\n{make}\n$by \"$RUNTIME\" --root \"$STATE\" check --format json");
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation", "private", "sh", "-uc", &script]);
    command.env("RUNTIME", runtime.program()).env("STATE", runtime.root());
    answer(command)
}

/// Runs a command that ends in a `check`. Commands of other tests wait.
pub(crate) fn answer(command: Command) -> Answer {
    let _alone = host::alone();
    Answer::of(&finish(command).unwrap())
}
