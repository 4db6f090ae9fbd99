// SPDX-License-Identifier: Apache-2.0
//! One file for each command: from parsed arguments to a call of the library,
//! and from its result to what is printed.

mod create;
mod delete;
mod events;
mod exec;
mod features;
mod kill;
mod list;
mod pause;
mod ps;
mod spec;
mod start;
mod state;
mod update;

use crate::args::flags::{PRESERVE_FDS, ROOT};
use crate::args::table::Verb;
use crate::args::{Call, Invocation, Request, Values};
use crate::log::Log;
use runtime_core::{Container, ContainerId, ErrorKind, ExitStatus, Process, Runtime, Warning};
use std::ffi::OsString;
use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Component, Path, PathBuf};

/// Why the program fails: what it says, and its exit status.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) text: String,
    /// Said before it.
    pub(crate) warnings: Vec<String>,
    pub(crate) status: u8,
    /// Not for the log: the text is on standard error as the container's would be.
    pub(crate) plain: bool,
}

impl Failure {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Failure { text: text.into(), warnings: Vec::new(), status: 1, plain: false }
    }

    /// Says first which operation it was.
    fn during(mut self, operation: &str) -> Self {
        if !self.plain {
            self.text = format!("{operation}: {}", self.text);
        }
        self
    }

    /// An error of a process that we stay with. A program that cannot be executed is, as
    /// with runc, the process's own failure.
    fn of_process(error: runtime_core::Error) -> Self {
        let plain = error.kind() == ErrorKind::NotExecuted;
        Failure { plain, status: if plain { 255 } else { 1 }, ..error.into() }
    }
}

impl From<runtime_core::Error> for Failure {
    fn from(error: runtime_core::Error) -> Self {
        let warnings = error.warnings().iter().map(ToString::to_string).collect();
        Failure { warnings, ..Failure::new(error.report()) }
    }
}

/// What a command gets.
pub(crate) struct Context<'a> {
    pub(crate) globals: &'a Values,
    pub(crate) flags: &'a Values,
    pub(crate) arguments: &'a [OsString],
    pub(crate) log: &'a Log,
}

/// Runs the command: the exit status of the program.
pub(crate) fn run(invocation: &Invocation, log: &Log) -> Result<u8, Failure> {
    let Request::Run(Call { command, flags, arguments }) = &invocation.request else { return Ok(0) };
    let context = Context { globals: &invocation.globals, flags, arguments, log };
    match command.verb {
        Verb::Create => create::create(&context),
        Verb::Delete => delete::delete(&context),
        Verb::Events => events::events(&context),
        Verb::Exec => exec::exec(&context),
        Verb::Features => features::features(&context),
        Verb::Kill => kill::kill(&context),
        Verb::List => list::list(&context),
        Verb::Pause => pause::pause(&context),
        Verb::Ps => ps::ps(&context),
        Verb::Resume => pause::resume(&context),
        Verb::Run => create::run(&context),
        Verb::Spec => spec::spec(&context),
        Verb::Start => start::start(&context),
        Verb::State => state::state(&context),
        Verb::Update => update::update(&context),
    }
}

impl Context<'_> {
    /// Finds the state directory, for the commands that are about containers. `features` and
    /// `spec` work without one: engines call them before they have made it.
    fn runtime(&self) -> Result<Runtime, Failure> {
        Ok(Runtime::new(state_root(self.globals)?))
    }

    /// The first argument, as the name of a container.
    fn id(&self) -> Result<ContainerId, Failure> {
        let id = self.arguments.first().map(|id| id.to_string_lossy()).unwrap_or_default();
        Ok(ContainerId::new(&id)?)
    }

    fn warn(&self, warnings: &[Warning]) {
        for warning in warnings {
            self.log.warning(&warning.to_string());
        }
    }

    fn container(&self) -> Result<Container, Failure> {
        Ok(self.runtime()?.container(self.id()?))
    }
}

