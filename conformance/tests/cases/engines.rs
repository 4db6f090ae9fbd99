// SPDX-License-Identifier: Apache-2.0
//! What container engines write into config.json, and expect to work.

use crate::Case;
use crate::caller::run_by;
use crate::lifecycle::push;
use conformance::runtime::finish;
use conformance::{Bundle, Doing, Report, Result, Runtime, ensure, ensure_eq};
use serde_json::{Value, json};
use std::process::{Command, Stdio};

pub(crate) const CASES: &[Case] = &[
    Case {
        name: "an empty mount option",
        quote: "`podman run --systemd=always` ends the options of its tmpfs mounts with an empty string; mount(2), as \
                mount(8), skips an empty option",
        run: |runtime| {
            let bundle = Bundle::new(&["report"])?.with(|config| {
                push(
                    config,
                    json!({ "destination": "/m0", "type": "tmpfs", "source": "tmpfs",
                    "options": ["", "rw", "size=64k", "", "nosuid", ""] }),
                );
                push(
                    config,
                    json!({ "destination": "/m1", "source": "/etc", "options": ["bind", "ro", ""] }),
                );
            })?;
            let report = runtime.report(&bundle)?;
            let tmpfs = report.mount("/m0").ok_or("no tmpfs")?;
            ensure!(tmpfs.super_options.iter().any(|option| option == "size=64k"), "{tmpfs:?}");
            ensure!(tmpfs.options.iter().any(|option| option == "nosuid"), "{tmpfs:?}");
            let bind = report.mount("/m1").ok_or("no bind mount")?;
            ensure!(bind.options.iter().any(|option| option == "ro"), "{bind:?}");
            Ok(())
        },
    },
    Case {
        name: "the caller's groups and those of the image",
        quote: "run.oci.keep_original_groups (crun): with `podman run --group-add keep-groups`, additionalGids has the \
                groups that the image's /etc/group gives its user; the annotation wins",
        run: kept_groups,
    },
];

fn kept_groups(runtime: &Runtime) -> Result {
    let caller = ["setpriv", "--groups", "24,29"];
    let change = |config: &mut Value| {
        config["annotations"] = json!({ "run.oci.keep_original_groups": "1" });
        config["process"]["user"]["additionalGids"] = json!([1, 2, 3]);
    };
    ensure_eq!(run_by(runtime, &caller, change)?.groups, [24, 29]);
    // Of an exec'd process, too.
    let bundle = Bundle::new(&["sleep"])?.with(change)?;
    runtime.run_in(&bundle, &["create", "c"])?.ok()?;
    runtime.run(&["start", "c"])?.ok()?;
    let mut exec = Command::new("setpriv");
    exec.args(["--groups", "24,29"]).arg(runtime.program()).arg("--root").arg(runtime.root());
    exec.args(["exec", "c", "/probe", "report"]).stdin(Stdio::null());
    let report: Report = serde_json::from_str(&finish(exec)?.ok()?.stdout).doing("the probe's report")?;
    ensure_eq!(report.groups, [24, 29]);
    runtime.run(&["delete", "--force", "c"])?.ok().map(drop)
}
