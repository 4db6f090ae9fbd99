// SPDX-License-Identifier: Apache-2.0
//! Cgroups and their limits: bad input leaves the old state and nothing else,
//! and no state of a cgroup makes a command hang. With SYSTEMD_CGROUP in the
//! environment, by systemd.
#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

use conformance::host::{self, Snapshot};
use conformance::runtime::{finish, wait};
use conformance::{Bundle, Output, Runtime};
use serde_json::{Value, json};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// One test at a time: they watch the host.
struct Host {
    runtime: Runtime,
    before: Snapshot,
    _alone: std::sync::MutexGuard<'static, ()>,
}

impl Host {
    fn new() -> Self {
        let alone = host::alone();
        let systemd = std::env::var_os("SYSTEMD_CGROUP").is_some();
        let runtime =
            Runtime::new(&conformance::bundle::beside("runtime-cli")).unwrap().with_systemd(systemd);
        // A slice that is new stays, as systemd's own do: this one is there before.
        let before = Snapshot::take().unwrap();
        Host { runtime, before, _alone: alone }
    }

    fn run(&self, args: &[&str]) -> Output {
        self.runtime.run(args).unwrap()
    }

    fn ok(&self, args: &[&str]) -> Output {
        self.run(args).ok().unwrap()
    }

    fn fails(&self, args: &[&str], text: &str) {
        let output = self.run(args).failed().unwrap();
        assert!(output.stderr.contains(text), "must say {text:?}: {output}");
        assert_eq!(output.stderr.lines().filter(|line| line.contains("level=error")).count(), 1, "{output}");
    }

    /// create fails with this text, and leaves nothing.
    fn refuses(&self, change: impl FnOnce(&mut Value), text: &str) {
        let bundle = Bundle::new(&["exit", "0"]).unwrap().with(change).unwrap();
        let output = self.runtime.run_in(&bundle, &["create", "bad"]).unwrap().failed_with(1, text).unwrap();
        assert_eq!(output.stderr.lines().count(), 1, "{output}");
        self.before.check(&self.runtime).unwrap();
    }

    /// A container that sleeps, and its cgroup.
    fn start(&self, bundle: &Bundle, id: &str) -> PathBuf {
        self.runtime.run_in(bundle, &["run", "--detach", id]).unwrap().ok().unwrap();
        self.cgroup(id)
    }

    fn cgroup(&self, id: &str) -> PathBuf {
        host::cgroup_of(self.runtime.state(id).unwrap()["pid"].as_i64().unwrap()).unwrap()
    }

    /// `update --resources` with a file of this text.
    fn update(&self, id: &str, text: &str) -> Output {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), text).unwrap();
        self.run(&["update", "--resources", file.path().to_str().unwrap(), id])
    }

    fn record(&self, id: &str) -> String {
        fs::read_to_string(self.runtime.root().join(id).join("state.json")).unwrap()
    }

    fn done(self) {
        self.before.check(&self.runtime).unwrap();
    }
}

impl Drop for Host {
    /// A test that fails shall not make the others fail.
    fn drop(&mut self) {
        for entry in fs::read_dir(self.runtime.root()).into_iter().flatten().flatten() {
            let _output = self.runtime.run(&["delete", "--force", &entry.file_name().to_string_lossy()]);
        }
    }
}

fn sleeping() -> Bundle {
    Bundle::new(&["sleep"]).unwrap()
}

fn resources(limits: Value) -> impl FnOnce(&mut Value) {
    move |config| {
        for (key, value) in limits.as_object().unwrap() {
            config["linux"]["resources"][key] = value.clone();
        }
    }
}

fn read(cgroup: &Path, file: &str) -> String {
    fs::read_to_string(cgroup.join(file)).unwrap().trim().to_owned()
}

fn processes(cgroup: &Path) -> Vec<String> {
    read(cgroup, "cgroup.procs").lines().map(str::to_owned).collect()
}

/// Whether the kernel has a controller in cgroup2 here; if not, says so.
fn has(controller: &str) -> bool {
    let has = host::controllers().iter().any(|one| one == controller);
    if !has {
        // Not by a macro, whose output the harness keeps to itself.
        let line = format!("not judged: cgroup2 has no controller {controller} here\n");
        std::io::stderr().write_all(line.as_bytes()).unwrap();
    }
    has
}

