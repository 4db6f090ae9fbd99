// SPDX-License-Identifier: Apache-2.0
//! config.md, "Linux mount options": the options that mountinfo does not show, or that are the
//! default there.

use crate::support::Case;
use conformance::Mounted;
use conformance::change::push;
use conformance::{Bundle, Doing, Result, each, ensure, ensure_eq};
use nix::mount::MsFlags;
use serde_json::{Value, json};

pub(crate) const CASES: &[Case] = &[
    Case {
        name: "flags that fsconfig(2) lacks are not passed to the file system",
        quote: "Runtimes MUST implement `silent`, `loud`, `iversion`, `noiversion` (config.md, Linux mount \
                options): they are not passed to the file system, and similar names are \
                (docs/decisions/mounts.md)",
        run: |runtime| {
            let mount = |word: &str| -> Result<Bundle> {
                Bundle::new(&["report"])?.with(|config| {
                    push(
                        config,
                        json!({ "destination": "/tmp", "type": "tmpfs", "source": "tmpfs",
                            "options": ["size=64k", word, "noatime"] }),
                    );
                })
            };
            each(["silent", "loud", "iversion", "noiversion"], |word| {
                let report = runtime.report(&mount(word)?)?;
                let seen = report.mount("/tmp").ok_or("no mount")?;
                ensure!(seen.options.iter().any(|option| option == "noatime"), "{seen:?}");
                ensure!(seen.super_options.iter().any(|option| option == "size=64k"), "{seen:?}");
                runtime.run_in(&mount(&format!("{word}s"))?, &["run", "c"])?.failed().map(drop)
            })
        },
    },
    Case {
        name: "relatime replaces the source's noatime, and norelatime undoes it",
        quote: "Runtimes MUST implement `relatime`, `norelatime` (config.md, Linux mount options): on what is mounted \
            otherwise, as they are the kernel's default",
        run: |runtime| {
            let dir = tempfile::tempdir().doing("temporary directory")?;
            let _source = Mounted::tmpfs(dir.path())?.with(MsFlags::MS_NOATIME)?;
            let all = [
                (&[][..], "noatime"),
                (&["relatime"], "relatime"),
                (&["noatime"], "noatime"),
                (&["noatime", "relatime", "norelatime"], "noatime"),
                (&["ro"], "noatime"),
                (&["ro", "relatime"], "relatime"),
            ];
            each(all, |(options, want)| {
                let options = [&["bind"], *options].concat();
                let bundle = Bundle::new(&["report"])?.with(|config| {
                    push(config, bind(dir.path(), &options));
                })?;
                let report = runtime.report(&bundle)?;
                let mount = report.mount("/tmp").ok_or("no mount")?;
                let got: Vec<_> = mount.options.iter().filter(|option| option.ends_with("atime")).collect();
                ensure_eq!(got, [want]);
                Ok(())
            })
        },
    },
    Case {
        name: "a bind mount keeps strictatime of its source, except with relatime",
        quote: "Runtimes MUST implement `strictatime`, `nostrictatime`, `relatime` (config.md, Linux mount options)",
        run: |runtime| {
            let dir = tempfile::tempdir().doing("temporary directory")?;
            let _source = Mounted::tmpfs(dir.path())?.with(MsFlags::MS_STRICTATIME)?;
            let all = [(&[][..], false), (&["relatime"], true), (&["strictatime"], false)];
            each(all, |(options, want)| {
                let options = [&["bind"], *options].concat();
                let bundle =
                    Bundle::new(&["report"])?.with(|config| push(config, bind(dir.path(), &options)))?;
                let report = runtime.report(&bundle)?;
                let mount = report.mount("/tmp").ok_or("no mount")?;
                ensure_eq!(mount.options.iter().any(|option| option == "relatime"), *want);
                Ok(())
            })
        },
    },
    Case {
        name: "only the mounts of config.json are made",
        quote: "runc, crun: The following filesystems SHOULD be made available in each container's filesystem: \
                /proc, /sys, /dev/pts, /dev/shm (config-linux.md, Default Filesystems): the engine lists them in \
                `mounts`; the runtime adds nothing (docs/decisions/traps.md)",
        run: |runtime| {
            let only_proc = json!([{ "destination": "/proc", "type": "proc", "source": "proc" }]);
            let bundle = Bundle::new(&["report"])?.with(|config| {
                config["mounts"] = only_proc;
                config["linux"]["maskedPaths"] = json!([]);
                config["linux"]["readonlyPaths"] = json!([]);
                config["root"]["readonly"] = json!(false);
            })?;
            let report = runtime.report(&bundle)?;
            let targets: Vec<_> = report.mounts.iter().map(|mount| mount.target.as_str()).collect();
            ensure_eq!(targets, ["/", "/proc"]);
            Ok(())
        },
    },
    Case {
        name: "the default file systems can be used",
        quote: "The following filesystems SHOULD be made available in each container's filesystem: /proc: proc, /sys: sysfs, \
            /dev/pts: devpts, /dev/shm: tmpfs (config-linux.md, Default Filesystems)",
        run: |runtime| {
            let paths = ["/proc/self/status", "/sys/class/net/lo", "/dev/pts/ptmx", "/dev/shm"];
            let bundle = Bundle::new(&[&["stat"], &paths[..]].concat())?;
            let output = runtime.run_in(&bundle, &["run", "c"])?.ok()?;
            let nodes: Vec<Option<conformance::report::Node>> =
                serde_json::from_str(&output.stdout).doing("stat")?;
            for (path, node) in paths.iter().zip(&nodes) {
                ensure!(node.is_some(), "no {path}");
            }
            let bundle = Bundle::new(&["write", "/dev/shm/x", "y"])?;
            runtime.run_in(&bundle, &["run", "c"])?.ok()?;
            // In an instance of its own, the first terminal is 0.
            let bundle = Bundle::new(&["use-devices"])?;
            let output = runtime.run_in(&bundle, &["run", "c"])?.ok()?;
            let used: Value = serde_json::from_str(&output.stdout).doing("used")?;
            ensure_eq!(used["ptmx"], "opened 0");
            Ok(())
        },
    },
];

fn bind(source: &std::path::Path, options: &[&str]) -> Value {
    json!({ "destination": "/tmp", "type": "none", "source": source, "options": options })
}
