// SPDX-License-Identifier: Apache-2.0
//! `restore`.

use super::checkpoint::{check_user, image_flags, images, manage_cgroups};
use super::context::CommandContext;
use super::create::{NOT_WITH_CONSOLE_SOCKET, cgroup_manager};
use crate::args::flags::{
    BUNDLE, CONSOLE_SOCKET, DETACH, LAZY_PAGES, LSM_MOUNT_CONTEXT, LSM_PROFILE, NO_PIVOT, NO_SUBREAPER,
    PID_FILE,
};
use crate::failure::Failure;
use crate::foreground::{self, Foreground};
use crate::notify::{self, Proxy};
use runtime_core::{Container, Process};
use std::ffi::OsStr;
use std::path::Path;

pub(super) fn restore(context: &CommandContext<'_>) -> Result<u8, Failure> {
    let flags = context.flags;
    check_user()?;
    // The process that finishes the restore joins the namespaces of the container.
    runtime_core::protect_program()?;
    if flags.is_set(NO_PIVOT) {
        context.log.warning("--no-pivot is ignored: CRIU makes the root, always by pivot_root");
    }
    let manage_cgroups = manage_cgroups(flags)?;
    let container = context.container()?;
    let bundle = flags.path(BUNDLE).unwrap_or(Path::new("."));
    let mut builder = context.runtime()?.restore(container.id().clone(), bundle, images(flags));
    builder = builder.manage_cgroups(manage_cgroups);
    image_flags!(builder, flags);
    let text = |value: &OsStr| value.to_string_lossy().into_owned();
    if let Some(profile) = flags.get(LSM_PROFILE).filter(|value| !value.is_empty()) {
        builder = builder.lsm_profile(text(profile));
    }
    if let Some(label) = flags.get(LSM_MOUNT_CONTEXT).filter(|value| !value.is_empty()) {
        builder = builder.lsm_mount_context(text(label));
    }
    if let Some(path) = flags.path(PID_FILE) {
        builder = builder.pid_file(path);
    }
    builder = builder
        .cgroup_manager(cgroup_manager(context)?)
        .lazy_pages(flags.is_set(LAZY_PAGES))
        .notify(notify::address().is_some());
    if flags.is_set(DETACH) {
        if let Some(path) = flags.path(CONSOLE_SOCKET) {
            builder = builder.console_socket(path);
        }
        let init = builder.restore()?;
        context.warn(init.warnings());
        return Ok(0);
    }
    if flags.path(CONSOLE_SOCKET).is_some() {
        return Err(Failure::new(NOT_WITH_CONSOLE_SOCKET));
    }
    builder = builder.load()?;
    let process = builder.loaded().and_then(|spec| spec.process.as_ref());
    let terminal = process.is_some_and(|process| process.terminal);
    let (foreground, io) = Foreground::new(terminal, !flags.is_set(NO_SUBREAPER))?;
    let [stdin, stdout, stderr] = io.stdio;
    builder = builder.stdin(stdin).stdout(stdout).stderr(stderr).cancel(io.cancel);
    if io.terminal {
        builder = builder.terminal();
    }
    let init = builder.restore()?;
    context.warn(init.warnings());
    serve(context, &container, foreground, init)
}

/// Serves the container's first process until it has ended, then deletes the container.
fn serve(
    context: &CommandContext<'_>,
    container: &Container,
    foreground: Foreground,
    mut init: Process,
) -> Result<u8, Failure> {
    let served = foreground
        .begin(init.terminal.take())
        .and_then(|session| session.notify(Proxy::listen(container, context.log)).supervise(&init));
    if served.is_err() {
        // The process is killed, because its terminal or pipes are not served any more. The
        // first error is the one to report.
        let _ended = foreground::end(&init);
    }
    let code = served.map(|status| context.exit_code(&init, status));
    match init.delete() {
        Ok(warnings) => context.warn(&warnings),
        Err(left) => context.log.warning(&left.report()),
    }
    code
}
