// SPDX-License-Identifier: Apache-2.0
//! The plans of hooks that run in the container's namespaces.

use crate::boundary::plan::{Hide, Join, Keeps, Plan, Process, Program, Stream};
use crate::boundary::seal;
use crate::error::{Context, Result};
use crate::hook::Hook;
use runtime_sys::exec::StringArray;
use runtime_sys::fd;
use std::ffi::CString;
use std::os::fd::OwnedFd;

/// The umask of hooks, the same as runc's.
const UMASK: u32 = 0o022;

/// Makes the plan of a createContainer hook: a process in the namespaces of an init that has
/// not entered its root file system yet. The root file system is at `root`, which is the hook's
/// working directory. Like init at that point, the hook is root in these namespaces and drops
/// no privileges. Its program is a file of the host (config.md, "CreateContainer Hooks"). The
/// program is executed by its path only if no other process is in the mount namespace
/// (`by_path`).
pub(crate) fn for_create_container(
    hook: &Hook,
    by_path: bool,
    joins: Box<[Join]>,
    root: CString,
    stdio: [OwnedFd; 3],
) -> Result<Plan> {
    let path = super::extras::c_string(&hook.path)?;
    let file =
        fd::open_follow(fd::CWD, &path, libc::O_PATH, 0).context(|| format!("fork/exec {}", hook.path))?;
    let process = Process {
        keyring: None,
        terminal: None,
        stdio: stdio.map(Some),
        streams: [Stream::Other; 3],
        personality: None,
        memory_policy: None,
        rlimits: Box::default(),
        umask: UMASK,
        cwd: root,
        make_cwd: false,
        args: StringArray::new(strings(&hook.args)?),
        env: StringArray::new(strings(hook.env.as_deref().unwrap_or_default())?),
        home: None,
        program: Program::OfHost { path, file, by_path },
        no_new_privileges: false,
        filter: None,
        capabilities: None,
        uid: 0,
        gid: 0,
        groups: Box::default(),
        // Init still has the caller's groups, unless it has joined a user namespace.
        keeps: Keeps::Undroppable,
        enters_pid: super::namespaces::enters_pid(&joins),
        // The hook is a program of the caller.
        inherited_oom_score: None,
        preserve_fds: 0,
        fifo: None,
    };
    Ok(Plan {
        joins,
        clone_flags: 0,
        seal: seal::prepare()?,
        labels: None,
        wait_go: false,
        hide: Hide::AtOnce,
        proc: None,
        root: None,
        becomes_root: false,
        enter: None,
        container: None,
        process,
    })
}

/// Turns the plan of an exec process into that of a startContainer hook. The privileges stay
/// those of the container's first process.
pub(crate) fn for_start_container(plan: &mut Plan, hook: &Hook) -> Result<()> {
    let process = &mut plan.process;
    process.program = Program::Path(super::extras::c_string(&hook.path)?);
    process.args = StringArray::new(strings(&hook.args)?);
    // Without `env` the hook gets the program's environment, as with runc.
    if let Some(env) = &hook.env {
        process.env = StringArray::new(strings(env)?);
        process.home = None;
    }
    Ok(())
}

/// Converts texts that `config` has checked for NUL bytes.
fn strings(texts: &[String]) -> Result<Vec<CString>> {
    texts.iter().map(|text| super::extras::c_string(text)).collect()
}
