// SPDX-License-Identifier: Apache-2.0
//! What a command asks of the kernel: system calls and memory, counted with
//! ptrace(2). Numbers that do not depend on how busy the machine is.

use crate::{Doing, Result, ensure};
use nix::sys::ptrace::{self, Options};
use nix::unistd::Pid;
use std::io::{Read, Seek, Write};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Command, Stdio};

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

/// Waits until somebody traces it, and executes the command then.
const STARTER: &str = "read go; exec \"$@\" </dev/null";

/// Runs a command, which may not read its standard input, to its end, which must
/// be success. `payload` is what runs in the container: a process that executes it counts no more, and
/// need not end.
pub fn tally(command: &Command, payload: &Path) -> Result<Tally> {
    let (program, payload) = (File::of(command.get_program())?, File::of(payload)?);
    let mut starter = Command::new("/bin/sh");
    starter.args(["-c", STARTER, "sh"]).arg(command.get_program()).args(command.get_args());
    if let Some(dir) = command.get_current_dir() {
        starter.current_dir(dir);
    }
    let mut output = tempfile::tempfile().doing("temporary file")?;
    starter.stdin(Stdio::piped());
    starter.stdout(output.try_clone().doing("dup")?).stderr(output.try_clone().doing("dup")?);
    let mut child = starter.spawn().doing("sh")?;
    let root = Pid::from_raw(child.id() as i32);
    let options = Options::PTRACE_O_TRACESYSGOOD
        | Options::PTRACE_O_TRACEEXEC
        | Options::PTRACE_O_TRACEFORK
        | Options::PTRACE_O_TRACEVFORK
        | Options::PTRACE_O_TRACECLONE;
    ptrace::seize(root, options).doing("ptrace(PTRACE_SEIZE)")?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(b"\n").doing("write")?;
    }
    let mut tracer = Tracer { tally: Tally::default(), started: false, program, payload };
    loop {
        let (pid, status) = wait_any()?;
        if pid == root && (libc::WIFEXITED(status) || libc::WIFSIGNALED(status)) {
            let mut text = String::new();
            output.rewind().and_then(|()| output.read_to_string(&mut text)).doing("output")?;
            ensure!(status == 0, "{command:?} under ptrace: status {status:#x}\n{text}");
            break;
        }
        if libc::WIFSTOPPED(status) {
            tracer.step(pid, status >> 8);
        }
    }
    ensure!(tracer.started, "the command was not executed");
    Ok(tracer.tally)
}

/// waitpid(2) for all. Not nix's, which cannot say that a realtime signal has
/// stopped a process.
fn wait_any() -> Result<(Pid, i32)> {
    let mut status = 0;
    #[allow(unsafe_code)]
    // SAFETY: the status outlives the call.
    let pid = unsafe { libc::waitpid(-1, &raw mut status, libc::__WALL) };
    ensure!(pid > 0, "waitpid: {}", std::io::Error::last_os_error());
    Ok((Pid::from_raw(pid), status))
}

struct Tracer {
    tally: Tally,
    /// The command was executed.
    started: bool,
    program: File,
    payload: File,
}

/// Device and inode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct File(u64, u64);

impl File {
    fn of(path: impl AsRef<Path>) -> Result<Self> {
        let meta = std::fs::metadata(path.as_ref()).doing(&path.as_ref().display().to_string())?;
        Ok(File(meta.dev(), meta.ino()))
    }
}

/// What stops a process at each system call (PTRACE_O_TRACESYSGOOD).
const SYSCALL_STOP: i32 = libc::SIGTRAP | 0x80;
const EXEC_STOP: i32 = libc::SIGTRAP | libc::PTRACE_EVENT_EXEC << 8;

impl Tracer {
    /// Looks why a process has stopped, and lets it go on.
    fn step(&mut self, pid: Pid, stop: i32) {
        let mut deliver = 0;
        match stop {
            SYSCALL_STOP => self.count(pid),
            EXEC_STOP => {
                // The starter's own may be seen too.
                let exe = File::of(format!("/proc/{pid}/exe"));
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
        #[allow(unsafe_code)]
        // SAFETY: changes nothing of ours. Not nix's, because of realtime signals.
        let _resumed = unsafe { libc::ptrace(libc::PTRACE_SYSCALL, pid.as_raw(), 0, deliver) };
    }

    fn count(&mut self, pid: Pid) {
        if !self.started || !begins_call(pid) {
            return;
        }
        self.tally.calls += 1;
        // Now, because after execve nothing is known of what was before.
        let peak = crate::host::process_status(pid.as_raw().into(), "VmHWM");
        let peak = peak.and_then(|text| text.trim_end_matches(" kB").parse().ok());
        self.tally.peak_kib = self.tally.peak_kib.max(peak.unwrap_or(0));
    }
}

/// PTRACE_GET_SYSCALL_INFO of ptrace(2): the process has stopped at the beginning of
/// a system call, not at its end. Not nix's, which needs a C library that knows it.
fn begins_call(pid: Pid) -> bool {
    const GET_SYSCALL_INFO: i32 = 0x420e;
    const ENTRY: u8 = 1;
    let mut info = [0u8; 128];
    #[allow(unsafe_code)]
    // SAFETY: writes no more than the length that it is told.
    let length = unsafe { libc::ptrace(GET_SYSCALL_INFO as _, pid.as_raw(), info.len(), info.as_mut_ptr()) };
    length > 0 && info[0] == ENTRY
}
