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
        ["keep-first", tracer, traced] => keep_first(score, tracer, traced),
        _ => Err(format!("no such verb: {words:?}")),
    }
}

/// Lets another process trace the init of the container for ever. `tracer` is "process", or
/// "thread" for a tracer that is not the first thread of its process. `traced` is init's
/// "first-thread" or its "second-thread".
fn keep_first(score: &Score, tracer: &str, traced: &str) -> Result {
    spawn(|| {
        let keep = || {
            let thread = await_thread_of_init(if traced == "second-thread" { 2 } else { 1 })?;
            ptrace::seize(thread, Options::PTRACE_O_TRACEEXIT).doing("seize")?;
            score.count_near();
            score.set_ready();
            // The end of a tracer would release its tracees.
            sleep_forever()
        };
        match tracer {
            "thread" => std::thread::scope(|scope| {
                let thread = scope.spawn(keep);
                thread.join().map_err(|_panic| "the thread panics".to_owned())?
            }),
            _ => keep(),
        }
    })?;
    if traced == "second-thread" {
        std::thread::spawn(sleep_forever);
    }
    sleep_forever()
}

/// Waits until init has `count` threads, and returns the last one.
fn await_thread_of_init(count: usize) -> Result<Pid> {
    loop {
        let entries = fs::read_dir("/proc/1/task").doing("/proc/1/task")?.flatten();
        let mut threads: Vec<i32> =
            entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
        threads.sort_unstable();
        if let Some(thread) = threads.get(count - 1) {
            return Ok(Pid::from_raw(*thread));
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn sleep_forever() -> Result {
    loop {
        std::thread::sleep(Duration::from_secs(60));
    }
}

/// Traces each new process, and holds it when it exits.
fn keep_others(score: &Score) -> Result {
    let own = std::process::id() as i32;
    score.set_ready();
    loop {
        for entry in fs::read_dir("/proc").doing("/proc")?.flatten() {
            let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
            // A process that has executed its program: most runtimes cannot be traced earlier.
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
