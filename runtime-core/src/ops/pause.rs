// SPDX-License-Identifier: Apache-2.0
//! pause(1) and resume(1): freezes a container, and thaws it.

use super::container::{Container, NO_CGROUP};
use super::state::status;
use crate::cgroup::Cgroup;
use crate::error::{Error, ErrorKind, Result};
use crate::spec::Status;

impl Container {
    /// Freezes every process of a running or created container, and waits up to 10 s until all are
    /// frozen. Processes that are in uninterruptible sleep for longer than that make it an error, and
    /// are thawed again.
    ///
    /// A container that is paused only because a cgroup above its own is frozen stays so when that one
    /// is thawed.
    ///
    /// Errors: [`ErrorKind::NotFound`]; [`ErrorKind::NotRunning`]: the container has stopped, or was
    /// paused; [`ErrorKind::Unsupported`]: the container has no cgroup of its own.
    pub fn pause(&self) -> Result<()> {
        let entry = self.store.entry(&self.id)?.lock_made("pause")?;
        let record = entry.record()?;
        let not_running = || Error::new(ErrorKind::NotRunning, "container not running");
        let status = status(&entry, &record)?;
        if !matches!(status, Status::Running | Status::Created | Status::Paused) {
            return Err(not_running());
        }
        let cgroup = cgroup(record.cgroup_path())?;
        if status == Status::Paused && cgroup.is_told_to_freeze()? {
            return Err(not_running());
        }
        cgroup.freeze()?;
        // Init may have ended meanwhile. A process of exec on its way in would stay frozen, because a
        // stopped container cannot be resumed.
        if !record.init.is_alive()? {
            cgroup.thaw()?;
            return Err(not_running());
        }
        Ok(())
    }

    /// Thaws a paused container, and one of which a `pause` was killed while it waited.
    ///
    /// Errors: [`ErrorKind::NotFound`]; [`ErrorKind::InvalidState`]: the container was not paused. It
    /// may be frozen by a cgroup above its own.
    pub fn resume(&self) -> Result<()> {
        let entry = self.store.entry(&self.id)?.lock_made("resume")?;
        let record = entry.record()?;
        let not_paused = || Error::new(ErrorKind::InvalidState, "container not paused");
        let status = status(&entry, &record)?;
        if !matches!(status, Status::Running | Status::Created | Status::Paused) {
            return Err(not_paused());
        }
        let Some(cgroup) = Cgroup::from_record(record.cgroup_path())? else { return Err(not_paused()) };
        if cgroup.is_told_to_freeze()? {
            return cgroup.thaw();
        }
        match status {
            Status::Paused => Err(not_paused().with_hint("a cgroup above the container's is frozen")),
            _ => Err(not_paused()),
        }
    }
}

fn cgroup(path: &str) -> Result<Cgroup> {
    if path.is_empty() {
        return Err(Error::new(ErrorKind::Unsupported, NO_CGROUP));
    }
    Cgroup::from_record(path)?
        .ok_or_else(|| Error::new(ErrorKind::InvalidState, format!("the container's cgroup {path} is gone")))
}
