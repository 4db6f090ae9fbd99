// SPDX-License-Identifier: Apache-2.0
//! Docker's default system call filter: the JSON of config.json, and compiled for the floor.

use conformance::{Doing, Result};
use seccomp::{Arch, Arg, Policy, Profile, SyscallRule};
use serde_json::Value;

/// Returns the value of `linux.seccomp`.
pub(crate) fn json() -> Result<Value> {
    serde_json::from_str(include_str!("../../seccomp/tests/data/docker.json")).doing("docker.json")
}

/// Compiles a profile to instructions, as seccomp(2) takes them.
pub(crate) fn instructions(profile: &Value) -> Result<Vec<u8>> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let strings = |value: &Value| list(value).iter().map(text).collect::<Vec<_>>();
    let architectures = strings(&profile["architectures"]);
    let default_action = text(&profile["defaultAction"]);
    let number = |value: &Value| value.as_u64().unwrap_or_default();
    let rules: Vec<_> = list(&profile["syscalls"])
        .iter()
        .map(|rule| {
            (strings(&rule["names"]), text(&rule["action"]), rule["errnoRet"].as_u64(), list(&rule["args"]))
        })
        .collect();
    let profile = Profile {
        default_action: &default_action,
        default_errno_ret: profile["defaultErrnoRet"].as_u64().map(|errno| errno as u32),
        architectures: architectures.iter().map(String::as_str).collect(),
        syscalls: rules
            .iter()
            .map(|(names, action, errno, args)| SyscallRule {
                names: names.iter().map(String::as_str).collect(),
                action,
                errno_ret: errno.map(|errno| errno as u32),
                args: args
                    .iter()
                    .map(|arg| Arg {
                        index: number(&arg["index"]) as u32,
                        value: number(&arg["value"]),
                        value_two: number(&arg["valueTwo"]),
                        op: arg["op"].as_str().unwrap_or_default(),
                    })
                    .collect(),
            })
            .collect(),
        ..Profile::default()
    };
    let native = if cfg!(target_arch = "aarch64") { Arch::Aarch64 } else { Arch::X86_64 };
    let policy = Policy::new(&profile, native).doing("docker.json")?;
    let program = seccomp::compile(&policy).doing("docker.json")?;
    let bytes = |i: &seccomp::Instruction| {
        let [c0, c1] = i.code.to_ne_bytes();
        let [k0, k1, k2, k3] = i.k.to_ne_bytes();
        [c0, c1, i.jt, i.jf, k0, k1, k2, k3]
    };
    Ok(program.instructions().iter().flat_map(bytes).collect())
}
