// SPDX-License-Identifier: Apache-2.0
//! kill(1): sends a signal to a container's first process.

use super::container::Container;
use crate::cgroup::Cgroup;
use crate::error::{Error, ErrorKind, Result};
use crate::marks::{Mark, Traced};
use crate::state::process::{await_end, end_tracers};
use crate::state::record::{Phase, Record};
use std::os::fd::OwnedFd;

impl Container {
    /// Sends `signal` to the container's first process; 0 only asks whether it
    /// is there. SIGKILL for a container without a pid namespace of its own goes
    /// to all its processes, which would otherwise live on. [`ErrorKind::NotRunning`]
    /// if there is nothing to send it to.
    pub fn kill(&self, signal: i32) -> Result<()> {
        let record = self.store.entry(&self.id)?.record()?;
        if record.phase == Phase::Creating {
            // Half a container is for `delete --force` to end.
            let text = "container not running: it is being created";
            return Err(Error::new(ErrorKind::NotRunning, text));
        }
        if signal == libc::SIGKILL && record.shared_pid_namespace {
            let cgroup = Cgroup::from_record(record.cgroup_path())?;
            return match cgroup {
                Some(cgroup) if cgroup.events()?.populated => cgroup.kill(),
                _ => signal_init(&record, signal),
            };
        }
        if signal != libc::SIGKILL {
            return signal_init(&record, signal);
        }
        let init = record.init.open()?;
        signal_init(&record, signal)?;
        if let Some(init) = init {
            // The signal was sent. A tracer that keeps init is no failure of that.
            drop(ends(&record, &init));
        }
        Ok(())
    }
}

/// Waits a moment for an init that was killed, and returns whether it has ended. If it has not,
/// its tracers are ended; but none where init shares its pid namespace with other containers or
/// the host, whose processes they may be.
pub(super) fn ends(record: &Record, init: &OwnedFd) -> Result<bool> {
    const SOON_MS: i32 = 20;
    let ended = await_end(init, SOON_MS)?;
    if !ended && !record.shared_pid_namespace {
        end_tracers(record.init.pid, init)?;
    }
    Ok(ended)
}

fn signal_init(record: &Record, signal: i32) -> Result<()> {
    if record.init.signal(signal).traced(Mark::Signal)? {
        Ok(())
    } else {
        Err(Error::new(ErrorKind::NotRunning, "container not running"))
    }
}

/// Ends every process that belongs to the container.
pub(super) fn kill_everything(record: &Record) -> Result<()> {
    // By both: init may have been moved to another cgroup, and others may have
    // left its pid namespace.
    record.init.signal(libc::SIGKILL)?;
    match Cgroup::from_record(record.cgroup_path())? {
        Some(cgroup) if cgroup.events()?.populated => cgroup.kill(),
        _ => Ok(()),
    }
}
