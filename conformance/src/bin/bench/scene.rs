// SPDX-License-Identifier: Apache-2.0
//! Under which conditions it is measured.

use crate::clock::Clock;
use crate::life::{Operation, live};
use crate::parallel;
use crate::results::Results;
use crate::subject::{Role, Subject};
use crate::yard::Yard;
use conformance::tally::tally;
use conformance::{Doing, Result};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// The conditions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Scene {
    /// A host with nothing on it.
    Plain,
    /// With Docker's default system call filter.
    Filter,
    /// With 5,000 mounts on the host.
    Mounts,
    /// With 10,000 other containers in the state directory.
    Records,
    /// `list` of 1,000 containers.
    List,
    /// 60 runs, 4 at a time.
    Parallel,
}

const MOUNTS: usize = 5000;
const RECORDS: usize = 10_000;
const LISTED: usize = 1000;

impl Scene {
    pub(crate) const ALL: [Self; 6] =
        [Self::Plain, Self::Filter, Self::Mounts, Self::Records, Self::List, Self::Parallel];

    pub(crate) fn parse(name: &str) -> Result<Self> {
        let found = Self::ALL.into_iter().find(|scene| scene.name() == name);
        found.ok_or(format!("no scene {name}: {}", Self::ALL.map(Self::name).join(", ")))
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Filter => "filter",
            Self::Mounts => "mounts",
            Self::Records => "records",
            Self::List => "list",
            Self::Parallel => "parallel",
        }
    }

    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Plain => "The bundle of `runc spec`",
            Self::Filter => "With Docker's default system call filter",
            Self::Mounts => "With 5,000 mounts on the host",
            Self::Records => "With 10,000 other state directories",
            Self::List => "`list` of 1,000 running containers",
            Self::Parallel => "60 runs, 4 at a time",
        }
    }

    /// Measures all subjects in the scene.
    pub(crate) fn measure(
        self,
        subjects: &[Subject],
        rounds: usize,
        ram: &Path,
        results: &mut Results,
    ) -> Result {
        let mut clock = Clock::new()?;
        let yards = subjects
            .iter()
            .map(|subject| Yard::new(subject, self == Self::Filter, ram))
            .collect::<Result<Vec<_>>>()?;
        let long = (rounds / 4).max(3);
        match self {
            Self::Plain | Self::Filter => self.lives(&yards, rounds, &mut clock, results),
            Self::Mounts => {
                let table = Table::grow(MOUNTS)?;
                let measured = self.lives(&yards, long, &mut clock, results);
                table.shrink()?;
                measured
            }
            Self::Records => {
                for yard in yards.iter().filter(|yard| yard.subject.role == Role::Runtime) {
                    copy_records(yard, RECORDS, State::Stopped, &mut clock)?;
                }
                self.lives(&yards, long, &mut clock, results)
            }
            Self::List => self.list(&yards, long, &mut clock, results),
            Self::Parallel => {
                for round in 0..=long.min(10) {
                    for yard in order(&yards, round).filter(|yard| yard.subject.role != Role::Nothing) {
                        let rate = parallel::rate(yard, &mut clock)?;
                        if round > 0 {
                            results.rate(yard, rate);
                        }
                    }
                }
                Ok(())
            }
        }
    }

    fn lives(self, yards: &[Yard], rounds: usize, clock: &mut Clock, results: &mut Results) -> Result {
        for yard in yards {
            let memory = live(yard, "traced", &mut |operation, command, payload| {
                let tally = tally(&command, &payload)?;
                results.tally(self, operation, yard, tally);
                Ok(())
            })?;
            if let Some(memory) = memory {
                results.private_memory(self, yard, memory);
            }
        }
        // The first round fills caches.
        for round in 0..=rounds {
            for yard in order(yards, round) {
                let mut created = None;
                live(yard, "timed", &mut |operation, mut command, _| {
                    let sample = clock.time(&mut command)?;
                    if round == 0 {
                        return Ok(());
                    }
                    results.sample(self, operation, yard, sample);
                    match (operation, created) {
                        (Operation::Create, _) => created = Some(sample),
                        (Operation::Start, Some(created)) => {
                            results.sample(self, Operation::CreateStart, yard, created + sample);
                        }
                        _ => {}
                    }
                    Ok(())
                })?;
            }
        }
        Ok(())
    }

    fn list(self, yards: &[Yard], rounds: usize, clock: &mut Clock, results: &mut Results) -> Result {
        let yards: Vec<_> = yards.iter().filter(|yard| yard.subject.role == Role::Runtime).collect();
        for yard in &yards {
            copy_records(yard, LISTED, State::Running, clock)?;
        }
        for round in 0..=rounds {
            for yard in order(&yards, round) {
                let sample = clock.time(&mut yard.command(&["list"]))?;
                if round > 0 {
                    results.sample(self, Operation::List, yard, sample);
                }
            }
        }
        for yard in yards {
            results.tally(self, Operation::List, yard, tally(&yard.command(&["list"]), &yard.payload())?);
            clock.time(&mut yard.command(&["delete", "--force", &record_id(yard, 0)]))?;
        }
        Ok(())
    }
}

