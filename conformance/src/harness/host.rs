// SPDX-License-Identifier: Apache-2.0
//! The host under test: the traces of a container on it, and what was left behind.

use crate::ensure;
use crate::harness::runtime::Runtime;
use crate::result::{Doing, Result};
use nix::fcntl::{Flock, FlockArg};
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use std::collections::BTreeSet;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Gives the calling program its own mount namespace and makes it the reaper of its orphaned
/// descendants. To be called before any thread is started.
pub fn isolate() -> Result {
    unshare(CloneFlags::CLONE_NEWNS).doing("unshare (root is needed)")?;
    mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None::<&str>)
        .doing("mount")?;
    nix::sys::prctl::set_child_subreaper(true).doing("prctl")
}

/// Waits until no other program judges a runtime on this host: containers of the same name would
/// share a cgroup. The lock ends when the file is dropped.
pub fn only_one() -> Result<Flock<File>> {
    let file = File::create("/run/conformance.lock").doing("/run/conformance.lock")?;
    Flock::lock(file, FlockArg::LockExclusive).map_err(|(_, errno)| format!("lock: {errno}"))
}

/// Serialises the tests of one program that watch the host. Orphaned descendants become children of
/// the program.
pub fn alone() -> std::sync::MutexGuard<'static, ()> {
    static ALONE: std::sync::Mutex<()> = std::sync::Mutex::new(());
    let guard = ALONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    if let Err(errno) = nix::sys::prctl::set_child_subreaper(true) {
        // Only a wrong argument of this call can make it fail.
        unreachable!("prctl: {errno}");
    }
    guard
}

/// The state of the host that a container's lifecycle must not change.
#[derive(Debug, PartialEq, Eq)]
pub struct HostSnapshot {
    mounts: BTreeSet<String>,
    cgroups: BTreeSet<PathBuf>,
}

impl HostSnapshot {
    /// Records the present state.
    pub fn take() -> Result<Self> {
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").doing("mountinfo")?;
        let mut cgroups = BTreeSet::new();
        walk(&hierarchy(), &mut cgroups);
        Ok(HostSnapshot { mounts: mounts.lines().map(str::to_owned).collect(), cgroups })
    }

    /// Fails if a mount, a cgroup, a process or an entry of the runtime's state directory has been
    /// left behind since the snapshot.
    pub fn check(&self, runtime: &Runtime) -> Result {
        let left: Vec<_> = std::fs::read_dir(runtime.root())
            .doing("state directory")?
            .filter_map(|entry| entry.ok().map(|entry| entry.file_name()))
            // Directories that crun shares between containers.
            .filter(|name| name != ".empty-directory" && name != ".cache")
            .collect();
        ensure!(left.is_empty(), "left in the state directory: {left:?}");
        await_children()?;
        let now = HostSnapshot::take()?;
        let mounts: Vec<_> = now.mounts.difference(&self.mounts).collect();
        ensure!(mounts.is_empty(), "left mounts: {mounts:?}");
        self.await_cgroups()
    }

    /// Waits for cgroups of the host's other programs: they have processes, or are about to be
    /// removed.
    fn await_cgroups(&self) -> Result {
        let end = Instant::now() + Duration::from_secs(2);
        loop {
            let left = self.cgroups_left()?;
            if left.is_empty() {
                return Ok(());
            }
            ensure!(Instant::now() < end, "left cgroups: {left:?}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn cgroups_left(&self) -> Result<Vec<PathBuf>> {
        let now = HostSnapshot::take()?;
        Ok(now.cgroups.difference(&self.cgroups).filter(|path| is_empty(path)).cloned().collect())
    }

    /// Removes the cgroups that were left, so that the next container's cgroup is new.
    pub fn restore(&self) {
        // Children come behind their parents.
        for cgroup in self.cgroups_left().unwrap_or_default().iter().rev() {
            let _stays = std::fs::remove_dir(cgroup);
        }
    }
}

/// Returns true if a cgroup and its children have no process (cgroups(7), "cgroup.events").
fn is_empty(cgroup: &Path) -> bool {
    let events = std::fs::read_to_string(cgroup.join("cgroup.events"));
    events.is_ok_and(|events| events.contains("populated 0"))
}

/// Waits until all children of the calling program have ended. Orphans of a container are among
/// them; until they are reaped, the kernel keeps the container's first process, too
/// (pid_namespaces(7)).
pub fn await_children() -> Result {
    let end = Instant::now() + Duration::from_secs(5);
    while !reap() {
        ensure!(Instant::now() < end, "a process is left: {}", children());
        std::thread::sleep(Duration::from_millis(2));
    }
    Ok(())
}

/// Reaps ended children. Returns true if none is left.
pub fn reap() -> bool {
    loop {
        match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::StillAlive) => return false,
            Ok(_) => {}
            Err(_) => return true,
        }
    }
}

/// Reaps ended children except one, which another thread waits for.
pub fn reap_all_but(other: u32) {
    let children = children();
    let pids = children.split_ascii_whitespace().filter_map(|pid| pid.parse().ok());
    for pid in pids.filter(|pid| *pid != other as i32) {
        let _alive = waitpid(nix::unistd::Pid::from_raw(pid), Some(WaitPidFlag::WNOHANG));
    }
}

fn children() -> String {
    let own = std::process::id();
    std::fs::read_to_string(format!("/proc/{own}/task/{own}/children")).unwrap_or_default()
}

/// Returns the mount point of cgroup2.
pub fn hierarchy() -> PathBuf {
    let unified = Path::new("/sys/fs/cgroup/unified");
    if unified.join("cgroup.procs").exists() { unified.into() } else { "/sys/fs/cgroup".into() }
}

/// Shows version 2 alone, in the mount namespace of this program, on a host with both versions of
/// cgroups: some runtimes work with nothing else.
pub fn unify_cgroups() -> Result {
    let hierarchy = hierarchy();
    if hierarchy != Path::new("/sys/fs/cgroup") {
        mount(Some(&hierarchy), "/sys/fs/cgroup", None::<&str>, MsFlags::MS_BIND, None::<&str>)
            .doing("mount")?;
    }
    Ok(())
}

/// Returns the controllers of cgroup2, as cgroup.controllers lists them.
pub fn controllers() -> Vec<String> {
    let text = std::fs::read_to_string(hierarchy().join("cgroup.controllers")).unwrap_or_default();
    text.split_ascii_whitespace().map(str::to_owned).collect()
}

/// Returns true if systemd runs this host (sd_booted(3)).
pub fn has_systemd() -> bool {
    Path::new("/run/systemd/system").is_dir()
}

/// Returns the directory of the cgroup of a process.
pub fn cgroup_of(pid: i64) -> Result<PathBuf> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).doing("cgroup")?;
    let path = text.lines().find_map(|line| line.strip_prefix("0::/")).ok_or("no line for cgroup2")?;
    Ok(hierarchy().join(path))
}

fn walk(dir: &Path, all: &mut BTreeSet<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(dir) else { return };
    for entry in entries.flatten().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())) {
        all.insert(entry.path());
        walk(&entry.path(), all);
    }
}

/// Returns a field of /proc/PID/status.
pub fn process_status(pid: i64, field: &str) -> Option<String> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    status.lines().find_map(|line| Some(line.strip_prefix(field)?.strip_prefix(':')?.trim().to_owned()))
}
