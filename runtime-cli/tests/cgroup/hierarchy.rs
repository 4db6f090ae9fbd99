// SPDX-License-Identifier: Apache-2.0
//! Places in the hierarchy: paths, existing cgroups, and cgroups below the container's.

use super::support::{exec, has, host, processes, read, sleeping};
use crate::common::Host;
use conformance::host::{self, HostSnapshot};
use conformance::runtime::wait;
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

#[test]
fn paths_that_lead_out_of_the_hierarchy_are_refused() {
    let host = host();
    let path = |path: &'static str| move |config: &mut Value| config["linux"]["cgroupsPath"] = json!(path);
    if host.runtime.has_systemd_cgroups() {
        for wrong in ["x", "a:b", "a.slice:b:c:d", "system.slice:../x:y", "no-slice:x:y", "a.slice:x:y/z"] {
            host.refuses(path(wrong), "linux.cgroupsPath");
        }
    } else {
        for wrong in ["..", "../x", "/../x", "/a/../../x", "a/..", "/", "/.", "a\0b"] {
            host.refuses(path(wrong), "linux.cgroupsPath");
        }
        host.refuses(path("/x\ny"), "");
    }
    host.done();
}

/// A cgroup that the test makes below the hierarchy.
struct TestCgroup(PathBuf);

impl TestCgroup {
    fn new(name: &str) -> Self {
        let path = host::hierarchy().join(name);
        fs::create_dir(&path).unwrap();
        TestCgroup(path)
    }
}

impl Drop for TestCgroup {
    fn drop(&mut self) {
        fs::remove_dir(&self.0).unwrap();
    }
}

#[test]
fn cgroups_that_are_frozen_or_in_use_are_refused() {
    let host = host();
    if host.runtime.has_systemd_cgroups() {
        // systemd's scopes are always new.
        return;
    }
    let own = TestCgroup::new("test-frozen");
    let before = HostSnapshot::take().unwrap();
    let bundle = sleeping().with(|config| config["linux"]["cgroupsPath"] = json!("/test-frozen")).unwrap();
    let refuses = |error: &str| {
        host.runtime.run_in(&bundle, &["create", "bad"]).unwrap().failed_with(1, error).unwrap();
        before.check(&host.runtime).unwrap();
    };
    fs::write(own.0.join("cgroup.freeze"), "1").unwrap();
    refuses("frozen");
    assert_eq!(read(&own.0, "cgroup.freeze"), "1");
    fs::write(own.0.join("cgroup.freeze"), "0").unwrap();

    let mut bystander = Command::new("sleep").arg("1000").spawn().unwrap();
    fs::write(own.0.join("cgroup.procs"), bystander.id().to_string()).unwrap();
    let output = host.runtime.run_in(&bundle, &["create", "bad"]).unwrap();
    output.failed_with(1, "not empty").unwrap();
    assert_eq!(processes(&own.0), [bystander.id().to_string()]);
    bystander.kill().unwrap();
    bystander.wait().unwrap();

    // An empty cgroup is accepted, and outlives the container.
    host.start(&bundle, "good");
    host.ok(&["delete", "--force", "good"]);
    before.check(&host.runtime).unwrap();
    drop(own);
    host.done();
}

/// Makes a cgroup below the container's, with a process of the container in it.
fn nested(host: &Host, cgroup: &Path, name: &str) -> (PathBuf, Child) {
    let below = cgroup.join(name);
    fs::create_dir(&below).unwrap();
    let child = exec(host, &["--cgroup", name], &below);
    (below, child)
}

#[test]
fn frozen_and_nested_cgroups_make_nothing_hang() {
    let host = host();
    let bundle = sleeping();
    let ends: [&dyn Fn(); 4] = [
        &|| drop(host.ok(&["delete", "--force", "c"])),
        &|| {
            host.ok(&["kill", "--all", "c", "KILL"]);
            host.runtime.await_status("c", "stopped").unwrap();
            host.ok(&["delete", "c"]);
        },
        &|| {
            host.ok(&["kill", "c", "KILL"]);
            host.runtime.await_status("c", "stopped").unwrap();
            host.ok(&["delete", "--force", "c"]);
        },
        &|| {
            host.fails(&["delete", "c"], "is not stopped");
            host.ok(&["resume", "c"]);
            host.ok(&["delete", "--force", "c"]);
        },
    ];
    for end in ends {
        for freeze_below in [false, true] {
            let cgroup = host.start(&bundle, "c");
            let (below, mut child) = nested(&host, &cgroup, "below");
            fs::create_dir(below.join("deeper")).unwrap();
            if freeze_below {
                fs::write(below.join("cgroup.freeze"), "1").unwrap();
            }
            host.ok(&["pause", "c"]);
            assert_eq!(host.runtime.status("c").unwrap(), "paused");
            assert!(read(&cgroup, "cgroup.events").contains("frozen 1"));
            let listed = host.ok(&["ps", "--format", "json", "c"]).stdout;
            assert_eq!(serde_json::from_str::<Vec<i64>>(&listed).unwrap().len(), 2, "{listed}");
            host.ok(&["events", "--stats", "c"]);
            host.fails(&["exec", "c", "/probe", "exit", "0"], "cannot exec in a paused container");
            end();
            assert_eq!(wait(&mut child).unwrap().code(), Some(128 + 9));
            host.before.check(&host.runtime).unwrap();
        }
    }
    host.done();
}