#[test]
fn limits_that_nobody_can_mean() {
    let host = Host::new();
    for (limits, error) in [
        (json!({ "memory": { "limit": -2 } }), "linux.resources.memory.limit: "),
        (json!({ "memory": { "limit": 9000, "swap": 8000 } }), "linux.resources.memory.swap: "),
        (json!({ "memory": { "swap": 8000 } }), "linux.resources.memory.swap: "),
        (json!({ "memory": { "kernel": 1 } }), "linux.resources.memory.kernel: "),
        (json!({ "memory": { "limit": "much" } }), "linux.resources.memory.limit: invalid type: string"),
        (json!({ "cpu": { "cpus": "3-1" } }), "linux.resources.cpu.cpus: "),
        (json!({ "cpu": { "mems": "x" } }), "linux.resources.cpu.mems: "),
        (json!({ "cpu": { "realtimeRuntime": 9 } }), "linux.resources.cpu.realtimeRuntime: "),
        (json!({ "cpu": { "idle": 2 } }), "linux.resources.cpu.idle: "),
        (json!({ "blockIO": { "leafWeight": 9 } }), "linux.resources.blockIO.leafWeight: "),
        (json!({ "network": { "classID": 9 } }), "linux.resources.network.classID: "),
        (
            json!({ "hugepageLimits": [{ "pageSize": "../2MB", "limit": 1 }] }),
            "linux.resources.hugepageLimits[0].pageSize: ",
        ),
        (json!({ "unified": { "../memory.max": "1" } }), "linux.resources.unified"),
        (json!({ "unified": { "cgroup.kill": "1" } }), "linux.resources.unified"),
        (json!({ "devices": [{ "allow": true, "access": "x" }] }), "linux.resources.devices[0].access: "),
    ] {
        host.refuses(resources(limits), error);
    }
    // A file of no controller at all, and one that the kernel does not know.
    host.refuses(resources(json!({ "unified": { "nosuch.max": "1" } })), "nosuch");
    if has("hugetlb") {
        host.refuses(resources(json!({ "unified": { "hugetlb.nosuch": "1" } })), "hugetlb.nosuch");
        let page = json!({ "hugepageLimits": [{ "pageSize": "3MB", "limit": 1 }] });
        host.refuses(resources(page), "linux.resources.hugepageLimits");
    }
    if has("cpuset") {
        host.refuses(resources(json!({ "cpu": { "cpus": "4000" } })), "linux.resources.cpu.cpus");
        host.refuses(resources(json!({ "cpu": { "mems": "900" } })), "linux.resources.cpu.mems");
    }
    host.done();
}

#[test]
fn controllers_that_the_host_lacks_are_named_with_the_field() {
    let host = Host::new();
    let all = [
        ("memory", json!({ "memory": { "limit": 1 << 20 } }), "linux.resources.memory.limit"),
        ("cpu", json!({ "cpu": { "shares": 9 } }), "linux.resources.cpu.shares"),
        ("cpuset", json!({ "cpu": { "cpus": "0" } }), "linux.resources.cpu.cpus"),
        ("pids", json!({ "pids": { "limit": 9 } }), "linux.resources.pids.limit"),
        ("io", json!({ "blockIO": { "weight": 90 } }), "linux.resources.blockIO.weight"),
        ("misc", json!({ "unified": { "misc.max": "x 1" } }), "misc.max"),
        ("rdma", json!({ "rdma": { "mlx5": { "hcaHandles": 1 } } }), "linux.resources.rdma"),
    ];
    for (controller, limits, field) in all.into_iter().filter(|(controller, ..)| !has(controller)) {
        host.refuses(resources(limits.clone()), field);
        host.refuses(resources(limits), &format!("controller \\\"{controller}\\\" not available"));
    }
    host.done();
}

