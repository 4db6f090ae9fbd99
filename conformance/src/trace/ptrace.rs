// SPDX-License-Identifier: Apache-2.0
//! Commands under ptrace(2). Replaces nix's functions where these cannot report a stop by a
//! realtime signal, or need a C library that knows PTRACE_GET_SYSCALL_INFO.

use crate::ensure;
use crate::result::{Doing, Result};
use nix::libc;
use nix::sys::ptrace::{self, Options};
use nix::unistd::Pid;
use std::fs::File;
use std::io::{Read, Seek, Write};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

/// The stop at the beginning and at the end of a system call (PTRACE_O_TRACESYSGOOD).
pub(crate) const SYSCALL_STOP: i32 = libc::SIGTRAP | 0x80;
/// The stop behind a successful execve(2).
pub(crate) const EXEC_STOP: i32 = libc::SIGTRAP | libc::PTRACE_EVENT_EXEC << 8;

/// A shell that executes the command once it is traced, with one more descriptor if LEFT names a
/// file.
const STARTER: &str = r#"read go; [ -z "$LEFT" ] || exec 9<"$LEFT"; unset LEFT; exec "$@" </dev/null"#;

/// A command that has been traced since before its execve(2).
#[derive(Debug)]
pub(crate) struct Traced {
    pub(crate) pid: Pid,
    command: String,
    /// Its standard output and standard error.
    output: File,
}

impl Traced {
    /// Starts a command, which inherits only its standard streams. Traces its system calls,
    /// programs and new processes, with these further options.
    pub(crate) fn start(command: &Command, more: Options) -> Result<Self> {
        let mut starter = Command::new("/bin/sh");
        starter.args(["-c", STARTER, "sh"]).arg(command.get_program()).args(command.get_args());
        if let Some(dir) = command.get_current_dir() {
            starter.current_dir(dir);
        }
        starter.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        #[allow(unsafe_code)]
        // SAFETY: one system call, no heap, no lock.
        unsafe {
            starter.pre_exec(close_others)
        };
        let output = tempfile::tempfile().doing("temporary file")?;
        starter.stdin(Stdio::piped());
        starter.stdout(output.try_clone().doing("dup")?).stderr(output.try_clone().doing("dup")?);
        let mut child = starter.spawn().doing("sh")?;
        let pid = Pid::from_raw(child.id() as i32);
        let options = Options::PTRACE_O_TRACESYSGOOD
            | Options::PTRACE_O_TRACEEXEC
            | Options::PTRACE_O_TRACEFORK
            | Options::PTRACE_O_TRACEVFORK
            | Options::PTRACE_O_TRACECLONE;
        ptrace::seize(pid, options | more).doing("ptrace(PTRACE_SEIZE)")?;
        if let Some(mut stdin) = child.stdin.take() {
            stdin.write_all(b"\n").doing("write")?;
        }
        Ok(Traced { pid, command: format!("{command:?}"), output })
    }

    /// Fails with the command's output unless its wait status is success.
    pub(crate) fn succeeded(&mut self, status: i32) -> Result {
        let mut text = String::new();
        self.output.rewind().and_then(|()| self.output.read_to_string(&mut text)).doing("output")?;
        ensure!(status == 0, "{} under ptrace: status {status:#x}\n{text}", self.command);
        Ok(())
    }
}

/// Marks all descriptors but the standard streams close-on-exec.
fn close_others() -> std::io::Result<()> {
    #[allow(unsafe_code)]
    // SAFETY: changes nothing but the descriptors of the new process.
    match unsafe { libc::syscall(libc::SYS_close_range, 3, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC) } {
        0 => Ok(()),
        _ => Err(std::io::Error::last_os_error()),
    }
}

/// Calls waitpid(2) for one process, or for all (-1). Returns the process and its status.
pub(crate) fn wait(pid: i32) -> Result<(Pid, i32)> {
    let mut status = 0;
    #[allow(unsafe_code)]
    // SAFETY: the status outlives the call.
    let pid = unsafe { libc::waitpid(pid, &raw mut status, libc::__WALL) };
    ensure!(pid > 0, "waitpid: {}", std::io::Error::last_os_error());
    Ok((Pid::from_raw(pid), status))
}

#[cfg(target_env = "gnu")]
type Request = libc::c_uint;
#[cfg(not(target_env = "gnu"))]
type Request = libc::c_int;

/// Resumes a process by PTRACE_CONT or PTRACE_SYSCALL, with a signal unless it is 0.
pub(crate) fn resume(request: Request, pid: Pid, signal: i32) {
    #[allow(unsafe_code)]
    // SAFETY: changes nothing of ours. ESRCH: the process has been killed meanwhile.
    let _resumed = unsafe { libc::ptrace(request, pid.as_raw(), 0, signal) };
}

/// Returns the number of the system call at whose beginning a process has stopped
/// (PTRACE_GET_SYSCALL_INFO), `None` at the end of one.
pub(crate) fn beginning_call(pid: Pid) -> Option<u64> {
    const GET_SYSCALL_INFO: i32 = 0x420e;
    const ENTRY: u8 = 1;
    let mut info = [0u8; 128];
    #[allow(unsafe_code)]
    // SAFETY: writes no more than the length that it is told.
    let length = unsafe { libc::ptrace(GET_SYSCALL_INFO as _, pid.as_raw(), info.len(), info.as_mut_ptr()) };
    let number = info.get(24..32)?.try_into().ok()?;
    (length > 0 && info[0] == ENTRY).then(|| u64::from_ne_bytes(number))
}
