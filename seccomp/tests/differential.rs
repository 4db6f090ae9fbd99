// SPDX-License-Identifier: Apache-2.0
//! The compiler compared with libseccomp: the same profiles, the same calls, the same verdicts.
//!
//! Three results must agree for every call: that of the compiled program, that of `eval`, and that
//! of libseccomp's program with the ENOSYS stub that runc adds. docs/seccomp.md lists the
//! exceptions.
#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test")]

mod common;
mod oracle;

use common::generate::{self, Random};
use common::json::{LinuxSeccomp, LinuxSeccompArg, LinuxSyscall};
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use seccomp::{Action, Arch, Policy, Program, SeccompData, compile, eval, interp};

const X86: &[Arch] = &[Arch::X86_64, Arch::X86, Arch::X32];
const ARM: &[Arch] = &[Arch::Aarch64, Arch::Arm];

/// Calls newer than libseccomp 2.5.4 (Linux 5.17), even those that Debian added to its tables.
const NEWER: [&str; 24] = [
    "cachestat",
    "fchmodat2",
    "file_getattr",
    "file_setattr",
    "futex_requeue",
    "futex_wait",
    "futex_wake",
    "getxattrat",
    "listmount",
    "listns",
    "listxattrat",
    "lsm_get_self_attr",
    "lsm_list_modules",
    "lsm_set_self_attr",
    "map_shadow_stack",
    "mseal",
    "open_tree_attr",
    "removexattrat",
    "riscv_hwprobe",
    "rseq_slice_yield",
    "setxattrat",
    "statmount",
    "uprobe",
    "uretprobe",
];

/// The result of a comparison of some calls.
#[derive(Debug, Default)]
struct Tally {
    /// Calls on which all three agree.
    agreed: usize,
    /// Calls on which libseccomp contradicts its own verdict for each rule alone.
    defects: usize,
    /// Calls for which several rules hold, and libseccomp prefers another one.
    preferred: usize,
    /// Profiles that libseccomp refuses or cannot compile.
    refused: usize,
}

/// One profile, compiled by both.
struct Pair {
    profile: LinuxSeccomp,
    policy: Policy,
    ours: Program,
    theirs: Option<Program>,
}

impl Pair {
    fn new(profile: LinuxSeccomp, native: Arch) -> Pair {
        let policy = Policy::new(&profile.profile(), native).unwrap();
        let ours = compile(&policy).unwrap();
        let theirs = oracle::compile(&profile.profile(), policy.architectures());
        Pair { profile, policy, ours, theirs }
    }

    fn compare(&self, data: &SeccompData, tally: &mut Tally) {
        let ours = interp(&self.ours, data);
        let meaning = eval(&self.policy, data).ret();
        assert_eq!(ours, meaning, "interp and eval about {data:x?}\n{:#?}\n{}", self.profile, self.ours);
        let Some(theirs) = &self.theirs else { return };
        let theirs = if self.is_newer(data) { Action::Errno(38).ret() } else { interp(theirs, data) };
        if ours == theirs {
            tally.agreed += 1;
            return;
        }
        let holding = self.verdicts_of_single_rules(data);
        let allowed = if holding.is_empty() { vec![self.policy.default_action().ret()] } else { holding };
        let context = || {
            format!(
                "{ours:#x}, libseccomp {theirs:#x}, its single rules {allowed:x?}, about {data:x?}\n{:#?}\n{}",
                self.profile, self.ours
            )
        };
        assert!(allowed.contains(&ours), "no rule of its own says what is decided: {}", context());
        if allowed.contains(&theirs) {
            tally.preferred += 1;
        } else {
            tally.defects += 1;
        }
    }

    /// Returns the ABI of the call, if the filter has it.
    fn arch(&self, data: &SeccompData) -> Option<Arch> {
        let archs = self.policy.architectures();
        let x32 = data.nr >= 0x4000_0000 && (archs.contains(&Arch::X32) || data.nr != u32::MAX);
        let arch = |arch: &Arch| match arch {
            Arch::X32 => x32,
            Arch::X86_64 => !x32,
            _ => true,
        };
        archs.iter().copied().find(|a| a.audit() == data.arch && arch(a))
    }

