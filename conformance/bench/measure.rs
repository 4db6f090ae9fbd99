// SPDX-License-Identifier: Apache-2.0
//! The measuring of contenders in a scenario.

use crate::clock::Clock;
use crate::contender::{Contender, Role};
use crate::lifecycle::{Operation, live};
use crate::parallel;
use crate::results::Results;
use crate::scenario::Scenario;
use crate::workdir::Workdir;
use conformance::tally::tally;
use conformance::{Doing, Result};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use std::path::Path;

const MOUNTS: usize = 5000;
const RECORDS: usize = 10_000;
const LISTED: usize = 1000;

impl Scenario {
    /// Measures all contenders in the scenario.
    pub(crate) fn measure(
        self,
        contenders: &[Contender],
        rounds: usize,
        ram: &Path,
        results: &mut Results,
    ) -> Result {
        let mut clock = Clock::new()?;
        let workdirs = contenders
            .iter()
            .map(|contender| Workdir::new(contender, self == Self::Filter, ram))
            .collect::<Result<Vec<_>>>()?;
        let long = (rounds / 4).max(3);
        match self {
            Self::Plain | Self::Filter => self.lives(&workdirs, rounds, &mut clock, results),
            Self::Mounts => {
                let table = MountTable::grow(MOUNTS)?;
                let measured = self.lives(&workdirs, long, &mut clock, results);
                table.shrink()?;
                measured
            }
            Self::Records => {
                for workdir in workdirs.iter().filter(|workdir| workdir.contender.role == Role::Runtime) {
                    copy_records(workdir, RECORDS, ListedState::Stopped, &mut clock)?;
                }
                self.lives(&workdirs, long, &mut clock, results)
            }
            Self::List => self.list(&workdirs, long, &mut clock, results),
            Self::Parallel => {
                for round in 0..=long.min(10) {
                    for workdir in
                        order(&workdirs, round).filter(|workdir| workdir.contender.role != Role::Nothing)
                    {
                        let rate = parallel::rate(workdir, &mut clock)?;
                        if round > 0 {
                            results.rate(workdir, rate);
                        }
                    }
                }
                Ok(())
            }
        }
    }

    fn lives(self, workdirs: &[Workdir], rounds: usize, clock: &mut Clock, results: &mut Results) -> Result {
        for workdir in workdirs {
            let memory = live(workdir, "traced", &mut |operation, command, payload| {
                let tally = tally(&command, &payload)?;
                results.tally(self, operation, workdir, tally);
                Ok(())
            })?;
            if let Some(memory) = memory {
                results.private_memory(self, workdir, memory);
            }
        }
        // The first round fills caches.
        for round in 0..=rounds {
            for workdir in order(workdirs, round) {
                let mut created = None;
                live(workdir, "timed", &mut |operation, mut command, _| {
                    let sample = clock.time(&mut command)?;
                    if round == 0 {
                        return Ok(());
                    }
                    results.sample(self, operation, workdir, sample);
                    match (operation, created) {
                        (Operation::Create, _) => created = Some(sample),
                        (Operation::Start, Some(created)) => {
                            results.sample(self, Operation::CreateStart, workdir, created + sample);
                        }
                        _ => {}
                    }
                    Ok(())
                })?;
            }
        }
        Ok(())
    }

    fn list(self, workdirs: &[Workdir], rounds: usize, clock: &mut Clock, results: &mut Results) -> Result {
        let workdirs: Vec<_> =
            workdirs.iter().filter(|workdir| workdir.contender.role == Role::Runtime).collect();
        for workdir in &workdirs {
            copy_records(workdir, LISTED, ListedState::Running, clock)?;
        }
        for round in 0..=rounds {
            for workdir in order(&workdirs, round) {
                let sample = clock.time(&mut workdir.command(&["list"]))?;
                if round > 0 {
                    results.sample(self, Operation::List, workdir, sample);
                }
            }
        }
        for workdir in workdirs {
            results.tally(
                self,
                Operation::List,
                workdir,
                tally(&workdir.command(&["list"]), &workdir.payload())?,
            );
            clock.time(&mut workdir.command(&["delete", "--force", &record_id(workdir, 0)]))?;
        }
        Ok(())
    }
}

/// Rotates the contenders, so that each round begins with another one.
fn order<T>(contenders: &[T], round: usize) -> impl Iterator<Item = &T> {
    let first = round % contenders.len().max(1);
    contenders.iter().cycle().skip(first).take(contenders.len())
}

/// A tmpfs, until it is dropped.
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
        // The mount namespace ends with this program anyway.
        let _unmounted = umount2(self.0.path(), MntFlags::MNT_DETACH);
    }
}

/// Bind mounts on a tmpfs, which only make the mount table long.
struct MountTable(tempfile::TempDir);

impl MountTable {
    fn grow(count: usize) -> Result<Self> {
        let top = tempfile::tempdir().doing("temporary directory")?;
        mount(Some("tmpfs"), top.path(), Some("tmpfs"), MsFlags::empty(), None::<&str>).doing("mount")?;
        for n in 0..count {
            let dir = top.path().join(n.to_string());
            std::fs::create_dir(&dir).doing("mkdir")?;
            mount(Some(&dir), &dir, None::<&str>, MsFlags::MS_BIND, None::<&str>).doing("mount")?;
        }
        Ok(MountTable(top))
    }

    fn shrink(self) -> Result {
        umount2(self.0.path(), MntFlags::MNT_DETACH).doing("umount")
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ListedState {
    Running,
    Stopped,
}

/// Returns an id that differs between contenders: equal ids would share a cgroup.
fn record_id(workdir: &Workdir, n: usize) -> String {
    format!("{}-{n:05}", workdir.contender.name)
}

/// Makes one container, and copies its state directory to other ids.
fn copy_records(workdir: &Workdir, count: usize, state: ListedState, clock: &mut Clock) -> Result {
    let first = record_id(workdir, 0);
    clock.time(&mut workdir.create(&first))?;
    clock.time(&mut workdir.command(&["start", &first]))?;
    if state == ListedState::Stopped {
        clock.time(&mut workdir.command(&["kill", &first, "KILL"]))?;
        let pid = nix::unistd::Pid::from_raw(workdir.pid()?);
        nix::sys::wait::waitpid(pid, None).doing("waitpid")?;
    }
    let from = workdir.root().join(&first);
    for n in 1..count {
        let name = record_id(workdir, n);
        let to = workdir.root().join(&name);
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
