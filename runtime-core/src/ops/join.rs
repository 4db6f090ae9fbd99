// SPDX-License-Identifier: Apache-2.0
//! Helpers for a process that joins a container: its namespaces, root directory and cgroup.

use crate::boundary::plan::{Join, Plan};
use crate::config::namespaces::NamespaceKind;
use crate::error::{Context, Result};
use crate::parent::child::Child;
use crate::path::proc::PidFile;
use runtime_sys::fd;
use runtime_sys::text::c_str;
use std::collections::BTreeMap;
use std::ffi::CString;
use std::os::fd::OwnedFd;

/// Returns the namespaces of `init` to join: those in `namespace_paths`, except a user namespace
/// that is the runtime's own.
pub(super) fn joins(namespace_paths: &BTreeMap<String, String>, init: OwnedFd) -> Result<Box<[Join]>> {
    let mut flags = 0;
    for kind in NamespaceKind::ALL {
        let Some(path) = namespace_paths.get(kind.clone_name()) else { continue };
        // setns(2) refuses a process's own user namespace (EINVAL).
        if kind == NamespaceKind::User && is_own_user_namespace(path)? {
            continue;
        }
        flags |= kind.flag();
    }
    Ok(if flags == 0 { Box::default() } else { Box::new([Join { fd: init, flags }]) })
}

/// Opens the root directory of a process.
pub(super) fn root_of(pid: i32) -> Result<OwnedFd> {
    let file = PidFile::new(pid, "root");
    let open = |path: CString| fd::open_follow(fd::CWD, &path, libc::O_PATH | libc::O_DIRECTORY, 0);
    file.absolute().and_then(open).context(|| format!("open {file}"))
}

/// Clones the process, which waits until `attach` has put it into its cgroup.
pub(super) fn spawn_and_attach(plan: &mut Plan, attach: impl FnOnce(&Child) -> Result<()>) -> Result<Child> {
    plan.wait_go = true;
    let child = Child::spawn(plan, None)?;
    attach(&child)?;
    child.go()?;
    Ok(child)
}

fn is_own_user_namespace(path: &str) -> Result<bool> {
    let path = c_str(path).context(|| format!("stat {path:?}"))?;
    let stat = |path| fd::stat_at(fd::CWD, path, 0).context(|| format!("stat {}", crate::path::show(path)));
    let (own, other) = (stat(c"/proc/self/ns/user")?, stat(&path)?);
    Ok((own.st_dev, own.st_ino) == (other.st_dev, other.st_ino))
}
