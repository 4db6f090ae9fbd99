// SPDX-License-Identifier: Apache-2.0
//! One command, timed.

use conformance::{Doing, Result, ensure};
use nix::sys::resource::{UsageWho, getrusage};
use std::fs::File;
use std::io::{Read, Seek};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// The costs of one command, in microseconds.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sample {
    /// The time from before the fork to after the end.
    pub(crate) wall: f64,
    /// CPU time of the command and of the children that it has reaped.
    pub(crate) cpu: f64,
}

/// The clock, with the file that commands write to, as a supervisor would give it. The file is
/// shown if a command fails.
#[derive(Debug)]
pub(crate) struct Clock {
    output: File,
}

impl Clock {
    pub(crate) fn new() -> Result<Self> {
        Ok(Clock { output: tempfile::tempfile().doing("temporary file")? })
    }

    /// Lets the command write to the file, and read nothing.
    pub(crate) fn connect(&self, command: &mut Command) -> Result {
        let output = || self.output.try_clone().doing("dup");
        command.stdin(Stdio::null()).stdout(output()?).stderr(output()?);
        Ok(())
    }

    /// Runs a command that must succeed.
    pub(crate) fn time(&mut self, command: &mut Command) -> Result<Sample> {
        self.connect(command)?;
        let cpu = cpu()?;
        let start = Instant::now();
        let status = command.status().doing(&format!("{command:?}"))?;
        let wall = start.elapsed();
        let sample = Sample { wall: micros(wall), cpu: cpu_since(cpu)? };
        if !status.success() {
            return Err(format!("{command:?}: {status}\n{}", self.text()));
        }
        self.output.set_len(0).doing("truncate")?;
        self.output.rewind().doing("rewind")?;
        Ok(sample)
    }

    /// Returns the output of commands.
    pub(crate) fn text(&mut self) -> String {
        let mut text = String::new();
        match self.output.rewind().and_then(|()| self.output.read_to_string(&mut text)) {
            Ok(_) => text,
            Err(error) => error.to_string(),
        }
    }
}

pub(crate) fn micros(duration: Duration) -> f64 {
    duration.as_nanos() as f64 / 1000.0
}

/// Returns the CPU time of all reaped children.
fn cpu() -> Result<f64> {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).doing("getrusage")?;
    let times = [usage.user_time(), usage.system_time()];
    Ok(times.iter().map(|time| time.tv_sec() as f64 * 1e6 + time.tv_usec() as f64).sum())
}

fn cpu_since(before: f64) -> Result<f64> {
    let used = cpu()? - before;
    ensure!(used >= 0.0, "the clock of children went back");
    Ok(used)
}
