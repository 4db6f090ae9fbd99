// SPDX-License-Identifier: Apache-2.0
//! `exec`.

use super::context::CommandContext;
use super::preserved_fds;
use crate::args::flags::{
    ADDITIONAL_GIDS, APPARMOR, CAP, CGROUP, CONSOLE_SOCKET, CWD, DETACH, ENV, IGNORE_PAUSED, NO_NEW_PRIVS,
    PID_FILE, PIDFD_SOCKET, PROCESS, PROCESS_LABEL, TTY, USER,
};
use crate::failure::Failure;
use crate::foreground::{self, ChildIo, Foreground};
use crate::input;
use runtime_core::spec::{Capabilities, Process};
use runtime_core::{Container, ExecBuilder};

/// The exit status of an `exec` that failed. Other statuses are those of the process.
const FAILED: u8 = 255;

pub(super) fn exec(context: &CommandContext<'_>) -> Result<u8, Failure> {
    run(context).map_err(failed)
}

/// Gives a failure the text and the exit status of a failed `exec`.
pub(super) fn failed(failure: Failure) -> Failure {
    Failure { status: FAILED, ..failure.during("exec failed") }
}

fn run(context: &CommandContext<'_>) -> Result<u8, Failure> {
    runtime_core::protect_program()?;
    let flags = context.flags;
    let container = context.container()?;
    let process = match flags.path(PROCESS) {
        Some(path) => {
            let (process, warnings) = input::parse(path, Process::from_json_warning)?;
            context.warn(&warnings);
            process
        }
        None => from_flags(context, &container)?,
    };
    let detach = flags.is_set(DETACH);
    let terminal = process.terminal;
    let has_socket = flags.path(CONSOLE_SOCKET).is_some();
    if detach && terminal && !has_socket {
        return Err(Failure::new(
            "cannot allocate tty if runc will detach without setting console socket; hint: leave out --tty (in \
             --process: terminal), or give --console-socket",
        ));
    }
    if has_socket && !(detach && terminal) {
        return Err(Failure::new(
            "cannot use console socket if runc will not detach or allocate tty; hint: it goes with both --detach and \
             --tty",
        ));
    }
    context.log.debug(JOINING);
    let exec = options(context, container.exec(process))?;
    if detach {
        let process = exec.spawn()?;
        context.warn(process.warnings());
        note(context, &process);
        return Ok(0);
    }
    let (foreground, io) = Foreground::new(terminal, false)?;
    let mut pending = with_io(exec, io).prepare()?;
    context.warn(pending.warnings());
    let session = foreground.begin(pending.take_terminal())?;
    let process = pending.start().map_err(Failure::of_process)?;
    note(context, &process);
    let status = session.supervise(&process).inspect_err(|_first| {
        // The process is killed, because its terminal or pipes are not served any more. The
        // first error is the one to report.
        runtime_sys::ignore(foreground::end(&process));
    })?;
    Ok(context.exit_code(&process, status))
}

/// A debug line. In brackets are lines of runc, because users grep for them.
const JOINING: &str =
    "exec: cloning a process into the container (for nsexec container setup; for child process in init())";

fn note(context: &CommandContext<'_>, process: &runtime_core::Process) {
    for note in process.notes() {
        context.log.debug(note);
    }
    context.log.debug("exec: the process is ready (for setns_init: about to exec)");
}

fn with_io(exec: ExecBuilder, io: ChildIo) -> ExecBuilder {
    let [stdin, stdout, stderr] = io.stdio;
    let exec = exec.stdin(stdin).stdout(stdout).stderr(stderr).cancel(io.cancel);
    if io.terminal { exec.terminal() } else { exec }
}

