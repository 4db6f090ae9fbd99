// SPDX-License-Identifier: Apache-2.0
//! Tells the program which commit it was built from, if git knows.

use std::process::Command;

fn main() {
    println!("cargo:rerun-if-changed=../.git/HEAD");
    println!("cargo:rerun-if-changed=../.git/refs");
    let commit = Command::new("git")
        .args(["describe", "--always", "--dirty", "--abbrev=12"])
        .output()
        .ok()
        .filter(|output| output.status.success())
        .and_then(|output| String::from_utf8(output.stdout).ok());
    println!("cargo:rustc-env=RUNTIME_COMMIT={}", commit.as_deref().map_or("unknown", str::trim));
}
