// SPDX-License-Identifier: Apache-2.0
//! Processes: pidfds, waiting, limits, scheduling, memory policy, personality.

use super::{Result, check, done, new_fd};
use nix::errno::Errno;
use nix::sys::personality::{self, Persona};
use nix::sys::signal::Signal;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::ptr;

/// `int pidfd_open(pid_t pid, unsigned flags)`, since 5.3. ESRCH: no such process.
pub fn pidfd_open(pid: i32) -> Result<OwnedFd> {
    // SAFETY: plain integers.
    match new_fd(unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) }) {
        // The process is gone, but its number is that of a session or a group
        // that lives on, or of another process's thread.
        // KERNEL(6.15): ENOENT for a thread, ESRCH for the rest.
        Err(Errno::EINVAL | Errno::ENOENT) if pid > 0 => Err(Errno::ESRCH),
        other => other,
    }
}

/// Lets a program that works for the caller inherit its standard descriptors only: what
/// the caller of ours has left open, a socket that it listens on, say, would live as
/// long. It starts with the signal mask that the calling thread had before
/// [`take_all`](super::signal::take_all) took its signals, and is killed when that thread ends.
pub fn start_clean(command: &mut std::process::Command) {
    let mask = super::signal::mask_of_caller();
    let parent = std::process::id() as i32;
    let prepare = move || {
        nix::sys::prctl::set_pdeathsig(Signal::SIGKILL)?;
        if nix::unistd::getppid().as_raw() != parent {
            return Err(Errno::ESRCH.into());
        }
        if let Some(mask) = mask {
            super::signal::set_mask(mask);
        }
        // Not closed yet: std tells of a failing execve(2) by one of them.
        super::fd::close_range(3, i32::MAX, libc::CLOSE_RANGE_CLOEXEC).map_err(Into::into)
    };
    // SAFETY: system calls, no heap, no lock. All that they change is the child's own.
    unsafe { std::os::unix::process::CommandExt::pre_exec(command, prepare) };
}

/// `int kill(-pgid, int sig)`: to all processes of a group. ESRCH: there are none.
pub fn kill_group(pgid: i32, signal: i32) -> Result<()> {
    // kill(-1) and kill(0) mean others.
    if pgid <= 1 {
        return Err(Errno::ESRCH);
    }
    // SAFETY: plain integers.
    done(unsafe { libc::syscall(libc::SYS_kill, -pgid, signal) })
}

/// `int pidfd_send_signal(int pidfd, int sig, NULL, 0)`, since 5.1. ESRCH: it is gone.
pub fn pidfd_send_signal(pidfd: impl AsFd, signal: i32) -> Result<()> {
    let no_info = ptr::null::<libc::siginfo_t>();
    // SAFETY: a null siginfo means the one that kill(2) would send.
    done(unsafe { libc::syscall(libc::SYS_pidfd_send_signal, pidfd.as_fd().as_raw_fd(), signal, no_info, 0) })
}

/// `int pidfd_getfd(int pidfd, int fd, unsigned flags)`, since 5.6: our copy of
/// another process's descriptor. EBADF: it has no such descriptor (yet).
pub fn pidfd_getfd(pidfd: impl AsFd, fd: i32) -> Result<OwnedFd> {
    // SAFETY: plain integers.
    new_fd(unsafe { libc::syscall(libc::SYS_pidfd_getfd, pidfd.as_fd().as_raw_fd(), fd, 0) })
}

/// How a child ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitStatus {
    /// It called exit with this status.
    Exited(i32),
    /// This signal ended it.
    Signaled(i32),
}

impl ExitStatus {
    /// The status as a shell reports it: 128 + N for signal N.
    pub fn code(self) -> i32 {
        match self {
            ExitStatus::Exited(status) => status,
            ExitStatus::Signaled(signal) => 128 + signal,
        }
    }
}

impl std::fmt::Display for ExitStatus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            ExitStatus::Exited(status) => write!(f, "exit status {status}"),
            ExitStatus::Signaled(signal) => write!(f, "signal: {}", super::signal::describe(*signal)),
        }
    }
}

