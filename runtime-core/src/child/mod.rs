// SPDX-License-Identifier: Apache-2.0
//! The child: from the clone to the container's program.
//!
//! No code in this module allocates, locks, formats or logs. The child gets a [`Plan`] and makes
//! system calls; it reports a failure to the parent as a [`StepFailure`]. A test runs these scripts
//! under an allocator that aborts (`tests/no_heap.rs`).

mod console;
mod copy_up;
pub(crate) mod devices;
pub(crate) mod helpers;
mod holds;
mod inside;
mod lookup;
mod mounting;
pub(crate) mod mounts;
mod namespaces;
mod paths;
mod places;
pub(crate) mod probe;
mod process;
mod procfs;
mod remount;
mod report;
mod rootfs;
pub(crate) mod rootfs_maker;
pub(crate) mod streams;

#[cfg(feature = "fuzzing")]
pub(crate) use lookup::parse_passwd;

use crate::boundary::channel::ChildEnd;
use crate::boundary::plan::{Hide, InitPlan, Keeps, Plan, Process};
use crate::boundary::reply::Reply;
use crate::boundary::seal::{self, Seal};
use crate::boundary::step::{Call, During, InStep, Step, StepFailure};
use crate::marks::{self, Track};
use crate::path::proc::Proc;
use crate::path::root::PathBuffer;
use places::{Places, View};
use process::hide;
use report::report_and_exit;
use runtime_sys::clone::ChildMain;
use runtime_sys::signal::Ignored;
use std::convert::Infallible;
use std::ffi::CStr;
use std::os::fd::RawFd;

/// The exit status if the program could not be executed.
const EXEC_FAILED: i32 = 255;

/// The child of the parent's clone: the stage if existing namespaces are joined and a pid namespace
/// is made, otherwise the init.
pub(crate) struct FirstChild<'a> {
    pub(crate) plan: &'a mut Plan,
    pub(crate) channel: &'a ChildEnd,
    /// The descriptors that the child keeps open: see [`holds`]. The parent's end of the channel is
    /// not among them, or the child would not see that the parent is gone.
    pub(crate) holds: &'a mut [RawFd],
    /// The signals that the parent ignores. The child inherits them.
    pub(crate) ignored: Ignored,
}

impl ChildMain for FirstChild<'_> {
    fn run(self) -> ! {
        runtime_sys::signal::reset_in_child(self.ignored);
        marks::enter(if self.plan.has_stage() { Track::Stage } else { Track::Init });
        report_and_exit(first(self.plan, self.holds, self.channel), self.channel)
    }
}

/// The child of the stage's clone.
struct Init<'a> {
    plan: &'a mut Plan,
    channel: &'a ChildEnd,
}

impl ChildMain for Init<'_> {
    fn run(self) -> ! {
        marks::enter(Track::Init);
        report_and_exit(init(self.plan, self.channel), self.channel)
    }
}

/// A process in an existing pid namespace. The init clones it when only the execve of the program
/// is left. From its birth other processes may see it and, with CAP_SYS_PTRACE, take it over. So it
/// is born as the program's user, in the program's root, with the program's capabilities, and with
/// no other descriptors than those of the program, the channel and the fifo.
struct Last<'a> {
    /// The program's path, or the failure to find it from outside of the pid namespace.
    program: Result<&'a CStr, StepFailure>,
    process: &'a mut Process,
    channel: &'a ChildEnd,
}

impl ChildMain for Last<'_> {
    fn run(self) -> ! {
        marks::enter(Track::Last);
        let Last { program, process, channel } = self;
        let mut path = PathBuffer::new();
        let result = process::settle(process)
            .and_then(|()| program.or_else(|outside| process::find_inside(process, outside, &mut path)))
            .and_then(|program| execute(program, process, channel));
        report_and_exit(result, channel)
    }
}

/// Runs the steps of the first child. Without a stage, it is the init and runs all steps.
fn first(plan: &mut Plan, holds: &mut [RawFd], channel: &ChildEnd) -> Result<Infallible, StepFailure> {
    if plan.hide == Hide::AtOnce {
        hide()?;
    }
    let first = 3 + plan.process.preserve_fds;
    process::close_all_but(first, holds).during(Call::CloseRange).step(Step::CloseOthers)?;
    // The host's procfs is still reachable here. A clone inherits the labels.
    if let Some(labels) = &plan.labels {
        process::write_labels(labels)?;
    }
    if plan.container.is_none() {
        streams::take_ahead(plan)?;
        seal(&mut plan.seal, channel)?;
        // The parent's pidfd must not get into a container. From here on the process waits only for
        // Go.
        channel.close_parent().during(Call::CloseRange).step(Step::CloseOthers)?;
    }
    if plan.joins.is_empty() {
        return init(plan, channel);
    }
    seal(&mut plan.seal, channel)?;
    namespaces::drop_groups(plan)?;
    if let Some(container) = &mut plan.container {
        procfs::open_ahead(container)?;
    }
    // A pid namespace that is joined applies to future children only.
    namespaces::join(&plan.joins)?;
    if plan.has_stage() {
        return stage(plan, channel);
    }
    namespaces::unshare(plan.clone_flags)?;
    if plan.tells_of_joins() {
        channel.send(Reply::Namespaces).during(Call::Write).step(Step::Join)?;
    }
    init(plan, channel)
}

