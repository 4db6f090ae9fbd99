// SPDX-License-Identifier: Apache-2.0
//! Attacks with CAP_SYS_PTRACE on processes that join the attacker's pid namespace.

use crate::support::newest_pids;
use conformance::score::Score;
use conformance::{Doing, Result};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs;
use std::sync::atomic::Ordering::SeqCst;
use std::time::{Duration, Instant};

/// Slots of the score: the excess capabilities that were found, how often a host file, an unmasked
/// procfs or a cgroup outside was reachable, whether a process had no system call filter,
/// whether it was in the session of the caller's terminal, and whether it had another OOM score.
const CAPABILITIES: usize = 0;
const FILES: usize = 1;
const PROCFS: usize = 2;
const CGROUPS: usize = 3;
const UNFILTERED: usize = 4;
const TERMINAL: usize = 5;
const SCORE: usize = 6;

pub(crate) fn run(score: &Score, words: &[&str]) -> Result {
    match words {
        ["take", allowed] => {
            let allowed = u64::from_str_radix(allowed, 16).doing(allowed)?;
            take(score, allowed, &std::env::var("SECRET").doing("SECRET")?)
        }
        _ => Err(format!("no such verb: {words:?}")),
    }
}

/// Stops each new process as early as possible, and looks for authority that the programs of the
/// containers do not have: capabilities outside `allowed`, a path to the host's file `secret`, to
/// its kernel parameters or to its cgroups, calls that the filter denies, the caller's terminal and
/// OOM score.
/// A process that can be inspected can also be taken over with ptrace(2).
fn take(score: &Score, allowed: u64, secret: &str) -> Result {
    let mut taken = 0;
    score.set_ready();
    loop {
        // Pids are given in sequence, so the next ones are known in advance.
        let last = newest_pids(1).next().unwrap_or(0);
        for _ in 0..20 {
            for pid in taken.max(last - 3) + 1..=last + 2 {
                let process = Pid::from_raw(pid);
                if kill(process, Signal::SIGSTOP).is_err() {
                    continue;
                }
                taken = pid;
                let end = Instant::now() + Duration::from_millis(20);
                while !is_stopped(pid) && Instant::now() < end {}
                look(score, pid, allowed, secret);
                let _gone = kill(process, Signal::SIGCONT);
                break;
            }
        }
    }
}

fn is_stopped(pid: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"));
    stat.is_ok_and(|stat| stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with('T')))
}

/// Inspects a stopped process.
fn look(score: &Score, pid: i32, allowed: u64, secret: &str) {
    let exe = fs::read_link(format!("/proc/{pid}/exe")).unwrap_or_default();
    if exe.ends_with("probe") || exe.ends_with("attacker") {
        return;
    }
    score.count_near();
    let found = [
        (CAPABILITIES, capabilities(pid) & !allowed),
        (FILES, ways(pid, &format!("{}{secret}", "/..".repeat(20)))),
        (PROCFS, ways(pid, "/sys/kernel/core_pattern")),
        (CGROUPS, ways(pid, "/cgroup.procs")),
        (UNFILTERED, u64::from(is_unfiltered(pid))),
        (TERMINAL, u64::from(has_terminal(pid))),
        (SCORE, u64::from(has_other_oom_score(pid))),
    ];
    for (slot, found) in found {
        score.slots[slot].fetch_or(found as i64, SeqCst);
    }
    if found.iter().any(|(_, found)| *found != 0) {
        score.count_success();
    }
}

/// Returns the union of all capability sets.
fn capabilities(pid: i32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    status
        .lines()
        .filter_map(|line| line.strip_prefix("Cap")?.split_once(":\t"))
        .filter_map(|(_, set)| u64::from_str_radix(set, 16).ok())
        .fold(0, |all, set| all | set)
}

/// Returns true if a process has no system call filter, while this one has one.
fn is_unfiltered(pid: i32) -> bool {
    let filters = |pid: &str| {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        status.lines().find_map(|line| line.strip_prefix("Seccomp_filters:")?.trim().parse().ok())
    };
    // At the end of the process there is nothing to compare.
    let (own, its): (Option<u32>, Option<u32>) = (filters("self"), filters(&pid.to_string()));
    its.is_some() && its < own
}

/// Returns true if a process has a controlling terminal (field 7 of /proc/PID/stat, proc(5)). Those
/// of the attacker and of its victims have none of their own.
fn has_terminal(pid: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let rest = stat.rsplit(") ").next().unwrap_or_default();
    rest.split(' ').nth(4).is_some_and(|terminal| terminal != "0")
}

/// Returns true if a process does not have the OOM score of the containers.
fn has_other_oom_score(pid: i32) -> bool {
    let score = |pid: &str| fs::read_to_string(format!("/proc/{pid}/oom_score_adj")).ok();
    score(&pid.to_string()).is_some_and(|its| Some(its) != score("self"))
}

/// Returns a bit for each descriptor, and for the root and the working directory, from which `path`
/// exists.
fn ways(pid: i32, path: &str) -> u64 {
    let fds = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    let fds = fds.filter_map(|entry| {
        let number: u32 = entry.file_name().to_str()?.parse().ok()?;
        Some((number.min(61), format!("fd/{number}")))
    });
    fds.chain([(62, "cwd".to_owned()), (63, "root".to_owned())])
        // Files below the containers' own root do not count.
        .filter(|(_, way)| fs::metadata(format!("/proc/{pid}/{way}{path}")).is_ok())
        .fold(0, |all, (bit, _)| all | 1 << bit)
}
