// SPDX-License-Identifier: Apache-2.0
//! Files of the host: kernel parameters, lists of users, the mount table, programs in PATH.

use crate::path::{c_path, file};
use nix::sys::stat::fstat;
use runtime_sys::text::c_str;
use runtime_sys::{Errno, fd};
use std::ffi::CStr;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

/// The most bytes that are read of a list.
const LIST_MAX: usize = 4 << 20;

/// Reads a file of the kernel, such as a parameter below /proc/sys; `None` if it cannot be read.
pub(super) fn kernel(path: &CStr) -> Option<String> {
    let text = fd::read_file(fd::CWD, path, LIST_MAX).ok()?;
    Some(String::from_utf8_lossy(&text).trim().to_owned())
}

/// Reads a file of /etc; empty if it cannot be read.
pub(super) fn etc(path: &CStr) -> String {
    file::read(fd::CWD, path, true, LIST_MAX)
        .map(|(text, _)| String::from_utf8_lossy(&text).into_owned())
        .unwrap_or_default()
}

/// Returns whether the kernel lists a file system as loaded. Others may be modules: asking for one
/// of those would load it.
pub(crate) fn is_filesystem_loaded(name: &str) -> bool {
    kernel(c"/proc/filesystems")
        .is_some_and(|list| list.lines().any(|line| line.split('\t').next_back() == Some(name)))
}

/// A line of /proc/self/mountinfo (proc_pid_mountinfo(5)).
#[derive(Debug, PartialEq, Eq)]
pub(super) struct MountLine {
    pub(super) id: u64,
    pub(super) mount_point: String,
    pub(super) fstype: String,
}

/// Returns the mount table of the caller.
pub(super) fn mounts() -> Vec<MountLine> {
    kernel(c"/proc/self/mountinfo").unwrap_or_default().lines().filter_map(parse_mount).collect()
}

fn parse_mount(line: &str) -> Option<MountLine> {
    let (before, after) = line.split_once(" - ")?;
    let mut fields = before.split(' ');
    let id = fields.next()?.parse().ok()?;
    let mount_point = fields.nth(3)?.to_owned();
    Some(MountLine { id, mount_point, fstype: after.split(' ').next()?.to_owned() })
}

/// Opens a program that is found in PATH, with O_PATH: its permissions may not let the caller read it.
pub(super) fn find_program(name: &str) -> Option<(PathBuf, OwnedFd)> {
    let path = std::env::var_os("PATH").unwrap_or_else(|| "/usr/sbin:/usr/bin:/sbin:/bin".into());
    std::env::split_paths(&path).map(|dir| dir.join(name)).find_map(|path| {
        let c_path = c_path(&path).ok()?;
        fd::access(fd::CWD, &c_path, libc::X_OK, libc::AT_EACCESS).ok()?;
        let file = fd::open_follow(fd::CWD, &c_path, libc::O_PATH, 0).ok()?;
        let is_file = fstat(&file).is_ok_and(|st| st.st_mode & libc::S_IFMT == libc::S_IFREG);
        is_file.then_some((path, file))
    })
}

/// Opens a directory, or the nearest directory above it that exists.
pub(super) fn nearest_directory(path: &std::path::Path) -> Result<(PathBuf, OwnedFd), Errno> {
    for path in path.ancestors() {
        let text = if path.as_os_str().is_empty() { ".".as_ref() } else { path };
        match fd::open_follow(fd::CWD, &c_path(text)?, libc::O_PATH | libc::O_DIRECTORY, 0) {
            Err(Errno::ENOENT) => {}
            Ok(dir) => return Ok((path.to_owned(), dir)),
            Err(errno) => return Err(errno),
        }
    }
    let root = fd::open_follow(fd::CWD, c_str("/")?.as_c_str(), libc::O_PATH | libc::O_DIRECTORY, 0)?;
    Ok((PathBuf::from("/"), root))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_mount_table_has_optional_fields() {
        let line = "36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 shared:2 - ext3 /dev/root rw,errors=continue";
        let want = MountLine { id: 36, mount_point: "/mnt2".into(), fstype: "ext3".into() };
        assert_eq!(parse_mount(line), Some(want));
        assert_eq!(parse_mount("36 35 98:0 / /a rw - tmpfs x rw").unwrap().fstype, "tmpfs");
        assert_eq!(parse_mount("36 35"), None);
    }
}
