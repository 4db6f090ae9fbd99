// SPDX-License-Identifier: Apache-2.0
//! config.md, "POSIX-platform Hooks": the time, the namespaces and the failure of each of the six
//! kinds.

use crate::support::{Case, hook, own_namespace, probe_hook, refused, reports};
use conformance::change::without_namespace;
use conformance::report::HookReport;
use conformance::{Bundle, Result, Runtime, each, ensure, ensure_eq};
use serde_json::{Value, json};
use std::path::Path;
use std::time::{Duration, Instant};

/// The kinds in the order in which they run.
const KINDS: [&str; 6] =
    ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"];

pub(crate) const CASES: &[Case] = &[
    Case {
        name: "hooks run in the listed order",
        quote: "Hooks MUST be called in the listed order (config.md, POSIX-platform Hooks)",
        run: |runtime| {
            let reports = all_twice(runtime)?;
            each(KINDS, |of| {
                let names = reports.iter().filter(|report| kind(report) == *of).map(|report| &report.name);
                ensure_eq!(names.collect::<Vec<_>>(), [&format!("{of}-1"), &format!("{of}-2")]);
                Ok(())
            })
        },
    },
    Case {
        name: "prestart hooks run before createRuntime and createContainer hooks",
        quote: "The `prestart` hooks MUST be called before the `createRuntime` hooks. The `createContainer` hooks MUST be \
                called after the `createRuntime` hooks (config.md, POSIX-platform Hooks)",
        run: |runtime| {
            let reports = all_twice(runtime)?;
            let kinds: Vec<_> = reports.iter().map(kind).filter(|kind| KINDS[..3].contains(kind)).collect();
            ensure!(kinds.is_sorted_by_key(|of| KINDS.iter().position(|kind| kind == of)), "{kinds:?}");
            Ok(())
        },
    },
    Case {
        name: "startContainer hooks run before poststart hooks",
        quote: "7. The `startContainer` hooks MUST be invoked by the runtime. 8. The runtime MUST run the user-specified \
                program. 9. The `poststart` hooks MUST be invoked by the runtime (runtime.md, Lifecycle)",
        run: |runtime| {
            let reports = all_twice(runtime)?;
            let kinds: Vec<_> = reports.iter().map(kind).filter(|kind| KINDS[3..5].contains(kind)).collect();
            ensure_eq!(kinds, ["startContainer", "startContainer", "poststart", "poststart"]);
            Ok(())
        },
    },
    Case {
        name: "hooks read the state on standard input",
        quote: "The state of the container MUST be passed to hooks over stdin so that they may do work appropriate \
                to the current state of the container (config.md, POSIX-platform Hooks)",
        run: |runtime| {
            for report in all_twice(runtime)? {
                let state = &report.state;
                ensure!(state["id"] == "c", "{}: {state}", report.name);
                ensure!(state["annotations"]["org.example.key"] == "value", "{}: {state}", report.name);
                let version = state["ociVersion"].as_str().unwrap_or_default();
                let bundle = state["bundle"].as_str().unwrap_or_default();
                ensure!(version.starts_with("1."), "{}: {state}", report.name);
                ensure!(Path::new(bundle).is_absolute(), "{}: {state}", report.name);
            }
            Ok(())
        },
    },
    Case {
        name: "the state of each hook has its status",
        quote: "`creating`: the container is being created (step 2 in the lifecycle); `created`: the runtime has \
                finished the create operation [...] (after step 2); `running`: the container process has executed \
                the user-specified program [...] (after step 8) (runtime.md, State)",
        run: |runtime| {
            for report in all_twice(runtime)? {
                let want: &[&str] = match kind(&report) {
                    // create ends after these hooks.
                    "prestart" | "createRuntime" | "createContainer" => &["creating"],
                    // start requires the status `created`.
                    "startContainer" => &["created"],
                    "poststart" => &["running"],
                    _ => &["stopped"],
                };
                let status = report.state["status"].as_str().unwrap_or_default();
                ensure!(want.contains(&status), "{}: status is {status}, want {want:?}", report.name);
            }
            Ok(())
        },
    },
    Case {
        name: "the state of each hook has the pid that the hook sees",
        quote: "For hooks executed in the runtime namespace, it is the pid as seen by the runtime. For hooks executed \
                in the container namespace, it is the pid as seen by the container (runtime.md, State)",
        run: |runtime| {
            for report in all_twice(runtime)? {
                let pid = report.state["pid"].as_i64().unwrap_or_default();
                match kind(&report) {
                    "createContainer" | "startContainer" => ensure!(pid == 1, "{}: pid {pid}", report.name),
                    // REQUIRED when `created` or `running`.
                    "poststop" => {}
                    _ => ensure!(pid > 1, "{}: pid {pid}", report.name),
                }
            }
            Ok(())
        },
    },
    Case {
        name: "hooks run in their namespaces",
        quote: "The `createContainer` hooks MUST be executed in the container namespace; the `startContainer` hooks \
                MUST be executed in the container namespace; the `prestart`, `createRuntime`, `poststart` and \
                `poststop` hooks MUST be executed in the runtime namespace (config.md, POSIX-platform Hooks)",
        run: |runtime| {
            for report in all_twice(runtime)? {
                let inside = matches!(kind(&report), "createContainer" | "startContainer");
                for namespace in ["mnt", "net", "ipc", "uts", "cgroup"] {
                    let is_host = report.namespaces.get(namespace) == Some(&own_namespace(namespace)?);
                    ensure!(is_host != inside, "{}: {namespace} is the host's: {is_host}", report.name);
                }
            }
            Ok(())
        },
    },
    Case {
        name: "createContainer hooks run before pivot_root",
        quote: "The `createContainer` hooks MUST be called [...] after the runtime environment has been created \
                (according to the configuration in config.json) but before the `pivot_root` or any equivalent \
                operation has been executed (config.md, CreateContainer Hooks)",
        run: |runtime| {
            for report in all_twice(runtime)?.iter().filter(|report| kind(report) == "createContainer") {
                let has = |end: &str| report.mounts.iter().any(|mount| mount.target.ends_with(end));
                // The rootfs is mounted, but not yet as the root.
                ensure!(
                    has("/rootfs/dev/shm") && has("/rootfs/proc"),
                    "{}: {:?}",
                    report.name,
                    report.mounts
                );
            }
            Ok(())
        },
    },
    Case {
        name: "poststart hooks run after the program was executed",
        quote: "The `poststart` hooks MUST be called after the user-specified process is executed but before the \
                `start` operation returns (config.md, Poststart)",
        run: |runtime| {
            for report in all_twice(runtime)?.iter().filter(|report| kind(report) == "poststart") {
                ensure_eq!(report.exe, "/probe");
            }
            Ok(())
        },
    },
    Case {
        name: "startContainer hooks run before the program is executed",
        quote: "The `startContainer` hooks MUST be called before the user-specified process is executed as part of \
                the `start` operation (config.md, StartContainer Hooks)",
        run: |runtime| {
            let reports = all_twice(runtime)?;
            for report in reports.iter().filter(|report| kind(report) == "startContainer") {
                ensure!(report.exe != "/probe", "the program runs already");
            }
            Ok(())
        },
    },
    Case {
        name: "the path of a startContainer hook is the container's",
        quote: "The `startContainer` hooks' path MUST resolve in the container namespace (config.md, StartContainer \
                Hooks)",
        run: |runtime| {
            // A program that only the host has and that cannot fail: a shell would read the state
            // as its script.
            let bundle = Bundle::new(&["exit", "0"])?
                .with(|config| config["hooks"] = json!({ "startContainer": [{ "path": "/bin/true" }] }))?;
            runtime.run_in(&bundle, &["run", "c"])?.failed().map(drop)
        },
    },
    Case {
        name: "hooks have their arguments and their environment",
        quote: "args has the same semantics as IEEE Std 1003.1-2008 execv's argv; env has the same semantics as IEEE \
                Std 1003.1-2008's environ (config.md, POSIX-platform Hooks)",
        run: |runtime| {
            for kind in KINDS {
                let bundle = Bundle::new(&["exit", "0"])?;
                let log = bundle.rootfs("log");
                let hook = probe_hook(&bundle, kind, "the name", &["A=1", "B=a b"]);
                let bundle = bundle.with(|config| {
                    config["root"]["readonly"] = json!(false);
                    config["hooks"] = json!({ kind: [hook] });
                })?;
                runtime.run_in(&bundle, &["run", "c"])?.ok()?;
                let reports = reports(&log)?;
                ensure_eq!(reports.len(), 1);
                for report in reports {
                    ensure_eq!(report.name, "the name");
                    ensure!(report.env == ["A=1", "B=a b"], "{kind}: {:?}", report.env);
                }
            }
            Ok(())
        },
    },
    Case {
        name: "a failing prestart hook stops the container",
        quote: "If any `prestart` hook fails, the runtime MUST generate an error, stop the container, and continue \
                the lifecycle at step 12 (runtime.md, Lifecycle, 3)",
        run: |runtime| failing(runtime, "prestart", "create"),
    },
    Case {
        name: "a failing createContainer hook stops the container",
        quote: "If any `createContainer` hook fails, the runtime MUST generate an error, stop the container, and \
                continue the lifecycle at step 12 (runtime.md, Lifecycle, 5)",
        run: |runtime| failing(runtime, "createContainer", "create"),
    },
    Case {
        name: "a failing startContainer hook stops the container",
        quote: "If any `startContainer` hook fails, the runtime MUST generate an error, stop the container, and \
                continue the lifecycle at step 12 (runtime.md, Lifecycle, 7)",
        run: |runtime| failing(runtime, "startContainer", "start"),
    },
    Case {
        name: "poststop hooks run after a failing hook of create",
        quote: "If any `createRuntime` hook fails, the runtime MUST [...] continue the lifecycle at step 12. 13. The \
                `poststop` hooks MUST be invoked by the runtime (runtime.md, Lifecycle)",
        run: |runtime| {
            for kind in ["prestart", "createRuntime", "createContainer"] {
                let bundle = Bundle::new(&["exit", "0"])?;
                let log = bundle.rootfs("log");
                let fails = hook(&bundle, kind, &["exit", "3"]);
                let poststop = probe_hook(&bundle, "poststop", "poststop", &[]);
                let bundle = bundle.with(|config| {
                    config["hooks"] = json!({ kind: [fails], "poststop": [poststop] });
                })?;
                runtime.run_in(&bundle, &["create", "c"])?.failed()?;
                ensure!(log.exists(), "{kind}: no poststop hook ran");
            }
            Ok(())
        },
    },
    Case {
        name: "a hook is aborted after its timeout",
        quote: "timeout is the number of seconds before aborting the hook (config.md, POSIX-platform Hooks)",
        run: |runtime| {
            for kind in ["prestart", "createRuntime", "createContainer", "startContainer", "poststart"] {
                let bundle = Bundle::new(&["sleep"])?;
                let mut hook = hook(&bundle, kind, &["sleep"]);
                hook["timeout"] = json!(1);
                let bundle = bundle.with(|config| config["hooks"] = json!({ kind: [hook] }))?;
                let begin = Instant::now();
                runtime
                    .run_in(&bundle, &["run", "--detach", "c"])?
                    .failed()
                    .map_err(|why| format!("{kind}: {why}"))?;
                ensure!(begin.elapsed() < Duration::from_secs(20), "{kind}: took {:?}", begin.elapsed());
                let _gone = runtime.run(&["delete", "--force", "c"])?;
            }
            Ok(())
        },
    },
    Case {
        name: "a timeout that is not more than zero is an error",
        quote: "If set, `timeout` MUST be greater than zero (config.md, POSIX-platform Hooks)",
        run: |runtime| {
            each([0, -1], |timeout| {
                refused(runtime, |config| {
                    config["hooks"] = json!({ "poststop": [{ "path": "/bin/true", "timeout": timeout }] });
                })
            })
        },
    },
    Case {
        name: "a relative path of a hook is an error",
        quote: "This specification extends the IEEE standard in that `path` MUST be absolute (config.md, \
                POSIX-platform Hooks)",
        run: |runtime| {
            each(KINDS, |kind| {
                refused(runtime, |config| config["hooks"] = json!({ *kind: [{ "path": "true" }] }))
            })
        },
    },
    Case {
        name: "hooks without a pid namespace see the host's pid",
        quote: "For hooks executed in the container namespace, it is the pid as seen by the container (runtime.md, \
                State)",
        run: |runtime| {
            let bundle = Bundle::new(&["exit", "0"])?;
            let log = bundle.rootfs("log");
            let hooks: serde_json::Map<String, Value> =
                ["createRuntime", "createContainer", "startContainer"]
                    .iter()
                    .map(|kind| ((*kind).to_owned(), json!([probe_hook(&bundle, kind, kind, &[])])))
                    .collect();
            let bundle = bundle.with(|config| {
                without_namespace(config, "pid");
                config["root"]["readonly"] = json!(false);
                config["hooks"] = Value::Object(hooks);
            })?;
            runtime.run_in(&bundle, &["run", "c"])?.ok()?;
            let pids: Vec<_> = reports(&log)?.iter().map(|report| report.state["pid"].clone()).collect();
            ensure_eq!(pids.len(), 3);
            ensure!(pids.iter().all(|pid| *pid == pids[0] && pid.as_i64() > Some(1)), "{pids:?}");
            Ok(())
        },
    },
];