#[test]
fn a_container_below_a_frozen_cgroup_can_be_paused() {
    let host = host();
    let by_systemd = host.runtime.has_systemd_cgroups();
    let path = if by_systemd { "parent.slice:test:c" } else { "/parent/c" };
    let bundle = sleeping().with(|c| c["linux"]["cgroupsPath"] = json!(path)).unwrap();
    let cgroup = host.start(&bundle, "c");
    let parent = cgroup.parent().unwrap().to_owned();
    let freeze = |value: &str| fs::write(parent.join("cgroup.freeze"), value).unwrap();
    let status = |status: &str| host.runtime.await_status("c", status).unwrap();
    freeze("1");
    status("paused");
    host.fails(&["resume", "c"], "container not paused; hint: a cgroup above the container's is frozen");
    host.ok(&["pause", "c"]);
    host.fails(&["pause", "c"], "container not running");
    freeze("0");
    status("paused");
    host.ok(&["resume", "c"]);
    status("running");
    host.ok(&["delete", "--force", "c"]);
    if by_systemd {
        let stopped = Command::new("systemctl").args(["stop", "parent.slice"]).status().unwrap();
        assert!(stopped.success(), "{stopped}");
    }
    host.done();
}

/// A threaded cgroup, whose cgroup.procs cannot be read.
#[test]
fn processes_in_threaded_cgroups_are_found() {
    let host = host();
    let bundle = sleeping();
    let cgroup = host.start(&bundle, "c");
    let below = cgroup.join("threads");
    fs::create_dir(&below).unwrap();
    fs::write(below.join("cgroup.type"), "threaded").unwrap();
    let pid = host.runtime.state("c").unwrap()["pid"].to_string();
    fs::write(below.join("cgroup.threads"), &pid).unwrap();
    host.ok(&["pause", "c"]);
    host.ok(&["ps", "c"]);
    host.ok(&["resume", "c"]);
    host.ok(&["delete", "--force", "c"]);
    host.done();
}

#[test]
fn exec_may_be_in_a_cgroup_below_and_no_other() {
    let host = host();
    let bundle = sleeping();
    let cgroup = host.start(&bundle, "c");
    let (_, mut child) = nested(&host, &cgroup, "below");
    let (_, mut deeper) = nested(&host, &cgroup, "below/deeper");
    for (path, error) in [
        ("nonexistent", "no such file or directory"),
        ("..", "bad sub cgroup path"),
        ("below/../../c", "bad sub cgroup path"),
        ("/../", "bad sub cgroup path"),
    ] {
        host.fails(&["exec", "--cgroup", path, "c", "/probe", "exit", "0"], error);
    }
    host.ok(&["exec", "--cgroup", "/below/./", "c", "/probe", "exit", "0"]);
    host.ok(&["delete", "--force", "c"]);
    wait(&mut child).unwrap();
    wait(&mut deeper).unwrap();
    host.done();
}

