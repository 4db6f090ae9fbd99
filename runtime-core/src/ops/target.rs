// SPDX-License-Identifier: Apache-2.0
//! Where a container is going to be on the host: looked up, and nothing made.

use super::host_mount;
use crate::cgroup::{Hierarchy, driver};
use crate::config::Config;
use crate::config::namespaces::{Kind as NamespaceKind, Origin};
use crate::error::Result;
use crate::marks::{Mark, Traced};
use crate::resctrl::{self, Resctrl};

/// How the caller wants the cgroup to be made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum CgroupManager {
    /// By the runtime, in the file system.
    #[default]
    Fs,
    /// By systemd, as a scope.
    Systemd,
    /// Not at all.
    None,
}

/// What the container will have of the host.
#[derive(Debug)]
pub(super) struct Target {
    /// The root file system's absolute path.
    pub(super) rootfs: String,
    pub(super) hierarchy: Hierarchy,
    /// The cgroup.
    pub(super) cgroup: driver::Plan,
    /// The id of the mount below which the container's mounts lie, if it shares the host's
    /// mount namespace (see [`Record::host_mount_below`](crate::state::record::Record)).
    pub(super) host_mount: Option<u64>,
    /// The group in the resctrl file system.
    pub(super) resctrl: Option<(Resctrl, resctrl::Place)>,
}

impl Target {
    /// Finds the places that `config` names for the container `id`. `cgroups_path` is
    /// `linux.cgroupsPath` as written: each manager reads it in its own way.
    ///
    /// Errors: a place is taken by another container, or this host does not have it.
    pub(super) fn find(
        config: &Config,
        rootfs: String,
        id: &str,
        manager: CgroupManager,
        cgroups_path: &str,
    ) -> Result<Self> {
        let hierarchy = Hierarchy::find()?;
        let cgroup = match manager {
            CgroupManager::None => driver::Plan::none(config)?,
            CgroupManager::Systemd => {
                driver::Plan::systemd(&hierarchy, cgroups_path, config, id).traced(Mark::FindCgroup)?
            }
            CgroupManager::Fs => driver::Plan::fs(&hierarchy, config, id).traced(Mark::FindCgroup)?,
        };
        let host_mount = match config.namespaces.origin(NamespaceKind::Mount) {
            Origin::Shared => Some(host_mount::id_at(&rootfs)?),
            Origin::New | Origin::Path(_) => None,
        };
        let resctrl = match &config.intel_rdt {
            Some(rdt) => {
                let resctrl = Resctrl::find()?;
                let place = resctrl.place(rdt, id)?;
                Some((resctrl, place))
            }
            None => None,
        };
        Ok(Target { rootfs, hierarchy, cgroup, host_mount, resctrl })
    }

    /// The cgroup's absolute path; empty if there will be none.
    pub(super) fn cgroup_path(&self) -> String {
        self.cgroup.path(&self.hierarchy)
    }
}
