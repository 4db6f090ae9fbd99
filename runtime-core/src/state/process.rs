// SPDX-License-Identifier: Apache-2.0
//! Identification of processes by pid and start time, safe against pid reuse.

use crate::error::{Context, Error, ErrorKind, Result};
use crate::path::proc::PidFile;
use runtime_sys::{Errno, dir, fd, process};
use serde::{Deserialize, Serialize};
use std::ffi::CString;
use std::os::fd::{AsFd, OwnedFd};

/// A pid with the start time of its process. The pair is unique until the next boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ProcessId {
    #[serde(rename = "init_process_pid")]
    pub(crate) pid: i32,
    /// The start time in clock ticks since boot.
    #[serde(rename = "init_process_start")]
    pub(crate) start: u64,
}

impl ProcessId {
    /// Identifies a process whose pid cannot be reused during the call: a child that was not waited
    /// for.
    pub(crate) fn of(pid: i32) -> Result<Self> {
        match stat(pid)? {
            Some(Stat { start, .. }) => Ok(ProcessId { pid, start }),
            None => Err(Error::os(Errno::ESRCH, format!("read {}", PidFile::new(pid, "stat")))),
        }
    }

    /// Returns whether the process is alive: its pid exists, is not a zombie, and was not reused.
    pub(crate) fn is_alive(&self) -> Result<bool> {
        let Some(stat) = stat(self.pid)? else { return self.is_hidden().map(|()| false) };
        match Some(stat).filter(|stat| stat.start == self.start) {
            None | Some(Stat { state: b'X', .. }) => Ok(false),
            Some(Stat { state: b'Z', .. }) => self.has_threads(),
            Some(_) => Ok(true),
        }
    }

    /// Returns whether the process has ended and has not been reaped.
    pub(crate) fn is_zombie(&self) -> Result<bool> {
        Ok(stat(self.pid)?.is_some_and(|stat| stat.start == self.start && stat.state == b'Z'))
    }

    /// Returns whether the process has executed a program yet.
    pub(crate) fn execution(&self) -> Result<Execution> {
        /// "Forked but didn't exec" (include/linux/sched.h).
        const PF_FORKNOEXEC: u32 = 0x40;
        Ok(match stat(self.pid)?.filter(|stat| stat.start == self.start) {
            None | Some(Stat { state: b'X' | b'Z', .. }) => Execution::Ended,
            Some(stat) if stat.flags & PF_FORKNOEXEC != 0 => Execution::ToCome,
            Some(_) => Execution::Done,
        })
    }

    /// Returns whether a process whose main thread has ended still has other threads
    /// (pthread_exit(3) in main). /proc/PID/stat shows such a process as a zombie.
    fn has_threads(&self) -> Result<bool> {
        let pidfd = match process::pidfd_open(self.pid) {
            Err(Errno::ESRCH) => return Ok(false),
            other => other.context(|| format!("pidfd_open {}", self.pid))?,
        };
        // Make sure that the pidfd refers to the same process.
        let same = stat(self.pid)?.is_some_and(|stat| stat.start == self.start);
        Ok(same && !await_end(&pidfd, 0)?)
    }

    /// Fails if a process with the pid exists although /proc has no entry for it: the host has no
    /// procfs at /proc, or hides the processes of other users (`hidepid`).
    fn is_hidden(&self) -> Result<()> {
        let Ok(pidfd) = process::pidfd_open(self.pid) else { return Ok(()) };
        // The process started or ended between the two checks.
        if stat(self.pid)?.is_some() || await_end(&pidfd, 0)? {
            return Ok(());
        }
        let text = format!("process {} lives, but there is no /proc/{}", self.pid, self.pid);
        Err(Error::new(ErrorKind::System, text)
            .with_hint("procfs is not mounted at /proc, or hides processes of other users (hidepid)"))
    }

    /// Returns a pidfd of the process; `None` if it is not alive.
    pub(crate) fn open(&self) -> Result<Option<OwnedFd>> {
        if self.pid <= 0 {
            return Ok(None);
        }
        // The pidfd is opened first: the process that it refers to cannot change after the check.
        let pidfd = match process::pidfd_open(self.pid) {
            Err(Errno::ESRCH) => return Ok(None),
            other => other.context(|| format!("pidfd_open {}", self.pid))?,
        };
        Ok(self.is_alive()?.then_some(pidfd))
    }

    /// Sends the process a signal; false if the process is not alive.
    pub(crate) fn signal(&self, signal: i32) -> Result<bool> {
        let Some(pidfd) = self.open()? else { return Ok(false) };
        match process::pidfd_send_signal(&pidfd, signal) {
            Ok(()) => Ok(true),
            Err(Errno::ESRCH) => Ok(false),
            Err(errno) => Err(Error::os(errno, format!("pidfd_send_signal {signal} to {}", self.pid))),
        }
    }
}

