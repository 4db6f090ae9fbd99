// SPDX-License-Identifier: Apache-2.0
//! Attacks on paths: the attacker exchanges what the runtime is about to use.

use crate::support::is_procfs;
use conformance::score::Score;
use conformance::{Doing, Result, ensure};
use nix::fcntl::{AtFlags, OFlag, open, openat};
use nix::libc::{RENAME_EXCHANGE, RENAME_NOREPLACE};
use nix::sys::stat::{Mode, fstatat};
use nix::sys::statfs::{PROC_SUPER_MAGIC, fstatfs};
use nix::sys::statvfs::{FsFlags, fstatvfs};
use std::path::Path;
use std::sync::atomic::Ordering::SeqCst;
use std::time::{Duration, Instant};
use sys_testing::descriptor::rename;

/// Slots of the score: how many exchanges were made; 1 once the victim has run.
const EXCHANGES: usize = 0;

pub(crate) fn run(score: &Score, words: &[&str]) -> Result {
    match words {
        ["exchange", path, others @ ..] => exchange(score, path, others),
        ["hide", path] => take_away(score, path, &format!("{path}.hidden")),
        ["move", path, other] => take_away(score, path, other),
        ["has-mounted", paths @ ..] => has_mounted(score, paths),
        ["finds", directory, name] => finds(score, Path::new(directory), name),
        ["is-unmasked"] => is_unmasked(score),
        ["reads", path] => reads(score, path),
        ["mounts-in", outside] => mounts_in(score, outside),
        ["has-terminal-outside", directory] => has_terminal_outside(score, Path::new(directory)),
        _ => Err(format!("no such verb: {words:?}")),
    }
}

/// Exchanges a path with each of the others in turn, and back, until it is killed. The pause
/// between exchanges is zero, or grows up to 2 ms.
fn exchange(score: &Score, path: &str, others: &[&str]) -> Result {
    ensure!(!others.is_empty(), "nothing to exchange {path} with");
    for round in 0.. {
        let pause = [0, 0, 5, 20, 60, 150, 400, 1000, 2000][round % 9];
        for other in others {
            for there_and_back in 0..2 {
                let (from, to, flags) = match other.strip_prefix('=') {
                    Some(name) if there_and_back == 0 => (path, name, RENAME_NOREPLACE),
                    Some(name) => (name, path, RENAME_NOREPLACE),
                    None => (path, *other, RENAME_EXCHANGE),
                };
                rename(from, to, flags).doing(&format!("exchange {path} and {other}"))?;
                score.slots[EXCHANGES].fetch_add(1, SeqCst);
                pause_for(Duration::from_micros(pause));
            }
        }
        score.set_ready();
    }
    Ok(())
}

/// Moves a path away and back until it is killed, with the same pauses.
fn take_away(score: &Score, path: &str, other: &str) -> Result {
    for round in 0.. {
        let pause = Duration::from_micros([0, 20, 60, 150, 400, 1000, 2000][round % 7]);
        for (from, to) in [(path, other), (other, path)] {
            std::fs::rename(from, to).doing(&format!("rename {from}"))?;
            score.slots[EXCHANGES].fetch_add(1, SeqCst);
            pause_for(pause);
        }
        score.set_ready();
    }
    Ok(())
}

/// Waits without sleep(3), which takes at least 50 µs.
fn pause_for(time: Duration) {
    let end = Instant::now() + time;
    while Instant::now() < end {
        std::hint::spin_loop();
    }
}

/// In the victim: succeeds if the kernel's parameters can be written, or if a masked file can be
/// read. Both are opened below one directory, because the attacker goes on exchanging /proc and a
/// missing file is no success.
fn is_unmasked(score: &Score) -> Result {
    score.count_near();
    let flags = OFlag::O_PATH | OFlag::O_CLOEXEC;
    let Ok(proc) = open("/proc", flags | OFlag::O_DIRECTORY, Mode::empty()) else { return Ok(()) };
    if fstatfs(&proc).doing("fstatfs")?.filesystem_type() != PROC_SUPER_MAGIC {
        return Ok(());
    }
    let sys = openat(&proc, "sys", flags, Mode::empty()).doing("open sys")?;
    let is_read_only = fstatvfs(&sys).doing("fstatvfs")?.flags().contains(FsFlags::ST_RDONLY);
    let is_masked = fstatat(&proc, "keys", AtFlags::empty()).map_or(true, |keys| keys.st_rdev != 0);
    if !is_read_only || !is_masked {
        score.count_success();
    }
    Ok(())
}

/// In the victim: succeeds if a file system of the kernel or the host's secret is mounted.
fn has_mounted(score: &Score, paths: &[&str]) -> Result {
    score.count_near();
    for path in paths {
        if is_procfs(path)?
            || Path::new(path).join("kernel").exists()
            || Path::new(path).join("secret").exists()
        {
            score.count_success();
        }
    }
    Ok(())
}

/// In the victim: succeeds if a directory has a file of this name at any depth.
fn finds(score: &Score, directory: &Path, name: &str) -> Result {
    score.count_near();
    for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
        if entry.file_name() == name {
            score.count_success();
        }
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            finds(score, &entry.path(), name)?;
        }
    }
    Ok(())
}

/// In the victim: succeeds if the file can be read and is not empty.
fn reads(score: &Score, path: &str) -> Result {
    score.count_near();
    let text = std::fs::read_to_string(path).unwrap_or_default();
    if !text.is_empty() {
        println!("{text}");
        score.count_success();
    }
    Ok(())
}

/// Succeeds if a directory of the host has a mount of the victim. For a createRuntime hook.
fn mounts_in(score: &Score, outside: &str) -> Result {
    let state = std::io::read_to_string(std::io::stdin()).doing("standard input")?;
    let state: serde_json::Value = serde_json::from_str(&state).doing("state")?;
    let path = format!("/proc/{}/mountinfo", state["pid"]);
    let mounts = std::fs::read_to_string(&path).doing(&path)?;
    score.count_near();
    let mut targets = mounts.lines().filter_map(|line| line.split(' ').nth(4));
    if targets.any(|target| Path::new(target).starts_with(outside)) {
        score.count_success();
    }
    Ok(())
}

/// Succeeds if a terminal is mounted outside a directory. For a startContainer hook.
fn has_terminal_outside(score: &Score, directory: &Path) -> Result {
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").doing("mountinfo")?;
    score.count_near();
    let terminals = mounts.lines().filter(|line| line.contains(" - devpts "));
    let mut targets = terminals.filter_map(|line| line.split(' ').nth(4));
    if targets.any(|target| !Path::new(target).starts_with(directory)) {
        score.count_success();
    }
    Ok(())
}
