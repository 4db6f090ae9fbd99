// SPDX-License-Identifier: Apache-2.0
//! Access to a procfs that is verified not to be a fake.

use runtime_sys::fd::{self, resolve};
use runtime_sys::mount::{self, attr};
use runtime_sys::text::c_str;
use runtime_sys::{Errno, Result};
use std::ffi::{CStr, CString};
use std::fmt::{self, Display};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

const MAGIC: i64 = 0x9fa0;
const SYSFS_MAGIC: i64 = 0x6265_6572;

/// The root directory of a procfs.
#[derive(Debug)]
pub(crate) struct Proc(OwnedFd);

impl Proc {
    /// Opens /proc in the caller's mount namespace and verifies that it is a procfs of the caller's
    /// pid namespace. In a procfs of another pid namespace, /proc/PID is another process.
    ///
    /// ENOTSUP: it is no procfs. ESRCH: it is the procfs of another pid namespace.
    pub(crate) fn host() -> Result<Self> {
        let dir = fd::open(fd::CWD, c"/proc", libc::O_PATH | libc::O_DIRECTORY, 0)?;
        let is_procfs = fd::filesystem(&dir)? == MAGIC;
        let mut link = [0; 16];
        // Only the root directory of a procfs has `self`.
        match fd::readlink(&dir, c"self", &mut link) {
            Ok(pid) if is_procfs && is_own(pid) => Ok(Proc(dir)),
            Ok(_) if is_procfs => Err(Errno::ESRCH),
            _ => Err(Errno::ENOTSUP),
        }
    }

    /// Makes a detached mount of a new procfs of the caller's pid namespace. It is for hosts on
    /// which /proc has mounts over it (LXC, `ProtectKernelTunables` of systemd.exec(5)), is
    /// read-only, or is mounted with `subset=pid`.
    ///
    /// EPERM: the caller has no CAP_SYS_ADMIN over the pid namespace; or it is in a user namespace
    /// and its mount namespace has no procfs that is writable and without mounts over it
    /// (mount_too_revealing of fs/namespace.c).
    pub(crate) fn detached() -> Result<Self> {
        let context = mount::fsopen(c"proc")?;
        mount::fsconfig_create(&context)?;
        mount::fsmount(context, attr::NOSUID | attr::NODEV | attr::NOEXEC).map(Proc)
    }

    /// Opens a file below the root. Mounts and links on the way are refused, so the file is one of
    /// this procfs (CVE-2025-52881).
    pub(crate) fn open(&self, path: &CStr, flags: i32) -> Result<OwnedFd> {
        fd::openat2(&self.0, path, flags, 0, resolve::BENEATH | resolve::NO_XDEV | resolve::NO_SYMLINKS)
    }

    /// Reads a file below the root. Parent only (heap).
    pub(crate) fn read(&self, path: &CStr) -> Result<Vec<u8>> {
        fd::read_all(self.open(path, libc::O_RDONLY)?, 1 << 20)
    }

    /// Opens a file of the calling process, below the link `self`.
    pub(crate) fn open_own(&self, path: &CStr, flags: i32) -> Result<OwnedFd> {
        let resolve = resolve::BENEATH | resolve::NO_XDEV | resolve::NO_MAGICLINKS;
        self.or_detached(|proc| fd::openat2(proc, path, flags, 0, resolve))
    }

    /// Calls `open` with this procfs, or with a detached procfs if this one is mounted read-only.
    fn or_detached(&self, open: impl Fn(&Self) -> Result<OwnedFd>) -> Result<OwnedFd> {
        match open(self) {
            Err(Errno::EROFS) => open(&Self::detached().map_err(|_denied| Errno::EROFS)?),
            other => other,
        }
    }

