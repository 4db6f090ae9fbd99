// SPDX-License-Identifier: Apache-2.0
//! A control group: its directory, and the files in it.

use super::walk::walk;
use crate::error::{Context, Error, ErrorKind, Result};
use crate::path;
use runtime_sys::text::c_str;
use runtime_sys::{Errno, fd};
use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

/// The most bytes that are read from a cgroup's file. A list of four million pids, the
/// kernel's maximum (PID_MAX_LIMIT), takes half of them.
const FILE_MAX: usize = 64 << 20;

/// A control group.
#[derive(Debug)]
pub(crate) struct Cgroup {
    pub(super) dir: OwnedFd,
    /// The absolute path, for messages and for the record.
    pub(super) path: String,
}

/// The content of cgroup.events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct CgroupEvents {
    /// True if a process lives in the cgroup or below it.
    pub(crate) populated: bool,
    /// True if all processes in the cgroup and below it are frozen.
    pub(crate) frozen: bool,
}

impl Cgroup {
    /// Opens a cgroup by the absolute path in a container's record. `None` if the cgroup is gone,
    /// or if the container has no cgroup and so the path is empty.
    pub(crate) fn from_record(path: &str) -> Result<Option<Self>> {
        if path.is_empty() {
            return Ok(None);
        }
        let open = |path: CString| fd::open(fd::CWD, &path, libc::O_RDONLY | libc::O_DIRECTORY, 0);
        match c_str(path).and_then(open) {
            Ok(dir) => Ok(Some(Cgroup { dir, path: path.to_owned() })),
            Err(Errno::ENOENT | Errno::ENODEV) => Ok(None),
            Err(errno) => Err(Error::os(errno, format!("open cgroup {}", path.escape_debug()))),
        }
    }

    /// Returns whether the cgroup at the absolute path of a record is frozen.
    pub(crate) fn is_frozen(path: &str) -> Result<bool> {
        if path.is_empty() {
            return Ok(false);
        }
        let file = c_str(format!("{path}/cgroup.events"));
        match file.and_then(|file| fd::read_piece(fd::CWD, &file)) {
            Ok(text) => Ok(parse_events(&text).frozen),
            Err(Errno::ENOENT | Errno::ENODEV) => Ok(false),
            Err(errno) => Err(Error::os(errno, format!("read {}/cgroup.events", path.escape_debug()))),
        }
    }

    /// Returns true if the cgroup itself was told to freeze. It is frozen too if one above it was.
    pub(crate) fn is_told_to_freeze(&self) -> Result<bool> {
        let text = fd::read_piece(&self.dir, c"cgroup.freeze");
        Ok(text.context(|| format!("read {}/cgroup.freeze", self.path))?.starts_with(b"1"))
    }

    /// Moves a process into the cgroup. The move is slow, and not meant for processes that run
    /// already. But no process can be cloned into a cgroup that existed before the container: if
    /// cgroup.kill was ever written, the kernel kills each such process (docs/kernel-features.md).
    pub(crate) fn attach(&self, pid: i32) -> Result<()> {
        fd::write_file(&self.dir, c"cgroup.procs", pid.to_string().as_bytes())
            .context(|| format!("write {pid} to {}/cgroup.procs", self.path))
    }

