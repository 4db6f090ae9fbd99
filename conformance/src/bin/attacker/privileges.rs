// SPDX-License-Identifier: Apache-2.0
//! Attacks by excess privileges of a process.

use conformance::score::Score;
use conformance::{Doing, Result};
use runtime_sys::fd::stdio;
use std::fs::File;
use std::os::fd::AsFd;
use sys_testing::terminal::type_into;

pub(crate) fn run(score: &Score, words: &[&str]) -> Result {
    match words {
        ["groups"] => groups(score),
        ["inherited"] => inherited(score),
        ["type"] => type_ahead(score),
        _ => Err(format!("no such verb: {words:?}")),
    }
}

fn status(field: &str) -> Result<String> {
    let text = std::fs::read_to_string("/proc/self/status").doing("status")?;
    let value = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    Ok(value.ok_or_else(|| format!("no {field}"))?.trim().to_owned())
}

/// Succeeds if the process has supplementary groups, which were not asked for.
fn groups(score: &Score) -> Result {
    score.count_near();
    if status("Groups")?.split_ascii_whitespace().any(|group| group != "0") {
        score.count_success();
    }
    Ok(())
}

/// Succeeds if a program could inherit a capability.
fn inherited(score: &Score) -> Result {
    score.count_near();
    for set in ["CapInh", "CapAmb"] {
        if status(set)?.bytes().any(|digit| digit != b'0') {
            score.count_success();
        }
    }
    Ok(())
}

/// Types into every terminal that it can open.
fn type_ahead(score: &Score) -> Result {
    let open = ["/proc/self/fd/0", "/proc/self/fd/1", "/proc/self/fd/2", "/dev/tty", "/dev/console"];
    let opened: Vec<_> = open.iter().filter_map(|path| File::open(path).ok()).collect();
    let given = [0, 1, 2].map(stdio);
    for terminal in given.into_iter().chain(opened.iter().map(AsFd::as_fd)) {
        for byte in b"halt\n" {
            // The kernel refuses a terminal of another session. A success means that the container
            // has no terminal of its own.
            if type_into(terminal, *byte).is_ok() {
                score.count_success();
            }
        }
    }
    score.count_near();
    Ok(())
}
