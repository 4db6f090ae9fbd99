// SPDX-License-Identifier: Apache-2.0
//! Cgroups that a container makes below its own, in large numbers, in deep trees and with strange
//! names.
#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

use conformance::runtime::finish;
use conformance::{Bundle, Runtime, host};
use serde_json::json;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::process::Command;

#[test]
fn cgroups_below_the_containers_are_listed_and_removed() {
    let runtime = Runtime::new(&conformance::bundle::beside("runtime-cli")).unwrap();
    let name = format!("hostile-{}", std::process::id());
    let bundle = Bundle::new(&["sleep"]).unwrap();
    let bundle = bundle.with(|c| c["linux"]["cgroupsPath"] = json!(format!("/{name}"))).unwrap();
    runtime.run_in(&bundle, &["run", "--detach", "c"]).unwrap().ok().unwrap();
    let top = host::hierarchy().join(&name);
    fs::create_dir(top.join(OsStr::from_bytes(b"\xff \xfe"))).unwrap();
    for i in 0..200 {
        fs::create_dir(top.join(i.to_string())).unwrap();
    }
    let mut deep = top.clone();
    for _ in 0..200 {
        deep.push("d");
        fs::create_dir(&deep).unwrap();
    }
    let mut bystander = Command::new("sleep").arg("1000").spawn().unwrap();
    fs::write(deep.join("cgroup.procs"), bystander.id().to_string()).unwrap();

    let few_descriptors = |args: &[&str]| {
        let mut command = Command::new("prlimit");
        command
            .args(["--nofile=64", "--"])
            .arg(runtime.program())
            .arg("--root")
            .arg(runtime.root())
            .args(args);
        finish(command).unwrap()
    };
    let listed = few_descriptors(&["ps", "--format", "json", "c"]).ok().unwrap().stdout;
    assert!(listed.contains(&bystander.id().to_string()), "{listed}");
    few_descriptors(&["delete", "--force", "c"]).ok().unwrap();
    bystander.wait().unwrap();
    assert!(!top.exists());
}