/// `int waitid(P_PIDFD, int pidfd, siginfo_t *info, WEXITED | flags)`, since
/// 5.4: how a child ended. ECHILD: not our child, or already waited for.
pub fn wait(pidfd: impl AsFd, flags: i32) -> Result<ExitStatus> {
    loop {
        if let Some(status) = waitid(&pidfd, flags)? {
            return Ok(status);
        }
    }
}

/// As [`wait`], with WNOHANG: `None` if it has not ended, or has a tracer that has not
/// waited for it.
pub fn try_wait(pidfd: impl AsFd, flags: i32) -> Result<Option<ExitStatus>> {
    waitid(&pidfd, flags | libc::WNOHANG)
}

/// `int waitid(P_PIDFD, id_t pidfd, siginfo_t *info, WEXITED | __WALL | flags, NULL)`, again after
/// EINTR. nix's knows no real-time signal.
fn waitid(pidfd: &impl AsFd, flags: i32) -> Result<Option<ExitStatus>> {
    /// What the kernel writes of a siginfo_t, and the room for a whole one.
    #[repr(C)]
    #[derive(Default)]
    struct ChildInfo {
        signal: i32,
        errno: i32,
        /// CLD_* of waitid(2). With WNOHANG, 0 if no child has ended.
        code: i32,
        padding: i32,
        pid: i32,
        uid: u32,
        status: i32,
        rest: [u32; 25],
    }
    const { assert!(size_of::<ChildInfo>() == size_of::<libc::siginfo_t>()) };
    let (pidfd, flags) = (pidfd.as_fd().as_raw_fd(), libc::WEXITED | libc::__WALL | flags);
    let mut info = ChildInfo::default();
    super::fd::again(|| {
        let no_usage = ptr::null::<libc::rusage>();
        // SAFETY: `info` has room for a siginfo_t, any bytes are one; no usage is asked for.
        done(unsafe { libc::syscall(libc::SYS_waitid, libc::P_PIDFD, pidfd, &raw mut info, flags, no_usage) })
    })?;
    Ok(match info.code {
        0 => None,
        libc::CLD_EXITED => Some(ExitStatus::Exited(info.status)),
        _ => Some(ExitStatus::Signaled(info.status)),
    })
}

/// `int prlimit(pid_t pid, resource, const struct rlimit *new, NULL)`: EPERM:
/// raising the hard limit needs CAP_SYS_RESOURCE.
pub fn set_rlimit(pid: i32, resource: u32, soft: u64, hard: u64) -> Result<()> {
    let limit = libc::rlimit64 { rlim_cur: soft, rlim_max: hard };
    prlimit(pid, resource, Some(&limit), None)
}

/// `int prlimit(0, resource, NULL, struct rlimit *old)`: the soft and the hard limit of
/// the calling process.
pub fn own_rlimit_of(resource: u32) -> Result<(u64, u64)> {
    let mut limit = libc::rlimit64 { rlim_cur: 0, rlim_max: 0 };
    prlimit(0, resource, None, Some(&mut limit))?;
    Ok((limit.rlim_cur, limit.rlim_max))
}

/// `int prlimit(pid_t pid, resource, const struct rlimit *new, struct rlimit *old)`
fn prlimit(
    pid: i32,
    resource: u32,
    new: Option<&libc::rlimit64>,
    old: Option<&mut libc::rlimit64>,
) -> Result<()> {
    let (new, old) = (new.map_or(ptr::null(), ptr::from_ref), old.map_or(ptr::null_mut(), ptr::from_mut));
    // SAFETY: both are whole rlimit64s, or null, which asks for nothing.
    done(unsafe { libc::syscall(libc::SYS_prlimit64, pid, resource, new, old) })
}

/// `struct sched_attr` of sched_setattr(2), its first version.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)] // The names are the kernel's.
pub struct SchedAttr {
    pub size: u32,
    pub policy: u32,
    pub flags: u64,
    pub nice: i32,
    pub priority: u32,
    pub runtime: u64,
    pub deadline: u64,
    pub period: u64,
}

