// SPDX-License-Identifier: Apache-2.0
//! Reading of whole files: config.json, a container's record, its seccomp filter.
//!
//! Each must be a regular file of a bounded size. Another user may have put a fifo in its
//! place, which would block the reader for ever, or a device without an end of file.

use crate::error::{Error, ErrorKind};
use nix::sys::stat::fstat;
use runtime_sys::{Errno, fd};
use std::ffi::CStr;
use std::os::fd::AsFd;

/// The reason why a file was not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unread {
    /// A system call failed.
    Os(Errno),
    /// The path leads to a fifo, a socket or a device.
    NotAFile,
    /// The file is larger than this limit, in bytes.
    TooLarge(usize),
}

impl From<Errno> for Unread {
    fn from(errno: Errno) -> Self {
        Unread::Os(errno)
    }
}

impl Unread {
    /// Makes an error of this reason; `what` is the operation that failed.
    pub(crate) fn into_error(self, what: impl Into<String>) -> Error {
        let why = match self {
            Unread::Os(errno) => return Error::os(errno, what),
            Unread::NotAFile => "not a regular file".to_owned(),
            Unread::TooLarge(limit) => format!("larger than {}", size(limit)),
        };
        Error::new(ErrorKind::System, format!("{}: {why}", what.into()))
    }
}

/// Formats a size in bytes, for messages.
fn size(bytes: usize) -> String {
    if bytes >= 1 << 20 && bytes.is_multiple_of(1 << 20) {
        format!("{} MiB", bytes >> 20)
    } else {
        format!("{bytes} bytes")
    }
}

/// Reads the file `name` in `dir`, and returns its content and metadata. Never blocks. If the
/// last component of `name` is a symbolic link, it is followed only with `follow`. Parent only
/// (heap).
pub(crate) fn read(
    dir: impl AsFd,
    name: &CStr,
    follow: bool,
    limit: usize,
) -> Result<(Vec<u8>, libc::stat), Unread> {
    // O_NONBLOCK: otherwise opening a fifo waits for its writer.
    let flags = libc::O_RDONLY | libc::O_NONBLOCK | libc::O_NOCTTY;
    let flags = if follow { flags } else { flags | libc::O_NOFOLLOW };
    let file = fd::open_follow(dir, name, flags, 0)?;
    let st = fstat(&file)?;
    match st.st_mode & libc::S_IFMT {
        libc::S_IFREG => {}
        libc::S_IFDIR => return Err(Unread::Os(Errno::EISDIR)),
        _ => return Err(Unread::NotAFile),
    }
    // A file larger than the address space is not read at all.
    let expected = usize::try_from(st.st_size).unwrap_or(usize::MAX);
    if expected > limit {
        return Err(Unread::TooLarge(limit));
    }
    match fd::read_expected(file, expected, limit) {
        // The file has grown since fstat.
        Err(Errno::EFBIG) => Err(Unread::TooLarge(limit)),
        other => Ok((other?, st)),
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods)]
mod tests {
    use super::*;
    use crate::path::c_path;
    use std::os::fd::OwnedFd;

    fn dir() -> (tempfile::TempDir, OwnedFd) {
        let dir = tempfile::tempdir().unwrap();
        let fd =
            fd::open(fd::CWD, &c_path(dir.path()).unwrap(), libc::O_RDONLY | libc::O_DIRECTORY, 0).unwrap();
        (dir, fd)
    }

    fn content(dir: &OwnedFd, name: &CStr, limit: usize) -> Result<Vec<u8>, Unread> {
        read(dir, name, false, limit).map(|(bytes, _)| bytes)
    }

    #[test]
    fn regular_files_of_any_size_up_to_the_limit_are_read() {
        let (path, dir) = dir();
        for size in [0, 1, 4095, 4096, 4097, 100_000] {
            let text = vec![b'x'; size];
            std::fs::write(path.path().join("f"), &text).unwrap();
            assert_eq!(content(&dir, c"f", 1 << 20), Ok(text.clone()));
            assert_eq!(content(&dir, c"f", size), Ok(text));
            if size > 0 {
                assert_eq!(content(&dir, c"f", size - 1), Err(Unread::TooLarge(size - 1)));
            }
        }
        // The size of a file of procfs is unknown before it is read.
        let (version, _) = read(fd::CWD, c"/proc/version", true, 4096).unwrap();
        assert!(version.starts_with(b"Linux "));
        assert_eq!(content(&dir, c"/proc/version", 5), Err(Unread::TooLarge(5)));
    }

    #[test]
    fn special_files_do_not_block() {
        let (path, dir) = dir();
        fd::mknod(&dir, c"fifo", libc::S_IFIFO | 0o600, 0).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(path.path().join("socket")).unwrap();
        std::os::unix::fs::symlink("/proc/version", path.path().join("link")).unwrap();
        assert_eq!(content(&dir, c"fifo", 9), Err(Unread::NotAFile));
        assert_eq!(content(&dir, c"/dev/zero", 9), Err(Unread::NotAFile));
        assert_eq!(content(&dir, c"socket", 9), Err(Unread::Os(Errno::ENXIO)));
        assert_eq!(content(&dir, c".", 9), Err(Unread::Os(Errno::EISDIR)));
        assert_eq!(content(&dir, c"none", 9), Err(Unread::Os(Errno::ENOENT)));
        assert_eq!(content(&dir, c"link", 999), Err(Unread::Os(Errno::ELOOP)));
        assert!(read(&dir, c"link", true, 999).is_ok());
    }

    #[test]
    fn errors_name_the_reason() {
        let report = |unread: Unread| unread.into_error("read /b/config.json").report();
        assert_eq!(report(Unread::NotAFile), "read /b/config.json: not a regular file");
        assert_eq!(report(Unread::TooLarge(16 << 20)), "read /b/config.json: larger than 16 MiB");
        assert_eq!(report(Unread::TooLarge(1000)), "read /b/config.json: larger than 1000 bytes");
        assert_eq!(report(Unread::Os(Errno::EISDIR)), "read /b/config.json: is a directory");
    }
}