/// The exit status for a process that we have served. That of one that was
/// killed for memory says nothing, so it is said.
fn exit_code(context: &Context<'_>, process: &Process, status: ExitStatus) -> u8 {
    if let Some(warning) = process.killed_for_memory(status) {
        context.log.warning(&warning.to_string());
    }
    status.code() as u8
}

/// Whether the descriptors are open that `create`, `run` or `exec` are to pass on.
pub(crate) fn check_preserved_fds(invocation: &Invocation) -> Result<(), Failure> {
    let Request::Run(Call { command, flags, .. }) = &invocation.request else { return Ok(()) };
    let check = || {
        let (count, _) = preserved_fds(flags)?;
        Ok(runtime_core::check_preserved_fds(count)?)
    };
    match command.verb {
        Verb::Create | Verb::Run => {
            check().map_err(|failure: Failure| failure.during(&format!("runc {} failed", command.name)))
        }
        Verb::Exec => {
            check().map_err(|failure: Failure| Failure { status: 255, ..failure.during("exec failed") })
        }
        _ => Ok(()),
    }
}

/// How many descriptors from 3 on a process gets, and how many of them are
/// sockets that a service manager has passed to us (sd_listen_fds(3)).
fn preserved_fds(flags: &Values) -> Result<(u16, Option<u16>), Failure> {
    let preserved = flags.integer(PRESERVE_FDS).unwrap_or(0);
    let fds = u16::try_from(preserved).map_err(|_out_of_range| {
        Failure::new(format!("--preserve-fds: expected 0 to 65535, got {preserved}"))
    })?;
    let listening = listen_fds();
    Ok((fds.saturating_add(listening.unwrap_or(0)), listening))
}

fn listen_fds() -> Option<u16> {
    let number = |name| std::env::var(name).ok()?.parse::<u32>().ok();
    if number("LISTEN_PID")? != std::process::id() {
        return None;
    }
    number("LISTEN_FDS").and_then(|n| u16::try_from(n).ok()).filter(|n| *n > 0)
}

/// Where the state of containers is: --root, or for users other than root a
/// directory of their own (docs/decisions/state-root.md).
fn state_root(globals: &Values) -> Result<PathBuf, Failure> {
    let Some(root) = globals.get(ROOT).map(Path::new) else { return default_root() };
    if root.as_os_str().is_empty() {
        return Err(Failure::new("Option --root argument should not be empty"));
    }
    let absolute = std::path::absolute(root).map_err(|error| Failure::new(error.to_string()))?;
    let mut clean = PathBuf::new();
    for component in absolute.components() {
        match component {
            Component::ParentDir => drop(clean.pop()),
            Component::CurDir => {}
            other => clean.push(other),
        }
    }
    if clean == Path::new("/") {
        return Err(Failure::new("Option --root argument should not be set to /"));
    }
    Ok(clean)
}

fn default_root() -> Result<PathBuf, Failure> {
    let system = PathBuf::from("/run/runc");
    let Some(user) = std::env::var_os("XDG_RUNTIME_DIR").filter(|dir| !dir.is_empty()) else {
        return Ok(system);
    };
    if nix::unistd::geteuid().is_root() && !is_fake_root() {
        return Ok(system);
    }
    let root = PathBuf::from(user).join("runc");
    let fail = |error: std::io::Error| {
        Failure::new(format!("mkdir {}: {}", root.display(), crate::output::io_text(&error)))
    };
    DirBuilder::new().recursive(true).mode(0o700).create(&root).map_err(fail)?;
    // The sticky bit keeps cleaners of old files away (XDG Base Directory Specification).
    std::fs::set_permissions(&root, std::os::unix::fs::PermissionsExt::from_mode(0o1700)).map_err(fail)?;
    Ok(root)
}

/// Returns true for root of a user namespace that an ordinary user has made. Without a /proc
/// that tells, root is root.
fn is_fake_root() -> bool {
    let in_user_namespace = runtime_core::is_initial_user_namespace().is_ok_and(|initial| !initial);
    in_user_namespace && std::env::var_os("USER").is_none_or(|user| user != "root")
}
