// SPDX-License-Identifier: Apache-2.0
//! The victim in attacks on views of the kernel.

use conformance::Result;
use conformance::score::Score;
use std::path::Path;

pub(crate) fn run(score: &Score, words: &[&str]) -> Result {
    match words {
        ["is-unmasked", procfs] => is_unmasked(score, procfs),
        _ => Err(format!("no such verb: {words:?}")),
    }
}

/// Succeeds if a procfs is mounted and has a file that is not masked.
fn is_unmasked(score: &Score, procfs: &str) -> Result {
    score.count_near();
    // A masked file is a device.
    if Path::new(procfs).join("keys").is_file() {
        score.count_success();
    }
    Ok(())
}
