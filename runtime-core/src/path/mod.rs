// SPDX-License-Identifier: Apache-2.0
//! Access through descriptors to paths that other users or the container may control.

pub(crate) mod executable;
pub(crate) mod file;
pub(crate) mod proc;
pub(crate) mod root;

use runtime_sys::text::c_str;
use std::ffi::{CStr, CString, OsStr};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

/// Removes `.`, `..` and leading, trailing and double slashes from `path`, without looking at
/// the file system. `path` is taken as relative to a root directory, which `..` cannot leave.
/// The result has no leading slash.
pub(crate) fn clean(path: &str) -> String {
    let mut clean = String::with_capacity(path.len());
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => clean.truncate(clean.rfind('/').unwrap_or(0)),
            part => {
                if !clean.is_empty() {
                    clean.push('/');
                }
                clean.push_str(part);
            }
        }
    }
    clean
}

/// Returns the path as a C string. EINVAL: the path has a NUL byte.
pub(crate) fn c_path(path: &Path) -> runtime_sys::Result<CString> {
    c_str(path.as_os_str().as_bytes())
}

/// Returns bytes from the kernel as a path.
pub(crate) fn from_bytes(bytes: &[u8]) -> PathBuf {
    PathBuf::from(std::ffi::OsString::from_vec(bytes.to_vec()))
}

/// Returns a printable form of a path, for messages.
pub(crate) fn show(path: &CStr) -> std::path::Display<'_> {
    Path::new(OsStr::from_bytes(path.to_bytes())).display()
}

/// Returns the present path of the file that a descriptor refers to (/proc/self/fd of proc(5)).
/// Parent only (heap).
pub(crate) fn of_fd(fd: impl AsFd) -> runtime_sys::Result<PathBuf> {
    let link = c_str(format!("/proc/self/fd/{}", fd.as_fd().as_raw_fd()))?;
    let mut buf = [0; libc::PATH_MAX as usize];
    runtime_sys::fd::readlink(runtime_sys::fd::CWD, &link, &mut buf).map(from_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clean_stays_below_the_root() {
        for (path, want) in [
            ("/", ""),
            ("", ""),
            ("/a//b/./c/", "a/b/c"),
            ("a/../../b", "b"),
            ("../../..", ""),
            ("/a/b/..", "a"),
            ("...", "..."),
        ] {
            assert_eq!(clean(path), want, "{path}");
        }
    }
}
