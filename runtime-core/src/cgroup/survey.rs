// SPDX-License-Identifier: Apache-2.0
//! The caller's place in the hierarchy, and what a container there would have, for the report about
//! a host. Nothing is made or enabled.

use super::hierarchy::Hierarchy;
use crate::error::Result;
use runtime_sys::text::c_str;
use runtime_sys::{Errno, dir, fd};
use std::ffi::CStr;
use std::os::fd::{AsFd, OwnedFd};

/// The hierarchy as the caller may use it.
#[derive(Debug)]
pub(crate) struct Survey {
    hierarchy: Hierarchy,
    /// The path of the cgroup in which containers get theirs, relative to the root.
    parent: String,
}

/// The answer whether cgroups of containers can have a controller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Availability {
    Yes,
    /// The hierarchy does not have the controller.
    Absent,
    /// The controller cannot be enabled for the cgroups below this one.
    NotBelow {
        cgroup: String,
        why: &'static str,
    },
}

impl Survey {
    /// Finds the hierarchy, and the place of the caller's containers in it.
    ///
    /// Errors: cgroup2 is not mounted, or the caller's cgroup cannot be read.
    pub(crate) fn new() -> Result<Self> {
        let hierarchy = Hierarchy::find()?;
        let own = Hierarchy::own()?;
        let parent = own.rsplit_once('/').map_or("", |(parent, _)| parent).to_owned();
        Ok(Survey { hierarchy, parent })
    }

    pub(crate) fn is_hybrid(&self) -> bool {
        self.hierarchy.is_hybrid()
    }

    pub(crate) fn mount_point(&self) -> &CStr {
        self.hierarchy.mount_point()
    }

    /// Returns the absolute path of the cgroup in which containers get theirs.
    pub(crate) fn parent(&self) -> String {
        self.absolute(&self.parent)
    }

    fn absolute(&self, relative: &str) -> String {
        self.hierarchy.absolute(relative).trim_end_matches('/').to_owned()
    }

    /// Checks that the caller may make cgroups there.
    pub(crate) fn may_make(&self) -> runtime_sys::Result<()> {
        fd::access(self.open(&self.parent)?, c"", libc::W_OK, libc::AT_EACCESS | libc::AT_EMPTY_PATH)
    }

    /// Checks that the caller may move processes into cgroups there: it must be able to write to the
    /// processes of a common ancestor (cgroups(7), "Delegation containment").
    pub(crate) fn may_move(&self) -> runtime_sys::Result<()> {
        fd::access(self.open(&self.parent)?, c"cgroup.procs", libc::W_OK, libc::AT_EACCESS)
    }

    /// Returns the controllers of the whole hierarchy.
    pub(crate) fn controllers(&self) -> Vec<String> {
        list(&self.hierarchy.root, c"cgroup.controllers").unwrap_or_default()
    }

    /// Returns whether the cgroup of a container can have this controller. A container that is made
    /// at an absolute `linux.cgroupsPath` may have others.
    pub(crate) fn availability(&self, controller: &str) -> runtime_sys::Result<Availability> {
        let has =
            |dir: &OwnedFd, file: &CStr| list(dir, file).map(|list| list.iter().any(|one| one == controller));
        if !has(&self.hierarchy.root, c"cgroup.controllers")? {
            return Ok(Availability::Absent);
        }
        let parts: Vec<&str> = self.parent.split('/').filter(|part| !part.is_empty()).collect();
        for n in 0..=parts.len() {
            let path = parts.get(..n).unwrap_or_default().join("/");
            let dir = self.open(&path)?;
            if has(&dir, c"cgroup.subtree_control")? {
                continue;
            }
            let cgroup = self.absolute(&path);
            let may_enable = fd::access(&dir, c"cgroup.subtree_control", libc::W_OK, libc::AT_EACCESS);
            if may_enable.is_err() {
                return Ok(Availability::NotBelow { cgroup, why: "the caller may not enable it" });
            }
            // Only the real root, which has no cgroup.type, may have processes and controllers.
            let is_root = matches!(fd::access(&dir, c"cgroup.type", libc::F_OK, 0), Err(Errno::ENOENT));
            let is_empty = fd::read_piece(&dir, c"cgroup.procs").map_or(true, |pids| pids.is_empty());
            if !is_root && !is_empty {
                return Ok(Availability::NotBelow { cgroup, why: "it has processes of its own" });
            }
        }
        Ok(Availability::Yes)
    }

    /// Returns whether cgroups have the file cgroup.kill; `None` if there is no cgroup to look at
    /// besides the root, which never has it.
    pub(crate) fn has_kill(&self) -> Option<bool> {
        let looks = |dir: &OwnedFd| match fd::access(dir, c"cgroup.type", libc::F_OK, 0) {
            Ok(()) => Some(fd::access(dir, c"cgroup.kill", libc::F_OK, 0).is_ok()),
            Err(_) => None,
        };
        let root = self.open("").ok()?;
        looks(&root).or_else(|| {
            let entries = dir::entries(&root).ok()?;
            entries.iter().find_map(|entry| looks(&self.open(entry.name.to_str().ok()?).ok()?))
        })
    }

    fn open(&self, relative: &str) -> runtime_sys::Result<OwnedFd> {
        let dir = if relative.is_empty() { "." } else { relative };
        self.hierarchy.open_dir(&c_str(dir)?)
    }
}

fn list(dir: impl AsFd, file: &CStr) -> runtime_sys::Result<Vec<String>> {
    let text = fd::read_piece(dir, file)?;
    Ok(String::from_utf8_lossy(&text).split_ascii_whitespace().map(str::to_owned).collect())
}
