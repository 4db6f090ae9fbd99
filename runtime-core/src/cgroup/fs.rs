// SPDX-License-Identifier: Apache-2.0
//! The file-system driver: the runtime itself makes and removes directories.

use super::{Cgroup, Events, Hierarchy};
use crate::config::CgroupsPath;
use crate::error::{Context, Error, ErrorKind, Result};
use crate::path;
use crate::sys::fd::resolve;
use crate::sys::{Errno, fd};
use std::ffi::CString;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

/// A cgroup that is to be made: its path, and how much of it is missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// Relative to the root of the hierarchy.
    pub(crate) path: String,
    /// How many components at the end of the path were not there.
    pub(crate) missing: usize,
}

/// Where a container's cgroup is to be. Nothing is made.
///
/// A path that is relative, or missing, begins beside the runtime's own cgroup:
/// that has processes in it, so no cgroup with controllers can be below it.
pub(crate) fn place(hierarchy: &Hierarchy, path: &CgroupsPath, id: &str) -> Result<Place> {
    let beside = |name: &str| -> Result<String> {
        let own = Hierarchy::own()?;
        Ok(match own.rsplit_once('/') {
            Some((parent, _)) => format!("{parent}/{name}"),
            None => name.to_owned(),
        })
    };
    let path = match path {
        CgroupsPath::Absolute(path) => path.clone(),
        CgroupsPath::Relative(path) => beside(path)?,
        CgroupsPath::Default => beside(id)?,
    };
    let parts = path.split('/').count();
    let mut missing = 0;
    let mut existing = path.as_str();
    while missing < parts && hierarchy.open(existing)?.is_none() {
        missing += 1;
        existing = existing.rsplit_once('/').map_or("", |(parent, _)| parent);
    }
    Ok(Place { path, missing })
}

/// Makes the cgroup, with all controllers. One that is there already must be
/// empty and not frozen.
pub(crate) fn make(hierarchy: &Hierarchy, place: &Place) -> Result<Cgroup> {
    let cgroup = match hierarchy.open(&place.path)? {
        Some(cgroup) => {
            check_unused(&cgroup)?;
            cgroup
        }
        None => make_new(hierarchy, place)?,
    };
    cgroup.enable_controllers(hierarchy)?;
    Ok(cgroup)
}

fn make_new(hierarchy: &Hierarchy, place: &Place) -> Result<Cgroup> {
    let mut tries = 0;
    loop {
        match make_all(hierarchy, &place.path) {
            Ok(dir) => return Ok(Cgroup { dir, path: hierarchy.absolute(&place.path) }),
            // The delete of another container took an empty parent away.
            Err(Errno::ENOENT | Errno::ENODEV) if tries < 10 => tries += 1,
            Err(errno) => {
                let error = Error::os(
                    errno,
                    format!(
                        "unable to apply cgroup configuration: mkdir {}",
                        hierarchy.absolute(&place.path)
                    ),
                );
                return Err(error.of_kind(ErrorKind::Setup));
            }
        }
    }
}

fn make_all(hierarchy: &Hierarchy, path: &str) -> crate::sys::Result<OwnedFd> {
    let open = |dir: std::os::fd::BorrowedFd<'_>, name: &CString| {
        fd::openat2(dir, name, libc::O_RDONLY | libc::O_DIRECTORY, 0, resolve::BENEATH | resolve::NO_SYMLINKS)
    };
    let mut dir = hierarchy.open_dir(c".")?;
    for part in path.split('/') {
        let name = CString::new(part).unwrap_or_default();
        dir = match open(dir.as_fd(), &name) {
            Err(Errno::ENOENT) => {
                match fd::mkdir(&dir, &name, 0o755) {
                    Ok(()) | Err(Errno::EEXIST) => {}
                    Err(errno) => return Err(errno),
                }
                open(dir.as_fd(), &name)?
            }
            other => other?,
        };
    }
    Ok(dir)
}

/// Refuses a cgroup that has processes, or that would freeze ours.
pub(super) fn check_unused(cgroup: &Cgroup) -> Result<()> {
    let Events { populated, frozen } = cgroup.events()?;
    if populated {
        let count = cgroup.pids()?.len();
        return Err(Error::new(
            ErrorKind::AlreadyExists,
            format!("container's cgroup is not empty: {count} process(es) found"),
        )
        .with_hint(format!(
            "cgroup {} belongs to something else, or to a container that was not deleted",
            cgroup.path()
        )));
    }
    // An empty cgroup never counts as frozen in cgroup.events; the wish does.
    let wish = cgroup.read(c"cgroup.freeze").unwrap_or_default();
    if frozen || wish.starts_with(b"1") {
        return Err(Error::new(ErrorKind::AlreadyExists, "container's cgroup unexpectedly frozen"));
    }
    Ok(())
}

/// Removes the cgroup at an absolute path, everything below it, and of its
/// parents as many as `missing` says were made for it, unless others use them.
/// Whatever still runs in it is killed.
pub(crate) fn remove(path: &str, missing: usize) -> Result<()> {
    let Some(cgroup) = end_all(path)? else { return Ok(()) };
    remove_below(&cgroup)?;
    let mut path = path;
    for removed in 0..missing {
        let Some((parent, name)) = path.rsplit_once('/') else { break };
        let (parent_c, name) =
            (CString::new(parent).unwrap_or_default(), CString::new(name).unwrap_or_default());
        let dir = match fd::open(fd::CWD, &parent_c, libc::O_PATH | libc::O_DIRECTORY, 0) {
            Err(Errno::ENOENT) => break,
            other => other.context(|| format!("open cgroup {parent}"))?,
        };
        match fd::unlink(&dir, &name, libc::AT_REMOVEDIR) {
            Ok(()) | Err(Errno::ENOENT) => {}
            // A parent that another container has moved into.
            Err(Errno::EBUSY | Errno::ENOTEMPTY) if removed > 0 => break,
            Err(errno) => return Err(Error::os(errno, format!("rmdir cgroup {path}"))),
        }
        path = parent;
    }
    Ok(())
}

/// Ends every process in a cgroup, frozen ones too; `None` if it is gone.
pub(super) fn end_all(path: &str) -> Result<Option<Cgroup>> {
    let Some(cgroup) = Cgroup::from_record(path)? else { return Ok(None) };
    if cgroup.events()?.populated {
        cgroup.kill()?;
        if !cgroup.await_events(Duration::from_secs(10), |events| !events.populated)? {
            return Err(Error::new(ErrorKind::System, format!("processes in {path} do not end")));
        }
    }
    Ok(Some(cgroup))
}

fn remove_below(cgroup: &Cgroup) -> Result<()> {
    for child in cgroup.children()? {
        remove_below(&child)?;
        let name = child.path.rsplit_once('/').map_or(child.path.as_str(), |(_, name)| name);
        let name_c = CString::new(name).unwrap_or_default();
        match fd::unlink(&cgroup.dir, &name_c, libc::AT_REMOVEDIR) {
            Ok(()) | Err(Errno::ENOENT) => {}
            Err(errno) => return Err(Error::os(errno, format!("rmdir cgroup {}", path::show(&name_c)))),
        }
    }
    Ok(())
}
