// SPDX-License-Identifier: Apache-2.0
//! Everything that is done to a container, in the order of its life.

use crate::subject::Role;
use crate::yard::Yard;
use conformance::Result;
use conformance::tally::PrivateMemory;
use nix::errno::Errno;
use nix::sys::wait::waitpid;
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::process::Command;

/// What is measured.
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

/// Who runs a command: with a clock or with a tracer. It gets the program that
/// the container executes, too.
pub(crate) type Runner<'a> = dyn FnMut(Operation, Command, PathBuf) -> Result + 'a;

/// All commands that the subject knows, once. The private memory of the init
/// while the container was created.
pub(crate) fn live(yard: &Yard, id: &str, runner: &mut Runner<'_>) -> Result<Option<PrivateMemory>> {
    match yard.subject.role {
        Role::Nothing => {
            runner(Operation::Nothing, yard.command(&[]), yard.payload())?;
            return Ok(None);
        }
        Role::Floor => {
            runner(Operation::Run, yard.run(id), yard.payload())?;
            return Ok(None);
        }
        Role::Runtime => {}
    }
    runner(Operation::Run, yard.run(id), yard.payload())?;
    let lived = live_in_parts(yard, id, runner);
    if lived.is_err() {
        // The first error is the one to report.
        let _deleted = yard.command(&["delete", "--force", id]).status();
    }
    lived.map(Some)
}

fn live_in_parts(yard: &Yard, id: &str, runner: &mut Runner<'_>) -> Result<PrivateMemory> {
    runner(Operation::Create, yard.create(id), yard.waiting_payload())?;
    let pid = yard.pid()?;
    let memory = PrivateMemory::of(pid)?;
    runner(Operation::Start, yard.command(&["start", id]), yard.waiting_payload())?;
    runner(Operation::State, yard.command(&["state", id]), yard.waiting_payload())?;
    runner(Operation::Exec, yard.command(&["exec", id, "/exits"]), yard.exec_payload())?;
    runner(Operation::Kill, yard.command(&["kill", id, "KILL"]), yard.waiting_payload())?;
    // It is our child since the runtime has gone; a tracer has seen its end already.
    match waitpid(Pid::from_raw(pid), None) {
        Ok(_) | Err(Errno::ECHILD) => {}
        Err(errno) => return Err(format!("waitpid: {errno}")),
    }
    runner(Operation::Delete, yard.command(&["delete", id]), yard.waiting_payload())?;
    Ok(memory)
}
