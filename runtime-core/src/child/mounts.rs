// SPDX-License-Identifier: Apache-2.0
//! The `mounts` of config.json: each is made, set up before it is visible, and attached at a
//! descriptor that was opened below the root.

use super::copy_up;
use super::inside::{clone_inside, without_views_of_kernel};
use super::mounting::{Octal, check_target, keep_kernel_message, set_attributes, set_propagation};
use super::places::{KEPT, open_below};
use super::remount::remount;
use crate::boundary::channel::ChildEnd;
use crate::boundary::plan::{
    FromContainer, FsOptions, Mount, MountKind, NewMount, Parameters, PidNamespace, Rootfs,
};
use crate::boundary::step::{Call, During, InStep, Step, StepFailure, StepResult};
use crate::boundary::tree::Suppliers;
use crate::path::proc::Proc;
use crate::path::root::{Leaf, Root};
use nix::mount::{MntFlags, umount2};
use nix::sys::stat::fstat;
use nix::unistd::{fchdir, symlinkat};
use runtime_sys::mount::{self, Depth, MountAttr, attr};
use runtime_sys::{Errno, fd};
use std::ffi::CStr;
use std::os::fd::OwnedFd;

/// Makes and attaches the mounts of config.json, in their order.
pub(super) fn attach_all(rootfs: &mut Rootfs, proc: &Proc, channel: &ChildEnd) -> Result<(), StepFailure> {
    let Rootfs { root, mounts, helper, .. } = rootfs;
    attach_below(root, mounts, Suppliers::new(channel, helper), proc)
}

/// Makes `mounts` below `current`, which a mount on the root replaces.
pub(super) fn attach_below(
    current: &mut OwnedFd,
    mounts: &mut [Mount],
    suppliers: Suppliers<'_>,
    proc: &Proc,
) -> Result<(), StepFailure> {
    let channel = suppliers.channel;
    let has_remounts = mounts.iter().any(|m| matches!(m.what, MountKind::Remount(_)));
    let clones_inside = mounts.iter().any(|m| matches!(m.what, MountKind::FromContainer(_)));
    let mut kept = 0;
    for i in 0..mounts.len() {
        let root = Root::new(&*current);
        let (before, rest) = mounts.split_at_mut(i);
        let Some(m) = rest.first_mut() else { break };
        let mut make = || -> StepResult<Option<OwnedFd>> {
            let tree = match &mut m.what {
                MountKind::Tree { tree, .. } => Some(tree.take(i, suppliers)?),
                MountKind::FromContainer(FromContainer { by_helper, .. }) => {
                    let by_helper = *by_helper;
                    let clone =
                        || if by_helper { suppliers.ask(root) } else { clone_inside(root, before, m) };
                    Some(without_views_of_kernel(before, clone)?)
                }
                MountKind::Remount(_) => return remount(root, before, m, channel).map(|()| None),
                MountKind::New(_) | MountKind::Symlink { .. } => None,
            };
            let Some(attached) = attach(root, m, tree, proc, channel)? else { return Ok(None) };
            let is_root = m.destination.as_c_str() == ROOT;
            if has_remounts || is_root {
                m.id = fd::mount_id(&attached).during(Call::Stat)?;
            }
            if is_root {
                // A mount on the root is the root for all that follows. The mounts below it can no
                // longer be found by path.
                before.iter_mut().for_each(|hidden| hidden.readonly_later &= hidden.attached.is_some());
                return Ok(Some(attached));
            }
            let is_needed = clones_inside && m.is_view_of_kernel();
            keep(m, attached, is_needed, &mut kept)?;
            Ok(None)
        };
        if let Some(root) = make().item(Step::Mount, i)? {
            *current = root;
        }
    }
    Ok(())
}

/// The destination of a mount that becomes the root.
const ROOT: &CStr = c".";

/// The limit of mounts that are kept open until they become read-only.
const KEPT_MAX: usize = 64;

/// Keeps what is needed of a mount until all mounts are made.
fn keep(m: &mut Mount, attached: OwnedFd, is_needed: bool, kept: &mut usize) -> StepResult {
    let is_needed = is_needed || KEPT.contains(&m.destination.as_c_str());
    if is_needed || m.readonly_later && *kept < KEPT_MAX {
        m.attached = Some(attached);
        *kept += 1;
    } else if m.readonly_later {
        m.id = fd::mount_id(attached).during(Call::Stat)?;
    }
    Ok(())
}

