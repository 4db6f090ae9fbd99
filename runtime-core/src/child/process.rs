// SPDX-License-Identifier: Apache-2.0
//! The change into the container's process: the end of create and exec.

use super::{lookup, streams};
use crate::boundary::channel::{self, ChildEnd};
use crate::boundary::plan::{Keeps, Labels, Process};
use crate::boundary::reply::Reply;
use crate::boundary::step::{Call, During, InStep, Step, StepFailure, StepResult};
use crate::path::executable::Reason;
use crate::path::root::{Leaf, PathBuffer, Root};
use crate::values::{Capabilities, Rlimit};
use nix::sys::prctl;
use nix::unistd::{chdir, fchdir, geteuid, setsid};
use runtime_sys::cred::{self, CapSets};
use runtime_sys::process::{own_rlimit_of, set_mempolicy, set_personality, set_rlimit};
use runtime_sys::{Errno, fd, keyctl, seccomp, tty};
use std::convert::Infallible;
use std::ffi::CStr;
use std::os::fd::{AsFd, AsRawFd, IntoRawFd, RawFd};

/// Starts a new session and joins a session keyring, so that neither signals of the caller's
/// terminal nor keys of the caller's session reach the container.
pub(super) fn join_session(process: &Process) -> Result<(), StepFailure> {
    // Also before the clone into an existing pid namespace, where the new process calls setsid(2)
    // again: taken over before that call, it could otherwise send signals to the caller's process
    // group, and open the caller's terminal as /dev/tty.
    setsid().during(Call::Setsid).step(Step::Keyring)?;
    let Some(keyring) = &process.keyring else { return Ok(()) };
    let join = || -> StepResult {
        let mut serial = match keyctl::join_session(Some(&keyring.name)) {
            // A kernel without key management: there are no keys to protect.
            Err(Errno::ENOSYS) => return Ok(()),
            other => other.during(Call::Keyctl)?,
        };
        if keyring.may_be_anothers && keyctl::owner(serial) != Ok(Some(geteuid().as_raw())) {
            // Another user has made a keyring with this name, to share the container's keys. A
            // keyring without a name is new, so each process of `exec` gets one of its own.
            serial = keyctl::join_session(None).during(Call::Keyctl)?;
        }
        match keyring.permissions {
            Some(permissions) => keyctl::set_permissions(serial, permissions).during(Call::Keyctl),
            None => Ok(()),
        }
    };
    join().step(Step::Keyring)
}

/// Writes the labels that the security modules give the program and the keyring. They keep the
/// labels until execve.
pub(super) fn write_labels(labels: &Labels) -> Result<(), StepFailure> {
    for (i, label) in labels.writes.iter().enumerate() {
        let write = || -> StepResult {
            let file = labels.proc.open_own(&label.file, libc::O_WRONLY).during(Call::Open)?;
            fd::write(file, label.content.to_bytes()).during(Call::Write).map(drop)
        };
        write().item(Step::Label, i)?;
    }
    Ok(())
}

/// Gives up what the program must not have, becomes the program's user, and calls `execute` with
/// the program's path. `entered` is true if the process is in its working directory already.
///
/// A process that will enter a pid namespace may not find the working directory or the program, because
/// a path through /proc/self exists only inside. Then `execute` gets the failure.
pub(super) fn become_user(
    process: &mut Process,
    entered: bool,
    channel: &ChildEnd,
    execute: impl FnOnce(Result<&CStr, StepFailure>, &mut Process) -> Result<Infallible, StepFailure>,
) -> Result<Infallible, StepFailure> {
    close_fds(process, channel).step(Step::CloseFds)?;
    if let Some(persona) = process.personality {
        set_personality(persona).during(Call::SetPersonality).step(Step::Personality)?;
    }
    if let Some(policy) = &process.memory_policy {
        set_mempolicy(policy.mode, &policy.nodes).during(Call::SetMempolicy).step(Step::MemoryPolicy)?;
    }
    for (i, limit) in process.rlimits.iter().enumerate() {
        let set = if delays(process, limit) { allow_rlimit } else { own_rlimit };
        set(limit).item(Step::Rlimit, i)?;
    }
    fd::umask(process.umask);
    if process.no_new_privileges {
        prctl::set_no_new_privs().during(Call::Prctl).step(Step::NoNewPrivileges)?;
    }
    drop_bounding(process).step(Step::BoundingSet)?;
    set_user(process).step(Step::User)?;
    let cwd = settle_cwd(process, entered);
    if !process.enters_pid {
        cwd?;
    }
    set_capabilities(process).step(Step::Capabilities)?;
    let mut path = PathBuffer::new();
    let program = cwd.and_then(|()| find_program(process, &mut path));
    if !process.enters_pid {
        program?;
    }
    execute(program, process)
}

