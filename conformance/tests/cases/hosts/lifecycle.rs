// SPDX-License-Identifier: Apache-2.0
//! The lifecycle of a container with a configuration like Docker's: on this host, after some shell
//! commands have changed it, or in a container.

use conformance::runtime::finish;
use conformance::{Bundle, Doing, Output, Result, Runtime, bundle, ensure};
use serde_json::{Value, json};
use std::process::{Command, Stdio};

/// Variables and functions for these shell commands: `$by`, a command that executes the runtime;
/// `$create`, options of create; `rt`, which calls the runtime; and `$SCRIPT`, the whole script.
const BEFORE: &str = r#"
by= create=
rt() { $by "$RUNTIME" --root "$STATE" "$@"; }
step() { echo "$1:" >&2; shift; "$@"; }
created() { :; }
"#;

/// The commands of a lifecycle. `created` is called between create and start.
const LIFECYCLE: &str = r#"
step create rt create $create --bundle "$BUNDLE" c
trap 'test $? = 0 || { rt kill c KILL; rt delete --force c; } >/dev/null 2>&1' EXIT
created
step start rt start c
rt state c >/dev/shm/state.$$
step state grep -q '"status": "running"' /dev/shm/state.$$
step exec rt exec c /probe cat /proc/sys/net/ipv4/ip_unprivileged_port_start
step kill rt kill c KILL
until rt state c >/dev/shm/state.$$; grep -q '"status": "stopped"' /dev/shm/state.$$; do sleep 0.01; done
rm /dev/shm/state.$$
step delete rt delete c
"#;

/// Binds directories of this host below $R, at the same paths.
pub(super) const TREE: &str = r#"
for dir in /bin /lib /lib64 /usr /proc /sys /dev /etc /tmp /run "${RUNTIME%/*}"; do
    test -e "$dir" || continue
    mkdir -p "$R$dir"
    mount --rbind "$dir" "$R$dir"
done
"#;

/// Checks that the container has its whole lifecycle on the host.
pub(super) fn lives(runtime: &Runtime, make: &str) -> Result {
    has_lived(&on(runtime, like_docker()?, make)?)
}

/// Checks that create fails on a host that lacks something, with `said` in its error, and leaves
/// nothing.
pub(super) fn refuses(runtime: &Runtime, make: &str, said: &str) -> Result {
    was_refused(&on(runtime, like_docker()?, make)?, said)
}

/// Runs the lifecycle of a container with its own user namespace.
pub(super) fn in_user_namespace(runtime: &Runtime, make: &str) -> Result<Output> {
    on(runtime, like_docker()?.with(add_user_namespace)?, make)
}

pub(super) fn add_user_namespace(config: &mut Value) {
    let map = json!([{ "containerID": 0, "hostID": 100_000, "size": 65_536 }]);
    config["linux"]["uidMappings"] = map.clone();
    config["linux"]["gidMappings"] = map;
    if let Some(namespaces) = config["linux"]["namespaces"].as_array_mut() {
        namespaces.push(json!({ "type": "user" }));
    }
}

pub(super) fn has_lived(output: &Output) -> Result {
    let Output { status, stdout, stderr, .. } = output;
    ensure!(status.success() && stdout == "0\n", "{stdout}{stderr}");
    Ok(())
}

pub(super) fn was_refused(output: &Output, said: &str) -> Result {
    let stderr = &output.stderr;
    ensure!(stderr.contains("create:") && !stderr.contains("start:"), "was not refused: {stderr}");
    ensure!(stderr.to_lowercase().contains(said), "must say {said:?}: {stderr}");
    Ok(())
}

fn on(runtime: &Runtime, bundle: Bundle, make: &str) -> Result<Output> {
    let script = [BEFORE, make, LIFECYCLE].join("\n");
    let mut command = Command::new("unshare");
    command
        .args(["--mount", "--propagation", "private", "sh", "-euc", &script])
        .env("SCRIPT", &script)
        .env("RUNTIME", runtime.program())
        .env("STATE", runtime.root())
        .env("BUNDLE", bundle.path())
        .stdin(Stdio::null());
    finish(command)
}

/// Runs the lifecycle in a container of this workspace's runtime, which is privileged like Docker's
/// and changed by `change`. `make` runs in it.
pub(super) fn inside(runtime: &Runtime, change: impl FnOnce(&mut Value), make: &str) -> Result<Output> {
    let outer = Runtime::new(&bundle::beside("runtime-cli"))?;
    let features = outer.run(&["features"])?.ok()?.stdout;
    let features: Value = serde_json::from_str(&features).doing("features")?;
    let inner = like_docker()?;
    let here = "cp -r /bundle /run/bundle; BUNDLE=/run/bundle STATE=/run/state";
    let script = [BEFORE, here, make, LIFECYCLE].join("\n");
    let program = runtime.program();
    let directory = program.parent().ok_or("the runtime has no directory")?;
    let name = program.file_name().unwrap_or_default().to_string_lossy();
    let bundle = Bundle::new(&[])?.with(|config| {
        let all = &features["linux"]["capabilities"];
        config["process"]["args"] = json!(["/bin/sh", "-euc", script]);
        config["process"]["capabilities"] = json!({ "bounding": all, "effective": all, "permitted": all });
        config["process"]["noNewPrivileges"] = json!(false);
        config["process"]["env"] = json!(["PATH=/usr/sbin:/usr/bin:/sbin:/bin", format!("RUNTIME=/runtime/{name}")]);
        config["root"]["readonly"] = json!(false);
        config["linux"]["cgroupsPath"] = json!("/outer");
        config["linux"]["maskedPaths"] = json!([]);
        config["linux"]["readonlyPaths"] = json!([]);
        config["linux"]["resources"] = json!({ "devices": [{ "allow": true, "access": "rwm" }] });
        if let Some(mounts) = config["mounts"].as_array_mut() {
            for options in mounts.iter_mut().filter_map(|mount| mount["options"].as_array_mut()) {
                options.retain(|option| option != "ro");
            }
            mounts.push(json!({ "destination": "/run", "type": "tmpfs", "source": "tmpfs" }));
            let bind = |destination: &str, source: &std::path::Path| {
                json!({ "destination": destination, "source": source, "type": "bind", "options": ["rbind", "ro"] })
            };
            mounts.extend(["/usr", "/bin", "/lib", "/lib64"].map(|path| bind(path, path.as_ref())));
            mounts.extend([bind("/runtime", directory), bind("/bundle", inner.path())]);
        }
        change(config);
    })?;
    // Root of a user namespace cannot make these directories.
    for path in ["usr", "bin", "lib", "lib64", "runtime", "bundle"] {
        std::fs::create_dir(bundle.rootfs(path)).doing("mkdir")?;
    }
    let output = outer.run_in(&bundle, &["run", "outer"]);
    outer.run(&["delete", "--force", "outer"])?.ok()?;
    output
}

/// Makes a bundle like Docker's: kernel parameters, a writable root, an OOM score.
fn like_docker() -> Result<Bundle> {
    Bundle::new(&["sleep"])?.with(|config| {
        config["root"]["readonly"] = json!(false);
        config["process"]["noNewPrivileges"] = json!(false);
        config["process"]["oomScoreAdj"] = json!(100);
        config["process"]["rlimits"] = json!([]);
        config["linux"]["sysctl"] = json!({ "net.ipv4.ip_unprivileged_port_start": "0" });
    })
}
