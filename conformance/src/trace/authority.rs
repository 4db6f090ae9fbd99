// SPDX-License-Identifier: Apache-2.0
//! The authority of a process, as /proc shows it.

use crate::result::{Doing, Result};
use nix::unistd::Pid;
use runtime_sys::process::{pidfd_getfd, pidfd_open};
use std::collections::BTreeMap;
use std::fs::File;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

/// Device and inode.
pub type FileId = (u64, u64);

/// The authority of a process, and of others over it.
#[derive(Clone, Debug, Default)]
pub struct Authority {
    /// Its descriptors.
    pub descriptors: BTreeMap<i32, Descriptor>,
    /// The sets by their names in /proc/PID/status: CapInh, CapPrm, CapEff, CapBnd, CapAmb.
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
    /// The number of pid namespaces in which it has a pid.
    pub depth: usize,
}

/// An open file.
#[derive(Clone, Debug)]
pub struct Descriptor {
    /// The target of its link in /proc/PID/fd.
    pub link: String,
    /// The file.
    pub id: FileId,
    /// The device number of a device.
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

impl Authority {
    /// Reads the authority of a stopped process.
    pub fn of(pid: Pid) -> Result<Self> {
        let mut authority = Self::of_running(pid)?;
        for entry in std::fs::read_dir(format!("/proc/{pid}/fd")).doing("fd")? {
            let name = entry.doing("fd")?.file_name();
            let number = name.to_string_lossy().parse().doing("fd")?;
            authority.descriptors.insert(number, Descriptor::of(pid, number)?);
        }
        Ok(authority)
    }

    /// Reads the authority of a running process, without its descriptors.
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
            root: file_id(format!("{proc}/root"))?,
            ..Authority::default()
        };
        for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
            let bits = u64::from_str_radix(field(set)?, 16).doing(set)?;
            authority.capabilities.insert(set.to_owned(), bits);
        }
        for name in ["cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts"] {
            authority.namespaces.insert(name.to_owned(), file_id(format!("{proc}/ns/{name}"))?);
        }
        Ok(authority)
    }
}

/// Returns the file that a path leads to.
pub fn file_id(path: impl AsRef<Path>) -> Result<FileId> {
    let path = path.as_ref();
    let meta = std::fs::metadata(path).doing(&path.display().to_string())?;
    Ok((meta.dev(), meta.ino()))
}

impl Descriptor {
    fn of(pid: Pid, number: i32) -> Result<Self> {
        let path = format!("/proc/{pid}/fd/{number}");
        let link = std::fs::read_link(&path).doing(&path)?.to_string_lossy().into_owned();
        let meta = std::fs::metadata(&path).doing(&path)?;
        #[allow(clippy::unnecessary_cast, reason = "its type depends on the C library")]
        let filesystem =
            nix::sys::statfs::statfs(path.as_str()).map_or(0, |fs| fs.filesystem_type().0 as i64);
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

/// Returns the type of a socket of another process, and the path that it is connected to.
fn socket(pid: Pid, number: i32) -> Result<(i32, PathBuf)> {
    use nix::sys::socket::{UnixAddr, getpeername, getsockopt, sockopt};
    let pidfd = pidfd_open(pid.as_raw()).doing("pidfd_open")?;
    let socket = pidfd_getfd(pidfd, number).doing("pidfd_getfd")?;
    let kind = getsockopt(&socket, sockopt::SockType).doing("getsockopt")? as i32;
    let peer = getpeername::<UnixAddr>(socket.as_raw_fd()).ok();
    let path = peer.as_ref().and_then(UnixAddr::path).map(PathBuf::from);
    Ok((kind, path.unwrap_or_default()))
}

/// Reads words of a process's memory.
pub fn words(pid: i32, address: u64, count: usize) -> Result<Vec<u64>> {
    let mut bytes = vec![0; count * 8];
    let memory = File::open(format!("/proc/{pid}/mem")).doing("mem")?;
    memory.read_exact_at(&mut bytes, address).doing("mem")?;
    Ok(bytes.chunks_exact(8).filter_map(|word| Some(u64::from_ne_bytes(word.try_into().ok()?))).collect())
}
