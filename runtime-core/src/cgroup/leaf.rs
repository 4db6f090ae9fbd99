// SPDX-License-Identifier: Apache-2.0
//! A leaf: a cgroup directly below a scope, in which the container's processes are.
//!
//! The kernel notifies of changes of memory.events at most once in 10 ms. In a cgroup with a
//! memory limit, the first change is that of `max`, so the notification of the kill that
//! follows is late. systemd removes the scope when its process has ended, and may do so
//! earlier. The limit of a scope is hit before that of a cgroup in it, because the kernel
//! memory for the inner cgroup is charged to the scope. So the leaf's memory.events counts
//! only the kill, and its readers are notified at once.

use super::fs;
use super::group::{Cgroup, is_gone};
use super::hierarchy::Hierarchy;
use super::limits::Write;
use crate::error::{Context, Result};
use runtime_sys::fd::resolve;
use runtime_sys::text::c_str;
use runtime_sys::{Errno, fd};

impl Cgroup {
    /// Makes a leaf, moves a process of this cgroup into the leaf, and gives the leaf all
    /// controllers and limits.
    pub(super) fn move_to_leaf(
        &self,
        hierarchy: &Hierarchy,
        name: &str,
        pid: i32,
        writes: &[Write],
    ) -> Result<()> {
        let moved = self.make_leaf(name).and_then(|leaf| {
            // The process moves first: with processes in it, the scope cannot give controllers to
            // the leaf.
            leaf.attach(pid)?;
            leaf.enable_controllers(hierarchy)?;
            leaf.repeat(writes)
        });
        match moved {
            // The process has been killed, because its limits have no room for another cgroup.
            // systemd may have removed the scope. The caller reports the kill when it waits for
            // the process.
            Err(error) if is_gone(&error) && Cgroup::from_record(&self.path)?.is_none() => Ok(()),
            Err(_) if self.memory_events().oom_kill > 0 => Ok(()),
            moved => moved,
        }
    }

    fn make_leaf(&self, name: &str) -> Result<Cgroup> {
        let path = format!("{}/{name}", self.path);
        let make = || fd::mkdir(&self.dir, &c_str(name)?, 0o755);
        let made = match make() {
            // An earlier container has left the scope with a leaf in it.
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
        let name = c_str(name)?;
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

    /// A sleeping process in a cgroup of its own. Dropping this value removes both.
    struct SleepingCgroup {
        cgroup: Cgroup,
        process: std::process::Child,
    }

    impl SleepingCgroup {
        fn new(name: &str) -> Self {
            let path = Hierarchy::find().unwrap().absolute(&format!("{name}-{}", std::process::id()));
            fs::create_dir(&path).unwrap();
            let cgroup = Cgroup::from_record(&path).unwrap().unwrap();
            let process = Command::new("sleep").arg("1000").spawn().unwrap();
            cgroup.attach(process.id() as i32).unwrap();
            SleepingCgroup { cgroup, process }
        }

        fn move_to_leaf(&self, name: &str) -> Result<()> {
            let hierarchy = Hierarchy::find().unwrap();
            self.cgroup.move_to_leaf(&hierarchy, name, self.process.id() as i32, &[])
        }
    }

    impl Drop for SleepingCgroup {
        fn drop(&mut self) {
            self.process.kill().unwrap();
            self.process.wait().unwrap();
            remove(&self.cgroup.path, 1, Occupants::Await).unwrap();
        }
    }

    #[test]
    fn the_process_is_in_a_new_cgroup_below() {
        let scope = SleepingCgroup::new("leaf");
        // A leaf of an earlier container, with a cgroup that the container has made.
        fs::create_dir_all(format!("{}/container/below", scope.cgroup.path)).unwrap();
        scope.move_to_leaf("container").unwrap();
        let leaf = scope.cgroup.leaf("container").unwrap().unwrap();
        assert_eq!(leaf.pids().unwrap(), [scope.process.id() as i32]);
        assert!(!fs::exists(format!("{}/below", leaf.path)).unwrap());
        // The leaf has every controller of the scope.
        let controllers = |cgroup: &Cgroup| cgroup.read(c"cgroup.controllers").unwrap();
        assert_eq!(controllers(&leaf), controllers(&scope.cgroup));
        assert!(scope.cgroup.leaf("other").unwrap().is_none());
    }

    #[test]
    fn a_name_that_is_taken_is_an_error() {
        let scope = SleepingCgroup::new("no-leaf");
        let error = scope.move_to_leaf("cgroup.procs").unwrap_err().report();
        assert!(error.contains("/cgroup.procs"), "{error}");
        assert_eq!(scope.cgroup.pids().unwrap(), [scope.process.id() as i32]);
    }
}
