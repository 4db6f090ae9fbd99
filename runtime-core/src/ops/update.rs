// SPDX-License-Identifier: Apache-2.0
//! update(1): changes the limits of a container.

use super::container::{Container, NO_CGROUP};
use super::state::status;
use crate::cgroup::limits::{self, Write};
use crate::cgroup::record::CgroupRecord;
use crate::cgroup::{self, Cgroup};
use crate::config::devices::{self, Rule};
use crate::config::{resources, update};
use crate::error::{Error, ErrorKind, Result, Warning};
use crate::spec::{Resources, Status};
use crate::state::record::Document;

impl Container {
    /// Sets the limits in `request`; others are not changed. If a limit cannot be set, all old
    /// limits are restored.
    ///
    /// The rules of `devices` replace the old rules atomically. If they are equal to the recorded
    /// rules, the device filter is not touched: another program may have changed it.
    ///
    /// The units are those of config.json: bytes, microseconds. Returns the limits that were not
    /// applied, where the specification says to warn.
    ///
    /// Errors: [`ErrorKind::NotFound`], [`ErrorKind::NotRunning`], [`ErrorKind::InvalidConfig`];
    /// [`ErrorKind::Unsupported`]: there is no controller for a limit, or no cgroup.
    pub fn update(&self, request: &Resources) -> Result<Vec<Warning>> {
        let mut warnings = Vec::new();
        match self.set(request, &mut warnings) {
            Ok(()) => Ok(warnings),
            Err(error) => Err(error.with_warnings(warnings)),
        }
    }

    fn set(&self, request: &Resources, warnings: &mut Vec<Warning>) -> Result<()> {
        let entry = self.store.entry(&self.id)?.lock_made("update")?;
        let mut record = entry.record()?;
        match status(&entry, &record)? {
            Status::Running | Status::Created | Status::Paused => {}
            _ => return Err(Error::new(ErrorKind::NotRunning, "container not running")),
        }
        if record.cgroup == CgroupRecord::None {
            return Err(Error::new(ErrorKind::Unsupported, NO_CGROUP));
        }
        let old: Resources = record.read(&record.resources)?;
        let wanted = update::complete(&old, request);
        let wanted = resources::Resources::new(&wanted, warnings)?;
        let rules = match request.devices == old.devices || request.devices.is_empty() {
            true => None,
            false => Some(devices::rules(&request.devices, warnings)?),
        };
        let cgroup = Cgroup::from_record(record.cgroup_path())?
            .ok_or_else(|| Error::new(ErrorKind::NotRunning, "container not running"))?;
        if let Some(check) = &wanted.memory.check {
            cgroup.check_memory(check)?;
        }
        let mut writes = limits::writes(&wanted);
        writes.retain(|write| !update::is_only_partner(request, &write.file));
        let driver = record.driver();
        let old_rules = devices::rules(&old.devices, &mut Vec::new())?;
        record.resources = Document::new(&update::merge(&old, request));

        let before = cgroup.snapshot(&writes);
        let set = |writes: &[Write], rules: Option<&[Rule]>| {
            driver.apply(&cgroup, writes)?;
            match rules {
                Some(rules) => cgroup::devices::apply(cgroup.dir(), rules),
                None => Ok(()),
            }
        };
        let Err(error) = set(&writes, rules.as_deref()).and_then(|()| entry.write(&record)) else {
            return Ok(());
        };
        // The first error is the one to report.
        Err(match set(&before.undo(&cgroup), rules.is_some().then_some(old_rules.as_slice())) {
            Ok(()) => error,
            Err(left) => error.with_hint(format!("not all old limits could be restored: {}", left.report())),
        })
    }
}
