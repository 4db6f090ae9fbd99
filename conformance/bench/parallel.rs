// SPDX-License-Identifier: Apache-2.0
//! Several containers at a time.

use crate::clock::Clock;
use crate::workdir::Workdir;
use conformance::{Doing, Result, ensure};
use std::process::Child;
use std::time::Instant;

pub(crate) const RUNS: usize = 60;
pub(crate) const AT_A_TIME: usize = 4;

/// Runs RUNS containers, AT_A_TIME at once. Returns how many ran per second.
pub(crate) fn rate(workdir: &Workdir, clock: &mut Clock) -> Result<f64> {
    run_all(workdir, clock).map_err(|error| format!("{}: {error}\n{}", workdir.contender.name, clock.text()))
}

fn run_all(workdir: &Workdir, clock: &Clock) -> Result<f64> {
    let mut running: Vec<Child> = Vec::with_capacity(AT_A_TIME);
    let start = Instant::now();
    for n in 0..RUNS {
        if running.len() == AT_A_TIME {
            end_one(&mut running)?;
        }
        let mut command = workdir.run(&format!("parallel-{n}"));
        clock.connect(&mut command)?;
        running.push(command.spawn().doing("spawn")?);
    }
    while !running.is_empty() {
        end_one(&mut running)?;
    }
    Ok(RUNS as f64 / start.elapsed().as_secs_f64())
}

/// Waits until one of the children has ended.
fn end_one(running: &mut Vec<Child>) -> Result {
    use nix::sys::wait::{Id, WaitPidFlag, waitid};
    loop {
        // WNOWAIT: the child's own handle reaps it. A run in the foreground leaves no orphans,
        // which would not be in the list.
        waitid(Id::All, WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT).doing("waitid")?;
        let mut ended = None;
        for (i, child) in running.iter_mut().enumerate() {
            if let Some(status) = child.try_wait().doing("wait")? {
                ensure!(status.success(), "a run in parallel: {status}");
                ended = Some(i);
                break;
            }
        }
        if let Some(i) = ended {
            drop(running.swap_remove(i));
            return Ok(());
        }
    }
}
