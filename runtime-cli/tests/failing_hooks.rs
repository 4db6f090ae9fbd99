// SPDX-License-Identifier: Apache-2.0
//! The state after a hook of `start` has failed.
#![allow(clippy::disallowed_methods, clippy::unwrap_used)]

use conformance::{Bundle, Result, Runtime, bundle, host};
use serde_json::json;

/// The container is gone when `start` returns the failure.
#[test]
fn the_container_is_gone_when_start_returns() -> Result {
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
            runtime.run(&["state", &id])?.failed_with(1, "container does not exist")?;
        }
    }
    Ok(())
}