    /// Returns true if runc's stub returns ENOSYS: the number is above all that the profile names.
    fn is_newer(&self, data: &SeccompData) -> bool {
        use Action::{Allow, Log, Notify, Trace};
        // With Notify as default only ours hides newer calls: runc refuses it, and crun has no
        // stub.
        if matches!(self.policy.default_action(), Allow | Log | Trace(_) | Notify) {
            return false;
        }
        let Some(arch) = self.arch(data) else { return false };
        let names = || self.profile.syscalls.iter().flat_map(|rule| &rule.names);
        let numbers = || names().filter_map(|name| u32::try_from(oracle::resolve(name, arch)?).ok());
        // Only ours has two ranges on ARM: with runc, naming set_tls names all numbers below it.
        let private = |number: u32| arch == Arch::Arm && number >= 0xf_0000;
        let in_range = numbers().filter(|n| private(*n) == private(data.nr)).max();
        in_range.or_else(|| numbers().filter(|n| *n < data.nr).max()).is_some_and(|highest| data.nr > highest)
    }

    /// Returns libseccomp's verdicts on the call for each alternative of each rule alone.
    fn verdicts_of_single_rules(&self, data: &SeccompData) -> Vec<u32> {
        let mut verdicts = Vec::new();
        for rule in &self.profile.syscalls {
            let alternatives: Vec<Vec<LinuxSeccompArg>> = if repeats(rule) {
                rule.args.iter().map(|arg| vec![arg.clone()]).collect()
            } else {
                vec![rule.args.clone()]
            };
            for name in &rule.names {
                for args in &alternatives {
                    let alone =
                        LinuxSyscall { names: vec![name.clone()], args: args.clone(), ..rule.clone() };
                    let alone = with_anchor(LinuxSeccomp { syscalls: vec![alone], ..self.profile.clone() });
                    let filter =
                        oracle::filter(&alone.profile(), self.policy.architectures(), false).unwrap();
                    let verdict = interp(&oracle::export(&filter).unwrap(), data);
                    if verdict != self.policy.default_action().ret() {
                        verdicts.push(verdict);
                    }
                }
            }
        }
        verdicts
    }
}

fn repeats(rule: &LinuxSyscall) -> bool {
    (0..6).any(|index| rule.args.iter().filter(|arg| arg.index == index).count() > 1)
}

/// Adds a rule without conditions for a call that every ABI has.
///
/// libseccomp does not load the number of the call if the rule it tests first is about a call that
/// the ABI does not have (docs/seccomp.md, exception 1).
fn with_anchor(mut profile: LinuxSeccomp) -> LinuxSeccomp {
    let action = if profile.default_action == "SCMP_ACT_TRAP" { "SCMP_ACT_LOG" } else { "SCMP_ACT_TRAP" };
    let names = vec!["close".to_owned()];
    profile.syscalls.push(LinuxSyscall { names, action: action.to_owned(), ..LinuxSyscall::default() });
    profile
}

/// Names a call with a high number. Then "above the profile" does not depend on calls that are
/// direct here and only multiplexed in libseccomp.
fn with_ceiling(mut profile: LinuxSeccomp) -> LinuxSeccomp {
    profile.syscalls.push(LinuxSyscall {
        names: vec!["landlock_restrict_self".to_owned()],
        action: profile.default_action.clone(),
        errno_ret: profile.default_errno_ret,
        args: Vec::new(),
    });
    profile
}

#[test]
fn the_tables_are_libseccomp_s() {
    let rows = include_str!("../src/table/rows.rs").lines();
    let names: Vec<&str> = rows.filter_map(|row| row.strip_prefix("    (\"")?.split('"').next()).collect();
    assert!(names.len() > 500);
    let mut compared = 0;
    for arch in Arch::ALL.into_iter().filter(|arch| *arch != Arch::Loongarch64) {
        for name in &names {
            let ours = arch.number(name);
            match oracle::resolve(name, arch) {
                _ if NEWER.contains(name) => (),
                None => assert_eq!(ours, None, "libseccomp does not know {name}"),
                Some(theirs @ 0..) => {
                    assert_eq!(ours, Some(theirs as u32), "{name} on {arch:?}");
                    compared += 1;
                }
                // Multiplexed calls have such numbers even where a direct call exists.
                Some(-224..=-100) => (),
                Some(_) => assert_eq!(ours, None, "{name} on {arch:?}"),
            }
        }
    }
    assert!(compared > 2500, "{compared}");
}

