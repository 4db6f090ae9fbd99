// SPDX-License-Identifier: Apache-2.0
//! A comparison of this compiler with libseccomp, on Docker's default profile, in one run.
//!
//! `cargo run --release -p runtime-seccomp --example bench`
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a measuring program")]

#[path = "../tests/common/json.rs"]
#[allow(dead_code, reason = "uses a part")]
mod json;
#[path = "../tests/oracle/mod.rs"]
mod oracle;

use seccomp::{Arch, Instruction, Policy, Profile, Program, SeccompData, compile};
use std::hint::black_box;
use std::io::{Read as _, Write as _};
use std::process::Command;
use std::time::{Duration, Instant};

const ROUNDS: usize = 200;
const LOADS: usize = 60;
/// An argument: compile once, and print the nanoseconds.
const ONCE: &str = "--once";
const DOCKER: &str = include_str!("../tests/data/docker.json");

/// A compiler from a profile to a program.
struct Compiler {
    name: &'static str,
    run: fn(&Profile<'_>) -> Program,
}

const COMPILERS: [Compiler; 3] = [
    Compiler { name: "this compiler", run: ours },
    Compiler { name: "libseccomp, linear", run: |profile| libseccomp(profile, false) },
    Compiler { name: "libseccomp, OPTIMIZE=2", run: |profile| libseccomp(profile, true) },
];

fn ours(profile: &Profile<'_>) -> Program {
    compile(&Policy::new(profile, Arch::X86_64).unwrap()).unwrap()
}

fn libseccomp(profile: &Profile<'_>, optimize: bool) -> Program {
    let archs = &[Arch::X86_64, Arch::X86, Arch::X32][..profile.architectures.len()];
    oracle::export(&oracle::filter(profile, archs, optimize).unwrap()).unwrap()
}

fn main() {
    if std::env::args().nth(1).is_some_and(|argument| argument == ONCE) {
        return once();
    }
    let (major, minor, micro) = oracle::version();
    println!("Docker's default profile; libseccomp {major}.{minor}.{micro}; times in µs, min / median");
    println!("of {ROUNDS} compilations (from the profile) and {LOADS} loads; path in instructions.\n");
    println!("| ABIs | compiler | compile | instructions | average path | worst path | kernel load |");
    println!("|---|---|---|---|---|---|---|");
    let mut docker = json::LinuxSeccomp::parse(DOCKER);
    for archs in [1, 3] {
        docker.architectures = ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"][..archs]
            .iter()
            .map(|name| (*name).to_owned())
            .collect();
        let profile = docker.profile();
        // Round by round, so that other load on the machine affects all compilers.
        let mut times = COMPILERS.map(|_| Vec::new());
        let programs = COMPILERS.map(|compiler| (compiler.run)(&profile));
        for _ in 0..ROUNDS {
            for (compiler, times) in COMPILERS.iter().zip(&mut times) {
                let start = Instant::now();
                black_box((compiler.run)(black_box(&profile)));
                times.push(start.elapsed());
            }
        }
        let mut loads = COMPILERS.map(|_| Vec::new());
        for _ in 0..LOADS {
            for (program, loads) in programs.iter().zip(&mut loads) {
                loads.push(load(program));
            }
        }
        for (((compiler, program), times), loads) in COMPILERS.iter().zip(&programs).zip(times).zip(loads) {
            let (average, worst) = path(program, archs);
            println!(
                "| {archs} | {} | {} | {} | {average:.1} | {worst} | {} |",
                compiler.name,
                min_and_median(times),
                program.instructions().len(),
                min_and_median(loads),
            );
        }
    }
    let fresh = (0..ROUNDS).map(|_| once_in_a_fresh_process()).collect();
    println!(
        "\nThis compiler, three ABIs, in a process that has just started: {} µs.",
        min_and_median(fresh)
    );
}

/// Measures one compilation with cold processor caches, as in a runtime.
fn once_in_a_fresh_process() -> Duration {
    let output = Command::new(std::env::current_exe().unwrap()).arg(ONCE).output().unwrap();
    Duration::from_nanos(String::from_utf8(output.stdout).unwrap().trim().parse().unwrap())
}

fn once() {
    let docker = json::LinuxSeccomp::parse(DOCKER);
    let profile = docker.profile();
    let start = Instant::now();
    black_box(ours(black_box(&profile)));
    println!("{}", start.elapsed().as_nanos());
}

fn min_and_median(mut times: Vec<Duration>) -> String {
    times.sort_unstable();
    let micros = |time: Duration| time.as_secs_f64() * 1e6;
    format!("{:.0} / {:.0}", micros(times[0]), micros(times[times.len() / 2]))
}

/// Returns how many instructions are executed, on average and at most, over all numbers up to 470
/// of each ABI, with arguments on all sides of the profile's values.
fn path(program: &Program, archs: usize) -> (f64, usize) {
    let abis = [(Arch::X86_64, 0), (Arch::X86, 0), (Arch::X32, 0x4000_0000)];
    let values = [0, 1, 8, 38, 39, 40, 41, 0x2_0000, 0x7e02_0000, 0xffff_ffff, 0x1_0000_0000, u64::MAX];
    let (mut sum, mut count, mut worst) = (0, 0, 0);
    for (arch, bit) in &abis[..archs] {
        for nr in 0..=470 {
            for value in values {
                let data = SeccompData {
                    nr: bit | nr,
                    arch: arch.audit(),
                    args: [value; 6],
                    ..SeccompData::default()
                };
                let steps = steps(program.instructions(), &data);
                sum += steps;
                count += 1;
                worst = worst.max(steps);
            }
        }
    }
    (sum as f64 / f64::from(count), worst)
}

/// Executes the few kinds of instructions that these compilers use, and counts them.
fn steps(program: &[Instruction], data: &SeccompData) -> usize {
    let (mut a, mut at, mut steps) = (0, 0, 0);
    loop {
        let Instruction { code, jt, jf, k } = program[at];
        at += 1;
        steps += 1;
        let jump = |condition| usize::from(if condition { jt } else { jf });
        match code {
            0x20 => {
                a = match k {
                    0 => data.nr,
                    4 => data.arch,
                    _ => (data.args[(k as usize - 16) / 8] >> (k % 8 * 8)) as u32,
                }
            }
            0x54 => a &= k,
            0x05 => at += k as usize,
            0x15 => at += jump(a == k),
            0x25 => at += jump(a > k),
            0x35 => at += jump(a >= k),
            0x45 => at += jump(a & k != 0),
            0x06 => return steps,
            _ => panic!("{code:#x}"),
        }
    }
}

/// Measures the time in which seccomp(2) installs the program, in its own process.
fn load(program: &Program) -> Duration {
    let (mut reader, mut writer) = std::io::pipe().unwrap();
    let child = sys_testing::process::fork(|| {
        nix::sys::prctl::set_no_new_privs().unwrap();
        let start = Instant::now();
        let loaded = runtime_sys::seccomp::load(program.instructions(), 0);
        let nanos = if loaded.is_ok() { start.elapsed().as_nanos() as u64 } else { u64::MAX };
        i32::from(writer.write(&nanos.to_ne_bytes()).is_err())
    })
    .unwrap();
    drop(writer);
    let mut nanos = [0; 8];
    reader.read_exact(&mut nanos).unwrap();
    nix::sys::wait::waitpid(child, None).unwrap();
    let nanos = u64::from_ne_bytes(nanos);
    assert!(nanos != u64::MAX, "the kernel refused the filter");
    Duration::from_nanos(nanos)
}
