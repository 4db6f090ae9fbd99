// SPDX-License-Identifier: Apache-2.0
//! `linux.seccomp`: a policy for this machine, checked by the crate `seccomp`.

use super::field::{c_string, invalid, unsupported};
use crate::error::Result;
use crate::spec;
use seccomp::{Arch, Arg, Policy, Profile, SyscallRule};

/// The maximum length of a path without its NUL (PATH_MAX).
const SOCKET_PATH_MAX: usize = 4095;

/// Checks the profile. An unknown name is ignored with a note if the specification says so,
/// and refused otherwise.
pub(super) fn policy(spec: &spec::Seccomp) -> Result<Policy> {
    let Some(native) = Arch::NATIVE else {
        return Err(unsupported("linux.seccomp", "there is no table of this machine's system calls"));
    };
    let policy = Policy::new(&profile(spec), native)
        .map_err(|error| invalid(format_args!("linux.seccomp.{}", error.path()), error.reason()))?;
    if let Some(listener) = policy.listener() {
        check_socket(&listener.path)?;
    }
    Ok(policy)
}

/// Refuses a path that can never be that of a socket. A missing agent is noticed only when
/// the filter is loaded.
fn check_socket(path: &str) -> Result<()> {
    let at = "linux.seccomp.listenerPath";
    drop(c_string(at, path)?);
    if !path.starts_with('/') {
        return Err(invalid(at, format_args!("{path:?} is not an absolute path")));
    }
    if path.len() > SOCKET_PATH_MAX {
        let why = format_args!("{} bytes; a path has at most {SOCKET_PATH_MAX}", path.len());
        return Err(invalid(at, why));
    }
    Ok(())
}

