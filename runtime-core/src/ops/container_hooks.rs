// SPDX-License-Identifier: Apache-2.0
//! Hooks that run in the container's namespaces: createContainer before the container's init
//! enters the root file system, startContainer before the program is executed.
//!
//! Each hook is a process of its own that joins init's namespaces, like a process of exec. So
//! the runtime can write its input, read its output, and kill it at the timeout. Init could
//! only wait for a hook: it has no heap, and after `start` no process reads its reports.

use super::container::Container;
use super::inherited::Inherited;
use super::join::{joins, root_of, spawn_and_attach};
use crate::boundary::plan::Plan;
use crate::cgroup::Hierarchy;
use crate::config::namespaces::NamespaceKind;
use crate::error::{Context, Error, ErrorKind, Result};
use crate::hook::{Hook, HookKind};
use crate::parent::child::{Child, Progress, Running};
use crate::parent::hooks::{self, Started};
use crate::path::proc::PidFile;
use crate::prepare;
use crate::spec::{OCI_VERSION, StateDocument, Status};
use crate::state::record::{HookRecord, Record};
use crate::watch::Watch;
use runtime_sys::fd;
use std::collections::BTreeMap;

/// An init that has not entered its root file system yet, with what a hook needs to join it.
pub(super) struct HookTarget<'a> {
    pub(super) init: &'a Child,
    pub(super) plan: &'a Plan,
    pub(super) namespace_paths: &'a BTreeMap<String, String>,
    /// True if no other process is in init's mount namespace.
    pub(super) is_alone: bool,
    /// True if a process can be cloned into init's cgroup. False if it has to be moved there (see
    /// [`attach`](crate::cgroup::Cgroup::attach)).
    pub(super) clones_into_cgroup: bool,
}

/// Runs the createContainer hooks in the namespaces of init.
pub(super) fn create_container(
    hooks: &[Hook],
    state: &StateDocument<'_>,
    target: &HookTarget<'_>,
    watch: Watch<'_>,
) -> Result<()> {
    let HookTarget { init, plan, namespace_paths, is_alone, clones_into_cgroup } = *target;
    if hooks.is_empty() {
        return Ok(());
    }
    let Some(container) = &plan.container else { return Ok(()) };
    let mut namespace_paths = namespace_paths.clone();
    if plan.process.enters_pid {
        // Init has not entered the pid namespace: no process with the host's privileges does.
        namespace_paths.remove(NamespaceKind::Pid.clone_name());
    }
    let state = StateDocument { pid: pid_inside(state.pid)?, ..state.clone() };
    hooks::run_with(HookKind::CreateContainer, hooks, &state, watch, &mut |hook, stdio| {
        let init_pidfd = init.pidfd().try_clone_to_owned().map_err(|error| Error::io(&error, "dup"))?;
        let joins = joins(&namespace_paths, init_pidfd)?;
        let mut plan = prepare::hook::for_create_container(
            hook,
            is_alone,
            joins,
            container.rootfs.mount_point.clone(),
            stdio,
        )?;
        if container.rootfs.chrooted {
            // Joining init's mount namespace leaves the chroot, to which the hook's paths are
            // relative.
            plan.enter = Some(root_of(init.pid())?);
        }
        let child = spawn_beside(&mut plan, init.pid(), clones_into_cgroup)?;
        let Running { pid, pidfd, .. } = begin(child, &plan, watch)?;
        Ok(Started { pid, pidfd })
    })
}

/// Spawns the hook's process in init's cgroup, or in the caller's own if the caller may not
/// put a process into init's (EACCES, EPERM).
fn spawn_beside(plan: &mut Plan, init: i32, clones_into_cgroup: bool) -> Result<Child> {
    let cgroup = Hierarchy::find()?.of_process(init)?;
    let spawned = if clones_into_cgroup {
        Child::spawn(plan, Some(cgroup.dir()))
    } else {
        spawn_and_attach(plan, |child| cgroup.attach(child.pid()))
    };
    match spawned {
        Err(error) if matches!(error.errno(), Some(libc::EACCES | libc::EPERM)) => {
            plan.wait_go = false;
            Child::spawn(plan, None)
        }
        other => other,
    }
}

/// Lets the cloned process go on to execve(2).
fn begin(mut child: Child, plan: &Plan, watch: Watch<'_>) -> Result<Running> {
    match child.progress(plan, watch.cancel)? {
        Progress::Ready => child.release(),
        // A hook's process has neither hooks nor a seccomp filter, so it does not stop.
        other => Err(Error::new(ErrorKind::Setup, format!("unexpected {other:?} from the hook's process"))),
    }
}

impl Container {
    /// Runs the startContainer hooks with the same user and privileges as the container's
    /// program.
    pub(super) fn start_container_hooks(&self, record: &Record, watch: Watch<'_>) -> Result<()> {
        if record.start_container.is_empty() {
            return Ok(());
        }
        let state = StateDocument {
            oci_version: OCI_VERSION,
            id: &record.id,
            status: Status::Created,
            pid: pid_inside(record.init.pid)?,
            bundle: &record.bundle,
            annotations: &record.annotations,
        };
        hooks::run_with(
            HookKind::StartContainer,
            &HookRecord::hooks(&record.start_container),
            &state,
            watch,
            &mut |hook, [stdin, stdout, stderr]| {
                let mut process = Inherited::of(record)?.process;
                process.terminal = false;
                let exec = self.exec(process).stdin(stdin).stdout(stdout).stderr(stderr);
                let mut exec = exec.hook(hook.clone());
                if let Some(cancel) = watch.cancel {
                    let cancel = cancel.try_clone_to_owned().map_err(|error| Error::io(&error, "dup"))?;
                    exec = exec.cancel(cancel);
                }
                let process = exec.spawn()?;
                Ok(Started { pid: process.pid(), pidfd: process.into() })
            },
        )
    }
}

/// Returns the pid of a process in the innermost pid namespace that it is in (NSpid of proc(5)).
fn pid_inside(pid: i32) -> Result<i32> {
    let file = PidFile::new(pid, "status");
    // The file lists up to 65,536 groups (NGROUPS_MAX) of up to eleven characters.
    let text = file
        .absolute()
        .and_then(|path| fd::read_file(fd::CWD, &path, 1 << 20))
        .context(|| format!("read {file}"))?;
    parse_nspid(&String::from_utf8_lossy(&text))
        .ok_or_else(|| Error::new(ErrorKind::System, format!("{file} has no NSpid")))
}

fn parse_nspid(status: &str) -> Option<i32> {
    let line = status.lines().find_map(|line| line.strip_prefix("NSpid:"))?;
    line.split_ascii_whitespace().last()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_innermost_pid_is_the_last_one() {
        assert_eq!(parse_nspid("Name:\tx\nNSpid:\t4711\t12\t1\nNSsid:\t0\n"), Some(1));
        assert_eq!(parse_nspid("NSpid:\t4711\n"), Some(4711));
        assert_eq!(parse_nspid("NSpid:\n"), None);
        assert_eq!(parse_nspid("Name:\tNSpid\n"), None);
    }
}
