// SPDX-License-Identifier: Apache-2.0
//! The seccomp filter. It is compiled before the clone and before any memory limit is set; the
//! child only loads it.

use crate::boundary::plan::Filter;
use crate::config::field::unsupported;
use crate::config::process::Process;
use crate::error::{Context, Error, ErrorKind, Result, Warning};
use crate::state::filter::CompiledFilter;
use nix::sys::prctl;
use runtime_sys::Errno;
use seccomp::{Arch, Flag, Policy, Program, SeccompData, interp};

/// Compiles a policy, for the container's first process and for later ones.
pub(crate) fn compile(policy: &Policy) -> Result<CompiledFilter> {
    check_flags(policy.filter_flags())?;
    let program = seccomp::compile(policy).map_err(|error| unsupported("linux.seccomp.syscalls", error))?;
    Ok(CompiledFilter { program, flags: policy.filter_flags(), agent: policy.listener().cloned() })
}

/// Returns the part of a plan to load the filter. `enters_pid` is true if the process will be
/// cloned into an existing pid namespace.
pub(super) fn filter(compiled: &CompiledFilter, process: &Process, enters_pid: bool) -> Result<Filter> {
    // The child inherits no_new_privs from the runtime.
    let gains = !process.no_new_privileges && !prctl::get_no_new_privs().context(|| "prctl")?;
    Ok(Filter {
        program: compiled.program.instructions().into(),
        flags: compiled.flags,
        notifies: compiled.agent.is_some(),
        survives_close: survives_close(&compiled.program),
        allows_reading: compiled.agent.is_none() && allows_reading(&compiled.program),
        privileged: gains,
        is_early: enters_pid && compiled.agent.is_none() && allows_clone(&compiled.program, gains),
    })
}

/// Returns a filter's return value for a system call; `None` if the native architecture is
/// unknown.
fn verdict(program: &Program, nr: libc::c_long, args: [u64; 6]) -> Option<u32> {
    let arch = Arch::NATIVE?.audit();
    Some(interp(program, &SeccompData { nr: nr as u32, arch, instruction_pointer: 0, args }))
}

/// Returns the warning that a filter denies execve(2), which executes the container's program.
/// (The child uses execveat(2) only for hooks, which have no filter.) Only the smallest and the
/// largest pointers are tested.
pub(crate) fn warning(compiled: &CompiledFilter) -> Option<Warning> {
    let denies = |value| {
        let verdict = verdict(&compiled.program, libc::SYS_execve, [value; 6]);
        verdict.is_some_and(|verdict| {
            let action = verdict & libc::SECCOMP_RET_ACTION_FULL;
            ![
                libc::SECCOMP_RET_ALLOW,
                libc::SECCOMP_RET_LOG,
                libc::SECCOMP_RET_USER_NOTIF,
                libc::SECCOMP_RET_TRACE,
            ]
            .contains(&action)
        })
    };
    [0, u64::MAX].into_iter().all(denies).then(|| {
        Warning(
            "linux.seccomp: the filter denies execve, so the container's program cannot be executed".into(),
        )
    })
}

/// Returns true if a filter neither kills nor traps a process that calls close(2). Only the
/// smallest and the largest descriptor are tested.
fn survives_close(program: &Program) -> bool {
    [0, u64::MAX].into_iter().all(|fd| {
        let verdict = verdict(program, libc::SYS_close, [fd; 6]);
        verdict.is_some_and(|verdict| {
            let action = verdict & libc::SECCOMP_RET_ACTION_FULL;
            ![libc::SECCOMP_RET_KILL_PROCESS, libc::SECCOMP_RET_KILL_THREAD, libc::SECCOMP_RET_TRAP]
                .contains(&action)
        })
    })
}

