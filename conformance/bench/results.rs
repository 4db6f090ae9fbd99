// SPDX-License-Identifier: Apache-2.0
//! The results of a benchmark.

use crate::clock::Sample;
use crate::contender::Contender;
use crate::lifecycle::Operation;
use crate::scenario::Scenario;
use crate::workdir::Workdir;
use conformance::tally::{self, Tally};
use conformance::{Doing, Result};
use serde::Serialize;

/// All results, as the JSON file has them.
#[derive(Debug, Serialize)]
pub(crate) struct Results {
    pub(crate) machine: Machine,
    pub(crate) rounds: usize,
    pub(crate) contenders: Vec<Measured>,
    pub(crate) entries: Vec<Measurement>,
    pub(crate) private_memory: Vec<InitMemory>,
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

/// One operation of one contender in one scenario.
#[derive(Debug, Serialize)]
pub(crate) struct Measurement {
    pub(crate) scenario: Scenario,
    pub(crate) operation: Operation,
    pub(crate) contender: String,
    /// Wall-clock microseconds, in the order of the rounds.
    pub(crate) wall_us: Vec<f64>,
    /// CPU microseconds.
    pub(crate) cpu_us: Vec<f64>,
    /// System calls and peak memory, of one run under ptrace(2).
    pub(crate) calls: Option<u64>,
    pub(crate) peak_kib: Option<u64>,
}

/// Memory of the init of a created container.
#[derive(Debug, Serialize)]
pub(crate) struct InitMemory {
    pub(crate) scenario: Scenario,
    pub(crate) contender: String,
    pub(crate) clean_kib: u64,
    pub(crate) dirty_kib: u64,
}

/// Containers per second, in the order of the rounds.
#[derive(Debug, Serialize)]
pub(crate) struct Rate {
    pub(crate) contender: String,
    pub(crate) per_second: Vec<f64>,
}

impl std::ops::Add for Sample {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Sample { wall: self.wall + other.wall, cpu: self.cpu + other.cpu }
    }
}

/// Returns the median, 0 for no values.
pub(crate) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or_default()
}

/// Returns the minimum, 0 for no values.
pub(crate) fn minimum(values: &[f64]) -> f64 {
    values.iter().copied().min_by(f64::total_cmp).unwrap_or_default()
}

impl Results {
    pub(crate) fn new(contenders: &[Contender], rounds: usize) -> Result<Self> {
        let measured = |contender: &Contender| -> Result<Measured> {
            let bytes = std::fs::metadata(&contender.program).doing("program")?.len();
            Ok(Measured { name: contender.name.clone(), bytes })
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
            contenders: contenders.iter().map(measured).collect::<Result<_>>()?,
            entries: Vec::new(),
            private_memory: Vec::new(),
            parallel: Vec::new(),
        })
    }

    fn entry(
        &mut self,
        scenario: Scenario,
        operation: Operation,
        workdir: &Workdir,
    ) -> Option<&mut Measurement> {
        let contender = &workdir.contender.name;
        let same =
            |e: &Measurement| (e.scenario, e.operation) == (scenario, operation) && e.contender == *contender;
        let at = self.entries.iter().position(same).unwrap_or_else(|| {
            self.entries.push(Measurement {
                scenario,
                operation,
                contender: contender.clone(),
                wall_us: Vec::new(),
                cpu_us: Vec::new(),
                calls: None,
                peak_kib: None,
            });
            self.entries.len() - 1
        });
        self.entries.get_mut(at)
    }

    pub(crate) fn sample(
        &mut self,
        scenario: Scenario,
        operation: Operation,
        workdir: &Workdir,
        sample: Sample,
    ) {
        if let Some(entry) = self.entry(scenario, operation, workdir) {
            entry.wall_us.push(sample.wall);
            entry.cpu_us.push(sample.cpu);
        }
    }

    pub(crate) fn tally(
        &mut self,
        scenario: Scenario,
        operation: Operation,
        workdir: &Workdir,
        tally: Tally,
    ) {
        if let Some(entry) = self.entry(scenario, operation, workdir) {
            entry.calls = Some(tally.calls);
            entry.peak_kib = Some(tally.peak_kib);
        }
    }

    pub(crate) fn private_memory(
        &mut self,
        scenario: Scenario,
        workdir: &Workdir,
        memory: tally::PrivateMemory,
    ) {
        let contender = workdir.contender.name.clone();
        let tally::PrivateMemory { clean_kib, dirty_kib } = memory;
        self.private_memory.push(InitMemory { scenario, contender, clean_kib, dirty_kib });
    }

    pub(crate) fn rate(&mut self, workdir: &Workdir, rate: f64) {
        let contender = &workdir.contender.name;
        match self.parallel.iter_mut().find(|entry| entry.contender == *contender) {
            Some(entry) => entry.per_second.push(rate),
            None => self.parallel.push(Rate { contender: contender.clone(), per_second: vec![rate] }),
        }
    }

    pub(crate) fn find(
        &self,
        scenario: Scenario,
        operation: Operation,
        contender: &str,
    ) -> Option<&Measurement> {
        self.entries
            .iter()
            .find(|e| (e.scenario, e.operation) == (scenario, operation) && e.contender == contender)
    }

    pub(crate) fn to_json(&self) -> Result<String> {
        serde_json::to_string(self).map(|text| text + "\n").doing("results")
    }
}
