// SPDX-License-Identifier: Apache-2.0
//! Attacks on the end of a container: processes and cgroups that are hard to remove.

use crate::support::{newest_pids, spawn};
use conformance::score::Score;
use conformance::{Doing, Result};
use nix::sys::ptrace;
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, setsid};
use std::fs;
use std::path::Path;
use std::sync::atomic::Ordering::SeqCst;
use std::time::{Duration, Instant};
use sys_testing::process::change_pid;

pub(crate) fn run(score: &Score, words: &[&str]) -> Result {
    match words {
        ["multiply"] => multiply(score),
        ["nest", root] => nest(score, Path::new(root)),
        ["stop-others"] => to_others(score, |pid| kill(pid, Signal::SIGSTOP)),
        ["trace-others"] => to_others(score, |pid| ptrace::seize(pid, ptrace::Options::empty())),
        ["outlive"] => outlive(score),
        _ => Err(format!("no such verb: {words:?}")),
    }
}

/// A limit for processes that cannot be found, in case that the judge dies.
const LIFE: Duration = Duration::from_secs(20);

/// Forks again and again, in several lines of descent, each process in its own session: none of
/// them exists long enough to be listed.
fn multiply(score: &Score) -> Result {
    const LINES: usize = 32;
    let end = Instant::now() + LIFE;
    for _ in 0..LINES {
        spawn(|| {
            while Instant::now() < end {
                score.count_near();
                // It fails for a leader of a group.
                let _own_session = setsid();
                // This program has one thread.
                change_pid().doing("fork")?;
            }
            Ok(())
        })?;
    }
    score.set_ready();
    sleep()
}

/// Makes nested cgroups and spreads processes over them, without end.
fn nest(score: &Score, root: &Path) -> Result {
    const DEPTH: usize = 40;
    let end = Instant::now() + LIFE;
    for line in 0..4 {
        spawn(|| {
            for round in (0u64..).take_while(|_| Instant::now() < end) {
                let mut path = root.to_owned();
                for level in 0..DEPTH {
                    path = path.join(format!("{line}-{}-{level}", round % 3));
                    if fs::create_dir(&path).is_ok() {
                        score.count_near();
                    }
                    // It has moved if the cgroup is still there.
                    let _moved = fs::write(path.join("cgroup.procs"), "0");
                    if level == DEPTH / 2 {
                        let _frozen = fs::write(path.join("cgroup.freeze"), "0");
                    }
                }
                let _moved = fs::write(root.join("cgroup.procs"), "0");
                while path != root {
                    let _removed = fs::remove_dir(&path);
                    path.pop();
                }
            }
            Ok(())
        })?;
    }
    score.set_ready();
    sleep()
}

fn sleep() -> Result {
    loop {
        std::thread::sleep(Duration::from_secs(3600));
    }
}

/// Stops each new process by a given action.
fn to_others(score: &Score, act: impl Fn(Pid) -> nix::Result<()>) -> Result {
    let mut last = nix::unistd::getpid().as_raw();
    score.set_ready();
    loop {
        for pid in newest_pids(4).filter(|pid| *pid > last).collect::<Vec<_>>() {
            if act(Pid::from_raw(pid)).is_ok() {
                last = last.max(pid);
                score.slots[0].store(i64::from(pid), SeqCst);
                score.count_near();
            }
        }
    }
}

/// Starts a process that reports that it runs, and never ends. For a hook.
fn outlive(score: &Score) -> Result {
    let end = Instant::now() + LIFE;
    spawn(|| {
        while Instant::now() < end {
            score.slots[0].fetch_add(1, SeqCst);
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    })?;
    score.count_near();
    sleep()
}
