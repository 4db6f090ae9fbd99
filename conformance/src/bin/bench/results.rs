// SPDX-License-Identifier: Apache-2.0
//! What was measured.

use crate::clock::Sample;
use crate::life::Operation;
use crate::scene::Scene;
use crate::subject::Subject;
use crate::yard::Yard;
use conformance::tally::{self, Tally};
use conformance::{Doing, Result};
use serde::Serialize;

/// Everything, as the JSON file has it.
#[derive(Debug, Serialize)]
pub(crate) struct Results {
    pub(crate) machine: Machine,
    pub(crate) rounds: usize,
    pub(crate) subjects: Vec<Measured>,
    pub(crate) entries: Vec<Entry>,
    pub(crate) private_memory: Vec<PrivateMemory>,
    pub(crate) parallel: Vec<Rate>,
}

#[derive(Debug, Serialize)]
pub(crate) struct Machine {
    pub(crate) kernel: String,
    pub(crate) architecture: String,
    pub(crate) processors: usize,
    pub(crate) processor: String,
}

#[derive(Debug, Serialize)]
pub(crate) struct Measured {
    pub(crate) name: String,
    pub(crate) bytes: u64,
}

/// One operation of one subject in one scene.
#[derive(Debug, Serialize)]
pub(crate) struct Entry {
    pub(crate) scene: Scene,
    pub(crate) operation: Operation,
    pub(crate) subject: String,
    /// Wall-clock microseconds, in the order of the rounds.
    pub(crate) wall_us: Vec<f64>,
    /// CPU microseconds.
    pub(crate) cpu_us: Vec<f64>,
    /// System calls and peak memory, of one run under ptrace(2).
    pub(crate) calls: Option<u64>,
    pub(crate) peak_kib: Option<u64>,
}

/// Of the init of a created container.
#[derive(Debug, Serialize)]
pub(crate) struct PrivateMemory {
    pub(crate) scene: Scene,
    pub(crate) subject: String,
    pub(crate) clean_kib: u64,
    pub(crate) dirty_kib: u64,
}

/// Containers in a second, in the order of the rounds.
#[derive(Debug, Serialize)]
pub(crate) struct Rate {
    pub(crate) subject: String,
    pub(crate) per_second: Vec<f64>,
}

impl std::ops::Add for Sample {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Sample { wall: self.wall + other.wall, cpu: self.cpu + other.cpu }
    }
}

/// The middle one; 0 if there are none.
pub(crate) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or_default()
}

/// The least; 0 if there are none.
pub(crate) fn minimum(values: &[f64]) -> f64 {
    values.iter().copied().min_by(f64::total_cmp).unwrap_or_default()
}

impl Results {
    pub(crate) fn new(subjects: &[Subject], rounds: usize) -> Result<Self> {
        let measured = |subject: &Subject| -> Result<Measured> {
            let bytes = std::fs::metadata(&subject.program).doing("program")?.len();
            Ok(Measured { name: subject.name.clone(), bytes })
        };
        let uname = nix::sys::utsname::uname().doing("uname")?;
        let cpuinfo = std::fs::read_to_string("/proc/cpuinfo").doing("cpuinfo")?;
        let processor = cpuinfo.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
        Ok(Results {
            machine: Machine {
                kernel: uname.release().to_string_lossy().into_owned(),
                architecture: uname.machine().to_string_lossy().into_owned(),
                processors: std::thread::available_parallelism().map_or(0, usize::from),
                processor: processor.map_or_else(String::new, |(_, name)| name.to_owned()),
            },
            rounds,
            subjects: subjects.iter().map(measured).collect::<Result<_>>()?,
            entries: Vec::new(),
            private_memory: Vec::new(),
            parallel: Vec::new(),
        })
    }

    fn entry(&mut self, scene: Scene, operation: Operation, yard: &Yard) -> Option<&mut Entry> {
        let subject = &yard.subject.name;
        let same = |e: &Entry| (e.scene, e.operation) == (scene, operation) && e.subject == *subject;
        let at = self.entries.iter().position(same).unwrap_or_else(|| {
            self.entries.push(Entry {
                scene,
                operation,
                subject: subject.clone(),
                wall_us: Vec::new(),
                cpu_us: Vec::new(),
                calls: None,
                peak_kib: None,
            });
            self.entries.len() - 1
        });
        self.entries.get_mut(at)
    }

    pub(crate) fn sample(&mut self, scene: Scene, operation: Operation, yard: &Yard, sample: Sample) {
        if let Some(entry) = self.entry(scene, operation, yard) {
            entry.wall_us.push(sample.wall);
            entry.cpu_us.push(sample.cpu);
        }
    }

    pub(crate) fn tally(&mut self, scene: Scene, operation: Operation, yard: &Yard, tally: Tally) {
        if let Some(entry) = self.entry(scene, operation, yard) {
            entry.calls = Some(tally.calls);
            entry.peak_kib = Some(tally.peak_kib);
        }
    }

    pub(crate) fn private_memory(&mut self, scene: Scene, yard: &Yard, memory: tally::PrivateMemory) {
        let subject = yard.subject.name.clone();
        let tally::PrivateMemory { clean_kib, dirty_kib } = memory;
        self.private_memory.push(PrivateMemory { scene, subject, clean_kib, dirty_kib });
    }

    pub(crate) fn rate(&mut self, yard: &Yard, rate: f64) {
        let subject = &yard.subject.name;
        match self.parallel.iter_mut().find(|entry| entry.subject == *subject) {
            Some(entry) => entry.per_second.push(rate),
            None => self.parallel.push(Rate { subject: subject.clone(), per_second: vec![rate] }),
        }
    }

    pub(crate) fn find(&self, scene: Scene, operation: Operation, subject: &str) -> Option<&Entry> {
        self.entries.iter().find(|e| (e.scene, e.operation) == (scene, operation) && e.subject == subject)
    }

    pub(crate) fn to_json(&self) -> Result<String> {
        serde_json::to_string(self).map(|text| text + "\n").doing("results")
    }
}
