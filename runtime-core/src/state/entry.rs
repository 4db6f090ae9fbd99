// SPDX-License-Identifier: Apache-2.0
//! The directory of one container, and its lock.

use super::filter::{self, CompiledFilter};
use super::owner::check_owner;
use super::record::{Phase, Record, Remains};
use crate::error::{Context, Error, ErrorKind, Result};
use crate::id::ContainerId;
use crate::marks::{Mark, Traced};
use crate::path;
use crate::path::file::{self, Unread};
use nix::fcntl::renameat;
use nix::sys::stat::fstat;
use nix::unistd::{UnlinkatFlags, unlinkat};
use runtime_sys::{Errno, dir, fd};
use seccomp::Instruction;
use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::{Duration, Instant};

const RECORD: &CStr = c"state.json";
const NEW_RECORD: &CStr = c"state.json.new";
/// The fifo at which a created container's init waits for `start`.
const FIFO: &CStr = c"exec.fifo";
/// The directory for the socket of notifications, which is also mounted in the container.
pub(crate) const NOTIFY: &str = "notify";
/// The directory on which CRIU mounts the root file system of a container that it restores.
const ROOT: &CStr = c"criu-root";
/// The file of the container's seccomp filter, for `exec`.
const FILTER: &CStr = c"seccomp.bpf";
/// The largest size of a record in bytes: four times that of config.json, because a hook of 13
/// bytes in config.json takes 51 bytes in the record.
const RECORD_MAX: usize = 64 << 20;

/// The directory of one container.
#[derive(Debug)]
pub(crate) struct StateEntry {
    dir: OwnedFd,
    id: ContainerId,
}

/// A [`StateEntry`] whose lock the caller holds. The lock is released when the value is dropped or
/// the process ends.
#[derive(Debug)]
pub(crate) struct Locked(StateEntry);

impl Drop for Locked {
    fn drop(&mut self) {
        // Closing is not enough: a child that another thread has cloned meanwhile has a copy of
        // the descriptor until it closes the descriptors that it does not need.
        runtime_sys::ignore(fd::flock(&self.0.dir, libc::LOCK_UN));
    }
}

/// Makes the error for a file of a container's directory that was not read; `what` is the operation
/// that failed. Only a fault of the file is [`ErrorKind::BadRecord`], for which `delete --force`
/// gives up what the record names. A caller that is short of descriptors or memory has to try
/// again.
fn unread_error(unread: Unread, what: String) -> Error {
    let is_fault = match unread {
        Unread::NotAFile | Unread::TooLarge(_) => true,
        Unread::Os(errno) => matches!(
            errno,
            Errno::EBADMSG
                | Errno::EIO
                | Errno::EISDIR
                | Errno::ELOOP
                | Errno::ENOENT
                | Errno::ENXIO
                | Errno::EUCLEAN
        ),
    };
    let error = unread.into_error(what);
    if is_fault { error.of_kind(ErrorKind::BadRecord) } else { error }
}

impl StateEntry {
    pub(super) fn new(dir: OwnedFd, id: ContainerId) -> Self {
        StateEntry { dir, id }
    }

