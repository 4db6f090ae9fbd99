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
    /// Sends `signal` to the container's first process. Signal 0 only checks that the process
    /// exists. SIGKILL for a container without a pid namespace of its own is sent to all processes
    /// of the container, because they would outlive init.
    ///
    /// Errors: [`ErrorKind::NotFound`]; [`ErrorKind::NotRunning`]: no process is left, or the
    /// container is being created; EINVAL: there is no such signal.
    pub fn kill(&self, signal: i32) -> Result<()> {
        let record = self.store.entry(&self.id)?.record()?;
        if record.phase == Phase::Creating {
            // Only `delete --force` ends an incomplete container.
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
        let sent = signal_init(&record, signal);
        // If the signal was sent, it is no error that a tracer delays the end of init, or that another
        // command has removed the cgroup by now. If it was not, init may have ended by itself.
        if let (Ok(()), Some(init)) = (&sent, init) {
            runtime_sys::ignore(ends(&record, &init));
        }
        runtime_sys::ignore(thaw_rest(&record));
        sent
    }
}

/// Thaws the cgroup of a container whose init has ended while the container was paused. A
/// process of exec may be left in it, frozen on its way into the container. A stopped container
/// cannot be resumed, so that process and its caller would wait for ever. A killed init
/// runs no more of its program: its signal is handled first.
fn thaw_rest(record: &Record) -> Result<()> {
    if !Cgroup::is_frozen(record.cgroup_path())? {
        return Ok(());
    }
    Cgroup::from_record(record.cgroup_path())?.map_or(Ok(()), |cgroup| cgroup.thaw())
}

/// Waits 20 ms for a killed init, and returns whether it has ended. If it has not, kills its
/// tracers (see [`end_tracers`]). No tracers are killed if init shares its pid namespace with
/// other containers or the host: they may not be the container's.
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

/// Kills every process of the container.
pub(super) fn kill_everything(record: &Record) -> Result<()> {
    // Both init and the cgroup are killed: init may have been moved to another cgroup, and the
    // container's processes need not be in init's pid namespace.
    record.init.signal(libc::SIGKILL)?;
    match Cgroup::from_record(record.cgroup_path())? {
        Some(cgroup) if cgroup.events()?.populated => cgroup.kill(),
        _ => Ok(()),
    }
}
