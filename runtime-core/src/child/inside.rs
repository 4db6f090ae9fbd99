// SPDX-License-Identifier: Apache-2.0
//! Bind mounts with a source in the rootfs, where the image determines the links.

use super::mounting::{set_attributes, set_propagation};
use crate::boundary::plan::{Mount, MountKind};
use crate::boundary::step::{Call, During, StepResult};
use crate::boundary::tree::FileId;
use crate::path::proc::is_kernels;
use crate::path::root::Root;
use runtime_sys::mount::{self, Depth, MountAttr, attr};
use runtime_sys::{Errno, fd};
use std::ffi::CStr;
use std::os::fd::OwnedFd;

/// Makes a detached clone of the source of `m` in the container, with its ids and attributes.
/// `before` are the mounts that are attached by now.
///
/// The source may not be the container's procfs or sysfs, to which a link of the image may lead: a
/// second mount of it would lack the covers of the masked paths.
pub(super) fn clone_inside(root: Root<'_>, before: &[Mount], m: &Mount) -> StepResult<OwnedFd> {
    let MountKind::FromContainer(inside) = &m.what else { return Err((Call::CloneTree, Errno::EBADF)) };
    let flags = if inside.no_follow { libc::O_PATH | libc::O_NOFOLLOW } else { libc::O_PATH };
    let (source, by_link) = match root.open_no_symlinks(&inside.path, flags) {
        Err(Errno::ELOOP) => (root.open(&inside.path, flags).during(Call::OpenSource)?, true),
        other => (other.during(Call::OpenSource)?, false),
    };
    if is_view_of_kernel(&source)?
        || inside.depth == Depth::All && brings_view_of_kernel(root, before, &source)?
    {
        return Err((Call::CheckSource, Errno::EPERM));
    }
    let tree = mount::clone_tree(source, c"", inside.depth, 0).during(Call::CloneTree)?;
    if let Some(map) = &inside.id_map {
        map.apply(&tree).during(Call::MapIds)?;
    }
    if by_link {
        // The link may have led to another mount. The image must not take that mount's restrictions
        // away.
        set_attributes(&tree, m.attr.map(restrictive).as_ref(), &restrictive(m.all))?;
    } else {
        set_attributes(&tree, m.attr.as_ref(), &m.all)?;
    }
    Ok(tree)
}

/// Calls `clone`, which clones a tree of this container, while no procfs or sysfs of `mounts` can
/// be cloned: they are unbindable, so the kernel leaves them out. Checking the mounts below the
/// tree would not be enough: a container that shares the rootfs can rename the mount point of
/// procfs at any moment, to any place in the tree.
pub(super) fn without_views_of_kernel<T>(
    mounts: &[Mount],
    clone: impl FnOnce() -> StepResult<T>,
) -> StepResult<T> {
    let views = || {
        let views = mounts.iter().filter(|m| m.is_view_of_kernel());
        views.filter_map(|m| Some((m, m.attached.as_ref()?)))
    };
    let set = |view: &OwnedFd, propagation| {
        let change = MountAttr { propagation, ..MountAttr::default() };
        mount::set_attr(view, Depth::One, &change).during(Call::MountSetattr)
    };
    for (_, view) in views() {
        set(view, libc::MS_UNBINDABLE)?;
    }
    let cloned = clone();
    for (m, view) in views() {
        set(view, libc::MS_PRIVATE)?;
        set_propagation(view, m)?;
    }
    cloned
}

fn is_view_of_kernel(file: &OwnedFd) -> StepResult<bool> {
    fd::filesystem(file).map(is_kernels).during(Call::Statfs)
}

/// Returns the change without the restrictions that it would remove.
fn restrictive(change: MountAttr) -> MountAttr {
    MountAttr { clear: change.clear & (attr::ATIME | attr::NODIRATIME), ..change }
}

/// Returns true if a procfs or sysfs of the container is mounted below `source`.
fn brings_view_of_kernel(root: Root<'_>, before: &[Mount], source: &OwnedFd) -> StepResult<bool> {
    let source = FileId::of(source).during(Call::Stat)?;
    let mounted = before.iter().filter(|m| m.is_view_of_kernel()).map(|m| m.destination.as_c_str());
    for path in [c"proc", c"sys"].into_iter().chain(mounted) {
        if is_below(root, path, source)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Returns true if there is a procfs or sysfs at `path`, and the directory `above` is between it
/// and the root.
fn is_below(root: Root<'_>, path: &CStr, above: FileId) -> StepResult<bool> {
    let mut dir = match root.open(path, libc::O_PATH | libc::O_DIRECTORY) {
        Err(Errno::ENOENT | Errno::ENOTDIR) => return Ok(false),
        other => other.during(Call::OpenSource)?,
    };
    if !is_view_of_kernel(&dir)? {
        return Ok(false);
    }
    let top = root.open(c".", libc::O_PATH).and_then(FileId::of).during(Call::Stat)?;
    let mut id = FileId::of(&dir).during(Call::Stat)?;
    while id != top {
        dir = fd::open(&dir, c"..", libc::O_PATH | libc::O_DIRECTORY, 0).during(Call::OpenSource)?;
        let parent = FileId::of(&dir).during(Call::Stat)?;
        if parent == above {
            return Ok(true);
        }
        if parent == id {
            break;
        }
        id = parent;
    }
    Ok(false)
}
