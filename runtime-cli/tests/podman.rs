// SPDX-License-Identifier: Apache-2.0
//! Features of crun that Podman uses beyond runc's command line.
#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

use conformance::{Bundle, Report, Runtime, host};
use serde_json::json;
use std::process::Command;

fn runtime() -> Runtime {
    Runtime::new(&conformance::bundle::beside("runtime-cli")).unwrap()
}

/// Runs a container as `podman run --cgroups disabled` does.
#[test]
fn a_container_without_a_cgroup_runs() {
    let _alone = host::alone();
    let runtime = runtime();
    let bundle = Bundle::new(&["report"]).unwrap().with(|config| {
        config["linux"].as_object_mut().unwrap().remove("cgroupsPath");
        config["linux"]["resources"] = json!(null);
        let namespaces = config["linux"]["namespaces"].as_array_mut().unwrap();
        namespaces.retain(|namespace| namespace["type"] != "cgroup");
    });
    let bundle = bundle.unwrap();
    let report = runtime.run_in(&bundle, &["--cgroup-manager", "disabled", "run", "report"]).unwrap().ok();
    let report: Report = serde_json::from_str(&report.unwrap().stdout).unwrap();
    let own = std::fs::read_to_string("/proc/self/cgroup").unwrap();
    assert_eq!(Some(report.cgroup.as_str()), own.lines().find_map(|line| line.strip_prefix("0::")));

    let limited = bundle.with(|config| config["linux"]["resources"] = json!({ "pids": { "limit": 5 } }));
    let refused =
        runtime.run_in(&limited.unwrap(), &["--cgroup-manager", "disabled", "run", "limited"]).unwrap();
    refused
        .failed_with(1, "linux.resources: limits need a cgroup, and the cgroup manager is 'disabled'")
        .unwrap();
}

#[test]
fn an_unknown_cgroup_manager_is_an_error() {
    let bundle = Bundle::new(&["report"]).unwrap();
    let refused = runtime().run_in(&bundle, &["--cgroup-manager", "magic", "run", "report"]).unwrap();
    refused.failed_with(1, "unknown manager \\\"magic\\\"").unwrap();
}

/// Runs a container as `podman run --group-add keep-groups` does.
#[test]
fn the_groups_of_the_caller_are_kept_by_an_annotation() {
    let _alone = host::alone();
    let runtime = runtime();
    let groups = |annotation: &str| {
        let bundle = Bundle::new(&["report"]).unwrap();
        let bundle = bundle
            .with(|config| config["annotations"] = json!({ "run.oci.keep_original_groups": annotation }))
            .unwrap();
        let mut command = Command::new("setpriv");
        command.args(["--groups", "24,29"]).arg(runtime.program()).arg("--root").arg(runtime.root());
        command.args(["run", "report"]).current_dir(bundle.path());
        let output = conformance::runtime::finish(command).unwrap();
        output.ok().map(|output| serde_json::from_str::<Report>(&output.stdout).unwrap().groups)
    };
    assert_eq!(groups("1").unwrap(), [24, 29]);
    assert_eq!(groups("0").unwrap(), [0; 0]);
    assert!(groups("yes").unwrap_err().contains("annotations.run.oci.keep_original_groups"));
}
