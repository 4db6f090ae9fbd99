// SPDX-License-Identifier: Apache-2.0
//! The entries of a directory.

use super::fd;
use super::result::Result;
use super::text::c_str;
use nix::errno::Errno;
use nix::fcntl::renameat;
use nix::unistd::{UnlinkatFlags, unlinkat};
use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, AsRawFd};

/// An entry that is neither `.` nor `..`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirEntry {
    /// The last component of the path.
    pub name: CString,
    /// True for a directory, and false for a symbolic link to one.
    pub is_dir: bool,
}

/// `ssize_t getdents64(int fd, void *dirp, size_t count)`: reads as many entries of a
/// directory as fit in `buf`, none at its end. Uses no heap, so the child may call it.
pub fn read_some<'a>(dir: impl AsFd, buf: &'a mut [u8]) -> Result<RawEntries<'a>> {
    // SAFETY: the pointer and the length are those of one slice, borrowed exclusively.
    let n = super::result::check(unsafe {
        libc::syscall(libc::SYS_getdents64, dir.as_fd().as_raw_fd(), buf.as_mut_ptr(), buf.len())
    })?;
    Ok(RawEntries(buf.get(..n as usize).unwrap_or_default()))
}

/// The names and types (DT_*) in a buffer that getdents64(2) has filled.
#[derive(Debug)]
pub struct RawEntries<'a>(&'a [u8]);

impl RawEntries<'_> {
    /// Returns true at the end of the directory.
    pub fn is_empty(&self) -> bool {
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

/// Returns all entries of a directory. Parent only (heap).
pub fn entries(dir: impl AsFd) -> Result<Vec<DirEntry>> {
    // Opened again, because reading moves the position of the open file description.
    rest(fd::open(dir, c".", libc::O_RDONLY | libc::O_DIRECTORY, 0)?)
}

/// Returns the entries from the current position on. `dir` must be the only user of its open
/// file description.
fn rest(dir: impl AsFd) -> Result<Vec<DirEntry>> {
    let mut all = Vec::new();
    let mut buf = [0; 4096];
    loop {
        let some = match read_some(&dir, &mut buf) {
            // ENOENT: the directory has been removed.
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
            all.push(DirEntry { name: name.to_owned(), is_dir });
        }
    }
}

fn is_dir(dir: impl AsFd, name: &CStr) -> bool {
    fd::stat_at(dir, name, libc::AT_SYMLINK_NOFOLLOW)
        .is_ok_and(|st| st.st_mode & libc::S_IFMT == libc::S_IFDIR)
}

/// Removes everything in a directory but the entry `last`. `dir` must be the only user of
/// its open file description. Parent only (heap).
pub fn empty(dir: impl AsFd, last: &CStr) -> Result<()> {
    rest(&dir)?
        .iter()
        .filter(|entry| entry.name.as_c_str() != last)
        .try_for_each(|entry| remove_all(&dir, &entry.name))
}

/// Removes `name` in `dir` and everything below it, as `rm -rf` does, without following
/// symbolic links. The depth has no limit: each subdirectory is moved up to `dir` first,
/// so only one is open at a time. An entry that vanishes meanwhile is no error. Parent
/// only (heap).
fn remove_all(dir: impl AsFd, name: &CStr) -> Result<()> {
    let mut left = vec![name.to_owned()];
    let mut moved = 0;
    while let Some(name) = left.pop() {
        if remove_file(&dir, &name)? {
            continue;
        }
        let below = match fd::open(&dir, &name, libc::O_RDONLY | libc::O_DIRECTORY, 0) {
            Err(Errno::ENOENT) => continue,
            other => other?,
        };
        for entry in rest(&below)? {
            if !remove_file(&below, &entry.name)? {
                left.extend(move_up(&below, &entry.name, &dir, &mut moved)?);
            }
        }
        match unlinkat(&dir, name.as_c_str(), UnlinkatFlags::RemoveDir) {
            Ok(()) | Err(Errno::ENOENT) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

/// Removes a file. Returns false, and removes nothing, if it is a directory.
fn remove_file(dir: impl AsFd, name: &CStr) -> Result<bool> {
    match unlinkat(dir, name, UnlinkatFlags::NoRemoveDir) {
        Ok(()) | Err(Errno::ENOENT) => Ok(true),
        Err(Errno::EISDIR | Errno::EPERM) => Ok(false),
        Err(errno) => Err(errno),
    }
}

/// Moves the directory `name` from `below` to `dir`. Returns its new name, which no entry of
/// `dir` had, or `None` if the directory has vanished.
fn move_up(below: impl AsFd, name: &CStr, dir: impl AsFd, moved: &mut u32) -> Result<Option<CString>> {
    loop {
        let new = c_str(format!(".removed-{moved}"))?;
        *moved += 1;
        match renameat(&below, name, &dir, new.as_c_str()) {
            Ok(()) => return Ok(Some(new)),
            Err(Errno::ENOENT) => return Ok(None),
            // The name is taken: an earlier removal was interrupted.
            Err(Errno::ENOTEMPTY | Errno::EEXIST | Errno::ENOTDIR) => {}
            Err(errno) => return Err(errno),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::OwnedFd;

    fn open(dir: impl AsFd, name: &CStr) -> OwnedFd {
        fd::open(dir, name, libc::O_RDONLY | libc::O_DIRECTORY, 0).unwrap()
    }

    #[test]
    fn a_tree_deeper_than_there_are_descriptors_is_removed() {
        let top = tempfile::tempdir().unwrap();
        let dir = open(fd::CWD, &crate::c_path(top.path()));
        for name in [c"x", c"last", c".removed-0"] {
            fd::mkdir(&dir, name, 0o700).unwrap();
        }
        let full = open(&dir, c".removed-0");
        fd::mkdir(&full, c"y", 0o700).unwrap();
        let mut deepest = open(&dir, c"x");
        for _ in 0..5000 {
            fd::mkdir(&deepest, c"x", 0o700).unwrap();
            fd::open(&deepest, c"file", libc::O_WRONLY | libc::O_CREAT, 0o600).unwrap();
            deepest = open(&deepest, c"x");
        }
        empty(&dir, c"last").unwrap();
        let left: Vec<_> = entries(&dir).unwrap().into_iter().map(|entry| entry.name).collect();
        assert_eq!(left, [c"last".to_owned()]);
    }
}
