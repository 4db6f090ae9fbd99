// SPDX-License-Identifier: Apache-2.0
//! events(1): a container's resource usage and its OOM kills.

use super::container::{Container, NO_CGROUP};
use super::state::status;
use crate::cgroup::record::CgroupRecord;
use crate::cgroup::stats::{Metrics, Stats};
use crate::cgroup::{Cgroup, parse_events};
use crate::error::{Context, Error, ErrorKind, Result};
use crate::spec::Status;
use runtime_sys::{Errno, fd};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

/// An event of a container.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// The container's resource usage.
    Stats(Box<Stats>),
    /// An OOM kill of a process of the container.
    OutOfMemory,
}

/// An iterator over the events of a container, until no process is left in it. `next` waits for
/// an event with poll(2).
#[derive(Debug)]
pub struct Events {
    cgroup: Cgroup,
    /// cgroup.events and, with the memory controller, memory.events.
    files: (OwnedFd, Option<OwnedFd>),
    kills: u64,
    interval: Duration,
    next_stats: Instant,
}

impl Container {
    /// Returns the container's resource usage in the format of runc.
    ///
    /// Errors: [`ErrorKind::NotFound`]; [`ErrorKind::NotRunning`], also if the cgroup is removed
    /// meanwhile; [`ErrorKind::Unsupported`]: the container has no cgroup of its own.
    pub fn stats(&self) -> Result<Stats> {
        self.running_cgroup()?.stats()
    }

    /// Returns the container's resource usage as the files of cgroup v2 have it; also that of a stopped
    /// container, if its cgroup still exists: systemd removes it at once.
    ///
    /// Errors: see [`stats`](Self::stats).
    pub fn metrics(&self) -> Result<Metrics> {
        self.own_cgroup(true)?.metrics()
    }

    /// Returns the events of the container, with its resource usage every `interval`
    /// (`Duration::MAX`: only OOM kills). OOM kills from this call on are events, so it should be called
    /// before the container is started.
    ///
    /// Errors: see [`stats`](Self::stats).
    pub fn events(&self, interval: Duration) -> Result<Events> {
        let cgroup = self.running_cgroup()?;
        let open = |name| fd::open(cgroup.dir(), name, libc::O_RDONLY, 0);
        let events = open(c"cgroup.events").context(|| "open cgroup.events")?;
        let memory = match open(c"memory.events") {
            Err(Errno::ENOENT) => None,
            other => Some(other.context(|| "open memory.events")?),
        };
        let kills = cgroup.memory_events().oom_kill;
        // A larger interval could overflow Instant.
        let interval = interval.min(Duration::from_secs(u32::MAX.into()));
        let next_stats = Instant::now() + interval;
        Ok(Events { cgroup, files: (events, memory), kills, interval, next_stats })
    }

    fn running_cgroup(&self) -> Result<Cgroup> {
        self.own_cgroup(false)
    }

    fn own_cgroup(&self, also_stopped: bool) -> Result<Cgroup> {
        let entry = self.store.entry(&self.id)?;
        let record = entry.record()?;
        let gone = || {
            let text = format!("container with id {} is not running", self.id);
            Error::new(ErrorKind::NotRunning, text)
        };
        match status(&entry, &record)? {
            Status::Stopped if !also_stopped => Err(gone()),
            _ if record.cgroup == CgroupRecord::None => Err(Error::new(ErrorKind::Unsupported, NO_CGROUP)),
            _ => Cgroup::from_record(record.cgroup_path())?.ok_or_else(gone),
        }
    }
}

/// The result of a check of a container's cgroup for events.
pub(super) enum EventCheck {
    /// An event has occurred.
    Event(Event),
    /// No process is left.
    End,
    /// Nothing has occurred. The resource usage is due after this time.
    Nothing(Duration),
}

impl Events {
    /// Checks for an event without waiting. The kernel reports the changes of the files since the
    /// last check.
    pub(super) fn check(&mut self) -> Result<EventCheck> {
        let populated = read(&self.files.0)?.is_some_and(|text| parse_events(&text).populated);
        if let Some(file) = &self.files.1
            && let Some(text) = read(file)?
        {
            let kills = crate::cgroup::keyed(&text, "oom_kill");
            if kills > self.kills {
                self.kills = kills;
                return Ok(EventCheck::Event(Event::OutOfMemory));
            }
        }
        if !populated {
            return Ok(EventCheck::End);
        }
        let left = self.next_stats.saturating_duration_since(Instant::now());
        if !left.is_zero() {
            return Ok(EventCheck::Nothing(left));
        }
        self.next_stats = Instant::now() + self.interval;
        match self.cgroup.stats() {
            // The cgroup has just been removed.
            Err(error) if error.kind() == ErrorKind::NotRunning || error.errno() == Some(libc::ENODEV) => {
                Ok(EventCheck::End)
            }
            other => Ok(EventCheck::Event(Event::Stats(Box::new(other?)))),
        }
    }

    /// Returns the files whose changes the kernel reports as POLLPRI (cgroups(7)).
    pub(super) fn files(&self) -> [Option<BorrowedFd<'_>>; 2] {
        let (events, memory) = &self.files;
        [Some(events.as_fd()), memory.as_ref().map(AsFd::as_fd)]
    }

    fn wait(&mut self) -> Result<Option<Event>> {
        loop {
            match self.check()? {
                EventCheck::Event(event) => return Ok(Some(event)),
                EventCheck::End => return Ok(None),
                EventCheck::Nothing(left) => {
                    let wait_ms = i32::try_from(left.as_millis()).unwrap_or(i32::MAX - 1) + 1;
                    let wanted = self.files().map(|file| Some((file?, libc::POLLPRI)));
                    fd::poll_many(wanted, wait_ms).context(|| "poll cgroup.events")?;
                }
            }
        }
    }
}

impl Iterator for Events {
    type Item = Result<Event>;

    fn next(&mut self) -> Option<Self::Item> {
        self.wait().transpose()
    }
}

/// Reads a file of a cgroup from its start; `None` if the cgroup was removed.
fn read(file: &OwnedFd) -> Result<Option<Vec<u8>>> {
    let mut text = [0; 4096];
    match fd::read_at_start(file, &mut text) {
        Ok(n) => Ok(Some(text.get(..n).unwrap_or_default().to_vec())),
        Err(Errno::ENODEV) => Ok(None),
        Err(errno) => Err(Error::os(errno, "read cgroup.events")),
    }
}
