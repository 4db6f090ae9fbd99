// SPDX-License-Identifier: Apache-2.0
//! The victim of attacks on devices: checks the nodes that it was given.

use conformance::score::Score;
use conformance::{Doing, Result};
use std::os::unix::fs::MetadataExt;

pub(crate) fn run(score: &Score, words: &[&str]) -> Result {
    match words {
        ["has-stream", node] => has_stream(score, node),
        ["wait"] => {
            score.set_ready();
            loop {
                std::thread::sleep(std::time::Duration::from_secs(3600));
            }
        }
        _ => Err(format!("no such verb: {words:?}")),
    }
}

/// Succeeds if a standard stream is the host's node DEVICE:INODE: a change of its mode would affect
/// every process of the host.
fn has_stream(score: &Score, node: &str) -> Result {
    score.count_near();
    for n in 0..3 {
        let path = format!("/proc/self/fd/{n}");
        let meta = std::fs::metadata(&path).doing(&path)?;
        if format!("{}:{}", meta.dev(), meta.ino()) == node {
            score.count_success();
        }
    }
    Ok(())
}
