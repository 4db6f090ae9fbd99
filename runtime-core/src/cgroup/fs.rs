// SPDX-License-Identifier: Apache-2.0
//! The file-system driver: the runtime itself makes and removes the cgroup's directories.

use super::group::{Cgroup, CgroupEvents};
use super::hierarchy::Hierarchy;
use crate::config::CgroupsPath;
use crate::error::{Context, Error, ErrorKind, Result};
use nix::unistd::{UnlinkatFlags, unlinkat};
use runtime_sys::fd::resolve;
use runtime_sys::text::c_str;
use runtime_sys::{Errno, fd};
use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

/// The place of a cgroup that is to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FsPlacement {
    /// The path relative to the root of the hierarchy.
    pub(crate) path: String,
    /// The number of components at the end of the path that did not exist.
    pub(crate) missing: usize,
}

/// Chooses the place of a container's cgroup. Makes nothing.
///
/// A relative or missing path begins beside the runtime's own cgroup, and not below it:
/// with processes in the own cgroup, no cgroup below can have controllers.
pub(crate) fn place(hierarchy: &Hierarchy, path: &CgroupsPath, id: &str) -> Result<FsPlacement> {
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
    let missing = missing(hierarchy, &path)?;
    Ok(FsPlacement { path, missing })
}

/// Returns the number of components at the end of the path that do not exist.
fn missing(hierarchy: &Hierarchy, path: &str) -> Result<usize> {
    let parts = path.split('/').count();
    let mut missing = 0;
    let mut existing = path;
    while missing < parts && hierarchy.open(existing)?.is_none() {
        missing += 1;
        existing = parent_of(existing);
    }
    Ok(missing)
}

/// Makes the cgroup, with all controllers. An existing cgroup must be empty and not frozen.
///
/// The deletion of another container may have removed an empty cgroup of the path since the place
/// was chosen. Then `record` is called with more missing components before these are made.
pub(crate) fn make(
    hierarchy: &Hierarchy,
    place: &mut FsPlacement,
    mut record: impl FnMut(&FsPlacement) -> Result<()>,
) -> Result<Cgroup> {
    const TRIES: usize = 10;
    for _ in 0..TRIES {
        let cgroup = match place.missing {
            0 => hierarchy.open(&place.path)?,
            _ => make_new(hierarchy, place)?,
        };
        if let Some(cgroup) = cgroup {
            if place.missing == 0 {
                // If the check itself fails, the cgroup does not count as ours either.
                check_unused(&cgroup).map_err(|error| error.of_kind(ErrorKind::AlreadyExists))?;
            }
            cgroup.enable_controllers(hierarchy)?;
            return Ok(cgroup);
        }
        place.missing = missing(hierarchy, &place.path)?.max(1);
        record(place)?;
    }
    Err(not_made(Errno::ENOENT, hierarchy, place).of_kind(ErrorKind::Setup))
}

/// Makes a cgroup that did not exist when its place was chosen. Returns `None` if a parent that
/// existed is gone. If the cgroup exists by now, it belongs to another container or program:
/// [`ErrorKind::AlreadyExists`].
fn make_new(hierarchy: &Hierarchy, place: &FsPlacement) -> Result<Option<Cgroup>> {
    let errno = match make_all(hierarchy, place) {
        Ok(dir) => return Ok(Some(Cgroup { dir, path: hierarchy.absolute(&place.path) })),
        Err(Errno::ENOENT | Errno::ENODEV) => return Ok(None),
        Err(errno) => errno,
    };
    let error = not_made(errno, hierarchy, place);
    Err(match errno {
        Errno::EEXIST if is_file(hierarchy, &place.path) => error
            .of_kind(ErrorKind::AlreadyExists)
            .with_hint("linux.cgroupsPath: every cgroup has a file of this name"),
        Errno::EEXIST => error
            .of_kind(ErrorKind::AlreadyExists)
            .with_hint("another container is being made in the same cgroup"),
        Errno::EROFS => error
            .of_kind(ErrorKind::Setup)
            .with_hint("cgroups are mounted read-only here, as in containers and with ProtectControlGroups"),
        _ => error.of_kind(ErrorKind::Setup),
    })
}

