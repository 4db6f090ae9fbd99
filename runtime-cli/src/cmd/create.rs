// SPDX-License-Identifier: Apache-2.0
//! `create` and `run`.

use super::context::CommandContext;
use super::preserved_fds;
use crate::args::flags::{
    BUNDLE, CGROUP_MANAGER, CONSOLE_SOCKET, DETACH, DRY_RUN_FORMAT, KEEP, NO_NEW_KEYRING, NO_PIVOT,
    NO_SUBREAPER, PID_FILE, PIDFD_SOCKET, ROOTLESS, SYSTEMD_CGROUP, parse_bool,
};
use crate::failure::Failure;
use crate::foreground::{self, ChildIo, Foreground};
use crate::notify::{self, Proxy};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use runtime_core::spec::{Rlimit, Spec};
use runtime_core::{
    CgroupManager, Container, ContainerBuilder, DeleteOptions, Pending, Process, Rootless, Runtime,
};
use std::ffi::OsStr;
use std::path::Path;

pub(super) fn create(context: &CommandContext<'_>) -> Result<u8, Failure> {
    make(context, Mode::Create).map_err(|failure| failure.during("runc create failed"))
}

pub(super) fn run(context: &CommandContext<'_>) -> Result<u8, Failure> {
    make(context, mode_of_run(context)).map_err(|failure| failure.during("runc run failed"))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    Create,
    Detached,
    Foreground,
}

pub(super) fn mode_of_run(context: &CommandContext<'_>) -> Mode {
    if context.flags.is_set(DETACH) { Mode::Detached } else { Mode::Foreground }
}

/// Returns a builder that has read the bundle. If it is `parallel`, it has started its thread.
pub(super) fn load(
    context: &CommandContext<'_>,
    runtime: &Runtime,
    parallel: bool,
) -> Result<ContainerBuilder, Failure> {
    let bundle = context.flags.path(BUNDLE).unwrap_or(Path::new("."));
    let mut builder = runtime.builder(context.id()?, bundle).parallel(parallel).load()?;
    // Warnings are printed before an error, because a mistyped name may be its cause.
    context.warn(&builder.take_warnings());
    if context.log.is_debug() {
        for property in Spec::unknown_properties_of(bundle)? {
            context.log.debug(&format!("config.json: ignoring unknown property {property}"));
        }
    }
    Ok(builder)
}

pub(super) fn has_terminal(builder: &ContainerBuilder) -> bool {
    let process = builder.loaded().and_then(|spec| spec.process.as_ref());
    process.is_some_and(|process| process.terminal)
}

/// Sets the options that the flags ask for.
pub(super) fn configure(
    context: &CommandContext<'_>,
    builder: ContainerBuilder,
) -> Result<ContainerBuilder, Failure> {
    options(context, with_room_for_mounts(builder))
}

pub(super) const NOT_WITH_CONSOLE_SOCKET: &str =
    "cannot use console socket if runc will not detach or allocate tty; hint: it goes with --detach";

fn make(context: &CommandContext<'_>, mode: Mode) -> Result<u8, Failure> {
    if context.flags.get(DRY_RUN_FORMAT).is_some() {
        return Err(Failure::new("--format: is for --dry-run alone"));
    }
    runtime_core::protect_program()?;
    context.log.debug(EXE_SEALED);
    let container = context.container()?;
    let builder = load(context, &context.runtime()?, true)?;
    let terminal = has_terminal(&builder);
    let builder = configure(context, builder)?;
    context.log.debug(CLONING);
    if mode == Mode::Create {
        let init = builder.create()?;
        context.warn(init.warnings());
        note(context, &init);
        return Ok(0);
    }
    let (foreground, builder) = match mode {
        Mode::Foreground => {
            if context.flags.path(CONSOLE_SOCKET).is_some() {
                return Err(Failure::new(NOT_WITH_CONSOLE_SOCKET));
            }
            let (foreground, io) = Foreground::new(terminal, !context.flags.is_set(NO_SUBREAPER))?;
            (Some(foreground), with_io(builder, io))
        }
        _ => (None, builder),
    };
    let pending = builder.prepare()?;
    context.warn(pending.warnings());
    let keeps = foreground.is_none() || context.flags.is_set(KEEP);
    let run = match foreground {
        Some(foreground) => serve(context, &container, foreground, pending),
        None => detach(context, &container, pending),
    };
    match run {
        Ok((status, init)) => {
            if !keeps {
                context.warn(&init.delete()?);
            }
            Ok(status)
        }
        // The container is deleted, and the first error is the one to report.
        Err(failure) => {
            match container.delete(DeleteOptions::new().force(true)) {
                Ok(warnings) => context.warn(&warnings),
                Err(left) => context.log.warning(&left.report()),
            }
            Err(failure)
        }
    }
}

fn detach(
    context: &CommandContext<'_>,
    container: &Container,
    pending: Pending,
) -> Result<(u8, Process), Failure> {
    let proxy = Proxy::listen(container, context.log);
    let init = pending.start()?;
    note(context, &init);
    if let Some(proxy) = proxy {
        proxy.wait(container, init.pid(), context.log)?;
    }
    Ok((0, init))
}

