// SPDX-License-Identifier: Apache-2.0
//! Path resolution inside a root directory: the container's rootfs.

use nix::sys::stat::fstat;
use runtime_sys::fd::{self, resolve};
use runtime_sys::{Errno, Result};
use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// A root directory. Paths are resolved as if the process had called chroot(2) on it: links
/// stay inside, and magic links of procfs are refused (openat2(2): RESOLVE_IN_ROOT,
/// RESOLVE_NO_MAGICLINKS).
///
/// The child uses this type, so none of its functions allocates.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Root<'a>(BorrowedFd<'a>);

/// The type of a path's last component.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Leaf {
    Directory,
    File,
}

impl Leaf {
    /// Returns O_DIRECTORY for a directory, 0 for a file.
    pub(crate) fn open_flag(self) -> i32 {
        match self {
            Leaf::Directory => libc::O_DIRECTORY,
            Leaf::File => 0,
        }
    }
}

impl<'a> Root<'a> {
    pub(crate) fn new(dir: &'a impl AsFd) -> Self {
        Root(dir.as_fd())
    }

    /// Returns the root directory itself.
    pub(crate) fn dir(self) -> BorrowedFd<'a> {
        self.0
    }

    /// Opens `path`, following links inside of the root.
    pub(crate) fn open(self, path: &CStr, flags: i32) -> Result<OwnedFd> {
        fd::openat2(self.0, path, flags, 0, resolve::IN_ROOT | resolve::NO_MAGICLINKS)
    }

    /// Opens `path` without following links. ELOOP: a component is a link.
    pub(crate) fn open_no_symlinks(self, path: &CStr, flags: i32) -> Result<OwnedFd> {
        fd::openat2(self.0, path, flags, 0, resolve::IN_ROOT | resolve::NO_SYMLINKS)
    }

    /// Opens `path` with O_PATH, and makes missing components: directories (mode 0755, less the
    /// umask), and at the end an empty file (0644) if `leaf` is [`Leaf::File`].
    pub(crate) fn open_or_make(self, path: &CStr, leaf: Leaf) -> Result<OwnedFd> {
        match self.open(path, libc::O_PATH) {
            Err(Errno::ENOENT) => self.make(path, leaf),
            other => other,
        }
    }

    /// Makes the missing components of `path`: the second half of
    /// [`open_or_make`](Self::open_or_make).
    pub(crate) fn make(self, path: &CStr, leaf: Leaf) -> Result<OwnedFd> {
        match self.make_last(path, leaf) {
            // More than the last component is missing, or a link dangles. A container that shares
            // the rootfs may have changed the link to lead to the root meanwhile. The root was never
            // missing, so this is an error.
            Err(Errno::ENOENT) => {
                let made = self.make_all(path, leaf)?;
                if fd::place_of(&made)? == fd::place_of(self.0)? { Err(Errno::ELOOP) } else { Ok(made) }
            }
            other => other,
        }
    }

    /// Makes `path` like [`make`](Self::make), then opens it like
    /// [`open_no_symlinks`](Self::open_no_symlinks).
    pub(crate) fn make_proper(self, path: &CStr, leaf: Leaf) -> Result<OwnedFd> {
        drop(self.make(path, leaf)?);
        self.open_no_symlinks(path, libc::O_PATH)
    }

    /// Opens the parent directory of `path`, made if it is missing, and returns it with the last
    /// component of `path`. The last component itself is not opened.
    pub(crate) fn parent_of(self, path: &CStr) -> Result<(OwnedFd, &CStr)> {
        let mut buf = PathBuffer::new();
        let (parent, name) = split(path, &mut buf)?;
        Ok((self.open_or_make(parent, Leaf::Directory)?, name))
    }

    /// Makes the last component of `path` alone, in an existing directory. ENOENT: more is missing,
    /// or the last component is a link or `..`.
    fn make_last(self, path: &CStr, leaf: Leaf) -> Result<OwnedFd> {
        let mut buf = PathBuffer::new();
        let (parent, name) = split(path, &mut buf)?;
        if name == c".." {
            return Err(Errno::ENOENT); // Only a lookup from the root may resolve `..`.
        }
        make_leaf(&self.open(parent, libc::O_PATH | libc::O_DIRECTORY)?, name, leaf)
    }

    /// Makes the components of `path` one by one. Each component is looked up from the root, so
    /// that links on the way are followed, and is made in its parent directory if it is missing.
    /// The target of a dangling link is made, inside of the root.
    #[cold] // Its large stack frame would cause page copies (CoW) in the child.
    #[inline(never)]
    fn make_all(self, path: &CStr, leaf: Leaf) -> Result<OwnedFd> {
        let mut path = PathBuffer::holding(path.to_bytes())?;
        // The kernel has the same limit (path_resolution(7)).
        for _ in 0..=40 {
            match self.make_up_to_link(&mut path, leaf)? {
                Some(made) => return Ok(made),
                None => continue,
            }
        }
        Err(Errno::ELOOP)
    }

    /// Makes the components of `path` up to the first dangling link. If there is a dangling link,
    /// replaces it in `path` with its target, and returns `None`.
    fn make_up_to_link(self, path: &mut PathBuffer, leaf: Leaf) -> Result<Option<OwnedFd>> {
        let mut dir = self.open(c".", libc::O_PATH | libc::O_DIRECTORY)?;
        let mut buf = PathBuffer::new();
        let bytes = path.text();
        let mut start = 0;
        while start < bytes.len() {
            let rest = bytes.get(start..).unwrap_or_default();
            let end = start + rest.iter().position(|b| *b == b'/').unwrap_or(rest.len());
            if end > start {
                let leaf = if end == bytes.len() { leaf } else { Leaf::Directory };
                let mut next = self.open(buf.set(bytes.get(..end).unwrap_or_default())?, libc::O_PATH);
                if matches!(next, Err(Errno::ENOENT)) {
                    let name = buf.set(bytes.get(start..end).unwrap_or_default())?;
                    let mut target = [0; libc::PATH_MAX as usize];
                    if let Ok(target) = fd::readlink(&dir, name, &mut target) {
                        let tail = bytes.get(end..).unwrap_or_default();
                        // The path before the link exists, so the kernel can resolve a `..` in the target.
                        let head = if target.starts_with(b"/") { 0 } else { start };
                        let mut whole = PathBuffer::holding(bytes.get(..head).unwrap_or_default())?;
                        whole.push(target)?;
                        whole.push(tail)?;
                        *path = whole;
                        return Ok(None);
                    }
                    next = make_leaf(&dir, name, leaf);
                }
                dir = next?;
            }
            start = end + 1;
        }
        Ok(Some(dir))
    }
}

