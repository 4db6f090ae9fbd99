// SPDX-License-Identifier: Apache-2.0
//! The input of every command.

use super::state_root;
use crate::args::Values;
use crate::failure::Failure;
use crate::log::Log;
use runtime_core::{Container, ContainerId, ExitStatus, Process, Runtime, Warning};
use std::ffi::OsString;

/// What a command gets.
pub(crate) struct Context<'a> {
    pub(crate) globals: &'a Values,
    pub(crate) flags: &'a Values,
    pub(crate) arguments: &'a [OsString],
    pub(crate) log: &'a Log,
}

impl Context<'_> {
    /// Finds the state directory, for the commands that are about containers. `features` and
    /// `spec` work without one: engines call them before they have made it.
    pub(super) fn runtime(&self) -> Result<Runtime, Failure> {
        Ok(Runtime::new(state_root::find(self.globals)?))
    }

    /// The first argument, as the name of a container.
    pub(super) fn id(&self) -> Result<ContainerId, Failure> {
        let id = self.arguments.first().map(|id| id.to_string_lossy()).unwrap_or_default();
        Ok(ContainerId::new(&id)?)
    }

    pub(super) fn warn(&self, warnings: &[Warning]) {
        for warning in warnings {
            self.log.warning(&warning.to_string());
        }
    }

    pub(super) fn container(&self) -> Result<Container, Failure> {
        Ok(self.runtime()?.container(self.id()?))
    }

    /// Returns the exit status for a process that we have served. The status of one that was
    /// killed for memory says nothing, so a warning says it.
    pub(super) fn exit_code(&self, process: &Process, status: ExitStatus) -> u8 {
        self.warn(process.killed_for_memory(status).as_slice());
        status.code() as u8
    }
}
