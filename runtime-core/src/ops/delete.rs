// SPDX-License-Identifier: Apache-2.0
//! delete(1): removes a container.

use super::container::Container;
use super::host_mount;
use super::kill::{ends, kill_everything};
use super::process::Process;
use super::state::status;
use crate::cgroup::fs::{self, Occupants};
use crate::error::{Error, ErrorKind, Result, Warning};
use crate::hook::HookKind;
use crate::id::ContainerId;
use crate::marks::{Mark, Traced};
use crate::parent::hooks;
use crate::resctrl::Resctrl;
use crate::spec::{OCI_VERSION, StateDocument, Status};
use crate::state::entry::{Locked, StateEntry};
use crate::state::process::await_end;
use crate::state::record::{HookRecord, Phase, Record};
use crate::watch::Watch;
use std::time::Duration;

/// The time limit for init to end after it was killed, and for the holder of the lock to
/// release the lock.
const PATIENCE: Duration = Duration::from_secs(10);

/// The options of [`Container::delete`].
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DeleteOptions {
    force: bool,
}

impl DeleteOptions {
    /// Returns the options to delete a container that has stopped, or that was never started.
    pub fn new() -> Self {
        DeleteOptions::default()
    }

    /// Also deletes a container that is running, paused or incomplete, or whose record cannot be
    /// read. A missing container is then no error.
    #[must_use]
    pub fn force(mut self, force: bool) -> Self {
        self.force = force;
        self
    }
}

impl Container {
    /// Deletes the container: kills its processes if `options` allow that, removes its cgroup and
    /// its record, and runs the poststop hooks. A failing poststop hook is only a warning, because
    /// the container is already removed.
    ///
    /// Errors: [`ErrorKind::NotFound`]; [`ErrorKind::InvalidState`]: the container has not stopped,
    /// and `options` do not force the deletion. After an error the deletion can be repeated.
    pub fn delete(&self, options: DeleteOptions) -> Result<Vec<Warning>> {
        let DeleteOptions { force } = options;
        let nothing = Ok(Vec::new());
        let entry = match self.store.entry(&self.id) {
            Err(error) if force && error.kind() == ErrorKind::NotFound => return nothing,
            other => other?,
        };
        let entry = match entry.try_lock()? {
            Ok(entry) => entry,
            // A create or start in progress releases the lock when the container is killed.
            // A container that may not be deleted is refused without waiting.
            Err(entry) => {
                if let Ok(record) = entry.record() {
                    self.end(&entry, &record, force)?;
                }
                match entry.lock_within(PATIENCE)? {
                    Ok(entry) => entry,
                    // The lock's holder may be stopped (SIGSTOP), or hang on a dead disk.
                    Err(entry) if force => entry.seize(),
                    Err(_) => return Err(self.busy()),
                }
            }
        };
        let record = match entry.record() {
            Ok(record) => record,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                // The creation was interrupted before it made anything else.
                entry.remove()?;
                return if force { nothing } else { Err(error) };
            }
            Err(error) if force && error.kind() == ErrorKind::BadRecord => {
                let remains = entry.remains()?;
                if let Some(remains) = &remains {
                    remains.init.signal(libc::SIGKILL)?;
                    fs::remove(&remains.cgroup_path, remains.cgroup_made, Occupants::Kill)?;
                }
                entry.remove()?;
                let named = remains.is_some_and(|it| it.init.pid != 0 || !it.cgroup_path.is_empty());
                return Ok(if named { Vec::new() } else { vec![unnamed(&self.id)] });
            }
            Err(error) => return Err(error),
        };
        // Repeated after a wait: the container may have been created or started meanwhile.
        let occupants = self.end(&entry, &record, force)?;
        destroy(entry, &record, occupants, Watch::default())
    }

    /// Makes the error of an operation that cannot get the lock.
    fn busy(&self) -> Error {
        let text = format!("another operation on container {} does not end", self.id);
        Error::new(ErrorKind::InvalidState, text).with_hint("delete --force")
    }

    /// Kills the container's processes, if `force` or its status allows that.
    fn end(&self, entry: &StateEntry, record: &Record, force: bool) -> Result<Occupants> {
        match status(entry, record)? {
            Status::Stopped if !force => return Ok(occupants_of_stopped(record)),
            Status::Stopped => {}
            Status::Created => stop(record)?,
            _ if force => stop(record)?,
            status => {
                let text = format!("cannot delete container {} that is not stopped: {status}", self.id);
                return Err(Error::new(ErrorKind::InvalidState, text).with_hint("delete --force kills it"));
            }
        }
        Ok(Occupants::Kill)
    }

    /// Returns the container's entry, locked, and its present record, if the container is still the
    /// one that `record` describes.
    fn still_of(&self, record: &Record) -> Result<Option<(Locked, Record)>> {
        let Ok(entry) = self.store.entry(&self.id)?.lock_within(PATIENCE)? else { return Err(self.busy()) };
        let now = entry.record()?;
        Ok((now.init == record.init).then_some((entry, now)))
    }

    /// Ends and destroys the container that `record` describes, because of `error`
    /// (runtime.md, "Lifecycle", steps 12 and 13).
    pub(super) fn destroy_for(&self, error: Error, record: &Record, watch: Watch<'_>) -> Error {
        let destroyed = match self.still_of(record) {
            Ok(Some((entry, record))) => end_and_destroy(entry, &record, watch),
            Ok(None) => Ok(Vec::new()),
            Err(gone) if gone.kind() == ErrorKind::NotFound => Ok(Vec::new()),
            Err(other) => Err(other),
        };
        with_remains(error, destroyed)
    }
}

