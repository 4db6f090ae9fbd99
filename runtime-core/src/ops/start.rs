// SPDX-License-Identifier: Apache-2.0
//! start(1): lets a created container execute its program.

use super::container::Container;
use super::delete::destroy_locked;
use super::state::status;
use crate::boundary::channel::START;
use crate::error::{Context, Error, ErrorKind, Result};
use crate::hook::HookKind;
use crate::marks::{Mark, Traced};
use crate::parent::{execution, hooks};
use crate::spec::{OCI_VERSION, StateDocument, Status};
use crate::state::record::{HookRecord, Record};
use crate::watch::Watch;
use runtime_sys::fd;

impl Container {
    /// Runs the startContainer hooks, starts the container's program, waits until the program has
    /// been executed, and runs the poststart hooks. If a hook fails, the container is stopped and
    /// destroyed. Of two concurrent calls, one fails.
    ///
    /// Errors: [`ErrorKind::NotFound`]; [`ErrorKind::InvalidState`]: the container does not wait to be
    /// started; [`ErrorKind::Hook`]; [`ErrorKind::NotExecuted`]: the program could not be executed,
    /// and the container has stopped.
    pub fn start(&self) -> Result<()> {
        let entry = self.store.entry(&self.id)?.lock_made("start")?;
        let record = entry.record()?;
        let refuse = |why: &str| Err(Error::new(ErrorKind::InvalidState, why));
        match status(&entry, &record)? {
            Status::Created => {}
            Status::Running => return refuse("cannot start an already running container"),
            Status::Stopped => {
                return refuse("cannot start a container that has stopped")
                    .map_err(|error| error.with_hint("it starts only once: delete it, and create it again"));
            }
            Status::Paused => return refuse("cannot start a container in the paused state"),
            Status::Creating => return refuse("cannot start a container that is being created"),
        }
        let Some(fifo) = entry.fifo()? else {
            return refuse("container init did not wait to be started: it has ended");
        };
        if !record.start_container.is_empty() && !record.allows_exec() {
            return refuse(
                "cannot run the startContainer hooks of a container that an older version of this \
                           runtime has made",
            );
        }
        // Opened before the hooks, which a repeated start would run again, and before the write, after
        // which the program runs and no failure can stop it.
        let answer = entry.open_fifo()?;
        if let Err(error) = self.start_container_hooks(&record, Watch::default()) {
            return Err(destroy_locked(error, entry, &record, Watch::default()));
        }
        fd::write_all(&fifo, START).context(|| "write exec.fifo").traced(Mark::WriteFifo)?;
        drop(fifo);
        // A fifo that stays has no reader, and so no meaning.
        runtime_sys::ignore(entry.remove_fifo());
        // The lock is released here: the container is no longer `created`, the hooks may operate
        // on it, and one of its processes may delay the execution.
        drop(entry);
        execution::by_fifo(&answer, record.init)?;
        self.poststart(&record, Watch::default())
            .map_err(|error| self.destroy_for(error, &record, Watch::default()))
    }

    /// Runs the poststart hooks.
    pub(super) fn poststart(&self, record: &Record, watch: Watch<'_>) -> Result<()> {
        let state = StateDocument {
            oci_version: OCI_VERSION,
            id: &record.id,
            status: Status::Running,
            pid: record.init.pid,
            bundle: &record.bundle,
            annotations: &record.annotations,
        };
        hooks::run(HookKind::Poststart, &HookRecord::hooks(&record.poststart), &state, watch)
    }
}
