// SPDX-License-Identifier: Apache-2.0
//! The steps of a plan are those that the child takes, in its order: compared with the timeline of a
//! `run` of the same bundle.

use super::support::{ID, Plan, docker, runtime, texts};
use conformance::change::{join, with_user_namespace};
use conformance::{Bundle, host};
use serde_json::{Value, json};
use std::io::Read;
use std::process::{Command, Stdio};

/// The steps that the child marks even if it has nothing to do, or if the stage has done it.
const IDLE: [&str; 6] = ["Device", "Sysctl", "Home", "BoundingSet", "Capabilities", "SealExe"];

/// Returns each step once, at its first place.
fn once(steps: impl Iterator<Item = (String, u64)>) -> Vec<(String, u64)> {
    let mut all = Vec::new();
    for step in steps {
        if !all.contains(&step) {
            all.push(step);
        }
    }
    all
}

fn planned(plan: &Plan, by: &str) -> Vec<(String, u64)> {
    // execve ends the marks, and a filter that does not notify is loaded right before it.
    let is_last = |step: &Value| {
        step["name"] == "Exec" || step["name"] == "Seccomp" && step["details"]["filter"]["agent"].is_null()
    };
    let steps = plan.steps().iter().filter(|step| step["by"] == by && !is_last(step));
    once(steps.map(|step| (step["name"].as_str().unwrap().to_owned(), step["item"].as_u64().unwrap_or(0))))
}

fn traced(timeline: &Value, track: u64, planned: &[(String, u64)]) -> Vec<(String, u64)> {
    let spans = timeline.as_array().unwrap().iter().filter(|e| e["ph"] == "X" && e["tid"] == track);
    let all =
        once(spans.map(|e| (e["name"].as_str().unwrap().to_owned(), e["args"]["item"].as_u64().unwrap())));
    let is_idle = |step: &(String, u64)| IDLE.contains(&step.0.as_str()) && !planned.contains(step);
    all.into_iter().filter(|step| !is_idle(step)).collect()
}

fn compare(bundle: &Bundle, flags: &[&str]) {
    let runtime = runtime();
    let file = bundle.path().join("timeline.json");
    let plan =
        Plan::of(&runtime, bundle, &[&["run", "--dry-run", "--format", "json"], flags, &[ID]].concat());
    let args = [&["--trace", file.to_str().unwrap(), "run"], flags, &[ID]].concat();
    let ended = runtime.run_in(bundle, &args).unwrap();
    assert_eq!(ended.status.code(), Some(3), "{ended}");
    let timeline: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    for (by, track) in [("stage", 1), ("init", 2), ("program", 4)] {
        let planned = planned(&plan, by);
        assert_eq!(planned, traced(&timeline, track, &planned), "{by}");
    }
    // Each step of the runtime that a timeline has, it has here.
    let spans: Vec<_> =
        timeline.as_array().unwrap().iter().filter(|e| e["ph"] == "X" && e["tid"] == 0).collect();
    for name in
        ["WriteRecord", "MakeCgroup", "Clone", "IdMaps", "Limits", "DeviceFilter", "Hook", "CommitRecord"]
    {
        let in_plan = plan.steps().iter().any(|step| step["by"] == "runtime" && step["name"] == name);
        let in_timeline = spans.iter().any(|span| span["name"] == name);
        // Setting no limits is a step, too.
        assert!(in_plan == in_timeline || name == "Limits" && in_timeline, "{name}: {in_plan} {in_timeline}");
    }
}

#[test]
fn the_steps_of_an_example_are_planned() {
    let _alone = host::alone();
    compare(&Bundle::new(&["exit", "3"]).unwrap(), &[]);
}

#[test]
fn the_steps_of_a_bundle_of_docker_are_planned() {
    let _alone = host::alone();
    compare(&docker(&["exit", "3"]), &[]);
    compare(&docker(&["exit", "3"]), &["--no-pivot", "--no-new-keyring"]);
}

#[test]
fn the_steps_with_a_user_namespace_are_planned() {
    let _alone = host::alone();
    compare(&Bundle::new(&["exit", "3"]).unwrap().with(with_user_namespace).unwrap(), &[]);
    let bundle = docker(&["exit", "3"]).with(with_user_namespace).unwrap();
    compare(&bundle, &[]);
    let plan = Plan::of_run(&runtime(), &bundle);
    let maps: Vec<_> =
        plan.details("IdMaps", "write").map(|write| write["value"].as_str().unwrap()).collect();
    assert_eq!(maps, ["0 300000 65536", "0 400000 65536"]);
    let namespaces: Vec<_> = plan.details("LateNamespaces", "namespaces").map(texts).collect();
    assert_eq!(namespaces, [["ipc", "network"]]);
}

#[test]
fn the_steps_in_existing_namespaces_are_planned() {
    let _alone = host::alone();
    let mut holder = Command::new("unshare");
    let mut holder = holder.args([
        "--uts",
        "--ipc",
        "--pid",
        "--fork",
        "--kill-child",
        "sh",
        "-c",
        "echo; exec sleep 1000",
    ]);
    holder = holder.stdin(Stdio::null()).stdout(Stdio::piped());
    let mut holder = holder.spawn().unwrap();
    holder.stdout.as_mut().unwrap().read_exact(&mut [0]).unwrap();
    let path = |file: &str| format!("/proc/{}/ns/{file}", holder.id());
    let bundle = |kinds: &[(&str, &str)]| {
        let change = |config: &mut Value| {
            config.as_object_mut().unwrap().remove("hostname");
            config["linux"]["timeOffsets"] = json!({ "boottime": { "secs": 7 } });
            config["linux"]["namespaces"].as_array_mut().unwrap().push(json!({ "type": "time" }));
            kinds.iter().for_each(|(kind, file)| join(config, kind, &path(file)));
        };
        Bundle::new(&["exit", "3"]).unwrap().with(change).unwrap()
    };
    // A stage, and an init without one whose program is cloned into the pid namespace. A procfs that
    // shows that namespace would be begun ahead.
    let staged = bundle(&[("uts", "uts"), ("ipc", "ipc")]);
    let joined = bundle(&[("uts", "uts"), ("pid", "pid_for_children")]);
    let joined = joined.with(|config| {
        config["mounts"].as_array_mut().unwrap().retain(|mount| mount["destination"] != "/proc");
        config["linux"]["maskedPaths"] = json!([]);
        config["linux"]["readonlyPaths"] = json!([]);
    });
    let result = std::panic::catch_unwind(|| {
        compare(&staged, &[]);
        compare(&joined.unwrap(), &[]);
    });
    holder.kill().unwrap();
    holder.wait().unwrap();
    result.unwrap();
}
