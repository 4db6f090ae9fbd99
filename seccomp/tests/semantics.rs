// SPDX-License-Identifier: Apache-2.0
//! The meaning of a profile, rule by rule: examples for each sentence of docs/seccomp.md.
//!
//! Every verdict is that of `eval` and of the compiled program.
#![allow(clippy::unwrap_used, reason = "a test")]

mod common;

use common::json::LinuxSeccomp;
use seccomp::{Action, Arch, Policy, SeccompData, compile, eval, interp};

/// A policy and its program.
struct Filter {
    policy: Policy,
    program: seccomp::Program,
}

impl Filter {
    /// Makes a filter for a machine of the first architecture.
    fn new(archs: &[Arch], default: &str, rules: &str) -> Filter {
        let names: Vec<String> = archs.iter().map(|arch| format!("{:?}", arch.name())).collect();
        let json = format!(
            r#"{{ "defaultAction": "{default}", "architectures": [{}], "listenerPath": "/run/agent",
            "syscalls": [{rules}] }}"#,
            names.join(", ")
        );
        let profile = LinuxSeccomp::parse(&json);
        let policy = Policy::new(&profile.profile(), archs[0]).unwrap();
        let program = compile(&policy).unwrap();
        Filter { policy, program }
    }

    #[track_caller]
    fn verdict(&self, audit: u32, nr: u32, args: [u64; 6]) -> Action {
        let data = SeccompData { nr, arch: audit, instruction_pointer: 0, args };
        let action = eval(&self.policy, &data);
        assert_eq!(interp(&self.program, &data), action.ret(), "{data:x?}\n{}", self.program);
        action
    }

    /// Returns the verdict on a call by name, with its first argument.
    #[track_caller]
    fn of(&self, arch: Arch, name: &str, first: u64) -> Action {
        self.verdict(arch.audit(), arch.number(name).unwrap(), [first, 0, 0, 0, 0, 0])
    }
}

const X86_64: &[Arch] = &[Arch::X86_64];
const ALL_X86: &[Arch] = &[Arch::X86_64, Arch::X86, Arch::X32];