fn profile(spec: &spec::Seccomp) -> Profile<'_> {
    fn texts(list: &[String]) -> Vec<&str> {
        list.iter().map(String::as_str).collect()
    }
    Profile {
        default_action: &spec.default_action,
        default_errno_ret: spec.default_errno_ret,
        architectures: texts(&spec.architectures),
        flags: spec.flags.as_deref().map(texts),
        listener_path: &spec.listener_path,
        listener_metadata: &spec.listener_metadata,
        syscalls: spec
            .syscalls
            .iter()
            .map(|rule| SyscallRule {
                names: rule.names.iter().collect(),
                action: &rule.action,
                errno_ret: rule.errno_ret,
                args: rule
                    .args
                    .iter()
                    .map(|arg| Arg {
                        index: arg.index,
                        value: arg.value,
                        value_two: arg.value_two,
                        op: &arg.op,
                    })
                    .collect(),
            })
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn check(json: Value) -> Result<Policy> {
        policy(&serde_json::from_value(json).unwrap())
    }

    fn report(json: Value) -> String {
        check(json).unwrap_err().report()
    }

    /// Returns a profile with one rule.
    fn rule(rule: Value) -> Value {
        json!({ "defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule] })
    }

    #[test]
    fn every_field_arrives() {
        let policy = check(json!({
            "defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 7,
            "architectures": ["SCMP_ARCH_X86"],
            "flags": ["SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"],
            "listenerPath": "/run/agent", "listenerMetadata": "m",
            "syscalls": [{
                "names": ["mkdir", "no_such_call"], "action": "SCMP_ACT_NOTIFY",
                "args": [{ "index": 1, "value": 0o777, "valueTwo": 0o700, "op": "SCMP_CMP_MASKED_EQ" }],
            }, { "names": ["close"], "action": "SCMP_ACT_TRACE", "errnoRet": 9 }],
        }))
        .unwrap();
        let expected = Profile {
            default_action: "SCMP_ACT_ERRNO",
            default_errno_ret: Some(7),
            architectures: vec!["SCMP_ARCH_X86"],
            flags: Some(vec!["SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"]),
            listener_path: "/run/agent",
            listener_metadata: "m",
            syscalls: vec![
                SyscallRule {
                    names: vec!["mkdir", "no_such_call"],
                    action: "SCMP_ACT_NOTIFY",
                    errno_ret: None,
                    args: vec![Arg { index: 1, value: 0o777, value_two: 0o700, op: "SCMP_CMP_MASKED_EQ" }],
                },
                SyscallRule {
                    names: vec!["close"],
                    action: "SCMP_ACT_TRACE",
                    errno_ret: Some(9),
                    args: vec![],
                },
            ],
        };
        assert_eq!(policy, Policy::new(&expected, Arch::NATIVE.unwrap()).unwrap());
        assert_eq!(
            policy.notes(),
            ["syscalls[0].names[1]: the unknown system call \"no_such_call\" is ignored"]
        );
    }

    #[test]
    fn absent_flags_are_not_an_empty_list() {
        let flags = |flags: Value| {
            let mut json = json!({ "defaultAction": "SCMP_ACT_ALLOW" });
            json["flags"] = flags;
            check(json).unwrap().filter_flags()
        };
        assert_eq!(check(json!({ "defaultAction": "SCMP_ACT_ALLOW" })).unwrap().filter_flags(), 4);
        assert_eq!(flags(Value::Null), 4);
        assert_eq!(flags(json!([])), 0);
        assert_eq!(flags(json!(["SECCOMP_FILTER_FLAG_TSYNC", "SECCOMP_FILTER_FLAG_LOG"])), 2);
    }

    #[test]
    fn refusals_name_the_field() {
        let starts = |json: Value, start: &str| {
            let report = report(json);
            assert!(report.starts_with(start), "{report}");
        };
        starts(json!({}), "linux.seccomp.defaultAction: \"\" is no action; allowed are SCMP_ACT_ALLOW, ");
        starts(
            json!({ "defaultAction": "SCMP_ACT_KILL", "defaultErrnoRet": 1 }),
            "linux.seccomp.defaultErrnoRet: the action takes no errno",
        );
        starts(
            json!({ "defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86", "SCMP_ARCH_PDP11"] }),
            "linux.seccomp.architectures[1]: \"SCMP_ARCH_PDP11\" is no architecture",
        );
        starts(
            json!({ "defaultAction": "SCMP_ACT_ALLOW", "flags": ["SECCOMP_FILTER_FLAG_X"] }),
            "linux.seccomp.flags[0]: \"SECCOMP_FILTER_FLAG_X\" is no flag",
        );
        starts(
            rule(json!({ "names": ["close"], "action": "SCMP_ACT_MAYBE" })),
            "linux.seccomp.syscalls[0].action: \"SCMP_ACT_MAYBE\" is no action",
        );
        starts(
            rule(json!({ "names": ["close"], "action": "SCMP_ACT_KILL", "errnoRet": 1 })),
            "linux.seccomp.syscalls[0].errnoRet: the action takes no errno",
        );
        starts(
            rule(json!({ "names": [], "action": "SCMP_ACT_KILL" })),
            "linux.seccomp.syscalls[0].names: names no system call",
        );
        let arg = |index: u32, op: &str| {
            rule(json!({ "names": ["close"], "action": "SCMP_ACT_KILL",
                "args": [{ "index": index, "value": 1, "op": op }] }))
        };
        starts(arg(6, "SCMP_CMP_EQ"), "linux.seccomp.syscalls[0].args[0].index: 6 is not one of 0 to 5");
        starts(arg(0, "SCMP_CMP_IS"), "linux.seccomp.syscalls[0].args[0].op: \"SCMP_CMP_IS\" is no operator");
        starts(
            json!({ "defaultAction": "SCMP_ACT_ALLOW", "listenerMetadata": "m" }),
            "linux.seccomp.listenerMetadata: is set, but listenerPath is not",
        );
    }

    #[test]
    fn a_listener_is_a_socket_that_can_be() {
        let listener = |path: &str| {
            let mut json = rule(json!({ "names": ["mkdir"], "action": "SCMP_ACT_NOTIFY" }));
            json["listenerPath"] = path.into();
            check(json).map_err(|error| error.report())
        };
        let long = format!("/{}", "x".repeat(SOCKET_PATH_MAX));
        listener(&long[..SOCKET_PATH_MAX]).unwrap();
        assert!(listener(&long).unwrap_err().contains("4096 bytes"));
        assert!(listener("").unwrap_err().contains("is not set, but SCMP_ACT_NOTIFY is used"));
        assert!(listener("@abstract").unwrap_err().contains("not an absolute path"));
        assert!(listener("/a\0b").unwrap_err().contains("NUL"));
        // The specification says that listenerPath is ignored if no rule notifies.
        check(json!({ "defaultAction": "SCMP_ACT_ALLOW", "listenerPath": "@abstract" })).unwrap();
    }
}
