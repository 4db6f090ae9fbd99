// SPDX-License-Identifier: Apache-2.0
//! A cgroup right below a scope, in which the container's processes are.
//!
//! The kernel reports a change of memory.events at most once in 10 ms. Where memory is
//! limited, the file first reports `max`, so news of the kill that follows comes late:
//! systemd removes the scope of a process that has ended, and may be quicker. The limit of
//! a scope is hit before that of a cgroup in it, because the kernel's own memory for the
//! inner one is charged to the scope. So the inner file counts nothing but the kill, and
//! its reader is told at once.

use super::fs;
use super::group::{Cgroup, is_gone};
use super::hierarchy::Hierarchy;
use super::limits::Write;
use crate::error::{Context, Result};
use runtime_sys::fd::resolve;
use runtime_sys::{Errno, fd};
use std::ffi::CString;

impl Cgroup {
    /// Makes a leaf, moves a process from here into it, and gives it all controllers and limits.
    pub(super) fn move_to_leaf(
        &self,
        hierarchy: &Hierarchy,
        name: &str,
        pid: i32,
        writes: &[Write],
    ) -> Result<()> {
        let moved = self.make_leaf(name).and_then(|leaf| {
            // Before the controllers: with processes in it, a cgroup cannot give any to those below.
            leaf.attach(pid)?;
            leaf.enable_controllers(hierarchy)?;
            leaf.repeat(writes)
        });
        match moved {
            // The process has been killed, as whoever waits for it will find out: its limits
            // have no room for another cgroup. systemd may have removed the scope.
            Err(error) if is_gone(&error) && Cgroup::from_record(&self.path)?.is_none() => Ok(()),
            Err(_) if self.memory_events().oom_kill > 0 => Ok(()),
            moved => moved,
        }
    }

    fn make_leaf(&self, name: &str) -> Result<Cgroup> {
        let path = format!("{}/{name}", self.path);
        let c_name = CString::new(name).unwrap_or_default();
        let make = || fd::mkdir(&self.dir, &c_name, 0o755);
        let made = match make() {
            // The scope was left by an earlier container, and so was this.
            Err(Errno::EEXIST) => {
                fs::remove(&path, 1, fs::Occupants::Await)?;
                make()
            }
            made => made,
        };
        made.context(|| format!("mkdir {path}"))?;
        let dir = self.open_below(name).context(|| format!("open cgroup {path}"))?;
        Ok(Cgroup { dir, path })
    }

    /// Opens a leaf by its name; `None` if it is gone.
    pub(crate) fn leaf(&self, name: &str) -> Result<Option<Cgroup>> {
        let path = format!("{}/{name}", self.path);
        match self.open_below(name) {
            Ok(dir) => Ok(Some(Cgroup { dir, path })),
            Err(Errno::ENOENT | Errno::ENODEV) => Ok(None),
            Err(errno) => Err(crate::error::Error::os(errno, format!("open cgroup {path}"))),
        }
    }

    fn open_below(&self, name: &str) -> runtime_sys::Result<std::os::fd::OwnedFd> {
        let name = CString::new(name).unwrap_or_default();
        let flags = libc::O_RDONLY | libc::O_DIRECTORY;
        fd::openat2(&self.dir, &name, flags, 0, resolve::BENEATH | resolve::NO_SYMLINKS)
    }
}

#[cfg(test)]
mod tests {
    use super::super::fs::{Occupants, remove};
    use super::*;
    use std::fs;
    use std::process::Command;

    /// A process that sleeps, in a cgroup of its own; both end with this.
    struct Scope {
        cgroup: Cgroup,
        process: std::process::Child,
    }

    impl Scope {
        fn new(name: &str) -> Self {
            let path = Hierarchy::find().unwrap().absolute(&format!("{name}-{}", std::process::id()));
            fs::create_dir(&path).unwrap();
            let cgroup = Cgroup::from_record(&path).unwrap().unwrap();
            let process = Command::new("sleep").arg("1000").spawn().unwrap();
            cgroup.attach(process.id() as i32).unwrap();
            Scope { cgroup, process }
        }

        fn move_to_leaf(&self, name: &str) -> Result<()> {
            let hierarchy = Hierarchy::find().unwrap();
            self.cgroup.move_to_leaf(&hierarchy, name, self.process.id() as i32, &[])
        }
    }

    impl Drop for Scope {
        fn drop(&mut self) {
            self.process.kill().unwrap();
            self.process.wait().unwrap();
            remove(&self.cgroup.path, 1, Occupants::Await).unwrap();
        }
    }

    #[test]
    fn the_process_is_in_a_new_cgroup_below() {
        let scope = Scope::new("leaf");
        // Left by an earlier container, with what that has made in it.
        fs::create_dir_all(format!("{}/container/below", scope.cgroup.path)).unwrap();
        scope.move_to_leaf("container").unwrap();
        let leaf = scope.cgroup.leaf("container").unwrap().unwrap();
        assert_eq!(leaf.pids().unwrap(), [scope.process.id() as i32]);
        assert!(!fs::exists(format!("{}/below", leaf.path)).unwrap());
        // Every controller of the scope.
        let controllers = |cgroup: &Cgroup| cgroup.read(c"cgroup.controllers").unwrap();
        assert_eq!(controllers(&leaf), controllers(&scope.cgroup));
        assert!(scope.cgroup.leaf("other").unwrap().is_none());
    }

    #[test]
    fn a_name_that_cannot_be_had_is_an_error() {
        let scope = Scope::new("no-leaf");
        let error = scope.move_to_leaf("cgroup.procs").unwrap_err().report();
        assert!(error.contains("/cgroup.procs"), "{error}");
        assert_eq!(scope.cgroup.pids().unwrap(), [scope.process.id() as i32]);
    }
}