/// The last action of the stage: clones the init as its sibling, with the new namespaces, and exits.
fn stage(plan: &mut Plan, channel: &ChildEnd) -> Result<Infallible, StepFailure> {
    let flags = plan.clone_flags;
    let (pid, _) = runtime_sys::clone::clone3(flags, true, None, Init { plan, channel })
        .during(Call::Clone3)
        .step(Step::Clone)?;
    channel.send(Reply::Cloned(pid)).during(Call::Write).step(Step::Clone)?;
    runtime_sys::exec::exit(0)
}

fn seal(seal: &mut Seal, channel: &ChildEnd) -> Result<(), StepFailure> {
    seal::apply(seal, channel).step(Step::SealExe)
}

/// Makes the environment of the program, and executes the program. If the program is to run in an
/// existing pid namespace, clones the process that executes it. These are the scripts for create
/// and exec.
fn init(plan: &mut Plan, channel: &ChildEnd) -> Result<Infallible, StepFailure> {
    if plan.clone_flags & libc::CLONE_NEWUSER != 0 {
        // Root of a user namespace may lack the permission to execute the program file.
        seal(&mut plan.seal, channel)?;
    }
    if let Some(container) = &plan.container {
        namespaces::enter_network(container)?;
    }
    if plan.wait_go {
        let wait = if plan.container.is_some() { ChildEnd::wait_go } else { ChildEnd::wait_alone };
        wait(channel).during(Call::Read).step(Step::WaitGo)?;
    }
    if let (Some(container), Some(proc)) = (&plan.container, &plan.proc) {
        namespaces::set_clocks(container, proc)?;
    }
    if let (Some(InitPlan { namespace_root: true, .. }), Some(proc)) = (&plan.container, &plan.proc)
        && plan.process.keeps == Keeps::None
        && namespaces::denies_groups(proc)?
    {
        plan.process.keeps = Keeps::Undroppable;
    }
    if plan.hide == Hide::AfterMaps {
        hide()?;
    }
    let entered = match (&mut plan.container, &plan.proc) {
        (Some(container), Some(proc)) => make(container, &mut plan.process, &mut plan.seal, proc, channel)?,
        _ => {
            if let Some(root) = &plan.enter {
                rootfs::enter(root)?;
            }
            process::join_session(&plan.process)?;
            if plan.becomes_root {
                namespaces::become_root()?;
            }
            console::open(&mut plan.process, None)?;
            process::enter_cwd(&plan.process)?
        }
    };
    let seal = &plan.seal;
    process::become_user(&mut plan.process, entered, channel, |program, process| {
        if !process.enters_pid {
            return execute(program?, process, channel);
        }
        seal::wipe(seal);
        process::load_before_clone(process)?;
        let pid = runtime_sys::clone::sibling(Last { program, process, channel })
            .during(Call::Clone)
            .step(Step::EnterPid)?;
        channel.send(Reply::Cloned(pid)).during(Call::Write).step(Step::EnterPid)?;
        runtime_sys::exec::exit(0)
    })
}

/// Executes the program.
fn execute(program: &CStr, process: &mut Process, channel: &ChildEnd) -> Result<Infallible, StepFailure> {
    process::load_notifying(process, channel)?;
    channel.send(Reply::Ready).during(Call::Write).step(Step::Ready)?;
    channel.wait_alone().during(Call::Read).step(Step::Ready)?;
    process::wait_start(process)?;
    let (call, errno) = match process::load_plain(process) {
        Ok(()) => (Call::Execve, lookup::execute(program, process)),
        Err(errno) => (Call::Seccomp, errno),
    };
    process::print_error(program, StepFailure { step: Step::Exec, item: 0, call, errno }, process, channel);
    runtime_sys::exec::exit(EXEC_FAILED)
}

/// Makes the container. Returns true if the process has entered the working directory.
fn make(
    container: &mut InitPlan,
    process: &mut Process,
    seal: &mut Seal,
    proc: &Proc,
    channel: &ChildEnd,
) -> Result<bool, StepFailure> {
    namespaces::finish(container, channel)?;
    process::join_session(process)?;
    runtime_sys::fd::umask(0);
    rootfs::attach(&mut container.rootfs, proc, channel)?;
    mounts::attach_all(&mut container.rootfs, proc, channel)?;
    devices::make(&mut container.rootfs, proc, channel)?;
    // Before hooks run, and while the host's procfs is reachable. The parent has prepared the program
    // file during the steps above.
    self::seal(seal, channel)?;
    if container.barrier {
        channel.send(Reply::Barrier).during(Call::Write).step(Step::Barrier)?;
        channel.wait_go().during(Call::Read).step(Step::Barrier)?;
    }
    paths::set_sysctls(container, proc)?;
    if container.awaits_filter {
        channel.wait_go().during(Call::Read).step(Step::DeviceFilter)?;
    }
    rootfs::pivot(&container.rootfs, proc)?;
    let places = Places::of(&container.rootfs);
    streams::take(process, &View { places, proc })?;
    console::open(process, Some(&places))?;
    paths::mask_and_lock(container)?;
    // The working directory may have to be made, which the lock could prevent.
    let entered = process::enter_cwd(process)?;
    rootfs::lock(&mut container.rootfs)?;
    Ok(entered)
}
