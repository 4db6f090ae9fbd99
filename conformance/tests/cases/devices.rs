// SPDX-License-Identifier: Apache-2.0
//! Device nodes, /dev, terminals and standard streams, also of images and volumes
//! that are hostile.

use crate::Case;
use conformance::{Bundle, Doing, Result, ensure};
use serde_json::{Value, json};
use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

pub(crate) const CASES: &[Case] = &[
    Case {
        name: "no standard stream is a device node of the host",
        quote: "runc, reOpenDevNull: standard streams that are the host's /dev/null become the container's. A program that \
                has the host's may change its mode for everybody",
        run: |runtime| {
            for device in ["/dev/null", "/dev/zero"] {
                let bundle = Bundle::new(&["streams", "/answer"])?
                    .with(|config| config["root"]["readonly"] = json!(false))?;
                let mut command = runtime.command(&["run", "--detach", "c"]);
                command.current_dir(bundle.path()).stdin(File::open(device).doing(device)?);
                conformance::runtime::finish(command)?.ok()?;
                runtime.await_status("c", "stopped")?;
                runtime.run(&["delete", "c"])?.ok()?;
                is_not_the_hosts(&bundle, device)?;
            }
            Ok(())
        },
    },
    Case {
        name: "no standard stream stays the host's null device where the container has none",
        quote: "runc, reOpenDevNull: error reopening /dev/null inside container",
        run: |runtime| {
            let dev = tempfile::tempdir().doing("temporary directory")?;
            let bundle = Bundle::new(&["streams", "/answer"])?.with(|config| bind_dev(config, dev.path()))?;
            if runtime.run_in(&bundle, &["run", "c"])?.status.success() {
                is_not_the_hosts(&bundle, "/dev/null")?;
            }
            Ok(())
        },
    },
    Case {
        name: "exec: no standard stream stays the host's null device where the container has none",
        quote: "runc, reOpenDevNull: error reopening /dev/null inside container. The container may have removed its own",
        run: |runtime| {
            let bundle = Bundle::new(&["sleep"])?.with(|config| config["root"]["readonly"] = json!(false))?;
            runtime.run_in(&bundle, &["run", "--detach", "c"])?.ok()?;
            runtime.run(&["exec", "c", "/probe", "unlink", "/dev/null"])?.ok()?;
            let output = runtime.run(&["exec", "c", "/probe", "streams", "/answer"])?;
            runtime.run(&["delete", "--force", "c"])?.ok()?;
            if output.status.success() { is_not_the_hosts(&bundle, "/dev/null") } else { Ok(()) }
        },
    },
];

/// A /dev of the caller's, a root that can be written to, and no masks, which are
/// made of the container's /dev/null.
fn bind_dev(config: &mut Value, dev: &Path) {
    config["root"]["readonly"] = json!(false);
    config["linux"]["maskedPaths"] = json!([]);
    if let Some(mounts) = config["mounts"].as_array_mut() {
        mounts.retain(|mount| !mount["destination"].as_str().is_some_and(|to| to.starts_with("/dev")));
        mounts.push(json!({ "destination": "/dev", "type": "bind", "source": dev, "options": ["rbind"] }));
    }
}

/// Standard input, as `probe streams` saw it, is not the host's node of this device.
fn is_not_the_hosts(bundle: &Bundle, device: &str) -> Result {
    let meta = fs::metadata(device).doing(device)?;
    let host = format!("{}:{}", meta.dev(), meta.ino());
    let answer = fs::read_to_string(bundle.rootfs("answer")).doing("the probe's answer")?;
    ensure!(answer.lines().count() == 3, "the probe's answer is {answer:?}");
    ensure!(answer.lines().all(|stream| stream != host), "{device} is the host's: {host} among {answer:?}");
    Ok(())
}
