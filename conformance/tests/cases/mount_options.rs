// SPDX-License-Identifier: Apache-2.0
//! Mounts as mount(2) would make them: options in every spelling, what a remount
//! changes, what may be mounted where, and what errors name.

use crate::Case;
use crate::lifecycle::push;
use conformance::{Bundle, Result, Runtime, ensure};
use serde_json::json;

pub(crate) const CASES: &[Case] = &[Case {
    name: "the number of a mount in an error",
    quote: "Runtimes MUST generate an error when invalid or unsupported values are encountered (config.md, Valid \
            values): the error names the mount that failed, wherever in the list it is",
    run: late_failure,
}];

/// Fails at a mount whose index does not fit into 16 bits.
fn late_failure(runtime: &Runtime) -> Result {
    let bundle = Bundle::new(&["exit", "0"])?.with(|config| {
        let again = json!({ "destination": "/dev", "type": "none", "source": "/dev",
            "options": ["remount", "bind", "nosuid"] });
        while config["mounts"].as_array().is_some_and(|mounts| mounts.len() < 65_540) {
            push(config, again.clone());
        }
        push(config, json!({ "destination": "/m0", "type": "no-such-type", "source": "x" }));
    })?;
    let output = runtime.run_in(&bundle, &["run", "c"])?.failed()?;
    ensure!(output.stderr.contains("/m0") && !output.stderr.contains("/dev/mqueue"), "{}", output.stderr);
    Ok(())
}
