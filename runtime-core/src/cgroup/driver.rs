// SPDX-License-Identifier: Apache-2.0
//! The cgroup drivers: the runtime itself or systemd makes and removes the cgroup.
//! Everything else is done through the files of the [`Cgroup`].

use super::fs::Occupants;
use super::group::Cgroup;
use super::hierarchy::Hierarchy;
use super::limits::{UnitProperties, Write};
use super::record::CgroupRecord;
use super::systemd::{Manager, Scope, Wanted, unit};
use super::{fs, limits};
use crate::config::{CgroupsPath, Config};
use crate::error::{Error, ErrorKind, Result, Warning};

/// The driver of one container.
#[derive(Debug)]
pub(crate) enum Driver {
    /// No cgroup of the container's own.
    None,
    Fs {
        path: String,
        made: usize,
    },
    Systemd(Scope),
}

/// A plan for a cgroup, which does not exist yet or is unused. The plan distinguishes what it
/// makes from what existed before.
#[derive(Debug)]
pub(crate) enum Placement {
    /// No cgroup: the process stays in the caller's cgroup.
    None,
    Fs(fs::FsPlacement),
    Systemd {
        scope: Scope,
        wanted: Box<Wanted>,
    },
}

impl Placement {
    /// Plans the cgroup that the file-system driver will make.
    pub(crate) fn fs(hierarchy: &Hierarchy, config: &Config, id: &str) -> Result<Self> {
        let place = fs::place(hierarchy, &config.cgroups_path, id)?;
        if place.missing == 0 {
            check_unused(&hierarchy.absolute(&place.path))?;
        }
        Ok(Placement::Fs(place))
    }

    /// Plans the scope that systemd will be asked for. `path` is `linux.cgroupsPath`.
    pub(crate) fn systemd(hierarchy: &Hierarchy, path: &str, config: &Config, id: &str) -> Result<Self> {
        let name = unit::name(path, id)?;
        let properties = unit::properties(&config.annotations)?;
        let leaf = unit::leaf(&config.annotations, limits::limit_memory(&config.resources))?;
        let manager = Manager::ours()?;
        let (scope, wanted) = Scope::plan(hierarchy, manager, name, id, leaf, properties)?;
        check_unused(&scope.path)?;
        Ok(Placement::Systemd { scope, wanted: Box::new(wanted) })
    }

    /// Plans no cgroup, at the caller's request. Limits and a path are errors then.
    pub(crate) fn none(config: &Config) -> Result<Self> {
        if !limits::writes(&config.resources).is_empty() {
            let text = "linux.resources: limits need a cgroup, and the cgroup manager is 'disabled'";
            return Err(Error::new(ErrorKind::InvalidConfig, text).at(text));
        }
        match config.cgroups_path {
            CgroupsPath::Default => Ok(Placement::None),
            _ => {
                let text = "linux.cgroupsPath: must not be given with the cgroup manager 'disabled'";
                Err(Error::new(ErrorKind::InvalidConfig, text).at(text))
            }
        }
    }

    /// Returns the cgroup's entry in the container's record.
    pub(crate) fn record(&self) -> CgroupRecord {
        match self {
            Placement::None => CgroupRecord::None,
            Placement::Fs(place) => CgroupRecord::Fs { made: place.missing },
            Placement::Systemd { scope, .. } => CgroupRecord::Systemd {
                manager: scope.manager,
                unit: scope.unit.clone(),
                leaf: scope.leaf.clone(),
            },
        }
    }

    /// Returns the absolute path of the cgroup; empty without a cgroup.
    pub(crate) fn path(&self, hierarchy: &Hierarchy) -> String {
        match self {
            Placement::None => String::new(),
            Placement::Fs(place) => hierarchy.absolute(&place.path),
            Placement::Systemd { scope, .. } => scope.path.clone(),
        }
    }

    /// Returns the limits as they would be set: the properties of systemd's unit in words, and the writes
    /// into the cgroup's files. Sets nothing.
    pub(crate) fn translated(&mut self, writes: Vec<Write>) -> Result<(UnitProperties, Vec<Write>)> {
        match self {
            Placement::None | Placement::Fs(_) => Ok((Vec::new(), writes)),
            Placement::Systemd { scope, wanted } => scope.shown(wanted, &writes),
        }
    }

    /// Returns true if the process is cloned outside its cgroup, and has to wait until it is
    /// [adopted](Self::adopt).
    pub(crate) fn adopts(&self) -> bool {
        match self {
            Placement::None => false,
            Placement::Fs(place) => place.missing == 0,
            Placement::Systemd { .. } => true,
        }
    }

    /// Makes the cgroup before the process is cloned, if this driver can make it by then. Calls
    /// `record` if more is to be made than the placement's [record](Self::record) says.
    pub(crate) fn prepare(
        &mut self,
        hierarchy: &Hierarchy,
        mut record: impl FnMut(CgroupRecord) -> Result<()>,
    ) -> Result<Option<Cgroup>> {
        match self {
            Placement::None => Ok(None),
            Placement::Fs(place) => {
                let record = |place: &fs::FsPlacement| record(CgroupRecord::Fs { made: place.missing });
                fs::make(hierarchy, place, record).map(Some)
            }
            Placement::Systemd { scope, .. } => check_unused(&scope.path).map(|()| None),
        }
    }

