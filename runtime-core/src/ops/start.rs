// SPDX-License-Identifier: Apache-2.0
//! start(1): gives a created container the word to execute its program.

use super::process::{Process, Written};
use super::state::status;
use super::{Container, delete};
use crate::config::hooks::Kind;
use crate::error::{Context, Error, ErrorKind, Result};
use crate::launch::hooks;
use crate::spec::{OCI_VERSION, StateDocument, Status};
use crate::state::record::Record;
use crate::sys::fd;
use crate::trace::{Mark, Traced};

impl Container {
    /// Runs the startContainer hooks, starts the container's program, and runs the
    /// poststart hooks when it has been executed. If a hook fails, the container is
    /// stopped. Of two that start at once, one fails.
    pub fn start(&self) -> Result<()> {
        let entry = self.store.entry(&self.id)?.lock()?;
        let record = entry.record()?;
        let refuse = |why: &str| Err(Error::new(ErrorKind::InvalidState, why));
        match status(&entry, &record)? {
            Status::Created => {}
            Status::Running => return refuse("cannot start an already running container"),
            Status::Stopped => return refuse("cannot start a container that has stopped"),
            Status::Paused => return refuse("cannot start a container in the paused state"),
            Status::Creating => return refuse("cannot start a container that is being created"),
        }
        let Some(fifo) = entry.fifo()? else {
            return refuse("container init did not wait to be started: it has ended");
        };
        self.start_container_hooks(&record).map_err(|error| stop(&record, error))?;
        fd::write_all(&fifo, b"0").context(|| "write exec.fifo").traced(Mark::WriteFifo)?;
        entry.remove_fifo()?;
        if record.poststart.is_empty() {
            return Ok(());
        }
        // The last reader of the fifo goes with execve, or with init.
        fd::poll(&fifo, 0, -1).context(|| "poll exec.fifo")?;
        // The hooks may use the container.
        drop(entry);
        self.poststart(&record)
    }

    /// The poststart hooks of a container that was made and started at once.
    pub fn finish_start(&self, process: &Process) -> Result<()> {
        match &process.written {
            Some(Written { record, .. }) if !record.poststart.is_empty() => {
                process.await_exec()?;
                self.poststart(record)
            }
            _ => Ok(()),
        }
    }

    /// Runs the hooks; if one fails, the container is stopped (runtime.md,
    /// "Lifecycle", step 9, since 1.3; earlier versions warned and went on).
    fn poststart(&self, record: &Record) -> Result<()> {
        let state = StateDocument {
            oci_version: OCI_VERSION,
            id: &record.id,
            status: Status::Running,
            pid: record.init.pid,
            bundle: &record.bundle,
            annotations: &record.annotations,
        };
        hooks::run(Kind::Poststart, &record.poststart, &state, None).map_err(|error| stop(record, error))
    }
}

/// Stops the container because of `error`.
fn stop(record: &Record, error: Error) -> Error {
    match delete::stop(record) {
        Ok(()) => error,
        Err(left) => error.with_hint(format!("the container could not be stopped: {}", left.report())),
    }
}
