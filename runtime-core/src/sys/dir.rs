// SPDX-License-Identifier: Apache-2.0
//! The entries of a directory.

use super::{Errno, Result, fd};
use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, AsRawFd, IntoRawFd};

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

/// The names in a buffer that getdents64(2) has filled.
#[derive(Debug)]
pub(crate) struct RawEntries<'a>(&'a [u8]);

impl RawEntries<'_> {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<'a> Iterator for RawEntries<'a> {
    type Item = &'a CStr;

    fn next(&mut self) -> Option<&'a CStr> {
        // struct linux_dirent64: u64 ino, s64 off, u16 reclen, u8 type, name.
        const LENGTH: usize = 16;
        const NAME: usize = 19;
        let length = u16::from_ne_bytes([*self.0.get(LENGTH)?, *self.0.get(LENGTH + 1)?]);
        let (entry, rest) = self.0.split_at_checked(usize::from(length))?;
        self.0 = rest;
        CStr::from_bytes_until_nul(entry.get(NAME..)?).ok()
    }
}

/// `struct dirent *readdir(DIR *dir)` until its end. Parent only (heap).
pub(crate) fn entries(dir: impl AsFd) -> Result<Vec<Entry>> {
    // A description of its own: reading moves the position.
    let own = fd::open(dir, c".", libc::O_RDONLY | libc::O_DIRECTORY, 0)?;
    let raw = own.as_raw_fd();
    // SAFETY: a descriptor of a directory, which the stream takes over if it succeeds.
    let stream = unsafe { libc::fdopendir(raw) };
    if stream.is_null() {
        return Err(Errno::last());
    }
    let _owned_by_stream = own.into_raw_fd();
    let mut all = Vec::new();
    let result = loop {
        Errno::clear();
        // SAFETY: an open stream.
        let entry = unsafe { libc::readdir(stream) };
        if entry.is_null() {
            break match Errno::last() {
                Errno::UnknownErrno => Ok(all),
                errno => Err(errno),
            };
        }
        // SAFETY: not null, so it is an entry, valid until the next call. The
        // pointer is made without a reference: the entry may be shorter than its type.
        let name = unsafe { &raw const (*entry).d_name };
        // SAFETY: readdir(3) ends the name with a NUL.
        let name = unsafe { CStr::from_ptr(name.cast()) };
        // SAFETY: as above.
        let kind = unsafe { (*entry).d_type };
        if name != c"." && name != c".." {
            let is_dir = match kind {
                libc::DT_DIR => true,
                libc::DT_UNKNOWN => is_dir(raw, name),
                _ => false,
            };
            all.push(Entry { name: name.to_owned(), is_dir });
        }
    };
    // SAFETY: closes the stream and its descriptor, once.
    unsafe { libc::closedir(stream) };
    result
}

fn is_dir(dir: i32, name: &CStr) -> bool {
    // SAFETY: the stream of our only caller keeps the descriptor open.
    let dir = unsafe { std::os::fd::BorrowedFd::borrow_raw(dir) };
    fd::stat_at(dir, name, libc::AT_SYMLINK_NOFOLLOW)
        .is_ok_and(|st| st.st_mode & libc::S_IFMT == libc::S_IFDIR)
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
    for entry in entries(&sub)? {
        remove_all(&sub, &entry.name)?;
    }
    match fd::unlink(&dir, name, libc::AT_REMOVEDIR) {
        Err(Errno::ENOENT) => Ok(()),
        other => other,
    }
}