#[test]
fn paths_that_lead_out_of_the_hierarchy() {
    let host = Host::new();
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

/// A cgroup of the test's own, below its hierarchy.
struct Own(PathBuf);

impl Own {
    fn new(name: &str) -> Self {
        let path = host::hierarchy().join(name);
        fs::create_dir(&path).unwrap();
        Own(path)
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        fs::remove_dir(&self.0).unwrap();
    }
}

#[test]
fn cgroups_that_are_frozen_or_in_use() {
    let host = Host::new();
    if host.runtime.has_systemd_cgroups() {
        // Its scopes are always new ones.
        return;
    }
    let own = Own::new("test-frozen");
    let before = Snapshot::take().unwrap();
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

    // An empty one will do, and is not the container's to remove.
    host.start(&bundle, "good");
    host.ok(&["delete", "--force", "good"]);
    before.check(&host.runtime).unwrap();
    drop(own);
    host.done();
}

#[test]
fn updates_that_nobody_can_mean() {
    let host = Host::new();
    let bundle = sleeping();
    host.start(&bundle, "c");
    let before = host.record("c");
    for (flags, error) in [
        (vec!["--memory", "much"], "memory"),
        (vec!["--memory", "1Q"], "memory"),
        (vec!["--memory", "-2"], "memory"),
        (vec!["--memory-swap", "1"], "memory"),
        (vec!["--cpu-period", "x"], "cpu-period"),
        (vec!["--cpu-share", "-1"], "cpu-share"),
        (vec!["--cpu-idle", "2"], "idle"),
        (vec!["--cpuset-cpus", "3-1"], "cpus"),
        (vec!["--blkio-weight", "70000"], "blkio-weight"),
        (vec!["--pids-limit", "x"], "pids-limit"),
        (vec!["--cpu-rt-runtime", "9"], "realtimeRuntime"),
        (vec!["--resources", "/nonexistent"], "open /nonexistent: no such file or directory"),
        (vec!["--resources", "/"], "is a directory"),
        (vec!["--resources", "/dev/null"], "EOF while parsing"),
    ] {
        host.fails(&[&["update"], flags.as_slice(), &["c"]].concat(), error);
    }
    for (text, error) in [
        ("{", "EOF while parsing"),
        ("[]", "expected a JSON object"),
        ("{} {}", "trailing characters"),
        ("{\"pids\":{\"limit\":\"x\"}}", "pids.limit: invalid type: string"),
        ("{\"network\":{\"classID\":9}}", "linux.resources.network"),
        ("{\"unified\":{\"cgroup.procs\":\"1\"}}", "cgroup.procs"),
        ("{\"devices\":[{\"allow\":true,\"type\":\"x\"}]}", "linux.resources.devices[0].type"),
    ] {
        host.update("c", text).failed_with(1, error).unwrap();
    }
    assert_eq!(host.record("c"), before);
    host.fails(&["update", "--pids-limit", "9", "nobody"], "container does not exist");
    host.ok(&["kill", "c", "KILL"]);
    host.runtime.await_status("c", "stopped").unwrap();
    host.fails(&["update", "--pids-limit", "9", "c"], "container not running");
    host.ok(&["delete", "c"]);
    host.done();
}

/// The kernel refuses the second of two limits: the first is as before, and so
/// is the record.
#[test]
fn an_update_that_is_refused_half_way() {
    let host = Host::new();
    if !has("hugetlb") {
        return;
    }
    let page = |size: &str, limit: u64| json!({ "pageSize": size, "limit": limit });
    let bundle = sleeping().with(resources(json!({ "hugepageLimits": [page("2MB", 4 << 20)] }))).unwrap();
    let cgroup = host.start(&bundle, "c");
    let before = host.record("c");
    let both = json!({ "hugepageLimits": [page("2MB", 2 << 20), page("3MB", 3 << 20)] });
    host.update("c", &both.to_string()).failed_with(1, "3MB").unwrap();
    assert_eq!(read(&cgroup, "hugetlb.2MB.max"), (4 << 20).to_string());
    assert_eq!(read(&cgroup, "hugetlb.2MB.rsvd.max"), (4 << 20).to_string());
    assert_eq!(host.record("c"), before);

    // The same for what only the kernel can judge, and for a new device filter.
    let unified = json!({ "hugepageLimits": [page("2MB", 2 << 20)], "unified": { "hugetlb.2MB.rsvd.max": "x" },
                          "devices": [{ "allow": true, "access": "rwm" }] });
    host.update("c", &unified.to_string()).failed_with(1, "hugetlb.2MB.rsvd.max").unwrap();
    assert_eq!(read(&cgroup, "hugetlb.2MB.max"), (4 << 20).to_string());
    assert_eq!(host.record("c"), before);
    if has("memory") && has("pids") {
        host.update("c", "{\"pids\":{\"limit\":50},\"unified\":{\"memory.high\":\"x\"}}")
            .failed_with(1, "memory.high")
            .unwrap();
        let was = read(&cgroup, "pids.max");
        assert!(was == "max" || was.parse::<u64>().unwrap() > 50, "{was}");
        assert_eq!(host.record("c"), before);
    }

    let good = json!({ "hugepageLimits": [page("2MB", 2 << 20)] });
    host.update("c", &good.to_string()).ok().unwrap();
    assert_eq!(read(&cgroup, "hugetlb.2MB.max"), (2 << 20).to_string());
    assert_ne!(host.record("c"), before);
    host.ok(&["delete", "--force", "c"]);
    host.done();
}

#[test]
fn the_device_filter_is_replaced_by_an_update() {
    let host = Host::new();
    // /dev/kmsg's numbers: it can be opened for writing without harm.
    let device = json!({ "path": "/dev/test", "type": "c", "major": 1, "minor": 11, "fileMode": 0o666 });
    let bundle = sleeping().with(|config| config["linux"]["devices"] = json!([device])).unwrap();
    host.start(&bundle, "c");
    let open = || host.run(&["exec", "c", "/probe", "write", "/dev/test", ""]);
    open().failed().unwrap();
    let rule = json!({ "allow": true, "type": "c", "major": 1, "minor": 11, "access": "w" });
    let deny = json!({ "allow": false, "access": "rwm" });
    host.update("c", &json!({ "devices": [deny, rule] }).to_string()).ok().unwrap();
    open().ok().unwrap();
    // An update of something else leaves it.
    host.update("c", "{}").ok().unwrap();
    open().ok().unwrap();
    host.update("c", &json!({ "devices": [deny] }).to_string()).ok().unwrap();
    open().failed().unwrap();
    host.ok(&["delete", "--force", "c"]);
    host.done();
}

/// Starts a process in the container. The runtime that waits for it is our
/// child, so that nobody else has to reap it.
fn exec(host: &Host, args: &[&str], cgroup: &Path) -> Child {
    let before = processes(cgroup);
    let child = host.runtime.command(&[&["exec"], args, &["c", "/probe", "sleep"]].concat()).spawn().unwrap();
    // From here on it is the program that waits, and no more the runtime.
    let runs = |pid: &String| {
        !before.contains(pid) && fs::read(format!("/proc/{pid}/comm")).is_ok_and(|comm| comm == b"probe\n")
    };
    while !processes(cgroup).iter().any(runs) {
        std::thread::sleep(Duration::from_millis(2));
    }
    child
}

/// A cgroup below the container's, with a process of the container in it.
fn nested(host: &Host, cgroup: &Path, name: &str) -> (PathBuf, Child) {
    let below = cgroup.join(name);
    fs::create_dir(&below).unwrap();
    let child = exec(host, &["--cgroup", name], &below);
    (below, child)
}

#[test]
fn frozen_and_nested_cgroups_make_nothing_hang() {
    let host = Host::new();
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

/// A thread mode below, which cgroup.procs of it cannot be read in.
#[test]
fn threaded_cgroups_below() {
    let host = Host::new();
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
fn exec_in_a_cgroup_below() {
    let host = Host::new();
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

/// What kind, buildkit and systemd in a container do: the init moves into a
/// cgroup below, and the container's own gets controllers, so that no process
/// can be in it any more.
#[test]
fn exec_after_the_init_has_made_room_for_controllers() {
    let host = Host::new();
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
    // All of the verbs still mean the whole container.
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
    let host = Host::new();
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
    // What it is for: the container makes cgroups and moves its processes into them.
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
    let host = Host::new();
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
    // It writes on, into a pipe that somebody reads.
    let rest = std::io::read_to_string(lines).unwrap();
    assert!(rest.lines().all(|line| line.starts_with('{')), "{rest}");
    assert!(wait(&mut events).unwrap().success());
    host.fails(&["events", "c"], "not running");
    host.fails(&["events", "--stats", "c"], "not running");
    host.ok(&["delete", "c"]);
    host.done();
}

/// A bus that takes connections and ends them, one that is none, and no bus.
#[test]
fn a_systemd_that_does_not_answer() {
    let host = Host::new();
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("bus");
    let listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    std::thread::spawn(move || listener.incoming().for_each(drop));
    let bundle = sleeping();
    let mut cases = vec![
        (format!("unix:path={}", socket.display()), "connecting to systemd: D-Bus authentication"),
        ("tcp:host=localhost".to_owned(), "DBUS_SYSTEM_BUS_ADDRESS=tcp:host=localhost has no address"),
    ];
    // Without a bus, systemd is asked by a socket of its own.
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

/// The container was made with the file-system driver: no flag of a later
/// command changes that.
#[test]
fn the_driver_is_the_records() {
    let host = Host::new();
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

/// An init and an exec that are killed for memory say so, and by which limit.
/// So that the news of a kill are not held back (docs/engines.md).
#[test]
fn with_a_limit_of_memory_processes_are_below_their_scope() {
    let host = Host::new();
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
    // Hit where the container does not count, so that it counts the kill alone.
    host.run(&["exec", "c", "/probe", "allocate", "96"])
        .failed_with(137, "memory.max of the container")
        .unwrap();
    assert!(read(&leaf, "memory.events").contains("oom_kill 1"));
    host.ok(&["delete", "--force", "c"]);
    wait(&mut second).unwrap();

    // crun's annotation, as engines set it.
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

#[test]
fn out_of_memory_is_named() {
    let host = Host::new();
    if !has("memory") {
        return;
    }
    let limited = |limit: u64, args: &[&str]| {
        let limits = json!({ "memory": { "limit": limit, "swap": limit } });
        Bundle::new(args).unwrap().with(resources(limits)).unwrap()
    };
    // systemd removes a scope when its last process has ended, and with it what the
    // kernel has counted, at times before anybody can look.
    let tries = if host.runtime.has_systemd_cgroups() { 20 } else { 1 };
    let is_named = |bundle: &Bundle, command: &str, status: i32, words: &str| {
        (0..tries).any(|_| {
            let output =
                host.runtime.run_in(bundle, &[command, "c"]).unwrap().failed_with(status, "").unwrap();
            host.before.check(&host.runtime).unwrap();
            output.stderr.contains(words)
        })
    };
    let tiny = limited(4096, &["sleep"]);
    // With a record that takes so long to be written, a child that does not wait for
    // systemd is ready before it has limits.
    let slow = limited(4096, &["sleep"])
        .with(|config| config["annotations"] = json!({ "a": "b".repeat(4 << 20) }))
        .unwrap();
    for bundle in [tiny, slow] {
        let words = "OOM-killed (memory limit too low?): memory.max of the container is 4096";
        assert!(is_named(&bundle, "create", 1, words), "it is never said");
    }
    let greedy = limited(16 << 20, &["allocate", "64"]);
    let words = "was OOM-killed: memory.max of the container is 16777216";
    assert!(is_named(&greedy, "run", 128 + 9, words), "it is never said");

    let bundle = limited(16 << 20, &["sleep"]);
    host.start(&bundle, "c");
    let killed = host.run(&["exec", "c", "/probe", "allocate", "64"]);
    killed.failed_with(128 + 9, "was OOM-killed: memory.max of the container is 16777216").unwrap();
    // A kill by somebody else is no want of memory.
    let other = host.run(&["exec", "c", "/probe", "die-by-signal", "9"]).failed_with(128 + 9, "").unwrap();
    assert!(!other.stderr.contains("OOM"), "{other}");
    let event = host.ok(&["events", "--stats", "c"]).stdout;
    let event: Value = serde_json::from_str(&event).unwrap();
    assert_eq!(event["data"]["memory"]["usage"]["limit"], 16 << 20, "{event}");
    host.ok(&["delete", "--force", "c"]);
    host.done();
}
