// SPDX-License-Identifier: Apache-2.0
//! Passes the commit to the program, if git knows it, and makes the linker of a release leave out
//! unwind tables (docs/decisions/startup.md).

use std::env::var;
use std::process::Command;

fn main() {
    without_unwind_tables();
    with_packed_relocations();
    // cargo would run this for each build if a file did not exist, as ../.git/HEAD in a worktree of git.
    println!("cargo:rerun-if-changed=build.rs");
    for file in ["HEAD", "refs"].iter().filter_map(|name| git(&["rev-parse", "--git-path", name])) {
        println!("cargo:rerun-if-changed={file}");
    }
    let commit = git(&["describe", "--always", "--dirty", "--abbrev=12"]);
    println!("cargo:rustc-env=RUNTIME_COMMIT={}", commit.as_deref().unwrap_or("unknown"));
}

/// Returns a line of git's output, if there is a repository.
fn git(words: &[&str]) -> Option<String> {
    let output = Command::new("git").args(words).output().ok().filter(|output| output.status.success())?;
    String::from_utf8(output.stdout).ok().map(|line| line.trim().to_owned())
}

/// Passes the linker script of the feature `startup` to the linker of a release. Profiles of
/// development keep the tables: their tests unwind. Tests of a release need
/// `--no-default-features`, as the script is for all programs that are called runtime-cli.
fn without_unwind_tables() {
    const SCRIPT: &str = "src/startup/no-unwind-tables.ld";
    println!("cargo:rerun-if-changed={SCRIPT}");
    let Ok(directory) = var("CARGO_MANIFEST_DIR") else { return };
    if var("CARGO_FEATURE_STARTUP").is_ok() && var("PROFILE").as_deref() == Ok("release") {
        println!("cargo:rustc-link-arg-bin=runtime-cli=-T{directory}/{SCRIPT}");
    }
}

/// Lets the linker of a release pack the addresses that a static program relocates at its start: 48 KiB
/// less (docs/decisions/packages.md). musl can unpack them since 1.2.4; glibc only since 2.36, so the
/// glibc of the host may be too old.
fn with_packed_relocations() {
    let is_musl = var("CARGO_CFG_TARGET_ENV").as_deref() == Ok("musl");
    if is_musl && var("PROFILE").as_deref() == Ok("release") {
        println!("cargo:rustc-link-arg-bin=runtime-cli=-Wl,-z,pack-relative-relocs");
    }
}