    pub(crate) fn dir(&self) -> BorrowedFd<'_> {
        self.dir.as_fd()
    }

    /// Reads the record. `NotFound`, as with runc, if the directory has no record: its creation was
    /// interrupted before anything else was made.
    pub(crate) fn record(&self) -> Result<Record> {
        match self.json() {
            Ok((json, st)) => {
                check_owner(&st, || format!("state.json of container {}", self.id))?;
                Record::from_json(self.id.as_str(), &json).traced(Mark::ReadRecord)
            }
            Err(Unread::Os(Errno::ENOENT)) => {
                Err(Error::new(ErrorKind::NotFound, "container does not exist"))
            }
            Err(unread) => Err(unread_error(unread, format!("read state.json of container {}", self.id))),
        }
    }

    /// Reads what can be found in a record that [`record`](Self::record) refuses. `None` if it is
    /// not this container's, or if the file itself is bad.
    pub(crate) fn remains(&self) -> Result<Option<Remains>> {
        match self.json() {
            Ok((json, _)) => Ok(Remains::from_json(self.id.as_str(), &json)),
            Err(unread) => match unread_error(unread, format!("read state.json of container {}", self.id)) {
                error if error.kind() == ErrorKind::BadRecord => Ok(None),
                error => Err(error),
            },
        }
    }

    fn json(&self) -> std::result::Result<(Vec<u8>, libc::stat), Unread> {
        file::read(&self.dir, RECORD, false, RECORD_MAX)
    }

    /// Opens the fifo at which the container's init waits for `start`; `None` if init does not
    /// wait. The open fails with ENXIO if the fifo has no reader. The existence of the file proves
    /// nothing: a `start` may have been killed before it removed the file.
    pub(crate) fn fifo(&self) -> Result<Option<OwnedFd>> {
        match fd::open(&self.dir, FIFO, libc::O_WRONLY | libc::O_NONBLOCK, 0) {
            Ok(fifo) => Ok(Some(fifo)),
            Err(Errno::ENXIO | Errno::ENOENT) => Ok(None),
            Err(errno) => Err(Error::os(errno, "open exec.fifo")),
        }
    }

    /// Reads the container's seccomp filter; `None` if the container has none. A missing or torn
    /// file is an error if the record names a filter: no process may run without it.
    pub(crate) fn filter(&self, record: &Record) -> Result<Option<CompiledFilter>> {
        let Some(filter) = &record.seccomp else { return Ok(None) };
        let what = || format!("read seccomp.bpf of container {}", self.id);
        file::read(&self.dir, FILTER, false, filter::PROGRAM_MAX)
            .map_err(|unread| unread_error(unread, what()))
            .and_then(|(bytes, _)| {
                CompiledFilter::read(filter, &bytes)
                    .map_err(|why| Error::new(ErrorKind::BadRecord, format!("{}: {why}", what())))
            })
            .map(Some)
    }

    /// Waits for the lock.
    pub(crate) fn lock(self) -> Result<Locked> {
        fd::flock(&self.dir, libc::LOCK_EX).context(|| format!("flock container {}", self.id))?;
        Ok(Locked(self))
    }

    /// Waits for the lock of a created container. A container that is being created is an error at
    /// once: the caller may be one of its own hooks, which would wait for itself.
    pub(crate) fn lock_made(self, verb: &str) -> Result<Locked> {
        match self.try_lock()? {
            Ok(locked) => Ok(locked),
            Err(entry) if entry.record()?.phase == Phase::Creating => {
                let text = format!("cannot {verb} a container that is being created");
                Err(Error::new(ErrorKind::InvalidState, text))
            }
            Err(entry) => entry.lock(),
        }
    }

    /// Waits for the lock at most `patience`, then returns the entry without the lock.
    pub(crate) fn lock_within(self, patience: Duration) -> Result<std::result::Result<Locked, Self>> {
        const PAUSES: std::ops::RangeInclusive<Duration> =
            Duration::from_millis(1)..=Duration::from_millis(20);
        let end = Instant::now() + patience;
        let mut pause = *PAUSES.start();
        let mut entry = self;
        loop {
            entry = match entry.try_lock()? {
                Err(entry) if Instant::now() < end => entry,
                other => return Ok(other),
            };
            std::thread::sleep(pause);
            pause = (2 * pause).min(*PAUSES.end());
        }
    }

    /// Acts as if the lock were taken, for a caller that cannot wait for its holder.
    pub(crate) fn seize(self) -> Locked {
        Locked(self)
    }

    /// Returns whether the container's directory has been removed.
    pub(crate) fn is_gone(&self) -> bool {
        fstat(&self.dir).is_ok_and(|st| st.st_nlink == 0)
    }

    /// Takes the lock without waiting; returns the entry without the lock if the lock is held.
    pub(crate) fn try_lock(self) -> Result<std::result::Result<Locked, Self>> {
        match fd::flock(&self.dir, libc::LOCK_EX | libc::LOCK_NB) {
            Ok(()) => Ok(Ok(Locked(self))),
            Err(Errno::EWOULDBLOCK) => Ok(Err(self)),
            Err(errno) => Err(Error::os(errno, format!("flock container {}", self.id))),
        }
    }
}

