// SPDX-License-Identifier: Apache-2.0
//! Attacks with CAP_SYS_PTRACE on the memory of processes that join the attacker's pid namespace.

use crate::support::newest_pids;
use conformance::score::Score;
use conformance::{Doing, Result};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::time::Duration;

pub(crate) fn run(score: &Score, words: &[&str]) -> Result {
    match words {
        // Reversed, because the record of this container has the argument too.
        ["look-for", backwards] => look_for(score, &backwards.chars().rev().collect::<String>()),
        _ => Err(format!("no such verb: {words:?}")),
    }
}

/// Stops each new process as early as possible, and searches its memory for a text.
fn look_for(score: &Score, text: &str) -> Result {
    let mut taken = newest_pids(1).next().unwrap_or(0);
    score.set_ready();
    loop {
        let last = newest_pids(1).next().unwrap_or(0);
        for pid in taken.max(last - 3) + 1..=last + 2 {
            let process = Pid::from_raw(pid);
            if kill(process, Signal::SIGSTOP).is_err() {
                continue;
            }
            taken = pid;
            std::thread::sleep(Duration::from_millis(1));
            let exe = fs::read_link(format!("/proc/{pid}/exe")).unwrap_or_default();
            if !exe.ends_with("probe") && !exe.ends_with("attacker") {
                score.count_near();
                if has(pid, text.as_bytes()).unwrap_or(false) {
                    score.count_success();
                }
            }
            let _gone = kill(process, Signal::SIGCONT);
        }
    }
}

/// Searches the writable memory of a process for a text.
fn has(pid: i32, text: &[u8]) -> Result<bool> {
    const MAX: usize = 16 << 20;
    let memory = File::open(format!("/proc/{pid}/mem")).doing("mem")?;
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).doing("maps")?;
    let ranges = maps.lines().filter_map(|line| {
        let (range, _) = line.split_once(' ').filter(|(_, rest)| rest.starts_with("rw"))?;
        let (start, end) = range.split_once('-')?;
        let number = |digits| u64::from_str_radix(digits, 16).ok();
        Some((number(start)?, number(end)?))
    });
    Ok(ranges.into_iter().any(|(start, end)| {
        let mut content = vec![0; ((end - start) as usize).min(MAX)];
        memory.read_exact_at(&mut content, start).is_ok()
            && content.windows(text.len()).any(|part| part == text)
    }))
}