/// The layout of kind, buildkit and systemd in a container: the init has moved into a cgroup below,
/// and the container's own cgroup has controllers, so no process can enter it.
#[test]
fn exec_works_after_the_init_has_made_room_for_controllers() {
    let host = host();
    let bundle = sleeping();
    let cgroup = host.start(&bundle, "c");
    let pid = host.runtime.state("c").unwrap()["pid"].to_string();
    let init = cgroup.join("init");
    fs::create_dir(&init).unwrap();
    fs::write(init.join("cgroup.procs"), &pid).unwrap();
    let controller = read(&cgroup, "cgroup.controllers");
    let Some(controller) = controller.split(' ').find(|one| !one.is_empty()) else {
        host.ok(&["delete", "--force", "c"]);
        return host.done();
    };
    fs::write(cgroup.join("cgroup.subtree_control"), format!("+{controller}")).unwrap();
    let mut child = exec(&host, &[], &init);
    host.fails(&["exec", "--cgroup", "/", "c", "/probe", "exit", "0"], "busy");
    // Every verb still acts on the whole container.
    let listed = host.ok(&["ps", "--format", "json", "c"]).stdout;
    assert_eq!(serde_json::from_str::<Vec<i64>>(&listed).unwrap().len(), 2, "{listed}");
    host.ok(&["pause", "c"]);
    host.ok(&["resume", "c"]);
    host.update("c", "{}").ok().unwrap();
    host.ok(&["delete", "--force", "c"]);
    wait(&mut child).unwrap();
    host.done();
}

#[test]
fn the_cgroup_belongs_to_the_root_of_a_user_namespace() {
    use std::os::unix::fs::MetadataExt;
    let host = host();
    let in_user_namespace = |options: &[&str]| {
        sleeping()
            .with(|config| {
                let mapping = json!([{ "containerID": 0, "hostID": 100_000, "size": 65536 }]);
                config["linux"]["uidMappings"] = mapping.clone();
                config["linux"]["gidMappings"] = mapping;
                config["linux"]["namespaces"].as_array_mut().unwrap().push(json!({ "type": "user" }));
                let mounts = config["mounts"].as_array_mut().unwrap();
                let mount = mounts.iter_mut().find(|mount| mount["type"] == "cgroup").unwrap();
                mount["options"] = json!(options);
            })
            .unwrap()
    };
    let owner = |path: PathBuf| fs::metadata(path).unwrap().uid();
    let delegated = fs::read_to_string("/sys/kernel/cgroup/delegate").unwrap();

    let writable = in_user_namespace(&["nosuid", "noexec", "nodev"]);
    let cgroup = host.start(&writable, "c");
    assert_eq!(owner(cgroup.clone()), 100_000);
    for entry in fs::read_dir(&cgroup).unwrap().flatten().filter(|entry| entry.path().is_file()) {
        let name = entry.file_name().into_string().unwrap();
        let is_delegated = delegated.lines().any(|line| line == name);
        assert_eq!(owner(entry.path()), if is_delegated { 100_000 } else { 0 }, "{name}");
    }
    // The purpose: the container makes cgroups and moves its processes into them.
    let shell = |args: &[&str]| host.run(&[&["exec", "c", "/probe"], args].concat());
    shell(&["write", "/sys/fs/cgroup/cgroup.procs", "0"]).ok().unwrap();
    if has("hugetlb") {
        shell(&["write", "/sys/fs/cgroup/hugetlb.2MB.max", "0"]).failed().unwrap();
    }
    host.ok(&["delete", "--force", "c"]);

    for bundle in [in_user_namespace(&["ro"]), sleeping()] {
        let cgroup = host.start(&bundle, "c");
        assert_eq!(owner(cgroup.clone()), 0);
        assert_eq!(owner(cgroup.join("cgroup.procs")), 0);
        host.ok(&["delete", "--force", "c"]);
    }
    host.done();
}

#[test]
fn events_end_with_the_container() {
    let host = host();
    let bundle = sleeping();
    host.start(&bundle, "c");
    let event: Value = serde_json::from_str(&host.ok(&["events", "--stats", "c"]).stdout).unwrap();
    assert_eq!((&event["type"], &event["id"]), (&json!("stats"), &json!("c")));
    for (flags, error) in [(["--interval", "0"], "interval"), (["--interval", "x"], "interval")] {
        host.fails(&[&["events"], flags.as_slice(), &["c"]].concat(), error);
    }
    let mut events = host.runtime.command(&["events", "--interval", "20ms", "c"]);
    let mut events = events.stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = std::io::BufReader::new(events.stdout.take().unwrap());
    for _ in 0..3 {
        let mut line = String::new();
        std::io::BufRead::read_line(&mut lines, &mut line).unwrap();
        let event: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(event["type"], "stats", "{line}");
    }
    host.ok(&["kill", "c", "KILL"]);
    // `events` goes on writing while its reader reads.
    let rest = std::io::read_to_string(lines).unwrap();
    assert!(rest.lines().all(|line| line.starts_with('{')), "{rest}");
    assert!(wait(&mut events).unwrap().success());
    host.fails(&["events", "c"], "not running");
    host.fails(&["events", "--stats", "c"], "not running");
    host.ok(&["delete", "c"]);
    host.done();
}