    /// Returns the cgroup with the cloned process in it and the limits set.
    /// [`ErrorKind::AlreadyExists`] if the cgroup has become that of another container or program.
    pub(crate) fn adopt(
        &mut self,
        hierarchy: &Hierarchy,
        prepared: Option<Cgroup>,
        pid: i32,
        writes: &[Write],
    ) -> Result<Option<Cgroup>> {
        let adopts = self.adopts();
        match (self, prepared) {
            (Placement::None, _) => Ok(None),
            (Placement::Fs(_), Some(cgroup)) => {
                cgroup.apply(writes)?;
                if adopts {
                    cgroup.attach(pid)?;
                }
                Ok(Some(cgroup))
            }
            (Placement::Fs(place), None) => {
                Err(Error::new(ErrorKind::Setup, format!("cgroup {} was not made", place.path)))
            }
            (Placement::Systemd { scope, wanted }, _) => {
                let mut left = scope.start(wanted, pid, writes)?;
                let cgroup = hierarchy.of_process(pid)?;
                if cgroup.path() != scope.path {
                    let text = format!(
                        "systemd has put the process into {}, and not into {}",
                        cgroup.path(),
                        scope.path
                    );
                    return Err(Error::new(ErrorKind::Setup, text));
                }
                cgroup.enable_controllers(hierarchy)?;
                scope.leave_to_leaf(&mut left);
                cgroup.apply(&left)?;
                if !scope.leaf.is_empty() {
                    cgroup.move_to_leaf(hierarchy, &scope.leaf, pid, writes)?;
                }
                Ok(Some(cgroup))
            }
        }
    }

    /// Returns the cgroup that the container sees as the root of the hierarchy, if that is not
    /// the `adopted` one.
    pub(crate) fn leaf(&self, adopted: &Cgroup) -> Result<Option<Cgroup>> {
        match self {
            Placement::Systemd { scope, .. } => scope.leaf(adopted),
            _ => Ok(None),
        }
    }

    /// Plans no cgroup after the caller was denied the permission to make one. Returns the error
    /// `denied` if the configuration asks for limits or for a path.
    pub(crate) fn without(config: &Config, denied: Error) -> Result<Self> {
        if config.cgroups_path == CgroupsPath::Default && limits::writes(&config.resources).is_empty() {
            return Ok(Placement::None);
        }
        Err(denied
            .wrap("rootless needs no limits + no cgrouppath when no permission is granted for cgroups")
            .with_hint("leave out linux.cgroupsPath and the limits, or begin in a cgroup of the user (systemd-run --user --scope -p Delegate=yes)"))
    }
}

fn check_unused(path: &str) -> Result<()> {
    match Cgroup::from_record(path)? {
        Some(cgroup) => fs::check_unused(&cgroup),
        None => Ok(()),
    }
}

impl Driver {
    /// Returns the driver in a container's record. The caller's current options do not matter.
    pub(crate) fn of(path: String, record: &CgroupRecord) -> Self {
        match record {
            CgroupRecord::None => Driver::None,
            CgroupRecord::Fs { made } => Driver::Fs { path, made: *made },
            CgroupRecord::Systemd { manager, unit, leaf } => {
                Driver::Systemd(Scope { manager: *manager, unit: unit.clone(), path, leaf: leaf.clone() })
            }
        }
    }

    /// Sets limits of an existing container.
    pub(crate) fn apply(&self, cgroup: &Cgroup, writes: &[Write]) -> Result<()> {
        match self {
            Driver::None | Driver::Fs { .. } => cgroup.apply(writes),
            Driver::Systemd(scope) => {
                let mut left = scope.set(writes)?;
                scope.leave_to_leaf(&mut left);
                cgroup.apply(&left)?;
                match scope.leaf(cgroup)? {
                    Some(leaf) => leaf.repeat(writes),
                    None => Ok(()),
                }
            }
        }
    }

    /// Removes the cgroup if nothing is in it, for a caller that cannot tell whether the cgroup is
    /// still that of its container. systemd itself removes an empty scope.
    pub(crate) fn remove_empty(&self) -> Result<()> {
        match self {
            Driver::None | Driver::Systemd(_) => Ok(()),
            Driver::Fs { path, made } => fs::remove_empty_levels(path, *made),
        }
    }

    /// Removes the cgroup. Returns a warning if systemd could not be told.
    pub(crate) fn remove(&self, occupants: Occupants) -> Result<Option<Warning>> {
        match self {
            Driver::None => Ok(None),
            Driver::Fs { path, made } => fs::remove(path, *made, occupants).map(|()| None),
            Driver::Systemd(scope) => scope.remove(occupants),
        }
    }
}
