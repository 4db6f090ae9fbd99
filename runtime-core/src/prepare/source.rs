// SPDX-License-Identifier: Apache-2.0
//! The sources of bind mounts: resolves a path of the host, and finds where the path enters the
//! rootfs. The rest of the path is then resolved inside the container's root.

use super::trees::HostFile;
use crate::boundary::tree::FileId;
use crate::path::proc::is_procfs;
use crate::path::root::Leaf;
use crate::path::{clean, of_fd};
use nix::sys::stat::fstat;
use runtime_sys::fd::{self, resolve};
use runtime_sys::text::{c_str, concat};
use runtime_sys::{Errno, Result};
use std::cell::OnceCell;
use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, OwnedFd};

/// The result of a lookup.
#[derive(Debug)]
pub(super) enum BindSource {
    /// A file of the host. The path does not pass through the rootfs.
    Host(HostFile),
    /// A path relative to the rootfs. It is resolved in the container when the bind mount is made,
    /// so earlier mounts count. Its links are the image's.
    FromContainer(CString),
}

/// The lookup of sources for a container with this rootfs.
#[derive(Debug)]
pub(super) struct Sources<'a> {
    dir: &'a OwnedFd,
    /// The path of the rootfs in the configuration, after [`clean`]. Empty if this is the host's
    /// root directory, or if the path has a `..`, whose meaning depends on links.
    name: String,
    /// The kernel's path of the rootfs, after [`clean`]. Empty for the host's root directory.
    kernels_name: OnceCell<String>,
    id: OnceCell<FileId>,
}

/// The largest number of links in a path, the same as the kernel's (path_resolution(7)).
const LINKS_MAX: usize = 40;

impl<'a> Sources<'a> {
    /// `name` is the absolute path at which `dir` was opened.
    pub(super) fn new(dir: &'a OwnedFd, name: &str) -> Self {
        let name = if climbs(name.as_bytes()) { String::new() } else { clean(name) };
        Sources { dir, name, kernels_name: OnceCell::new(), id: OnceCell::new() }
    }

    fn kernels_name(&self) -> Result<&str> {
        if let Some(name) = self.kernels_name.get() {
            return Ok(name);
        }
        // No path of the configuration begins with a name that is not UTF-8, so any name without a
        // prefix in common with those will do: NUL.
        let name = of_fd(self.dir)?.to_str().map_or_else(|| "\0".to_owned(), clean);
        Ok(self.kernels_name.get_or_init(|| name))
    }

    /// Looks up an absolute path. With `no_follow`, a link at its end is not followed.
    pub(super) fn find(&self, path: &CStr, no_follow: bool) -> Result<BindSource> {
        let climbs = climbs(path.to_bytes());
        // Both names are paths of the rootfs. A path without `..` that begins with one of them
        // enters the rootfs. A path without `..` and without links enters it in no other way.
        if !climbs {
            let text = path.to_str().map(clean).unwrap_or_default();
            for name in [&self.name, self.kernels_name()?] {
                if let Some(rest) = below(&text, name)? {
                    return Ok(BindSource::FromContainer(rest));
                }
            }
            match HostFile::open_no_links(path, no_follow) {
                Err(Errno::ELOOP) => {}
                found => return found.map(BindSource::Host),
            }
        }
        let mut walk =
            Walk { sources: self, dir: root()?, rest: parts(path.to_bytes())?, links: 0, no_follow };
        let id = match walk.run()? {
            WalkEnd::Done(found) => return Ok(found),
            WalkEnd::Host(id) => id,
        };
        // The kernel resolves the path again, for the rules that the walk does not know:
        // nosymfollow, and links of other users in sticky directories (fs.protected_symlinks).
        let file = if no_follow { HostFile::open_last(path) } else { HostFile::open(path) }?;
        if FileId::of(&file)? == id { Ok(BindSource::Host(file)) } else { Err(Errno::ESTALE) }
    }

    /// Returns the target of a link in the rootfs. EINVAL: it is not a link.
    pub(super) fn read_link(&self, path: &CStr) -> Result<CString> {
        let flags = libc::O_PATH | libc::O_NOFOLLOW;
        let link = fd::openat2(self.dir, path, flags, 0, resolve::IN_ROOT | resolve::NO_MAGICLINKS)?;
        read_link(&link)
    }

    fn is_rootfs(&self, dir: impl AsFd) -> Result<bool> {
        if self.kernels_name()?.is_empty() {
            return Ok(false); // No path leads out of the host's root directory.
        }
        let id = match self.id.get() {
            Some(id) => *id,
            None => {
                let id = FileId::of(self.dir)?;
                *self.id.get_or_init(|| id)
            }
        };
        Ok(FileId::of(dir)? == id)
    }

