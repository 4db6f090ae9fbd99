// SPDX-License-Identifier: Apache-2.0
//! Control groups, version 2: a container's place in the hierarchy.
//!
//! A [`Cgroup`] is a directory descriptor; all that is done to a container as a
//! whole (kill, freeze, list) is done through the files in it.

mod apply;
mod controllers;
mod delegate;
pub(crate) mod devices;
pub(crate) mod driver;
pub(crate) mod fs;
mod leaf;
pub(crate) mod limits;
pub(crate) mod oom;
pub(crate) mod record;
mod snapshot;
pub mod stats;
pub(crate) mod systemd;
mod walk;

use crate::error::{Context, Error, ErrorKind, Result};
use crate::path;
use crate::sys::fd::resolve;
use crate::sys::{Errno, fd};
use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

/// The most that is read of a file of a cgroup: four million processes, as many as the kernel
/// gives numbers to (PID_MAX_LIMIT), take half of it.
const FILE_MAX: usize = 64 << 20;

const CGROUP2_MAGIC: i64 = 0x6367_7270;
/// Version 1, and what its hierarchies are mounted below.
const CGROUP_MAGIC: i64 = 0x27_e0eb;
const TMPFS_MAGIC: i64 = 0x0102_1994;

/// Where cgroup2 is mounted: alone, or beside version 1 on a hybrid host. Only
/// these two are looked at: reading the table of mounts would cost the more the
/// more mounts a host has.
const MOUNT_POINTS: [&CStr; 2] = [c"/sys/fs/cgroup", c"/sys/fs/cgroup/unified"];

/// The root directory of the hierarchy.
#[derive(Debug)]
pub(crate) struct Hierarchy {
    root: OwnedFd,
    mount_point: &'static CStr,
}

impl Hierarchy {
    pub(crate) fn find() -> Result<Self> {
        let mut others = false;
        for mount_point in MOUNT_POINTS {
            let flags = libc::O_PATH | libc::O_DIRECTORY;
            let root = match fd::open_follow(fd::CWD, mount_point, flags, 0) {
                Err(Errno::ENOENT | Errno::ENOTDIR) => continue,
                opened => opened.context(|| format!("open {}", path::show(mount_point)))?,
            };
            let magic = fd::filesystem(&root).context(|| format!("statfs {}", path::show(mount_point)))?;
            if magic == CGROUP2_MAGIC {
                return Ok(Hierarchy { root, mount_point });
            }
            others |= magic == TMPFS_MAGIC || magic == CGROUP_MAGIC;
        }
        let text = "no cgroup2 file system at /sys/fs/cgroup or /sys/fs/cgroup/unified";
        Err(Error::new(ErrorKind::Unsupported, text).with_hint(match others {
            true => "control groups of version 1 are not supported",
            false => "mount one: mount -t cgroup2 cgroup2 /sys/fs/cgroup",
        }))
    }

    pub(crate) fn mount_point(&self) -> &CStr {
        self.mount_point
    }

    /// The absolute path of a cgroup.
    pub(crate) fn absolute(&self, relative: &str) -> String {
        format!("{}/{relative}", path::show(self.mount_point))
    }

    /// The path relative to the root, of an absolute one.
    fn relative<'a>(&self, absolute: &'a str) -> Option<&'a str> {
        absolute.strip_prefix(self.mount_point.to_str().ok()?)?.strip_prefix('/')
    }

    /// Whether version 1 is there as well.
    fn is_hybrid(&self) -> bool {
        self.mount_point != MOUNT_POINTS[0]
    }

    /// Opens a directory below the root.
    fn open_dir(&self, relative: &CStr) -> crate::sys::Result<OwnedFd> {
        let flags = libc::O_RDONLY | libc::O_DIRECTORY;
        fd::openat2(&self.root, relative, flags, 0, resolve::BENEATH | resolve::NO_SYMLINKS)
    }

    /// The cgroup of the calling process, relative to the root.
    pub(crate) fn own() -> Result<String> {
        Self::read_proc("/proc/self/cgroup")
    }

    /// The cgroup of a process, relative to the root.
    pub(crate) fn of(pid: i32) -> Result<String> {
        Self::read_proc(&format!("/proc/{pid}/cgroup"))
    }

    /// The cgroup that a process is in.
    pub(crate) fn of_process(&self, pid: i32) -> Result<Cgroup> {
        let path = Self::of(pid)?;
        self.open(&path)?.ok_or_else(|| {
            Error::new(ErrorKind::System, format!("the cgroup {path} of process {pid} is not here"))
        })
    }

    fn read_proc(path: &str) -> Result<String> {
        let c_path = CString::new(path).unwrap_or_default();
        let text = fd::read_piece(fd::CWD, &c_path).context(|| format!("read {path}"))?;
        own_path(&String::from_utf8_lossy(&text))
            .ok_or_else(|| Error::new(ErrorKind::System, format!("{path} has no line for cgroup2")))
    }

    /// Opens an existing cgroup by its path relative to the root; `None` if there is none.
    pub(crate) fn open(&self, relative: &str) -> Result<Option<Cgroup>> {
        // The root, in which processes of the host and of users may be.
        let dir = if relative.is_empty() { "." } else { relative };
        match self.open_dir(&CString::new(dir).unwrap_or_default()) {
            Ok(dir) => Ok(Some(Cgroup { dir, path: self.absolute(relative) })),
            Err(Errno::ENOENT | Errno::ENODEV) => Ok(None),
            Err(errno) => {
                let error = Error::os(errno, format!("open cgroup {}", self.absolute(relative)));
                Err(match errno {
                    Errno::EPERM => error.with_hint("a filter of the host's may forbid openat2(2)"),
                    _ => error,
                })
            }
        }
    }
}