#[test]
fn default_profiles() {
    let mut tally = Tally::default();
    for json in [common::DOCKER, common::PODMAN, common::CONTAINERD] {
        for archs in [X86, &X86[..1], ARM, &[Arch::Ppc64le], &[Arch::Riscv64]] {
            let mut profile = LinuxSeccomp::parse(json);
            profile.architectures = archs.iter().map(|arch| arch.name().to_owned()).collect();
            for rule in &mut profile.syscalls {
                rule.names.retain(|name| !NEWER.contains(&name.as_str()));
            }
            profile.syscalls.retain(|rule| !rule.names.is_empty());
            let mut random = Random(0x5ecc_0be5);
            let values = generate::interesting_values(&profile);
            let pair = Pair::new(profile, archs[0]);
            assert!(pair.theirs.is_some());
            for audit in
                [0xc000_003e, 0x4000_0003, 0xc000_00b7, 0x4000_0028, 0xc000_0015, 0xc000_00f3, 0xdead]
            {
                let bits: &[u32] = if audit == 0xc000_003e { &[0, 0x4000_0000] } else { &[0] };
                let known = archs.iter().any(|arch| arch.audit() == audit);
                for nr in bits.iter().flat_map(|bit| (0..=560).map(move |nr| bit | nr)) {
                    // 41, 56, 135, 102, 117, ...: calls with conditions in a profile are tested
                    // more often.
                    let tested = [41, 56, 135, 359, 120, 136, 102, 117, 198, 220, 92, 281, 326, 122];
                    let calls = if !known {
                        1
                    } else if tested.contains(&(nr & 0xfff)) {
                        200
                    } else {
                        6
                    };
                    for _ in 0..calls {
                        pair.compare(&generate::call(&mut random, audit, nr, &values), &mut tally);
                    }
                }
                for nr in
                    [0x3fff_ffff, 0x8000_0000, 0xf_0001, 0xf_0005, 0xf_0006, 0xf_0007, 0xffff_fffe, u32::MAX]
                {
                    pair.compare(&generate::call(&mut random, audit, nr, &values), &mut tally);
                }
            }
        }
    }
    eprintln!("{tally:?}");
    assert!(tally.agreed > 200_000, "{tally:?}");
    assert_eq!((tally.defects, tally.preferred, tally.refused), (0, 0, 0));
}

/// Compares generated profiles until a number of calls have agreed.
fn generated<A: Strategy<Value = Vec<LinuxSeccompArg>>>(
    seed: u8,
    wanted: usize,
    args: impl Fn() -> A,
    adjust: impl Fn(&mut LinuxSeccomp),
) -> Tally {
    let mut tally = Tally::default();
    let mut runner =
        TestRunner::new_with_rng(Config::default(), TestRng::from_seed(RngAlgorithm::ChaCha, &[seed; 32]));
    let machines = [X86, ARM, &[Arch::Ppc64le], &[Arch::Riscv64]]
        .map(|archs| (archs, generate::profile(archs, 1..10, &args)));
    let mut random = Random(u64::from(seed) + 1);
    while tally.agreed < wanted {
        // x86 in half of the cases: it has the most special rules.
        let (archs, profiles) = &machines[(random.next() % 6).saturating_sub(2) as usize];
        let mut profile = profiles.new_tree(&mut runner).unwrap().current();
        adjust(&mut profile);
        let profile = with_anchor(with_ceiling(profile));
        let values = generate::interesting_values(&profile);
        let pair = Pair::new(profile, archs[0]);
        tally.refused += usize::from(pair.theirs.is_none());
        for &arch in *archs {
            let names = pair.profile.syscalls.iter().flat_map(|rule| &rule.names);
            let mut numbers = generate::interesting_numbers(names.filter_map(|name| arch.number(name)), arch);
            numbers.extend([102, 117]);
            for nr in numbers {
                for _ in 0..6 {
                    let mut data = generate::call(&mut random, arch.audit(), nr, &values);
                    if matches!(nr, 102 | 117) {
                        data.args[0] = (random.next() % 26) | ((random.next() & 1) << 32);
                    }
                    pair.compare(&data, &mut tally);
                }
            }
        }
    }
    eprintln!("{tally:?}");
    tally
}