    /// Opens the file of `file`, an O_PATH descriptor of the calling process, again with `flags`.
    /// The result is the same file, even if its path leads to another file by now.
    pub(crate) fn reopen(&self, file: &OwnedFd, flags: i32) -> Result<OwnedFd> {
        // NO_MAGICLINKS would refuse this magic link. It is safe to follow: it is one of the calling
        // process's own descriptors.
        fd::open_follow(&self.0, FdPath::to(file).path(), flags, 0)
    }

    /// Changes the permissions of the file of `file`, an O_PATH descriptor of the calling process.
    /// (fchmod(2) does not take an O_PATH descriptor.)
    pub(crate) fn chmod(&self, file: &OwnedFd, mode: u32) -> Result<()> {
        fd::chmod_at(&self.0, FdPath::to(file).path(), mode)
    }

    /// Writes `content` to a file below the root, with a single write(2).
    pub(crate) fn write(&self, path: &CStr, content: &[u8]) -> Result<()> {
        let file = self.or_detached(|proc| proc.open(path, libc::O_WRONLY))?;
        if fd::write(file, content)? == content.len() { Ok(()) } else { Err(Errno::EIO) }
    }
}

/// A file of a process below /proc (proc_pid(5)). Every path with a pid is made here. Displays as the
/// absolute path. Parent only (heap).
///
/// The path leads to the process that has the pid at the time of the open. Callers ensure that this is
/// the intended process:
///
/// * A child that was not waited for keeps its pid. The files of new processes are read and written
///   before the wait: id maps, attributes, the network namespace, the exit status.
/// * The init of a container may end at any time, and its pid may be reused. If exec used the root
///   directory, the cgroup or the setgroups of another process, its program would run with the files
///   or the groups of that process. So exec opens a pidfd of init first, and checks its start time
///   (`ProcessId::open`). The new process joins init's namespaces by that pidfd, which fails if init
///   has ended. Where it enters init's root directory, the check is repeated after the directory is
///   opened.
/// * A tracer is killed only if, after its pidfd was opened, it still is the tracer.
///
/// A descriptor of the directory /proc/PID is not used. It prevents reuse between two reads, but not
/// before the first, so these checks would stay; and it costs two more system calls for each file,
/// because hardly any decision reads two files of one process.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PidFile<'a> {
    /// `None` for the calling process: its own pid may be another one in this procfs.
    pid: Option<i32>,
    name: &'a str,
}

impl<'a> PidFile<'a> {
    /// `name` is the path below /proc/PID, such as `stat` or `ns/net`.
    pub(crate) fn new(pid: i32, name: &'a str) -> Self {
        PidFile { pid: Some(pid), name }
    }

    /// Returns the file of the calling process, below the link `self`.
    pub(crate) fn own(name: &'a str) -> Self {
        PidFile { pid: None, name }
    }

    /// Returns the absolute path.
    pub(crate) fn absolute(self) -> Result<CString> {
        c_str(self.to_string())
    }

    /// Returns the path below the root of a procfs, for [`Proc`].
    pub(crate) fn below_proc(self) -> Result<CString> {
        c_str(self.to_string().split_off("/proc/".len()))
    }
}

impl Display for PidFile<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.pid {
            Some(pid) => write!(f, "/proc/{pid}/{}", self.name),
            None => write!(f, "/proc/self/{}", self.name),
        }
    }
}

/// Opens the host's procfs, for the parent. The error says what is wrong with /proc.
pub(crate) fn host() -> crate::error::Result<Proc> {
    Proc::host().map_err(|errno| {
        let error = crate::error::Error::os(errno, "open /proc");
        match errno {
            Errno::ESRCH => {
                error.with_hint("/proc is that of another pid namespace: mount -t proc proc /proc")
            }
            Errno::ENOENT | Errno::ENOTSUP => error.with_hint(NOT_MOUNTED),
            _ => error,
        }
    })
}

/// The hint for a missing /proc.
pub(crate) const NOT_MOUNTED: &str = "the runtime needs a procfs at /proc: mount -t proc proc /proc";