impl std::ops::Deref for Locked {
    type Target = StateEntry;

    fn deref(&self) -> &StateEntry {
        &self.0
    }
}

/// A written record that is not in place yet.
#[must_use]
pub(crate) struct NewRecord<'a> {
    entry: &'a StateEntry,
}

impl NewRecord<'_> {
    /// Replaces the old record with this one, atomically.
    pub(crate) fn commit(self) -> Result<()> {
        let NewRecord { entry } = self;
        renameat(&entry.dir, NEW_RECORD, &entry.dir, RECORD)
            .context(|| format!("write state.json of container {}", entry.id))
            .traced(Mark::CommitRecord)
    }
}

impl Locked {
    /// Replaces the record.
    pub(crate) fn write(&self, record: &Record) -> Result<()> {
        self.prepare(record)?.commit()
    }

    /// Writes a new record beside the present one.
    pub(crate) fn prepare(&self, record: &Record) -> Result<NewRecord<'_>> {
        let json = record.to_json();
        if json.len() > RECORD_MAX {
            let text = format!("state.json would have {} bytes, more than 64 MiB", json.len());
            return Err(Error::new(ErrorKind::InvalidConfig, text)
                .with_hint("it has the hooks, the annotations, limits and rules of config.json"));
        }
        let write = || -> runtime_sys::Result<()> {
            let flags = libc::O_WRONLY | libc::O_CREAT | libc::O_TRUNC | libc::O_NONBLOCK;
            let file = fd::open(&self.dir, NEW_RECORD, flags, 0o600)?;
            fd::write_all(&file, &json)
        };
        let written = write().context(|| format!("write state.json.new of container {}", self.id));
        written.map(|()| NewRecord { entry: self }).traced(Mark::WriteRecord)
    }

    /// Writes the container's seccomp filter for `exec`. The file need not appear atomically:
    /// `exec` reads it only after the record says that the container is created.
    pub(crate) fn write_filter(&self, program: &[Instruction]) -> Result<()> {
        fd::open(&self.dir, FILTER, libc::O_WRONLY | libc::O_CREAT | libc::O_EXCL, 0o600)
            .and_then(|file| fd::write_all(file, &filter::to_bytes(program)))
            .context(|| format!("write seccomp.bpf of container {}", self.id))
    }

    /// Makes the directory for the socket of notifications.
    pub(crate) fn make_notify(&self) -> Result<()> {
        let name = path::c_path(Path::new(NOTIFY)).context(|| NOTIFY)?;
        let make = || {
            fd::mkdir(&self.dir, &name, 0o755)?;
            fd::chmod(fd::open(&self.dir, &name, libc::O_RDONLY | libc::O_DIRECTORY, 0)?, 0o755)
        };
        make().context(|| "mkdir notify")
    }

    /// Makes the fifo at which init will wait, and opens it for init: for reading and writing, so
    /// that the open does not block.
    pub(crate) fn make_fifo(&self) -> Result<OwnedFd> {
        let make = || {
            fd::mknod(&self.dir, FIFO, libc::S_IFIFO | 0o600, 0)?;
            fd::open(&self.dir, FIFO, libc::O_RDWR, 0)
        };
        make().context(|| "mkfifo exec.fifo")
    }

    /// Makes the directory on which CRIU mounts the root file system, in a mount namespace of its
    /// own, and returns its absolute path.
    pub(crate) fn make_root(&self) -> Result<CString> {
        let make = || {
            fd::mkdir(&self.dir, ROOT, 0o700)?;
            path::c_path(&path::of_fd(&self.dir)?.join(path::show(ROOT).to_string()))
        };
        make().context(|| "mkdir criu-root")
    }

    pub(crate) fn remove_root(&self) -> Result<()> {
        match unlinkat(&self.dir, ROOT, UnlinkatFlags::RemoveDir) {
            Ok(()) | Err(Errno::ENOENT) => Ok(()),
            Err(errno) => Err(Error::os(errno, "rmdir criu-root")),
        }
    }

    /// Opens the fifo for reading.
    pub(crate) fn open_fifo(&self) -> Result<OwnedFd> {
        fd::open(&self.dir, FIFO, libc::O_RDONLY | libc::O_NONBLOCK, 0).context(|| "open exec.fifo")
    }

    pub(crate) fn remove_fifo(&self) -> Result<()> {
        match unlinkat(&self.dir, FIFO, UnlinkatFlags::NoRemoveDir) {
            Ok(()) | Err(Errno::ENOENT) => Ok(()),
            Err(errno) => Err(Error::os(errno, "unlink exec.fifo")),
        }
    }

    /// Removes the container's directory, which frees the id. The record is removed last, so that
    /// an interrupted removal can be repeated.
    ///
    /// Does nothing if another command has removed the directory while this one waited for the
    /// lock: a new container may have the id, and a directory of the same name, by now.
    pub(crate) fn remove(self) -> Result<()> {
        if self.is_gone() {
            return Ok(());
        }
        let remove = || -> runtime_sys::Result<()> {
            dir::empty(&self.dir, RECORD)?;
            // Opened first: without the record, no deletion can be repeated.
            let root = fd::open(&self.dir, c"..", libc::O_PATH | libc::O_DIRECTORY, 0)?;
            match unlinkat(&self.dir, RECORD, UnlinkatFlags::NoRemoveDir) {
                Ok(()) | Err(Errno::ENOENT) => {}
                Err(errno) => return Err(errno),
            }
            match unlinkat(root, self.id.file_name()?.as_c_str(), UnlinkatFlags::RemoveDir) {
                Err(Errno::ENOENT) => Ok(()),
                other => other,
            }
        };
        remove().context(|| format!("remove the state of container {}", self.id))
    }
}

