// SPDX-License-Identifier: Apache-2.0
//! Strange profiles, and calls that probe them.

use super::json::{LinuxSeccomp, LinuxSeccompArg, LinuxSyscall};
use proptest::prelude::*;
use seccomp::{Arch, SeccompData};

/// Calls with special numbers on one of the ABIs, and a few plain ones.
const NAMES: [&str; 24] = [
    "read", // 0 on x86_64
    "write",
    "ioctl",  // another number on x32
    "execve", // another number on x32
    "open",   // not on newer ABIs
    "clone",
    "personality",
    "socket",     // also by socketcall
    "accept",     // on x86 only by socketcall
    "send",       // not on x86_64
    "socketcall", // the multiplexer itself
    "semop",      // also by ipc
    "semtimedop",
    "shmctl",
    "ipc",
    "set_tls", // only on arm, with a huge number
    "cacheflush",
    "mmap2", // only on 32-bit ABIs
    "epoll_wait_old",
    "arch_prctl",
    "futex_time64",
    "clone3",
    "openat2",
    "landlock_restrict_self",
];

const ACTIONS: [&str; 9] = [
    "SCMP_ACT_ALLOW",
    "SCMP_ACT_ERRNO",
    "SCMP_ACT_KILL",
    "SCMP_ACT_KILL_PROCESS",
    "SCMP_ACT_KILL_THREAD",
    "SCMP_ACT_LOG",
    "SCMP_ACT_NOTIFY",
    "SCMP_ACT_TRACE",
    "SCMP_ACT_TRAP",
];

const OPERATORS: [&str; 7] = [
    "SCMP_CMP_EQ",
    "SCMP_CMP_GE",
    "SCMP_CMP_GT",
    "SCMP_CMP_LE",
    "SCMP_CMP_LT",
    "SCMP_CMP_MASKED_EQ",
    "SCMP_CMP_NE",
];

/// Generates values that coincide, and the limits of both halves of an argument.
pub(crate) fn value() -> impl Strategy<Value = u64> + Clone {
    prop_oneof![
        4 => 0_u64..6,
        2 => prop::sample::select(vec![
            0xffff_fffe, 0xffff_ffff, 0x1_0000_0000, 0x1_0000_0001, 0x2_0000_0003, u64::MAX - 1, u64::MAX,
        ]),
        1 => any::<u64>(),
    ]
}

pub(crate) fn arg() -> impl Strategy<Value = LinuxSeccompArg> {
    arg_of(0..6, value())
}

/// Generates conditions of which many hold at the same time.
pub(crate) fn competing_arg() -> impl Strategy<Value = LinuxSeccompArg> {
    arg_of(0..2, 0_u64..8)
}

fn arg_of(
    index: std::ops::Range<u32>,
    value: impl Strategy<Value = u64> + Clone,
) -> impl Strategy<Value = LinuxSeccompArg> {
    (index, value.clone(), value, prop::sample::select(&OPERATORS[..])).prop_map(
        |(index, value, value_two, op)| LinuxSeccompArg { index, value, value_two, op: op.to_owned() },
    )
}

fn errno(action: &str) -> BoxedStrategy<Option<u32>> {
    match action {
        "SCMP_ACT_ERRNO" | "SCMP_ACT_TRACE" => {
            prop::sample::select(vec![None, Some(0), Some(1), Some(38), Some(4094)]).boxed()
        }
        _ => Just(None).boxed(),
    }
}

fn action() -> impl Strategy<Value = (&'static str, Option<u32>)> {
    prop::sample::select(&ACTIONS[..]).prop_flat_map(|action| (Just(action), errno(action)))
}

/// Generates one rule with these arguments.
pub(crate) fn rule(args: impl Strategy<Value = Vec<LinuxSeccompArg>>) -> impl Strategy<Value = LinuxSyscall> {
    (prop::collection::vec(prop::sample::select(&NAMES[..]), 1..4), action(), args).prop_map(
        |(names, (action, errno_ret), args)| LinuxSyscall {
            names: names.into_iter().map(str::to_owned).collect(),
            action: action.to_owned(),
            errno_ret,
            args,
        },
    )
}

/// Generates a whole profile of such rules, for a machine with these architectures.
pub(crate) fn profile<A: Strategy<Value = Vec<LinuxSeccompArg>>>(
    archs: &'static [Arch],
    rules: std::ops::Range<usize>,
    args: impl Fn() -> A,
) -> impl Strategy<Value = LinuxSeccomp> {
    (action(), prop::sample::subsequence(archs, 0..=archs.len()), prop::collection::vec(rule(args()), rules))
        .prop_map(|((default_action, default_errno_ret), archs, syscalls)| LinuxSeccomp {
            default_action: default_action.to_owned(),
            default_errno_ret,
            architectures: archs.into_iter().map(|arch| arch.name().to_owned()).collect(),
            flags: None,
            listener_path: "/run/agent.sock".to_owned(),
            listener_metadata: String::new(),
            syscalls,
        })
}

/// A small, fast generator of numbers, which a seed determines.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        // xorshift64*
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    pub(crate) fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[(self.next() % from.len() as u64) as usize]
    }
}

/// Returns arguments around the values that a profile compares with.
pub(crate) fn interesting_values(profile: &LinuxSeccomp) -> Vec<u64> {
    let mut values = vec![0, 1, 0xffff_ffff, 0x1_0000_0000, u64::MAX];
    for arg in profile.syscalls.iter().flat_map(|rule| &rule.args) {
        for value in [arg.value, arg.value_two, arg.value & arg.value_two] {
            values.extend([
                value,
                value.wrapping_add(1),
                value.wrapping_sub(1),
                value & 0xffff_ffff,
                value | 1 << 32,
                value ^ 1 << 63,
                !value,
            ]);
        }
    }
    values.sort_unstable();
    values.dedup();
    values
}

/// Returns the numbers of a profile on an ABI, their neighbours, and some distant ones.
pub(crate) fn interesting_numbers(numbers: impl Iterator<Item = u32>, arch: Arch) -> Vec<u32> {
    let bit = if arch == Arch::X32 { 0x4000_0000 } else { 0 };
    let mut all =
        vec![bit, bit | 13, bit | 600, 0x3fff_ffff, 0x4000_0000, 0xf_0000, 0xf_0007, 0xffff_fffe, u32::MAX];
    all.extend(numbers.flat_map(|n| [n.wrapping_sub(1), n, n + 1]));
    all.sort_unstable();
    all.dedup();
    all
}

/// Generates a call with arguments from `values`.
pub(crate) fn call(random: &mut Random, audit: u32, nr: u32, values: &[u64]) -> SeccompData {
    SeccompData {
        nr,
        arch: audit,
        instruction_pointer: random.next(),
        args: std::array::from_fn(|_| random.pick(values)),
    }
}
