// SPDX-License-Identifier: Apache-2.0
//! Processes: pidfds, waiting, limits, scheduling, memory policy, personality.

use super::ioctl::{self, PidfdInfo};
use super::result::{Result, check, done, new_fd};
use nix::errno::Errno;
use nix::sys::personality::{self, Persona};
use nix::sys::signal::Signal;
use std::ffi::CString;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::ptr;

/// `int pidfd_open(pid_t pid, unsigned flags)`, since 5.3. Opens a pidfd of a process. ESRCH: the
/// process does not exist.
pub fn pidfd_open(pid: i32) -> Result<OwnedFd> {
    // SAFETY: integers only, so the kernel gets no pointer.
    match new_fd(unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) }) {
        // The process is gone, but its number is still the id of a session or process group,
        // or has become that of another process's thread.
        // KERNEL(6.15): ENOENT for a thread, ESRCH for the rest.
        Err(Errno::EINVAL | Errno::ENOENT) if pid > 0 => Err(Errno::ESRCH),
        other => other,
    }
}

/// Prepares a command that runs for the calling program, such as a hook. The command inherits
/// the standard descriptors only. Otherwise it would keep open what the calling program was
/// started with, for example a listening socket. The command starts with the signal mask that
/// the calling thread had before [`take_all`](super::signal::take_all), and is killed when that
/// thread ends (PR_SET_PDEATHSIG).
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
        // Closed only at execve(2): std reports a failure of execve(2) through one of them.
        super::fd::close_range(3, i32::MAX, libc::CLOSE_RANGE_CLOEXEC).map_err(Into::into)
    };
    // SAFETY: `prepare` makes system calls only, without the heap or a lock, so it may run after a
    // fork. It changes only the state of the child.
    unsafe { std::os::unix::process::CommandExt::pre_exec(command, prepare) };
}

/// The descriptors, the root and the directory of a program that [`start_engine`] prepares.
#[derive(Debug)]
pub struct Engine {
    /// Descriptors that the command inherits, under their present numbers.
    pub inherited: Vec<OwnedFd>,
    /// A detached mount, and the path at which it is attached in a mount namespace that only the
    /// command has.
    pub mount: Option<(OwnedFd, CString)>,
    /// Puts the command into a process group of its own, so that the terminal of the calling
    /// program does not send it signals.
    pub apart: bool,
}

/// Prepares a command that works on other processes, and that undoes its work itself when the
/// calling program ends: it is not killed with the calling thread, unlike a command of
/// [`start_clean`], and ignores SIGPIPE. It inherits the standard descriptors and those of `engine`.
/// It starts with the signal mask that the calling thread had before
/// [`take_all`](super::signal::take_all). In a mount namespace of its own, all mounts are slaves of
/// the caller's.
pub fn start_engine(command: &mut std::process::Command, engine: Engine) {
    let mask = super::signal::mask_of_caller();
    let prepare = move || {
        if let Some(mask) = mask {
            super::signal::set_mask(mask);
        }
        super::signal::ignore_pipe_in_child();
        if engine.apart {
            nix::unistd::setpgid(nix::unistd::Pid::from_raw(0), nix::unistd::Pid::from_raw(0))?;
        }
        if let Some((tree, path)) = &engine.mount {
            super::ns::unshare(libc::CLONE_NEWNS)?;
            super::mount::set_propagation(c"/", libc::MS_REC | libc::MS_SLAVE)?;
            super::mount::attach_at(tree, super::fd::CWD, path)?;
        }
        // Closed only at execve(2): std reports a failure of execve(2) through one of them.
        super::fd::close_range(3, i32::MAX, libc::CLOSE_RANGE_CLOEXEC)?;
        for fd in &engine.inherited {
            nix::fcntl::fcntl(fd, nix::fcntl::FcntlArg::F_SETFD(nix::fcntl::FdFlag::empty()))?;
        }
        Ok(())
    };
    // SAFETY: `prepare` makes system calls only, without the heap or a lock, so it may run after a
    // fork. It changes only the state of the child.
    unsafe { std::os::unix::process::CommandExt::pre_exec(command, prepare) };
}

/// Prepares a command that inherits `fds` as its descriptors 3, 4, ..., besides the standard ones, and
/// runs until it ends by itself.
///
/// The calling program must have these numbers in use for other files, and keep them until the command
/// has started: std reports a failure of execve(2) through a descriptor, which must not be one of them.
/// EBUSY: a number is free.
pub fn pass_fds(command: &mut std::process::Command, fds: Vec<OwnedFd>) -> Result<()> {
    const FIRST: i32 = 3;
    let beyond = FIRST + i32::try_from(fds.len()).map_err(|_too_many| Errno::EMFILE)?;
    if !(FIRST..beyond).all(super::fd::is_open) {
        return Err(Errno::EBUSY);
    }
    let above = fds.iter().map(|fd| super::fd::duplicate_above(fd, beyond)).collect::<Result<Vec<_>>>()?;
    let prepare = move || {
        for (fd, number) in above.iter().zip(FIRST..) {
            super::fd::dup_onto(fd, number)?;
        }
        super::fd::close_range(beyond, i32::MAX, libc::CLOSE_RANGE_CLOEXEC).map_err(Into::into)
    };
    // SAFETY: `prepare` makes system calls only, without the heap or a lock, so it may run after a
    // fork. It changes only the state of the child, in which no owner of a replaced descriptor runs.
    unsafe { std::os::unix::process::CommandExt::pre_exec(command, prepare) };
    Ok(())
}

