// SPDX-License-Identifier: Apache-2.0
//! Changes outside of the container, and the sources of its parts, are in a plan.

use super::support::{ID, Plan, runtime, texts};
use conformance::change::{push, with_user_namespace};
use conformance::{Bundle, host, runtime::finish};
use serde_json::{Value, json};
use std::path::Path;
use std::process::Command;

fn planned(bundle: &Bundle) -> Plan {
    Plan::of_run(&runtime(), bundle)
}

fn example(change: impl FnOnce(&mut Value)) -> Bundle {
    Bundle::new(&["exit", "0"]).unwrap().with(change).unwrap()
}

fn text<'a>(plan: &'a Plan, name: &'a str) -> &'a str {
    let step = plan.steps().iter().find(|step| step["name"] == name);
    step.unwrap_or_else(|| panic!("no {name}"))["text"].as_str().unwrap()
}

fn mount<'a>(plan: &'a Plan, destination: &str) -> &'a Value {
    plan.steps().iter().find(|step| step["details"]["mount"]["destination"] == destination).unwrap()
}

#[test]
fn the_controllers_that_cgroups_get_are_planned() {
    let _alone = host::alone();
    let runtime = runtime();
    let bundle = example(|config| config["linux"]["cgroupsPath"] = json!("/conf-dry/below/c"));
    let plan = Plan::of(&runtime, &bundle, &["create", "--dry-run", "--format", "json", ID]);
    runtime.run_in(&bundle, &["create", ID]).unwrap().ok().unwrap();
    let cgroup = Path::new(plan.only("MakeCgroup", "cgroup")["path"].as_str().unwrap());
    let parents = || cgroup.ancestors().skip(1).take(2);
    let enabled = |parent: &Path| {
        let file = parent.join("cgroup.subtree_control");
        let value = std::fs::read_to_string(&file).unwrap();
        (file.display().to_string(), value.split_whitespace().map(|name| format!("+{name} ")).collect())
    };
    let enabled: Vec<(String, String)> = parents().map(enabled).collect();
    runtime.run(&["delete", "--force", ID]).unwrap().ok().unwrap();
    for parent in parents() {
        std::fs::remove_dir(parent).unwrap_or(());
    }
    let planned: Vec<_> = plan.details("EnableControllers", "write").collect();
    for (file, value) in enabled {
        let planned = planned.iter().find(|write| write["file"] == file.as_str());
        assert_eq!(planned.map_or("", |write| write["value"].as_str().unwrap()), value.trim(), "{file}");
    }
}

#[test]
fn streams_change_their_owner_with_the_user() {
    let _alone = host::alone();
    let plan = planned(&example(|_| ()));
    assert!(text(&plan, "User").contains("make it the owner of the caller's standard streams"));
    assert_eq!(plan.only("User", "user")["owns_streams"], true);
}

#[test]
fn the_source_of_a_mount_is_the_one_that_is_mounted() {
    let _alone = host::alone();
    let plan = planned(&example(|config| {
        config["linux"]["namespaces"].as_array_mut().unwrap().retain(|one| one["type"] != "cgroup");
        push(
            config,
            json!({ "destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup", "options": ["ro"] }),
        );
    }));
    let source = mount(&plan, "/sys/fs/cgroup")["details"]["mount"]["source"].as_str().unwrap();
    assert!(source.starts_with("/sys/fs/cgroup"), "{source}");
    // A source below the root is found in the container.
    let bundle = example(|_| ());
    let below = bundle.rootfs("tmp").display().to_string();
    let bundle = bundle
        .with(|config| {
            push(config, json!({ "destination": "/x", "source": below, "options": ["bind"] }));
            push(config, json!({ "destination": "/y", "source": "/tmp", "options": ["bind"] }));
        })
        .unwrap();
    let plan = planned(&bundle);
    let (x, y) = (mount(&plan, "/x"), mount(&plan, "/y"));
    assert_eq!(
        (&x["details"]["mount"]["of_container"], &x["details"]["mount"]["source"]),
        (&true.into(), &"/tmp".into())
    );
    assert_eq!(y["details"]["mount"]["of_container"], false);
    assert!(x["text"].as_str().unwrap().starts_with("the container's /tmp on /x"), "{x}");
}

#[test]
fn a_time_namespace_is_planned_with_its_offsets() {
    let _alone = host::alone();
    let plan = planned(&example(|config| {
        config["linux"]["timeOffsets"] = json!({ "boottime": { "secs": 7 } });
        config["linux"]["namespaces"].as_array_mut().unwrap().push(json!({ "type": "time" }));
    }));
    assert_eq!(texts(plan.only("TimeNamespace", "namespaces")), ["time"]);
    assert_eq!(plan.only("TimeNamespace", "write")["value"], "boottime 7 0");
}

#[test]
fn values_have_their_names() {
    let _alone = host::alone();
    let plan = planned(&example(|config| {
        config["linux"]["memoryPolicy"] =
            json!({ "mode": "MPOL_BIND", "nodes": "0", "flags": ["MPOL_F_STATIC_NODES"] });
        config["linux"]["personality"] = json!({ "domain": "LINUX32" });
        config["process"]["scheduler"] = json!({ "policy": "SCHED_FIFO", "priority": 7 });
        config["process"]["ioPriority"] = json!({ "class": "IOPRIO_CLASS_BE", "priority": 4 });
    }));
    assert_eq!(plan.only("MemoryPolicy", "setting")["value"], "MPOL_BIND, nodes 0, MPOL_F_STATIC_NODES");
    assert_eq!(plan.only("Personality", "setting")["value"], "LINUX32");
    let values: Vec<_> =
        plan.details("SetFromOutside", "setting").map(|one| one["value"].as_str().unwrap()).collect();
    assert_eq!(values, ["SCHED_FIFO, priority 7", "IOPRIO_CLASS_BE, level 4"]);
}

