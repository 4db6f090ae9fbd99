// SPDX-License-Identifier: Apache-2.0
//! Attacks on paths: what the runtime is about to use is exchanged with something else.

use crate::support::is_procfs;
use conformance::score::Score;
use conformance::{Doing, Result, ensure};
use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::atomic::Ordering::SeqCst;
use std::time::{Duration, Instant};

/// Slots of the score: how often something was exchanged; set if the victim ran.
const EXCHANGES: usize = 0;

pub(crate) fn run(score: &Score, words: &[&str]) -> Result {
    match words {
        ["exchange", path, others @ ..] => exchange(score, path, others),
        ["hide", path] => hide(score, path),
        ["is-unmasked"] => is_unmasked(score),
        ["reads", path] => reads(score, path),
        ["mounts-in", outside] => mounts_in(score, outside),
        _ => Err(format!("no such verb: {words:?}")),
    }
}

/// Exchanges a path with each of the others in turn, and back, until it is killed. What
/// is there stays for no time at all, or for longer and longer, up to 2 ms.
fn exchange(score: &Score, path: &str, others: &[&str]) -> Result {
    ensure!(!others.is_empty(), "nothing to exchange {path} with");
    for round in 0.. {
        let pause = [0, 0, 5, 20, 60, 150, 400, 1000, 2000][round % 9];
        for other in others {
            for _there_and_back in 0..2 {
                renameat2(AT_FDCWD, path, AT_FDCWD, *other, RenameFlags::RENAME_EXCHANGE)
                    .doing(&format!("exchange {path} and {other}"))?;
                score.slots[EXCHANGES].fetch_add(1, SeqCst);
                pause_for(Duration::from_micros(pause));
            }
        }
        score.set_ready();
    }
    Ok(())
}

/// Takes a path away and puts it back until it is killed, with pauses as above.
fn hide(score: &Score, path: &str) -> Result {
    let hidden = format!("{path}.hidden");
    for round in 0.. {
        let pause = Duration::from_micros([0, 20, 60, 150, 400, 1000, 2000][round % 7]);
        for (from, to) in [(path, hidden.as_str()), (hidden.as_str(), path)] {
            std::fs::rename(from, to).doing(&format!("rename {from}"))?;
            score.slots[EXCHANGES].fetch_add(1, SeqCst);
            pause_for(pause);
        }
        score.set_ready();
    }
    Ok(())
}

/// As sleep(3), which takes at least 50 µs.
fn pause_for(time: Duration) {
    let end = Instant::now() + time;
    while Instant::now() < end {
        std::hint::spin_loop();
    }
}

/// In the victim: succeeds if the kernel's parameters can be written, or if a masked file
/// is not masked.
fn is_unmasked(score: &Score) -> Result {
    score.count_near();
    if !is_procfs("/proc")? {
        return Ok(());
    }
    let is_read_only = |path: &str| {
        let flags = nix::sys::statvfs::statvfs(path).map(|fs| fs.flags());
        flags.is_ok_and(|flags| flags.contains(nix::sys::statvfs::FsFlags::ST_RDONLY))
    };
    let is_masked = |path: &str| std::fs::metadata(path).map_or(true, |meta| meta.rdev() != 0);
    if !is_read_only("/proc/sys") || !is_masked("/proc/keys") {
        score.count_success();
    }
    Ok(())
}

/// In the victim: succeeds if there is anything to read.
fn reads(score: &Score, path: &str) -> Result {
    score.count_near();
    let text = std::fs::read_to_string(path).unwrap_or_default();
    if !text.is_empty() {
        println!("{text}");
        score.count_success();
    }
    Ok(())
}

/// As a createRuntime hook: succeeds if the victim has a mount in a directory of the host.
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