/// `int prctl(PR_SCHED_CORE, PR_SCHED_CORE_CREATE, 0, PIDTYPE_PGID, NULL)`, since 5.14 with
/// CONFIG_SCHED_CORE. Gives the caller's process group a new core scheduling cookie, which later
/// children inherit: only processes with the same cookie run on a core at the same time. EINVAL: the
/// kernel has none; ENODEV: no core has more than one thread.
pub fn create_core_cookie() -> Result<()> {
    // SAFETY: integers only, so the kernel gets no pointer.
    done(unsafe {
        libc::syscall(
            libc::SYS_prctl,
            libc::PR_SCHED_CORE,
            libc::PR_SCHED_CORE_CREATE,
            0,
            libc::PR_SCHED_CORE_SCOPE_PROCESS_GROUP,
            0,
        )
    })
}

/// `int kill(-pgid, int sig)`: sends a signal to all processes of a process group. ESRCH: the group
/// has none.
pub fn kill_group(pgid: i32, signal: i32) -> Result<()> {
    // kill(-1) would signal all processes, and kill(0) the caller's process group.
    if pgid <= 1 {
        return Err(Errno::ESRCH);
    }
    // SAFETY: integers only, so the kernel gets no pointer.
    done(unsafe { libc::syscall(libc::SYS_kill, -pgid, signal) })
}

/// `int pidfd_send_signal(int pidfd, int sig, NULL, 0)`, since 5.1. ESRCH: the process is gone.
pub fn pidfd_send_signal(pidfd: impl AsFd, signal: i32) -> Result<()> {
    let no_info = ptr::null::<libc::siginfo_t>();
    // SAFETY: the siginfo is null, so the kernel reads nothing and makes the one of kill(2).
    done(unsafe { libc::syscall(libc::SYS_pidfd_send_signal, pidfd.as_fd().as_raw_fd(), signal, no_info, 0) })
}

/// `int pidfd_getfd(int pidfd, int fd, unsigned flags)`, since 5.6. Duplicates a
/// descriptor of another process. EBADF: that process does not have the descriptor (yet).
pub fn pidfd_getfd(pidfd: impl AsFd, fd: i32) -> Result<OwnedFd> {
    // SAFETY: integers only, so the kernel gets no pointer.
    new_fd(unsafe { libc::syscall(libc::SYS_pidfd_getfd, pidfd.as_fd().as_raw_fd(), fd, 0) })
}

/// The exit status of a child.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitStatus {
    /// The child called exit with this status.
    Exited(i32),
    /// This signal ended the child.
    Signaled(i32),
}

impl ExitStatus {
    /// Converts a status in the format of wait(2), of a process that has ended.
    pub fn from_wait(status: i32) -> Self {
        match status & 0x7f {
            0 => ExitStatus::Exited(status >> 8 & 0xff),
            signal => ExitStatus::Signaled(signal),
        }
    }

