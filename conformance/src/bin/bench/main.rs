// SPDX-License-Identifier: Apache-2.0
//! Measures runtimes beside each other: `bench [FLAGS] [NAME=]PATH...`
//!
//! Everything is interleaved: in each round every runtime does everything once,
//! in another order each time, so that what else the machine does meets all
//! alike. Wall-clock times of a shared machine are noise around a minimum; system
//! calls, memory and CPU time are not, and stand beside them. State directories
//! are on a tmpfs, as /run is, and bundles where temporary files are.
//!
//! | flag | |
//! |---|---|
//! | `--rounds N` | how often (40; scenes that take long to set up: a quarter) |
//! | `--scene NAME` | only this scene; may be repeated |
//! | `--json FILE` | everything that was measured |
//! | `--markdown FILE` | as tables |
//! | `--svg DIRECTORY` | as plots |
//! | `--measures NAME=DIRECTORY` | the floor and "nothing" of another build, too; may be repeated |
#![allow(clippy::disallowed_methods, clippy::print_stdout, clippy::print_stderr)]

mod clock;
mod filter;
mod life;
mod parallel;
mod plot;
mod results;
mod scene;
mod subject;
mod table;
mod yard;

use conformance::{Doing, Result, ensure};
use results::Results;
use scene::Scene;
use std::path::PathBuf;
use std::process::ExitCode;
use subject::Subject;

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
    scenes: Vec<Scene>,
    json: Option<PathBuf>,
    markdown: Option<PathBuf>,
    svg: Option<PathBuf>,
    runtimes: Vec<Subject>,
    measures: Vec<Subject>,
}

impl Arguments {
    fn parse(mut args: impl Iterator<Item = String>) -> Result<Self> {
        let mut parsed = Arguments {
            rounds: 40,
            scenes: vec![],
            json: None,
            markdown: None,
            svg: None,
            runtimes: vec![],
            measures: Subject::measures()?.into(),
        };
        while let Some(arg) = args.next() {
            let mut value = || args.next().ok_or(format!("{arg} needs a value"));
            match arg.as_str() {
                "--rounds" => parsed.rounds = value()?.parse().doing("--rounds")?,
                "--scene" => parsed.scenes.push(Scene::parse(&value()?)?),
                "--json" => parsed.json = Some(value()?.into()),
                "--markdown" => parsed.markdown = Some(value()?.into()),
                "--svg" => parsed.svg = Some(value()?.into()),
                "--measures" => {
                    parsed.measures.extend(Subject::measures_of(&value()?).doing("--measures")?);
                }
                other if other.starts_with('-') => return Err(format!("unknown flag {other}")),
                runtime => parsed.runtimes.push(Subject::runtime(runtime)?),
            }
        }
        ensure!(!parsed.runtimes.is_empty(), "no runtime given: bench [NAME=]PATH...");
        if parsed.scenes.is_empty() {
            parsed.scenes = Scene::ALL.to_vec();
        }
        Ok(parsed)
    }

    fn run(self) -> Result {
        conformance::host::isolate()?;
        conformance::host::unify_cgroups()?;
        let ram = scene::Ram::new()?;
        let mut subjects = self.runtimes;
        subjects.extend(self.measures);
        let mut results = Results::new(&subjects, self.rounds)?;
        for scene in self.scenes {
            eprintln!("bench: {}", scene.title());
            scene.measure(&subjects, self.rounds, ram.path(), &mut results)?;
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
