// SPDX-License-Identifier: Apache-2.0
//! The root file system: attached, made the root directory, made read-only.

use super::helpers;
use crate::boundary::channel::ChildEnd;
use crate::boundary::plan::{Mount, Rootfs};
use crate::boundary::step::{Call, During, InStep, Step, StepFailure, StepResult};
use crate::boundary::tree::Suppliers;
use crate::path::proc::Proc;
use crate::path::root::Root;
use libc::{MS_REC, MS_SLAVE};
use nix::mount::{MntFlags, umount2};
use nix::unistd::{chdir, chroot, fchdir, pivot_root};
use runtime_sys::mount::{self, Depth, MountAttr, attr};
use runtime_sys::{Errno, fd, ns};
use std::os::fd::OwnedFd;

/// Attaches the rootfs on top of the root directory, so that no path of the host has to be looked
/// up again. With hooks, or in the host's mount namespace, attaches it at its own path: hooks may
/// enter the mount namespace and expect the host's tree in it, with the rootfs where config.json
/// says. The process's own root directory stays the same.
pub(super) fn attach(rootfs: &mut Rootfs, proc: &Proc, channel: &ChildEnd) -> Result<(), StepFailure> {
    if rootfs.own_namespace {
        cut_off(&mut rootfs.chrooted, proc).step(Step::Propagation)?;
    }
    let mut attach = || -> StepResult {
        let suppliers = Suppliers::new(channel, &rootfs.helper);
        // A helper in this mount namespace knows the mount point too, and may have the permission
        // to reach it that the init lacks.
        let sends_place = rootfs.helper.is_some() && !rootfs.uses_mntns_holder();
        if let Some(helper) = suppliers.helper.filter(|_| sends_place) {
            helpers::send_place(helper)?;
        }
        rootfs.root = rootfs.tree.take(0, suppliers)?;
        let target = if sends_place {
            suppliers.next()?
        } else {
            let flags = libc::O_PATH | libc::O_DIRECTORY;
            fd::open_follow(fd::CWD, &rootfs.mount_point, flags, 0).during(Call::Open)?
        };
        mount::attach(&rootfs.root, target).during(Call::AttachMount)
    };
    attach().step(Step::Rootfs)
}

/// Makes the mounts slaves, so that nothing propagates to the host. Not private, because hooks rely
/// on seeing new mounts of the host. In a chroot, the mounts outside of it become slaves too. Sets
/// `chrooted`, if the parent could not tell.
pub(super) fn cut_off(chrooted: &mut bool, proc: &Proc) -> StepResult {
    let enslave = || mount::set_propagation(c"/", MS_REC | MS_SLAVE).during(Call::MountPropagation);
    if !*chrooted {
        return enslave();
    }
    let back = fd::open(fd::CWD, c"/", libc::O_PATH | libc::O_DIRECTORY, 0).during(Call::Open)?;
    let before = fd::place(c"/").during(Call::Stat)?;
    *chrooted = match leave_chroot(proc) {
        // Without CAP_SYS_CHROOT the process counts as outside of a chroot: only a program that has
        // dropped the capability since could have put it into one, and exec could not join the
        // container either.
        Err((Call::Setns, Errno::EPERM)) => false,
        left => {
            left?;
            fd::place(c"/").during(Call::Stat)? != before
        }
    };
    enslave()?;
    if *chrooted { enter_directory(&back) } else { Ok(()) }
}

/// Leaves the chroot, if the runtime is in one: setns(2) into the present mount namespace changes the
/// process's root directory to the root of that namespace. This is the root that pivot_root replaces,
/// and in which processes start that join the namespace.
fn leave_chroot(proc: &Proc) -> StepResult {
    // Not opened with NO_MAGICLINKS, which refuses namespace files. This file is the process's own.
    let namespace = fd::openat2(proc, c"self/ns/mnt", libc::O_RDONLY, 0, 0).during(Call::Open)?;
    ns::setns(namespace, libc::CLONE_NEWNS).during(Call::Setns)
}