    /// Returns whether a directory is below the rootfs, by walking up its parents across mounts.
    fn contains(&self, dir: impl AsFd) -> Result<bool> {
        let mut dir = up(dir)?;
        loop {
            if self.is_rootfs(&dir)? {
                return Ok(true);
            }
            let above = up(&dir)?;
            if FileId::of(&above)? == FileId::of(&dir)? {
                return Ok(false);
            }
            dir = above;
        }
    }
}

/// Returns the rest of `path` after `name`, both as returned by [`clean`].
fn below(path: &str, name: &str) -> Result<Option<CString>> {
    let Some(rest) = path.strip_prefix(name).filter(|_| !name.is_empty()) else { return Ok(None) };
    match rest.strip_prefix('/') {
        Some(rest) => c_str(rest).map(Some),
        None => Ok(rest.is_empty().then(|| c".".to_owned())),
    }
}

/// Returns the target of the link that a descriptor refers to. EINVAL: it is not a link.
pub(super) fn read_link(file: impl AsFd) -> Result<CString> {
    let mut buf = [0; libc::PATH_MAX as usize];
    match fd::readlink(file, c"", &mut buf) {
        // The kernel's error for a file that is not a link (readlink(2)).
        Err(Errno::ENOENT) => Err(Errno::EINVAL),
        text => CString::new(text?).map_err(|_nul| Errno::EINVAL),
    }
}

/// The resolution of a path, component by component, according to path_resolution(7).
struct Walk<'a> {
    sources: &'a Sources<'a>,
    dir: OwnedFd,
    /// The remaining components. The next one is the last element.
    rest: Vec<CString>,
    links: usize,
    no_follow: bool,
}

/// The end of a walk.
enum WalkEnd {
    Done(BindSource),
    /// The walk ended at this file of the host.
    Host(FileId),
}

impl Walk<'_> {
    fn run(&mut self) -> Result<WalkEnd> {
        while let Some(part) = self.rest.pop() {
            if part.as_c_str() == c".." {
                self.dir = up(&self.dir)?;
                continue;
            }
            let file =
                HostFile::either(|leaf| fd::open(&self.dir, &part, libc::O_PATH | leaf.open_flag(), 0))?;
            if file.leaf == Leaf::Directory {
                if let Some(inside) = self.enter(file.into())? {
                    return Ok(WalkEnd::Done(inside));
                }
                continue;
            }
            let is_last = self.rest.is_empty();
            let is_link = fstat(&file)?.st_mode & libc::S_IFMT == libc::S_IFLNK;
            if is_last && (!is_link || self.no_follow) {
                return FileId::of(&file).map(WalkEnd::Host);
            }
            if !is_link {
                return Err(Errno::ENOTDIR);
            }
            self.links += 1;
            if self.links > LINKS_MAX {
                return Err(Errno::ELOOP);
            }
            match self.jump(&part)? {
                None => self.follow(&file)?,
                Some(target) if is_last && !self.sources.is_rootfs(&target)? => {
                    return Ok(WalkEnd::Done(BindSource::Host(target)));
                }
                // The rest of the path would be resolved through the image's directories.
                Some(target) if target.leaf == Leaf::Directory && self.sources.contains(&target)? => {
                    return Err(Errno::EXDEV);
                }
                Some(target) if target.leaf == Leaf::Directory => {
                    if let Some(inside) = self.enter(target.into())? {
                        return Ok(WalkEnd::Done(inside));
                    }
                }
                Some(_) => return Err(Errno::ENOTDIR),
            }
        }
        FileId::of(&self.dir).map(WalkEnd::Host)
    }

    /// Continues the walk in `dir`. If `dir` is the rootfs, returns the rest of the path as
    /// [`BindSource::FromContainer`], unless the rest leaves the rootfs again by `..`.
    fn enter(&mut self, dir: OwnedFd) -> Result<Option<BindSource>> {
        if !self.sources.is_rootfs(&dir)? {
            self.dir = dir;
            return Ok(None);
        }
        let mut depth = 0usize;
        let leaves = self.rest.iter().rev().position(|part| {
            match (part.as_c_str() == c"..", depth.checked_sub(1)) {
                (true, None) => return true,
                (true, Some(above)) => depth = above,
                (false, _) => depth += 1,
            }
            false
        });
        let Some(leaves) = leaves else {
            return Ok(Some(BindSource::FromContainer(join(self.rest.drain(..).rev()))));
        };
        let stays = self.rest.len() - leaves;
        if leaves > 0 {
            // Resolve the part that stays inside the rootfs and leads back to its root. Links of
            // the image are refused.
            let way = join(self.rest.drain(stays..).rev());
            let flags = libc::O_PATH | libc::O_DIRECTORY;
            let back = fd::openat2(&dir, &way, flags, 0, resolve::BENEATH | resolve::NO_SYMLINKS)?;
            if !self.sources.is_rootfs(back)? {
                return Err(Errno::EXDEV);
            }
        }
        // The `..` that leaves the rootfs is the next component.
        self.dir = dir;
        Ok(None)
    }

    /// Follows a link by its target text.
    fn follow(&mut self, link: &HostFile) -> Result<()> {
        let target = read_link(link)?;
        if target.as_bytes().starts_with(b"/") {
            self.dir = root()?;
        }
        self.rest.extend(parts(target.as_bytes())?);
        Ok(())
    }

    /// Opens the target of a magic link of procfs, which cannot be followed by its text (proc(5),
    /// /proc/PID/fd). `None`: it is not a magic link.
    fn jump(&self, name: &CStr) -> Result<Option<HostFile>> {
        if !is_procfs(&self.dir)? {
            return Ok(None);
        }
        match fd::openat2(&self.dir, name, libc::O_PATH, 0, resolve::NO_MAGICLINKS) {
            Err(Errno::ELOOP) => {}
            _ => return Ok(None),
        }
        HostFile::either(|leaf| fd::open_follow(&self.dir, name, libc::O_PATH | leaf.open_flag(), 0))
            .map(Some)
    }
}