/// Splits `path` into its parent directory and its last component.
fn split<'b, 'p>(path: &'p CStr, buf: &'b mut PathBuffer) -> Result<(&'b CStr, &'p CStr)> {
    let bytes = path.to_bytes_with_nul();
    let start = bytes.iter().rposition(|b| *b == b'/').map_or(0, |slash| slash + 1);
    let (parent, name) = bytes.split_at(start);
    let name = CStr::from_bytes_with_nul(name).map_err(|_not_a_name| Errno::EINVAL)?;
    let parent = buf.set(parent)?;
    Ok((if parent.is_empty() { c"." } else { parent }, name))
}

/// Makes `name` in `dir` and opens it, or opens what another process has just made there.
/// ENOENT: `name` is a link.
fn make_leaf(dir: &OwnedFd, name: &CStr, leaf: Leaf) -> Result<OwnedFd> {
    let made = match leaf {
        Leaf::Directory => fd::mkdir(dir, name, 0o755),
        Leaf::File => fd::mknod(dir, name, libc::S_IFREG | 0o644, 0),
    };
    match made {
        Ok(()) | Err(Errno::EEXIST) => {}
        Err(errno) => return Err(errno),
    }
    let opened = fd::open(dir, name, libc::O_PATH, 0)?;
    let is_link = fstat(&opened)?.st_mode & libc::S_IFMT == libc::S_IFLNK;
    if is_link { Err(Errno::ENOENT) } else { Ok(opened) }
}

/// A C string of at most PATH_MAX bytes on the stack.
pub(crate) struct PathBuffer {
    bytes: [u8; libc::PATH_MAX as usize],
    len: usize,
}

impl PathBuffer {
    pub(crate) fn new() -> Self {
        PathBuffer { bytes: [0; libc::PATH_MAX as usize], len: 0 }
    }

    /// Makes a buffer that holds `path`.
    fn holding(path: &[u8]) -> Result<Self> {
        let mut buf = PathBuffer::new();
        buf.push(path)?;
        Ok(buf)
    }

    fn text(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }

    /// Appends `part`, without a separator. ENAMETOOLONG at PATH_MAX.
    fn push(&mut self, part: &[u8]) -> Result<()> {
        let end = self.len + part.len();
        match self.bytes.get_mut(self.len..=end).and_then(<[u8]>::split_last_mut) {
            Some((nul, place)) => {
                place.copy_from_slice(part);
                *nul = 0;
                self.len = end;
                Ok(())
            }
            None => Err(Errno::ENAMETOOLONG),
        }
    }

    /// Replaces the content with `path`. ENAMETOOLONG at PATH_MAX.
    pub(crate) fn set(&mut self, path: &[u8]) -> Result<&CStr> {
        self.join(path, b"")
    }

