// SPDX-License-Identifier: Apache-2.0
//! The values of a plan are those that a container of the same bundle has.

use super::support::{ID, Plan, docker, runtime, texts};
use conformance::report::Report;
use conformance::{Bundle, host};
use serde_json::Value;
use std::collections::BTreeSet;

/// The capabilities by number, as far as the bundles have them.
const CAPABILITIES: [(&str, u32); 14] = [
    ("CAP_CHOWN", 0),
    ("CAP_DAC_OVERRIDE", 1),
    ("CAP_FOWNER", 3),
    ("CAP_FSETID", 4),
    ("CAP_KILL", 5),
    ("CAP_SETGID", 6),
    ("CAP_SETUID", 7),
    ("CAP_SETPCAP", 8),
    ("CAP_NET_BIND_SERVICE", 10),
    ("CAP_NET_RAW", 13),
    ("CAP_SYS_CHROOT", 18),
    ("CAP_MKNOD", 27),
    ("CAP_AUDIT_WRITE", 29),
    ("CAP_SETFCAP", 31),
];

fn set(names: &Value) -> u64 {
    let number = |name: &str| CAPABILITIES.iter().find(|(known, _)| *known == name).unwrap().1;
    texts(names).into_iter().map(|name| 1 << number(name)).sum()
}

fn capabilities(plan: &Plan, report: &Report) {
    let sets = plan.only("Capabilities", "capabilities");
    let bounding = plan.only("BoundingSet", "bounding");
    for (field, names) in [
        ("CapEff", &sets["effective"]),
        ("CapPrm", &sets["permitted"]),
        ("CapInh", &sets["inheritable"]),
        ("CapAmb", &sets["ambient"]),
        ("CapBnd", bounding),
    ] {
        assert_eq!(u64::from_str_radix(&report.capabilities[field], 16).unwrap(), set(names), "{field}");
    }
}

fn mounts(plan: &Plan, report: &Report) {
    let mut places = Vec::new();
    for mount in plan.details("Mount", "mount") {
        let destination = mount["destination"].as_str().unwrap();
        let place = report.mounts.iter().position(|m| m.target == destination);
        let place = place.unwrap_or_else(|| panic!("not mounted: {mount}"));
        let made = &report.mounts[place];
        // mountinfo has no word for strictatime, and has `rw` if it does not have `ro`.
        let attributes = texts(&mount["attributes"]).into_iter().map(|name| name.trim_start_matches("rr"));
        let attributes: BTreeSet<&str> = attributes.filter(|name| *name != "strictatime").collect();
        let options: BTreeSet<&str> =
            made.options.iter().map(String::as_str).filter(|option| *option != "rw").collect();
        if mount["kind"] == "new" {
            assert_eq!(mount["filesystem"], made.fstype.as_str());
            assert_eq!(attributes, options, "{mount}");
            assert_eq!(mount["source"], made.source.as_str());
            // The trees of bind mounts are cloned before any mount is made, and have lower ids.
            places.push(place);
        } else {
            assert!(attributes.is_subset(&options), "{mount}: {options:?}");
            for cleared in texts(&mount["cleared"]) {
                assert!(!options.contains(format!("no{cleared}").as_str()), "{mount}: {options:?}");
            }
        }
        for option in texts(&mount["options"]) {
            let is_shown = option.starts_with("size=") || option == "mode=755";
            // 67108864 is shown as 65536k.
            let option = option.replace("67108864", "65536k");
            assert!(!is_shown || made.super_options.contains(&option), "{option}: {made:?}");
        }
        let is_slave = made.propagation.iter().any(|word| word.starts_with("master:"));
        let last = texts(&mount["propagation"]).last().copied().unwrap_or_default().to_owned();
        assert!(!is_slave || last.ends_with("slave"), "{mount}: {made:?}");
    }
    assert!(places.is_sorted(), "the order of the mounts: {places:?}");
}

fn process(plan: &Plan, report: &Report) {
    let user = plan.only("User", "user");
    let number = |value: &Value| value.as_u64().unwrap() as u32;
    assert_eq!(report.uids, [number(&user["uid"]); 4]);
    assert_eq!(report.gids, [number(&user["gid"]); 4]);
    assert_eq!(report.umask, number(&user["umask"]));
    let groups: Vec<u32> = user["additional_gids"].as_array().unwrap().iter().map(number).collect();
    assert_eq!(report.groups, groups);
    assert_eq!(plan.only("Cwd", "path"), report.cwd.as_str());
    for limit in plan.details("Rlimit", "rlimit") {
        let (soft, hard) = report.rlimits[limit["resource"].as_str().unwrap()];
        assert_eq!((limit["soft"].as_u64(), limit["hard"].as_u64()), (Some(soft), Some(hard)), "{limit}");
    }
    let program = plan.only("Exec", "program");
    assert_eq!(texts(&program["args"]), report.args);
    let names: Vec<&str> = report.env.iter().map(|entry| entry.split('=').next().unwrap()).collect();
    assert_eq!(texts(&program["env"]), names);
    let has = |name: &str| plan.steps().iter().any(|step| step["name"] == name);
    assert_eq!(has("NoNewPrivileges"), report.status["NoNewPrivs"] == "1");
    assert_eq!(has("Seccomp"), report.status["Seccomp"] == "2");
}

