// SPDX-License-Identifier: Apache-2.0
//! The mount points of a container that CRIU restores. CRIU mounts, but does not make what it mounts
//! on; create does, also in a read-only rootfs and in the source of an earlier bind mount.

use crate::config::Config;
use crate::config::mounts::{Filesystem, Mount, MountSource};
use crate::error::{Context, Error, ErrorKind, Result};
use crate::path::root::{Leaf, Root};
use crate::path::show;
use crate::prepare::restored::Source;
use nix::sys::stat::fstat;
use runtime_sys::text::c_str;
use runtime_sys::{Errno, fd};
use std::ffi::CString;
use std::os::fd::OwnedFd;

/// Makes the missing mount points of a container with this rootfs and these sources of bind mounts.
pub(super) fn make(config: &Config, rootfs: &OwnedFd, sources: &[Source]) -> Result<()> {
    let source_of = |i: usize| {
        let source = sources.iter().find(|source| source.is_of(i));
        source.ok_or_else(|| Error::new(ErrorKind::Setup, format!("mounts[{i}]: no source is open")))
    };
    if config.rootfs_readonly {
        make_tmp(rootfs)?;
    }
    for (i, mount) in config.mounts.iter().enumerate() {
        let earlier = config.mounts.get(..i).unwrap_or_default();
        let what = || format!("mounts[{i}].destination: the mount point /{}", show(&mount.destination));
        let leaf = match &mount.source {
            MountSource::Remount { .. } | MountSource::New { kind: Filesystem::Cgroup, .. } => continue,
            MountSource::New { .. } => Leaf::Directory,
            MountSource::Bind { .. } => source_of(i)?.leaf(),
        };
        match place(earlier, mount) {
            Place::Rootfs => drop(Root::new(rootfs).open_or_make(&mount.destination, leaf).context(what)?),
            Place::Source { bind, path } => {
                let source = source_of(bind)?;
                let root = Root::new(source);
                // Nothing is made behind a read-only mount (CVE-2026-119101).
                let found = match source.is_readonly(earlier) {
                    true => root.open(&path, libc::O_PATH),
                    false => root.open_or_make(&path, leaf),
                };
                drop(found.context(what)?);
            }
            // CRIU restores the content of a new file system.
            Place::Made => {}
        }
    }
    Ok(())
}

/// Makes /tmp. CRIU puts the old root there, otherwise into a directory that it makes. Since CRIU 4.2 a
/// read-only root is so by then. No link is followed: CRIU would follow it on the host.
fn make_tmp(rootfs: &OwnedFd) -> Result<()> {
    let what = || "root.readonly: the directory /tmp, on which CRIU puts the old root";
    let tmp = match fd::open(rootfs, c"tmp", libc::O_PATH, 0) {
        Err(Errno::ENOENT) => return fd::mkdir(rootfs, c"tmp", 0o755).context(what),
        other => other.context(what)?,
    };
    let why = match fstat(&tmp).context(what)?.st_mode & libc::S_IFMT {
        libc::S_IFDIR => return Ok(()),
        libc::S_IFLNK => "a link",
        _ => "not a directory",
    };
    let text =
        format!("root.readonly: /tmp of the root file system is {why}: CRIU cannot put the old root on it");
    Err(Error::new(ErrorKind::Unsupported, text))
}

/// The directory that a mount point is in.
#[derive(Debug, PartialEq)]
enum Place {
    Rootfs,
    /// The source of the bind mount with this index, and the path in it.
    Source {
        bind: usize,
        path: CString,
    },
    /// A file system that CRIU makes, or another mount of the same place.
    Made,
}

/// Finds the last of the earlier mounts that covers the destination of `mount`.
fn place(earlier: &[Mount], mount: &Mount) -> Place {
    let path = mount.destination.to_bytes();
    let below = |(i, other): (usize, &Mount)| {
        let rest = path.strip_prefix(other.destination.to_bytes())?;
        let rest = if rest.is_empty() { rest } else { rest.strip_prefix(b"/")? };
        let is_bind = matches!(other.source, MountSource::Bind { .. });
        // A part of a C string has no NUL.
        let path = c_str(rest).unwrap_or_default();
        Some(if is_bind && !rest.is_empty() { Place::Source { bind: i, path } } else { Place::Made })
    };
    let real = earlier.iter().enumerate();
    let mut real = real.filter(|(_, other)| !matches!(other.source, MountSource::Remount { .. })).rev();
    real.find_map(below).unwrap_or(Place::Rootfs)
}

#[cfg(test)]
#[allow(clippy::disallowed_methods)]
mod tests {
    use super::*;
    use crate::spec;
    use std::ffi::CStr;

    fn mount(destination: &str, kind: &str, source: &str, options: &[&str]) -> Mount {
        let spec = spec::Mount {
            destination: destination.into(),
            kind: kind.into(),
            source: source.into(),
            options: options.iter().copied().map(str::to_owned).collect(),
            ..spec::Mount::default()
        };
        Mount::new(0, &spec, "/bundle", "/bundle/rootfs").unwrap()
    }

    #[test]
    fn tmp_is_a_directory_of_the_root() {
        let dir = tempfile::tempdir().unwrap();
        let tmp = dir.path().join("tmp");
        let path = crate::path::c_path(dir.path()).unwrap();
        let rootfs = fd::open(fd::CWD, &path, libc::O_PATH | libc::O_DIRECTORY, 0).unwrap();
        make_tmp(&rootfs).unwrap();
        make_tmp(&rootfs).unwrap();
        std::fs::remove_dir(&tmp).unwrap();
        let refused = |why: &str| {
            let text = format!("root.readonly: /tmp of the root file system is {why}: CRIU cannot");
            let report = make_tmp(&rootfs).unwrap_err().report();
            assert!(report.starts_with(&text), "{report}");
            std::fs::remove_file(&tmp).unwrap();
        };
        std::os::unix::fs::symlink("/var/tmp", &tmp).unwrap();
        refused("a link");
        std::fs::write(&tmp, "").unwrap();
        refused("not a directory");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_mount_point_is_in_the_last_mount_that_covers_it() {
        let earlier = [
            mount("/a", "", "/host/a", &["bind"]),
            mount("/a/b", "tmpfs", "", &[]),
            mount("/ab", "", "/host/ab", &["rbind", "ro"]),
        ];
        let at = |destination: &str| place(&earlier, &mount(destination, "tmpfs", "", &[]));
        assert_eq!(at("/c"), Place::Rootfs);
        let source = |bind, path: &CStr| Place::Source { bind, path: path.to_owned() };
        assert_eq!(at("/a/c/d"), source(0, c"c/d"));
        assert_eq!(at("/a/b/c"), Place::Made);
        assert_eq!(at("/a/bc"), source(0, c"bc"));
        assert_eq!(at("/ab/c"), source(2, c"c"));
        assert_eq!(at("/ab"), Place::Made);
        assert_eq!(at("/abc"), Place::Rootfs);
    }
}