fn not_made(errno: Errno, hierarchy: &Hierarchy, place: &FsPlacement) -> Error {
    let path = hierarchy.absolute(&place.path);
    Error::os(errno, format!("unable to apply cgroup configuration: mkdir {path}"))
}

/// Returns true if the path is that of a kernel file, such as cgroup.procs.
fn is_file(hierarchy: &Hierarchy, path: &str) -> bool {
    c_str(path)
        .and_then(|path| fd::stat_at(&hierarchy.root, &path, libc::AT_SYMLINK_NOFOLLOW))
        .is_ok_and(|st| st.st_mode & libc::S_IFMT != libc::S_IFDIR)
}

/// Makes the missing components of the path. On failure, removes those that it has made.
fn make_all(hierarchy: &Hierarchy, place: &FsPlacement) -> runtime_sys::Result<OwnedFd> {
    let mut made = Vec::new();
    let result = make_each(hierarchy, place, &mut made);
    if result.is_err() {
        for parent in made.iter().rev() {
            // Another container may use the parent. The first error is the one to report.
            runtime_sys::ignore(unlinkat(&hierarchy.root, parent.as_c_str(), UnlinkatFlags::RemoveDir));
        }
    }
    result
}

/// Makes the missing parents and the cgroup, and adds the path of each to `made`. ENOENT: one of the
/// components that are not missing is gone.
fn make_each(
    hierarchy: &Hierarchy,
    place: &FsPlacement,
    made: &mut Vec<CString>,
) -> runtime_sys::Result<OwnedFd> {
    let open = |dir: BorrowedFd<'_>, name: &CString| {
        fd::openat2(dir, name, libc::O_RDONLY | libc::O_DIRECTORY, 0, resolve::BENEATH | resolve::NO_SYMLINKS)
    };
    let path = place.path.as_str();
    let existing = path.split('/').count().saturating_sub(place.missing);
    let mut below = None;
    let (parents, name) = path.rsplit_once('/').unwrap_or(("", path));
    let mut length = 0;
    for (index, part) in parents.split('/').filter(|part| !part.is_empty()).enumerate() {
        let dir = below.as_ref().unwrap_or(&hierarchy.root).as_fd();
        let name = c_str(part)?;
        length += part.len();
        if index >= existing {
            match fd::mkdir(dir, &name, 0o755) {
                Ok(()) => made.push(c_str(path.get(..length).unwrap_or_default())?),
                Err(Errno::EEXIST) => {}
                Err(errno) => return Err(errno),
            }
        }
        length += 1;
        below = Some(open(dir, &name)?);
    }
    let dir = below.as_ref().unwrap_or(&hierarchy.root).as_fd();
    let (name, whole) = (c_str(name)?, c_str(path)?);
    fd::mkdir(dir, &name, 0o755)?;
    made.push(whole);
    open(dir, &name)
}

/// Refuses a cgroup that has processes, or that would freeze the container's.
pub(super) fn check_unused(cgroup: &Cgroup) -> Result<()> {
    let CgroupEvents { populated, frozen } = cgroup.events()?;
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
    // cgroup.events may not report an empty cgroup as frozen, so cgroup.freeze counts too.
    if frozen || cgroup.is_told_to_freeze().unwrap_or_default() {
        return Err(Error::new(ErrorKind::AlreadyExists, "container's cgroup unexpectedly frozen"));
    }
    Ok(())
}

/// The treatment of processes that are still in a cgroup when it is to be removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Occupants {
    /// Kill the processes: they belong to the container.
    Kill,
    /// Wait for the processes. The container's own have ended, so these are about to end or
    /// belong to another program.
    Await,
}