fn up_to_one() -> impl Strategy<Value = Vec<LinuxSeccompArg>> {
    prop::collection::vec(generate::arg(), 0..=1)
}

fn several() -> impl Strategy<Value = Vec<LinuxSeccompArg>> {
    prop::collection::vec(generate::arg(), 0..=3)
}

/// Gives most profiles one action beside the default one.
fn one_action(profile: &mut LinuxSeccomp) {
    profile.default_action = "SCMP_ACT_ERRNO".to_owned();
    profile.default_errno_ret = None;
    for rule in &mut profile.syscalls {
        rule.action = "SCMP_ACT_ALLOW".to_owned();
        rule.errno_ret = None;
    }
}

// At most one call in a thousand may be an exception.

#[test]
fn generated_one_condition_one_action() {
    let tally = generated(1, 200_000, up_to_one, one_action);
    assert_eq!((tally.preferred, tally.refused), (0, 0), "{tally:?}");
    assert!(tally.defects < 300, "{tally:?}");
}

#[test]
fn generated_one_condition_many_actions() {
    let tally = generated(2, 200_000, up_to_one, |_| ());
    assert!(tally.preferred + tally.defects < 300, "{tally:?}");
}

#[test]
fn generated_many_conditions_one_action() {
    let tally = generated(3, 200_000, several, one_action);
    assert_eq!((tally.preferred, tally.refused), (0, 0), "{tally:?}");
    assert!(tally.defects < 300, "{tally:?}");
}

#[test]
fn generated_many_conditions_many_actions() {
    let tally = generated(4, 200_000, several, |_| ());
    assert!(tally.preferred + tally.defects < 300, "{tally:?}");
}

/// Many rules about one call, with one condition each, of which several hold.
///
/// The deciding rule is that of libseccomp, but for the two exceptions of docs/seccomp.md.
#[test]
fn generated_competition() {
    let mut runner =
        TestRunner::new_with_rng(Config::default(), TestRng::from_seed(RngAlgorithm::ChaCha, &[5; 32]));
    let one = || prop::collection::vec(generate::competing_arg(), 1..=1);
    let profiles = generate::profile(&[Arch::X86], 2..8, one);
    let mut tally = Tally::default();
    while tally.agreed < 150_000 {
        let mut profile = profiles.new_tree(&mut runner).unwrap().current();
        profile.architectures = vec!["SCMP_ARCH_X86".to_owned()];
        profile.syscalls.iter_mut().for_each(|rule| rule.names = vec!["read".to_owned()]);
        if has_opposites(&profile) {
            continue;
        }
        let splits = |arg: &LinuxSeccompArg| ["SCMP_CMP_NE", "SCMP_CMP_MASKED_EQ"].contains(&arg.op.as_str());
        let wide = !profile.syscalls.iter().flat_map(|rule| &rule.args).any(splits);
        let pair = Pair::new(with_anchor(with_ceiling(profile)), Arch::X86_64);
        tally.refused += usize::from(pair.theirs.is_none());
        for arch in [Arch::X86, Arch::X86_64].into_iter().take(if wide { 2 } else { 1 }) {
            for (first, second) in (0..9).flat_map(|first| (0..9).map(move |second| (first, second))) {
                let data = SeccompData {
                    nr: arch.number("read").unwrap(),
                    arch: arch.audit(),
                    instruction_pointer: 0,
                    args: [first, second, 0, 0, 0, 0],
                };
                pair.compare(&data, &mut tally);
            }
        }
    }
    eprintln!("{tally:?}");
    assert_eq!((tally.preferred, tally.defects), (0, 0), "{tally:?}");
}

