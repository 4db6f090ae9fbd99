// SPDX-License-Identifier: Apache-2.0
//! The conformance cases, for the runtime that RUNTIME names:
//!
//! ```text
//! RUNTIME=/usr/bin/runc cargo test -p conformance --test cases [NAME]
//! ```
//!
//! Each case quotes the sentence that it checks, gets a runtime with its own state directory, and
//! fails if it leaves anything behind. Root is needed. VERDICTS names a file for the outcomes.
//! CASES names a file with one name a line: these cases are run alone, in this order, until one
//! fails.
#![allow(clippy::disallowed_methods, clippy::print_stderr)]

mod authority;
mod caller;
mod defaults;
mod devices;
mod engines;
mod exec;
mod features;
mod hook_places;
mod hook_process;
mod hooks;
mod hosts;
mod input;
mod interfaces;
mod lifecycle;
mod limits;
mod linux;
mod mount_effects;
mod mount_options;
mod mounts;
mod namespaces;
mod net_devices;
mod process;
mod properties;
mod requirements;
mod seccomp;
mod security;
mod sentences;
mod states;
mod streams;
mod support;
mod traps;
mod trees;
mod volumes;
mod waiting;

use conformance::host::{self, HostSnapshot};
use conformance::{CaseOutcome, Result, Runtime, Verdict, verdict};
use libtest_mimic::{Arguments, Failed, Trial};
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use support::Case;

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    // The cases watch the same host.
    arguments.test_threads = Some(1);
    let _lock = match host::isolate().and_then(|()| host::only_one()) {
        Ok(lock) => lock,
        Err(error) => {
            let trial = Trial::test("isolation", move || Err(Failed::from(error)));
            return libtest_mimic::run(&arguments, vec![trial]).exit_code();
        }
    };
    let groups = [
        ("lifecycle", lifecycle::CASES),
        ("states", states::CASES),
        ("properties", properties::CASES),
        ("hooks", hooks::CASES),
        ("input", input::CASES),
        ("hook_process", hook_process::CASES),
        ("hook_places", hook_places::CASES),
        ("defaults", defaults::CASES),
        ("devices", devices::CASES),
        ("streams", streams::CASES),
        ("process", process::CASES),
        ("namespaces", namespaces::CASES),
        ("namespaces", net_devices::CASES),
        ("mounts", mounts::CASES),
        ("mount options", mount_options::CASES),
        ("mount effects", mount_effects::CASES),
        ("linux", linux::CASES),
        ("exec", exec::CASES),
        ("features", features::CASES),
        ("sentences", sentences::CASES),
        ("caller", caller::CASES),
        ("engines", engines::CASES),
        ("limits", limits::CASES),
        ("seccomp", seccomp::filters::CASES),
        ("seccomp", seccomp::agents::CASES),
        ("security", security::CASES),
        ("traps", traps::CASES),
        ("trees", trees::CASES),
        ("interfaces", interfaces::CASES),
        ("volumes", volumes::CASES),
        ("hosts", hosts::CASES),
        ("hosts", hosts::APPARMOR),
        ("waiting", waiting::CASES),
        ("authority", authority::CASES),
    ];
    let verdicts = Arc::new(Mutex::new(Vec::new()));
    let mut trials = Vec::new();
    let name = |group: &str, case: &Case| format!("{group}::{}", case.name);
    let names = groups.iter().flat_map(|(group, cases)| cases.iter().map(move |case| name(group, case)));
    let names: Vec<_> = names.collect();
    trials.push(Trial::test(requirements::NAME, move || requirements::complete(names).map_err(Failed::from)));
    for (group, cases) in groups {
        if let Some(why) = cannot_be_judged(cases) {
            let wanted = |case: &Case| {
                arguments.filter.as_ref().is_none_or(|filter| name(group, case).contains(filter))
            };
            let cases: Vec<_> = cases.iter().filter(|case| wanted(case)).collect();
            if cases.is_empty() {
                continue;
            }
            eprintln!("not judged: {} cases of the group {group}: {why}", cases.len());
            continue;
        }
        for case in cases {
            let verdicts = Arc::clone(&verdicts);
            trials.push(Trial::test(name(group, case), move || {
                let (mut outcome, mut result) = judge(case);
                // A second try for a table: other programs of the host may have disturbed the
                // first.
                if result.is_err() && std::env::var_os(verdict::VARIABLE).is_some() {
                    (outcome, result) = judge(case);
                }
                let verdict = Verdict {
                    group: group.into(),
                    name: case.name.into(),
                    quote: case.quote.into(),
                    outcome,
                };
                verdicts.lock().unwrap_or_else(PoisonError::into_inner).push(verdict);
                result.map_err(Failed::from)
            }));
        }
    }
    if let Some(list) = std::env::var_os("CASES") {
        return until_failure(&arguments, trials, &list);
    }
    let conclusion = libtest_mimic::run(&arguments, trials);
    if let Some(path) = std::env::var_os(verdict::VARIABLE) {
        let verdicts = verdicts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = verdict::write(path.as_ref(), &verdicts) {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    }
    conclusion.exit_code()
}

/// Returns the reason why the host cannot judge these cases.
fn cannot_be_judged(cases: &[Case]) -> Option<String> {
    if std::ptr::eq(cases, hosts::APPARMOR) {
        return (!hosts::has_apparmor()).then(|| "the kernel has no AppArmor".into());
    }
    if std::ptr::eq(cases, limits::CASES) {
        let missing = limits::missing_controllers();
        return (!missing.is_empty())
            .then(|| format!("cgroup2 has no {} here (make vm-test has)", missing.join(", ")));
    }
    None
}

/// Runs the cases that the file at `list` names, in its order, until one fails.
fn until_failure(arguments: &Arguments, mut trials: Vec<Trial>, list: &std::ffi::OsStr) -> ExitCode {
    let list = match std::fs::read_to_string(list) {
        Ok(list) => list,
        Err(error) => {
            eprintln!("{}: {error}", list.display());
            return ExitCode::FAILURE;
        }
    };
    for name in list.lines() {
        let Some(at) = trials.iter().position(|trial| trial.name() == name) else {
            eprintln!("no case is called {name:?}");
            return ExitCode::FAILURE;
        };
        let conclusion = libtest_mimic::run(arguments, vec![trials.swap_remove(at)]);
        if conclusion.has_failed() {
            return conclusion.exit_code();
        }
    }
    ExitCode::SUCCESS
}

fn judge(case: &Case) -> (CaseOutcome, Result) {
    let (outcome, result) = match outcome(case) {
        Ok(()) => return (CaseOutcome::Passed, Ok(())),
        Err(other) => other,
    };
    (outcome, Err(format!("{result}\n\nThe specification says:\n  {}", case.quote)))
}

fn outcome(case: &Case) -> std::result::Result<(), (CaseOutcome, String)> {
    let failed = |why| (CaseOutcome::Failed, why);
    let before = HostSnapshot::take().map_err(failed)?;
    let runtime = Runtime::from_env().map_err(failed)?;
    let result = (case.run)(&runtime);
    if result.is_err() {
        // A clean host for the next case; this one has failed already.
        for entry in std::fs::read_dir(runtime.root()).into_iter().flatten().flatten() {
            let _deleted = runtime.run(&["delete", "--force", &entry.file_name().to_string_lossy()]);
        }
    }
    let left = before.check(&runtime);
    if left.is_err() {
        before.restore();
    }
    result.map_err(failed)?;
    left.map_err(|why| (CaseOutcome::Leaves, why))
}
