// SPDX-License-Identifier: Apache-2.0
//! What `start` leaves when a hook of its own fails.
#![allow(clippy::disallowed_methods, clippy::unwrap_used)]

use conformance::{Bundle, Result, Runtime, bundle, ensure_eq, host};
use serde_json::json;

/// When `start` has said that it failed, the container has stopped: whoever looks
/// then does not find it created, or running.
#[test]
fn the_container_has_stopped_when_start_returns() -> Result {
    let _alone = host::alone();
    let runtime = Runtime::new(&bundle::beside("runtime-cli"))?;
    for kind in ["startContainer", "poststart"] {
        let bundle = Bundle::new(&["sleep"])?;
        let path = if kind == "startContainer" { "/probe".into() } else { bundle.rootfs("probe") };
        let hook = json!({ "path": path, "args": ["probe", "exit", "7"] });
        let bundle = bundle.with(|config| config["hooks"] = json!({ kind: [hook] }))?;
        for round in 0..10 {
            let id = format!("failing-{}-{round}", std::process::id());
            runtime.run_in(&bundle, &["create", &id])?.ok()?;
            runtime.run(&["start", &id])?.failed()?;
            ensure_eq!(runtime.status(&id)?, "stopped");
            runtime.run(&["delete", &id])?.ok()?;
        }
    }
    Ok(())
}
