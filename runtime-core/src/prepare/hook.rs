// SPDX-License-Identifier: Apache-2.0
//! The process of a hook that runs in the container's namespaces.

use crate::boundary::plan::{Hide, Join, Keeps, Plan, Process, Program};
use crate::boundary::seal;
use crate::error::{Context, Result};
use crate::hook::Hook;
use runtime_sys::exec::StringArray;
use runtime_sys::fd;
use std::ffi::CString;
use std::os::fd::OwnedFd;

/// runc's, too.
const UMASK: u32 = 0o022;

/// The plan of a createContainer hook: a process in the namespaces of an init
/// that has not entered its root file system yet, which is at `root`: there the
/// hook begins. Like that init it is root there, and nothing is taken from it. Its
/// program is the host's (config.md, "CreateContainer Hooks"): by its path only in a
/// mount namespace that nobody else is in (`by_path`).
pub(crate) fn for_create_container(
    hook: &Hook,
    by_path: bool,
    joins: Box<[Join]>,
    root: CString,
    stdio: [OwnedFd; 3],
) -> Result<Plan> {
    let path = super::given::c_string(&hook.path);
    let file =
        fd::open_follow(fd::CWD, &path, libc::O_PATH, 0).context(|| format!("fork/exec {}", hook.path))?;
    let process = Process {
        keyring: None,
        terminal: None,
        stdio: stdio.map(Some),
        personality: None,
        memory_policy: None,
        rlimits: Box::default(),
        umask: UMASK,
        cwd: root,
        make_cwd: false,
        args: StringArray::new(strings(&hook.args)),
        env: StringArray::new(strings(hook.env.as_deref().unwrap_or_default())),
        home: None,
        program: Program::OfHost { path, file, by_path },
        no_new_privileges: false,
        filter: None,
        capabilities: None,
        uid: 0,
        gid: 0,
        groups: Box::default(),
        // The init still has the caller's, but for a user namespace that it has joined.
        keeps: Keeps::Undroppable,
        enters_pid: super::namespaces::enters_pid(&joins),
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

/// Makes the plan of an exec'd process that of a startContainer hook. What the
/// process may do stays as it is: that of the container's first one.
pub(crate) fn for_start_container(plan: &mut Plan, hook: &Hook) {
    let process = &mut plan.process;
    process.program = Program::Path(super::given::c_string(&hook.path));
    process.args = StringArray::new(strings(&hook.args));
    // Without `env` it has the program's environment, as with runc.
    if let Some(env) = &hook.env {
        process.env = StringArray::new(strings(env));
        process.home = None;
    }
}

/// Texts that `config` has checked for NUL bytes.
fn strings(texts: &[String]) -> Vec<CString> {
    texts.iter().map(|text| super::given::c_string(text)).collect()
}