/// Changes to the working directory, unless the process has entered it, and checks it.
fn settle_cwd(process: &Process, entered: bool) -> Result<(), StepFailure> {
    if !entered {
        // Only the container's user may enter the directory, as on a root-squashed share.
        chdir(process.cwd.as_c_str()).during(Call::Chdir).step(Step::Cwd)?;
    }
    check_cwd().step(Step::Cwd)
}

/// Looks again, inside of the pid namespace, for the working directory and the program. `outside` is
/// the failure to find them from outside.
pub(super) fn find_inside<'a>(
    process: &Process,
    outside: StepFailure,
    path: &'a mut PathBuffer,
) -> Result<&'a CStr, StepFailure> {
    if outside.step != Step::Cwd {
        return find_program(process, path).or(Err(outside));
    }
    settle_cwd(process, false)?;
    find_program(process, path)
}

/// Finds the program. Copies its path into `path`, so that the result does not borrow from
/// `process`.
pub(super) fn find_program<'a>(process: &Process, path: &'a mut PathBuffer) -> Result<&'a CStr, StepFailure> {
    let mut buf = PathBuffer::new();
    lookup::program(&process.program, &mut buf)
        .and_then(|program| path.set(program.to_bytes()).during(Call::CheckProgram))
        .step(Step::FindProgram)
}

/// Returns true if a limit is set only by the process that is cloned to execute the program: a
/// limit on the number of processes also counts the process that clones.
fn delays(process: &Process, limit: &Rlimit) -> bool {
    #[allow(clippy::unnecessary_cast, reason = "an int in musl")]
    const NPROC: u32 = libc::RLIMIT_NPROC as u32;
    process.enters_pid && limit.resource == NPROC
}

fn own_rlimit(limit: &Rlimit) -> StepResult {
    set_rlimit(0, limit.resource, limit.soft, limit.hard).during(Call::Prlimit)
}

/// Raises the hard limit if necessary, so that the limit can be set later without a capability.
fn allow_rlimit(limit: &Rlimit) -> StepResult {
    let (_, hard) = own_rlimit_of(limit.resource).during(Call::Prlimit)?;
    if limit.hard > hard {
        return set_rlimit(0, limit.resource, limit.hard, limit.hard).during(Call::Prlimit);
    }
    Ok(())
}

/// Sets what a process cloned into an existing pid namespace has not inherited.
pub(super) fn settle(process: &Process) -> Result<(), StepFailure> {
    setsid().during(Call::Setsid).step(Step::EnterPid)?;
    if process.terminal.is_some() {
        tty::set_controlling(fd::stdio(0)).during(Call::Ioctl).step(Step::EnterPid)?;
    }
    for (i, limit) in process.rlimits.iter().enumerate().filter(|(_, limit)| delays(process, limit)) {
        own_rlimit(limit).item(Step::Rlimit, i)?;
    }
    Ok(())
}

/// Changes to the working directory. Returns false on EACCES: the container's user may have the
/// permission to enter it. Returns false, too, if only a process in the existing pid namespace may find
/// it.
pub(super) fn enter_cwd(process: &Process) -> Result<bool, StepFailure> {
    let path = &process.cwd;
    let enter = || match chdir(path.as_c_str()) {
        Ok(()) => Ok(true),
        Err(Errno::EACCES) => Ok(false),
        Err(Errno::ENOENT) if process.enters_pid && !process.make_cwd => Ok(false),
        Err(Errno::ENOENT) if process.make_cwd => {
            let root = fd::open(fd::CWD, c"/", libc::O_PATH | libc::O_DIRECTORY, 0).during(Call::Open)?;
            let made = Root::new(&root).open_or_make(path, Leaf::Directory).during(Call::Mkdir)?;
            fchdir(made).during(Call::Chdir).map(|()| true)
        }
        Err(errno) => Err((Call::Chdir, errno)),
    };
    enter().step(Step::Cwd)
}

/// Fails if the working directory is outside of the process's root, where a leaked descriptor may
/// have led it (CVE-2024-21626). Then the kernel returns a path that does not begin with a slash.
fn check_cwd() -> StepResult {
    let mut buf = [0; libc::PATH_MAX as usize];
    match fd::getcwd(&mut buf) {
        Ok([b'/', ..]) => Ok(()),
        Ok(_) => Err((Call::CheckCwd, Errno::ENOENT)),
        Err(errno) => Err((Call::Getcwd, errno)),
    }
}

