// SPDX-License-Identifier: Apache-2.0
//! kill(1): sends a signal to a container's first process.

use super::Container;
use crate::cgroup::Cgroup;
use crate::error::{Error, ErrorKind, Result};
use crate::state::process::{ProcessId, await_end, end_tracers};
use crate::state::record::{Phase, Record};
use crate::trace::{Mark, Traced};
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
        let Some(init) = record.init.open()?.filter(|_| signal == libc::SIGKILL) else {
            return signal_init(&record, signal);
        };
        signal_init(&record, signal)?;
        ends(&record.init, &init).map(drop)
    }
}

/// Whether an init that was killed ends soon. If it does not, what keeps it there is ended.
pub(super) fn ends(init: &ProcessId, pidfd: &OwnedFd) -> Result<bool> {
    const SOON_MS: i32 = 20;
    let ended = await_end(pidfd, SOON_MS)?;
    if !ended {
        end_tracers(init.pid)?;
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
