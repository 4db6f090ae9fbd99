// SPDX-License-Identifier: Apache-2.0
//! In the victim of attacks on devices: what it got.

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

/// Succeeds if a standard stream is a node of the host's, DEVICE:INODE: to change its mode
/// would change it for everybody.
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
