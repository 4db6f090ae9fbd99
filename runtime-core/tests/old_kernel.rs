// SPDX-License-Identifier: Apache-2.0
//! The fallbacks for older kernels: a filter around the test returns the errors of an older kernel.
#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

use conformance::{Bundle, Report};
use runtime_core::{ContainerId, DeleteOptions, Runtime};
use seccomp::Instruction;
use serde_json::json;
use std::io::Read;

/// Lets fsconfig(2) with this command fail with EINVAL, in the calling thread and in the threads
/// that it starts.
fn refuse_fsconfig(command: u32) {
    let step = |code, jt, jf, k| Instruction { code, jt, jf, k };
    let (load, is_equal, answer) = (0x20, 0x15, 0x06);
    let filter = [
        step(load, 0, 0, 0),
        step(is_equal, 0, 3, libc::SYS_fsconfig as u32),
        // The low half of the second argument.
        step(load, 0, 0, 24),
        step(is_equal, 0, 1, command),
        step(answer, 0, 0, libc::SECCOMP_RET_ERRNO | libc::EINVAL as u32),
        step(answer, 0, 0, libc::SECCOMP_RET_ALLOW),
    ];
    runtime_sys::seccomp::load(&filter, 0).unwrap();
}

/// KERNEL(6.18): procfs has no option `pidns`.
#[test]
fn procfs_of_a_joined_pid_namespace() {
    procfs_of_joined(&["pid"]);
}

/// After joining the user namespace, the init has no rights over its own pid namespace.
#[test]
fn procfs_of_a_pid_namespace_that_is_joined_with_its_user_namespace() {
    procfs_of_joined(&["pid", "user"]);
}

/// A container joins these namespaces of another, and mounts a procfs.
fn procfs_of_joined(kinds: &[&str]) {
    const FSCONFIG_SET_FD: u32 = 5;
    let root = tempfile::tempdir().unwrap();
    let runtime = Runtime::new(root.path());
    let mut first = Bundle::new(&["sleep"]).unwrap();
    let maps = json!([{ "containerID": 0, "hostID": 100_000, "size": 100 }]);
    if kinds.contains(&"user") {
        first = first
            .with(|config| {
                let linux = &mut config["linux"];
                linux["namespaces"].as_array_mut().unwrap().push(json!({ "type": "user" }));
                (linux["uidMappings"], linux["gidMappings"]) = (maps.clone(), maps);
            })
            .unwrap();
    }
    let id = |text: &str| ContainerId::new(&format!("{text}-{}", kinds.join("-"))).unwrap();
    let created = runtime.builder(id("first"), first.path()).run().unwrap();
    let second = Bundle::new(&["report"])
        .unwrap()
        .with(|config| {
            let namespaces = config["linux"]["namespaces"].as_array_mut().unwrap();
            namespaces.retain(|namespace| !kinds.contains(&namespace["type"].as_str().unwrap()));
            for kind in kinds {
                let path = format!("/proc/{}/ns/{kind}", created.pid());
                namespaces.push(json!({ "type": kind, "path": path }));
            }
        })
        .unwrap();
    refuse_fsconfig(FSCONFIG_SET_FD);
    let (mut reader, writer) = std::io::pipe().unwrap();
    let joined = runtime
        .builder(id("second"), second.path())
        .stdout(writer)
        .run()
        .unwrap_or_else(|error| panic!("{}", error.report()));
    assert_eq!(joined.wait().unwrap().code(), 0);
    let mut text = String::new();
    reader.read_to_string(&mut text).unwrap();
    let report: Report = serde_json::from_str(&text).unwrap();
    assert!(report.processes.contains(&1) && report.processes.contains(&report.pid), "{report:?}");
    // The opener of the procfs was 2. No other helper may be in the namespace, where it could be taken
    // over with all descriptors of the init.
    assert_eq!(report.pid, 3);
    for name in ["second", "first"] {
        runtime.container(id(name)).delete(DeleteOptions::new().force(true)).unwrap();
    }
    created.wait().unwrap();
}
