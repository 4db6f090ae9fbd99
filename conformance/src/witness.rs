// SPDX-License-Identifier: Apache-2.0
//! What each process of a command may do at each of its system calls, as /proc shows it
//! while ptrace(2) holds the process.
//!
//! The processes that a runtime clones run one at a time between two system calls, so
//! that whatever one has noted in memory that it shares with others is its own.

use crate::ptrace::{EXEC_STOP, SYSCALL_STOP, Traced, beginning_call, resume, wait};
use crate::{Doing, Result, ensure};
use nix::libc;
use nix::sys::ptrace::{self, Options};
use nix::unistd::Pid;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::PathBuf;
use std::process::Command;

/// Device and inode.
pub type FileId = (u64, u64);

/// One process, from its birth to its end or to its last execve(2) that was waited for.
#[derive(Clone, Debug, Default)]
pub struct Life {
    /// Its pid, on the host.
    pub pid: i32,
    /// Of its parent, at its birth.
    pub parent: i32,
    /// What was seen, in order.
    pub stops: Vec<Stop>,
    /// What it has noted, each behind that many stops.
    pub notes: Vec<(usize, u64)>,
}

/// A process at the beginning of a system call, or of a program.
#[derive(Clone, Debug)]
pub struct Stop {
    /// The system call's number; `None`: an execve(2) has just succeeded.
    pub call: Option<u64>,
    /// All that was seen.
    pub authority: Authority,
}

/// What a process may do, and who may do something to it.
#[derive(Clone, Debug, Default)]
pub struct Authority {
    /// Its descriptors.
    pub descriptors: BTreeMap<i32, Descriptor>,
    /// Inheritable, permitted, effective, bounding, ambient: CapInh and so on.
    pub capabilities: BTreeMap<String, u64>,
    /// Its namespaces.
    pub namespaces: BTreeMap<String, FileId>,
    /// Its root directory.
    pub root: FileId,
    /// The effective user id, on the host.
    pub uid: u32,
    /// The effective group id, on the host.
    pub gid: u32,
    /// The group that its files in /proc belong to: 0 for a process that is not dumpable.
    pub files_gid: u32,
    /// In how many pid namespaces it has a pid.
    pub depth: usize,
}

/// An open file.
#[derive(Clone, Debug)]
pub struct Descriptor {
    /// What /proc/PID/fd says.
    pub link: String,
    /// Which file it is.
    pub id: FileId,
    /// Which device, if it is one.
    pub rdev: u64,
    /// Type and permissions.
    pub mode: u32,
    /// f_type of statfs(2).
    pub filesystem: i64,
    /// The process of a pidfd.
    pub process: Option<i32>,
    /// The type of a socket, and the path that it is connected to.
    pub socket: Option<(i32, PathBuf)>,
}

/// Reads the notes of a process from number n on.
pub type Notes<'a> = &'a dyn Fn(i32, usize) -> Vec<u64>;

/// Runs a command, then `next` if it has succeeded, and watches the processes that the
/// first one clones until they end or execute a program.
pub fn watch(command: &Command, next: Option<Command>, notes: Notes<'_>) -> Result<Vec<Life>> {
    let mut traced = Traced::start(command, Options::PTRACE_O_EXITKILL)?;
    let root = traced.pid;
    let mut watcher = Watcher {
        root,
        notes,
        seen: 0,
        lives: Vec::new(),
        alive: BTreeSet::from([root]),
        gone: BTreeSet::new(),
    };
    let (mut next, mut second) = (next, None);
    while !watcher.alive.is_empty() {
        let (pid, status) = wait(-1)?;
        if libc::WIFSTOPPED(status) {
            watcher.stopped(pid, status >> 8)?;
            continue;
        }
        watcher.leave(pid);
        if pid == root {
            traced.succeeded(status)?;
            second = next.take().map(|mut next| next.spawn()).transpose().doing("second command")?;
        }
        if second.as_ref().is_some_and(|child| child.id() as i32 == pid.as_raw()) {
            ensure!(status == 0, "{second:?}: status {status:#x}");
            second = None;
        }
    }
    if let Some(mut child) = second {
        let status = crate::runtime::wait(&mut child)?;
        ensure!(status.success(), "{child:?}: {status}");
    }
    Ok(watcher.lives)
}

struct Watcher<'a> {
    root: Pid,
    notes: Notes<'a>,
    /// How many notes have been read.
    seen: usize,
    lives: Vec<Life>,
    /// Those that are traced.
    alive: BTreeSet<Pid>,
    /// Those that were.
    gone: BTreeSet<Pid>,
}

