// SPDX-License-Identifier: Apache-2.0
//! What a command asks of the kernel: system calls and memory, counted with
//! ptrace(2). Numbers that do not depend on how busy the machine is.

use super::authority::{FileId, file_id};
use super::ptrace::{EXEC_STOP, SYSCALL_STOP, Traced, beginning_call, resume, wait};
use crate::{Doing, Result, ensure};
use nix::libc;
use nix::sys::ptrace::{self, Options};
use nix::unistd::Pid;
use std::path::Path;
use std::process::Command;

/// What a command and the processes that it has started have used, without what
/// the container's own program has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// System calls, without the one that has executed the command.
    pub calls: u64,
    /// The largest resident set that any of the processes had, in KiB.
    pub peak_kib: u64,
}

/// Memory that a process shares with no other, in KiB: smaps_rollup of proc_pid_smaps(5).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PrivateMemory {
    /// As it is in a file: of a program that nobody else runs from.
    pub clean_kib: u64,
    /// Its own, or of a file that is not on the disk yet.
    pub dirty_kib: u64,
}

impl PrivateMemory {
    /// That of a process.
    pub fn of(pid: i32) -> Result<Self> {
        let text = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).doing("smaps_rollup")?;
        let field = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_suffix("kB"))?;
            line.trim().parse::<u64>().ok()
        };
        match (field("Private_Clean:"), field("Private_Dirty:")) {
            (Some(clean_kib), Some(dirty_kib)) => Ok(PrivateMemory { clean_kib, dirty_kib }),
            _ => Err(format!("process {pid} has no memory any more")),
        }
    }
}

/// Runs a command, which may not read its standard input, to its end, which must
/// be success. `payload` is what runs in the container: a process that executes it counts no more, and
/// need not end.
pub fn tally(command: &Command, payload: &Path) -> Result<Tally> {
    let (program, payload) = (file_id(command.get_program())?, file_id(payload)?);
    let mut traced = Traced::start(command, Options::empty())?;
    let mut tracer = Tracer { tally: Tally::default(), started: false, program, payload };
    loop {
        let (pid, status) = wait(-1)?;
        if pid == traced.pid && (libc::WIFEXITED(status) || libc::WIFSIGNALED(status)) {
            traced.succeeded(status)?;
            break;
        }
        if libc::WIFSTOPPED(status) {
            tracer.step(pid, status >> 8);
        }
    }
    ensure!(tracer.started, "the command was not executed");
    Ok(tracer.tally)
}

struct Tracer {
    tally: Tally,
    /// The command was executed.
    started: bool,
    program: FileId,
    payload: FileId,
}

impl Tracer {
    /// Looks why a process has stopped, and lets it go on.
    fn step(&mut self, pid: Pid, stop: i32) {
        let mut deliver = 0;
        match stop {
            SYSCALL_STOP => self.count(pid),
            EXEC_STOP => {
                // The starter's own may be seen too.
                let exe = file_id(format!("/proc/{pid}/exe"));
                self.started |= exe == Ok(self.program);
                if exe == Ok(self.payload) {
                    // ESRCH: somebody has killed it meanwhile. Here and below.
                    let _detached = ptrace::detach(pid, None);
                    return;
                }
            }
            // Other events, and the stop with which every traced process begins.
            event if event > 0xff => {}
            libc::SIGSTOP | libc::SIGTRAP => {}
            signal => deliver = signal,
        }
        resume(libc::PTRACE_SYSCALL, pid, deliver);
    }

    fn count(&mut self, pid: Pid) {
        if !self.started || beginning_call(pid).is_none() {
            return;
        }
        self.tally.calls += 1;
        // Now, because after execve nothing is known of what was before.
        let peak = crate::host::process_status(pid.as_raw().into(), "VmHWM");
        let peak = peak.and_then(|text| text.trim_end_matches(" kB").parse().ok());
        self.tally.peak_kib = self.tally.peak_kib.max(peak.unwrap_or(0));
    }
}
