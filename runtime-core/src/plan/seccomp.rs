// SPDX-License-Identifier: Apache-2.0
//! The system call filter: compiled here, before the clone and before any limit
//! on memory is set; the child only loads it.

use crate::config::process::Process;
use crate::error::{Context, Error, ErrorKind, Result};
use crate::init::plan::Filter;
use crate::state::filter::CompiledFilter;
use crate::sys::{self, Errno, cred};
use seccomp::{Flag, Policy};

/// Compiles a policy, for the first process and for those that come later.
pub(crate) fn compile(policy: &Policy) -> Result<CompiledFilter> {
    check_flags(policy.filter_flags())?;
    let program = seccomp::compile(policy)
        .map_err(|error| Error::new(ErrorKind::Unsupported, format!("linux.seccomp.syscalls: {error}")))?;
    Ok(CompiledFilter { program, flags: policy.filter_flags(), agent: policy.listener().cloned() })
}

/// What a process needs to load the filter.
pub(super) fn filter(compiled: &CompiledFilter, process: &Process) -> Result<Filter> {
    // The child may have it from us.
    let gains = !process.no_new_privileges && !cred::has_no_new_privs().context(|| "prctl")?;
    Ok(Filter {
        program: compiled.program.instructions().into(),
        flags: compiled.flags,
        notifies: compiled.agent.is_some(),
        privileged: gains,
    })
}

/// Whether the running kernel knows the flag.
pub(crate) fn is_supported(flag: Flag) -> bool {
    // Which is refused without a listener.
    let with = if flag == Flag::WaitKillableRecv { libc::SECCOMP_FILTER_FLAG_NEW_LISTENER as u32 } else { 0 };
    sys::seccomp::check_flags(flag.bit() | with).is_ok()
}

/// Asks the kernel now for what it would otherwise refuse in the child.
fn check_flags(flags: u32) -> Result<()> {
    let Err(errno) = sys::seccomp::check_flags(flags) else { return Ok(()) };
    let error = Error::os(errno, "seccomp").of_kind(ErrorKind::Unsupported);
    // Alone WAIT_KILLABLE_RECV is refused, so each is asked for beside the others that are known.
    let unknown = Flag::ALL.into_iter().find(|flag| {
        errno == Errno::EINVAL
            && flags & flag.bit() != 0
            && sys::seccomp::check_flags(flags & !flag.bit()).is_ok()
    });
    Err(match unknown {
        Some(flag) => error.wrap(format!("linux.seccomp.flags: this kernel does not know {}", flag.name())),
        None => error.wrap("linux.seccomp: this kernel cannot load a filter"),
    })
}