fn devices(plan: &Plan, report: &Report) {
    for device in plan.details("Device", "device") {
        let name = device["path"].as_str().unwrap().strip_prefix("/dev/").unwrap();
        let kind = format!("char {}:{}", device["major"], device["minor"]);
        assert_eq!(report.dev[name].kind, kind, "{device}");
        assert_eq!(
            report.dev[name].mode & 0o777,
            device["mode"].as_u64().unwrap_or(0o666) as u32,
            "{device}"
        );
    }
    for link in plan.details("DeviceLink", "link") {
        let name = link["path"].as_str().unwrap().strip_prefix("/dev/").unwrap();
        assert_eq!(report.dev[name].kind, format!("link {}", link["target"].as_str().unwrap()));
    }
}

fn namespaces(plan: &Plan, report: &Report) {
    let made = ["Clone", "Network", "LateNamespaces", "CgroupNamespace"];
    let made: BTreeSet<&str> =
        made.into_iter().flat_map(|step| plan.details(step, "namespaces")).flat_map(texts).collect();
    for (name, file) in [
        ("user", "user"),
        ("ipc", "ipc"),
        ("uts", "uts"),
        ("network", "net"),
        ("pid", "pid"),
        ("cgroup", "cgroup"),
        ("mount", "mnt"),
    ] {
        let own = std::fs::read_link(format!("/proc/self/ns/{file}")).unwrap();
        assert_eq!(made.contains(name), report.namespaces[file] != own.to_str().unwrap(), "{name}");
    }
}

fn compare(bundle: &Bundle) -> (Plan, Report) {
    let runtime = runtime();
    let plan = Plan::of_run(&runtime, bundle);
    let report = runtime.report(bundle).unwrap();
    capabilities(&plan, &report);
    mounts(&plan, &report);
    process(&plan, &report);
    devices(&plan, &report);
    namespaces(&plan, &report);
    (plan, report)
}

#[test]
fn a_plan_of_the_example_has_the_values_of_its_container() {
    let _alone = host::alone();
    let (plan, report) = compare(&Bundle::new(&["report"]).unwrap());
    assert_eq!(plan.only("Hostname", "setting")["value"], report.hostname.as_str());
}

#[test]
fn a_plan_of_a_bundle_of_docker_has_the_values_of_its_container() {
    let _alone = host::alone();
    let (plan, report) = compare(&docker(&["report"]));
    let score = plan.only("SetFromOutside", "write");
    assert_eq!(score["value"], report.oom_score_adj.to_string());
    assert_eq!(score["field"], "process.oomScoreAdj");
    let hook = plan.only("Hook", "hook");
    assert_eq!((&hook["kind"], &hook["timeout"]), (&"prestart".into(), &9.into()));
}

#[test]
fn limits_and_kernel_parameters_are_in_the_planned_files() {
    let _alone = host::alone();
    let runtime = runtime();
    let bundle = docker(&[
        "cat",
        "/proc/sys/net/ipv4/ip_unprivileged_port_start",
        "/proc/sys/net/ipv4/ping_group_range",
    ]);
    let plan = Plan::of(&runtime, &bundle, &["create", "--dry-run", "--format", "json", ID]);
    let filter = plan.only("Seccomp", "filter");
    runtime.run_in(&bundle, &["create", ID]).unwrap().ok().unwrap();
    let cgroup = plan.only("MakeCgroup", "cgroup");
    let pid = runtime.state(ID).unwrap()["pid"].as_i64().unwrap();
    assert_eq!(host::cgroup_of(pid).unwrap().to_str(), cgroup["path"].as_str());
    let limits: Vec<_> = plan.details("Limits", "write").collect();
    assert_eq!(limits.len(), 2, "{limits:?}");
    for limit in limits {
        let value = std::fs::read_to_string(limit["file"].as_str().unwrap()).unwrap();
        assert_eq!(limit["value"], value.trim(), "{limit}");
    }
    // The state directory has the filter that the process loads.
    let program = std::fs::read(runtime.root().join(ID).join("seccomp.bpf")).unwrap();
    assert_eq!(filter["instructions"].as_u64(), Some(program.len() as u64 / 8));
    for path in plan.details("MakeFifo", "path").chain(plan.details("WriteRecord", "path")) {
        assert!(std::path::Path::new(path.as_str().unwrap()).exists(), "{path}");
    }
    let tasks = std::fs::read_to_string(format!("/proc/{pid}/root/proc/1/comm"));
    assert!(tasks.is_ok(), "the planned procfs is mounted");
    runtime.run(&["delete", "--force", ID]).unwrap().ok().unwrap();
}