/// Removes all cgroups below an absolute path, and the last `missing` components of the path,
/// which were made for the container. Parents that are in use stay. With 0 the cgroup itself
/// stays too, because it existed before the container.
pub(crate) fn remove(path: &str, missing: usize, occupants: Occupants) -> Result<()> {
    // Usually the cgroup is empty, and one rmdir(2) is enough.
    if missing == 0 || !remove_empty(path)? {
        let Some(cgroup) = end_all(path, occupants)? else { return Ok(()) };
        remove_below(&cgroup)?;
        if missing > 0 && !remove_empty(path)? {
            return Err(Error::os(Errno::EBUSY, format!("rmdir cgroup {path}")));
        }
    }
    remove_empty_levels(parent_of(path), missing.saturating_sub(1))
}

/// Removes an empty cgroup and the empty parents of it, up to `count` cgroups. Other containers may
/// use those that are not empty.
pub(super) fn remove_empty_levels(path: &str, count: usize) -> Result<()> {
    let mut path = path;
    for _ in 0..count {
        if path.is_empty() || !remove_empty(path)? {
            break;
        }
        path = parent_of(path);
    }
    Ok(())
}

fn parent_of(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(parent, _)| parent)
}

/// Removes an empty cgroup. Returns false if it has processes or cgroups in it.
fn remove_empty(path: &str) -> Result<bool> {
    let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
    let name = c_str(name).context(|| format!("open cgroup {path:?}"))?;
    let open = |parent: CString| fd::open(fd::CWD, &parent, libc::O_PATH | libc::O_DIRECTORY, 0);
    let dir = match c_str(parent).and_then(open) {
        Err(Errno::ENOENT) => return Ok(true),
        other => other.context(|| format!("open cgroup {parent}"))?,
    };
    match unlinkat(&dir, name.as_c_str(), UnlinkatFlags::RemoveDir) {
        Ok(()) | Err(Errno::ENOENT) => Ok(true),
        Err(Errno::EBUSY | Errno::ENOTEMPTY) => Ok(false),
        // The kernel checks for a read-only mount first, also if the name does not exist.
        Err(Errno::EROFS) if matches!(fd::stat_at(&dir, &name, 0), Err(Errno::ENOENT)) => Ok(true),
        Err(errno) => Err(Error::os(errno, format!("rmdir cgroup {path}"))),
    }
}

/// Waits until no process is in a cgroup, and returns the cgroup; `None` if it is gone.
pub(super) fn end_all(path: &str, occupants: Occupants) -> Result<Option<Cgroup>> {
    let Some(cgroup) = Cgroup::from_record(path)? else { return Ok(None) };
    if !cgroup.events()?.populated {
        return Ok(Some(cgroup));
    }
    let patience = match occupants {
        Occupants::Kill => {
            // This kills frozen processes too.
            cgroup.kill()?;
            Duration::from_secs(10)
        }
        Occupants::Await => {
            // A process of exec may have been frozen on its way into the container. It ends when it
            // finds that the container has stopped. If the cgroup cannot be thawed, the wait is in
            // vain, and its error names the cgroup.
            runtime_sys::ignore(cgroup.thaw());
            Duration::from_secs(1)
        }
    };
    if cgroup.await_events(patience, |events| !events.populated)? {
        return Ok(Some(cgroup));
    }
    Err(match occupants {
        Occupants::Kill => Error::new(ErrorKind::System, format!("processes in {path} do not end")),
        Occupants::Await => Error::new(
            ErrorKind::InvalidState,
            format!("cgroup {path} has processes in it that are not the container's"),
        )
        .with_hint("delete --force kills them"),
    })
}

fn remove_below(cgroup: &Cgroup) -> Result<()> {
    let remove = |dir: BorrowedFd<'_>, name: &CStr| match unlinkat(dir, name, UnlinkatFlags::RemoveDir) {
        Err(Errno::ENOENT | Errno::ENODEV) => Ok(()),
        removed => removed,
    };
    super::walk::walk(cgroup.dir(), |_| Ok(()), remove)
        .context(|| format!("removing the cgroups below {}", cgroup.path()))
}
