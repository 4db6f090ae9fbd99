// SPDX-License-Identifier: Apache-2.0
//! A runtime that is killed at any moment: `delete --force` finds all that it has left, every
//! process, cgroup, mount and file.
#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

use conformance::host::{self, HostSnapshot};
use conformance::{Bundle, Runtime};
use serde_json::{Value, json};
use std::process::Stdio;
use std::time::{Duration, Instant};

fn runtime() -> Runtime {
    Runtime::new(&conformance::bundle::beside("runtime-cli")).unwrap()
}

/// Kills `verb` in `rounds` runs, after delays from zero to its duration, and cleans up.
fn kill_at_any_moment(verb: &str, bundle: &Bundle, rounds: u32) {
    let _alone = host::alone();
    let runtime = runtime();
    let before = HostSnapshot::take().unwrap();
    let begin = Instant::now();
    runtime.run_in(bundle, &[verb, "first"]).unwrap().ok().unwrap();
    let whole = begin.elapsed();
    runtime.run(&["delete", "--force", "first"]).unwrap().ok().unwrap();
    let (mut early, mut late) = (0, 0);
    for round in 0..rounds {
        let mut command = runtime.command(&[verb, "killed"]);
        command.current_dir(bundle.path()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        std::thread::sleep(whole * round / rounds);
        child.kill().unwrap();
        child.wait().unwrap();
        match runtime.run(&["state", "killed"]).unwrap().status.success() {
            true => late += 1,
            false => early += 1,
        }
        let deleted = runtime.run(&["delete", "--force", "killed"]).unwrap();
        assert!(deleted.status.success(), "round {round}: {deleted}");
        before.check(&runtime).unwrap_or_else(|why| panic!("round {round}: {why}"));
        // The id can be used again.
        if round % 10 == 0 {
            runtime.run_in(bundle, &[verb, "killed"]).unwrap().ok().unwrap();
            runtime.run(&["delete", "--force", "killed"]).unwrap().ok().unwrap();
        }
    }
    assert!(early > 0 && late > 0, "{early} rounds ended before there was a record, {late} after");
}

#[test]
fn a_killed_create_can_be_deleted() {
    kill_at_any_moment("create", &Bundle::new(&["sleep"]).unwrap(), 80);
}

/// The unfinished container has no cgroup that leads to its processes.
#[test]
fn a_create_without_a_cgroup_can_be_deleted_while_a_hook_runs() {
    let _alone = host::alone();
    let runtime = runtime();
    let before = HostSnapshot::take().unwrap();
    let bundle = Bundle::new(&["sleep"]).unwrap();
    let mark = bundle.path().join("mark");
    let script = format!("touch {}; exec sleep 1000", mark.display());
    let hook = json!([{ "path": "/bin/sh", "args": ["sh", "-c", script], "env": ["PATH=/bin:/usr/bin"] }]);
    let bundle = bundle.with(|config| {
        config["hooks"] = json!({ "createRuntime": hook });
        config["linux"]["resources"] = json!(null);
    });
    let bundle = bundle.unwrap();
    let mut command = runtime.command(&["--cgroup-manager", "disabled", "create", "hook"]);
    command.current_dir(bundle.path()).stdout(Stdio::null()).stderr(Stdio::piped());
    let child = command.spawn().unwrap();
    let end = Instant::now() + Duration::from_secs(30);
    while !mark.exists() {
        assert!(Instant::now() < end);
        std::thread::sleep(Duration::from_millis(5));
    }
    runtime.run(&["delete", "--force", "hook"]).unwrap().ok().unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("the container's init has ended meanwhile"), "{said}");
    before.check(&runtime).unwrap();
}

/// Each limit of descriptors makes another descriptor fail.
#[test]
fn too_few_descriptors_leave_nothing_behind() {
    let _alone = host::alone();
    let runtime = runtime();
    let before = HostSnapshot::take().unwrap();
    let bundle = Bundle::new(&["exit", "0"]).unwrap();
    let hook = json!([{ "path": "/bin/true" }]);
    let hooks = json!({ "createRuntime": hook, "createContainer": hook, "poststop": hook });
    let bundle = bundle.with(|config| {
        config["hooks"] = hooks;
        config["process"]["rlimits"] = json!([]);
    });
    let bundle = bundle.unwrap();
    let mut enough = None;
    for count in 4..100 {
        let mut command = std::process::Command::new("prlimit");
        command.arg(format!("--nofile={count}")).arg("--").arg(runtime.program());
        command.arg("--root").arg(runtime.root()).args(["run", "few"]).current_dir(bundle.path());
        let output = conformance::runtime::finish(command).unwrap();
        before.check(&runtime).unwrap_or_else(|why| panic!("with {count} descriptors: {why}\n{output}"));
        if output.status.success() {
            enough = Some(count);
            break;
        }
    }
    assert!(enough.is_some_and(|count| count > 20), "{enough:?}");
}

/// More mounts than the soft limit of descriptors.
#[test]
fn a_thousand_mounts_fit_into_few_descriptors() {
    let _alone = host::alone();
    let runtime = runtime();
    let before = HostSnapshot::take().unwrap();
    let mount = |n| json!({ "destination": format!("/tmp/{n}"), "type": "bind", "source": "/etc", "options": ["bind", "ro"] });
    let bundle = Bundle::new(&["report"]).unwrap().with(|config| {
        config["process"]["rlimits"] = json!([]);
        config["mounts"].as_array_mut().unwrap().extend((0..1100).map(mount));
    });
    let bundle = bundle.unwrap();
    let run = |limits: &str| {
        let mut command = std::process::Command::new("prlimit");
        command.arg(format!("--nofile={limits}")).arg("--").arg(runtime.program());
        command.arg("--root").arg(runtime.root()).args(["run", "many"]).current_dir(bundle.path());
        conformance::runtime::finish(command).unwrap()
    };
    let report: Value = serde_json::from_str(&run("1024:").ok().unwrap().stdout).unwrap();
    assert_eq!(report["rlimits"]["RLIMIT_NOFILE"][0], 1024, "the program has the caller's");
    // A hard limit does no harm: sources are opened one at a time (runc#5177).
    run("64").ok().unwrap();
    before.check(&runtime).unwrap();
}

#[test]
fn a_create_that_is_killed_while_a_hook_runs_can_be_deleted() {
    let _alone = host::alone();
    let runtime = runtime();
    let before = HostSnapshot::take().unwrap();
    let bundle = Bundle::new(&["sleep"]).unwrap();
    let mark = bundle.path().join("mark");
    let sleep = format!("sleep 1000.{}", std::process::id());
    let script = format!("touch {}; exec {sleep}", mark.display());
    let bundle = bundle
        .with(|c| c["hooks"] = json!({ "createRuntime": [{ "path": "/bin/sh", "args": ["sh", "-c", script], "env": ["PATH=/bin:/usr/bin"] }] }))
        .unwrap();
    let mut command = runtime.command(&["create", "hook"]);
    command.current_dir(bundle.path()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    let end = Instant::now() + Duration::from_secs(30);
    while !mark.exists() {
        assert!(Instant::now() < end);
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(runtime.status("hook").unwrap(), "creating");
    // delete is refused during the creation; delete --force makes the creation fail.
    runtime.run(&["delete", "hook"]).unwrap().failed_with(1, "that is not stopped: creating").unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    // The hook has ended with the runtime.
    let left = std::process::Command::new("pgrep").args(["-f", &sleep]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&left.stdout), "");
    runtime.run(&["delete", "--force", "hook"]).unwrap().ok().unwrap();
    before.check(&runtime).unwrap();
}