    /// Returns the status as a shell does: 128 + N for signal N.
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

/// `int waitid(P_PIDFD, int pidfd, siginfo_t *info, WEXITED | flags)`, since 5.4.
/// Waits until a child has ended, and returns its exit status. ECHILD: the process is
/// not a child of the caller, or has already been reaped.
pub fn wait(pidfd: impl AsFd, flags: i32) -> Result<ExitStatus> {
    loop {
        if let Some(status) = waitid(&pidfd, flags)? {
            return Ok(status);
        }
    }
}

/// `int ioctl(int pidfd, PIDFD_GET_INFO, struct pidfd_info *info)` with PIDFD_INFO_EXIT, since 6.15:
/// returns the exit status of a process that has been reaped, by whichever process. `None`: it has not
/// been reaped, or the kernel is older.
pub fn exit_of_reaped(pidfd: impl AsFd) -> Result<Option<ExitStatus>> {
    let exit = u64::from(libc::PIDFD_INFO_EXIT);
    let mut info = PidfdInfo { mask: exit, ..PidfdInfo::default() };
    match ioctl::pointer(pidfd, ioctl::PIDFD_INFO, &mut info) {
        Ok(()) => Ok((info.mask & exit != 0).then(|| ExitStatus::from_wait(info.exit_code))),
        // KERNEL(6.15): before 6.13 there is no such request, before 6.15 none for a reaped process.
        Err(Errno::ENOTTY | Errno::EINVAL | Errno::ESRCH) => Ok(None),
        Err(errno) => Err(errno),
    }
}

/// Reaps a child that has ended, as [`wait`] does but with WNOHANG. Returns `None` if the child
/// has not ended, or has a tracer that has not reaped it yet.
pub fn try_wait(pidfd: impl AsFd, flags: i32) -> Result<Option<ExitStatus>> {
    waitid(&pidfd, flags | libc::WNOHANG)
}

/// `int waitid(P_PIDFD, id_t pidfd, siginfo_t *info, WEXITED | __WALL | flags, NULL)`: tries again
/// after EINTR. nix's waitid does not know real-time signals.
fn waitid(pidfd: &impl AsFd, flags: i32) -> Result<Option<ExitStatus>> {
    /// The fields of a siginfo_t that the kernel writes for waitid(2), padded to its full size.
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
        // SAFETY: `info` has the size of a siginfo_t (asserted above), and any bytes are a valid
        // `ChildInfo`. The rusage is null, so the kernel writes none.
        done(unsafe { libc::syscall(libc::SYS_waitid, libc::P_PIDFD, pidfd, &raw mut info, flags, no_usage) })
    })?;
    Ok(match info.code {
        0 => None,
        libc::CLD_EXITED => Some(ExitStatus::Exited(info.status)),
        _ => Some(ExitStatus::Signaled(info.status)),
    })
}

/// `int prlimit(pid_t pid, resource, const struct rlimit *new, NULL)`: sets a limit.
/// EPERM: the hard limit is raised without CAP_SYS_RESOURCE.
pub fn set_rlimit(pid: i32, resource: u32, soft: u64, hard: u64) -> Result<()> {
    let limit = libc::rlimit64 { rlim_cur: soft, rlim_max: hard };
    prlimit(pid, resource, Some(&limit), None)
}

/// `int prlimit(0, resource, NULL, struct rlimit *old)`: returns the soft and the hard
/// limit of the calling process.
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
    // SAFETY: each pointer is to a whole rlimit64, borrowed during the call (`old` exclusively), or
    // null, which the kernel does not follow.
    done(unsafe { libc::syscall(libc::SYS_prlimit64, pid, resource, new, old) })
}

/// `struct sched_attr` of sched_setattr(2), in its first version.
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
    // SAFETY: the kernel reads as many bytes of `attr` as its `size` says, which is set above.
    done(unsafe { libc::syscall(libc::SYS_sched_setattr, pid, &raw const attr, 0) })
}

/// `int sched_setaffinity(pid, size_t size, const cpu_set_t *mask)`: takes a mask of any
/// length. CPU n is bit n % 64 of word n / 64.
pub fn set_affinity(pid: i32, mask: &[u64]) -> Result<()> {
    // SAFETY: the pointer and the size are those of one slice, which the kernel only reads.
    done(unsafe { libc::syscall(libc::SYS_sched_setaffinity, pid, size_of_val(mask), mask.as_ptr()) })
}

/// `int sched_getaffinity(0, size_t size, cpu_set_t *mask)`: returns the mask of the calling thread.
pub fn affinity() -> Result<[u64; 128]> {
    let mut mask = [0_u64; 128];
    // SAFETY: the pointer and the size are those of `mask`, which the kernel only writes.
    done(unsafe { libc::syscall(libc::SYS_sched_getaffinity, 0, size_of_val(&mask), mask.as_mut_ptr()) })?;
    Ok(mask)
}

/// `int ioprio_set(IOPRIO_WHO_PGRP, pgid, int ioprio)`: sets the priority of a process group.
pub fn set_io_priority(pgid: i32, ioprio: u16) -> Result<()> {
    const IOPRIO_WHO_PGRP: i32 = 2;
    // SAFETY: integers only, so the kernel gets no pointer.
    done(unsafe { libc::syscall(libc::SYS_ioprio_set, IOPRIO_WHO_PGRP, pgid, i32::from(ioprio)) })
}

/// `int set_mempolicy(int mode, const unsigned long *nodes, unsigned long maxnode)`
pub fn set_mempolicy(mode: i32, nodes: &[u64]) -> Result<()> {
    // The kernel reads maxnode - 1 bits (set_mempolicy(2), "historical").
    let bits = if nodes.is_empty() { 0 } else { nodes.len() * 64 + 1 };
    let nodes = if nodes.is_empty() { ptr::null() } else { nodes.as_ptr() };
    // SAFETY: the kernel reads one bit less than `bits`, which is the size of the slice, or nothing
    // of a null pointer with the length 0.
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
    // SAFETY: `map` is a whole prctl_mm_map, of the size that is passed. The kernel checks the
    // addresses in it and only stores them: only /proc and brk(2) use them.
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