/// Returns true if a filter that is loaded early allows the remaining system calls, except execve(2):
/// those of the process that clones the last process into the pid namespace, and those of the last
/// process. Rules about pointers and descriptors are tested only with the smallest and the largest
/// value. capset(2) is called only if loading the filter takes a capability (`privileged`).
fn allows_clone(program: &Program, privileged: bool) -> bool {
    let others = [
        libc::SYS_write,
        libc::SYS_exit_group,
        libc::SYS_setsid,
        libc::SYS_ioctl,
        libc::SYS_prlimit64,
        libc::SYS_read,
        libc::SYS_rt_sigaction,
    ];
    allows(program, libc::SYS_clone, runtime_sys::clone::SIBLING_FLAGS as u64, 0)
        && others.into_iter().chain(privileged.then_some(libc::SYS_capset)).all(|nr| allows_any(program, nr))
}

fn allows(program: &Program, nr: libc::c_long, first: u64, rest: u64) -> bool {
    let verdict = verdict(program, nr, [first, rest, rest, rest, rest, rest]);
    matches!(verdict, Some(libc::SECCOMP_RET_ALLOW | libc::SECCOMP_RET_LOG))
}

/// Returns true if a filter allows a system call with the smallest and with the largest arguments.
fn allows_any(program: &Program, nr: libc::c_long) -> bool {
    [0, u64::MAX].into_iter().all(|value| allows(program, nr, value, value))
}

/// Returns true if a filter allows to open, read and close a file.
fn allows_reading(program: &Program) -> bool {
    [libc::SYS_openat, libc::SYS_read, libc::SYS_close].into_iter().all(|nr| allows_any(program, nr))
}

/// Returns whether the running kernel knows the flag.
pub(crate) fn is_supported(flag: Flag) -> bool {
    // The kernel refuses WAIT_KILLABLE_RECV without NEW_LISTENER.
    let with = if flag == Flag::WaitKillableRecv { libc::SECCOMP_FILTER_FLAG_NEW_LISTENER as u32 } else { 0 };
    runtime_sys::seccomp::check_flags(flag.bit() | with).is_ok()
}

/// Checks now whether the kernel knows the flags, so that loading does not fail in the child.
fn check_flags(flags: u32) -> Result<()> {
    let Err(errno) = runtime_sys::seccomp::check_flags(flags) else { return Ok(()) };
    let error = Error::os(errno, "seccomp").of_kind(ErrorKind::Unsupported);
    // WAIT_KILLABLE_RECV is refused on its own, so a flag is tested by leaving it out.
    let unknown = Flag::ALL.into_iter().find(|flag| {
        errno == Errno::EINVAL
            && flags & flag.bit() != 0
            && runtime_sys::seccomp::check_flags(flags & !flag.bit()).is_ok()
    });
    Err(match unknown {
        Some(flag) => {
            let text = format!("linux.seccomp.flags: this kernel does not support {}", flag.name());
            error.wrap(text.as_str()).at(&text)
        }
        None => error.wrap("linux.seccomp: this kernel cannot load a filter").at("linux.seccomp"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use seccomp::Profile;

    fn policy(refused: &str) -> Policy {
        let rule =
            seccomp::SyscallRule { names: vec![refused], action: "SCMP_ACT_ERRNO", ..Default::default() };
        let profile =
            Profile { default_action: "SCMP_ACT_ALLOW", syscalls: vec![rule], ..Default::default() };
        Policy::new(&profile, Arch::NATIVE.unwrap()).unwrap()
    }

    fn program(refused: &str) -> Program {
        seccomp::compile(&policy(refused)).unwrap()
    }

    #[test]
    fn a_filter_that_denies_execve_is_a_warning() {
        let warns = |refused| warning(&compile(&policy(refused)).unwrap()).is_some();
        assert!(warns("execve"));
        assert!(!warns("execveat") && !warns("acct"));
    }

    #[test]
    fn a_filter_is_loaded_early_only_if_it_allows_the_remaining_calls() {
        for privileged in [false, true] {
            assert!(allows_clone(&program("acct"), privileged));
            for needed in ["clone", "write", "exit_group", "setsid", "read"] {
                assert!(!allows_clone(&program(needed), privileged), "{needed}");
            }
            assert_eq!(allows_clone(&program("capset"), privileged), !privileged);
        }
    }
}