fn drop_bounding(process: &Process) -> StepResult {
    let Some(capabilities) = process.capabilities else { return Ok(()) };
    for cap in 0..64u8 {
        if capabilities.bounding & 1 << cap == 0 {
            match cred::drop_bounding(cap) {
                Ok(()) => {}
                // The first number that the kernel does not know.
                Err(Errno::EINVAL) => break,
                Err(errno) => return Err((Call::Prctl, errno)),
            }
        }
    }
    Ok(())
}

fn set_user(process: &Process) -> StepResult {
    for n in 0..3u8 {
        streams::own(fd::stdio(n), process.uid).during(Call::Chown)?;
    }
    let keeps = process.capabilities.is_some() || loads_privileged(process);
    if keeps && process.uid != 0 {
        prctl::set_keepcaps(true).during(Call::Prctl)?;
    }
    match process.keeps {
        Keeps::None => cred::set_groups(&process.groups).during(Call::Setgroups)?,
        Keeps::Undroppable | Keeps::All if process.groups.is_empty() => {}
        Keeps::Undroppable | Keeps::All => return Err((Call::Setgroups, Errno::EPERM)),
    }
    cred::set_gid(process.gid).during(Call::Setgid)?;
    cred::set_uid(process.uid).during(Call::Setuid)
}

fn loads_privileged(process: &Process) -> bool {
    process.filter.as_ref().is_some_and(|filter| filter.privileged)
}

/// Sets the capabilities, and CAP_SYS_ADMIN in addition if loading the filter needs it. execve
/// drops it: the new sets are made from the inheritable, bounding and ambient sets, and not from
/// the permitted set (capabilities(7)). So no call is needed after the filter, which may forbid the
/// call.
fn set_capabilities(process: &Process) -> StepResult {
    let more = if loads_privileged(process) { 1 << cred::CAP_SYS_ADMIN } else { 0 };
    let Some(capabilities) = own_capabilities(process, more)? else { return Ok(()) };
    set_sets(&capabilities, more)?;
    // The caller's ambient capabilities remain where they are still permitted and inheritable.
    cred::clear_ambient().during(Call::Prctl)?;
    for cap in (0..64u8).filter(|cap| capabilities.ambient & 1 << cap != 0) {
        cred::raise_ambient(cap).during(Call::Prctl)?;
    }
    Ok(())
}

/// Returns the capabilities that the process is to have; `None`: its current ones. `more` are
/// additional capabilities that the process has had so far.
fn own_capabilities(process: &Process, more: u64) -> StepResult<Option<Capabilities>> {
    Ok(match process.capabilities {
        Some(capabilities) => Some(capabilities),
        // Without sets in config.json, only a change from root to another user takes capabilities
        // away.
        None if more == 0 || process.uid == 0 => None,
        None => Some(Capabilities {
            inheritable: cred::cap_get().during(Call::Capget)?.inheritable,
            ..Capabilities::default()
        }),
    })
}

fn set_sets(capabilities: &Capabilities, more: u64) -> StepResult {
    let sets = CapSets {
        effective: capabilities.effective | more,
        permitted: capabilities.permitted | more,
        inheritable: capabilities.inheritable,
    };
    cred::cap_set(&sets).during(Call::Capset)
}

/// Loads the filter, and drops CAP_SYS_ADMIN if loading has taken it, before the process is cloned
/// into a pid namespace: a process that is taken over there would otherwise have no filter. Does so
/// only for a filter that allows the remaining calls.
pub(super) fn load_before_clone(process: &Process) -> Result<(), StepFailure> {
    let Some(filter) = process.filter.as_ref().filter(|filter| filter.is_early) else { return Ok(()) };
    let load = || -> StepResult {
        // Before the filter is loaded, which need not allow capget(2).
        let capabilities = match filter.privileged {
            true => own_capabilities(process, 1 << cred::CAP_SYS_ADMIN)?,
            false => None,
        };
        seccomp::load(&filter.program, filter.flags).during(Call::Seccomp)?;
        capabilities.map_or(Ok(()), |capabilities| set_sets(&capabilities, 0))
    };
    load().step(Step::Seccomp)
}