    /// Returns the directory of the cgroup.
    pub(crate) fn dir(&self) -> BorrowedFd<'_> {
        self.dir.as_fd()
    }

    /// Returns the absolute path of the cgroup.
    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    pub(super) fn read(&self, file: &CStr) -> Result<Vec<u8>> {
        fd::read_file(&self.dir, file, FILE_MAX)
            .context(|| format!("read {}/{}", self.path, path::show(file)))
    }

    pub(super) fn write(&self, file: &CStr, content: &str) -> Result<()> {
        fd::write_file(&self.dir, file, content.as_bytes())
            .context(|| format!("write {content:?} to {}/{}", self.path, path::show(file)))
    }

    /// Reads cgroup.events. A cgroup that is gone counts as empty: systemd removes the cgroup of
    /// a scope as soon as the last process in it has ended.
    pub(crate) fn events(&self) -> Result<CgroupEvents> {
        match self.read(c"cgroup.events") {
            Err(error) if is_gone(&error) => Ok(CgroupEvents::default()),
            events => Ok(parse_events(&events?)),
        }
    }

    /// Returns all processes in the cgroup and below it.
    pub(crate) fn pids(&self) -> Result<Vec<i32>> {
        let mut all = Vec::new();
        let add = |dir: BorrowedFd<'_>| {
            match fd::read_file(dir, c"cgroup.procs", FILE_MAX) {
                // EOPNOTSUPP: a threaded cgroup, whose processes are listed at the root of
                // the thread domain. The others: a cgroup that is gone.
                Err(Errno::EOPNOTSUPP | Errno::ENOENT | Errno::ENODEV) => {}
                text => {
                    let text = text?;
                    let pids = String::from_utf8_lossy(&text);
                    all.extend(pids.lines().filter_map(|line| line.parse::<i32>().ok()));
                }
            }
            Ok(())
        };
        walk(self.dir(), add, |_, _| Ok(())).context(|| format!("read cgroup.procs of {}", self.path))?;
        Ok(all)
    }

    /// Kills every process in the cgroup and below it, including frozen ones (since 5.14).
    pub(crate) fn kill(&self) -> Result<()> {
        match self.write(c"cgroup.kill", "1") {
            Err(error) if is_gone(&error) => Ok(()),
            killed => killed,
        }
    }

    /// Freezes the cgroup, and waits until it is frozen.
    pub(crate) fn freeze(&self) -> Result<()> {
        self.write(c"cgroup.freeze", "1")?;
        let frozen = self.await_events(Duration::from_secs(10), |events| events.frozen)?;
        if !frozen {
            self.write(c"cgroup.freeze", "0")?;
            return Err(Error::new(ErrorKind::System, format!("{} did not freeze within 10 s", self.path)));
        }
        Ok(())
    }

    /// Thaws the cgroup. Does not wait.
    pub(crate) fn thaw(&self) -> Result<()> {
        self.write(c"cgroup.freeze", "0")
    }

    /// Waits until cgroup.events is as wanted. Returns false if it is not within `limit`.
    pub(crate) fn await_events(
        &self,
        limit: Duration,
        wanted: impl Fn(CgroupEvents) -> bool,
    ) -> Result<bool> {
        let what = || format!("{}/cgroup.events", self.path);
        let file = match fd::open(&self.dir, c"cgroup.events", libc::O_RDONLY, 0) {
            // The cgroup was removed, so nothing is in it.
            Err(Errno::ENOENT | Errno::ENODEV) => return Ok(wanted(CgroupEvents::default())),
            other => other.context(what)?,
        };
        let end = Instant::now() + limit;
        loop {
            let mut text = [0; 256];
            let n = match fd::read_at_start(&file, &mut text) {
                Err(Errno::ENODEV) => return Ok(wanted(CgroupEvents::default())),
                other => other.context(what)?,
            };
            if wanted(parse_events(text.get(..n).unwrap_or_default())) {
                return Ok(true);
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(false);
            }
            // The kernel reports a change of the file as POLLPRI (cgroups(7)).
            fd::poll(&file, libc::POLLPRI, left.as_millis() as i32 + 1).context(what)?;
        }
    }
}

/// Returns true if the error means that the cgroup was removed, before a file of it was opened
/// (ENOENT) or after that (ENODEV).
pub(super) fn is_gone(error: &Error) -> bool {
    matches!(error.errno(), Some(libc::ENOENT | libc::ENODEV))
}

pub(crate) fn parse_events(text: &[u8]) -> CgroupEvents {
    CgroupEvents { populated: keyed(text, "populated") == 1, frozen: keyed(text, "frozen") == 1 }
}

/// Returns the number behind a key in a file of `key number` lines; 0 without that key.
pub(crate) fn keyed(text: &[u8], key: &str) -> u64 {
    let number = |line: &[u8]| {
        let rest = line.strip_prefix(key.as_bytes())?.strip_prefix(b" ")?;
        std::str::from_utf8(rest).ok()?.trim().parse().ok()
    };
    text.split(|b| *b == b'\n').find_map(number).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cgroup::hierarchy::Hierarchy;

    #[test]
    fn a_removed_cgroup_has_no_processes() {
        let path = Hierarchy::find().unwrap().absolute(&format!("removed-{}", std::process::id()));
        std::fs::create_dir(&path).unwrap();
        let cgroup = Cgroup::from_record(&path).unwrap().unwrap();
        std::fs::remove_dir(&path).unwrap();
        assert_eq!(cgroup.events().unwrap(), CgroupEvents::default());
        cgroup.kill().unwrap();
    }

    /// Otherwise the rest of the path would be ignored, or the cgroup taken for gone.
    #[test]
    fn a_nul_in_the_path_of_a_record_is_an_error() {
        let path = "/sys/fs/cgroup/a\0b";
        let error = Cgroup::from_record(path).unwrap_err().report();
        assert_eq!(error, r"open cgroup /sys/fs/cgroup/a\0b: invalid argument");
        assert!(Cgroup::is_frozen(path).is_err());
    }

    #[test]
    fn cgroup_events_are_parsed_by_their_names() {
        assert_eq!(parse_events(b"populated 1\nfrozen 0\n"), CgroupEvents { populated: true, frozen: false });
        assert_eq!(
            parse_events(b"populated 0\nfrozen 1\nnew 7\n"),
            CgroupEvents { populated: false, frozen: true }
        );
        assert_eq!(parse_events(b""), CgroupEvents::default());
    }
}
