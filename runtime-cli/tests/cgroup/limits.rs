// SPDX-License-Identifier: Apache-2.0
//! Limits of a new container and updates of them: bad input leaves the old state.

use super::support::{has, host, read, resources, sleeping};
use conformance::Bundle;
use serde_json::{Value, json};

#[test]
fn absurd_limits_are_refused() {
    let host = host();
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
    // A file of no controller, and one that its controller does not have.
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
    let host = host();
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
fn absurd_updates_are_refused() {
    let host = host();
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

/// The kernel refuses the second of two limits: the first, and the record, stay as they were.
#[test]
fn an_update_that_is_refused_half_way_changes_nothing() {
    let host = host();
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

    // The same for a value that only the kernel can check, and for a new device filter.
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
    let host = host();
    // The numbers of /dev/kmsg, which can be opened for writing without harm.
    let device = json!({ "path": "/dev/test", "type": "c", "major": 1, "minor": 11, "fileMode": 0o666 });
    let bundle = sleeping().with(|config| config["linux"]["devices"] = json!([device])).unwrap();
    host.start(&bundle, "c");
    let open = || host.run(&["exec", "c", "/probe", "write", "/dev/test", ""]);
    open().failed().unwrap();
    let rule = json!({ "allow": true, "type": "c", "major": 1, "minor": 11, "access": "w" });
    let deny = json!({ "allow": false, "access": "rwm" });
    host.update("c", &json!({ "devices": [deny, rule] }).to_string()).ok().unwrap();
    open().ok().unwrap();
    // An update of other limits keeps the filter.
    host.update("c", "{}").ok().unwrap();
    open().ok().unwrap();
    host.update("c", &json!({ "devices": [deny] }).to_string()).ok().unwrap();
    open().failed().unwrap();
    host.ok(&["delete", "--force", "c"]);
    host.done();
}

#[test]
fn out_of_memory_is_named() {
    let host = host();
    if !has("memory") {
        return;
    }
    let limited = |limit: u64, args: &[&str]| {
        let limits = json!({ "memory": { "limit": limit, "swap": limit } });
        Bundle::new(args).unwrap().with(resources(limits)).unwrap()
    };
    // systemd removes a scope and its counters after its last process, sometimes before the runtime
    // has read them.
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
    // This record takes long to be written: a child that did not wait for systemd would be ready
    // before it has limits.
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
    // A SIGKILL by another process is not reported as out of memory.
    let other = host.run(&["exec", "c", "/probe", "die-by-signal", "9"]).failed_with(128 + 9, "").unwrap();
    assert!(!other.stderr.contains("OOM"), "{other}");
    let event = host.ok(&["events", "--stats", "c"]).stdout;
    let event: Value = serde_json::from_str(&event).unwrap();
    assert_eq!(event["data"]["memory"]["usage"]["limit"], 16 << 20, "{event}");
    host.ok(&["delete", "--force", "c"]);
    host.done();
}
