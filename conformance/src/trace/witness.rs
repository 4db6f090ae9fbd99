// SPDX-License-Identifier: Apache-2.0
//! The authority of each process of a command at each of its system calls, as /proc shows it while
//! ptrace(2) holds the process.
//!
//! Processes that a runtime clones are resumed one at a time between two system calls, so a note
//! that appears in shared memory was written by the resumed process.

pub use super::authority::{Authority, Descriptor, FileId, file_id, words};
use super::ptrace::{EXEC_STOP, SYSCALL_STOP, Traced};
use crate::ensure;
use crate::result::{Doing, Result};
use nix::libc;
use nix::sys::ptrace::{self, Options};
use nix::unistd::Pid;
use std::collections::BTreeSet;
use std::process::Command;
use sys_testing::ptrace::{beginning_call, resume, resume_to_call, wait};

/// One process, from its clone to its end or to its last execve(2).
#[derive(Clone, Debug, Default)]
pub struct ProcessHistory {
    /// Its pid on the host.
    pub pid: i32,
    /// The pid of its parent at its clone.
    pub parent: i32,
    /// The stops, in order.
    pub stops: Vec<Stop>,
    /// The notes of the process, each with the number of stops before it.
    pub notes: Vec<(usize, u64)>,
}

/// A process at the beginning of a system call or of a program.
#[derive(Clone, Debug)]
pub struct Stop {
    /// The number of the system call, `None` behind a successful execve(2).
    pub call: Option<u64>,
    /// The authority at the stop.
    pub authority: Authority,
}

/// Reads the notes of a process from number n on.
pub type Notes<'a> = &'a dyn Fn(i32, usize) -> Vec<u64>;

/// Runs a command, then `next` if it has succeeded, and follows the processes that the first one
/// clones until they end or execute a program.
pub fn watch(command: &Command, next: Option<Command>, notes: Notes<'_>) -> Result<Vec<ProcessHistory>> {
    let mut traced = Traced::start(command, Options::PTRACE_O_EXITKILL)?;
    let root = traced.pid;
    let mut watcher = Watcher {
        root,
        notes,
        seen: 0,
        processes: Vec::new(),
        alive: BTreeSet::from([root]),
        gone: BTreeSet::new(),
    };
    let (mut next, mut second) = (next, None);
    while !watcher.alive.is_empty() {
        let (pid, status) = wait(-1).doing("waitpid")?;
        if libc::WIFSTOPPED(status) {
            watcher.stopped(pid, status >> 8)?;
            continue;
        }
        watcher.leave(pid);
        if pid == root {
            traced.succeeded(status)?;
            second = next.take().map(|mut next| next.spawn()).transpose().doing("second command")?;
        }
        if second.as_ref().is_some_and(|child| child.id() as i32 == pid.as_raw()) {
            ensure!(status == 0, "{second:?}: status {status:#x}");
            second = None;
        }
    }
    if let Some(mut child) = second {
        let status = crate::harness::runtime::wait(&mut child).doing("waitpid")?;
        ensure!(status.success(), "{child:?}: {status}");
    }
    Ok(watcher.processes)
}

struct Watcher<'a> {
    root: Pid,
    notes: Notes<'a>,
    /// The number of notes that have been read.
    seen: usize,
    processes: Vec<ProcessHistory>,
    /// The traced processes.
    alive: BTreeSet<Pid>,
    /// The processes that are no longer traced.
    gone: BTreeSet<Pid>,
}

impl Watcher<'_> {
    fn leave(&mut self, pid: Pid) {
        self.alive.remove(&pid);
        self.gone.insert(pid);
    }

    /// Returns the index of a process, which it adds if it is new.
    fn process(&mut self, pid: Pid) -> usize {
        if let Some(known) = self.processes.iter().position(|process| process.pid == pid.as_raw()) {
            return known;
        }
        let parent = crate::harness::host::process_status(pid.as_raw().into(), "PPid");
        let parent = parent.and_then(|pid| pid.parse().ok()).unwrap_or_default();
        self.processes.push(ProcessHistory { pid: pid.as_raw(), parent, ..ProcessHistory::default() });
        self.processes.len() - 1
    }

    /// Handles a stop of a process, and resumes it.
    fn stopped(&mut self, pid: Pid, stop: i32) -> Result {
        self.alive.insert(pid);
        let cloned = [libc::PTRACE_EVENT_FORK, libc::PTRACE_EVENT_VFORK, libc::PTRACE_EVENT_CLONE];
        if cloned.contains(&(stop >> 8))
            && let Ok(child) = ptrace::getevent(pid)
        {
            let child = Pid::from_raw(child as i32);
            if !self.gone.contains(&child) {
                self.alive.insert(child);
            }
            // In the order of their clones, which is not that of their first stops.
            if tgid(child) != Some(self.root.as_raw()) {
                self.process(child);
            }
        }
        if tgid(pid) == Some(self.root.as_raw()) {
            let signal = if stop > 0xff || [SYSCALL_STOP, libc::SIGTRAP].contains(&stop) { 0 } else { stop };
            let _killed = resume(pid, signal);
            return Ok(());
        }
        let process = self.process(pid);
        match stop {
            EXEC_STOP => {
                let authority = Authority::of(pid);
                if let Some(process) = self.processes.get_mut(process)
                    && stands_still(pid)
                {
                    process.stops.push(Stop { call: None, authority: authority? });
                }
                self.leave(pid);
                let _detached = ptrace::detach(pid, None);
                Ok(())
            }
            // The end of a call: its beginning is awaited below.
            SYSCALL_STOP => self.until_call(process, pid, 0),
            event if event > 0xff => self.until_call(process, pid, 0),
            libc::SIGSTOP | libc::SIGTRAP => self.until_call(process, pid, 0),
            signal => self.until_call(process, pid, signal),
        }
    }

    /// Resumes this process alone until its next system call, and records its authority there.
    fn until_call(&mut self, index: usize, pid: Pid, signal: i32) -> Result {
        let _killed = resume_to_call(pid, signal);
        let (_, status) = wait(pid.as_raw()).doing("waitpid")?;
        if !libc::WIFSTOPPED(status) {
            self.leave(pid);
            return Ok(());
        }
        match (status >> 8, beginning_call(pid)) {
            (SYSCALL_STOP, Some(call)) => {
                let new = (self.notes)(pid.as_raw(), self.seen);
                self.seen += new.len();
                let authority = Authority::of(pid);
                if let Some(process) = self.processes.get_mut(index) {
                    let behind = process.stops.len();
                    process.notes.extend(new.into_iter().map(|note| (behind, note)));
                    // A process that was killed meanwhile is no longer stopped.
                    if stands_still(pid) {
                        process.stops.push(Stop { call: Some(call), authority: authority? });
                    }
                }
                let _killed = resume_to_call(pid, 0);
                Ok(())
            }
            (stop, _) => self.stopped(pid, stop),
        }
    }
}

fn stands_still(pid: Pid) -> bool {
    crate::harness::host::process_status(pid.as_raw().into(), "State")
        .is_some_and(|state| state.starts_with('t'))
}

fn tgid(pid: Pid) -> Option<i32> {
    crate::harness::host::process_status(pid.as_raw().into(), "Tgid")?.parse().ok()
}