#[test]
fn a_container_without_a_cgroup_waits_for_no_limits() {
    let _alone = host::alone();
    let bundle = example(|config| drop(config["linux"].as_object_mut().unwrap().remove("cgroupsPath")));
    let args = ["--cgroup-manager", "disabled", "run", "--dry-run", "--format", "json", ID];
    let plan = Plan::of(&runtime(), &bundle, &args);
    assert!(plan.steps().iter().all(|step| !step["text"].as_str().unwrap().contains("set the limits")));
}

#[test]
fn the_agent_and_the_last_hooks_belong_to_the_command() {
    let _alone = host::alone();
    let bundle = example(|config| {
        config["hooks"] = json!({ "poststop": [{ "path": "/bin/true" }] });
        config["linux"]["seccomp"] = json!({
            "defaultAction": "SCMP_ACT_ALLOW", "listenerPath": "/run/agent.sock",
            "syscalls": [{ "names": ["acct"], "action": "SCMP_ACT_NOTIFY" }]
        });
    });
    let runtime = runtime();
    let hook = |more: &[&str]| {
        let plan =
            Plan::of(&runtime, &bundle, &[&["run", "--dry-run", "--format", "json"], more, &[ID]].concat());
        assert_eq!(plan.only("SeccompAgent", "path"), "/run/agent.sock");
        let agent = plan.steps().iter().position(|step| step["name"] == "SeccompAgent").unwrap();
        assert_eq!(
            (&plan.steps()[agent]["by"], &plan.steps()[agent - 1]["name"]),
            (&"runtime".into(), &"Seccomp".into())
        );
        plan.steps().iter().find(|step| step["name"] == "Hook").unwrap()["by"].clone()
    };
    assert_eq!(hook(&[]), "runtime");
    assert_eq!(hook(&["--keep"]), "delete");
    assert_eq!(hook(&["--detach"]), "delete");
}

#[test]
fn a_name_with_blanks_is_quoted() {
    let _alone = host::alone();
    let plan = planned(&example(|config| {
        push(config, json!({ "destination": "/a  b", "type": "tmpfs", "source": "x\u{202e}y" }));
    }));
    let step = mount(&plan, "/a  b");
    assert!(step["text"].as_str().unwrap().starts_with(r#""x\u{202e}y" on "/a  b" type tmpfs"#), "{step}");
}

#[test]
fn no_limit_is_null() {
    let _alone = host::alone();
    let plan = planned(&example(|config| {
        config["process"]["rlimits"] = json!([{ "type": "RLIMIT_CORE", "soft": 7, "hard": u64::MAX }]);
    }));
    assert_eq!(plan.only("Rlimit", "rlimit")["hard"], Value::Null);
    assert_eq!(
        text(&plan, "Rlimit"),
        "set the soft limit of RLIMIT_CORE to 7, and the hard limit to unlimited"
    );
}

/// Returns the message of a failing command on a file system that is read-only.
fn on_read_only(bundle: &Bundle, verb: &[&str]) -> String {
    let runtime = runtime();
    let dir = bundle.path().join("ro");
    std::fs::create_dir_all(&dir).unwrap();
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", r#"mount -t tmpfs -o ro none ro && exec "$@""#, "sh"]);
    command.arg(runtime.program()).args(["--root", dir.join("a/b").to_str().unwrap()]).args(verb).arg(ID);
    command.current_dir(bundle.path());
    let output = finish(command).unwrap().failed().unwrap();
    output.stderr.split_once("level=").unwrap().1.to_owned()
}

#[test]
fn a_state_directory_that_cannot_be_made_is_an_error() {
    let _alone = host::alone();
    let bundle = example(|_| ());
    let refused = on_read_only(&bundle, &["run"]);
    assert!(refused.contains("mkdir"), "{refused}");
    assert_eq!(on_read_only(&bundle, &["run", "--dry-run"]), refused);
}

#[test]
fn an_owner_without_a_mapping_is_an_error() {
    let _alone = host::alone();
    let bundle = example(|config| {
        with_user_namespace(config);
        for name in ["uidMappings", "gidMappings"] {
            config["linux"][name] = json!([
                { "containerID": 0, "hostID": 0, "size": 1 }, { "containerID": 1, "hostID": 65534, "size": 1 }
            ]);
        }
        config["linux"]["devices"] =
            json!([{ "path": "/dev/x", "type": "c", "major": 1, "minor": 3, "uid": 77, "gid": 0 }]);
    });
    let runtime = runtime();
    for args in [&["create", ID][..], &["create", "--dry-run", ID]] {
        runtime
            .run_in(&bundle, args)
            .unwrap()
            .failed_with(1, "linux.devices: /dev/x: uid 77 has no mapping")
            .unwrap();
    }
}

#[test]
fn a_terminal_is_needed_in_the_foreground() {
    let _alone = host::alone();
    let bundle = example(|config| config["process"]["terminal"] = json!(true));
    let runtime = runtime();
    let run = |args: &[&str]| {
        let mut command = Command::new("setsid");
        command.args(["--wait"]).arg(runtime.program());
        command.args(["--root", runtime.root().to_str().unwrap(), "run"]).args(args).arg(ID);
        command.current_dir(bundle.path());
        let output = finish(command).unwrap().failed().unwrap();
        output.stderr.split_once("level=").unwrap().1.to_owned()
    };
    let refused = run(&[]);
    assert!(refused.contains("open /dev/tty"), "{refused}");
    assert_eq!(run(&["--dry-run"]), refused);
}
