// SPDX-License-Identifier: Apache-2.0
//! The profiles that are refused, the texts of the errors, and the properties of a policy.
#![allow(clippy::unwrap_used, reason = "a test")]

mod common;

use common::json::LinuxSeccomp;
use seccomp::{Action, Arch, Flag, Policy};

fn policy(json: &str) -> Result<Policy, String> {
    Policy::new(&LinuxSeccomp::parse(json).profile(), Arch::X86_64).map_err(|error| error.to_string())
}

/// Makes a policy with one rule for read.
fn with_rule(rest: &str) -> Result<Policy, String> {
    policy(&format!(
        r#"{{ "defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{{ "names": ["read"], {rest} }}] }}"#
    ))
}

const ACTIONS: &str = "SCMP_ACT_ALLOW, SCMP_ACT_ERRNO, SCMP_ACT_KILL, SCMP_ACT_KILL_PROCESS, \
    SCMP_ACT_KILL_THREAD, SCMP_ACT_LOG, SCMP_ACT_NOTIFY, SCMP_ACT_TRACE, SCMP_ACT_TRAP";

#[test]
fn an_unknown_action_is_an_error() {
    let unknown =
        |path: &str, name: &str| Err(format!("{path}: {name:?} is no action; allowed are {ACTIONS}"));
    assert_eq!(policy(r#"{ "defaultAction": "" }"#), unknown("defaultAction", ""));
    assert_eq!(policy(r#"{ "defaultAction": "ALLOW" }"#), unknown("defaultAction", "ALLOW"));
    assert_eq!(with_rule(r#""action": "SCMP_ACT_X\n""#), unknown("syscalls[0].action", "SCMP_ACT_X\n"));
}

#[test]
fn errno_only_where_it_means_something() {
    let no_errno = "the action takes no errno, only SCMP_ACT_ERRNO and SCMP_ACT_TRACE do";
    assert_eq!(
        with_rule(r#""action": "SCMP_ACT_KILL", "errnoRet": 1"#),
        Err(format!("syscalls[0].errnoRet: {no_errno}"))
    );
    assert_eq!(
        policy(r#"{ "defaultAction": "SCMP_ACT_LOG", "defaultErrnoRet": 1 }"#),
        Err(format!("defaultErrnoRet: {no_errno}"))
    );
    assert_eq!(
        with_rule(r#""action": "SCMP_ACT_ERRNO", "errnoRet": 65536"#),
        Err("syscalls[0].errnoRet: 65536 is too large, the kernel takes at most 4095".to_owned())
    );
    let default = |json| policy(json).unwrap().default_action();
    assert_eq!(default(r#"{ "defaultAction": "SCMP_ACT_ERRNO" }"#), Action::Errno(1));
    assert_eq!(default(r#"{ "defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 38 }"#), Action::Errno(38));
    assert_eq!(default(r#"{ "defaultAction": "SCMP_ACT_TRACE" }"#), Action::Trace(1));
    assert_eq!(default(r#"{ "defaultAction": "SCMP_ACT_KILL" }"#), Action::KillThread);
}

#[test]
fn the_native_architecture_is_implied() {
    let archs = |json| policy(json).map(|policy| policy.architectures().to_vec());
    // The native one is implied, and may be given again.
    assert_eq!(archs(r#"{ "defaultAction": "SCMP_ACT_ALLOW" }"#), Ok(vec![Arch::X86_64]));
    assert_eq!(
        archs(
            r#"{ "defaultAction": "SCMP_ACT_ALLOW",
            "architectures": ["SCMP_ARCH_X86", "SCMP_ARCH_X86_64", "SCMP_ARCH_X86"] }"#
        ),
        Ok(vec![Arch::X86_64, Arch::X86])
    );
    assert_eq!(
        archs(
            r#"{ "defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86", "SCMP_ARCH_S390X"] }"#
        ),
        Err(
            "architectures[1]: \"SCMP_ARCH_S390X\" is no architecture that this compiler knows; allowed are \
             SCMP_ARCH_AARCH64, SCMP_ARCH_ARM, SCMP_ARCH_LOONGARCH64, SCMP_ARCH_PPC64LE, SCMP_ARCH_RISCV64, \
             SCMP_ARCH_X32, SCMP_ARCH_X86, SCMP_ARCH_X86_64"
                .to_owned()
        )
    );
    assert!(Arch::ALL.map(Arch::name).is_sorted());
}

#[test]
fn wrong_arguments_are_errors() {
    let with_arg = |arg: &str| {
        with_rule(&format!(
            r#""action": "SCMP_ACT_KILL", "args": [{{ "index": 0, "value": 0, "op": "SCMP_CMP_EQ" }}, {arg}]"#
        ))
    };
    assert_eq!(
        with_arg(r#"{ "index": 6, "value": 1, "op": "SCMP_CMP_EQ" }"#),
        Err("syscalls[0].args[1].index: 6 is not one of 0 to 5".to_owned())
    );
    // 256 + 1 is not 1.
    assert!(with_arg(r#"{ "index": 257, "value": 1, "op": "SCMP_CMP_EQ" }"#).is_err());
    assert_eq!(
        with_arg(r#"{ "index": 1, "value": 1, "op": "SCMP_CMP_NQ" }"#),
        Err("syscalls[0].args[1].op: \"SCMP_CMP_NQ\" is no operator; allowed are SCMP_CMP_EQ, SCMP_CMP_GE, \
             SCMP_CMP_GT, SCMP_CMP_LE, SCMP_CMP_LT, SCMP_CMP_MASKED_EQ, SCMP_CMP_NE"
            .to_owned())
    );
}

#[test]
fn unknown_names_are_notes_and_empty_ones_errors() {
    let with_names = |names: &str| {
        policy(&format!(
            r#"{{ "defaultAction": "SCMP_ACT_ALLOW",
            "syscalls": [{{ "names": {names}, "action": "SCMP_ACT_KILL" }}] }}"#
        ))
    };
    assert_eq!(with_names("[]"), Err("syscalls[0].names: names no system call".to_owned()));
    assert_eq!(with_names(r#"["read", ""]"#), Err("syscalls[0].names[1]: is empty".to_owned()));
    let policy = with_names(r#"["read", "raed", "s390_sthyi"]"#).unwrap();
    // A call of another architecture is not unknown.
    assert_eq!(policy.notes(), [r#"syscalls[0].names[1]: the unknown system call "raed" is ignored"#]);
}

#[test]
fn notes_do_not_repeat() {
    let names: Vec<String> = (0..5000).map(|n| format!("\"call_{n}\"")).collect();
    let json = format!(
        r#"{{ "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{{ "names": [{}], "action": "SCMP_ACT_KILL" }}] }}"#,
        names.join(",")
    );
    let policy = policy(&json).unwrap();
    assert_eq!(policy.notes().len(), 100);
    assert_eq!(policy.notes()[98], r#"syscalls[0].names[98]: the unknown system call "call_98" is ignored"#);
    assert_eq!(policy.notes()[99], "there are more notes than these");
}

#[test]
fn absent_flags_differ_from_empty_ones() {
    let flags = |flags: &str, action: &str| {
        policy(&format!(
            r#"{{ "defaultAction": "SCMP_ACT_ALLOW", {flags} "listenerPath": "/run/agent",
            "syscalls": [{{ "names": ["read"], "action": "{action}" }}] }}"#
        ))
        .map(|policy| (policy.filter_flags(), policy.notes().len()))
    };
    let (kill, notify) = ("SCMP_ACT_KILL", "SCMP_ACT_NOTIFY");
    // Absent differs from empty.
    assert_eq!(flags("", kill), Ok((4, 0)));
    assert_eq!(flags(r#""flags": [],"#, kill), Ok((0, 0)));
    assert_eq!(flags(r#""flags": ["SECCOMP_FILTER_FLAG_TSYNC"],"#, kill), Ok((0, 0)));
    assert_eq!(
        flags(r#""flags": ["SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_SPEC_ALLOW"],"#, kill),
        Ok((6, 0))
    );
    assert_eq!(flags("", notify), Ok((8 | 4, 0)));
    // The kernel refuses this flag without a listener.
    let wait = r#""flags": ["SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"],"#;
    assert_eq!(flags(wait, notify), Ok((8 | 32, 0)));
    assert_eq!(flags(wait, kill), Ok((0, 1)));
    assert_eq!(
        flags(r#""flags": ["SECCOMP_FILTER_FLAG_LOG", "LOG"],"#, kill),
        Err("flags[1]: \"LOG\" is no flag; allowed are SECCOMP_FILTER_FLAG_LOG, SECCOMP_FILTER_FLAG_SPEC_ALLOW, \
             SECCOMP_FILTER_FLAG_TSYNC, SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"
            .to_owned())
    );
    assert_eq!(Flag::ALL.map(Flag::bit).iter().sum::<u32>(), 2 | 4 | 32);
}

#[test]
fn a_listener_needs_an_action_that_notifies() {
    let with = |rest: &str, action: &str| {
        policy(&format!(
            r#"{{ "defaultAction": "SCMP_ACT_ALLOW", {rest}
            "syscalls": [{{ "names": ["no_such_call"], "action": "{action}" }}] }}"#
        ))
    };
    let (path, metadata) = (r#""listenerPath": "/run/agent","#, r#""listenerMetadata": "m","#);
    // Ignored when nothing notifies, but metadata alone is refused.
    assert_eq!(with(path, "SCMP_ACT_LOG").unwrap().listener(), None);
    for action in ["SCMP_ACT_LOG", "SCMP_ACT_NOTIFY"] {
        let refused = "listenerMetadata: is set, but listenerPath is not".to_owned();
        assert_eq!(with(metadata, action), Err(refused));
    }
    assert_eq!(
        with("", "SCMP_ACT_NOTIFY"),
        Err("listenerPath: is not set, but SCMP_ACT_NOTIFY is used".to_owned())
    );
    let policy = with(&format!("{path} {metadata}"), "SCMP_ACT_NOTIFY").unwrap();
    let listener = policy.listener().unwrap();
    assert_eq!((listener.path.as_str(), listener.metadata.as_deref()), ("/run/agent", Some("m")));
    assert_eq!(with(path, "SCMP_ACT_NOTIFY").unwrap().listener().unwrap().metadata, None);
}

#[test]
fn a_default_action_may_notify() {
    let json = r#"{ "defaultAction": "SCMP_ACT_NOTIFY", "listenerPath": "/run/agent" }"#;
    let policy = policy(json).unwrap();
    assert_eq!(policy.filter_flags(), 8 | 4);
    assert!(policy.listener().is_some());
}