/// Makes and attaches the mount `m`. Returns the new mount, if `m` makes one. `cloned` is the tree
/// of a bind mount.
fn attach(
    root: Root<'_>,
    m: &Mount,
    cloned: Option<OwnedFd>,
    proc: &Proc,
    channel: &ChildEnd,
) -> StepResult<Option<OwnedFd>> {
    let cloned = || cloned.ok_or((Call::CloneTree, Errno::EBADF));
    let tree = match &m.what {
        MountKind::Symlink { target } => return symlink(root, target, &m.destination).map(|()| None),
        MountKind::Remount(_) => return Ok(None),
        MountKind::FromContainer(_) => {
            let tree = cloned()?;
            let leaf = match fstat(&tree).during(Call::Stat)?.st_mode & libc::S_IFMT {
                libc::S_IFDIR => Leaf::Directory,
                _ => Leaf::File,
            };
            attach_tree(root, m, tree, leaf)?
        }
        MountKind::Tree { leaf, .. } => {
            let tree = cloned()?;
            set_attributes(&tree, m.attr.as_ref(), &m.all)?;
            attach_tree(root, m, tree, *leaf)?
        }
        MountKind::New(new) => {
            let existing = existing_target(root, &m.destination, m.no_follow)?;
            let tree = new_tree(root, new, existing.as_ref(), channel)?;
            if let Some(existing) = existing.as_ref().filter(|_| new.copy_up) {
                copy_up::copy(existing, &tree, proc)?;
            }
            let target = match existing {
                Some(target) => target,
                None => made_target(root, &m.destination, Leaf::Directory, m.no_follow)?,
            };
            set_attributes(&tree, m.attr.as_ref(), &m.all)?;
            attach_at(&tree, &target)?;
            tree
        }
    };
    set_propagation(&tree, m)?;
    Ok(Some(tree))
}

fn attach_tree(root: Root<'_>, m: &Mount, tree: OwnedFd, leaf: Leaf) -> StepResult<OwnedFd> {
    let target = target(root, &m.destination, leaf, m.no_follow)?;
    attach_at(&tree, &target)?;
    Ok(tree)
}

/// Attaches a mount. For a file on a directory, or the reverse, returns ENOTDIR like mount(2),
/// which engines look for. move_mount(2) returns EINVAL, which has many other causes.
fn attach_at(tree: &OwnedFd, target: &OwnedFd) -> StepResult {
    let is_dir = |file: &OwnedFd| -> StepResult<bool> {
        Ok(fstat(file).during(Call::Stat)?.st_mode & libc::S_IFMT == libc::S_IFDIR)
    };
    match mount::attach(tree, target) {
        Err(Errno::EINVAL) if is_dir(tree)? != is_dir(target)? => Err((Call::AttachMount, Errno::ENOTDIR)),
        other => other.during(Call::AttachMount),
    }
}

/// Opens the mount point, and makes it if it is missing.
fn target(root: Root<'_>, path: &CStr, leaf: Leaf, no_follow: bool) -> StepResult<OwnedFd> {
    match existing_target(root, path, no_follow)? {
        Some(target) => Ok(target),
        None => made_target(root, path, leaf, no_follow),
    }
}

/// Makes the mount point, which is missing.
fn made_target(root: Root<'_>, path: &CStr, leaf: Leaf, no_follow: bool) -> StepResult<OwnedFd> {
    let target = if no_follow { root.make_proper(path, leaf) } else { root.make(path, leaf) };
    let target = target.during(Call::Open)?;
    check_target(&target, path)?;
    Ok(target)
}

fn existing_target(root: Root<'_>, path: &CStr, no_follow: bool) -> StepResult<Option<OwnedFd>> {
    let target = if no_follow {
        root.open_no_symlinks(path, libc::O_PATH).during(Call::Open)
    } else {
        open_below(root, path)
    };
    match target {
        Err((Call::Open, Errno::ENOENT)) => Ok(None),
        other => {
            let target = other?;
            check_target(&target, path)?;
            Ok(Some(target))
        }
    }
}

fn new_tree(
    root: Root<'_>,
    new: &NewMount,
    target: Option<&OwnedFd>,
    channel: &ChildEnd,
) -> StepResult<OwnedFd> {
    let tree = match &new.options {
        FsOptions::Parameters(parameters) => {
            let opened;
            let context = match &new.shows {
                Some(PidNamespace { context: Some(ahead), .. }) => ahead,
                shows => {
                    opened = mount::fsopen(&new.fstype).during(Call::Fsopen)?;
                    if let Some(namespace) = shows {
                        mount::fsconfig_set_fd(&opened, c"pidns", &namespace.joined)
                            .during(Call::FsconfigPidns)?;
                    }
                    &opened
                }
            };
            make_tree(context, new, parameters, target)
                .inspect_err(|_| keep_kernel_message(context, channel))?
        }
        FsOptions::Page { source, flags, data } => {
            let tree = tree_by_mount(root, source, &new.fstype, *flags, data)?;
            let change = MountAttr {
                set: new.attr,
                clear: attr::ATIME | attr::RDONLY & !new.attr,
                ..MountAttr::default()
            };
            mount::set_attr(&tree, Depth::One, &change).during(Call::MountSetattr)?;
            if let Some(mode) = mode_of(new, target)? {
                let dir = fd::open(&tree, c".", libc::O_RDONLY | libc::O_DIRECTORY, 0).during(Call::Open)?;
                fd::chmod(dir, mode).during(Call::Chmod)?;
            }
            tree
        }
    };
    if let Some(label) = &new.label {
        let dir = fd::open(&tree, c".", libc::O_RDONLY | libc::O_DIRECTORY, 0).during(Call::Open)?;
        fd::set_xattr(dir, c"security.selinux", label.to_bytes()).during(Call::SetXattr)?;
    }
    Ok(tree)
}

