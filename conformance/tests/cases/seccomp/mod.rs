// SPDX-License-Identifier: Apache-2.0
//! config-linux.md, "Seccomp": filters, and agents that answer for them.

pub(crate) mod agents;
pub(crate) mod filters;

use conformance::{Bundle, Doing, Result, Runtime};
use serde_json::Value;

/// Both ways to become a process that may load a filter.
const BOTH: [bool; 2] = [true, false];

fn bundle(profile: &Value, args: &[&str]) -> Result<Bundle> {
    Bundle::new(args)?.with(|config| config["linux"]["seccomp"] = profile.clone())
}

/// The error numbers that calls give in a container, made without arguments.
fn calls(runtime: &Runtime, profile: Value, numbers: &[i64]) -> Result<Vec<i32>> {
    let words: Vec<String> = numbers.iter().map(ToString::to_string).collect();
    made(runtime, &profile, &words)
}

/// As [`calls`], each written as the probe takes it.
fn made(runtime: &Runtime, profile: &Value, calls: &[String]) -> Result<Vec<i32>> {
    let args: Vec<&str> = ["syscalls"].into_iter().chain(calls.iter().map(String::as_str)).collect();
    let output = runtime.run_in(&bundle(profile, &args)?, &["run", "c"])?.ok()?;
    serde_json::from_str(&output.stdout).doing(&output.to_string())
}

/// Neither create nor run makes a container with this profile.
fn refused(runtime: &Runtime, profile: Value) -> Result {
    let bundle = bundle(&profile, &["exit", "0"])?;
    for verb in ["create", "run"] {
        runtime.run_in(&bundle, &[verb, "refused"])?.failed().map_err(|why| format!("{profile}: {why}"))?;
        runtime.run(&["state", "refused"])?.failed()?;
    }
    Ok(())
}
