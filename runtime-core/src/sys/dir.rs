// SPDX-License-Identifier: Apache-2.0
//! The entries of a directory.

use super::{Errno, Result, fd};
use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, AsRawFd};

/// One entry, neither `.` nor `..`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) name: CString,
    /// A directory, and not a link to one.
    pub(crate) is_dir: bool,
}

/// `ssize_t getdents64(int fd, void *dirp, size_t count)`: some entries of a
/// directory, 0 bytes at its end. No heap, for the child.
pub(crate) fn read_some<'a>(dir: impl AsFd, buf: &'a mut [u8]) -> Result<RawEntries<'a>> {
    // SAFETY: the buffer is valid for writes of its length.
    let n = super::check(unsafe {
        libc::syscall(libc::SYS_getdents64, dir.as_fd().as_raw_fd(), buf.as_mut_ptr(), buf.len())
    })?;
    Ok(RawEntries(buf.get(..n as usize).unwrap_or_default()))
}

/// The names in a buffer that getdents64(2) has filled, with their types (DT_*).
#[derive(Debug)]
pub(crate) struct RawEntries<'a>(&'a [u8]);

impl RawEntries<'_> {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<'a> Iterator for RawEntries<'a> {
    type Item = (&'a CStr, u8);

    fn next(&mut self) -> Option<Self::Item> {
        // struct linux_dirent64: u64 ino, s64 off, u16 reclen, u8 type, name.
        const LENGTH: usize = 16;
        const TYPE: usize = 18;
        const NAME: usize = 19;
        let length = u16::from_ne_bytes([*self.0.get(LENGTH)?, *self.0.get(LENGTH + 1)?]);
        let (entry, rest) = self.0.split_at_checked(usize::from(length))?;
        self.0 = rest;
        Some((CStr::from_bytes_until_nul(entry.get(NAME..)?).ok()?, *entry.get(TYPE)?))
    }
}

/// All entries of a directory. Parent only (heap).
pub(crate) fn entries(dir: impl AsFd) -> Result<Vec<Entry>> {
    // A description of its own: reading moves the position.
    rest(fd::open(dir, c".", libc::O_RDONLY | libc::O_DIRECTORY, 0)?)
}

/// The entries from the position on, of a description that nobody else has.
fn rest(dir: impl AsFd) -> Result<Vec<Entry>> {
    let mut all = Vec::new();
    let mut buf = [0; 4096];
    loop {
        let some = match read_some(&dir, &mut buf) {
            // The directory has been removed.
            Err(Errno::ENOENT) => return Ok(all),
            other => other?,
        };
        if some.is_empty() {
            return Ok(all);
        }
        for (name, kind) in some.filter(|(name, _)| !matches!(name.to_bytes(), b"." | b"..")) {
            let is_dir = match kind {
                libc::DT_DIR => true,
                libc::DT_UNKNOWN => is_dir(&dir, name),
                _ => false,
            };
            all.push(Entry { name: name.to_owned(), is_dir });
        }
    }
}

fn is_dir(dir: impl AsFd, name: &CStr) -> bool {
    fd::stat_at(dir, name, libc::AT_SYMLINK_NOFOLLOW)
        .is_ok_and(|st| st.st_mode & libc::S_IFMT == libc::S_IFDIR)
}

/// Removes all that is in a directory, but not `last`, whose description nobody else
/// has. Parent only (heap).
pub(crate) fn empty(dir: impl AsFd, last: &CStr) -> Result<()> {
    rest(&dir)?
        .iter()
        .filter(|entry| entry.name.as_c_str() != last)
        .try_for_each(|entry| remove_all(&dir, &entry.name))
}

/// Removes `name` in `dir` and everything below it, following no link, as
/// `rm -rf` does. What vanishes meanwhile is fine. Parent only (heap).
pub(crate) fn remove_all(dir: impl AsFd, name: &CStr) -> Result<()> {
    match fd::unlink(&dir, name, 0) {
        Ok(()) | Err(Errno::ENOENT) => return Ok(()),
        Err(Errno::EISDIR | Errno::EPERM) => {}
        Err(errno) => return Err(errno),
    }
    let sub = match fd::open(&dir, name, libc::O_RDONLY | libc::O_DIRECTORY, 0) {
        Err(Errno::ENOENT) => return Ok(()),
        other => other?,
    };
    for entry in rest(&sub)? {
        remove_all(&sub, &entry.name)?;
    }
    match fd::unlink(&dir, name, libc::AT_REMOVEDIR) {
        Err(Errno::ENOENT) => Ok(()),
        other => other,
    }
}