/// Returns a rule for read(2), with conditions in the form "index op value valueTwo".
fn read(action: &str, conditions: &[&str]) -> String {
    let args: Vec<String> = conditions
        .iter()
        .map(|condition| {
            let words: Vec<&str> = condition.split(' ').collect();
            let two = words.get(3).unwrap_or(&"0");
            format!(
                r#"{{ "index": {}, "op": "SCMP_CMP_{}", "value": {}, "valueTwo": {two} }}"#,
                words[0], words[1], words[2]
            )
        })
        .collect();
    format!(r#"{{ "names": ["read"], "action": "SCMP_ACT_{action}", "args": [{}] }}"#, args.join(", "))
}

fn rules(rules: &[String]) -> String {
    rules.join(", ")
}

#[test]
fn conditions_of_a_rule_must_all_hold() {
    let filter = Filter::new(X86_64, "SCMP_ACT_ALLOW", &read("LOG", &["0 EQ 1", "2 GT 4294967296"]));
    assert_eq!(filter.verdict(0xc000_003e, 0, [1, 0, 0x1_0000_0001, 0, 0, 0]), Action::Log);
    assert_eq!(filter.verdict(0xc000_003e, 0, [1, 0, 0x1_0000_0000, 0, 0, 0]), Action::Allow);
    assert_eq!(filter.verdict(0xc000_003e, 0, [2, 0, 0x1_0000_0001, 0, 0, 0]), Action::Allow);
}

#[test]
fn a_repeated_index_makes_alternatives() {
    let filter = Filter::new(X86_64, "SCMP_ACT_ALLOW", &read("LOG", &["0 EQ 1", "0 EQ 2", "1 EQ 5"]));
    assert_eq!(filter.of(Arch::X86_64, "read", 1), Action::Log);
    assert_eq!(filter.of(Arch::X86_64, "read", 2), Action::Log);
    assert_eq!(filter.of(Arch::X86_64, "read", 3), Action::Allow);
    assert_eq!(filter.verdict(0xc000_003e, 0, [3, 5, 0, 0, 0, 0]), Action::Log);
}

#[test]
fn the_first_unconditional_rule_decides() {
    let both = rules(&[read("LOG", &[]), read("TRAP", &[])]);
    assert_eq!(Filter::new(X86_64, "SCMP_ACT_ALLOW", &both).of(Arch::X86_64, "read", 0), Action::Log);
}

#[test]
fn an_unconditional_rule_beats_conditional_ones_wherever_it_stands() {
    for order in [[0, 1], [1, 0]] {
        let both = [read("LOG", &["0 EQ 1"]), read("TRAP", &[])];
        let both = rules(&order.map(|i: usize| both[i].clone()));
        assert_eq!(Filter::new(X86_64, "SCMP_ACT_ALLOW", &both).of(Arch::X86_64, "read", 1), Action::Trap);
    }
}

#[test]
fn a_rule_with_the_default_action_has_no_effect() {
    let both = rules(&[read("ALLOW", &[]), read("TRAP", &["0 EQ 1"])]);
    assert_eq!(Filter::new(X86_64, "SCMP_ACT_ALLOW", &both).of(Arch::X86_64, "read", 1), Action::Trap);
    // SCMP_ACT_KILL and SCMP_ACT_KILL_THREAD are one action.
    let both = rules(&[read("KILL_THREAD", &[]), read("TRAP", &["0 EQ 1"])]);
    assert_eq!(Filter::new(X86_64, "SCMP_ACT_KILL", &both).of(Arch::X86_64, "read", 1), Action::Trap);
}

#[test]
fn among_conditional_rules_rank_decides_and_not_the_order() {
    // Each list in descending precedence; all conditions hold for the arguments 5, 6.
    let lists: [&[&str]; 5] = [
        &["1 GT 0", "0 EQ 5"],                             // later arguments first
        &["0 EQ 5", "0 LT 9", "0 GT 1"],                   // equality, less, greater
        &["0 LT 7", "0 LE 8", "0 LT 9"],                   // the narrower one
        &["0 GT 4", "0 GE 3", "0 GT 2"],                   //
        &["0 NE 9", "0 MASKED_EQ 7 5", "0 MASKED_EQ 4 4"], // the greater value
    ];
    for list in lists {
        let actions = ["LOG", "TRAP", "TRACE"];
        let mut written: Vec<String> =
            list.iter().zip(actions).map(|(c, action)| read(action, &[c])).collect();
        for _ in 0..list.len() {
            written.rotate_left(1);
            let filter = Filter::new(X86_64, "SCMP_ACT_ALLOW", &rules(&written));
            let action = filter.verdict(0xc000_003e, 0, [5, 6, 0, 0, 0, 0]);
            assert_eq!(action, Action::Log, "{list:?}");
        }
    }
}

#[test]
fn of_equal_conditions_the_first_decides() {
    let both = rules(&[read("LOG", &["0 LT 5"]), read("TRAP", &["0 LE 5"]), read("TRACE", &["0 LT 5"])]);
    assert_eq!(Filter::new(X86_64, "SCMP_ACT_ALLOW", &both).of(Arch::X86_64, "read", 1), Action::Log);
}

#[test]
fn fewer_conditions_beat_the_same_and_more() {
    for order in [[0, 1], [1, 0]] {
        let both = [read("LOG", &["0 EQ 1"]), read("TRAP", &["0 EQ 1", "1 EQ 0"])];
        let both = rules(&order.map(|i: usize| both[i].clone()));
        assert_eq!(Filter::new(X86_64, "SCMP_ACT_ALLOW", &both).of(Arch::X86_64, "read", 1), Action::Log);
    }
}

#[test]
fn a_mask_without_bits_is_no_condition() {
    let filter = Filter::new(X86_64, "SCMP_ACT_ALLOW", &read("LOG", &["0 MASKED_EQ 0 7"]));
    assert_eq!(filter.of(Arch::X86_64, "read", 1), Action::Log);
}

#[test]
fn abis_of_32_bits_compare_32_bits() {
    let filter = Filter::new(ALL_X86, "SCMP_ACT_ALLOW", &read("LOG", &["0 EQ 4294967301"]));
    let verdict = |arch: Arch, value| filter.of(arch, "read", value);
    assert_eq!(verdict(Arch::X86_64, 0x1_0000_0005), Action::Log);
    assert_eq!(verdict(Arch::X86_64, 5), Action::Allow);
    for arch in [Arch::X86, Arch::X32] {
        assert_eq!(verdict(arch, 5), Action::Log);
        assert_eq!(verdict(arch, 0x7_0000_0005), Action::Log);
    }
    // On a 32-bit ABI a mask of high bits has no effect.
    let filter = Filter::new(ALL_X86, "SCMP_ACT_ALLOW", &read("LOG", &["0 MASKED_EQ 4294967296 4294967296"]));
    assert_eq!(filter.of(Arch::X86_64, "read", 0), Action::Allow);
    assert_eq!(filter.of(Arch::X86, "read", 0), Action::Log);
}

#[test]
fn foreign_architectures_kill() {
    let filter = Filter::new(X86_64, "SCMP_ACT_ALLOW", "");
    for audit in [Arch::X86.audit(), Arch::Aarch64.audit(), 0, u32::MAX] {
        assert_eq!(filter.verdict(audit, 0, [0; 6]), Action::KillThread);
    }
}

#[test]
fn x32_kills_unless_it_is_listed() {
    let filter = Filter::new(X86_64, "SCMP_ACT_LOG", &read("ALLOW", &[]));
    let verdict = |nr| filter.verdict(Arch::X86_64.audit(), nr, [0; 6]);
    assert_eq!(verdict(0), Action::Allow);
    assert_eq!(verdict(0x3fff_ffff), Action::Log);
    for nr in [0x4000_0000, 0x4000_0207, 0x8000_0000, 0xffff_fffe] {
        assert_eq!(verdict(nr), Action::KillThread);
    }
    // The number of a tracer's "skip this call".
    assert_eq!(verdict(u32::MAX), Action::Log);
    let filter = Filter::new(&[Arch::X86_64, Arch::X32], "SCMP_ACT_LOG", &read("ALLOW", &[]));
    assert_eq!(filter.of(Arch::X32, "read", 0), Action::Allow);
    assert_eq!(filter.verdict(Arch::X86_64.audit(), 0xffff_fffe, [0; 6]), Action::Log);
}

#[test]
fn calls_above_the_profile_get_enosys() {
    // Rules count even with the default action, and even with conditions.
    let named = r#"{ "names": ["openat2"], "action": "SCMP_ACT_ERRNO" }"#;
    let filter = Filter::new(ALL_X86, "SCMP_ACT_ERRNO", &format!("{}, {named}", read("ALLOW", &[])));
    for (arch, bit) in [(Arch::X86_64, 0), (Arch::X86, 0), (Arch::X32, 0x4000_0000)] {
        assert_eq!(filter.verdict(arch.audit(), bit | 437, [0; 6]), Action::Errno(1));
        assert_eq!(filter.verdict(arch.audit(), bit | 438, [0; 6]), Action::Errno(38));
    }
    for (default, action) in [
        ("SCMP_ACT_KILL_PROCESS", Action::Errno(38)),
        ("SCMP_ACT_TRAP", Action::Errno(38)),
        // With a default action that allows, asks or logs, new calls are not hidden.
        ("SCMP_ACT_ALLOW", Action::Allow),
        ("SCMP_ACT_LOG", Action::Log),
        ("SCMP_ACT_TRACE", Action::Trace(1)),
        ("SCMP_ACT_NOTIFY", Action::Notify),
    ] {
        let filter = Filter::new(X86_64, default, named);
        assert_eq!(filter.verdict(Arch::X86_64.audit(), 600, [0; 6]), action, "{default}");
        assert_eq!(filter.verdict(Arch::X86_64.audit(), u32::MAX, [0; 6]), action, "{default}");
    }
    // A profile without names knows no numbers.
    let filter = Filter::new(X86_64, "SCMP_ACT_ERRNO", "");
    assert_eq!(filter.verdict(Arch::X86_64.audit(), 600, [0; 6]), Action::Errno(1));
}

#[test]
fn arm_has_two_ranges_of_numbers() {
    let arm: &[Arch] = &[Arch::Aarch64, Arch::Arm];
    let of = |names: &str, nr| {
        let rule = format!(r#"{{ "names": {names}, "action": "SCMP_ACT_ALLOW" }}"#);
        Filter::new(arm, "SCMP_ACT_ERRNO", &rule).verdict(Arch::Arm.audit(), nr, [0; 6])
    };
    let both = r#"["read", "set_tls"]"#;
    assert_eq!(of(both, 3), Action::Allow);
    assert_eq!(of(both, 4), Action::Errno(38));
    assert_eq!(of(both, 0xe_ffff), Action::Errno(38));
    assert_eq!(of(both, 0xf_0001), Action::Errno(1));
    assert_eq!(of(both, 0xf_0005), Action::Allow);
    assert_eq!(of(both, 0xf_0006), Action::Errno(38));
    // Only one of the ranges is named.
    assert_eq!(of(r#"["read"]"#, 0xf_0005), Action::Errno(38));
    assert_eq!(of(r#"["set_tls"]"#, 3), Action::Errno(1));
    assert_eq!(of(r#"["set_tls"]"#, 0xf_0006), Action::Errno(38));
}

#[test]
fn a_multiplexed_call_has_the_rules_of_the_direct_one() {
    let rule = r#"{ "names": ["socket", "semop"], "action": "SCMP_ACT_LOG",
        "args": [{ "index": 0, "op": "SCMP_CMP_EQ", "value": 7 }, { "index": 1, "op": "SCMP_CMP_EQ", "value": 8 }] }"#;
    let filter = Filter::new(ALL_X86, "SCMP_ACT_ALLOW", rule);
    let x86 = |nr, args| filter.verdict(Arch::X86.audit(), nr, args);
    // The direct call, with both conditions.
    assert_eq!(x86(359, [7, 8, 0, 0, 0, 0]), Action::Log);
    assert_eq!(x86(359, [1, 8, 0, 0, 0, 0]), Action::Allow);
    // socketcall(SYS_SOCKET): the first condition cannot be tested, the second one tests the
    // pointer to the arguments.
    assert_eq!(x86(102, [1, 8, 0, 0, 0, 0]), Action::Log);
    assert_eq!(x86(102, [1, 9, 0, 0, 0, 0]), Action::Allow);
    assert_eq!(x86(102, [2, 8, 0, 0, 0, 0]), Action::Allow);
    // ipc(SEMOP): there is no direct call.
    assert_eq!(x86(117, [1, 8, 0, 0, 0, 0]), Action::Log);
    // A rule for the multiplexer itself, without conditions, decides for all calls that it carries.
    let all = r#"{ "names": ["socketcall"], "action": "SCMP_ACT_TRAP" }"#;
    let filter = Filter::new(ALL_X86, "SCMP_ACT_ALLOW", &format!("{rule}, {all}"));
    assert_eq!(filter.of(Arch::X86, "socketcall", 1), Action::Trap);
}

#[test]
fn an_errno_of_zero_is_success() {
    let rule = r#"{ "names": ["read"], "action": "SCMP_ACT_ERRNO", "errnoRet": 0 }"#;
    let filter = Filter::new(X86_64, "SCMP_ACT_ALLOW", rule);
    assert_eq!(filter.of(Arch::X86_64, "read", 0), Action::Errno(0));
}
