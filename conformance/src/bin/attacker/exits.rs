// SPDX-License-Identifier: Apache-2.0
//! Attacks on the end of a process.

use crate::support::spawn;
use conformance::score::Score;
use conformance::{Doing, Result};
use nix::sys::ptrace::{self, Options};
use nix::unistd::Pid;
use std::fs;
use std::time::Duration;

pub(crate) fn run(score: &Score, words: &[&str]) -> Result {
    match words {
        ["keep-others"] => keep_others(score),
        ["keep-first"] => keep_first(score),
        _ => Err(format!("no such verb: {words:?}")),
    }
}

/// As the first process of a container: is traced by another, which never lets it go.
fn keep_first(score: &Score) -> Result {
    spawn(|| {
        ptrace::seize(Pid::from_raw(1), Options::PTRACE_O_TRACEEXIT).doing("seize")?;
        score.count_near();
        score.set_ready();
        loop {
            std::thread::sleep(Duration::from_secs(60));
        }
    })?;
    loop {
        std::thread::sleep(Duration::from_secs(60));
    }
}

/// Traces each process that comes, and never lets it go when it ends.
fn keep_others(score: &Score) -> Result {
    let own = std::process::id() as i32;
    score.set_ready();
    loop {
        for entry in fs::read_dir("/proc").doing("/proc")?.flatten() {
            let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
            // Not before it has executed its program, which most runtimes hide from it.
            let waits = |text: String| text.contains("sleep");
            if pid != own
                && fs::read_to_string(entry.path().join("cmdline")).is_ok_and(waits)
                && ptrace::seize(Pid::from_raw(pid), Options::PTRACE_O_TRACEEXIT).is_ok()
            {
                score.count_near();
            }
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}
