// SPDX-License-Identifier: Apache-2.0
//! The places of a new container on the host. They are looked up here, and nothing is made.

use super::host_mount;
use crate::cgroup::{Hierarchy, driver};
use crate::config::Config;
use crate::config::namespaces::{NamespaceKind, Origin};
use crate::error::Result;
use crate::marks::{Mark, Traced};
use crate::resctrl::{self, Resctrl};

/// The maker of a container's cgroup ([`ContainerBuilder::cgroup_manager`]).
///
/// [`ContainerBuilder::cgroup_manager`]: super::ContainerBuilder::cgroup_manager
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CgroupManager {
    /// The library makes a cgroup in the cgroup2 file system, at `linux.cgroupsPath` or, without
    /// it, at a path with the container's id.
    #[default]
    Fs,
    /// systemd makes the cgroup: a scope, which `linux.cgroupsPath` names in the form
    /// `slice:prefix:name`. For users other than root, the user's systemd instance makes it.
    Systemd,
    /// The container stays in the caller's cgroup, without limits and without a device filter. A
    /// configuration with limits is refused.
    None,
}

/// The permission for a container to have no cgroup and no device filter, if the caller has no
/// rights to make them ([`ContainerBuilder::rootless`](super::ContainerBuilder::rootless)). A
/// container with limits or with a cgroup path always needs its cgroup.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Rootless {
    /// Allowed, unless the caller is root of the initial user namespace.
    #[default]
    Auto,
    /// Allowed.
    Yes,
    /// Not allowed: the creation fails.
    No,
}

/// The container's places on the host.
#[derive(Debug)]
pub(super) struct Target {
    /// The absolute path of the root file system.
    pub(super) rootfs: String,
    pub(super) hierarchy: Hierarchy,
    /// The plan of the cgroup.
    pub(super) cgroup: driver::Placement,
    /// The id of the mount at the rootfs before the container's own is put over it, if the
    /// container shares the host's mount namespace (see
    /// [`Record::host_mount_below`](crate::state::record::Record)).
    pub(super) host_mount: Option<u64>,
    /// The group in the resctrl file system.
    pub(super) resctrl: Option<(Resctrl, resctrl::ResctrlGroup)>,
}

impl Target {
    /// Finds the places that `config` names for the container `id`. `cgroups_path` is the raw
    /// `linux.cgroupsPath`, because each cgroup manager parses it differently.
    ///
    /// Errors: a place belongs to another container, or does not exist on this host.
    pub(super) fn find(
        config: &Config,
        rootfs: String,
        id: &str,
        manager: CgroupManager,
        cgroups_path: &str,
    ) -> Result<Self> {
        let hierarchy = Hierarchy::find()?;
        let cgroup = match manager {
            CgroupManager::None => driver::Placement::none(config)?,
            CgroupManager::Systemd => {
                driver::Placement::systemd(&hierarchy, cgroups_path, config, id).traced(Mark::FindCgroup)?
            }
            CgroupManager::Fs => driver::Placement::fs(&hierarchy, config, id).traced(Mark::FindCgroup)?,
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

    /// Returns the cgroup's absolute path; empty if there will be no cgroup.
    pub(super) fn cgroup_path(&self) -> String {
        self.cgroup.path(&self.hierarchy)
    }
}
