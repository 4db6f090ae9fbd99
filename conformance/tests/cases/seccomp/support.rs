// SPDX-License-Identifier: Apache-2.0
//! Helpers of the cases for filters and for agents.

use conformance::{Bundle, Doing, Result, Runtime};
use serde_json::Value;

/// The values of noNewPrivileges: with false, loading a filter takes CAP_SYS_ADMIN.
pub(super) const BOTH: [bool; 2] = [true, false];

pub(super) fn bundle(profile: &Value, args: &[&str]) -> Result<Bundle> {
    Bundle::new(args)?.with(|config| config["linux"]["seccomp"] = profile.clone())
}

/// Makes system calls without arguments in a container. Returns their error numbers.
pub(super) fn calls(runtime: &Runtime, profile: Value, numbers: &[i64]) -> Result<Vec<i32>> {
    let words: Vec<String> = numbers.iter().map(ToString::to_string).collect();
    made(runtime, &profile, &words)
}

/// Makes system calls in a container, each in the probe's notation. Returns their error numbers.
pub(super) fn made(runtime: &Runtime, profile: &Value, calls: &[String]) -> Result<Vec<i32>> {
    let args: Vec<&str> = ["syscalls"].into_iter().chain(calls.iter().map(String::as_str)).collect();
    let output = runtime.run_in(&bundle(profile, &args)?, &["run", "c"])?.ok()?;
    serde_json::from_str(&output.stdout).doing(&output.to_string())
}

/// Checks that neither create nor run makes a container with this profile.
pub(super) fn refused(runtime: &Runtime, profile: Value) -> Result {
    let bundle = bundle(&profile, &["exit", "0"])?;
    for verb in ["create", "run"] {
        runtime.run_in(&bundle, &[verb, "refused"])?.failed().map_err(|why| format!("{profile}: {why}"))?;
        runtime.run(&["state", "refused"])?.failed()?;
    }
    Ok(())
}