/// Kills the tracers of process `pid`, which was killed and does not end: a tracer can stop a
/// process during its exit (PTRACE_O_TRACEEXIT, ptrace(2)). `pidfd` refers to the same process.
///
/// A tracer on the host is a debugger, or the parent of a process that called PTRACE_TRACEME.
/// So only tracers in the process's own pid namespace are killed, and none if that namespace
/// is also the runtime's.
pub(crate) fn end_tracers(pid: i32, pidfd: &OwnedFd) -> Result<()> {
    let namespace = pid_namespace_of(pid)?;
    if namespace.is_none() || namespace == pid_namespace_of(std::process::id() as i32)? {
        return Ok(());
    }
    end_tracers_within(namespace, pid, pidfd)
}

fn end_tracers_within(namespace: Option<u64>, pid: i32, pidfd: &OwnedFd) -> Result<()> {
    /// The limit of the chain of tracers: a tracer may be kept from ending by its own tracer.
    const CHAIN_MAX: usize = 64;
    const PATIENCE_MS: i32 = 100;
    let mut held: Option<(i32, OwnedFd)> = None;
    for _ in 0..CHAIN_MAX {
        let (traced, traced_fd) = held.as_ref().map_or((pid, pidfd), |(pid, pidfd)| (*pid, pidfd));
        let Some(tracer) = tracer_of(traced)? else { return Ok(()) };
        let tracer_fd = match process::pidfd_open(tracer.process) {
            Err(Errno::ESRCH) => continue,
            other => other.context(|| format!("pidfd_open {}", tracer.process))?,
        };
        // The pid was not reused if the tracer is unchanged after its pidfd was opened.
        if tracer_of(traced)? != Some(tracer) {
            continue;
        }
        if pid_namespace_of(tracer.process)? != namespace {
            return Ok(());
        }
        // If the traced process has not ended yet, its pid was not reused during these checks.
        if await_end(traced_fd, 0)? {
            return Ok(());
        }
        runtime_sys::ignore(process::pidfd_send_signal(&tracer_fd, libc::SIGKILL));
        if !await_end(&tracer_fd, PATIENCE_MS)? {
            held = Some((tracer.process, tracer_fd));
        }
    }
    Ok(())
}

/// A thread that traces another thread, with the process that the tracing thread belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Tracer {
    thread: i32,
    process: i32,
}

/// Returns the tracer of the first traced thread of process `pid`.
fn tracer_of(pid: i32) -> Result<Option<Tracer>> {
    let file = PidFile::new(pid, "task");
    let open = |path: CString| fd::open(fd::CWD, &path, libc::O_RDONLY | libc::O_DIRECTORY, 0);
    let threads = match file.absolute().and_then(open).and_then(dir::entries) {
        Err(Errno::ENOENT | Errno::ESRCH) => return Ok(None),
        other => other.context(|| format!("read {file}"))?,
    };
    for thread in threads.iter().filter_map(|thread| thread.name.to_str().ok()?.parse().ok()) {
        let Some(tracer) = number_in_status(thread, "TracerPid")?.filter(|thread| *thread > 0) else {
            continue;
        };
        // pidfd_open(2) takes the pid of a process, not the id of a thread.
        if let Some(process) = number_in_status(tracer, "Tgid")? {
            return Ok(Some(Tracer { thread: tracer, process }));
        }
    }
    Ok(None)
}

/// Returns a number from the status of a thread (proc_pid_status(5)); `None` if the thread has
/// ended.
fn number_in_status(thread: i32, key: &str) -> Result<Option<i32>> {
    let file = PidFile::new(thread, "status");
    match file.absolute().and_then(|path| fd::read_piece(fd::CWD, &path)) {
        Ok(text) => Ok(parse_number(&String::from_utf8_lossy(&text), key)),
        Err(Errno::ENOENT | Errno::ESRCH) => Ok(None),
        Err(errno) => Err(Error::os(errno, format!("read {file}"))),
    }
}

fn parse_number(status: &str, key: &str) -> Option<i32> {
    status.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':')?.trim().parse().ok())
}

/// Returns the inode number of the process's pid namespace; `None` if the process has ended or
/// the caller has no permission.
fn pid_namespace_of(pid: i32) -> Result<Option<u64>> {
    let file = PidFile::new(pid, "ns/pid");
    match file.absolute().and_then(|path| fd::stat_at(fd::CWD, &path, 0)) {
        Ok(st) => Ok(Some(st.st_ino)),
        Err(Errno::ENOENT | Errno::ESRCH | Errno::EACCES | Errno::EPERM) => Ok(None),
        Err(errno) => Err(Error::os(errno, format!("stat {file}"))),
    }
}

