// SPDX-License-Identifier: Apache-2.0
//! Values in config.json that container engines write and rely on.

use crate::support::{Case, accepts, refused, run_by};
use conformance::change::push;
use conformance::runtime::{Output, finish};
use conformance::{Bundle, Doing, Report, Result, Runtime, each, ensure, ensure_eq};
use serde_json::{Value, json};
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

pub(crate) const CASES: &[Case] = &[
    Case {
        name: "an empty mount option is ignored",
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
        name: "an annotation keeps the caller's groups instead of additionalGids",
        quote: "run.oci.keep_original_groups (crun): with `podman run --group-add keep-groups`, additionalGids has the \
                groups that the image's /etc/group gives its user; the annotation wins",
        run: kept_groups,
    },
    Case {
        name: "an empty masked or read-only path is ignored",
        quote: "The runtime MUST NOT fail where a path of maskedPaths or readonlyPaths does not exist (runc): an \
                empty path names no file",
        run: |runtime| {
            let bundle = Bundle::new(&["report"])?.with(|config| {
                config["linux"]["maskedPaths"] = json!(["", "/tmp"]);
                config["linux"]["readonlyPaths"] = json!([""]);
                config["root"]["readonly"] = json!(false);
            })?;
            let report = runtime.report(&bundle)?;
            ensure!(report.mount("/tmp").is_some(), "/tmp is not masked");
            let root = report.mount("/").ok_or("no root")?;
            ensure!(root.options.iter().any(|option| option == "rw"), "{root:?}");
            Ok(())
        },
    },
    Case {
        name: "a missing working directory is made on a read-only root",
        quote: "cwd is the working directory that will be set for the executable (config.md, Process): an image's WORKDIR \
                need not be there, and with `--read-only` it is made before the root turns read-only (runc, crun)",
        run: |runtime| {
            // The root is read-only; this tmpfs becomes read-only at the end.
            each(["/made/by/the/runtime", "/m0/made"], |cwd| {
                let bundle = Bundle::new(&["report"])?.with(|config| {
                    push(config, json!({ "destination": "/m0", "type": "tmpfs", "source": "tmpfs", "options": ["ro"] }));
                    config["process"]["cwd"] = json!(cwd);
                    config["process"]["user"]["umask"] = json!(0o777);
                })?;
                ensure_eq!(runtime.report(&bundle)?.cwd, *cwd);
                let made = bundle.rootfs(&cwd[1..]);
                ensure!(cwd.starts_with("/m0") || mode(&made)? == 0o755, "{cwd}: {:o}", mode(&made)?);
                Ok(())
            })
        },
    },
    Case {
        name: "two different domain names are an error",
        quote: "domainname: specifies the container's domainname (config.md, Domainname); a parameter of linux.sysctl \
                that says otherwise is refused (crun), as kernel.hostname is",
        run: |runtime| {
            let with = |config: &mut Value, value: &str| {
                config["domainname"] = json!("one");
                config["linux"]["sysctl"] = json!({ "kernel.domainname": value });
            };
            accepts(runtime, |config| with(config, "one"))?;
            refused(runtime, |config| with(config, "two"))
        },
    },
    Case {
        name: "a warning comes before the error",
        quote: "If the runtime cannot grant a capability it MUST log a warning (config.md, Linux Process, since 1.1): \
                when it fails later, too, for the one may be why",
        run: |runtime| {
            let with = |config: &mut Value| {
                let names = json!(["CAP_KILL", "CAP_NO_SUCH_THING"]);
                config["process"]["capabilities"]["bounding"] = names;
            };
            let bundle = Bundle::new(&["sleep"])?.with(with)?;
            runtime.run_in(&bundle, &["create", "c"])?.ok()?;
            let process = bundle.path().join("process.json");
            let mut json = bundle.config["process"].clone();
            json["args"] = json!(["/none"]);
            std::fs::write(&process, json.to_string()).doing("write")?;
            let exec = runtime.run(&["exec", "--process", &process.display().to_string(), "c"])?;
            warned_first(&exec.failed()?)?;
            runtime.run(&["delete", "--force", "c"])?.ok()?;
            let bundle = Bundle::new(&[])?.with(|config| {
                with(config);
                config["process"]["args"] = json!(["/none"]);
            })?;
            warned_first(&runtime.run_in(&bundle, &["create", "c"])?.failed()?)
        },
    },
    Case {
        name: "a NUL byte in a string is an error",
        quote: "Runtimes MUST generate an error when invalid or unsupported values are encountered (config.md, Valid \
                values): one that shows the value",
        run: |runtime| {
            for field in ["cwd", "env"] {
                let bundle = Bundle::new(&["exit", "0"])?.with(|config| match field {
                    "cwd" => config["process"]["cwd"] = json!("/ab\0c"),
                    _ => config["process"]["env"] = json!(["A=/ab\0c"]),
                })?;
                let output = runtime.run_in(&bundle, &["run", "c"])?.failed()?;
                // As text, not as a list of bytes.
                ensure!(!output.stderr.contains("97, 98"), "{output}");
            }
            Ok(())
        },
    },
];

/// Checks that the output has the warning, and something behind it.
fn warned_first(output: &Output) -> Result {
    let (_, rest) =
        output.stderr.split_once("CAP_NO_SUCH_THING").ok_or_else(|| format!("no warning: {output}"))?;
    ensure!(rest.contains("/none"), "{output}");
    Ok(())
}

fn mode(path: &std::path::Path) -> Result<u32> {
    Ok(std::fs::metadata(path).doing("stat")?.permissions().mode() & 0o7777)
}

fn kept_groups(runtime: &Runtime) -> Result {
    let caller = ["setpriv", "--groups", "24,29"];
    let change = |config: &mut Value| {
        config["annotations"] = json!({ "run.oci.keep_original_groups": "1" });
        config["process"]["user"]["additionalGids"] = json!([1, 2, 3]);
    };
    ensure_eq!(run_by(runtime, &caller, change)?.groups, [24, 29]);
    // The same for a process of exec.
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
