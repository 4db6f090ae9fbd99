// SPDX-License-Identifier: Apache-2.0
//! The drivers: systemd, and the driver of the record.

use super::support::{exec, has, host, processes, read, resources, sleeping};
use conformance::runtime::{finish, wait};
use serde_json::{Value, json};
use std::process::{Command, Stdio};

/// A bus that closes every connection, an address that is no bus, and no bus.
#[test]
fn a_systemd_that_does_not_answer_is_an_error() {
    let host = host();
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("bus");
    let listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    std::thread::spawn(move || listener.incoming().for_each(drop));
    let bundle = sleeping();
    let mut cases = vec![
        (format!("unix:path={}", socket.display()), "connecting to systemd: D-Bus authentication"),
        ("tcp:host=localhost".to_owned(), "DBUS_SYSTEM_BUS_ADDRESS=tcp:host=localhost has no address"),
    ];
    // Without a bus, the runtime uses systemd's private socket.
    if !std::path::Path::new("/run/systemd/private").exists() {
        let nowhere = format!("unix:path={}/nonexistent", dir.path().display());
        cases.push((nowhere, "no such file or directory"));
    }
    for (address, error) in cases {
        let mut command = Command::new(host.runtime.program());
        command.arg("--root").arg(host.runtime.root()).args(["--systemd-cgroup", "create", "bad"]);
        command.current_dir(bundle.path()).stdin(Stdio::null());
        command.env("DBUS_SYSTEM_BUS_ADDRESS", address);
        let output = finish(command).unwrap().failed_with(1, error).unwrap();
        assert_eq!(output.stderr.lines().count(), 1, "{output}");
        host.before.check(&host.runtime).unwrap();
    }
    host.done();
}

/// A container keeps the driver that made it, whatever flags later commands have.
#[test]
fn the_driver_is_that_of_the_record() {
    let host = host();
    let bundle = sleeping();
    host.start(&bundle, "c");
    let other = |args: &[&str]| {
        let mut command = Command::new(host.runtime.program());
        command.arg("--root").arg(host.runtime.root());
        if !host.runtime.has_systemd_cgroups() {
            command.arg("--systemd-cgroup").env("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/nonexistent");
        }
        command.args(args).stdin(Stdio::null());
        finish(command).unwrap().ok().unwrap()
    };
    other(&["exec", "c", "/probe", "exit", "0"]);
    other(&["pause", "c"]);
    other(&["resume", "c"]);
    other(&["events", "--stats", "c"]);
    other(&["delete", "--force", "c"]);
    host.done();
}

/// With either driver, the cgroup of a container is where a dry run says, with these limits.
#[test]
fn a_dry_run_shows_the_cgroup_and_its_limits() {
    let host = host();
    let all = json!({
        "memory": { "limit": 64 << 20 },
        "pids": { "limit": 30 },
        "cpu": { "quota": 33_333, "period": 100_000, "shares": 100 }
    });
    let all = all.as_object().unwrap().iter();
    let limits: Value =
        all.filter(|(controller, _)| has(controller)).map(|(k, v)| (k.clone(), v.clone())).collect();
    let bundle = sleeping().with(resources(limits.clone())).unwrap();
    let output = host.runtime.run_in(&bundle, &["create", "--dry-run", "--format", "json", "c"]).unwrap();
    let plan: Value = serde_json::from_str(&output.ok().unwrap().stdout).unwrap();
    host.before.check(&host.runtime).unwrap();
    let steps = |name: &'static str| {
        let steps = plan["steps"].as_array().unwrap().iter();
        steps.filter(move |step| step["by"] == "runtime" && step["name"] == name).map(|step| &step["details"])
    };
    let cgroup = &steps("MakeCgroup").next().unwrap()["cgroup"];
    let place = std::path::Path::new(cgroup["path"].as_str().unwrap());
    let place = cgroup["leaf"].as_str().map_or_else(|| place.to_owned(), |leaf| place.join(leaf));
    assert_eq!(host.start(&bundle, "c"), place);
    let writes: Vec<_> = steps("Limits").map(|details| &details["write"]).collect();
    assert_eq!(writes.is_empty(), limits.as_object().unwrap().is_empty());
    for write in writes {
        let value = std::fs::read_to_string(write["file"].as_str().unwrap());
        let is_absent = value.is_err() && write["optional"] == true;
        assert!(is_absent || write["value"] == value.unwrap().trim(), "{write}");
    }
    assert_eq!(cgroup["unit"].is_null(), !host.runtime.has_systemd_cgroups());
    for property in steps("UnitProperties").flat_map(|details| details["unit"].as_array().unwrap()) {
        let name = property["name"].as_str().unwrap();
        let mut show = Command::new("systemctl");
        show.args(["show", "--value", "--property", name, cgroup["unit"].as_str().unwrap()]);
        let shown = finish(show).unwrap().ok().unwrap().stdout;
        // Times are shown with their unit.
        assert!(name.ends_with("USec") || property["value"] == shown.trim(), "{property}: {shown}");
    }
    host.ok(&["delete", "--force", "c"]);
    host.done();
}

