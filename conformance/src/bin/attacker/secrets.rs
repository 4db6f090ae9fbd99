// SPDX-License-Identifier: Apache-2.0
//! Attacks on secrets of the caller, or of one container.

use crate::support::newest_pids;
use conformance::score::Score;
use conformance::{Doing, Result};
use runtime_sys::keyctl::{join_session, set_permissions};
use std::sync::atomic::Ordering::SeqCst;
use sys_testing::keyring::session;

/// The slot for the session keyring of a process.
const KEYRING: usize = 0;

pub(crate) fn run(score: &Score, words: &[&str]) -> Result {
    match words {
        ["arguments", token] => arguments(score, token),
        ["keyring-trap", name] => keyring_trap(score, name),
        ["keyring"] => keyring(score),
        ["home", trap, ..] => home(score, trap),
        ["sleep", ..] => {
            score.set_ready();
            loop {
                std::thread::sleep(std::time::Duration::from_secs(3600));
            }
        }
        _ => Err(format!("no such verb: {words:?}")),
    }
}

/// Reads the command lines of new processes.
fn arguments(score: &Score, token: &str) -> Result {
    let (mut last, mut told) = (0, 0);
    score.set_ready();
    loop {
        for pid in newest_pids(4) {
            let Ok(text) = std::fs::read(format!("/proc/{pid}/cmdline")) else { continue };
            if pid > last {
                last = pid;
                score.count_near();
            }
            if pid > told && text.windows(token.len()).any(|part| part == token.as_bytes()) {
                told = pid;
                score.count_success();
            }
        }
    }
}

/// Makes a keyring of this name, which all users may join.
fn keyring_trap(score: &Score, name: &str) -> Result {
    let name = std::ffi::CString::new(name).doing(name)?;
    let keyring = join_session(Some(&name)).doing("keyctl")?;
    set_permissions(keyring, 0x3f3f_3f3f).doing("keyctl")?;
    score.slots[KEYRING].store(keyring.into(), SeqCst);
    run(score, &["sleep"])
}

/// In the victim: reports its session keyring.
fn keyring(score: &Score) -> Result {
    score.slots[KEYRING].store(session().doing("keyctl")?.into(), SeqCst);
    score.count_near();
    Ok(())
}

/// In the victim: succeeds if HOME comes from the trap.
fn home(score: &Score, trap: &str) -> Result {
    score.count_near();
    if std::env::var("HOME").is_ok_and(|home| home == trap) {
        score.count_success();
    }
    Ok(())
}
