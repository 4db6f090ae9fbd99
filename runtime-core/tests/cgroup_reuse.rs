// SPDX-License-Identifier: Apache-2.0
//! A cgroup that exists before the container, and outlives it.
#![allow(clippy::disallowed_methods)]

use conformance::{Bundle, host};
use runtime_core::{ContainerId, DeleteOptions, Runtime, spec};
use serde_json::json;
use std::fs;

#[test]
fn a_cgroup_that_was_killed_before_can_be_used_again() {
    let _alone = host::alone();
    let name = format!("reuse-{}", std::process::id());
    let cgroup = host::hierarchy().join(&name);
    fs::create_dir(&cgroup).unwrap();
    fs::write(cgroup.join("cgroup.kill"), "1").unwrap();

    let root = tempfile::tempdir().unwrap();
    let runtime = Runtime::new(root.path());
    let id = ContainerId::new(&name).unwrap();
    let container = runtime.container(id.clone());
    let bundle = Bundle::new(&["sleep"])
        .unwrap()
        .with(|config| {
            config["linux"]["cgroupsPath"] = json!(format!("/{name}"));
            config["hooks"] = json!({ "createContainer": [{ "path": "/bin/true" }] });
        })
        .unwrap();
    let procs = || fs::read_to_string(cgroup.join("cgroup.procs")).unwrap();
    for round in 0..2 {
        let created =
            runtime.builder(id.clone(), bundle.path()).run().unwrap_or_else(|e| panic!("{round}: {e:?}"));
        assert_eq!(procs(), format!("{}\n", created.pid()));
        let process = spec::Process {
            args: vec!["/probe".into(), "cat".into(), "/proc/self/cgroup".into()],
            cwd: "/".into(),
            ..Default::default()
        };
        let output = container.exec(process).output(4096).unwrap_or_else(|e| panic!("{round}: {e:?}"));
        assert_eq!(output.status.code(), 0);
        let cgroups = String::from_utf8(output.stdout).unwrap();
        // The root of the container's cgroup namespace is the cgroup of its first process.
        assert!(cgroups.lines().any(|line| line == "0::/"), "{cgroups}");
        container.delete(DeleteOptions::new().force(true)).unwrap();
        created.wait().unwrap();
        assert!(cgroup.exists(), "it was not ours to remove");
    }
    fs::remove_dir(&cgroup).unwrap();
}
