// SPDX-License-Identifier: Apache-2.0
//! Measures runtimes beside each other: `bench [FLAGS] [NAME=]PATH...`
//!
//! The measurements are interleaved: in each round every runtime runs every operation once, in an
//! order that changes from round to round, so that other load on the machine affects all of them
//! alike. Wall-clock times on a shared machine are a minimum plus noise; the counts of system
//! calls, the memory and the CPU time beside them are steadier. State directories are on a tmpfs,
//! like /run; bundles are where temporary files are.
//!
//! | flag | |
//! |---|---|
//! | `--rounds N` | how often (40; scenarios that take long to set up: a quarter) |
//! | `--scenario NAME` | only this scenario; may be repeated |
//! | `--json FILE` | everything that was measured |
//! | `--markdown FILE` | as tables |
//! | `--svg DIRECTORY` | as plots |
//! | `--timeline FILE` | only draws a trace that a runtime wrote (`--trace`) to DIRECTORY/timeline.svg |
//! | `--measures NAME=DIRECTORY` | the floor and "nothing" of another build, too; may be repeated |
#![allow(clippy::disallowed_methods, clippy::print_stdout, clippy::print_stderr)]

mod clock;
mod contender;
mod filter;
mod lifecycle;
mod measure;
mod parallel;
mod plot;
mod results;
mod scenario;
mod table;
mod timeline;
mod workdir;

use conformance::{Doing, Result, ensure};
use contender::Contender;
use results::Results;
use scenario::Scenario;
use std::path::PathBuf;
use std::process::ExitCode;

fn main() -> ExitCode {
    match Arguments::parse(std::env::args().skip(1)).and_then(Arguments::run) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}

#[derive(Debug)]
struct Arguments {
    rounds: usize,
    scenarios: Vec<Scenario>,
    json: Option<PathBuf>,
    markdown: Option<PathBuf>,
    svg: Option<PathBuf>,
    timeline: Option<PathBuf>,
    runtimes: Vec<Contender>,
    measures: Vec<Contender>,
}

impl Arguments {
    fn parse(mut args: impl Iterator<Item = String>) -> Result<Self> {
        let mut parsed = Arguments {
            rounds: 40,
            scenarios: vec![],
            json: None,
            markdown: None,
            svg: None,
            timeline: None,
            runtimes: vec![],
            measures: Contender::measures()?.into(),
        };
        while let Some(arg) = args.next() {
            let mut value = || args.next().ok_or(format!("{arg} needs a value"));
            match arg.as_str() {
                "--rounds" => parsed.rounds = value()?.parse().doing("--rounds")?,
                "--scenario" => parsed.scenarios.push(Scenario::parse(&value()?)?),
                "--json" => parsed.json = Some(value()?.into()),
                "--markdown" => parsed.markdown = Some(value()?.into()),
                "--svg" => parsed.svg = Some(value()?.into()),
                "--timeline" => parsed.timeline = Some(value()?.into()),
                "--measures" => {
                    parsed.measures.extend(Contender::measures_of(&value()?).doing("--measures")?);
                }
                other if other.starts_with('-') => return Err(format!("unknown flag {other}")),
                runtime => parsed.runtimes.push(Contender::runtime(runtime)?),
            }
        }
        ensure!(parsed.timeline.is_none() || parsed.svg.is_some(), "--timeline needs --svg DIRECTORY");
        ensure!(
            parsed.timeline.is_some() || !parsed.runtimes.is_empty(),
            "no runtime given: bench [NAME=]PATH..."
        );
        if parsed.scenarios.is_empty() {
            parsed.scenarios = Scenario::ALL.to_vec();
        }
        Ok(parsed)
    }

    fn run(self) -> Result {
        if let (Some(trace), Some(directory)) = (&self.timeline, &self.svg) {
            return timeline::write(trace, directory);
        }
        conformance::host::isolate()?;
        conformance::host::unify_cgroups()?;
        let ram = measure::Ram::new()?;
        let mut contenders = self.runtimes;
        contenders.extend(self.measures);
        let mut results = Results::new(&contenders, self.rounds)?;
        for scenario in self.scenarios {
            eprintln!("bench: {}", scenario.title());
            scenario.measure(&contenders, self.rounds, ram.path(), &mut results)?;
        }
        let tables = table::all(&results);
        println!("{tables}");
        if let Some(path) = self.markdown {
            std::fs::write(path, tables).doing("--markdown")?;
        }
        if let Some(path) = self.json {
            std::fs::write(path, results.to_json()?).doing("--json")?;
        }
        if let Some(directory) = self.svg {
            plot::write_all(&directory, &results)?;
        }
        Ok(())
    }
}