fn options(context: &CommandContext<'_>, mut exec: ExecBuilder) -> Result<ExecBuilder, Failure> {
    let flags = context.flags;
    if let Some(path) = flags.path(CONSOLE_SOCKET) {
        exec = exec.console_socket(path);
    }
    if let Some(path) = flags.path(PIDFD_SOCKET) {
        exec = exec.pidfd_socket(path);
    }
    if let Some(path) = flags.path(PID_FILE) {
        exec = exec.pid_file(path);
    }
    let (fds, listening) = preserved_fds::count(flags)?;
    if let Some(listening) = listening {
        exec = exec.env("LISTEN_FDS", listening.to_string()).env("LISTEN_PID", "1");
    }
    match flags.texts(CGROUP).collect::<Vec<_>>().as_slice() {
        [] => {}
        [path] => {
            // The form `cpu,memory:path` is for the hierarchies of cgroup v1.
            let path =
                path.to_str().ok_or_else(|| Failure::new(format!("--cgroup: {path:?} is not UTF-8")))?;
            exec = exec.cgroup(path);
        }
        _ => {
            return Err(Failure::new("--cgroup: cgroup v2 has one hierarchy, so only one path is possible"));
        }
    }
    Ok(exec.preserve_fds(fds).ignore_paused(flags.is_set(IGNORE_PAUSED)))
}

/// Returns the process of the container's configuration, changed by the flags.
fn from_flags(context: &CommandContext<'_>, container: &Container) -> Result<Process, Failure> {
    let flags = context.flags;
    let args = context.arguments.get(1..).unwrap_or_default();
    if args.is_empty() {
        return Err(Failure::new("exec args cannot be empty"));
    }
    let text = |value: &std::ffi::OsStr| {
        value.to_str().map(str::to_owned).ok_or_else(|| Failure::new(format!("{value:?} is not UTF-8")))
    };
    let mut process = container.spec_process()?;
    process.args = args.iter().map(|arg| text(arg)).collect::<Result<_, _>>()?;
    process.terminal = flags.is_set(TTY);
    if let Some(cwd) = flags.get(CWD).filter(|cwd| !cwd.is_empty()) {
        process.cwd = text(cwd)?;
    }
    if let Some(label) = flags.get(PROCESS_LABEL).filter(|label| !label.is_empty()) {
        process.selinux_label = text(label)?;
    }
    if let Some(profile) = flags.get(APPARMOR).filter(|profile| !profile.is_empty()) {
        process.apparmor_profile = text(profile)?;
    }
    if let Some(no_new_privileges) = flags.switch(NO_NEW_PRIVS) {
        process.no_new_privileges = no_new_privileges;
    }
    for variable in flags.texts(ENV) {
        process.env.push(text(variable)?);
    }
    for capability in flags.texts(CAP) {
        add_capability(process.capabilities.get_or_insert_default(), &text(capability)?);
    }
    for gid in flags.integers(ADDITIONAL_GIDS) {
        if gid < 0 {
            return Err(Failure::new(format!("additional-gids must be a positive number {gid}")));
        }
        let gid = u32::try_from(gid).map_err(|_too_large| bad("gid", &gid.to_string()))?;
        process.user.additional_gids.push(gid);
    }
    if let Some(user) = flags.get(USER).filter(|user| !user.is_empty()) {
        let user = text(user)?;
        let (uid, gid) = user.split_once(':').map_or((user.as_str(), None), |(uid, gid)| (uid, Some(gid)));
        // Numbers only: names would be looked up in the image (CVE-2016-3697, CVE-2026-30892).
        process.user.uid = Some(uid.parse().map_err(|_not_a_number| bad("uid", uid))?);
        if let Some(gid) = gid {
            process.user.gid = Some(gid.parse().map_err(|_not_a_number| bad("gid", gid))?);
        }
    }
    Ok(process)
}

fn bad(what: &str, value: &str) -> Failure {
    Failure::new(format!("bad {what}: strconv.Atoi: parsing {value:?}: invalid syntax"))
}

/// Adds a capability to all sets but the inheritable one (CVE-2022-29162), and to the ambient one
/// only if the container has inheritable capabilities.
fn add_capability(sets: &mut Capabilities, name: &str) {
    sets.bounding.push(name.to_owned());
    sets.effective.push(name.to_owned());
    sets.permitted.push(name.to_owned());
    if !sets.inheritable.is_empty() {
        sets.ambient.push(name.to_owned());
    }
}
