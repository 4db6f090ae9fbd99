// SPDX-License-Identifier: Apache-2.0
//! The costs of a command: system calls and memory, counted with ptrace(2). They do not depend on
//! the load of the machine.

use super::authority::{FileId, file_id};
use super::ptrace::{EXEC_STOP, SYSCALL_STOP, Traced};
use crate::ensure;
use crate::result::{Doing, Result};
use nix::libc;
use nix::sys::ptrace::{self, Options};
use nix::unistd::Pid;
use std::path::Path;
use std::process::Command;
use sys_testing::ptrace::{beginning_call, resume_to_call, wait};

/// The costs of a command and its processes, without the container's own program.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// System calls behind the execve(2) of the command.
    pub calls: u64,
    /// The largest resident set of any of the processes, in KiB.
    pub peak_kib: u64,
}

/// Memory that a process shares with no other, in KiB: smaps_rollup of proc_pid_smaps(5).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PrivateMemory {
    /// Pages of a file that no other process maps.
    pub clean_kib: u64,
    /// Anonymous pages, and pages of a file that is not on the disk yet.
    pub dirty_kib: u64,
}

impl PrivateMemory {
    /// Reads the private memory of a process.
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

/// Runs a command, which may not read its standard input, to its end. Fails unless it succeeds. A
/// process that executes `payload`, the container's program, is no longer counted and need not end.
pub fn tally(command: &Command, payload: &Path) -> Result<Tally> {
    let (program, payload) = (file_id(command.get_program())?, file_id(payload)?);
    let mut traced = Traced::start(command, Options::empty())?;
    let mut tracer = Tracer { tally: Tally::default(), started: false, program, payload };
    loop {
        let (pid, status) = wait(-1).doing("waitpid")?;
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
    /// True once the command was executed.
    started: bool,
    program: FileId,
    payload: FileId,
}

impl Tracer {
    /// Handles a stop of a process, and resumes it.
    fn step(&mut self, pid: Pid, stop: i32) {
        let mut deliver = 0;
        match stop {
            SYSCALL_STOP => self.count(pid),
            EXEC_STOP => {
                // The execve(2) of the shell may be seen too.
                let exe = file_id(format!("/proc/{pid}/exe"));
                self.started |= exe == Ok(self.program);
                if exe == Ok(self.payload) {
                    // ESRCH: the process has been killed meanwhile.
                    let _detached = ptrace::detach(pid, None);
                    return;
                }
            }
            // Other events, and the stop with which every traced process begins.
            event if event > 0xff => {}
            libc::SIGSTOP | libc::SIGTRAP => {}
            signal => deliver = signal,
        }
        let _killed = resume_to_call(pid, deliver);
    }

    fn count(&mut self, pid: Pid) {
        if !self.started || beginning_call(pid).is_none() {
            return;
        }
        self.tally.calls += 1;
        // Read now, because execve(2) replaces the memory.
        let peak = crate::harness::host::process_status(pid.as_raw().into(), "VmHWM");
        let peak = peak.and_then(|text| text.trim_end_matches(" kB").parse().ok());
        self.tally.peak_kib = self.tally.peak_kib.max(peak.unwrap_or(0));
    }
}
