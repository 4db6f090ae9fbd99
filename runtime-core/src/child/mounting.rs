// SPDX-License-Identifier: Apache-2.0
//! Functions that mounts, remounts, views and covers share.

use crate::boundary::channel::ChildEnd;
use crate::boundary::plan::Mount;
use crate::boundary::reply::MESSAGE_MAX;
use crate::boundary::step::{Call, During, StepResult};
use crate::path::proc::{is_proc_file, is_procfs};
use runtime_sys::Errno;
use runtime_sys::mount::{self, Depth, MountAttr, attr};
use std::ffi::CStr;
use std::os::fd::OwnedFd;

/// Sets the attributes of one mount, and those of its whole tree.
pub(super) fn set_attributes(tree: &OwnedFd, one: Option<&MountAttr>, all: &MountAttr) -> StepResult {
    if let Some(one) = one {
        mount::set_attr(tree, Depth::One, one).during(Call::MountSetattr)?;
    }
    if !all.is_noop() {
        mount::set_attr(tree, Depth::All, all).during(Call::MountSetattr)?;
    }
    Ok(())
}

/// Sets the propagation of a mount, or of all mounts below it too.
pub(super) fn set_propagation(tree: &OwnedFd, m: &Mount) -> StepResult {
    for (propagation, depth) in &m.propagation {
        let change = MountAttr { propagation: *propagation, ..MountAttr::default() };
        mount::set_attr(tree, *depth, &change).during(Call::MountSetattr)?;
    }
    Ok(())
}

/// Fails if links of the image have led into a procfs, where a mount could redirect what the
/// runtime writes (CVE-2019-16884, CVE-2025-52881). The allowed mount points in a procfs are its root
/// at `proc` and the files that config.json may mount over ([`is_proc_file`]).
pub(super) fn check_target(target: &OwnedFd, path: &CStr) -> StepResult {
    let path = path.to_bytes();
    if is_procfs(target).during(Call::Statfs)? && path != b"proc" && !is_proc_file(path) {
        return Err((Call::CheckProc, Errno::EPERM));
    }
    Ok(())
}

/// Keeps the kernel's message about a failure, for the parent.
pub(super) fn keep_kernel_message(context: &OwnedFd, channel: &ChildEnd) {
    let mut buf = [0; MESSAGE_MAX];
    if let Some(words) = mount::last_words(context, &mut buf) {
        channel.keep_kernel_message(words);
    }
}

/// Makes a detached mount of an empty, read-only directory.
pub(super) fn empty_tmpfs(label: Option<(&CStr, &CStr)>) -> StepResult<OwnedFd> {
    let context = mount::fsopen(c"tmpfs").during(Call::Fsopen)?;
    for key in [c"nr_blocks", c"nr_inodes"] {
        mount::fsconfig_set(&context, key, Some(c"1")).during(Call::Fsconfig)?;
    }
    if let Some((option, label)) = label {
        mount::fsconfig_set(&context, option, Some(label)).during(Call::Fsconfig)?;
    }
    mount::fsconfig_create(&context).during(Call::FsconfigCreate)?;
    mount::fsmount(&context, attr::RDONLY | attr::NOSUID | attr::NODEV | attr::NOEXEC).during(Call::Fsmount)
}

/// Permission bits as octal text, on the stack.
pub(super) struct Octal([u8; 6]);

impl Octal {
    pub(super) fn new(mode: u32) -> Self {
        let mut text = *b"00000\0";
        let mut rest = mode & 0o77777;
        for digit in text.iter_mut().rev().skip(1) {
            *digit = b'0' + (rest & 7) as u8;
            rest >>= 3;
        }
        Octal(text)
    }

    pub(super) fn as_c_str(&self) -> &CStr {
        CStr::from_bytes_until_nul(&self.0).unwrap_or_default()
    }
}
