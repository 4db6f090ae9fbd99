// SPDX-License-Identifier: Apache-2.0
//! libseccomp by the crate `libseccomp`, for the tests and the benchmark.
//!
//! .cargo/config.toml makes the crate link the static library, as the workspace links all of its
//! tests; Debian's libseccomp-dev has it.
#![allow(dead_code, reason = "each program uses a part")]

use std::io::Read as _;

use libseccomp::error::SeccompError;
use libseccomp::{
    ScmpAction, ScmpArch, ScmpArgCompare, ScmpCompareOp, ScmpFilterContext, ScmpSyscall, ScmpVersion,
};
use nix::sys::wait::{WaitStatus, waitpid};
use seccomp::{Arch, Instruction, Profile, Program};

/// A time limit in microseconds: a hundred times as long as libseccomp takes to compile in a child.
const PATIENCE: u32 = 300_000;

/// Returns the library's version.
pub(crate) fn version() -> (u32, u32, u32) {
    let ScmpVersion { major, minor, micro } = ScmpVersion::current().unwrap();
    (major, minor, micro)
}

/// Returns the number of a call on this ABI, negative for calls that only other ABIs have.
pub(crate) fn resolve(name: &str, arch: Arch) -> Option<i32> {
    ScmpSyscall::from_name_by_arch(name, token(arch)).ok().map(ScmpSyscall::as_raw_syscall)
}

/// `SCMP_ARCH_*`.
fn token(arch: Arch) -> ScmpArch {
    match arch {
        Arch::Aarch64 => ScmpArch::Aarch64,
        Arch::Arm => ScmpArch::Arm,
        Arch::Loongarch64 => ScmpArch::Loongarch64,
        Arch::Ppc64le => ScmpArch::Ppc64Le,
        Arch::Riscv64 => ScmpArch::Riscv64,
        Arch::X32 => ScmpArch::X32,
        Arch::X86 => ScmpArch::X86,
        Arch::X86_64 => ScmpArch::X8664,
    }
}

/// Makes a filter for these ABIs and no others.
fn empty(default: ScmpAction, archs: &[Arch]) -> Result<ScmpFilterContext, SeccompError> {
    let mut filter = ScmpFilterContext::new(default)?;
    let native = Arch::NATIVE.unwrap();
    for arch in archs.iter().filter(|arch| **arch != native) {
        filter.add_arch(token(*arch))?;
    }
    if !archs.contains(&native) {
        filter.remove_arch(token(native))?;
    }
    Ok(filter)
}

/// Adds a rule, unless the name is unknown.
fn add(
    filter: &mut ScmpFilterContext,
    name: &str,
    action: ScmpAction,
    args: &[ScmpArgCompare],
) -> Result<(), SeccompError> {
    let Ok(call) = ScmpSyscall::from_name(name) else { return Ok(()) };
    filter.add_rule_conditional(action, call, args).map(drop)
}

/// Returns the program of a filter.
pub(crate) fn export(filter: &ScmpFilterContext) -> Result<Program, SeccompError> {
    // 4096 instructions are half of a pipe's capacity.
    let (reader, writer) = std::io::pipe().unwrap();
    filter.export_bpf(&writer)?;
    drop(writer);
    Ok(program(reader))
}

/// Reads an exported program from a pipe.
fn program(mut reader: std::io::PipeReader) -> Program {
    let mut bytes = Vec::new();
    reader.read_to_end(&mut bytes).unwrap();
    let instructions = bytes
        .chunks_exact(8)
        .map(|b| Instruction {
            code: u16::from_ne_bytes([b[0], b[1]]),
            jt: b[2],
            jf: b[3],
            k: u32::from_ne_bytes([b[4], b[5], b[6], b[7]]),
        })
        .collect();
    Program::new(instructions).unwrap()
}

/// Compiles any profile with libseccomp, if it can.
///
/// In a child: some profiles make libseccomp corrupt its own lists and never return.
pub(crate) fn compile(profile: &Profile<'_>, archs: &[Arch]) -> Option<Program> {
    let (reader, writer) = std::io::pipe().unwrap();
    let child = sys_testing::process::fork(|| {
        sys_testing::process::end_after(PATIENCE);
        i32::from(filter(profile, archs, false).and_then(|filter| filter.export_bpf(&writer)).is_err())
    })
    .unwrap();
    drop(writer);
    (waitpid(child, None).unwrap() == WaitStatus::Exited(child, 0)).then(|| program(reader))
}

/// Makes the filter that runc makes of a profile, before it adds its ENOSYS stub.
///
/// The order of calls, the skipped rules and the treatment of repeated argument indices are runc's
/// (libcontainer/seccomp). They are implemented again here, so that the crate's interpretation of a
/// profile is compared with another one.
///
/// `optimize` asks for a binary tree instead of a chain of comparisons.
pub(crate) fn filter(
    profile: &Profile<'_>,
    archs: &[Arch],
    optimize: bool,
) -> Result<ScmpFilterContext, SeccompError> {
    let default = action(profile.default_action, profile.default_errno_ret);
    let mut filter = empty(default, archs)?;
    if optimize {
        filter.set_ctl_optimize(2)?;
    }
    for rule in &profile.syscalls {
        let action = action(rule.action, rule.errno_ret);
        if action == default {
            continue;
        }
        let args: Vec<_> = rule
            .args
            .iter()
            .map(|arg| match operator(arg.op, arg.value) {
                op @ ScmpCompareOp::MaskedEqual(_) => ScmpArgCompare::new(arg.index, op, arg.value_two),
                op => ScmpArgCompare::new(arg.index, op, arg.value),
            })
            .collect();
        let repeats = (0..6).any(|index| rule.args.iter().filter(|arg| arg.index == index).count() > 1);
        for name in &rule.names {
            if repeats {
                for arg in &args {
                    add(&mut filter, name, action, std::slice::from_ref(arg))?;
                }
            } else {
                add(&mut filter, name, action, &args)?;
            }
        }
    }
    Ok(filter)
}

fn action(name: &str, errno: Option<u32>) -> ScmpAction {
    let number = errno.unwrap_or(1) as u16;
    match name {
        "SCMP_ACT_KILL" | "SCMP_ACT_KILL_THREAD" => ScmpAction::KillThread,
        "SCMP_ACT_KILL_PROCESS" => ScmpAction::KillProcess,
        "SCMP_ACT_TRAP" => ScmpAction::Trap,
        "SCMP_ACT_ERRNO" => ScmpAction::Errno(number.into()),
        "SCMP_ACT_TRACE" => ScmpAction::Trace(number),
        "SCMP_ACT_NOTIFY" => ScmpAction::Notify,
        "SCMP_ACT_LOG" => ScmpAction::Log,
        "SCMP_ACT_ALLOW" => ScmpAction::Allow,
        _ => panic!("{name}"),
    }
}

/// `enum scmp_compare`. Only a comparison with a mask has it in `mask`.
fn operator(name: &str, mask: u64) -> ScmpCompareOp {
    match name {
        "SCMP_CMP_NE" => ScmpCompareOp::NotEqual,
        "SCMP_CMP_LT" => ScmpCompareOp::Less,
        "SCMP_CMP_LE" => ScmpCompareOp::LessOrEqual,
        "SCMP_CMP_EQ" => ScmpCompareOp::Equal,
        "SCMP_CMP_GE" => ScmpCompareOp::GreaterEqual,
        "SCMP_CMP_GT" => ScmpCompareOp::Greater,
        "SCMP_CMP_MASKED_EQ" => ScmpCompareOp::MaskedEqual(mask),
        _ => panic!("{name}"),
    }
}
