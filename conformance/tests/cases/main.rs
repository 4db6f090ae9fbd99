// SPDX-License-Identifier: Apache-2.0
//! The conformance cases, for the runtime that RUNTIME names:
//!
//! ```text
//! RUNTIME=/usr/bin/runc cargo test -p conformance --test cases [NAME]
//! ```
//!
//! Each case quotes what it checks, gets a runtime with a state directory of its
//! own, and fails if it leaves anything behind. Root is needed.
#![allow(clippy::disallowed_methods)]

mod caller;
mod defaults;
mod exec;
mod features;
mod hooks;
mod lifecycle;
mod limits;
mod linux;
mod mounts;
mod namespaces;
mod process;
mod seccomp;
mod security;

use conformance::host::{self, Snapshot};
use conformance::{Result, Runtime};
use libtest_mimic::{Arguments, Failed, Trial};
use std::process::ExitCode;

/// One case.
#[derive(Debug)]
pub(crate) struct Case {
    /// What is checked, in a few words.
    pub(crate) name: &'static str,
    /// The sentence that demands it, and where it stands.
    pub(crate) quote: &'static str,
    /// Checks it.
    pub(crate) run: fn(&Runtime) -> Result,
}

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    // They watch the same host.
    arguments.test_threads = Some(1);
    if let Err(error) = host::isolate() {
        let trial = Trial::test("isolation", move || Err(Failed::from(error)));
        return libtest_mimic::run(&arguments, vec![trial]).exit_code();
    }
    // A host without the controllers cannot tell: the virtual machine has them.
    let limits = if limits::can_be_judged() { limits::CASES } else { &[] };
    let groups = [
        ("lifecycle", lifecycle::CASES),
        ("hooks", hooks::CASES),
        ("defaults", defaults::CASES),
        ("process", process::CASES),
        ("namespaces", namespaces::CASES),
        ("mounts", mounts::CASES),
        ("linux", linux::CASES),
        ("exec", exec::CASES),
        ("features", features::CASES),
        ("caller", caller::CASES),
        ("limits", limits),
        ("seccomp", seccomp::CASES),
        ("security", security::CASES),
    ];
    let trials = groups
        .iter()
        .flat_map(|(group, cases)| cases.iter().map(move |case| (format!("{group}::{}", case.name), case)))
        .map(|(name, case)| Trial::test(name, || judge(case).map_err(Failed::from)))
        .collect();
    libtest_mimic::run(&arguments, trials).exit_code()
}

fn judge(case: &Case) -> Result {
    let before = Snapshot::take()?;
    let runtime = Runtime::from_env()?;
    let result = (case.run)(&runtime);
    if result.is_err() {
        // Let the next case begin on a clean host; this one has failed already.
        for entry in std::fs::read_dir(runtime.root()).into_iter().flatten().flatten() {
            let _deleted = runtime.run(&["delete", "--force", &entry.file_name().to_string_lossy()]);
        }
    }
    result
        .and_then(|()| before.check(&runtime))
        .map_err(|why| format!("{why}\n\nThe specification says:\n  {}", case.quote))
}
