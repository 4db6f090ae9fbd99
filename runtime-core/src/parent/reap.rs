// SPDX-License-Identifier: Apache-2.0
//! Waiting for the end of a child that another process may trace. The kernel lets a parent reap a
//! traced child only after its tracer has (ptrace(2), "Death under ptrace"). The tracer may be a
//! process of the container, and may never do so. Nor does a killed child always end: a tracer can
//! stop it on its way out (PTRACE_O_TRACEEXIT), where a second SIGKILL has no effect, and a FUSE
//! file system can leave it without an answer.

use crate::path::proc::{PidFile, Proc};
use runtime_sys::process::{ExitStatus, pidfd_open, pidfd_send_signal, try_wait};
use runtime_sys::{Errno, Result, fd, ignore};
use std::os::fd::AsFd;
use std::time::Duration;

/// The number of checks whether the tracer of a process that has ended has waited for it: for 100 ms.
pub(crate) const CHECKS: u32 = 21;
/// The pause between two of these checks.
pub(crate) const PAUSE: Duration = Duration::from_millis(5);
/// The time that a child may take to end after it was killed, or after it has reported its end.
const LAST: Duration = Duration::from_secs(10);
/// The longest list of children that is read: all pids of the kernel.
const CHILDREN_MAX: usize = 64 << 20;
/// The value for no time limit in poll(2).
const NONE: i32 = -1;

/// Waits until the child `pid` has ended, and reaps it, unless its tracer keeps it.
pub(crate) fn reap(pid: i32, pidfd: impl AsFd) -> Result<ExitStatus> {
    end_of(pid, pidfd, 0, NONE)
}

/// Waits until a child has ended that has reported its end, and leaves it to be waited for again.
/// ETIMEDOUT if it has not ended.
pub(crate) fn peek(pid: i32, pidfd: impl AsFd) -> Result<ExitStatus> {
    end_of(pid, pidfd, libc::WNOWAIT, LAST.as_millis() as i32)
}

fn end_of(pid: i32, pidfd: impl AsFd, flags: i32, limit_ms: i32) -> Result<ExitStatus> {
    if let Some(status) = try_wait(&pidfd, flags)? {
        return Ok(status);
    }
    if fd::poll(&pidfd, libc::POLLIN, limit_ms)? == 0 {
        return Err(Errno::ETIMEDOUT);
    }
    for _ in 0..CHECKS {
        if let Some(status) = try_wait(&pidfd, flags)? {
            return Ok(status);
        }
        std::thread::sleep(PAUSE);
    }
    // The child has not been reaped, so the pid is not reused.
    status_of(pid)
}

/// Kills a child, and reaps it unless its tracer, or a file system, keeps it.
pub(crate) fn end(pidfd: impl AsFd) {
    // ESRCH and ECHILD: the child is gone already.
    ignore(pidfd_send_signal(&pidfd, libc::SIGKILL));
    ignore(fd::poll(&pidfd, libc::POLLIN, LAST.as_millis() as i32));
    ignore(try_wait(&pidfd, 0));
}

/// Returns the children of the calling thread. ENOENT: the kernel does not tell them (CONFIG_PROC_CHILDREN).
pub(crate) fn children() -> Result<Vec<i32>> {
    let children = Proc::host()?.open_own(c"thread-self/children", libc::O_RDONLY)?;
    let children = fd::read_all(children, CHILDREN_MAX)?;
    Ok(String::from_utf8_lossy(&children).split_whitespace().filter_map(|pid| pid.parse().ok()).collect())
}

/// Reaps the children that the calling thread has besides those of `before`, the ones that it does not
/// know. Kills those that are in the cgroup of `cgroups`, the content of a file /proc/PID/cgroup
/// (cgroups(7)), or below it.
///
/// Reaps the orphans that have ended and were given to this thread meanwhile, too, if the program is a subreaper.
pub(crate) fn end_new_children(before: &[i32], cgroups: &[u8]) -> Result<()> {
    let cgroup = cgroup2_of(cgroups).filter(|path| *path != b"/");
    for pid in children()?.into_iter().filter(|pid| !before.contains(pid)) {
        // Another part of the program can have waited for it meanwhile, so its pid can be another
        // process's. That is neither a child that has ended nor in the cgroup.
        let Ok(child) = pidfd_open(pid) else { continue };
        if !matches!(try_wait(&child, 0), Ok(None)) {
            continue;
        }
        let of_child = PidFile::new(pid, "cgroup").absolute().and_then(|path| fd::read_piece(fd::CWD, &path));
        let of_child = of_child.unwrap_or_default();
        let rest = cgroup2_of(&of_child).and_then(|path| path.strip_prefix(cgroup?));
        if rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/")) {
            end(child);
        }
    }
    Ok(())
}

/// Returns the path in the hierarchy of cgroup2.
fn cgroup2_of(cgroups: &[u8]) -> Option<&[u8]> {
    cgroups.split(|byte| *byte == b'\n').find_map(|line| line.strip_prefix(b"0::"))
}

/// Returns the exit status of a process that has ended and has not been reaped. EACCES: the caller
/// may not inspect the process (ptrace(2), PTRACE_MODE_READ_FSCREDS).
pub(crate) fn status_of(pid: i32) -> Result<ExitStatus> {
    // Without that right the kernel prints 0 in place of the status, and refuses to read this link.
    fd::readlink(fd::CWD, &PidFile::new(pid, "ns/user").absolute()?, &mut [0; 64])?;
    let text = fd::read_piece(fd::CWD, &PidFile::new(pid, "stat").absolute()?)?;
    parse_status(&text).ok_or(Errno::EBADMSG)
}

/// Returns field 52 of /proc/PID/stat (proc(5)), the exit status in the format of wait(2). See
/// [`parse_stat`](crate::state::process::parse_stat) for the number of the field.
fn parse_status(stat: &[u8]) -> Option<ExitStatus> {
    let rest = stat.get(stat.iter().rposition(|b| *b == b')')? + 2..)?;
    let status = std::str::from_utf8(rest.trim_ascii_end().split(|b| *b == b' ').nth(49)?).ok()?;
    let status: i32 = status.parse().ok()?;
    Some(ExitStatus::from_wait(status))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exit_status_is_field_52() {
        let stat = |status: i32| {
            let fields: String = (4..52).map(|n| format!(" {n}")).collect();
            format!("7 (x) Z 1) Z{fields} {status}\n").into_bytes()
        };
        assert_eq!(parse_status(&stat(0)), Some(ExitStatus::Exited(0)));
        assert_eq!(parse_status(&stat(7 << 8)), Some(ExitStatus::Exited(7)));
        assert_eq!(parse_status(&stat(libc::SIGKILL)), Some(ExitStatus::Signaled(libc::SIGKILL)));
        assert_eq!(parse_status(&stat(0x80 | libc::SIGSEGV)), Some(ExitStatus::Signaled(libc::SIGSEGV)));
        for broken in [&b""[..], b"7 (x)", b"7 (x) Z 1 2 3"] {
            assert_eq!(parse_status(broken), None);
        }
    }
}