impl Process {
    /// Deletes the container whose first process this was, after [`wait`](Self::wait). Does nothing
    /// for another process, or if that container was deleted meanwhile, even if another container
    /// has its id now. A failing poststop hook is only a warning.
    ///
    /// Errors: [`ErrorKind::InvalidState`]: another operation on the container does not end.
    pub fn delete(self) -> Result<Vec<Warning>> {
        let watch = Watch::cancel(self.cancel());
        let Some(record) = self.record() else { return Ok(Vec::new()) };
        match self.container().still_of(record) {
            Ok(Some((entry, record))) => {
                let occupants = occupants_of_stopped(&record);
                destroy(entry, &record, occupants, watch)
            }
            Ok(None) => Ok(Vec::new()),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }
}

/// Does the same as [`Container::destroy_for`] with a lock that the caller holds.
pub(super) fn destroy_locked(error: Error, entry: Locked, record: &Record, watch: Watch<'_>) -> Error {
    with_remains(error, end_and_destroy(entry, record, watch))
}

fn end_and_destroy(entry: Locked, record: &Record, watch: Watch<'_>) -> Result<Vec<Warning>> {
    if entry.is_gone() {
        // A `delete --force` that has not waited for this lock has removed everything. Another
        // container may have the id and the cgroup by now.
        return Ok(Vec::new());
    }
    stop(record)?;
    destroy(entry, record, Occupants::Kill, watch)
}

/// Adds the warnings or the failure of the destruction to the error that caused it.
fn with_remains(error: Error, destroyed: Result<Vec<Warning>>) -> Error {
    match destroyed {
        Ok(warnings) => error.with_warnings(warnings),
        Err(left) => error.with_hint(format!("the container could not be destroyed: {}", left.report())),
    }
}

/// Returns the warning about a deleted container whose record names nothing to kill or to remove.
fn unnamed(id: &ContainerId) -> Warning {
    Warning(format!(
        "container {id}: its damaged state.json names neither a process nor a cgroup; they may still exist"
    ))
}

/// Returns how to treat processes in the cgroup of a stopped container. All processes of a pid
/// namespace are killed when its init ends. So if the container had its own, processes that
/// are still in its cgroup came from elsewhere.
fn occupants_of_stopped(record: &Record) -> Occupants {
    if record.shared_pid_namespace { Occupants::Kill } else { Occupants::Await }
}

/// Kills all processes of the container and waits until init has ended.
pub(super) fn stop(record: &Record) -> Result<()> {
    let init = record.init.open()?;
    kill_everything(record)?;
    let Some(pidfd) = init else { return Ok(()) };
    if ends(record, &pidfd)? || await_end(&pidfd, PATIENCE.as_millis() as i32)? {
        return Ok(());
    }
    let hint = "the kernel lets an init end after all processes of its pid namespace: a process of exec that \
                has ended may have to be waited for by the program that has started it";
    Err(Error::new(ErrorKind::System, "container init still running").with_hint(hint))
}

/// Removes everything that the record names, then runs the poststop hooks. If the cgroup
/// cannot be removed, the record stays, so that the deletion can be repeated.
fn destroy(entry: Locked, record: &Record, occupants: Occupants, watch: Watch<'_>) -> Result<Vec<Warning>> {
    let warning = record.driver().remove(occupants).traced(Mark::RemoveCgroup)?;
    let mut warnings: Vec<_> = warning.into_iter().collect();
    if let Err(error) = remove(entry, record) {
        return Err(error.with_warnings(warnings));
    }
    if record.phase == Phase::Creating {
        // Creation was never completed, so no poststop hook runs (runtime.md, "Lifecycle", step 13).
        return Ok(warnings);
    }
    warnings.extend(poststop(record, watch));
    Ok(warnings)
}

/// Removes everything but the cgroup, the record last.
fn remove(entry: Locked, record: &Record) -> Result<()> {
    host_mount::remove(record)?;
    if let Some(place) = &record.resctrl {
        match Resctrl::find() {
            Ok(resctrl) => resctrl.remove(place)?,
            // resctrl was unmounted, which removed all groups.
            Err(error) if error.kind() == ErrorKind::Unsupported => {}
            Err(error) => return Err(error),
        }
    }
    entry.remove().traced(Mark::RemoveRecord)
}

/// Runs the poststop hooks of a removed container, and returns their failures.
pub(super) fn poststop(record: &Record, watch: Watch<'_>) -> Vec<Warning> {
    let state = StateDocument {
        oci_version: OCI_VERSION,
        id: &record.id,
        status: Status::Stopped,
        pid: 0,
        bundle: &record.bundle,
        annotations: &record.annotations,
    };
    hooks::run_all(HookKind::Poststop, &HookRecord::hooks(&record.poststop), &state, watch)
}
