// SPDX-License-Identifier: Apache-2.0
//! The root file system: in, to the top, locked.

use super::helpers;
use crate::boundary::channel::ChildEnd;
use crate::boundary::plan::{Mount, Rootfs};
use crate::boundary::step::{Call, During, Failure, InStep, Step, StepResult};
use crate::boundary::tree::Suppliers;
use crate::path::proc::Proc;
use crate::path::root::Root;
use libc::{MS_REC, MS_SLAVE};
use nix::mount::{MntFlags, umount2};
use nix::unistd::{chdir, chroot, fchdir, pivot_root};
use runtime_sys::mount::{self, Depth, MountAttr, attr};
use runtime_sys::{Errno, fd, ns};
use std::os::fd::OwnedFd;

/// Attaches the rootfs: on top of the root directory, where no path of the host
/// has to be looked up again. Not with hooks, which may enter the mount namespace
/// and expect the host's tree in it, with the rootfs where config.json says; and
/// not in the host's mount namespace. The process's own root stays what it was.
pub(super) fn attach(rootfs: &mut Rootfs, proc: &Proc, channel: &ChildEnd) -> Result<(), Failure> {
    if rootfs.own_namespace {
        cut_off(rootfs, proc).step(Step::Propagation)?;
    }
    let mut attach = || -> StepResult {
        let suppliers = Suppliers::new(channel, &rootfs.helper);
        // A helper in this mount namespace knows the place as well, and may have the way
        // to it that we lack.
        let sends_place = rootfs.helper.is_some() && !rootfs.has_room();
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

/// Nothing that happens here may show on the host. Slaves, not private mounts: hooks rely
/// on seeing what the host mounts. In a chroot that takes the whole tree, too; this is
/// where it turns out whether the process is in one.
fn cut_off(rootfs: &mut Rootfs, proc: &Proc) -> StepResult {
    let enslave = || mount::set_propagation(c"/", MS_REC | MS_SLAVE).during(Call::MountPropagation);
    if !rootfs.chrooted {
        return enslave();
    }
    let back = fd::open(fd::CWD, c"/", libc::O_PATH | libc::O_DIRECTORY, 0).during(Call::Open)?;
    let before = fd::place(c"/").during(Call::Stat)?;
    rootfs.chrooted = match leave_chroot(proc) {
        // Without CAP_SYS_CHROOT nobody could have put it into one but a program that has
        // given that up since, and exec cannot join the container either.
        Err((Call::Setns, Errno::EPERM)) => false,
        left => {
            left?;
            fd::place(c"/").during(Call::Stat)? != before
        }
    };
    enslave()?;
    if rootfs.chrooted { enter_directory(&back) } else { Ok(()) }
}

/// The root directory of the mount namespace becomes the process's (setns(2)): pivot_root
/// takes that away, and whoever joins the mount namespace begins there.
fn leave_chroot(proc: &Proc) -> StepResult {
    // A namespace file is what NO_MAGICLINKS is there to refuse; this one is our own.
    let namespace = fd::openat2(proc, c"self/ns/mnt", libc::O_RDONLY, 0, 0).during(Call::Open)?;
    ns::setns(namespace, libc::CLONE_NEWNS).during(Call::Setns)
}

/// Makes the rootfs the root directory, and with pivot_root takes everything
/// else out of the mount namespace, if that is the container's.
pub(super) fn pivot(rootfs: &Rootfs, proc: &Proc) -> Result<(), Failure> {
    let change = || -> StepResult {
        let bares = rootfs.own_namespace && !rootfs.pivot;
        if bares {
            hide_bare_procfs()?;
        }
        if rootfs.chrooted {
            leave_chroot(proc)?;
            if bares {
                hide_bare_procfs()?;
            }
        }
        if rootfs.chrooted || bares && rootfs.mount_point.as_c_str() != c"/" {
            // Whoever joins the mount namespace, as exec does, gets for a root what is on
            // top of its root directory (mntns_install of fs/namespace.c).
            mount::attach_at(&rootfs.root, fd::CWD, c"/").during(Call::AttachMount)?;
        }
        fchdir(&rootfs.root).during(Call::Chdir)?;
        if rootfs.own_namespace && rootfs.pivot {
            // The old root lands on top of the new one, where "." is (pivot_root(2)).
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

/// Unmounts the old root where it was below other mounts: what a mount on the root had
/// covered has come on top of it, and was unmounted in its place. `..` of the root
/// directory is what lies on top (path_lookup of fs/namei.c).
fn uncover_root() -> StepResult {
    while fd::place(c"..").during(Call::Stat)? != fd::place(c".").during(Call::Stat)? {
        umount2(c".", MntFlags::MNT_DETACH).during(Call::Umount)?;
    }
    Ok(())
}

/// Makes a directory the root directory, for an exec'd process.
pub(super) fn enter(root: &OwnedFd) -> Result<(), Failure> {
    enter_directory(root).step(Step::PivotRoot)
}

fn enter_directory(root: &OwnedFd) -> StepResult {
    fchdir(root).during(Call::Chdir)?;
    chroot(c".").during(Call::Chroot)
}

/// Without pivot_root the host's mounts stay below, and a procfs among them
/// that nothing covers would let the container mount its own without the masks
/// (the kernel's mount_too_revealing). So /proc and /sys go, or are covered.
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

/// Finds a mount that is at its destination still.
fn find(root: Root<'_>, m: &Mount) -> StepResult<OwnedFd> {
    let mount = root.open(&m.destination, libc::O_PATH).during(Call::Open)?;
    match fd::mount_id(&mount).during(Call::Stat)? {
        id if id == m.id => Ok(mount),
        _ => Err((Call::CheckSource, Errno::ESTALE)),
    }
}

/// What had to wait until everything is mounted.
pub(super) fn lock(rootfs: &mut Rootfs) -> Result<(), Failure> {
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
