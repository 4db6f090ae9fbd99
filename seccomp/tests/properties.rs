// SPDX-License-Identifier: Apache-2.0
//! Properties of every profile, and the costs of hostile ones.
#![allow(clippy::unwrap_used, reason = "a test")]

mod common;

use common::generate::{self, Random};
use common::json::{LinuxSeccomp, LinuxSeccompArg, LinuxSyscall};
use proptest::prelude::*;
use seccomp::{Arch, MAX_INSTRUCTIONS, Policy, Program, compile, eval, interp};
use std::time::{Duration, Instant};

/// Compares the program with `eval`, for calls around the values of the profile.
fn check(profile: &LinuxSeccomp, native: Arch, calls: usize) -> Result<(), TestCaseError> {
    let policy = Policy::new(&profile.profile(), native).unwrap();
    let program = match compile(&policy) {
        Ok(program) => program,
        Err(too_long) => {
            prop_assert!(too_long.instructions > MAX_INSTRUCTIONS);
            return Ok(());
        }
    };
    // The kernel would accept it, and the same policy gives the same program again.
    prop_assert_eq!(Program::new(program.instructions().to_vec()), Ok(program.clone()));
    prop_assert_eq!(compile(&policy), Ok(program.clone()));
    let mut random = Random(0x0dd_ba11);
    let values = generate::interesting_values(profile);
    for arch in Arch::ALL {
        let names = profile.syscalls.iter().flat_map(|rule| &rule.names);
        let mut numbers = generate::interesting_numbers(names.filter_map(|name| arch.number(name)), arch);
        numbers.extend([102, 117]);
        for nr in numbers {
            for _ in 0..calls {
                let data = generate::call(&mut random, arch.audit(), nr, &values);
                let (verdict, meaning) = (interp(&program, &data), eval(&policy, &data).ret());
                prop_assert_eq!(verdict, meaning, "{:x?}\n{}", data, program);
            }
        }
    }
    Ok(())
}

fn args(most: usize) -> impl Strategy<Value = Vec<LinuxSeccompArg>> {
    prop::collection::vec(generate::arg(), 0..=most)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_program_does_what_the_policy_means(
        profile in generate::profile(&Arch::ALL, 0..12, || args(4)),
        native in prop::sample::select(&Arch::ALL[..]),
    ) {
        check(&profile, native, 2)?;
    }

    /// Many comparisons of few arguments, merged into intervals.
    #[test]
    fn comparisons_that_overlap(
        profile in generate::profile(&[Arch::X86_64, Arch::X86], 10..60, || args(1)),
    ) {
        check(&profile, Arch::X86_64, 2)?;
    }

    /// The largest inputs of the checker.
    #[test]
    fn the_checker_and_the_interpreter_accept_any_input(
        instructions in prop::collection::vec(
            (any::<u16>(), any::<u8>(), any::<u8>(), any::<u32>())
                .prop_map(|(code, jt, jf, k)| seccomp::Instruction { code: code & 0xff, jt: jt & 7, jf: jf & 7, k: k & 63 }),
            0..20,
        ),
        nr in any::<u32>(),
    ) {
        if let Ok(program) = Program::new(instructions) {
            interp(&program, &seccomp::SeccompData { nr, ..Default::default() });
            prop_assert!(!program.to_string().is_empty());
        }
    }

    /// Any text at any place gives a policy, or an error with a path.
    #[test]
    fn any_text_gives_a_policy_or_an_error(
        action in ".*", arch in ".*", flag in ".*", path in ".*", name in ".*", op in ".*", index in any::<u32>(),
    ) {
        let profile = seccomp::Profile {
            default_action: if index % 2 == 0 { "SCMP_ACT_ALLOW" } else { &action },
            architectures: if index % 3 == 0 { vec![&arch] } else { vec![] },
            flags: (index % 5 == 0).then(|| vec![flag.as_str()]),
            listener_path: &path,
            syscalls: vec![seccomp::SyscallRule {
                names: vec![&name],
                action: if index % 7 == 0 { &action } else { "SCMP_ACT_NOTIFY" },
                args: vec![seccomp::Arg { index: index % 8, op: &op, ..Default::default() }],
                ..Default::default()
            }],
            ..Default::default()
        };
        match Policy::new(&profile, Arch::X86_64) {
            Ok(policy) => prop_assert!(compile(&policy).is_ok()),
            Err(error) => prop_assert!(!error.path().is_empty() && !error.reason().is_empty()),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 15, failure_persistence: None, ..ProptestConfig::default() })]

    /// Programs of a thousand instructions and more, whose jumps need intermediate jumps.
    #[test]
    fn long_programs(profile in generate::profile(&[Arch::X86_64, Arch::X86, Arch::X32], 120..300, || args(3))) {
        check(&profile, Arch::X86_64, 1)?;
    }
}