/// True if cgroup2 is at /sys/fs/cgroup itself, and not beside version 1.
pub fn is_unified() -> bool {
    Hierarchy::find().is_ok_and(|hierarchy| !hierarchy.is_hybrid())
}

/// The path in the line `0::/path` of cgroups(7), without its leading slash.
fn own_path(text: &str) -> Option<String> {
    let line = text.lines().find_map(|line| line.strip_prefix("0::/"))?;
    // A cgroup that was removed under its process has this behind its path.
    Some(line.strip_suffix(" (deleted)").unwrap_or(line).to_owned())
}

/// One control group.
#[derive(Debug)]
pub(crate) struct Cgroup {
    dir: OwnedFd,
    /// For messages and for the record.
    path: String,
}

/// What cgroup.events says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Events {
    /// There is a living process in it or below it.
    pub(crate) populated: bool,
    /// All of them are frozen.
    pub(crate) frozen: bool,
}

impl Cgroup {
    /// Opens the cgroup of a record by the absolute path that was put there.
    /// `None` if it is gone, or if the container has none: then the path is empty.
    pub(crate) fn from_record(path: &str) -> Result<Option<Self>> {
        if path.is_empty() {
            return Ok(None);
        }
        let c_path = CString::new(path).unwrap_or_default();
        match fd::open(fd::CWD, &c_path, libc::O_RDONLY | libc::O_DIRECTORY, 0) {
            Ok(dir) => Ok(Some(Cgroup { dir, path: path.to_owned() })),
            Err(Errno::ENOENT | Errno::ENODEV) => Ok(None),
            Err(errno) => Err(Error::os(errno, format!("open cgroup {path}"))),
        }
    }

    /// Whether the cgroup at the absolute path of a record is frozen.
    pub(crate) fn is_frozen(path: &str) -> Result<bool> {
        if path.is_empty() {
            return Ok(false);
        }
        let file = CString::new(format!("{path}/cgroup.events")).unwrap_or_default();
        match fd::read_piece(fd::CWD, &file) {
            Ok(text) => Ok(parse_events(&text).frozen),
            Err(Errno::ENOENT | Errno::ENODEV) => Ok(false),
            Err(errno) => Err(Error::os(errno, format!("read {path}/cgroup.events"))),
        }
    }

    /// Moves a process into it. Slow, and not for processes that run already; but in
    /// a cgroup that was here before the container nobody can be born: if it was
    /// killed before, the kernel kills whoever is (docs/kernel-features.md).
    pub(crate) fn attach(&self, pid: i32) -> Result<()> {
        fd::write_file(&self.dir, c"cgroup.procs", pid.to_string().as_bytes())
            .context(|| format!("write {pid} to {}/cgroup.procs", self.path))
    }

