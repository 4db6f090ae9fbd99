// SPDX-License-Identifier: Apache-2.0
//! config.md, "POSIX-platform Hooks": the file system in which a hook's path is looked up, its
//! namespaces, and the operations that wait for it.

use crate::support::Case;
use conformance::change::with_user_namespace;
use conformance::report::HookReport;
use conformance::{Bundle, Doing, Result, each, ensure, ensure_eq};
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

/// The kinds that run in the runtime's namespaces.
const OUTSIDE: [&str; 4] = ["prestart", "createRuntime", "poststart", "poststop"];

/// All kinds, in the order in which they run.
const KINDS: [&str; 6] =
    ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"];

pub(crate) const CASES: &[Case] = &[
    Case {
        name: "hooks that run on the host execute the host's file at their path",
        quote: "The `prestart` (`createRuntime`, `poststart`, `poststop`) hooks' path MUST resolve in the runtime namespace \
            (config.md, POSIX-platform Hooks)",
        run: |runtime| {
            each(OUTSIDE, |kind| {
                let dir = tempfile::tempdir().doing("temporary directory")?;
                let (hook, log) = (dir.path().join("hook"), dir.path().join("log"));
                fs::write(&hook, format!("#!/bin/sh\necho host >>{}\n", log.display())).doing("write")?;
                fs::set_permissions(&hook, PermissionsExt::from_mode(0o755)).doing("chmod")?;
                let bundle = Bundle::new(&["exit", "0"])?.with(|config| {
                    let log = log.display().to_string();
                    config["hooks"] =
                        json!({ *kind: [{ "path": hook, "args": ["hook", "write", log, "container\n"] }] });
                })?;
                // The container has another program at this path, which would obey the arguments.
                let inside = bundle.rootfs(&hook.display().to_string()[1..]);
                fs::create_dir_all(inside.parent().unwrap_or(&inside)).doing("mkdir")?;
                fs::copy(bundle.rootfs("probe"), &inside).doing("copy")?;
                runtime.run_in(&bundle, &["run", "c"])?.ok()?;
                ensure_eq!(fs::read_to_string(&log).doing("log")?, "host\n");
                Ok(())
            })
        },
    },
    Case {
        name: "a path that only the container has is an error for hooks on the host",
        quote: "The `prestart` (`createRuntime`, `poststart`) hooks' path MUST resolve in the runtime namespace (config.md, \
            POSIX-platform Hooks)",
        run: |runtime| {
            each(&OUTSIDE[..3], |kind| {
                let bundle = Bundle::new(&["sleep"])?.with(|config| {
                    config["hooks"] =
                        json!({ **kind: [{ "path": "/probe", "args": ["probe", "exit", "0"] }] });
                })?;
                let output = runtime.run_in(&bundle, &["run", "--detach", "c"])?;
                let _gone = runtime.run(&["delete", "--force", "c"])?;
                output.failed().map(drop)
            })
        },
    },
    Case {
        name: "hooks have all namespaces of the container, or all of the runtime",
        quote: "The `createContainer` and `startContainer` hooks MUST be executed in the container namespace; the \
            `prestart`, `createRuntime`, `poststart` and `poststop` hooks MUST be executed in the runtime namespace \
            (config.md, POSIX-platform Hooks)",
        run: |runtime| {
            let bundle = Bundle::new(&["sleep"])?;
            let log = bundle.rootfs("log");
            // The container's root writes to it, too.
            fs::write(&log, "").doing("write")?;
            fs::set_permissions(&log, PermissionsExt::from_mode(0o666)).doing("chmod")?;
            let bundle = bundle.with(|config| {
                with_user_namespace(config);
                if let Some(list) = config["linux"]["namespaces"].as_array_mut() {
                    list.push(json!({ "type": "time" }));
                }
                config["root"]["readonly"] = json!(false);
            })?;
            let hooks: serde_json::Map<String, Value> = KINDS
                .iter()
                .map(|kind| {
                    let (path, log) = match *kind {
                        "startContainer" => ("/probe".into(), "/log".into()),
                        _ => (bundle.rootfs("probe"), log.clone()),
                    };
                    ((*kind).to_owned(), json!([{ "path": path, "args": ["probe", "hook", log, kind] }]))
                })
                .collect();
            let bundle = bundle.with(|config| config["hooks"] = Value::Object(hooks))?;
            runtime.run_in(&bundle, &["create", "c"])?.ok()?;
            let pid = runtime.state("c")?["pid"].clone();
            let of = |process: &str, kind: &str| {
                fs::read_link(format!("/proc/{process}/ns/{kind}"))
                    .map(|link| link.display().to_string())
                    .doing("readlink")
            };
            let all = ["cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts"];
            let inside: Vec<_> = all.iter().map(|kind| of(&pid.to_string(), kind)).collect::<Result<_>>()?;
            let outside: Vec<_> = all.iter().map(|kind| of("self", kind)).collect::<Result<_>>()?;
            runtime.run(&["start", "c"])?.ok()?;
            // Some runtimes do not wait for startContainer hooks.
            std::thread::sleep(Duration::from_millis(200));
            runtime.run(&["kill", "c", "KILL"])?.ok()?;
            runtime.await_status("c", "stopped")?;
            runtime.run(&["delete", "c"])?.ok()?;
            let text = fs::read_to_string(&log).doing("log")?;
            let reports: Vec<HookReport> =
                text.lines().map(|line| serde_json::from_str(line).doing(line)).collect::<Result<_>>()?;
            ensure_eq!(reports.len(), KINDS.len());
            each(&reports, |report| {
                let want = if OUTSIDE.contains(&report.name.as_str()) { &outside } else { &inside };
                let got: Vec<_> = all.iter().filter_map(|kind| report.namespaces.get(*kind)).collect();
                ensure!(got == want.iter().collect::<Vec<_>>(), "{:?}, want {want:?}", report.namespaces);
                Ok(())
            })
        },
    },
    Case {
        name: "start waits for poststart, delete for poststop",
        quote: "The `poststart` hooks MUST be called [...] before the `start` operation returns; the `poststop` hooks MUST be \
            called [...] before the `delete` operation returns (config.md, POSIX-platform Hooks)",
        run: |runtime| {
            let bundle = Bundle::new(&["sleep"])?;
            let mark = |kind: &str| bundle.path().join(kind);
            let slow = |kind: &str| {
                let script = format!("sleep 0.5; echo >{}", mark(kind).display());
                json!([{ "path": "/bin/sh", "args": ["sh", "-c", script], "env": ["PATH=/usr/bin:/bin"] }])
            };
            let hooks = json!({ "poststart": slow("poststart"), "poststop": slow("poststop") });
            let (poststart, poststop) = (mark("poststart"), mark("poststop"));
            let bundle = bundle.with(|config| config["hooks"] = hooks)?;
            runtime.run_in(&bundle, &["create", "c"])?.ok()?;
            ensure!(!poststart.exists(), "a poststart hook of create");
            runtime.run(&["start", "c"])?.ok()?;
            ensure!(poststart.exists(), "start did not wait for the poststart hook");
            ensure_eq!(runtime.status("c")?, "running");
            runtime.run(&["kill", "c", "KILL"])?.ok()?;
            runtime.await_status("c", "stopped")?;
            ensure!(!poststop.exists(), "a poststop hook before delete");
            runtime.run(&["delete", "c"])?.ok()?;
            ensure!(poststop.exists(), "delete did not wait for the poststop hook");
            Ok(())
        },
    },
    Case {
        name: "the warning of a failing poststop hook names the hook",
        quote: "If any `poststop` hook fails, the runtime MUST log a warning (runtime.md, Lifecycle, 13)",
        run: |runtime| {
            let script = "echo conformance-says-why >&2; exit 7";
            let bundle = Bundle::new(&["exit", "0"])?.with(|config| {
                config["hooks"] =
                    json!({ "poststop": [{ "path": "/bin/sh", "args": ["sh", "-c", script] }] });
            })?;
            runtime.run_in(&bundle, &["run", "--detach", "c"])?.ok()?;
            runtime.await_status("c", "stopped")?;
            let output = runtime.run(&["delete", "c"])?.ok()?;
            ensure!(output.stderr.contains("hook"), "no warning: {output}");
            runtime.run(&["state", "c"])?.failed().map(drop)
        },
    },
    Case {
        name: "no poststart hook runs if the program is removed after create",
        quote: "8. The runtime MUST run the user-specified program, as specified by `process`. 9. The `poststart` hooks \
            MUST be invoked by the runtime (runtime.md, Lifecycle): after the program is executed (config.md, Poststart)",
        run: |runtime| {
            let bundle = Bundle::new(&["sleep"])?;
            let mark = bundle.path().join("mark");
            let script = format!("echo >{}", mark.display());
            let bundle = bundle.with(|config| {
                config["hooks"] =
                    json!({ "poststart": [{ "path": "/bin/sh", "args": ["sh", "-c", script] }] });
            })?;
            runtime.run_in(&bundle, &["create", "c"])?.ok()?;
            fs::remove_file(bundle.rootfs("probe")).doing("unlink")?;
            let output = runtime.run(&["start", "c"])?;
            let _gone = runtime.run(&["delete", "--force", "c"])?;
            output.failed()?;
            ensure!(!mark.exists(), "the poststart hook ran");
            Ok(())
        },
    },
];