fn serve(
    context: &CommandContext<'_>,
    container: &Container,
    foreground: Foreground,
    mut pending: Pending,
) -> Result<(u8, Process), Failure> {
    let session = foreground.begin(pending.take_terminal())?.notify(Proxy::listen(container, context.log));
    let init = pending.start().map_err(Failure::of_process)?;
    note(context, &init);
    let served = session.supervise(&init);
    if served.is_err() {
        // The process is killed, because its terminal or pipes are not served any more. The
        // first error is the one to report.
        runtime_sys::ignore(foreground::end(&init));
    }
    let status = context.exit_code(&init, served?);
    Ok((status, init))
}

/// A debug line. In brackets are lines of runc, because users grep for them.
const EXE_SEALED: &str = "self-exe: the init will run from /proc/self/exe on a read-only mount of its own, or from a sealed copy \
     (for runc exeseal: using /proc/self/exe clone; for runc exeseal: using overlayfs for sealed /proc/self/exe)";
const CLONING: &str = "create: cloning the init (for nsexec container setup; for child process in init())";
const READY: &str = "create: the init is ready (for init: closing the pipe to signal completion)";

fn note(context: &CommandContext<'_>, init: &Process) {
    for note in init.notes() {
        context.log.debug(note);
    }
    context.log.debug(READY);
}

/// Raises RLIMIT_NOFILE for a configuration with many mounts, because each takes a descriptor.
/// Since systemd 240, a service starts with a soft limit of 1,024. A Go program, such as runc,
/// raises the limit by itself since Go 1.19. The container's program gets the limits of
/// config.json, or else those of the caller. Hooks on the host get the raised limits.
fn with_room_for_mounts(builder: ContainerBuilder) -> ContainerBuilder {
    const FEW: usize = 800;
    const NOFILE: Resource = Resource::RLIMIT_NOFILE;
    let Some(spec) = builder.loaded().filter(|spec| spec.mounts.len() > FEW) else { return builder };
    // A failure is ignored: a mount that gets no descriptor reports that.
    let Ok((soft, hard)) = getrlimit(NOFILE) else { return builder };
    if setrlimit(NOFILE, hard, hard).is_err() {
        return builder;
    }
    let mut spec = spec.clone();
    if let Some(process) = &mut spec.process {
        let kind = "RLIMIT_NOFILE";
        if process.rlimits.iter().all(|limit| limit.kind != kind) {
            process.rlimits.push(Rlimit { kind: kind.to_owned(), hard, soft });
        }
    }
    builder.spec(spec)
}

fn with_io(builder: ContainerBuilder, io: ChildIo) -> ContainerBuilder {
    let [stdin, stdout, stderr] = io.stdio;
    let builder = builder.stdin(stdin).stdout(stdout).stderr(stderr).cancel(io.cancel);
    if io.terminal { builder.terminal() } else { builder }
}

fn options(context: &CommandContext<'_>, mut builder: ContainerBuilder) -> Result<ContainerBuilder, Failure> {
    let flags = context.flags;
    if let Some(path) = flags.path(CONSOLE_SOCKET) {
        builder = builder.console_socket(path);
    }
    if let Some(path) = flags.path(PIDFD_SOCKET) {
        builder = builder.pidfd_socket(path);
    }
    if let Some(path) = flags.path(PID_FILE) {
        builder = builder.pid_file(path);
    }
    let (fds, listening) = preserved_fds::count(flags)?;
    if let Some(listening) = listening {
        builder = builder.env("LISTEN_FDS", listening.to_string()).env("LISTEN_PID", "1");
    }
    Ok(builder
        .cgroup_manager(cgroup_manager(context)?)
        .rootless(rootless(context)?)
        .notify(notify::address().is_some())
        .preserve_fds(fds)
        .no_pivot(flags.is_set(NO_PIVOT))
        .no_new_keyring(flags.is_set(NO_NEW_KEYRING)))
}

/// Returns the cgroup manager that the global flags name.
pub(super) fn cgroup_manager(context: &CommandContext<'_>) -> Result<CgroupManager, Failure> {
    let manager = context.globals.get(CGROUP_MANAGER).map(OsStr::to_string_lossy);
    match manager.as_deref() {
        None if context.globals.is_set(SYSTEMD_CGROUP) => Ok(CgroupManager::Systemd),
        None | Some("cgroupfs") => Ok(CgroupManager::Fs),
        Some("systemd") => Ok(CgroupManager::Systemd),
        Some("disabled") => Ok(CgroupManager::None),
        Some(other) => Err(Failure::new(format!("--cgroup-manager: unknown manager {other:?}"))),
    }
}

/// Returns the value of the global flag --rootless.
fn rootless(context: &CommandContext<'_>) -> Result<Rootless, Failure> {
    let Some(given) = context.globals.get(ROOTLESS) else { return Ok(Rootless::Auto) };
    if given.is_empty() || given.eq_ignore_ascii_case("auto") {
        return Ok(Rootless::Auto);
    }
    let syntax = || format!("strconv.ParseBool: parsing {:?}: invalid syntax", given.to_string_lossy());
    let is_rootless = parse_bool(given).ok_or_else(|| Failure::new(syntax()))?;
    Ok(if is_rootless { Rootless::Yes } else { Rootless::No })
}
