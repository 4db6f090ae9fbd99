// SPDX-License-Identifier: Apache-2.0
//! Attacks by root of a user namespace, which may mount.

use conformance::score::Score;
use conformance::tamper;
use conformance::{Doing, Result};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use std::path::Path;

pub(crate) fn run(score: &Score, words: &[&str]) -> Result {
    match words {
        ["write", path, copy, file] => write(score, Path::new(path), Path::new(copy), file),
        ["uncover", path, copy, file] => uncover(score, Path::new(path), Path::new(copy), file),
        ["spread", new, old] => spread(score, new, old),
        ["deny-groups"] => deny_groups(score),
        ["cgroups", source] => cgroups(score, source),
        _ => Err(format!("no such verb: {words:?}")),
    }
}

/// Succeeds if a file on the read-only mount at `path` can be written.
fn write(score: &Score, path: &Path, copy: &Path, file: &str) -> Result {
    score.count_near();
    if tamper::write_read_only(path, copy, file, "theirs").is_ok() {
        score.count_success();
    }
    Ok(())
}

/// Succeeds if a file below the mount at `path` can be read.
fn uncover(score: &Score, path: &Path, copy: &Path, file: &str) -> Result {
    score.count_near();
    if tamper::read_covered(path, copy, file).is_ok() {
        score.count_success();
    }
    Ok(())
}

/// Mounts in one directory of the host and unmounts in another. Only the judge on the host can tell
/// whether the changes arrive there.
fn spread(score: &Score, new: &str, old: &str) -> Result {
    let none = None::<&str>;
    mount(Some("tmpfs"), new, Some("tmpfs"), MsFlags::empty(), none).doing("mount")?;
    score.count_near();
    umount2(old, MntFlags::MNT_DETACH).doing("umount")
}

fn deny_groups(score: &Score) -> Result {
    tamper::deny_groups()?;
    score.set_ready();
    loop {
        std::thread::sleep(std::time::Duration::from_secs(3600));
    }
}

/// Succeeds if the cgroups are a new mount with this source, not the host's.
fn cgroups(score: &Score, source: &str) -> Result {
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").doing("mountinfo")?;
    let fields = mounts.lines().find_map(|line| line.split_once(" - cgroup2 ")).map(|line| line.1);
    let found = fields.ok_or("no cgroups")?.split(' ').next();
    score.count_near();
    if found == Some(source) {
        score.count_success();
    }
    Ok(())
}
