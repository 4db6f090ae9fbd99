// SPDX-License-Identifier: Apache-2.0
//! Attributes that the parent sets on a process by pid, while the process waits for Go. They are
//! limits that could make the process's remaining steps fail, and priorities. Priorities take
//! capabilities in the initial user namespace, which the process may have lost.

use crate::boundary::plan::Plan;
use crate::child::streams;
use crate::error::{Context, Error, ErrorKind, Result};
use crate::parent::ids;
use crate::path::proc::{PidFile, Proc};
use crate::values::{Rlimit, SCHED_DEADLINE, rlimit_name};
use nix::sys::stat::fstat;
use nix::unistd::geteuid;
use runtime_sys::process::SchedAttr;
use runtime_sys::{Errno, fd, process};
use std::os::fd::AsFd;

/// Attributes that the parent sets on a process.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Attributes<'a> {
    pub(crate) oom_score_adj: Option<i32>,
    pub(crate) scheduler: Option<&'a SchedAttr>,
    pub(crate) io_priority: Option<u16>,
    pub(crate) rlimits: &'a [Rlimit],
    /// The mask of CPUs to run on. Empty: all that the cgroup allows.
    pub(crate) cpus: &'a [u64],
}

/// Sets all attributes. The process is a child that has not been waited for, so the pid is not
/// reused.
///
/// The limits are set only with `sets_rlimits`: for a process in a user namespace, which cannot raise
/// its own limits. Any other process sets its limits itself, because even root needs CAP_SYS_RESOURCE
/// for those of another user's process.
pub(crate) fn apply(attributes: Attributes<'_>, proc: &Proc, pid: i32, sets_rlimits: bool) -> Result<()> {
    set_affinity(attributes.cpus, pid)
        .and_then(|()| set(attributes, proc, pid, sets_rlimits))
        .map_err(|error| error.of_kind(ErrorKind::Setup))
}

/// Sets the OOM score of a process, which the processes that it clones inherit. The process is a
/// child that has not been waited for.
pub(crate) fn set_oom_score(score: i32, proc: &Proc, pid: i32) -> Result<()> {
    let file = PidFile::new(pid, "oom_score_adj");
    let written = file.below_proc().and_then(|path| proc.write(&path, score.to_string().as_bytes()));
    written.map_err(|errno| {
        let text = format!("process.oomScoreAdj: write {score} to {file}");
        let error = Error::os(errno, text).of_kind(ErrorKind::Setup);
        if errno == Errno::EACCES { error.with_hint("lowering it needs CAP_SYS_RESOURCE") } else { error }
    })
}

fn set(attributes: Attributes<'_>, proc: &Proc, pid: i32, sets_rlimits: bool) -> Result<()> {
    if let Some(score) = attributes.oom_score_adj {
        set_oom_score(score, proc, pid)?;
    }
    if let Some(scheduler) = attributes.scheduler {
        let is_deadline = scheduler.policy == SCHED_DEADLINE;
        process::set_scheduler(pid, scheduler).map_err(|errno| {
            let error = Error::os(errno, "process.scheduler: sched_setattr");
            match errno {
                Errno::EBUSY if is_deadline => error.with_hint(
                    "the CPUs have no bandwidth left for it (sched(7), Admission control), or the process \
                     may not use all of them (AllowedCPUs)",
                ),
                Errno::EBUSY | Errno::EPERM => {
                    error.with_hint("process scheduler can't be used together with AllowedCPUs")
                }
                Errno::EINVAL if is_deadline => error.with_hint(
                    "the period (without one the deadline) must be between kernel.sched_deadline_period_min_us \
                     and kernel.sched_deadline_period_max_us of the host, by default 100 and 4194304",
                ),
                _ => error,
            }
        })?;
    }
    if let Some(priority) = attributes.io_priority {
        process::set_io_priority(pid, priority).context(|| "process.ioPriority: ioprio_set")?;
    }
    for (i, limit) in attributes.rlimits.iter().enumerate().filter(|_| sets_rlimits) {
        process::set_rlimit(pid, limit.resource, limit.soft, limit.hard).map_err(|errno| {
            let name = rlimit_name(limit.resource);
            let error =
                Error::os(errno, format!("process.rlimits[{i}]: error setting rlimit type {name}: prlimit"));
            if errno == Errno::EPERM {
                error.with_hint("raising the hard limit needs CAP_SYS_RESOURCE")
            } else {
                error
            }
        })?;
    }
    Ok(())
}

/// Changes the owner of standard streams that are pipes to `uid` of the process's user namespace.
/// Root of that namespace may not do this: pipes that were made on the host belong to an id without a
/// mapping. Files and terminals of a user's session keep their owner, because other programs may use
/// them too. (Without a user namespace, the process itself changes the owner of its streams, and as
/// with runc also that of terminals and of files to write to.)
pub(crate) fn own_streams(plan: &Plan, proc: &Proc, pid: i32, uid: u32) -> Result<()> {
    if plan.process.terminal.is_some() || !geteuid().is_root() {
        return Ok(());
    }
    let mut owner = None;
    for (given, n) in plan.process.stdio.iter().zip(0..) {
        let stream = given.as_ref().map_or(fd::stdio(n), AsFd::as_fd);
        let st = fstat(stream).context(|| format!("stat of standard stream {n}"))?;
        if st.st_mode & libc::S_IFMT == libc::S_IFIFO {
            let owner = match owner {
                Some(owner) => owner,
                None => *owner.insert(ids::on_host(proc, pid, uid)?),
            };
            streams::own(stream, owner).context(|| format!("chown of standard stream {n}"))?;
        }
    }
    Ok(())
}

/// Sets the CPU affinity of the process. Without execCPUAffinity, the process gets all CPUs that
/// its cgroup allows: a manager that is bound to a few CPUs (systemd's CPUAffinity) must not bind
/// the container.
fn set_affinity(cpus: &[u64], pid: i32) -> Result<()> {
    if cpus.is_empty() {
        // More CPUs than any machine has; the kernel takes those that exist. A seccomp filter on
        // the runtime itself may forbid the call, which is no reason to fail.
        runtime_sys::ignore(process::set_affinity(pid, &[u64::MAX; 128]));
        return Ok(());
    }
    process::set_affinity(pid, cpus).context(|| "process.execCPUAffinity.final: sched_setaffinity")
}

/// A new CPU affinity of the calling thread, until this value is dropped. A child inherits it, so
/// that the child disturbs no other CPU before its cgroup takes effect
/// (process.execCPUAffinity.initial).
pub(crate) struct AffinityGuard {
    before: [u64; 128],
}

impl AffinityGuard {
    /// Binds the calling thread to `cpus`.
    pub(crate) fn to(cpus: &[u64]) -> Result<AffinityGuard> {
        let before = process::affinity().context(|| "sched_getaffinity")?;
        process::set_affinity(0, cpus).context(|| "process.execCPUAffinity.initial: sched_setaffinity")?;
        Ok(AffinityGuard { before })
    }

    /// Returns the first CPUs that the thread may run on, in the words of runc's debug log, which
    /// users look for.
    pub(crate) fn note(&self) -> String {
        let now = process::affinity().map_or(0, |mask| mask[0]);
        format!("for nsexec: affinity: {now:#x}")
    }
}

impl Drop for AffinityGuard {
    fn drop(&mut self) {
        runtime_sys::ignore(process::set_affinity(0, &self.before));
    }
}