    /// Replaces the content with `first` and `second`, without a separator.
    pub(crate) fn join(&mut self, first: &[u8], second: &[u8]) -> Result<&CStr> {
        self.len = 0;
        self.push(first)?;
        self.push(second)?;
        let whole = self.bytes.get(..=self.len).unwrap_or_default();
        CStr::from_bytes_with_nul(whole).map_err(|_inner_nul| Errno::EINVAL)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn sandbox() -> (tempfile::TempDir, OwnedFd) {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("root/a/b")).unwrap();
        std::fs::create_dir(dir.path().join("outside")).unwrap();
        let root = crate::path::c_path(&dir.path().join("root")).unwrap();
        let fd = fd::open(fd::CWD, &root, libc::O_PATH | libc::O_DIRECTORY, 0).unwrap();
        (dir, fd)
    }

    #[test]
    fn only_missing_components_are_made() {
        let (dir, fd) = sandbox();
        let root = Root::new(&fd);
        root.open_or_make(c"a/b/c/d", Leaf::Directory).unwrap();
        root.open_or_make(c"a/b/c/d/e", Leaf::File).unwrap();
        assert!(dir.path().join("root/a/b/c/d/e").is_file());
        root.open_or_make(c"a/b/c/d/e", Leaf::File).unwrap();
        assert_eq!(root.open_or_make(c"a/b/c/d/e/f", Leaf::File).unwrap_err(), Errno::ENOTDIR);
    }

    #[test]
    fn links_never_lead_out() {
        let (dir, fd) = sandbox();
        let root = Root::new(&fd);
        let outside = dir.path().join("outside");
        symlink(&outside, dir.path().join("root/absolute")).unwrap();
        symlink("../../../..", dir.path().join("root/a/up")).unwrap();
        symlink("/nowhere", dir.path().join("root/dangling")).unwrap();
        // The target of an absolute link is made below the root.
        root.open_or_make(c"absolute/x", Leaf::Directory).unwrap();
        assert!(dir.path().join("root").join(outside.strip_prefix("/").unwrap()).join("x").is_dir());
        root.open_or_make(c"a/up/made", Leaf::Directory).unwrap();
        assert!(dir.path().join("root/made").is_dir());
        root.open_or_make(c"dangling", Leaf::File).unwrap();
        assert!(dir.path().join("root/nowhere").is_file());
        assert_eq!(root.open_no_symlinks(c"a/up", libc::O_PATH).unwrap_err(), Errno::ELOOP);
        assert_eq!(std::fs::read_dir(outside).unwrap().count(), 0);
    }

    #[test]
    fn the_root_is_never_made() {
        let (dir, fd) = sandbox();
        symlink("/", dir.path().join("root/link")).unwrap();
        assert_eq!(Root::new(&fd).make(c"link", Leaf::Directory).unwrap_err(), Errno::ELOOP);
    }

    #[test]
    fn targets_of_dangling_links_are_made() {
        let (dir, fd) = sandbox();
        let root = Root::new(&fd);
        let at = |path: &str| dir.path().join("root").join(path);
        symlink("../../up/./b", at("a/link")).unwrap();
        symlink("/a/link/c", at("far")).unwrap();
        root.open_or_make(c"far/d/e", Leaf::File).unwrap();
        assert!(at("up/b/c/d/e").is_file());
        symlink("loop", at("loop")).unwrap();
        assert_eq!(root.open_or_make(c"loop/x", Leaf::Directory).unwrap_err(), Errno::ELOOP);
        // Each replacement makes the path longer.
        symlink("grow/x", at("grow")).unwrap();
        assert_eq!(root.open_or_make(c"grow", Leaf::Directory).unwrap_err(), Errno::ELOOP);
        assert_eq!(std::fs::read_dir(dir.path().join("outside")).unwrap().count(), 0);
    }

    #[test]
    fn a_path_is_split_into_parent_and_name() {
        let (dir, fd) = sandbox();
        let (parent, name) = Root::new(&fd).parent_of(c"x/y/z").unwrap();
        assert_eq!(name, c"z");
        assert_eq!(crate::path::of_fd(&parent).unwrap(), dir.path().join("root/x/y"));
        let (parent, name) = Root::new(&fd).parent_of(c"top").unwrap();
        assert_eq!(name, c"top");
        assert_eq!(crate::path::of_fd(&parent).unwrap(), dir.path().join("root"));
    }

    #[test]
    fn path_buffer_has_a_limit() {
        let mut buf = PathBuffer::new();
        assert_eq!(buf.join(b"/bin/", b"sh").unwrap(), c"/bin/sh");
        assert_eq!(buf.set(b"").unwrap(), c"");
        assert_eq!(buf.set(&[b'x'; 4095]).unwrap().to_bytes().len(), 4095);
        assert_eq!(buf.set(&[b'x'; 4096]).unwrap_err(), Errno::ENAMETOOLONG);
        assert_eq!(buf.set(b"a\0b").unwrap_err(), Errno::EINVAL);
    }
}