/// `int sched_setattr(pid_t pid, struct sched_attr *attr, 0)`
pub fn set_scheduler(pid: i32, attr: &SchedAttr) -> Result<()> {
    let attr = SchedAttr { size: size_of::<SchedAttr>() as u32, ..*attr };
    // SAFETY: `attr` is a whole sched_attr that names its size.
    done(unsafe { libc::syscall(libc::SYS_sched_setattr, pid, &raw const attr, 0) })
}

/// `int sched_setaffinity(pid, size_t size, const cpu_set_t *mask)` with a mask
/// of any length: bit n of word n/64 for CPU n.
pub fn set_affinity(pid: i32, mask: &[u64]) -> Result<()> {
    // SAFETY: the mask is valid for reads of its length.
    done(unsafe { libc::syscall(libc::SYS_sched_setaffinity, pid, size_of_val(mask), mask.as_ptr()) })
}

/// `int sched_getaffinity(0, size_t size, cpu_set_t *mask)` of the calling thread.
pub fn affinity() -> Result<[u64; 128]> {
    let mut mask = [0_u64; 128];
    // SAFETY: the mask is valid for writes of its length.
    done(unsafe { libc::syscall(libc::SYS_sched_getaffinity, 0, size_of_val(&mask), mask.as_mut_ptr()) })?;
    Ok(mask)
}

/// `int ioprio_set(IOPRIO_WHO_PGRP, pgid, int ioprio)`: of a process group.
pub fn set_io_priority(pgid: i32, ioprio: u16) -> Result<()> {
    const IOPRIO_WHO_PGRP: i32 = 2;
    // SAFETY: plain integers.
    done(unsafe { libc::syscall(libc::SYS_ioprio_set, IOPRIO_WHO_PGRP, pgid, i32::from(ioprio)) })
}

/// `int set_mempolicy(int mode, const unsigned long *nodes, unsigned long maxnode)`
pub fn set_mempolicy(mode: i32, nodes: &[u64]) -> Result<()> {
    // The kernel reads maxnode - 1 bits (set_mempolicy(2), "historical").
    let bits = if nodes.is_empty() { 0 } else { nodes.len() * 64 + 1 };
    let nodes = if nodes.is_empty() { ptr::null() } else { nodes.as_ptr() };
    // SAFETY: the mask is valid for reads of its length, or null with length 0.
    done(unsafe { libc::syscall(libc::SYS_set_mempolicy, mode, nodes, bits) })
}

/// `int personality(unsigned long persona)`
pub fn set_personality(persona: u32) -> Result<()> {
    personality::set(Persona::from_bits_retain(persona as i32)).map(drop)
}

/// `int prctl(PR_SET_MM, PR_SET_MM_MAP, struct prctl_mm_map *map, size_t size)`,
/// since 3.18 with CONFIG_CHECKPOINT_RESTORE. See `boundary::seal`.
pub fn set_mm_map(map: &MmMap) -> Result<()> {
    const PR_SET_MM_MAP: libc::c_ulong = 14;
    // SAFETY: a whole prctl_mm_map; the kernel checks every address in it and
    // only stores them (they matter to /proc and to brk(2) alone).
    check(unsafe {
        libc::syscall(
            libc::SYS_prctl,
            libc::PR_SET_MM,
            PR_SET_MM_MAP,
            ptr::from_ref(map),
            size_of::<MmMap>(),
            0,
        )
    })
    .map(drop)
}

/// `struct prctl_mm_map` of prctl(2).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)] // The names are the kernel's.
pub struct MmMap {
    pub start_code: u64,
    pub end_code: u64,
    pub start_data: u64,
    pub end_data: u64,
    pub start_brk: u64,
    pub brk: u64,
    pub start_stack: u64,
    pub arg_start: u64,
    pub arg_end: u64,
    pub env_start: u64,
    pub env_end: u64,
    pub auxv: u64,
    pub auxv_size: u32,
    pub exe_fd: u32,
}
