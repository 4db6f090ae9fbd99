// SPDX-License-Identifier: Apache-2.0
//! The timeline of `--trace FILE`.
#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

use conformance::change::join;
use conformance::{Bundle, Runtime};
use serde_json::Value;
use std::io::Read;

/// Returns the spans of a track, in the order of their ends.
fn spans(timeline: &Value, track: u64) -> Vec<&Value> {
    timeline.as_array().unwrap().iter().filter(|e| e["ph"] == "X" && e["tid"] == track).collect()
}

#[test]
fn a_run_is_traced_in_both_processes() {
    let _alone = conformance::host::alone();
    let runtime = Runtime::from_env().unwrap();
    let bundle = Bundle::new(&["exit", "3"]).unwrap();
    let file = bundle.path().join("timeline.json");
    let args = ["--trace", file.to_str().unwrap(), "run", "traced"];
    assert_eq!(runtime.run_in(&bundle, &args).unwrap().status.code(), Some(3));

    let timeline: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    let names = |track| -> Vec<&str> {
        spans(&timeline, track).iter().map(|span| span["name"].as_str().unwrap()).collect()
    };
    let (parent, child) = (names(0), names(2));
    for mark in ["LoadConfig", "Clone", "AwaitChild", "Release", "RemoveRecord"] {
        assert!(parent.contains(&mark), "no {mark}: {parent:?}");
    }
    let mounts = bundle.config["mounts"].as_array().unwrap().len();
    assert_eq!(child.iter().filter(|name| **name == "Mount").count(), mounts);
    assert_eq!(child.last(), Some(&"Ready"));
    assert!(names(1).is_empty(), "nothing is joined, so there is no stage");
    assert_eq!(names(3), ["Network", "Loopback"], "the thread");
    // A span begins at the end of the one before.
    for pair in spans(&timeline, 2).windows(2) {
        let end = pair[0]["ts"].as_f64().unwrap() + pair[0]["dur"].as_f64().unwrap();
        assert!((end - pair[1]["ts"].as_f64().unwrap()).abs() < 0.01, "{pair:?}");
    }
}

#[test]
fn a_container_in_an_existing_namespace_has_a_stage() {
    let _alone = conformance::host::alone();
    let runtime = Runtime::from_env().unwrap();
    // Not in the caller's own user namespace, which would be refused.
    let mut holder = std::process::Command::new("unshare");
    let mut holder = holder.args(["--uts", "sh", "-c", "echo; exec sleep 1000"]);
    holder = holder.stdin(std::process::Stdio::null()).stdout(std::process::Stdio::piped());
    let mut holder = holder.spawn().unwrap();
    holder.stdout.as_mut().unwrap().read_exact(&mut [0]).unwrap();
    let path = format!("/proc/{}/ns/uts", holder.id());
    let bundle = Bundle::new(&["exit", "3"]).unwrap().with(|config| {
        config.as_object_mut().unwrap().remove("hostname");
        join(config, "uts", &path);
    });
    let bundle = bundle.unwrap();
    let file = bundle.path().join("timeline.json");
    let output = runtime.run_in(&bundle, &["--trace", file.to_str().unwrap(), "run", "traced"]);
    holder.kill().unwrap();
    holder.wait().unwrap();
    assert_eq!(output.unwrap().status.code(), Some(3));

    let timeline: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    let last = |track| spans(&timeline, track).last().map(|span| span["name"].clone());
    assert_eq!(last(1), Some("Clone".into()));
    assert_eq!(last(2), Some("Ready".into()));
}

#[test]
fn an_unwritable_file_is_an_error_before_anything_is_made() {
    let _alone = conformance::host::alone();
    let runtime = Runtime::from_env().unwrap();
    let bundle = Bundle::new(&["exit", "0"]).unwrap();
    let output = runtime.run_in(&bundle, &["--trace", "/nonexistent/file", "create", "untraced"]).unwrap();
    output.failed_with(1, "--trace: open /nonexistent/file: no such file or directory").unwrap();
    runtime.run(&["state", "untraced"]).unwrap().failed().unwrap();
}
