// SPDX-License-Identifier: Apache-2.0
//! The operations on a container, in the order of its lifecycle.

use crate::contender::Role;
use crate::workdir::Workdir;
use conformance::Result;
use conformance::tally::PrivateMemory;
use nix::errno::Errno;
use nix::sys::wait::waitpid;
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::process::Command;

/// A measured operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Operation {
    Run,
    Create,
    Start,
    /// `create` and `start` together; not a command of its own.
    #[serde(rename = "create+start")]
    CreateStart,
    State,
    Exec,
    Kill,
    Delete,
    List,
    /// A program that starts and exits.
    Nothing,
}

impl Operation {
    pub(crate) const ALL: [Self; 10] = [
        Self::Run,
        Self::Create,
        Self::Start,
        Self::CreateStart,
        Self::State,
        Self::Exec,
        Self::Kill,
        Self::Delete,
        Self::List,
        Self::Nothing,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Run => "run",
            Self::Create => "create",
            Self::Start => "start",
            Self::CreateStart => "create+start",
            Self::State => "state",
            Self::Exec => "exec",
            Self::Kill => "kill",
            Self::Delete => "delete",
            Self::List => "list",
            Self::Nothing => "nothing",
        }
    }
}

/// A callback that runs one command, with a clock or under ptrace(2). It also gets the program that
/// the container executes.
pub(crate) type Runner<'a> = dyn FnMut(Operation, Command, PathBuf) -> Result + 'a;

/// Runs every command that the contender has, once. Returns the private memory of the init of the
/// created container.
pub(crate) fn live(workdir: &Workdir, id: &str, runner: &mut Runner<'_>) -> Result<Option<PrivateMemory>> {
    match workdir.contender.role {
        Role::Nothing => {
            runner(Operation::Nothing, workdir.command(&[]), workdir.payload())?;
            return Ok(None);
        }
        Role::Floor => {
            runner(Operation::Run, workdir.run(id), workdir.payload())?;
            return Ok(None);
        }
        Role::Runtime => {}
    }
    runner(Operation::Run, workdir.run(id), workdir.payload())?;
    let lived = live_in_parts(workdir, id, runner);
    if lived.is_err() {
        // The first error is the one to report.
        let _deleted = workdir.command(&["delete", "--force", id]).status();
    }
    lived.map(Some)
}

fn live_in_parts(workdir: &Workdir, id: &str, runner: &mut Runner<'_>) -> Result<PrivateMemory> {
    runner(Operation::Create, workdir.create(id), workdir.waiting_payload())?;
    let pid = workdir.pid()?;
    let memory = PrivateMemory::of(pid)?;
    runner(Operation::Start, workdir.command(&["start", id]), workdir.waiting_payload())?;
    runner(Operation::State, workdir.command(&["state", id]), workdir.waiting_payload())?;
    runner(Operation::Exec, workdir.command(&["exec", id, "/exits"]), workdir.exec_payload())?;
    runner(Operation::Kill, workdir.command(&["kill", id, "KILL"]), workdir.waiting_payload())?;
    // The runtime has exited, so init is our child. A tracer may have reaped it already.
    match waitpid(Pid::from_raw(pid), None) {
        Ok(_) | Err(Errno::ECHILD) => {}
        Err(errno) => return Err(format!("waitpid: {errno}")),
    }
    runner(Operation::Delete, workdir.command(&["delete", id]), workdir.waiting_payload())?;
    Ok(memory)
}