#[test]
fn default_profiles_in_full() {
    for json in [common::DOCKER, common::PODMAN, common::CONTAINERD] {
        let profile = LinuxSeccomp::parse(json);
        assert_eq!(common::policy(&profile.profile()).notes(), [""; 0]);
        check(&profile, Arch::X86_64, 2).unwrap();
        check(&profile, Arch::Aarch64, 1).unwrap();
    }
}

#[test]
fn docker_keeps_its_promised_size() {
    let profile = LinuxSeccomp::parse(common::DOCKER);
    let program = compile(&common::policy(&profile.profile())).unwrap();
    assert!(program.instructions().len() <= 300, "{}", program.instructions().len());
}

/// Returns a rule for ioctl(2).
fn ioctl(args: Vec<LinuxSeccompArg>) -> LinuxSyscall {
    LinuxSyscall {
        names: vec!["ioctl".to_owned()],
        action: "SCMP_ACT_ALLOW".to_owned(),
        errno_ret: None,
        args,
    }
}

fn arg(index: u32, value: u64, op: &str) -> LinuxSeccompArg {
    LinuxSeccompArg { index, value, value_two: value / 3, op: op.to_owned() }
}

fn deny_all_but(syscalls: Vec<LinuxSyscall>) -> LinuxSeccomp {
    LinuxSeccomp { default_action: "SCMP_ACT_ERRNO".to_owned(), syscalls, ..LinuxSeccomp::default() }
}

/// Compiles within a time limit. Returns the number of instructions.
fn cost(profile: &LinuxSeccomp) -> usize {
    let start = Instant::now();
    let policy = Policy::new(&profile.profile(), Arch::X86_64).unwrap();
    let instructions = match compile(&policy) {
        Ok(program) => program.instructions().len(),
        Err(too_long) => too_long.instructions,
    };
    // For a debug build on a busy machine; quadratic algorithms would take hours.
    assert!(start.elapsed() < Duration::from_secs(30), "{:?}", start.elapsed());
    instructions
}

#[test]
fn a_thousand_values_fit() {
    let rules = (0..1000).map(|n| ioctl(vec![arg(1, n * 7919 % 65_536, "SCMP_CMP_EQ")])).collect();
    let instructions = cost(&deny_all_but(rules));
    assert!(instructions < 2500, "{instructions}");
}

#[test]
fn too_many_values_are_refused_with_their_number() {
    let rules = (0..10_000).map(|n| ioctl(vec![arg(1, n * 2, "SCMP_CMP_EQ")])).collect();
    let profile = deny_all_but(rules);
    let policy = common::policy(&profile.profile());
    let too_long = compile(&policy).unwrap_err();
    assert!(too_long.instructions > 10_000);
    let text = format!("the filter needs {} instructions, and the kernel takes 4096", too_long.instructions);
    assert_eq!(too_long.to_string(), text);
}

#[test]
fn hostile_profiles_cost_time_in_proportion() {
    let all_names: Vec<String> = include_str!("../src/table/rows.rs")
        .lines()
        .filter_map(|row| row.strip_prefix("    (\"")?.split('"').next().map(str::to_owned))
        .collect();

    // One rule for every call, with very many alternatives.
    let alternatives = |op| (0..50_000).map(|n| arg(1, n, op)).collect::<Vec<_>>();
    for op in ["SCMP_CMP_EQ", "SCMP_CMP_NE", "SCMP_CMP_GT", "SCMP_CMP_MASKED_EQ"] {
        cost(&deny_all_but(vec![LinuxSyscall { names: all_names.clone(), ..ioctl(alternatives(op)) }]));
    }
    // Equal alternatives.
    let same = (0..50_000).map(|_| arg(1, 5, "SCMP_CMP_EQ")).collect();
    assert!(cost(&deny_all_but(vec![ioctl(same)])) < 20);
    // Very many rules for every call.
    let rule =
        |n| LinuxSyscall { names: all_names.clone(), ..ioctl(vec![arg((n % 6) as u32, n, "SCMP_CMP_LT")]) };
    cost(&deny_all_but((0..200).map(rule).collect()));
    // Very many rules that cannot be merged.
    let pair =
        |n| ioctl(vec![arg(0, n, "SCMP_CMP_GE"), arg(1, n, "SCMP_CMP_MASKED_EQ"), arg(5, n, "SCMP_CMP_NE")]);
    cost(&deny_all_but((0..20_000).map(pair).collect()));
    // Repeated names.
    let names = (0..200_000).map(|n| all_names[n % all_names.len()].clone()).collect();
    assert!(cost(&deny_all_but(vec![LinuxSyscall { names, ..ioctl(Vec::new()) }])) < 200);
}
