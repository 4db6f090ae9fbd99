// SPDX-License-Identifier: Apache-2.0
//! Mounts as mount(2) would make them: options in every spelling, what a remount
//! changes, what may be mounted where, and what errors name.

use crate::Case;
use crate::lifecycle::push;
use crate::security::refused;
use conformance::report::{Mount, Node};
use conformance::{Bundle, Doing, Result, Runtime, ensure, ensure_eq};
use serde_json::{Value, json};

pub(crate) const CASES: &[Case] = &[
    Case {
        name: "options in one string",
        quote: "Runtimes SHOULD treat unknown options as filesystem-specific ones and pass those as a comma-separated \
                string to the fifth (const void *data) argument of mount(2) (config.md, Linux mount options)",
        run: |runtime| {
            let mount = mounted(runtime, tmpfs(&["nosuid", "size=64k,mode=0700", "nr_inodes=10,"]))?;
            for option in ["size=64k", "mode=700", "nr_inodes=10"] {
                ensure!(mount.super_options.iter().any(|o| o == option), "no {option}: {mount:?}");
            }
            refused(runtime, |config| push(config, at_m0(tmpfs(&["size=64k,nonsense"]))))
        },
    },
    Case {
        name: "options longer than 255 bytes",
        quote: "Runtimes SHOULD ... pass those as a comma-separated string to the fifth (const void *data) argument of \
                mount(2) (config.md, Linux mount options): which takes a page, where fsconfig(2) takes 255 bytes of each",
        run: |runtime| layers(runtime, 8, &["ro", "nosuid"]),
    },
    Case {
        name: "options longer than a page",
        quote: "The maximum number of lower layers is 500 (Documentation/filesystems/overlayfs.rst): `lowerdir+` takes \
                them one by one, where the data of mount(2) is a page",
        run: |runtime| layers(runtime, 50, &["ro"]),
    },
    Case {
        name: "a source longer than 255 bytes",
        quote: "source: a device name, but can also be a file or directory name for bind mounts or a dummy (config.md, \
                Mounts)",
        run: |runtime| {
            let source = "x".repeat(1000);
            let mut mount = tmpfs(&["size=64k", "mode=0700", "ro"]);
            mount["source"] = json!(source);
            let mount = mounted(runtime, mount)?;
            ensure_eq!(mount.source, source);
            ensure!(mount.options.iter().any(|option| option == "ro"), "{mount:?}");
            ensure!(mount.super_options.iter().any(|option| option == "size=64k"), "{mount:?}");
            Ok(())
        },
    },
    Case {
        name: "the number of a path in an error",
        quote: "Runtimes MUST generate an error when invalid or unsupported values are encountered (config.md, Valid \
                values): the error names the path that failed, wherever in the list it is",
        run: late_failure,
    },
];

fn tmpfs(options: &[&str]) -> Value {
    json!({ "type": "tmpfs", "source": "tmpfs", "options": options })
}

fn at_m0(mut mount: Value) -> Value {
    mount["destination"] = json!("/m0");
    mount
}

/// What the container says of a mount at /m0.
fn mounted(runtime: &Runtime, mount: Value) -> Result<Mount> {
    let bundle = Bundle::new(&["report"])?.with(|config| push(config, at_m0(mount)))?;
    let report = runtime.report(&bundle)?;
    report.mount("/m0").cloned().ok_or_else(|| "no mount".to_owned())
}

/// Mounts so many lower layers, each of 100 bytes, over one another.
fn layers(runtime: &Runtime, count: usize, options: &[&str]) -> Result {
    let dir = tempfile::tempdir().doing("temporary directory")?;
    let mut layers = Vec::new();
    for i in 0..count {
        let layer = dir.path().join(format!("{}{i}", "x".repeat(80)));
        std::fs::create_dir(&layer).doing("mkdir")?;
        std::fs::write(layer.join(format!("file{i}")), "").doing("write")?;
        layers.push(layer.display().to_string());
    }
    let lowerdir = format!("lowerdir={}", layers.join(":"));
    let options = [options, &[lowerdir.as_str()]].concat();
    let files = [format!("/m0/file{}", count - 1), "/m0/file0".to_owned()];
    let bundle = Bundle::new(&["stat", &files[0], &files[1]])?.with(|config| {
        push(config, at_m0(json!({ "type": "overlay", "source": "overlay", "options": options })));
    })?;
    let output = runtime.run_in(&bundle, &["run", "c"])?.ok()?;
    let nodes: Vec<Option<Node>> = serde_json::from_str(&output.stdout).doing("stat")?;
    ensure!(nodes.iter().all(Option::is_some), "{nodes:?}");
    let bundle = bundle.with(|config| config["process"]["args"] = json!(["/probe", "report"]))?;
    let report = runtime.report(&bundle)?;
    let mount = report.mount("/m0").ok_or("no mount")?;
    for option in options.iter().filter(|option| !option.starts_with("lowerdir")) {
        ensure!(mount.options.iter().any(|o| o == option), "no {option}: {mount:?}");
    }
    Ok(())
}

/// Fails at a path whose index does not fit into 16 bits.
fn late_failure(runtime: &Runtime) -> Result {
    let bundle = Bundle::new(&["exit", "0"])?.with(|config| {
        let missing = (0..65_540).map(|i| format!("/none/{i}"));
        config["linux"]["maskedPaths"] = missing.chain(["/loop".to_owned()]).collect();
    })?;
    std::os::unix::fs::symlink("/loop", bundle.rootfs("loop")).doing("symlink")?;
    let output = runtime.run_in(&bundle, &["run", "c"])?.failed()?;
    ensure!(output.stderr.contains("loop") && !output.stderr.contains("none/"), "{}", output.stderr);
    Ok(())
}