/// Another subject first in each round.
fn order<T>(subjects: &[T], round: usize) -> impl Iterator<Item = &T> {
    let first = round % subjects.len().max(1);
    subjects.iter().cycle().skip(first).take(subjects.len())
}

/// A directory in memory.
pub(crate) struct Ram(tempfile::TempDir);

impl Ram {
    pub(crate) fn new() -> Result<Self> {
        let dir = tempfile::tempdir().doing("temporary directory")?;
        mount(Some("tmpfs"), dir.path(), Some("tmpfs"), MsFlags::empty(), None::<&str>).doing("mount")?;
        Ok(Ram(dir))
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for Ram {
    fn drop(&mut self) {
        // The mount namespace goes with this program anyway.
        let _unmounted = umount2(self.0.path(), MntFlags::MNT_DETACH);
    }
}

/// Mounts that are in nobody's way.
struct Table(tempfile::TempDir);

impl Table {
    fn grow(count: usize) -> Result<Self> {
        let top = tempfile::tempdir().doing("temporary directory")?;
        mount(Some("tmpfs"), top.path(), Some("tmpfs"), MsFlags::empty(), None::<&str>).doing("mount")?;
        for n in 0..count {
            let dir = top.path().join(n.to_string());
            std::fs::create_dir(&dir).doing("mkdir")?;
            mount(Some(&dir), &dir, None::<&str>, MsFlags::MS_BIND, None::<&str>).doing("mount")?;
        }
        Ok(Table(top))
    }

    fn shrink(self) -> Result {
        umount2(self.0.path(), MntFlags::MNT_DETACH).doing("umount")
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Running,
    Stopped,
}

/// Not the same for two subjects, whose cgroups would be the same.
fn record_id(yard: &Yard, n: usize) -> String {
    format!("{}-{n:05}", yard.subject.name)
}

/// Makes one container, and copies of its state under other names.
fn copy_records(yard: &Yard, count: usize, state: State, clock: &mut Clock) -> Result {
    let first = record_id(yard, 0);
    clock.time(&mut yard.create(&first))?;
    clock.time(&mut yard.command(&["start", &first]))?;
    if state == State::Stopped {
        clock.time(&mut yard.command(&["kill", &first, "KILL"]))?;
        let pid = nix::unistd::Pid::from_raw(yard.pid()?);
        nix::sys::wait::waitpid(pid, None).doing("waitpid")?;
    }
    let from = yard.root().join(&first);
    for n in 1..count {
        let name = record_id(yard, n);
        let to = yard.root().join(&name);
        std::fs::create_dir(&to).doing("mkdir")?;
        for entry in std::fs::read_dir(&from).doing("state directory")?.flatten() {
            if entry.file_type().is_ok_and(|kind| kind.is_file()) {
                let text = std::fs::read_to_string(entry.path()).doing("state file")?;
                std::fs::write(to.join(entry.file_name()), text.replace(&first, &name))
                    .doing("state file")?;
            }
        }
    }
    Ok(())
}