/// Closes everything but the standard descriptors, those to preserve, the program file, the channel
/// and the fifo. No later step needs more. This comes before the change of user, because other
/// processes of that user may look into /proc/PID/fd. execve closes the program file, the channel
/// and the fifo.
fn close_fds(process: &Process, channel: &ChildEnd) -> StepResult {
    let channel = channel.as_fd().as_raw_fd();
    let fifo = process.fifo.as_ref().map_or(channel, AsRawFd::as_raw_fd);
    let program = process.program.file().map_or(channel, AsRawFd::as_raw_fd);
    close_all_but(3 + process.preserve_fds, &mut [channel, fifo, program]).during(Call::CloseRange)
}

/// Closes every descriptor from `first` on that is not in `keep`.
pub(super) fn close_all_but(first: RawFd, keep: &mut [RawFd]) -> runtime_sys::Result<()> {
    keep.sort_unstable();
    let mut start = first;
    for keep in keep.iter().copied().filter(|keep| *keep >= first) {
        fd::close_range(start, keep - 1, 0)?;
        start = keep + 1;
    }
    fd::close_range(start, RawFd::MAX, 0)
}

/// Loads a filter that notifies, while the parent can still hand its listener to the agent. Every
/// call after that may have to wait for the agent's answer.
///
/// Afterwards only the agent has the listener open. As long as any process has it open, the kernel
/// reports the end of the agent to no process, and the calls would wait for ever.
pub(super) fn load_notifying(process: &Process, channel: &ChildEnd) -> Result<(), StepFailure> {
    let Some(filter) = process.filter.as_ref().filter(|filter| filter.notifies) else { return Ok(()) };
    let load = || -> StepResult {
        let listener = fd::lowest_free().during(Call::Dup)?;
        channel.send(Reply::Listener(listener)).during(Call::Write)?;
        let listener = seccomp::load_listening(&filter.program, filter.flags).during(Call::Seccomp)?;
        channel.wait_alone().during(Call::Read)?;
        if filter.survives_close {
            // If the agent does not let the process close it, execve does.
            drop(listener);
        } else {
            let _open = listener.into_raw_fd();
        }
        Ok(())
    };
    load().step(Step::Seccomp)
}

/// Loads any other filter, as late as possible: then a profile has to allow execve and the
/// program's calls, but no calls of the runtime alone.
pub(super) fn load_plain(process: &Process) -> runtime_sys::Result<()> {
    match &process.filter {
        Some(filter) if !filter.notifies && !filter.is_early => seccomp::load(&filter.program, filter.flags),
        _ => Ok(()),
    }
}

/// Waits for `start` to write into the fifo, if there is one. Until then, a signal that would end
/// any other process also ends this one, although it is the init of its pid namespace
/// (pid_namespaces(7)).
pub(super) fn wait_start(process: &Process) -> Result<(), StepFailure> {
    let Some(fifo) = &process.fifo else { return Ok(()) };
    runtime_sys::signal::exit_when_terminated();
    let mut byte = [0];
    fd::read(fifo, &mut byte).during(Call::Read).step(Step::Ready).map(drop)
}

/// Reports that the program cannot be executed: to the parent that waits for the execve, or with a
/// fifo to the caller of `start`. Standard error, the container's log, gets the report too, unless
/// the parent has got it.
pub(super) fn print_error(program: &CStr, failure: StepFailure, process: &Process, channel: &ChildEnd) {
    let may_read = process.filter.as_ref().is_none_or(|filter| filter.allows_reading);
    let reason = if failure.call == Call::Execve && may_read {
        Reason::find(program, failure.errno)
    } else {
        Reason::NONE
    };
    let told = match &process.fifo {
        None => channel.send_not_executed(failure, reason.as_bytes(), program).is_ok(),
        Some(fifo) => {
            // A failure to report this cannot be reported.
            runtime_sys::ignore(channel::send_answer(fifo, failure, reason.as_bytes(), program));
            false
        }
    };
    if told {
        return;
    }
    let doing: &[u8] = if failure.call == Call::Seccomp { b"loading the system call filter: " } else { b"" };
    let text = runtime_sys::errno::text(failure.errno);
    let parts = [b"exec ", program.to_bytes(), b": ", doing, text.as_bytes(), b"\n"];
    // A single write, so that no other output comes between the parts.
    runtime_sys::ignore(runtime_sys::fd::write_parts(fd::stdio(2), parts));
}

/// Forbids processes without CAP_SYS_PTRACE on the host to inspect or trace this process from now on
/// (CVE-2016-9962). With a new user namespace this is urgent: any process of the host's root has
/// all capabilities over a process in that namespace, even if it has none itself
/// (user_namespaces(7)). Such a process may be in a container that shares the host's pids.
pub(super) fn hide() -> Result<(), StepFailure> {
    prctl::set_dumpable(false).during(Call::Prctl).step(Step::Hide)
}