/// Returns true if a condition is the exact opposite of another one.
fn has_opposites(profile: &LinuxSeccomp) -> bool {
    let args = || profile.syscalls.iter().flat_map(|rule| &rule.args);
    let opposite = |a: &LinuxSeccompArg, b: &LinuxSeccompArg| {
        let pair = (a.op.as_str(), b.op.as_str());
        let opposites =
            [("SCMP_CMP_LE", "SCMP_CMP_GT"), ("SCMP_CMP_LT", "SCMP_CMP_GE"), ("SCMP_CMP_EQ", "SCMP_CMP_NE")];
        a.index == b.index && a.value == b.value && opposites.contains(&pair)
    };
    args().any(|a| args().any(|b| opposite(a, b)))
}

/// The exceptions of docs/seccomp.md, so that the list stays true.
mod defects_of_libseccomp {
    use super::*;
    use libseccomp::error::SeccompErrno;

    /// Returns the verdicts of `eval` and of libseccomp on a call on x86_64.
    fn both(json: &str, data: SeccompData) -> (Action, u32) {
        let profile = LinuxSeccomp::parse(json);
        let policy = common::policy(&profile.profile());
        let filter = oracle::filter(&profile.profile(), policy.architectures(), false).unwrap();
        (eval(&policy, &data), interp(&oracle::export(&filter).unwrap(), &data))
    }

    fn call(nr: u32, args: [u64; 6]) -> SeccompData {
        SeccompData { nr, arch: Arch::X86_64.audit(), instruction_pointer: 0, args }
    }