/// Makes the rootfs the root directory. With pivot_root, also takes everything else out of the
/// mount namespace, if that is the container's.
pub(super) fn pivot(rootfs: &Rootfs, proc: &Proc) -> Result<(), StepFailure> {
    let change = || -> StepResult {
        let keeps_old_root = rootfs.own_namespace && !rootfs.pivot;
        if keeps_old_root {
            hide_bare_procfs()?;
        }
        if rootfs.chrooted {
            leave_chroot(proc)?;
            if keeps_old_root {
                hide_bare_procfs()?;
            }
        }
        if rootfs.chrooted || keeps_old_root && rootfs.mount_point.as_c_str() != c"/" {
            // A process that joins the mount namespace, like one of exec, gets as its root the
            // mount on top of the namespace's root directory (mntns_install of fs/namespace.c).
            mount::attach_at(&rootfs.root, fd::CWD, c"/").during(Call::AttachMount)?;
        }
        fchdir(&rootfs.root).during(Call::Chdir)?;
        if rootfs.own_namespace && rootfs.pivot {
            // The old root is then mounted on top of the new one, at "." (pivot_root(2)).
            pivot_root(c".", c".").during(Call::PivotRoot)?;
            umount2(c".", MntFlags::MNT_DETACH).during(Call::Umount)?;
            if rootfs.covered > 0 {
                uncover_root()?;
            }
        } else {
            chroot(c".").during(Call::Chroot)?;
        }
        chdir(c"/").during(Call::Chdir)
    };
    change().step(Step::PivotRoot)
}

/// Unmounts the old root where it was below other mounts. Mounts that a mount on the root had
/// covered are then on top of it, and umount2 has unmounted one of them instead. `..` of the root
/// directory is the topmost mount (path_lookup of fs/namei.c).
fn uncover_root() -> StepResult {
    while fd::place(c"..").during(Call::Stat)? != fd::place(c".").during(Call::Stat)? {
        umount2(c".", MntFlags::MNT_DETACH).during(Call::Umount)?;
    }
    Ok(())
}

/// Makes a directory the root directory, for a process of exec.
pub(super) fn enter(root: &OwnedFd) -> Result<(), StepFailure> {
    enter_directory(root).step(Step::PivotRoot)
}

fn enter_directory(root: &OwnedFd) -> StepResult {
    fchdir(root).during(Call::Chdir)?;
    chroot(c".").during(Call::Chroot)
}

/// Unmounts /proc and /sys, or covers them if they are locked. Without pivot_root the host's mounts
/// stay below the rootfs. A procfs among them that is not covered would let the container mount its
/// own without the masks (mount_too_revealing of the kernel).
fn hide_bare_procfs() -> StepResult {
    for path in [c"/proc", c"/sys"] {
        match umount2(path, MntFlags::MNT_DETACH) {
            Ok(()) | Err(Errno::ENOENT | Errno::EINVAL) => {}
            Err(_locked) => {
                let cover = super::mounting::empty_tmpfs(None)?;
                mount::attach_at(cover, fd::CWD, path).during(Call::AttachMount)?;
            }
        }
    }
    Ok(())
}

/// Opens a mount that is still at its destination. ESTALE if another mount is there.
fn find(root: Root<'_>, m: &Mount) -> StepResult<OwnedFd> {
    let mount = root.open(&m.destination, libc::O_PATH).during(Call::Open)?;
    match fd::mount_id(&mount).during(Call::Stat)? {
        id if id == m.id => Ok(mount),
        _ => Err((Call::CheckSource, Errno::ESTALE)),
    }
}

/// Makes mounts and the rootfs read-only, and sets the rootfs propagation, now that everything is
/// mounted.
pub(super) fn lock(rootfs: &mut Rootfs) -> Result<(), StepFailure> {
    let readonly = MountAttr { set: attr::RDONLY, ..MountAttr::default() };
    let root = Root::new(&rootfs.root);
    for (i, m) in rootfs.mounts.iter_mut().enumerate() {
        let kept = m.attached.take();
        if m.readonly_later {
            let lock = || -> StepResult {
                let mount = match kept {
                    Some(mount) => mount,
                    None => find(root, m)?,
                };
                mount::set_attr(mount, Depth::One, &readonly).during(Call::MountSetattr)
            };
            lock().item(Step::ReadonlyMount, i)?;
        }
    }
    if rootfs.readonly {
        mount::set_attr(&rootfs.root, Depth::One, &readonly)
            .during(Call::MountSetattr)
            .step(Step::ReadonlyRootfs)?;
    }
    if let Some((propagation, depth)) = rootfs.propagation {
        let change = MountAttr { propagation, ..MountAttr::default() };
        mount::set_attr(&rootfs.root, depth, &change)
            .during(Call::MountSetattr)
            .step(Step::RootPropagation)?;
    }
    Ok(())
}
