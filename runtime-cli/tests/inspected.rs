// SPDX-License-Identifier: Apache-2.0
//! The runtime's process before its execve(2): no container may inspect it, because it has open
//! files of the host and memory with the host's data.
#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

use conformance::{Bundle, Runtime};
use serde_json::{Value, json};
use std::fs;

fn runtime() -> Runtime {
    Runtime::new(&conformance::bundle::beside("runtime-cli")).unwrap()
}

/// Makes a container that searches for processes that run the runtime's program.
fn watcher(change: impl FnOnce(&mut Value)) -> Bundle {
    let bundle = Bundle::new(&["watch-program", "runtime-cli", "/tmp/found"]).unwrap();
    fs::set_permissions(bundle.rootfs("tmp"), std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
    let bundle = bundle.with(|config| config["root"]["readonly"] = json!(false));
    bundle.unwrap().with(change).unwrap()
}

fn in_user_namespace(config: &mut Value) {
    config["linux"]["namespaces"].as_array_mut().unwrap().push(json!({ "type": "user" }));
    for map in ["uidMappings", "gidMappings"] {
        config["linux"][map] = json!([{ "containerID": 0, "hostID": 100_000, "size": 65_536 }]);
    }
}

fn found(bundle: &Bundle) -> String {
    fs::read_to_string(bundle.rootfs("tmp/found")).unwrap()
}

fn await_start(bundle: &Bundle) {
    while !bundle.rootfs("tmp/found").exists() {
        std::thread::yield_now();
    }
}

/// Root on the host has all capabilities over a user namespace that root has made, even if its own
/// sets are empty, as in a container that shares the host's pid namespace.
#[test]
fn no_container_with_the_pids_of_the_host_inspects_the_runtime() {
    let runtime = runtime();
    let watcher = watcher(|config| {
        config["process"]["capabilities"] = json!({});
        config["linux"]["namespaces"].as_array_mut().unwrap().retain(|ns| ns["type"] != "pid");
        config["linux"]["cgroupsPath"] = json!(format!("/watched-host-{}", std::process::id()));
    });
    runtime.run_in(&watcher, &["run", "--detach", "watcher"]).unwrap().ok().unwrap();
    await_start(&watcher);
    let id_mapped = json!({ "destination": "/tmp", "source": "/tmp", "options": ["bind", "idmap"] });
    for round in 0..20 {
        let bundle = Bundle::new(&["exit", "0"]).unwrap();
        let bundle = bundle.with(in_user_namespace).unwrap();
        let bundle = bundle.with(|config| {
            config["linux"]["cgroupsPath"] = json!(format!("/watched-victim-{}", std::process::id()));
            if round % 2 == 0 {
                config["mounts"].as_array_mut().unwrap().push(id_mapped.clone());
            }
        });
        runtime.run_in(&bundle.unwrap(), &["run", "victim"]).unwrap().ok().unwrap();
    }
    runtime.run(&["delete", "--force", "watcher"]).unwrap().ok().unwrap();
    assert_eq!(found(&watcher), "");
}

/// A container in an existing cgroup: a process of `exec` is moved there, and is visible among the
/// container's processes while it waits.
#[test]
fn no_container_inspects_an_exec_into_it() {
    let runtime = runtime();
    let name = format!("watched-{}", std::process::id());
    let cgroup = conformance::host::hierarchy().join(&name);
    fs::create_dir(&cgroup).unwrap();
    let watcher = watcher(|config| {
        in_user_namespace(config);
        for set in ["bounding", "effective", "permitted"] {
            config["process"]["capabilities"][set] = json!(["CAP_SYS_PTRACE"]);
        }
        config["linux"]["cgroupsPath"] = json!(format!("/{name}"));
    });
    runtime.run_in(&watcher, &["run", "--detach", "watcher"]).unwrap().ok().unwrap();
    await_start(&watcher);
    for _ in 0..20 {
        runtime.run(&["exec", "watcher", "/probe", "exit", "0"]).unwrap().ok().unwrap();
    }
    runtime.run(&["delete", "--force", "watcher"]).unwrap().ok().unwrap();
    fs::remove_dir(&cgroup).unwrap();
    assert_eq!(found(&watcher), "");
}
