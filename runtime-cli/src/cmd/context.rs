// SPDX-License-Identifier: Apache-2.0
//! The context of a command: its arguments, the global flags, and the log.

use super::state_root;
use crate::args::Values;
use crate::failure::Failure;
use crate::log::Log;
use runtime_core::{Container, ContainerId, ExitStatus, Process, Runtime, Warning};
use std::ffi::OsString;

/// The context of a command.
pub(crate) struct CommandContext<'a> {
    pub(crate) globals: &'a Values,
    pub(crate) flags: &'a Values,
    pub(crate) arguments: &'a [OsString],
    pub(crate) log: &'a Log,
}

impl CommandContext<'_> {
    /// Returns the runtime with its state directory. `features` and `spec` do not call this:
    /// engines run them before that directory exists.
    pub(super) fn runtime(&self) -> Result<Runtime, Failure> {
        Ok(Runtime::new(state_root::find(self.globals)?))
    }

    /// Returns the first argument as the name of a container.
    pub(super) fn id(&self) -> Result<ContainerId, Failure> {
        let id = self.arguments.first().map(|id| id.to_string_lossy()).unwrap_or_default();
        Ok(ContainerId::new(&id)?)
    }

    /// Logs warnings of the library.
    pub(super) fn warn(&self, warnings: &[Warning]) {
        for warning in warnings {
            self.log.warning(&warning.to_string());
        }
    }

    /// Returns the container that the first argument names.
    pub(super) fn container(&self) -> Result<Container, Failure> {
        Ok(self.runtime()?.container(self.id()?))
    }

    /// Returns the exit status for a foreground process that has ended. Logs a warning if the OOM
    /// killer or a seccomp filter has killed the process, because the status does not tell that.
    pub(super) fn exit_code(&self, process: &Process, status: ExitStatus) -> u8 {
        self.warn(process.oom_killed(status).as_slice());
        if status == ExitStatus::Signaled(nix::libc::SIGSYS) {
            self.log.warning(&format!(
                "process {} was killed by SIGSYS, probably by linux.seccomp; dmesg may have the number of the system call \
                 (type=1326 ... syscall=)",
                process.pid()
            ));
        }
        status.code() as u8
    }
}