impl Watcher<'_> {
    fn leave(&mut self, pid: Pid) {
        self.alive.remove(&pid);
        self.gone.insert(pid);
    }

    /// The place of a process among all.
    fn life(&mut self, pid: Pid) -> usize {
        if let Some(known) = self.lives.iter().position(|life| life.pid == pid.as_raw()) {
            return known;
        }
        let parent = crate::host::process_status(pid.as_raw().into(), "PPid");
        let parent = parent.and_then(|pid| pid.parse().ok()).unwrap_or_default();
        self.lives.push(Life { pid: pid.as_raw(), parent, ..Life::default() });
        self.lives.len() - 1
    }

    /// Looks why a process has stopped, and lets it go on.
    fn stopped(&mut self, pid: Pid, stop: i32) -> Result {
        self.alive.insert(pid);
        let cloned = [libc::PTRACE_EVENT_FORK, libc::PTRACE_EVENT_VFORK, libc::PTRACE_EVENT_CLONE];
        if cloned.contains(&(stop >> 8))
            && let Ok(child) = ptrace::getevent(pid)
        {
            let child = Pid::from_raw(child as i32);
            if !self.gone.contains(&child) {
                self.alive.insert(child);
            }
            // In the order of their births, which is not that of their first stops.
            if tgid(child) != Some(self.root.as_raw()) {
                self.life(child);
            }
        }
        if tgid(pid) == Some(self.root.as_raw()) {
            let signal = if stop > 0xff || [SYSCALL_STOP, libc::SIGTRAP].contains(&stop) { 0 } else { stop };
            resume(libc::PTRACE_CONT, pid, signal);
            return Ok(());
        }
        let life = self.life(pid);
        match stop {
            EXEC_STOP => {
                let authority = Authority::of(pid);
                if let Some(life) = self.lives.get_mut(life)
                    && stands_still(pid)
                {
                    life.stops.push(Stop { call: None, authority: authority? });
                }
                self.leave(pid);
                let _detached = ptrace::detach(pid, None);
                Ok(())
            }
            // Only at the end of a call; its beginning is waited for below.
            SYSCALL_STOP => self.until_call(life, pid, 0),
            event if event > 0xff => self.until_call(life, pid, 0),
            libc::SIGSTOP | libc::SIGTRAP => self.until_call(life, pid, 0),
            signal => self.until_call(life, pid, signal),
        }
    }

    /// Lets a process, and no other, run to its next call, and looks at it there.
    fn until_call(&mut self, index: usize, pid: Pid, signal: i32) -> Result {
        resume(libc::PTRACE_SYSCALL, pid, signal);
        let (_, status) = wait(pid.as_raw())?;
        if !libc::WIFSTOPPED(status) {
            self.leave(pid);
            return Ok(());
        }
        match (status >> 8, beginning_call(pid)) {
            (SYSCALL_STOP, Some(call)) => {
                let new = (self.notes)(pid.as_raw(), self.seen);
                self.seen += new.len();
                let authority = Authority::of(pid);
                if let Some(life) = self.lives.get_mut(index) {
                    let behind = life.stops.len();
                    life.notes.extend(new.into_iter().map(|note| (behind, note)));
                    // One that has been killed meanwhile stands still no more.
                    if stands_still(pid) {
                        life.stops.push(Stop { call: Some(call), authority: authority? });
                    }
                }
                resume(libc::PTRACE_SYSCALL, pid, 0);
                Ok(())
            }
            (stop, _) => self.stopped(pid, stop),
        }
    }
}

fn stands_still(pid: Pid) -> bool {
    crate::host::process_status(pid.as_raw().into(), "State").is_some_and(|state| state.starts_with('t'))
}

fn tgid(pid: Pid) -> Option<i32> {
    crate::host::process_status(pid.as_raw().into(), "Tgid")?.parse().ok()
}

impl Authority {
    /// That of a process that stands still.
    pub fn of(pid: Pid) -> Result<Self> {
        let mut authority = Self::of_running(pid)?;
        for entry in std::fs::read_dir(format!("/proc/{pid}/fd")).doing("fd")? {
            let name = entry.doing("fd")?.file_name();
            let number = name.to_string_lossy().parse().doing("fd")?;
            authority.descriptors.insert(number, Descriptor::of(pid, number)?);
        }
        Ok(authority)
    }

