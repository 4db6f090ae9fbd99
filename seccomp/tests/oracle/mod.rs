// SPDX-License-Identifier: Apache-2.0
//! libseccomp as an oracle of what a profile means.
#![allow(dead_code, reason = "each program uses a part")]

use std::ffi::CString;
use std::io::Read as _;

use libseccomp_static::{ArgCmp, Filter, Refused};
use nix::sys::wait::{WaitStatus, waitpid};
use seccomp::{Action, Arch, Instruction, Profile, Program};

#[allow(unused_imports, reason = "only the benchmark prints it")]
pub(crate) use libseccomp_static::version;

/// A time limit in microseconds: a hundred times as long as libseccomp takes to compile in a child.
const PATIENCE: u32 = 300_000;

/// Returns the number of a call on this ABI, negative for calls that only other ABIs have.
pub(crate) fn resolve(name: &str, arch: Arch) -> Option<i32> {
    libseccomp_static::resolve_on(token(arch), &CString::new(name).ok()?)
}

/// `SCMP_ARCH_*`.
fn token(arch: Arch) -> u32 {
    match arch {
        Arch::X32 => 0x4000_003e,
        other => other.audit(),
    }
}

/// Makes a filter for these ABIs and no others.
fn empty(default: Action, archs: &[Arch]) -> Result<Filter, Refused> {
    let mut filter = Filter::new(default.ret()).unwrap();
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
fn add(filter: &mut Filter, name: &str, action: Action, args: &[ArgCmp]) -> Result<(), Refused> {
    let number = CString::new(name).ok().and_then(|name| libseccomp_static::resolve(&name));
    number.map_or(Ok(()), |number| filter.add(action.ret(), number, args))
}

/// Returns the program of a filter.
pub(crate) fn export(filter: &Filter) -> Result<Program, Refused> {
    // 4096 instructions are half of a pipe's capacity.
    let (reader, writer) = std::io::pipe().unwrap();
    filter.export(&writer)?;
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
        libseccomp_static::end_after(PATIENCE);
        i32::from(filter(profile, archs, false).and_then(|filter| filter.export(&writer)).is_err())
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
pub(crate) fn filter(profile: &Profile<'_>, archs: &[Arch], optimize: bool) -> Result<Filter, Refused> {
    let default = action(profile.default_action, profile.default_errno_ret);
    let mut filter = empty(default, archs)?;
    if optimize {
        filter.optimize()?;
    }
    for rule in &profile.syscalls {
        let action = action(rule.action, rule.errno_ret);
        if action == default {
            continue;
        }
        let args: Vec<ArgCmp> = rule
            .args
            .iter()
            .map(|arg| ArgCmp {
                arg: arg.index,
                op: operator(arg.op),
                datum_a: arg.value,
                datum_b: arg.value_two,
            })
            .collect();
        let repeats = (0..6).any(|index| args.iter().filter(|arg| arg.arg == index).count() > 1);
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

fn action(name: &str, errno: Option<u32>) -> Action {
    let number = errno.unwrap_or(1) as u16;
    match name {
        "SCMP_ACT_KILL" | "SCMP_ACT_KILL_THREAD" => Action::KillThread,
        "SCMP_ACT_KILL_PROCESS" => Action::KillProcess,
        "SCMP_ACT_TRAP" => Action::Trap,
        "SCMP_ACT_ERRNO" => Action::Errno(number),
        "SCMP_ACT_TRACE" => Action::Trace(number),
        "SCMP_ACT_NOTIFY" => Action::Notify,
        "SCMP_ACT_LOG" => Action::Log,
        "SCMP_ACT_ALLOW" => Action::Allow,
        _ => panic!("{name}"),
    }
}

/// `enum scmp_compare`.
fn operator(name: &str) -> u32 {
    match name {
        "SCMP_CMP_NE" => 1,
        "SCMP_CMP_LT" => 2,
        "SCMP_CMP_LE" => 3,
        "SCMP_CMP_EQ" => 4,
        "SCMP_CMP_GE" => 5,
        "SCMP_CMP_GT" => 6,
        "SCMP_CMP_MASKED_EQ" => 7,
        _ => panic!("{name}"),
    }
}
