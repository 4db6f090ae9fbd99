// SPDX-License-Identifier: Apache-2.0
//! Commands under ptrace(2).

use crate::ensure;
use crate::result::{Doing, Result};
use nix::libc;
use nix::sys::ptrace::{self, Options};
use nix::unistd::Pid;
use std::fs::File;
use std::io::{Read, Seek, Write};
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
        sys_testing::command::close_others(&mut starter);
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
