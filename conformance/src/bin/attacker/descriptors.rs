// SPDX-License-Identifier: Apache-2.0
//! Attacks through descriptors and directories that the runtime, or its caller, has open.

use crate::support::newest_pids;
use conformance::Result;
use conformance::score::Score;
use runtime_sys::process::{pidfd_getfd, pidfd_open};
use std::os::unix::fs::MetadataExt;

pub(crate) fn run(score: &Score, words: &[&str]) -> Result {
    match words {
        ["own", secret, id] => own(score, secret, id),
        ["watch", secret, id] => watch(score, secret, id),
        _ => Err(format!("no such verb: {words:?}")),
    }
}

/// Succeeds if this process reaches the host's file `secret`, of identity `id`, from its working
/// directory or from a descriptor.
fn own(score: &Score, secret: &str, id: &str) -> Result {
    score.count_near();
    let links = (0..1024).map(|n| format!("/proc/self/fd/{n}"));
    for link in links.chain([".".to_owned(), "/proc/self/cwd".to_owned()]) {
        if leads_to(&link, secret, id) {
            println!("{link} leads to {secret}");
            score.count_success();
        }
    }
    Ok(())
}

/// Returns true if the link leads to the secret, or to a directory from which a path leads there.
fn leads_to(link: &str, secret: &str, id: &str) -> bool {
    let is_secret = |path: &str| std::fs::metadata(path).is_ok_and(|meta| identity(&meta) == id);
    is_secret(link) || is_secret(&format!("{link}/{secret}")) || {
        let up = "/..".repeat(24);
        is_secret(&format!("{link}{up}/{secret}"))
    }
}

pub(crate) fn identity(meta: &std::fs::Metadata) -> String {
    format!("{}:{}", meta.dev(), meta.ino())
}

/// Looks at the descriptors of new processes, and copies them.
fn watch(score: &Score, secret: &str, id: &str) -> Result {
    let mut last = 0;
    score.set_ready();
    loop {
        for pid in newest_pids(4) {
            if std::fs::metadata(format!("/proc/{pid}")).is_err() {
                continue;
            }
            if pid > last {
                last = pid;
                score.count_near();
            }
            let links = (0..32).map(|n| format!("fd/{n}"));
            let mut links = links.chain(["cwd".to_owned(), "root".to_owned()]);
            if links.any(|link| leads_to(&format!("/proc/{pid}/{link}"), secret, id))
                || takes(pid, secret, id)
            {
                score.count_success();
            }
        }
    }
}

/// Copies descriptors of the process (pidfd_getfd(2)). Returns true if one leads to the secret.
fn takes(pid: i32, secret: &str, id: &str) -> bool {
    let Ok(pidfd) = pidfd_open(pid) else { return false };
    (3..16)
        .filter_map(|n| pidfd_getfd(&pidfd, n).ok())
        .any(|fd| leads_to(&crate::support::path_of(&fd), secret, id))
}