    /// As [`of`](Self::of), without descriptors.
    pub fn of_running(pid: Pid) -> Result<Self> {
        let proc = format!("/proc/{pid}");
        let status = std::fs::read_to_string(format!("{proc}/status")).doing("status")?;
        let field = |name: &str| -> Result<&str> {
            let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(":\t"));
            line.ok_or_else(|| format!("no {name} in /proc/{pid}/status"))
        };
        let effective =
            |name| -> Result<u32> { field(name)?.split('\t').nth(1).unwrap_or_default().parse().doing(name) };
        let mut authority = Authority {
            uid: effective("Uid")?,
            gid: effective("Gid")?,
            depth: field("NSpid")?.split('\t').count(),
            files_gid: std::fs::metadata(format!("{proc}/environ")).doing("environ")?.gid(),
            root: file_id(&format!("{proc}/root"))?,
            ..Authority::default()
        };
        for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
            let bits = u64::from_str_radix(field(set)?, 16).doing(set)?;
            authority.capabilities.insert(set.to_owned(), bits);
        }
        for name in ["cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts"] {
            authority.namespaces.insert(name.to_owned(), file_id(&format!("{proc}/ns/{name}"))?);
        }
        Ok(authority)
    }
}

/// Which file a path leads to.
pub fn file_id(path: &str) -> Result<FileId> {
    let meta = std::fs::metadata(path).doing(path)?;
    Ok((meta.dev(), meta.ino()))
}

impl Descriptor {
    fn of(pid: Pid, number: i32) -> Result<Self> {
        let path = format!("/proc/{pid}/fd/{number}");
        let link = std::fs::read_link(&path).doing(&path)?.to_string_lossy().into_owned();
        let meta = std::fs::metadata(&path).doing(&path)?;
        let mut filesystem = std::mem::MaybeUninit::<libc::statfs>::uninit();
        let path = std::ffi::CString::new(path).doing("path")?;
        #[allow(unsafe_code)]
        // SAFETY: the path is a C string, and there is room for the answer.
        let known = unsafe { libc::statfs(path.as_ptr(), filesystem.as_mut_ptr()) } == 0;
        #[allow(unsafe_code, clippy::unnecessary_cast)]
        // SAFETY: filled in.
        let filesystem = if known { unsafe { filesystem.assume_init() }.f_type as i64 } else { 0 };
        let info = std::fs::read_to_string(format!("/proc/{pid}/fdinfo/{number}")).doing("fdinfo")?;
        let process = info.lines().find_map(|line| line.strip_prefix("Pid:")?.trim().parse().ok());
        let socket = if link.starts_with("socket:") { Some(socket(pid, number)?) } else { None };
        Ok(Descriptor {
            link,
            id: (meta.dev(), meta.ino()),
            rdev: meta.rdev(),
            mode: meta.mode(),
            filesystem,
            process,
            socket,
        })
    }
}

/// The type of a socket of another process, and the path that it is connected to.
fn socket(pid: Pid, number: i32) -> Result<(i32, PathBuf)> {
    use nix::sys::socket::{UnixAddr, getpeername, getsockopt, sockopt};
    #[allow(unsafe_code)]
    // SAFETY: takes and gives numbers.
    let pidfd = opened("pidfd_open", unsafe { libc::syscall(libc::SYS_pidfd_open, pid.as_raw(), 0) })?;
    #[allow(unsafe_code)]
    // SAFETY: takes and gives numbers.
    let copy = unsafe { libc::syscall(libc::SYS_pidfd_getfd, pidfd.as_raw_fd(), number, 0) };
    let socket = opened("pidfd_getfd", copy)?;
    let kind = getsockopt(&socket, sockopt::SockType).doing("getsockopt")? as i32;
    let peer = getpeername::<UnixAddr>(socket.as_raw_fd()).ok();
    let path = peer.as_ref().and_then(UnixAddr::path).map(PathBuf::from);
    Ok((kind, path.unwrap_or_default()))
}

/// The descriptor that a system call has just made.
fn opened(call: &str, number: libc::c_long) -> Result<OwnedFd> {
    ensure!(number >= 0, "{call}: {}", std::io::Error::last_os_error());
    #[allow(unsafe_code)]
    // SAFETY: new, and no one else's.
    Ok(unsafe { OwnedFd::from_raw_fd(number as i32) })
}

/// Reads words of a process's memory.
pub fn words(pid: i32, address: u64, count: usize) -> Result<Vec<u64>> {
    let mut bytes = vec![0; count * 8];
    let memory = File::open(format!("/proc/{pid}/mem")).doing("mem")?;
    memory.read_exact_at(&mut bytes, address).doing("mem")?;
    Ok(bytes.chunks_exact(8).filter_map(|word| Some(u64::from_ne_bytes(word.try_into().ok()?))).collect())
}