fn root() -> Result<OwnedFd> {
    fd::open(fd::CWD, c"/", libc::O_PATH | libc::O_DIRECTORY, 0)
}

fn up(dir: impl AsFd) -> Result<OwnedFd> {
    fd::open(dir, c"..", libc::O_PATH | libc::O_DIRECTORY, 0)
}

fn climbs(path: &[u8]) -> bool {
    path.split(|byte| *byte == b'/').any(|part| part == b"..")
}

/// Splits a path into its components. The first component is the last element.
fn parts(path: &[u8]) -> runtime_sys::Result<Vec<CString>> {
    let parts = path.split(|byte| *byte == b'/').filter(|part| !matches!(*part, b"" | b"."));
    parts.rev().map(c_str).collect()
}

/// Joins components to a path relative to the rootfs.
fn join(parts: impl Iterator<Item = CString>) -> CString {
    let parts: Vec<CString> = parts.collect();
    let mut all: Vec<&CStr> = parts.iter().flat_map(|part| [part.as_c_str(), c"/"]).collect();
    // The slash behind the last one.
    all.pop();
    if all.is_empty() { c".".to_owned() } else { concat(&all) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::path::c_path;
    use std::os::fd::AsRawFd;
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::symlink;
    use std::path::Path;

    /// Makes a rootfs, a volume beside it, and links of the host and of the image.
    fn host() -> (tempfile::TempDir, OwnedFd) {
        let dir = tempfile::tempdir().unwrap();
        for name in ["rootfs/a/b", "rootfs/etc", "volume/sub"] {
            std::fs::create_dir_all(dir.path().join(name)).unwrap();
        }
        fd::mknod(fd::CWD, &c_path(&dir.path().join("volume/file")).unwrap(), libc::S_IFREG | 0o644, 0)
            .unwrap();
        for (target, link) in [
            ("/etc", "rootfs/absolute"),
            ("../../volume", "rootfs/a/out"),
            ("volume", "to-volume"),
            ("rootfs", "to-rootfs"),
            ("rootfs/absolute", "to-link"),
            ("loop", "loop"),
        ] {
            symlink(target, dir.path().join(link)).unwrap();
        }
        let rootfs = open(&dir.path().join("rootfs"));
        (dir, rootfs)
    }

    fn open(path: &Path) -> OwnedFd {
        fd::open(fd::CWD, &c_path(path).unwrap(), libc::O_PATH | libc::O_DIRECTORY, 0).unwrap()
    }

    fn find(
        dir: &Path,
        rootfs: &OwnedFd,
        path: &str,
        no_follow: bool,
    ) -> Result<std::result::Result<FileId, String>> {
        let sources = Sources::new(rootfs, dir.join("rootfs").to_str().unwrap());
        Ok(match sources.find(&c_path(&dir.join(path)).unwrap(), no_follow)? {
            BindSource::Host(file) => Ok(FileId::of(file)?),
            BindSource::FromContainer(path) => Err(path.into_string().unwrap()),
        })
    }

    #[test]
    fn a_source_that_enters_the_rootfs_stays_there() {
        let (dir, rootfs) = host();
        let inside = |path: &str| find(dir.path(), &rootfs, path, false).unwrap().unwrap_err();
        for (path, want) in [
            ("rootfs", "."),
            ("rootfs/", "."),
            ("rootfs/etc/../absolute", "etc/../absolute"),
            ("rootfs/absolute/x", "absolute/x"),
            ("volume/../rootfs/absolute", "absolute"),
            ("volume/sub/../../rootfs/a/./b", "a/b"),
            ("to-rootfs", "."),
            ("to-rootfs/absolute", "absolute"),
            ("to-link/missing", "absolute/missing"),
            ("rootfs/../to-rootfs//a", "a"),
        ] {
            assert_eq!(inside(path), want, "{path}");
        }
        // A magic link to the rootfs is followed as well. A link to a directory below the rootfs
        // is refused (EXDEV) if the path goes on.
        let magic = |rest: &str| {
            let path = format!("/proc/self/fd/{}{rest}", rootfs.as_raw_fd());
            find(Path::new("/"), &rootfs, &path, false)
        };
        assert_eq!(magic("").unwrap().unwrap_err(), ".");
        assert_eq!(magic("/absolute").unwrap().unwrap_err(), "absolute");
        let file =
            fd::open(fd::CWD, &c_path(&dir.path().join("volume/file")).unwrap(), libc::O_PATH, 0).unwrap();
        let path = c_path(Path::new(&format!("/proc/self/fd/{}", file.as_raw_fd()))).unwrap();
        let sources = Sources::new(&rootfs, dir.path().join("rootfs").to_str().unwrap());
        let BindSource::Host(file) = sources.find(&path, false).unwrap() else { panic!("it is beside") };
        assert_eq!(file.leaf, Leaf::File);
        let below = open(&dir.path().join("rootfs/a"));
        let path = format!("/proc/self/fd/{}/out", below.as_raw_fd());
        assert_eq!(find(Path::new("/"), &rootfs, &path, false).unwrap_err(), Errno::EXDEV);
    }

    #[test]
    fn a_source_beside_the_rootfs_is_the_hosts() {
        let (dir, rootfs) = host();
        let id = |path: &str| {
            FileId::of(fd::open(fd::CWD, &c_path(&dir.path().join(path)).unwrap(), libc::O_PATH, 0).unwrap())
        };
        let find = |path: &str, no_follow| find(dir.path(), &rootfs, path, no_follow);
        for (path, want) in [
            ("volume", "volume"),
            ("to-volume/file", "volume/file"),
            ("to-volume", "volume"),
            ("rootfs/../volume/sub", "volume/sub"),
            ("rootfs/a/b/../../../volume", "volume"),
            ("volume/../to-volume/sub/..", "volume"),
        ] {
            assert_eq!(find(path, false).unwrap().unwrap(), id(want).unwrap(), "{path}");
        }
        for path in ["to-volume", "rootfs/../to-volume"] {
            assert_eq!(find(path, true).unwrap().unwrap(), id("to-volume").unwrap(), "{path}");
        }
        // Links of the image do not lead out of the rootfs.
        for (path, errno) in [
            ("rootfs/a/out/../../../volume", Errno::ELOOP),
            ("rootfs/a/missing/../../../volume", Errno::ENOENT),
            ("missing", Errno::ENOENT),
            ("volume/file/x", Errno::ENOTDIR),
            ("to-volume/file/x", Errno::ENOTDIR),
            ("loop", Errno::ELOOP),
        ] {
            assert_eq!(find(path, false).unwrap_err(), errno, "{path}");
        }
    }

    #[test]
    fn a_rootfs_whose_path_is_not_utf_8_is_recognized() {
        let dir = tempfile::tempdir().unwrap();
        let real = dir.path().join(std::ffi::OsStr::from_bytes(b"\xff"));
        std::fs::create_dir_all(real.join("rootfs")).unwrap();
        symlink("/etc", real.join("rootfs/absolute")).unwrap();
        symlink(&real, dir.path().join("name")).unwrap();
        let rootfs = open(&real.join("rootfs"));
        let sources = Sources::new(&rootfs, dir.path().join("name/rootfs").to_str().unwrap());
        for path in ["name/rootfs/absolute", "name/../rootfs/absolute", "name/rootfs/../rootfs/absolute"] {
            let path = c_path(&dir.path().join(path)).unwrap();
            let found = sources.find(&path, false);
            assert!(!matches!(found, Ok(BindSource::Host(_))), "{path:?}: {found:?}");
        }
    }

    #[test]
    fn nothing_leaves_the_hosts_own_root_directory() {
        let rootfs = open(Path::new("/"));
        let sources = Sources::new(&rootfs, "/");
        assert!(matches!(sources.find(c"/proc/self/exe", false).unwrap(), BindSource::Host(_)));
        assert!(matches!(sources.find(c"/..", false).unwrap(), BindSource::Host(_)));
    }
}