/// Returns whether a process is stopped by a signal or a tracer. Its pid must not be reused
/// during the call.
pub(crate) fn is_halted(pid: i32) -> Result<bool> {
    Ok(stat(pid)?.is_some_and(|stat| matches!(stat.state, b'T' | b't')))
}

/// The progress of a process that is going to execute a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Execution {
    ToCome,
    Done,
    /// The process has ended, with or without having executed a program.
    Ended,
}

/// Waits at most `limit_ms` until the process of a pidfd has ended, and returns whether it has.
pub(crate) fn await_end(pidfd: impl AsFd, limit_ms: i32) -> Result<bool> {
    Ok(fd::poll(pidfd, libc::POLLIN, limit_ms).context(|| "poll pidfd")? != 0)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stat {
    state: u8,
    flags: u32,
    start: u64,
}

fn stat(pid: i32) -> Result<Option<Stat>> {
    let mut text = [0; 1024];
    let path = PidFile::new(pid, "stat");
    let read = path
        .absolute()
        .and_then(|path| fd::open(fd::CWD, &path, libc::O_RDONLY, 0))
        .and_then(|file| fd::read(file, &mut text));
    match read {
        Ok(n) => Ok(parse_stat(text.get(..n).unwrap_or_default())),
        Err(Errno::ENOENT | Errno::ESRCH) => Ok(None),
        Err(errno) => Err(Error::os(errno, format!("read {path}"))),
    }
}

/// Parses fields 3, 9 and 22 of /proc/PID/stat (proc(5)). Fields are counted from the last
/// parenthesis, because the process name before it may contain any character.
pub(crate) fn parse_stat(text: &[u8]) -> Option<Stat> {
    let rest = text.get(text.iter().rposition(|b| *b == b')')? + 2..)?;
    let mut fields = rest.split(|b| *b == b' ');
    let number = |field: &[u8]| std::str::from_utf8(field).ok()?.parse::<u64>().ok();
    let state = *fields.next()?.first()?;
    let flags = number(fields.nth(5)?)? as u32;
    let start = number(fields.nth(12)?)?;
    Some(Stat { state, flags, start })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hostile_name_does_not_shift_the_fields() {
        let fields: String = (4..53).map(|n| format!(" {n}")).collect();
        let text = format!("7 (x) Z 1) S{fields}\n");
        assert_eq!(parse_stat(text.as_bytes()), Some(Stat { state: b'S', flags: 9, start: 22 }));
        for broken in [
            "",
            "7 (x)",
            "7 (x) S",
            "7 (x) S 1 2 3",
            "7 (x) S 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 y",
        ] {
            assert_eq!(parse_stat(broken.as_bytes()), None, "{broken}");
        }
    }

    #[test]
    fn numbers_are_found_by_their_names() {
        // The kernel escapes a line break in the name (proc(5)).
        let status = "Name:\tTracerPid:\t1\nTgid:\t12\nTracerPid:\t4711\nUid:\t0\n";
        assert_eq!(parse_number(status, "TracerPid"), Some(4711));
        assert_eq!(parse_number(status, "Tgid"), Some(12));
        assert_eq!(parse_number("Name:\tx\n", "TracerPid"), None);
    }

    #[test]
    fn a_process_is_identified_by_pid_and_start_time() {
        let own = ProcessId::of(std::process::id() as i32).unwrap();
        assert!(own.is_alive().unwrap());
        assert_eq!(own.execution().unwrap(), Execution::Done);
        assert!(own.signal(0).unwrap());
        let other = ProcessId { start: own.start + 1, ..own };
        assert!(!other.is_alive().unwrap());
        assert!(!other.signal(libc::SIGKILL).unwrap(), "the same pid at another time is another process");
        assert!(ProcessId { pid: 0, start: 0 }.open().unwrap().is_none());
    }

    #[test]
    fn a_number_that_only_a_group_still_has_is_no_process() {
        use std::os::unix::process::CommandExt;
        let mut leader = std::process::Command::new("sh");
        let leader = leader.args(["-c", "sleep 60 >/dev/null & echo $!"]).process_group(0);
        let leader = leader.stdout(std::process::Stdio::piped()).spawn().unwrap();
        let id = ProcessId::of(leader.id() as i32).unwrap();
        let output = leader.wait_with_output().unwrap();
        let member = String::from_utf8(output.stdout).unwrap().trim().parse().unwrap();

        assert!(id.open().unwrap().is_none());
        assert!(ProcessId::of(member).unwrap().signal(libc::SIGKILL).unwrap());
    }
}
