// SPDX-License-Identifier: Apache-2.0
//! A root file system that is made of mounts, as containerd gives them to a shim.

use crate::config::rootfs_mounts::checked;
use crate::error::{Result, Warning};
use crate::prepare::{RootfsMounts, rootfs_mounts::make};
use crate::spec;

/// The mounts as the caller gives them, and the function that checks them. It is called through a pointer
/// (see [`RootfsMounts`]).
#[derive(Debug)]
pub(super) struct GivenMounts {
    mounts: Vec<spec::Mount>,
    check: Check,
}

type Check = fn(Vec<spec::Mount>, &str, &str, &mut Vec<Warning>) -> Result<RootfsMounts>;

impl GivenMounts {
    pub(super) fn new(mounts: Vec<spec::Mount>) -> Self {
        let check: Check = |mounts, bundle, rootfs, warnings| {
            Ok(RootfsMounts { mounts: checked(mounts, bundle, rootfs, warnings)?, make })
        };
        GivenMounts { mounts, check }
    }

    /// Checks the mounts for the bundle at `bundle` and the rootfs at `rootfs`.
    pub(super) fn check(
        self,
        bundle: &str,
        rootfs: &str,
        warnings: &mut Vec<Warning>,
    ) -> Result<RootfsMounts> {
        (self.check)(self.mounts, bundle, rootfs, warnings)
    }
}
