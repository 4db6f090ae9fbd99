// SPDX-License-Identifier: Apache-2.0
//! Paths that somebody else may control, reached through descriptors.

pub(crate) mod file;
pub(crate) mod proc;
pub(crate) mod root;

use std::ffi::{CStr, CString, OsStr};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

/// `path` without `.`, `..`, and double or outer slashes, by its text alone, as
/// seen from a root directory: `..` never leads above it. No leading slash.
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

/// A path as the kernel wants it. Paths of the operating system have no NUL; one
/// that has one anyway becomes a name that cannot exist.
pub(crate) fn c_path(path: &Path) -> CString {
    CString::new(path.as_os_str().as_bytes()).unwrap_or_else(|_nul| c"/\x01".into())
}

/// Bytes from the kernel as a path.
pub(crate) fn from_bytes(bytes: &[u8]) -> PathBuf {
    PathBuf::from(std::ffi::OsString::from_vec(bytes.to_vec()))
}

/// A C string for messages.
pub(crate) fn show(path: &CStr) -> std::path::Display<'_> {
    Path::new(OsStr::from_bytes(path.to_bytes())).display()
}

/// Where the file behind a descriptor is now, as the kernel sees it
/// (/proc/self/fd of proc(5)). Parent only (heap).
pub(crate) fn of_fd(fd: impl AsFd) -> runtime_sys::Result<PathBuf> {
    let link = CString::new(format!("/proc/self/fd/{}", fd.as_fd().as_raw_fd())).unwrap_or_default();
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
