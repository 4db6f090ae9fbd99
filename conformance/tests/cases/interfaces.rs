// SPDX-License-Identifier: Apache-2.0
//! Network devices of containers whose network namespace other processes can change.

use crate::support::{Case, Device, ip};
use conformance::{Bundle, Result, Runtime, ensure};
use serde_json::json;

pub(crate) const CASES: &[Case] = &[Case {
    name: "a failed create moves no other interface to the host",
    quote: "a container may change the interfaces of its network namespace (CAP_NET_ADMIN); after a failed \
                create the host only gets back the interfaces that it has given",
    run: replaced,
}];

/// Replaces the network device, before the creation fails, by another pair whose peer is not on the
/// host.
fn replaced(runtime: &Runtime) -> Result {
    let device = Device::new("cfx0")?;
    let script = r#"pid=$(sed 's/.*"pid":\([0-9]*\).*/\1/'); inside() { nsenter -t $pid -n ip "$@"; }
        index=$(inside -o link show cfx0 | cut -d: -f1) && inside link delete cfx0 &&
        inside link add cfx1 index $index type veth peer name cfx1-peer && exit 1"#;
    let bundle = Bundle::new(&["exit", "0"])?.with(|config| {
        config["linux"]["netDevices"] = json!({ device.name: {} });
        let args = ["sh", "-c", script];
        let env = ["PATH=/usr/sbin:/usr/bin:/sbin:/bin"];
        config["hooks"] = json!({ "createRuntime": [{ "path": "/bin/sh", "args": args, "env": env }] });
    })?;
    let output = runtime.run_in(&bundle, &["create", "c"])?.failed()?;
    ensure!(output.stderr.contains("exit status 1"), "{}", output.stderr);
    // Some runtimes leave nothing to delete.
    runtime.run(&["delete", "--force", "c"])?.ok()?;
    let is_back = ip("link show cfx0").is_ok();
    let _gone = ip("link delete cfx0");
    ensure!(!is_back, "what has taken its place is on the host: {}", output.stderr);
    Ok(())
}
