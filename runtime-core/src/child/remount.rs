// SPDX-License-Identifier: Apache-2.0
//! The option `remount`: new options for an existing mount and its file system.

use super::mounting::{check_target, keep_kernel_message, set_attributes, set_propagation};
use super::places::open_below;
use crate::boundary::channel::ChildEnd;
use crate::boundary::plan::{Mount, MountKind};
use crate::boundary::step::{Call, During, StepResult};
use crate::path::root::Root;
use runtime_sys::mount::{self, MountAttr, attr};
use runtime_sys::{Errno, fd};

/// Changes the mount at the destination of `m`, and its file system if this container has made it:
/// other file systems are the host's. `before` are the mounts that are attached by now.
pub(super) fn remount(root: Root<'_>, before: &mut [Mount], m: &Mount, channel: &ChildEnd) -> StepResult {
    let MountKind::Remount(change) = &m.what else { return Err((Call::Fspick, Errno::EINVAL)) };
    let target = open_below(root, &m.destination)?;
    check_target(&target, &m.destination)?;
    let id = fd::mount_id(&target).during(Call::Stat)?;
    let made = before.iter_mut().rev().find(|made| made.id == id);
    let is_own = |made: &Mount| matches!(made.what, MountKind::New(_));
    if !change.parameters.is_empty() && !made.as_deref().is_some_and(is_own) {
        return Err((Call::CheckSuperblock, Errno::EPERM));
    }
    let readonly = match (made.as_deref().map(|made| &made.what), change.readonly) {
        (Some(MountKind::New(new)), Some(readonly)) if new.readonly_superblock => {
            Some(if readonly { c"ro" } else { c"rw" })
        }
        _ => None,
    };
    if !change.parameters.is_empty() || readonly.is_some() {
        let context = mount::fspick(&target).during(Call::Fspick)?;
        let reconfigure = || -> StepResult {
            if let Some(word) = readonly {
                mount::fsconfig_set(&context, word, None).during(Call::Fsconfig)?;
            }
            for (key, value) in &change.parameters {
                mount::fsconfig_set(&context, key, value.as_deref()).during(Call::Fsconfig)?;
            }
            mount::fsconfig_reconfigure(&context).during(Call::FsconfigReconfigure)
        };
        reconfigure().inspect_err(|_| keep_kernel_message(&context, channel))?;
    }
    set_attributes(&target, m.attr.as_ref(), &m.all)?;
    set_propagation(&target, m)?;
    // The remount has made the mount writable, so it must not become read-only later.
    if let (Some(made), Some(MountAttr { clear, .. })) = (made, m.attr)
        && clear & attr::RDONLY != 0
    {
        made.readonly_later = false;
    }
    Ok(())
}