    /// The rule that is tested first is about a direct call that x86 does not have: the number is
    /// never loaded.
    #[test]
    fn number_not_loaded() {
        let json = r#"{ "defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86"], "syscalls": [
            { "names": ["accept"], "action": "SCMP_ACT_ERRNO" },
            { "names": ["read"], "action": "SCMP_ACT_ERRNO", "args": [{ "index": 0, "value": 1, "op": "SCMP_CMP_EQ" }] }
        ]}"#;
        let data = SeccompData { arch: Arch::X86.audit(), ..call(3, [1, 0, 0, 0, 0, 0]) };
        assert_eq!(both(json, data), (Action::Errno(1), Action::Allow.ret()));
    }

    /// The low half of the argument is still loaded when the next rule compares the high half.
    #[test]
    fn stale_accumulator() {
        let json = r#"{ "defaultAction": "SCMP_ACT_ERRNO", "syscalls": [
            { "names": ["write"], "action": "SCMP_ACT_ALLOW", "args": [{ "index": 4, "value": 0, "op": "SCMP_CMP_LE" }] },
            { "names": ["write"], "action": "SCMP_ACT_ALLOW",
              "args": [{ "index": 4, "value": 4294967296, "op": "SCMP_CMP_GE" }] }
        ]}"#;
        assert_eq!(both(json, call(1, [0, 0, 0, 0, 3, 0])), (Action::Errno(1), Action::Allow.ret()));
    }

    /// A rule vanishes because another one ends with the opposite of its condition.
    #[test]
    fn opposite_taken_for_equal() {
        let json = r#"{ "defaultAction": "SCMP_ACT_ERRNO", "architectures": ["SCMP_ARCH_X86"], "syscalls": [
            { "names": ["ioctl"], "action": "SCMP_ACT_ALLOW", "args": [{ "index": 5, "value": 1, "op": "SCMP_CMP_LT" }] },
            { "names": ["ioctl"], "action": "SCMP_ACT_ALLOW", "args": [
                { "index": 0, "value": 4, "op": "SCMP_CMP_EQ" }, { "index": 5, "value": 1, "op": "SCMP_CMP_GE" }] }
        ]}"#;
        let data = SeccompData { arch: Arch::X86.audit(), ..call(54, [4, 0, 0, 0, 0, 7]) };
        assert_eq!(both(json, data), (Action::Allow, Action::Errno(1).ret()));
    }

    /// Several "not equal" hold at once. libseccomp prefers the one that was added first if they
    /// differ in the high half, else the one with the greater value. Ours always prefers the
    /// latter.
    #[test]
    fn order_depends_on_the_half() {
        let json = r#"{ "defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
            { "names": ["read"], "action": "SCMP_ACT_ERRNO", "errnoRet": 2,
              "args": [{ "index": 0, "value": 0, "op": "SCMP_CMP_NE" }] },
            { "names": ["read"], "action": "SCMP_ACT_ERRNO", "errnoRet": 3,
              "args": [{ "index": 0, "value": 1, "op": "SCMP_CMP_NE" }] }
        ]}"#;
        assert_eq!(both(json, call(0, [7, 0, 0, 0, 0, 0])), (Action::Errno(3), Action::Errno(3).ret()));
        assert_eq!(both(json, call(0, [7 << 32, 0, 0, 0, 0, 0])), (Action::Errno(3), Action::Errno(2).ret()));
    }

    /// A "greater" that is the opposite of another rule's "less" is tested in the place of the
    /// latter, before a narrower "greater". Here the narrower one decides.
    #[test]
    fn opposites_share_a_place() {
        let json = r#"{ "defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
            { "names": ["read"], "action": "SCMP_ACT_LOG", "args": [{ "index": 0, "value": 3, "op": "SCMP_CMP_LE" }] },
            { "names": ["read"], "action": "SCMP_ACT_ERRNO", "errnoRet": 2,
              "args": [{ "index": 0, "value": 3, "op": "SCMP_CMP_GT" }] },
            { "names": ["read"], "action": "SCMP_ACT_ERRNO", "errnoRet": 3,
              "args": [{ "index": 0, "value": 4, "op": "SCMP_CMP_GT" }] }
        ]}"#;
        assert_eq!(both(json, call(0, [5, 0, 0, 0, 0, 0])), (Action::Errno(3), Action::Errno(2).ret()));
    }

    /// The same conditions with two actions: libseccomp refuses the second rule, here the first one
    /// decides.
    #[test]
    fn contradiction_refused() {
        let profile = LinuxSeccomp::parse(
            r#"{ "defaultAction": "SCMP_ACT_ERRNO", "syscalls": [
            { "names": ["read"], "action": "SCMP_ACT_ALLOW", "args": [{ "index": 0, "value": 5, "op": "SCMP_CMP_EQ" }] },
            { "names": ["read"], "action": "SCMP_ACT_LOG", "args": [{ "index": 0, "value": 5, "op": "SCMP_CMP_EQ" }] }
        ]}"#,
        );
        let refused = oracle::filter(&profile.profile(), &[Arch::X86_64], false).unwrap_err();
        assert_eq!(refused.errno(), Some(SeccompErrno::EEXIST));
        let policy = common::policy(&profile.profile());
        assert_eq!(eval(&policy, &call(0, [5, 0, 0, 0, 0, 0])), Action::Allow);
    }

    /// The largest error number that the kernel passes on.
    #[test]
    fn largest_errno_refused() {
        let profile = LinuxSeccomp::parse(
            r#"{ "defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
            { "names": ["read"], "action": "SCMP_ACT_ERRNO", "errnoRet": 4095 }
        ]}"#,
        );
        let refused = oracle::filter(&profile.profile(), &[Arch::X86_64], false).unwrap_err();
        assert_eq!(refused.errno(), Some(SeccompErrno::EINVAL));
        let policy = common::policy(&profile.profile());
        assert_eq!(eval(&policy, &call(0, [0; 6])), Action::Errno(4095));
    }

    /// Two rules that begin with the same "not equal" and go on differently: libseccomp never returns.
    #[test]
    fn never_returns() {
        let profile = LinuxSeccomp::parse(
            r#"{ "defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
            { "names": ["ioctl"], "action": "SCMP_ACT_ERRNO", "args": [
                { "index": 0, "value": 5, "op": "SCMP_CMP_NE" }, { "index": 2, "value": 4294967295, "op": "SCMP_CMP_LE" }] },
            { "names": ["ioctl"], "action": "SCMP_ACT_LOG", "args": [
                { "index": 0, "value": 5, "op": "SCMP_CMP_NE" }, { "index": 5, "value": 7, "op": "SCMP_CMP_EQ" }] }
        ]}"#,
        );
        assert_eq!(oracle::compile(&profile.profile(), &[Arch::X86_64]), None);
        let policy = common::policy(&profile.profile());
        assert_eq!(eval(&policy, &call(16, [1, 0, 0, 0, 0, 7])), Action::Log);
        assert_eq!(eval(&policy, &call(16, [1, 0, 0, 0, 0, 8])), Action::Errno(1));
    }
}