/// Makes a detached mount of a file system with mount(2), for options that are too long for
/// fsconfig(2). mount(2) needs a path. The path is a directory on a tmpfs that is on the root
/// meanwhile, so that no name of the image is looked up. A clone of the root covers the tmpfs, because
/// paths in the options may lead there, to a layer of an overlay.
fn tree_by_mount(
    root: Root<'_>,
    source: &CStr,
    fstype: &CStr,
    flags: libc::c_ulong,
    data: &CStr,
) -> StepResult<OwnedFd> {
    let context = mount::fsopen(c"tmpfs").during(Call::Fsopen)?;
    mount::fsconfig_create(&context).during(Call::FsconfigCreate)?;
    let scratch =
        mount::fsmount(&context, attr::NOSUID | attr::NODEV | attr::NOEXEC).during(Call::Fsmount)?;
    fd::mkdir(&scratch, c"m", 0o700).during(Call::Mkdir)?;
    let cover = mount::clone_tree(root.dir(), c"", Depth::All, 0).during(Call::CloneTree)?;
    mount::attach(&scratch, root.dir()).during(Call::AttachMount)?;
    // A relative path begins below the cover.
    fchdir(&scratch).during(Call::Chdir)?;
    mount::attach(&cover, &scratch).during(Call::AttachMount)?;
    let tree = mount::mount(source, c"m", fstype, flags, data)
        .during(Call::Mount)
        .and_then(|()| mount::clone_tree(&scratch, c"m", Depth::One, 0).during(Call::CloneTree));
    // Each call unmounts the topmost mount of the two: first the cover, then the tmpfs. Programs that join
    // the mount namespace, such as those of exec, begin at the topmost.
    for _ in [cover, scratch] {
        umount2(c".", MntFlags::MNT_DETACH).during(Call::Umount)?;
    }
    tree
}

/// Returns the permissions of the directory that a tmpfs covers, if the tmpfs is to have them.
fn mode_of(new: &NewMount, target: Option<&OwnedFd>) -> StepResult<Option<u32>> {
    let Some(target) = target.filter(|_| new.mode_of_target) else { return Ok(None) };
    Ok(Some(fstat(target).during(Call::Stat)?.st_mode & 0o7777))
}

/// Makes the mount that the options describe. After a failure, `context` may have the kernel's
/// message.
pub(crate) fn make_tree(
    context: &OwnedFd,
    new: &NewMount,
    parameters: &Parameters,
    target: Option<&OwnedFd>,
) -> StepResult<OwnedFd> {
    if let Some(mode) = mode_of(new, target)? {
        mount::fsconfig_set(context, c"mode", Some(Octal::new(mode).as_c_str()))
            .during(Call::FsconfigMode)?;
    }
    for (key, value) in parameters {
        mount::fsconfig_set(context, key, value.as_deref()).during(Call::Fsconfig)?;
    }
    mount::fsconfig_create(context).during(Call::FsconfigCreate)?;
    mount::fsmount(context, new.attr).during(Call::Fsmount)
}

/// Makes the symbolic link of `copy-symlink` in place of a mount. An equal link may exist.
fn symlink(root: Root<'_>, target: &CStr, path: &CStr) -> StepResult {
    let (dir, name) = root.parent_of(path).during(Call::Open)?;
    match symlinkat(target, &dir, name) {
        Err(Errno::EEXIST) => {
            let mut buf = [0; libc::PATH_MAX as usize];
            match fd::readlink(&dir, name, &mut buf) {
                Ok(found) if found == target.to_bytes() => Ok(()),
                _ => Err((Call::Symlink, Errno::EEXIST)),
            }
        }
        other => other.during(Call::Symlink),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[allow(clippy::disallowed_methods)]
    fn a_link_may_exist_only_with_the_same_target() {
        let dir = tempfile::tempdir().unwrap();
        let top = fd::open(fd::CWD, &crate::path::c_path(dir.path()).unwrap(), libc::O_PATH, 0).unwrap();
        let link = |target: &CStr, path: &CStr| symlink(Root::new(&top), target, path);
        assert_eq!(link(c"target", c"link"), Ok(()));
        assert_eq!(std::fs::read_link(dir.path().join("link")).unwrap(), std::path::Path::new("target"));
        assert_eq!(link(c"target", c"link"), Ok(()), "the link exists");
        std::fs::write(dir.path().join("file"), "").unwrap();
        for path in [c"link", c"file"] {
            assert_eq!(link(c"other", path), Err((Call::Symlink, Errno::EEXIST)));
        }
        assert_eq!(std::fs::read_link(dir.path().join("link")).unwrap(), std::path::Path::new("target"));
    }

    #[test]
    fn a_mode_has_five_octal_digits() {
        assert_eq!(Octal::new(0o1777).as_c_str(), c"01777");
        assert_eq!(Octal::new(0).as_c_str(), c"00000");
        assert_eq!(Octal::new(0o7710).as_c_str(), c"07710");
    }
}
