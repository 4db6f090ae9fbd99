// SPDX-License-Identifier: Apache-2.0
//! The state directory. It has a directory for each container, with a record that is replaced
//! atomically, and a lock.

use super::entry::{Locked, StateEntry};
use super::owner::check_owner;
use super::record::Record;
use crate::error::{Context, Error, ErrorKind, Result};
use crate::id::ContainerId;
use crate::marks::{Mark, Traced};
use crate::path;
use nix::sys::stat::fstat;
use nix::unistd::{UnlinkatFlags, unlinkat};
use runtime_sys::{Errno, dir, fd};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

/// The directory that holds the state of all containers.
#[derive(Clone, Debug)]
pub(crate) struct Store {
    path: PathBuf,
}

impl Store {
    pub(crate) fn new(path: PathBuf) -> Self {
        Store { path }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    fn open_root(&self) -> runtime_sys::Result<OwnedFd> {
        let path = path::c_path(&self.path)?;
        fd::open_follow(fd::CWD, &path, libc::O_RDONLY | libc::O_DIRECTORY, 0)
    }

    /// Opens the state directory, and checks that only root or the caller can change it.
    fn trusted_root(&self) -> Result<OwnedFd> {
        let root = self.open_root().context(|| format!("open {}", self.path.display()))?;
        let st = fstat(&root).context(|| format!("stat {}", self.path.display()))?;
        check_owner(&st, || format!("the state directory {}", self.path.display()))?;
        Ok(root)
    }

    /// Fails if other users than root or the caller can change the state directory, or if the caller
    /// may not make it, or a directory in it.
    pub(crate) fn check(&self, id: &ContainerId) -> Result<()> {
        let (mut missing, mut existing) = match self.trusted_root() {
            Ok(_) => (self.path.join(id.as_str()), self.path.as_path()),
            Err(error) if error.errno() == Some(libc::ENOENT) => {
                (self.path.clone(), self.path.parent().unwrap_or(&self.path))
            }
            Err(error) => return Err(error),
        };
        loop {
            let (path, is_allowed) = (path::c_path(existing), libc::W_OK | libc::X_OK);
            match path.and_then(|path| fd::access(fd::CWD, &path, is_allowed, libc::AT_EACCESS)) {
                Ok(()) => return Ok(()),
                Err(Errno::ENOENT) => {
                    let Some(parent) = existing.parent() else { return Ok(()) };
                    missing = existing.to_owned();
                    existing = parent;
                }
                Err(errno) => return Err(Error::os(errno, format!("mkdir {}", missing.display()))),
            }
        }
    }

    /// Makes the state directory if it is missing, with all its parents.
    fn make_root(&self) -> Result<OwnedFd> {
        match self.trusted_root() {
            Err(error) if error.errno() == Some(libc::ENOENT) => {}
            other => return other,
        }
        let mut made = PathBuf::new();
        for part in self.path.components() {
            made.push(part);
            let last = made == self.path;
            let mode = if last { 0o700 } else { 0o755 };
            match path::c_path(&made).and_then(|path| fd::mkdir(fd::CWD, &path, mode)) {
                Ok(()) | Err(Errno::EEXIST) => {}
                Err(errno) => return Err(Error::os(errno, format!("mkdir {}", made.display()))),
            }
        }
        self.trusted_root()
    }

    /// Reserves an id, and writes the container's first record. Returns the reserved directory
    /// even if the record could not be written. Fails if the directory exists.
    ///
    /// Another command that deletes the id may see the new directory before it is locked, take it
    /// for the rest of an interrupted creation, and remove it. Then the id is reserved again.
    pub(crate) fn reserve_with(&self, id: &ContainerId, record: &Record) -> Result<(Locked, Result<()>)> {
        // A deletion that looks for the id without a pause won ten times in a row once, in a test.
        const TRIES: usize = 1000;
        let mut tries = 1;
        loop {
            match self.reserve(id).traced(Mark::Reserve) {
                Err(error) if error.errno() == Some(libc::ENOENT) && tries < TRIES => {}
                entry => {
                    let entry = entry?;
                    let written = entry.write(record);
                    if written.is_ok() || tries == TRIES || !entry.is_gone() {
                        return Ok((entry, written));
                    }
                }
            }
            tries += 1;
        }
    }

    /// Reserves an id by making its directory. Fails if the directory exists.
    pub(crate) fn reserve(&self, id: &ContainerId) -> Result<Locked> {
        let root = self.make_root()?;
        let name = id.file_name().context(|| format!("container id {id}"))?;
        match fd::mkdir(&root, &name, 0o711) {
            Ok(()) => {}
            Err(Errno::EEXIST) => {
                return Err(self.taken(id));
            }
            Err(errno) => return Err(Error::os(errno, format!("mkdir {}/{id}", self.path.display()))),
        }
        let dir = match fd::open(&root, &name, libc::O_RDONLY | libc::O_DIRECTORY, 0) {
            Ok(dir) => dir,
            Err(errno) => {
                // The first error is the one to report.
                runtime_sys::ignore(unlinkat(&root, name.as_c_str(), UnlinkatFlags::RemoveDir));
                return Err(Error::os(errno, format!("open {}/{id}", self.path.display())));
            }
        };
        let entry = StateEntry::new(dir, id.clone());
        // A `delete --force` that has seen the directory by now waits for this lock, or holds it.
        entry
            .lock()
            .inspect_err(|_| runtime_sys::ignore(unlinkat(&root, name.as_c_str(), UnlinkatFlags::RemoveDir)))
    }

    /// Returns the error for an id that is taken.
    pub(crate) fn taken(&self, id: &ContainerId) -> Error {
        Error::new(ErrorKind::AlreadyExists, "container with given ID already exists").with_hint(format!(
            "{} has {:?}: delete it, or choose another id",
            self.path.display(),
            id.as_str()
        ))
    }

    /// Returns whether the id is taken at the moment.
    pub(crate) fn has(&self, id: &ContainerId) -> bool {
        let path = path::c_path(&self.path.join(id.as_str()));
        path.and_then(|path| fd::stat_at(fd::CWD, &path, libc::AT_SYMLINK_NOFOLLOW)).is_ok()
    }

    /// Opens the directory of a container. `NotFound` if there is none.
    pub(crate) fn entry(&self, id: &ContainerId) -> Result<StateEntry> {
        let path = path::c_path(&self.path.join(id.as_str()));
        match path.and_then(|path| fd::open(fd::CWD, &path, libc::O_RDONLY | libc::O_DIRECTORY, 0)) {
            Ok(dir) => {
                self.check_owners(&dir, id)?;
                Ok(StateEntry::new(dir, id.clone()))
            }
            Err(Errno::ENOENT | Errno::ENOTDIR | Errno::ELOOP) => {
                let hint = format!(
                    "{} has no {:?}; --root names another directory",
                    self.path.display(),
                    id.as_str()
                );
                Err(Error::new(ErrorKind::NotFound, "container does not exist").with_hint(hint))
            }
            Err(errno) => Err(Error::os(errno, format!("open {}/{id}", self.path.display()))),
        }
    }

    /// Refuses a container's directory that other users can change or replace.
    fn check_owners(&self, dir: &OwnedFd, id: &ContainerId) -> Result<()> {
        let what = || format!("stat {}/{id}", self.path.display());
        // `..` is the directory's present parent. The path may lead elsewhere by now.
        let root = fd::stat_at(dir, c"..", 0).context(what)?;
        check_owner(&root, || format!("the state directory {}", self.path.display()))?;
        let own = fstat(dir).context(what)?;
        check_owner(&own, || format!("the state of container {id}"))
    }

    /// Returns the ids of all directories that could be containers, sorted.
    pub(crate) fn ids(&self) -> Result<Vec<ContainerId>> {
        let root = self.trusted_root()?;
        let mut ids: Vec<ContainerId> = dir::entries(root)
            .context(|| format!("read {}", self.path.display()))?
            .iter()
            .filter(|entry| entry.is_dir)
            .filter_map(|entry| ContainerId::new(entry.name.to_str().ok()?).ok())
            .collect();
        ids.sort_unstable();
        Ok(ids)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cgroup::record::CgroupRecord;
    use std::sync::atomic::{AtomicBool, Ordering};

    #[test]
    fn a_deletion_that_sees_a_directory_before_it_is_locked_fails_no_creation() {
        let root = tempfile::tempdir().unwrap();
        let (id, store) = (ContainerId::new("x").unwrap(), Store::new(root.path().to_owned()));
        let record = Record::creating("x", "/b".into(), "/b/r".into(), String::new(), CgroupRecord::None);
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    let Ok(Ok(locked)) = store.entry(&id).and_then(StateEntry::try_lock) else { continue };
                    if locked.record().is_err() {
                        locked.remove().unwrap();
                    }
                }
            });
            let created = (0..3000).try_for_each(|_| {
                let (entry, written) = store.reserve_with(&id, &record)?;
                written?;
                entry.remove()
            });
            done.store(true, Ordering::Relaxed);
            created.unwrap();
        });
    }

    #[test]
    fn a_path_with_a_nul_byte_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a\0b");
        let id = ContainerId::new("x").unwrap();
        let report = Store::new(path).reserve(&id).unwrap_err().report();
        assert!(report.ends_with("invalid argument"), "{report}");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
