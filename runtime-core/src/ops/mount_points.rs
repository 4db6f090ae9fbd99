// SPDX-License-Identifier: Apache-2.0
//! The mount points of a container that CRIU restores. CRIU mounts, but does not make what it mounts
//! on; create does, also in a read-only rootfs and in the source of an earlier bind mount.

use crate::config::Config;
use crate::config::mounts::{Filesystem, Mount, MountSource};
use crate::error::{Context, Error, Result};
use crate::path::root::{Leaf, Root};
use crate::path::show;
use nix::sys::stat::fstat;
use runtime_sys::text::c_str;
use runtime_sys::{Errno, fd};
use std::ffi::{CStr, CString};
use std::os::fd::OwnedFd;

/// Makes the missing mount points of a container with this rootfs.
pub(super) fn make(config: &Config, rootfs: &OwnedFd) -> Result<()> {
    for (i, mount) in config.mounts.iter().enumerate() {
        let earlier = config.mounts.get(..i).unwrap_or_default();
        let what = || format!("mounts[{i}].destination: the mount point /{}", show(&mount.destination));
        let leaf = match &mount.source {
            MountSource::Remount { .. } | MountSource::New { kind: Filesystem::Cgroup, .. } => continue,
            MountSource::New { .. } => Leaf::Directory,
            MountSource::Bind { path, .. } => leaf_of(path).map_err(|error| source_of(i, path, error))?.1,
        };
        let (source, path) = match place(earlier, mount) {
            Place::Rootfs => (None, mount.destination.clone()),
            Place::Source { bind, path, readonly } => {
                let source = leaf_of(bind).map_err(|error| source_of(i, bind, error))?.0;
                if readonly {
                    // Nothing is made behind a read-only mount (CVE-2026-119101).
                    drop(Root::new(&source).open(&path, libc::O_PATH).context(what)?);
                    continue;
                }
                (Some(source), path)
            }
            // CRIU restores the content of a new file system.
            Place::Made => continue,
        };
        let root = Root::new(source.as_ref().unwrap_or(rootfs));
        root.open_or_make(&path, leaf).context(what)?;
    }
    Ok(())
}

/// The directory that a mount point is in.
#[derive(Debug, PartialEq)]
enum Place<'a> {
    Rootfs,
    /// The source of a bind mount, and the path in it.
    Source {
        bind: &'a CStr,
        path: CString,
        readonly: bool,
    },
    /// A file system that CRIU makes, or another mount of the same place.
    Made,
}

/// Finds the last of the earlier mounts that covers the destination of `mount`.
fn place<'a>(earlier: &'a [Mount], mount: &Mount) -> Place<'a> {
    let path = mount.destination.to_bytes();
    let below = |other: &'a Mount| {
        let rest = path.strip_prefix(other.destination.to_bytes())?;
        let rest = if rest.is_empty() { rest } else { rest.strip_prefix(b"/")? };
        Some((other, rest))
    };
    let real = earlier.iter().filter(|other| !matches!(other.source, MountSource::Remount { .. }));
    match real.rev().find_map(below) {
        None => Place::Rootfs,
        Some((Mount { source: MountSource::Bind { path: bind, .. }, flags, .. }, rest))
            if !rest.is_empty() =>
        {
            // A part of a C string has no NUL.
            Place::Source { bind, path: c_str(rest).unwrap_or_default(), readonly: flags.is_readonly() }
        }
        Some(_) => Place::Made,
    }
}

/// Opens the source of a bind mount.
fn leaf_of(path: &CStr) -> runtime_sys::Result<(OwnedFd, Leaf)> {
    let file = fd::open_follow(fd::CWD, path, libc::O_PATH, 0)?;
    let is_dir = fstat(&file)?.st_mode & libc::S_IFMT == libc::S_IFDIR;
    Ok((file, if is_dir { Leaf::Directory } else { Leaf::File }))
}

fn source_of(i: usize, path: &CStr, errno: Errno) -> Error {
    Error::os(errno, format!("mounts[{i}].source: open {}", show(path)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec;

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
    fn a_mount_point_is_in_the_last_mount_that_covers_it() {
        let earlier = [
            mount("/a", "", "/host/a", &["bind"]),
            mount("/a/b", "tmpfs", "", &[]),
            mount("/ab", "", "/host/ab", &["rbind", "ro"]),
        ];
        let at = |destination: &str| place(&earlier, &mount(destination, "tmpfs", "", &[]));
        assert_eq!(at("/c"), Place::Rootfs);
        let source = |bind, path: &CStr, readonly| Place::Source { bind, path: path.to_owned(), readonly };
        assert_eq!(at("/a/c/d"), source(c"/host/a", c"c/d", false));
        assert_eq!(at("/a/b/c"), Place::Made);
        assert_eq!(at("/a/bc"), source(c"/host/a", c"bc", false));
        assert_eq!(at("/ab/c"), source(c"/host/ab", c"c", true));
        assert_eq!(at("/ab"), Place::Made);
        assert_eq!(at("/abc"), Place::Rootfs);
    }
}
