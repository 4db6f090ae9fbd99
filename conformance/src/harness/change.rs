// SPDX-License-Identifier: Apache-2.0
//! Changes of a configuration that cases and attacks share.

use crate::harness::bundle::Bundle;
use crate::harness::runtime::{Output, Runtime};
use crate::result::{Doing, Result};
use serde_json::{Value, json};

/// Gives the container a user namespace of its own.
pub fn with_user_namespace(config: &mut Value) {
    if let Some(list) = config["linux"]["namespaces"].as_array_mut() {
        list.push(json!({ "type": "user" }));
    }
    config["linux"]["uidMappings"] = json!([{ "containerID": 0, "hostID": 300_000, "size": 65_536 }]);
    config["linux"]["gidMappings"] = json!([{ "containerID": 0, "hostID": 400_000, "size": 65_536 }]);
}

/// Removes a namespace, so that the container shares it with the runtime.
pub fn without_namespace(config: &mut Value, kind: &str) {
    if let Some(list) = config["linux"]["namespaces"].as_array_mut() {
        list.retain(|namespace| namespace["type"] != kind);
    }
}

/// Puts the container into the namespace at a path.
pub fn join(config: &mut Value, kind: &str, path: &str) {
    without_namespace(config, kind);
    if let Some(list) = config["linux"]["namespaces"].as_array_mut() {
        list.push(json!({ "type": kind, "path": path }));
    }
}

/// Puts the container into namespaces of the process `pid`.
pub fn join_process(config: &mut Value, pid: i64, kinds: &[&str]) {
    for kind in kinds {
        let file = match *kind {
            "mount" => "mnt",
            "network" => "net",
            kind => kind,
        };
        if *kind == "uts" {
            config.as_object_mut().map(|all| all.remove("hostname"));
        }
        join(config, kind, &format!("/proc/{pid}/ns/{file}"));
    }
}

/// Gives the container's program CAP_SYS_ADMIN and CAP_DAC_OVERRIDE.
pub fn with_mount_rights(config: &mut Value) {
    for set in ["bounding", "effective", "permitted"] {
        config["process"]["capabilities"][set] = json!(["CAP_SYS_ADMIN", "CAP_DAC_OVERRIDE"]);
    }
}

/// Joins the container to the cgroup namespace at `path`, which is the runtime's own, and adds a
/// cgroup mount. A new mount has the source `new`; a bind mount of the host's has another one.
pub fn with_the_hosts_cgroups(config: &mut Value, path: &str) {
    join(config, "cgroup", path);
    if let Some(mounts) = config["mounts"].as_array_mut() {
        mounts.retain(|mount| mount["destination"] != "/sys/fs/cgroup");
        mounts.push(json!({ "destination": "/sys/fs/cgroup", "type": "cgroup", "source": "new" }));
    }
}

/// Lets the container's program signal and trace the others in its pid namespace.
pub fn with_trace_rights(config: &mut Value) {
    let caps = json!(["CAP_KILL", "CAP_SYS_PTRACE"]);
    config["process"]["capabilities"] = json!({ "bounding": caps, "effective": caps, "permitted": caps });
}

/// Adds a mount.
pub fn push(config: &mut Value, mount: Value) {
    if let Some(mounts) = config["mounts"].as_array_mut() {
        mounts.push(mount);
    }
}

/// The user namespace of a container.
#[derive(Clone, Copy, Debug)]
pub enum UserNamespace {
    /// A new one.
    New,
    /// The user namespace of another container.
    Joined,
    /// The user and mount namespaces of another container.
    JoinedWithMounts,
}

impl UserNamespace {
    /// The kinds in which the container has a mount namespace of its own.
    pub const ALL: [UserNamespace; 2] = [UserNamespace::New, UserNamespace::Joined];

    /// Runs a container as root of the user namespace, with the right to mount.
    pub fn run_in(self, runtime: &Runtime, bundle: Bundle) -> Result<Output> {
        self.during(runtime, |change| runtime.run_in(&bundle.with(change)?, &["run", "c"]))
    }

    /// Runs `action` while the user namespace exists. `action` gets a change that makes a
    /// container's program root of the namespace, with the right to mount.
    pub fn during<T>(
        self,
        runtime: &Runtime,
        action: impl FnOnce(&dyn Fn(&mut Value)) -> Result<T>,
    ) -> Result<T> {
        let kinds: &[&str] = match self {
            UserNamespace::New => {
                return action(&|config| {
                    with_mount_rights(config);
                    with_user_namespace(config);
                });
            }
            UserNamespace::Joined => &["user"],
            UserNamespace::JoinedWithMounts => &["user", "mount"],
        };
        beside(runtime, with_user_namespace, |pid| {
            action(&|config| {
                with_mount_rights(config);
                join_process(config, pid, kinds);
            })
        })
    }
}

/// Runs `action` while another container runs, with its pid.
pub fn beside<T>(
    runtime: &Runtime,
    change: impl FnOnce(&mut Value),
    action: impl FnOnce(i64) -> Result<T>,
) -> Result<T> {
    let first = Bundle::new(&["sleep"])?.with(change)?;
    runtime.run_in(&first, &["run", "--detach", "first"])?.ok()?;
    let result = action(runtime.state("first")?["pid"].as_i64().unwrap_or_default());
    runtime.run(&["delete", "--force", "first"])?.ok()?;
    result
}

/// Returns the options of the host's cgroup2 file systems.
pub fn cgroup2_options() -> Result<Vec<String>> {
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").doing("mountinfo")?;
    Ok(mounts.lines().filter_map(|line| line.split_once(" - cgroup2 ")).map(|l| l.1.to_owned()).collect())
}