/// Returns whether the text is the caller's pid.
fn is_own(pid: &[u8]) -> bool {
    std::str::from_utf8(pid).ok().and_then(|pid| pid.parse().ok()) == Some(std::process::id())
}

/// The path of a descriptor of the calling process, relative to /proc.
struct FdPath([u8; 24]);

impl FdPath {
    fn to(file: &OwnedFd) -> Self {
        let mut path = [0; 24];
        let digits = std::iter::successors(Some(file.as_raw_fd().unsigned_abs()), |n| match n / 10 {
            0 => None,
            rest => Some(rest),
        });
        let end = b"self/fd/".len() + digits.clone().count();
        for (place, byte) in path.iter_mut().zip(b"self/fd/") {
            *place = *byte;
        }
        for (place, n) in path.iter_mut().take(end).rev().zip(digits) {
            *place = b'0' + (n % 10) as u8;
        }
        FdPath(path)
    }

    fn path(&self) -> &CStr {
        CStr::from_bytes_until_nul(&self.0).unwrap_or_default()
    }
}

impl AsFd for Proc {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Returns true if a file system of this type is procfs or sysfs: interfaces to the kernel,
/// in which opening, reading or writing a file can have side effects.
pub(crate) fn is_kernels(filesystem: i64) -> bool {
    matches!(filesystem, MAGIC | SYSFS_MAGIC)
}

/// Returns true if the descriptor is on a procfs.
pub(crate) fn is_procfs(file: impl AsFd) -> Result<bool> {
    Ok(fd::filesystem(file)? == MAGIC)
}

/// The files of procfs that may have a mount over them. Programs such as lxcfs provide these
/// files, and the runtime reads and writes none of them.
const PROC_FILES: &[&str] = &[
    "proc/cpuinfo",
    "proc/diskstats",
    "proc/loadavg",
    "proc/meminfo",
    "proc/slabinfo",
    "proc/stat",
    "proc/swaps",
    "proc/sys/crypto/fips_enabled",
    "proc/sys/kernel/ns_last_pid",
    "proc/uptime",
];

/// Returns true if `path` (relative to the container's root) is in [`PROC_FILES`].
pub(crate) fn is_proc_file(path: &[u8]) -> bool {
    PROC_FILES.iter().any(|file| file.as_bytes() == path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sys::stat::fstat;

    #[test]
    #[allow(clippy::disallowed_methods)]
    fn the_checked_file_is_the_opened_file() {
        let dir = tempfile::tempdir().unwrap();
        let (path, moved) = (dir.path().join("file"), dir.path().join("moved"));
        std::fs::write(&path, "looked at").unwrap();
        let file = fd::open(fd::CWD, &crate::path::c_path(&path).unwrap(), libc::O_PATH, 0).unwrap();
        std::fs::rename(&path, &moved).unwrap();
        std::fs::write(&path, "in its place").unwrap();
        let proc = Proc::host().unwrap();
        let text = fd::read_all(proc.reopen(&file, libc::O_RDONLY).unwrap(), 100).unwrap();
        assert_eq!(text, b"looked at");
        proc.chmod(&file, 0o604).unwrap();
        assert_eq!(fstat(&file).unwrap().st_mode & 0o7777, 0o604);
    }

    #[test]
    fn a_private_procfs_has_the_kernels_parameters() {
        let own = Proc::detached().unwrap();
        let read = |proc: &Proc| proc.read(c"sys/kernel/ostype").unwrap();
        assert_eq!(read(&own), read(&Proc::host().unwrap()));
        assert!(fd::open_follow(&own, c"self/fd", libc::O_PATH, 0).is_ok());
    }

    #[test]
    fn links_to_descriptors_have_their_numbers() {
        let file = fd::open(fd::CWD, c"/", libc::O_PATH, 0).unwrap();
        let expected = format!("self/fd/{}", file.as_raw_fd());
        assert_eq!(FdPath::to(&file).path().to_str().unwrap(), expected);
    }
}
