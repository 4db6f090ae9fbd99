// SPDX-License-Identifier: Apache-2.0
//! Kernel parameters, read-only paths, masked paths.

use super::devices;
use super::inside::without_views_of_kernel;
use super::mounting::empty_tmpfs;
use super::places::Places;
use crate::boundary::plan::InitPlan;
use crate::boundary::step::{Call, During, InStep, Step, StepFailure, StepResult};
use crate::path::proc::Proc;
use nix::mount::{MntFlags, umount2};
use nix::sys::stat::fstat;
use runtime_sys::mount::{self, Depth, MountAttr, attr};
use runtime_sys::{Errno, fd};
use std::ffi::CStr;
use std::os::fd::OwnedFd;

/// Sets kernel parameters through the host's procfs, which no image and no mount can have replaced.
/// The namespace of a parameter depends only on the writer.
pub(super) fn set_sysctls(container: &InitPlan, host: &Proc) -> Result<(), StepFailure> {
    let own_namespace = container.rootfs.own_namespace;
    let mut procfs = Procfs { host, own_namespace, detached: None, attached: false };
    for (i, sysctl) in container.sysctls.iter().enumerate() {
        let set = |procfs: &mut Procfs<'_>| -> StepResult {
            let file = procfs.open(&sysctl.path)?;
            fd::write_all(file, sysctl.line.to_bytes()).during(Call::Write)
        };
        set(&mut procfs).item(Step::Sysctl, i)?;
    }
    procfs.detach().step(Step::Sysctl)
}

/// The procfs for setting kernel parameters: the host's, or a new one if the host's is not usable.
struct Procfs<'a> {
    host: &'a Proc,
    own_namespace: bool,
    detached: Option<Proc>,
    attached: bool,
}

impl Procfs<'_> {
    fn open(&mut self, path: &CStr) -> StepResult<OwnedFd> {
        let flags = libc::O_WRONLY;
        let detached = match &self.detached {
            Some(detached) => detached,
            None => match self.host.open(path, flags) {
                Err(errno) if self.is_unfit(errno) => {
                    self.detached.insert(Proc::detached().during(Call::MountProcfs)?)
                }
                other => return other.during(Call::Open),
            },
        };
        match detached.open(path, flags) {
            // AppArmor sees a file of a detached procfs as /sys/..., which profiles for containers
            // deny (runc#4968). In an attached procfs the file has its proper path.
            Err(Errno::EACCES) if self.own_namespace && !self.attached => {
                mount::attach_at(detached, fd::CWD, c"/proc").during(Call::AttachMount)?;
                self.attached = true;
                detached.open(path, flags).during(Call::Open)
            }
            other => other.during(Call::Open),
        }
    }

    /// Returns true if the host's procfs, on which `errno` occurred, is covered by other mounts
    /// (EXDEV), read-only (EROFS), or has no parameters at all (`subset=pid`).
    fn is_unfit(&self, errno: Errno) -> bool {
        match errno {
            Errno::EXDEV | Errno::EROFS => true,
            Errno::ENOENT => matches!(self.host.open(c"sys", libc::O_PATH), Err(Errno::ENOENT)),
            _ => false,
        }
    }

    /// Detaches the procfs that `open` has attached. /proc is still the same path, because the root
    /// directory is still the host's.
    fn detach(self) -> StepResult {
        if self.attached { umount2(c"/proc", MntFlags::MNT_DETACH).during(Call::Umount) } else { Ok(()) }
    }
}

/// Makes the read-only paths read-only, and then covers the masked paths.
pub(super) fn mask_and_lock(container: &InitPlan) -> Result<(), StepFailure> {
    let places = Places::of(&container.rootfs);
    for (i, path) in container.readonly_paths.iter().enumerate() {
        make_readonly(&places, path).item(Step::ReadonlyPath, i)?;
    }
    let label = container.mask_label.as_ref().map(|(option, label)| (*option, label.as_c_str()));
    let mut covers = MaskCovers { places: &places, label, null: None, empty: None };
    for (i, path) in container.masked_paths.iter().enumerate() {
        covers.mask(path).item(Step::MaskedPath, i)?;
    }
    Ok(())
}

/// Binds the path, with the mounts below it, onto itself, and makes the top mount read-only.
fn make_readonly(places: &Places<'_>, path: &CStr) -> StepResult {
    let Some(target) = places.open(path)? else { return Ok(()) };
    let clone = || mount::clone_tree(&target, c"", Depth::All, 0).during(Call::CloneTree);
    // Masks are attached to the procfs and sysfs themselves. A clone of these would lack the masks.
    let tree = if places.keep(path) { clone() } else { without_views_of_kernel(places.mounts, clone) }?;
    let readonly = MountAttr { set: attr::RDONLY, ..MountAttr::default() };
    mount::set_attr(&tree, Depth::One, &readonly).during(Call::MountSetattr)?;
    mount::attach(tree, target).during(Call::AttachMount)
}

/// The covers of masked paths: /dev/null, and one empty directory for all of them (a file system
/// for each would cost a superblock each).
struct MaskCovers<'a> {
    places: &'a Places<'a>,
    label: Option<(&'a CStr, &'a CStr)>,
    /// Each cover is attached at the first path of its kind: before Linux 6.15 only a mount of the
    /// own namespace can be cloned.
    null: Option<OwnedFd>,
    empty: Option<OwnedFd>,
}

impl MaskCovers<'_> {
    fn mask(&mut self, path: &CStr) -> StepResult {
        let Some(target) = self.places.open(path)? else { return Ok(()) };
        let is_dir = fstat(&target).during(Call::Stat)?.st_mode & libc::S_IFMT == libc::S_IFDIR;
        let cover = if is_dir { &mut self.empty } else { &mut self.null };
        if let Some(first) = cover {
            let again = mount::clone_tree(first, c"", Depth::One, 0).during(Call::CloneTree)?;
            return mount::attach(again, target).during(Call::AttachMount);
        }
        let first = if is_dir { empty_tmpfs(self.label)? } else { readonly_null(self.places)? };
        mount::attach(&first, target).during(Call::AttachMount)?;
        *cover = Some(first);
        Ok(())
    }
}

/// Makes a read-only clone of the container's /dev/null. Through a writable one, the mode of
/// /dev/null could be changed by the name of a masked file, even where /dev is read-only.
fn readonly_null(places: &Places<'_>) -> StepResult<OwnedFd> {
    let null = devices::NULL.inspect(places)?;
    let tree = mount::clone_tree(&null, c"", Depth::One, 0).during(Call::CloneTree)?;
    let readonly = MountAttr { set: attr::RDONLY, ..MountAttr::default() };
    mount::set_attr(&tree, Depth::One, &readonly).during(Call::MountSetattr)?;
    Ok(tree)
}
