// SPDX-License-Identifier: Apache-2.0
//! The filter compiler: a program returns what the policy means.
#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use seccomp::{Action, Arch, Arg, Flag, Instruction, Operator, Policy, Profile, Program, SeccompData, SyscallRule};

/// Names of different kinds of calls: plain, multiplexed, private, new.
const NAMES: &[&str] = &[
    "read", "write", "openat", "close", "mmap", "clone", "clone3", "execve", "exit_group", "socket", "socketpair",
    "accept", "bind", "connect", "socketcall", "ipc", "semop", "msgget", "shmat", "set_tls", "cacheflush",
    "getcwd", "personality", "ptrace", "futex", "waitpid", "stat64", "restart_syscall", "landlock_restrict_self",
];

#[derive(Arbitrary, Debug)]
struct Input {
    default_action: Word,
    default_errno: Option<u16>,
    native: u8,
    architectures: Vec<Word>,
    flags: Option<Vec<Word>>,
    listener: bool,
    rules: Vec<Rule>,
    probes: Vec<(u8, u32, [u64; 6])>,
    code: Vec<[u8; 8]>,
}

#[derive(Arbitrary, Debug)]
struct Rule {
    names: Vec<Word>,
    action: Word,
    errno: Option<u16>,
    args: Vec<(u8, u64, u64, Word)>,
}

/// A valid word of a list, or any text.
#[derive(Arbitrary, Debug)]
enum Word {
    Known(u8),
    Raw(String),
}

impl Word {
    fn text<'a>(&'a self, known: &[&'a str]) -> &'a str {
        match self {
            Word::Known(n) => known[usize::from(*n) % known.len()],
            Word::Raw(text) => text,
        }
    }
}

fuzz_target!(|input: Input| {
    let actions: Vec<&str> = Action::names().into_iter().collect();
    let operators: Vec<&str> = Operator::ALL.iter().map(|op| op.name()).collect();
    let arches: Vec<&str> = Arch::ALL.iter().map(|arch| arch.name()).collect();
    let flags: Vec<&str> = Flag::ALL.iter().map(|flag| flag.name()).collect();
    let native = Arch::ALL[usize::from(input.native) % Arch::ALL.len()];
    let rules = input.rules.iter().take(200);
    let profile = Profile {
        default_action: input.default_action.text(&actions),
        default_errno_ret: input.default_errno.map(u32::from),
        architectures: input.architectures.iter().map(|word| word.text(&arches)).collect(),
        flags: input.flags.as_ref().map(|list| list.iter().map(|word| word.text(&flags)).collect()),
        listener_path: if input.listener { "/run/agent" } else { "" },
        listener_metadata: "",
        syscalls: rules
            .map(|rule| SyscallRule {
                names: rule.names.iter().map(|word| word.text(NAMES)).collect(),
                action: rule.action.text(&actions),
                errno_ret: rule.errno.map(u32::from),
                args: rule
                    .args
                    .iter()
                    .take(6)
                    .map(|(index, value, value_two, op)| Arg {
                        index: u32::from(*index),
                        value: *value,
                        value_two: *value_two,
                        op: op.text(&operators),
                    })
                    .collect(),
            })
            .collect(),
    };
    check_code(&input.code);
    let policy = match Policy::new(&profile, native) {
        Ok(policy) => policy,
        Err(error) => return assert!(!error.path().is_empty()),
    };
    let program = match seccomp::compile(&policy) {
        Ok(program) => program,
        Err(error) => return assert!(error.instructions > seccomp::MAX_INSTRUCTIONS),
    };
    assert!(Program::new(program.instructions().to_vec()).is_ok(), "the kernel would refuse it");
    let check = |arch: u32, nr: u32, args: [u64; 6]| {
        let data = SeccompData { nr, arch, instruction_pointer: 0, args };
        assert_eq!(seccomp::interp(&program, &data), seccomp::eval(&policy, &data).ret(), "{data:?}");
    };
    for (arch, nr, args) in &input.probes {
        check(Arch::ALL[usize::from(*arch) % Arch::ALL.len()].audit(), *nr, *args);
    }
    let values: Vec<u64> = profile.syscalls.iter().flat_map(|r| &r.args).flat_map(|a| [a.value, a.value_two]).collect();
    for arch in Arch::ALL {
        for number in NAMES.iter().filter_map(|name| arch.number(name)).chain([102, 117, 0x3fff_ffff, 0x4000_0000, u32::MAX]) {
            for nr in [number.wrapping_sub(1), number, number.wrapping_add(1)] {
                check(arch.audit(), nr, [0; 6]);
                for value in values.iter().take(4) {
                    for value in [*value, value.wrapping_add(1), value ^ 1 << 32] {
                        check(arch.audit(), nr, [value; 6]);
                    }
                }
            }
        }
    }
});

/// Checks that any code is refused, or can be run and printed.
fn check_code(code: &[[u8; 8]]) {
    let instructions = code
        .iter()
        .map(|[a, b, jt, jf, k @ ..]| Instruction {
            code: u16::from_le_bytes([*a, *b]),
            jt: *jt,
            jf: *jf,
            k: u32::from_le_bytes(*k),
        })
        .collect();
    if let Ok(program) = Program::new(instructions) {
        let _result = seccomp::interp(&program, &SeccompData { nr: 1, arch: 2, instruction_pointer: 3, args: [4; 6] });
        assert!(!program.to_string().is_empty());
    }
}