/// The scope's limit is hit first, so that the cgroup below counts nothing but the kill, which
/// engines wait for (docs/engines.md).
#[test]
fn with_a_limit_of_memory_processes_are_below_their_scope() {
    let host = host();
    if !host.runtime.has_systemd_cgroups() {
        return;
    }
    let limits = json!({ "memory": { "limit": 64 << 20 }, "pids": { "limit": 30 } });
    let bundle = sleeping().with(resources(limits.clone())).unwrap();
    let leaf = host.start(&bundle, "c");
    assert!(leaf.ends_with("container"), "{}", leaf.display());
    let scope = leaf.parent().unwrap().to_owned();
    assert!(host.record("c").contains(&format!("{:?}", scope.to_str().unwrap())));
    let both = |file: &str, value: &str| {
        assert_eq!([read(&scope, file), read(&leaf, file)], [value, value], "{file}");
    };
    both("memory.max", &(64 << 20).to_string());
    both("pids.max", "30");
    host.ok(&["update", "--memory", "80M", "--memory-swap", "80M", "--pids-limit", "31", "c"]);
    both("memory.max", &(80 << 20).to_string());
    both("pids.max", "31");
    let mut second = exec(&host, &[], &leaf);
    assert!(processes(&scope).is_empty());
    assert_eq!(processes(&leaf).len(), 2);
    host.ok(&["pause", "c"]);
    assert!(read(&leaf, "cgroup.events").contains("frozen 1"));
    host.ok(&["resume", "c"]);
    // The scope's limit is hit first, so the cgroup below counts the kill alone.
    host.run(&["exec", "c", "/probe", "allocate", "96"])
        .failed_with(137, "memory.max of the container")
        .unwrap();
    let events = read(&leaf, "memory.events");
    assert!(events.contains("\nmax 0\n") && events.contains("\noom_kill 1\n"), "{events}");
    host.ok(&["delete", "--force", "c"]);
    wait(&mut second).unwrap();

    // crun's annotation, in the values that engines use.
    for (name, wanted) in [("", ".scope"), ("inner", "inner")] {
        let bundle = sleeping().with(resources(limits.clone())).unwrap();
        let bundle =
            bundle.with(|config| config["annotations"]["run.oci.systemd.subgroup"] = json!(name)).unwrap();
        let cgroup = host.start(&bundle, "c");
        assert!(cgroup.to_str().unwrap().ends_with(wanted), "{}", cgroup.display());
        host.ok(&["delete", "--force", "c"]);
    }
    host.refuses(
        |config| config["annotations"]["run.oci.systemd.subgroup"] = json!("../x"),
        "annotations.run.oci.systemd.subgroup: ",
    );
    host.done();
}
