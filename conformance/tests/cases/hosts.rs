// SPDX-License-Identifier: Apache-2.0
//! Hosts that are not pristine: the runtime itself runs in a container, under a hardened
//! service, or short of something. docs/hosts.md has the table.
//!
//! Each host is made by a few lines of shell in a mount namespace of its own, in which
//! then a container with a configuration like Docker's goes through its life.

use crate::Case;
use conformance::runtime::finish;
use conformance::{Bundle, Output, Result, Runtime, ensure};
use serde_json::json;
use std::process::Command;

pub(crate) const CASES: &[Case] = &[
    Case {
        name: "/proc/sys is a mount",
        quote: "runc#4968: linux.sysctl, which Docker always sets, where /proc/sys is a mount of its own",
        run: |runtime| lives(runtime, "mount --bind /proc/sys /proc/sys"),
    },
    Case {
        name: "/proc/sys is read-only",
        quote: "systemd.exec(5), ProtectKernelTunables=: /proc/sys, /proc/fs, ... will be made read-only",
        run: |runtime| {
            lives(
                runtime,
                "for path in sys sysrq-trigger fs bus irq acpi timer_stats latency_stats mtrr apm; do
                    test -e /proc/$path || continue
                    mount --bind /proc/$path /proc/$path
                    mount -o remount,bind,ro /proc/$path
                done",
            )
        },
    },
    Case {
        name: "/proc/sys is read-only but for net",
        quote: "lxc.container.conf(5), lxc.mount.auto: proc:mixed: /proc/sys read-only, /proc/sys/net read-write",
        run: |runtime| {
            lives(
                runtime,
                "mount --bind /proc/sys/net /proc/tty
                 mount --bind /proc/sys /proc/sys
                 mount -o remount,bind,ro /proc/sys
                 mount --move /proc/tty /proc/sys/net",
            )
        },
    },
    Case {
        name: "/proc has processes only",
        quote: "proc(5): subset=pid: hide all top level files and directories in the procfs that are not related to tasks",
        run: |runtime| lives(runtime, "mount -t proc -o subset=pid proc /proc"),
    },
    Case {
        name: "/proc is read-only",
        quote: "bwrap(1), --ro-bind /proc /proc",
        run: |runtime| lives(runtime, "mount -o remount,bind,ro /proc"),
    },
];

/// The life of a container on a host.
const LIFE: &str = r#"
rt() { "$RUNTIME" --root "$STATE" "$@"; }
step() { echo "$1:" >&2; shift; "$@"; }
trap 'test $? = 0 || { rt kill c KILL; rt delete --force c; } >/dev/null 2>&1' EXIT
step create rt create --bundle "$BUNDLE" c
step start rt start c
step state rt state c | grep -q '"status": "running"'
step exec rt exec c /probe cat /proc/sys/net/ipv4/ip_unprivileged_port_start
step kill rt kill c KILL
until rt state c | grep -q '"status": "stopped"'; do sleep 0.01; done
step delete rt delete c
"#;

/// A container with a configuration like Docker's lives and dies on a host that `make`,
/// lines of shell, makes of this one.
fn lives(runtime: &Runtime, make: &str) -> Result {
    let output = life(runtime, make)?;
    ensure!(output.status.success() && output.stdout == "0\n", "{}\n{}", output.stdout, output.stderr);
    Ok(())
}

fn life(runtime: &Runtime, make: &str) -> Result<Output> {
    let bundle = like_docker()?;
    let mut command = Command::new("unshare");
    command
        .args(["--mount", "--propagation", "private", "sh", "-euc", &format!("{make}\n{LIFE}")])
        .env("RUNTIME", runtime.program())
        .env("STATE", runtime.root())
        .env("BUNDLE", bundle.path())
        .stdin(std::process::Stdio::null());
    finish(command)
}

/// A container with the configuration that Docker makes of `docker run IMAGE sleep`.
fn like_docker() -> Result<Bundle> {
    Bundle::new(&["sleep"])?.with(|config| {
        config["root"]["readonly"] = json!(false);
        config["process"]["noNewPrivileges"] = json!(false);
        config["process"]["oomScoreAdj"] = json!(100);
        config["linux"]["sysctl"] = json!({
            "net.ipv4.ip_unprivileged_port_start": "0",
            "net.ipv4.ping_group_range": "0 2147483647",
        });
    })
}
