// SPDX-License-Identifier: Apache-2.0
//! The commands, each in its own file. A command turns parsed arguments into a call of the library,
//! and prints the result.

mod check;
mod checkpoint;
mod context;
mod create;
mod delete;
mod dry_run;
mod events;
mod exec;
mod features;
mod kill;
mod list;
mod pause;
mod preserved_fds;
mod ps;
mod restore;
mod spec;
mod start;
mod state;
mod state_root;
mod update;

use crate::args::flags::DRY_RUN;
use crate::args::table::Verb;
use crate::args::{Call, Invocation, Request};
use crate::failure::Failure;
use crate::log::Log;
use context::CommandContext;

/// Runs the command and returns the exit status of the program.
pub(crate) fn run(invocation: &Invocation, log: &Log) -> Result<u8, Failure> {
    let Request::Run(Call { command, flags, arguments }) = &invocation.request else { return Ok(0) };
    let context = CommandContext { globals: &invocation.globals, flags, arguments, log };
    match command.verb {
        Verb::Check => check::check(&context),
        Verb::Checkpoint => checkpoint::checkpoint(&context),
        Verb::Create if flags.is_set(DRY_RUN) => dry_run::create(&context),
        Verb::Create => create::create(&context),
        Verb::Delete => delete::delete(&context),
        Verb::Events => events::events(&context),
        Verb::Exec => exec::exec(&context),
        Verb::Features => features::features(&context),
        Verb::Kill => kill::kill(&context),
        Verb::List => list::list(&context),
        Verb::Pause => pause::pause(&context),
        Verb::Ps => ps::ps(&context),
        Verb::Restore => restore::restore(&context),
        Verb::Resume => pause::resume(&context),
        Verb::Run if flags.is_set(DRY_RUN) => dry_run::run(&context),
        Verb::Run => create::run(&context),
        Verb::Spec => spec::spec(&context),
        Verb::Start => start::start(&context),
        Verb::State => state::state(&context),
        Verb::Update => update::update(&context),
    }
}

/// Fails if a descriptor that `create`, `run` or `exec` must pass on, or that `checkpoint` must write
/// to, is not open.
pub(crate) fn check_preserved_fds(invocation: &Invocation) -> Result<(), Failure> {
    let Request::Run(Call { command, flags, .. }) = &invocation.request else { return Ok(()) };
    match command.verb {
        Verb::Create | Verb::Run => preserved_fds::check(flags)
            .map_err(|failure| failure.during(&format!("runc {} failed", command.name))),
        Verb::Exec => preserved_fds::check(flags).map_err(exec::failed),
        Verb::Checkpoint => checkpoint::check_status_fd(flags),
        _ => Ok(()),
    }
}