/// Runs a container with two hooks of each kind, from create to delete. Returns their reports.
fn all_twice(runtime: &Runtime) -> Result<Vec<HookReport>> {
    let bundle = Bundle::new(&["sleep"])?;
    let log = bundle.rootfs("log");
    let hooks: serde_json::Map<String, Value> = KINDS
        .iter()
        .rev()
        .map(|kind| {
            let pair = ["1", "2"].map(|n| probe_hook(&bundle, kind, &format!("{kind}-{n}"), &[]));
            ((*kind).to_owned(), json!(pair))
        })
        .collect();
    let bundle = bundle.with(|config| {
        config["root"]["readonly"] = json!(false);
        config["annotations"] = json!({ "org.example.key": "value" });
        config["hooks"] = Value::Object(hooks);
    })?;
    runtime.run_in(&bundle, &["create", "c"])?.ok()?;
    ensure_eq!(reports(&log)?.len(), 6);
    runtime.run(&["start", "c"])?.ok()?;
    // Another case checks whether the startContainer hooks have run by now.
    let end = Instant::now() + Duration::from_secs(5);
    while reports(&log)?.len() < 10 && Instant::now() < end {
        std::thread::sleep(Duration::from_millis(5));
    }
    ensure_eq!(reports(&log)?.len(), 10);
    runtime.run(&["kill", "c", "KILL"])?.ok()?;
    runtime.await_status("c", "stopped")?;
    runtime.run(&["delete", "c"])?.ok()?;
    reports(&log)
}

/// Checks that a failing hook fails the operation and removes the container.
fn failing(runtime: &Runtime, kind: &str, operation: &str) -> Result {
    let bundle = Bundle::new(&["touch-then-sleep", "/ran"])?;
    let hooks = json!([hook(&bundle, kind, &["exit", "7"]), probe_hook(&bundle, kind, "next", &[])]);
    let bundle = bundle.with(|config| {
        config["root"]["readonly"] = json!(false);
        config["hooks"] = json!({ kind: hooks });
    })?;
    let created = runtime.run_in(&bundle, &["create", "c"])?;
    if operation == "create" {
        created.failed()?;
    } else {
        created.ok()?;
        runtime.run(&["start", "c"])?.failed()?;
    }
    runtime.run(&["state", "c"])?.failed()?;
    ensure!(!bundle.rootfs("log").exists(), "the hook behind the failing one ran");
    ensure!(!bundle.rootfs("ran").exists(), "the program ran");
    Ok(())
}

fn kind(report: &HookReport) -> &str {
    report.name.split('-').next().unwrap_or_default()
}
