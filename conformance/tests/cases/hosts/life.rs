// SPDX-License-Identifier: Apache-2.0
//! The life of a container with a configuration like Docker's, on a host that a few
//! lines of shell make of this one.

use conformance::runtime::finish;
use conformance::{Bundle, Output, Result, Runtime, ensure};
use serde_json::json;
use std::process::{Command, Stdio};

/// What the lines that make the host may use and set: `$by`, through which the runtime is
/// executed; `$create`, options of create; `rt`, which calls the runtime.
const BEFORE: &str = r#"
by= create=
rt() { $by "$RUNTIME" --root "$STATE" "$@"; }
step() { echo "$1:" >&2; shift; "$@"; }
trap 'test $? = 0 || { rt kill c KILL; rt delete --force c; } >/dev/null 2>&1' EXIT
"#;

/// The life. Nothing may be left of it in the state directory.
const LIFE: &str = r#"
step create rt create $create --bundle "$BUNDLE" c
step start rt start c
rt state c >"$BUNDLE/state"
step state grep -q '"status": "running"' "$BUNDLE/state"
step exec rt exec c /probe cat /proc/sys/net/ipv4/ip_unprivileged_port_start
step kill rt kill c KILL
until rt state c >"$BUNDLE/state"; grep -q '"status": "stopped"' "$BUNDLE/state"; do sleep 0.01; done
step delete rt delete c
"#;

/// Directories of this host, at the places that they have here, in $R.
pub(super) const TREE: &str = r#"
for dir in bin lib lib64 usr proc sys dev etc tmp run; do
    test -e /$dir || continue
    mkdir $R/$dir
    mount --rbind /$dir $R/$dir
done
touch $R/runtime
mount --bind $RUNTIME $R/runtime
RUNTIME=/runtime
"#;

/// The container lives and dies on the host.
pub(super) fn lives(runtime: &Runtime, make: &str) -> Result {
    let output = on(runtime, make)?;
    ensure!(output.status.success() && output.stdout == "0\n", "{}{}", output.stdout, output.stderr);
    Ok(())
}

fn on(runtime: &Runtime, make: &str) -> Result<Output> {
    let bundle = like_docker()?;
    let mut command = Command::new("unshare");
    command
        .args(["--mount", "--propagation", "private", "sh", "-euc", &[BEFORE, make, LIFE].join("\n")])
        .env("RUNTIME", runtime.program())
        .env("STATE", runtime.root())
        .env("BUNDLE", bundle.path())
        .stdin(Stdio::null());
    finish(command)
}

/// As Docker has it: kernel parameters, a writable root, a score for the OOM killer.
fn like_docker() -> Result<Bundle> {
    Bundle::new(&["sleep"])?.with(|config| {
        config["root"]["readonly"] = json!(false);
        config["process"]["noNewPrivileges"] = json!(false);
        config["process"]["oomScoreAdj"] = json!(100);
        config["linux"]["sysctl"] = json!({ "net.ipv4.ip_unprivileged_port_start": "0" });
    })
}