    /// Its directory.
    pub(crate) fn dir(&self) -> BorrowedFd<'_> {
        self.dir.as_fd()
    }

    /// Its absolute path.
    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    fn read(&self, file: &CStr) -> Result<Vec<u8>> {
        fd::read_file(&self.dir, file, FILE_MAX)
            .context(|| format!("read {}/{}", self.path, path::show(file)))
    }

    fn write(&self, file: &CStr, content: &str) -> Result<()> {
        fd::write_file(&self.dir, file, content.as_bytes())
            .context(|| format!("write {content:?} to {}/{}", self.path, path::show(file)))
    }

    /// Whether anything lives in it, and whether it is frozen. Nothing does once it
    /// is gone, and systemd removes a scope's as soon as its last process has ended.
    pub(crate) fn events(&self) -> Result<Events> {
        match self.read(c"cgroup.events") {
            Err(error) if is_gone(&error) => Ok(Events::default()),
            events => Ok(parse_events(&events?)),
        }
    }

    /// All processes in it and below it.
    pub(crate) fn pids(&self) -> Result<Vec<i32>> {
        let mut all = Vec::new();
        let add = |dir: BorrowedFd<'_>| {
            match fd::read_file(dir, c"cgroup.procs", FILE_MAX) {
                // A threaded cgroup: its processes are listed at the root of the
                // thread domain. Or one that is gone.
                Err(Errno::EOPNOTSUPP | Errno::ENOENT | Errno::ENODEV) => {}
                text => {
                    let text = text?;
                    let pids = String::from_utf8_lossy(&text);
                    all.extend(pids.lines().filter_map(|line| line.parse::<i32>().ok()));
                }
            }
            Ok(())
        };
        walk::walk(self.dir(), add, |_, _| Ok(()))
            .context(|| format!("read cgroup.procs of {}", self.path))?;
        Ok(all)
    }

    /// Kills every process in it and below it, frozen ones too (since 5.14).
    pub(crate) fn kill(&self) -> Result<()> {
        match self.write(c"cgroup.kill", "1") {
            Err(error) if is_gone(&error) => Ok(()),
            killed => killed,
        }
    }

    /// Freezes it and waits until it is frozen.
    pub(crate) fn freeze(&self) -> Result<()> {
        self.write(c"cgroup.freeze", "1")?;
        let frozen = self.await_events(Duration::from_secs(10), |events| events.frozen)?;
        if !frozen {
            self.write(c"cgroup.freeze", "0")?;
            return Err(Error::new(ErrorKind::System, format!("{} did not freeze within 10 s", self.path)));
        }
        Ok(())
    }

    /// Thaws it.
    pub(crate) fn thaw(&self) -> Result<()> {
        self.write(c"cgroup.freeze", "0")
    }

    /// Waits until cgroup.events is as wanted, at most `limit`: whether it is.
    pub(crate) fn await_events(&self, limit: Duration, wanted: impl Fn(Events) -> bool) -> Result<bool> {
        let what = || format!("{}/cgroup.events", self.path);
        let file = match fd::open(&self.dir, c"cgroup.events", libc::O_RDONLY, 0) {
            // Somebody has removed the cgroup: nothing is in it.
            Err(Errno::ENOENT | Errno::ENODEV) => return Ok(wanted(Events::default())),
            other => other.context(what)?,
        };
        let end = Instant::now() + limit;
        loop {
            let mut text = [0; 256];
            let n = match fd::read_at_start(&file, &mut text) {
                Err(Errno::ENODEV) => return Ok(wanted(Events::default())),
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

/// Whether somebody has removed the cgroup, or has done so since a file was opened.
fn is_gone(error: &Error) -> bool {
    matches!(error.errno(), Some(libc::ENOENT | libc::ENODEV))
}

/// For the fuzz target: reads any text as the files that are read here.
pub(crate) fn parse_files(text: &[u8]) {
    parse_events(text);
    own_path(&String::from_utf8_lossy(text));
    systemd::check_parsers(text);
    stats::check_parsers(&String::from_utf8_lossy(text));
}

pub(crate) fn parse_events(text: &[u8]) -> Events {
    Events { populated: keyed(text, "populated") == 1, frozen: keyed(text, "frozen") == 1 }
}

/// The number behind a key in a file of `key number` lines; 0 if there is none.
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

    #[test]
    fn own_cgroup() {
        assert_eq!(own_path("9:name=systemd:/x\n0::/user.slice/a b\n").as_deref(), Some("user.slice/a b"));
        assert_eq!(own_path("0::/\n").as_deref(), Some(""));
        assert_eq!(own_path("0::/a (deleted)\n").as_deref(), Some("a"));
        assert_eq!(own_path("1:cpu:/\n"), None);
    }

    #[test]
    fn nothing_is_in_a_cgroup_that_somebody_has_removed() {
        let path = Hierarchy::find().unwrap().absolute(&format!("removed-{}", std::process::id()));
        std::fs::create_dir(&path).unwrap();
        let cgroup = Cgroup::from_record(&path).unwrap().unwrap();
        std::fs::remove_dir(&path).unwrap();
        assert_eq!(cgroup.events().unwrap(), Events::default());
        cgroup.kill().unwrap();
    }

    #[test]
    fn events() {
        assert_eq!(parse_events(b"populated 1\nfrozen 0\n"), Events { populated: true, frozen: false });
        assert_eq!(
            parse_events(b"populated 0\nfrozen 1\nnew 7\n"),
            Events { populated: false, frozen: true }
        );
        assert_eq!(parse_events(b""), Events::default());
    }
}