#[cfg(test)]
mod tests {
    use super::super::store::Store;
    use super::*;
    use crate::cgroup::record::CgroupRecord;

    #[test]
    fn a_new_container_keeps_its_directory_if_an_old_one_of_its_id_is_removed_again() {
        let root = tempfile::tempdir().unwrap();
        let (id, store) = (ContainerId::new("x").unwrap(), Store::new(root.path().to_owned()));
        let old = store.reserve(&id).unwrap();
        let seen = store.entry(&id).unwrap();
        old.remove().unwrap();
        let new = store.reserve(&id).unwrap();
        seen.lock().unwrap().remove().unwrap();
        assert!(store.has(&id) && !new.is_gone());
    }

    #[test]
    fn a_record_that_is_too_large_to_read_is_not_written() {
        let root = tempfile::tempdir().unwrap();
        let id = ContainerId::new("x").unwrap();
        let entry = Store::new(root.path().to_owned()).reserve(&id).unwrap();
        let mut record = Record::creating("x", "/b".into(), "/b/r".into(), String::new(), CgroupRecord::None);
        let empty = record.to_json().len();
        record.bundle = "b".repeat(RECORD_MAX - empty + "/b".len());
        entry.write(&record).unwrap();
        assert_eq!(entry.record().unwrap(), record);
        record.bundle.push('b');
        let error = entry.write(&record).unwrap_err().report();
        assert!(error.starts_with("state.json would have 67108865 bytes, more than 64 MiB"), "{error}");
    }
}
