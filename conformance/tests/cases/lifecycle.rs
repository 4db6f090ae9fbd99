// SPDX-License-Identifier: Apache-2.0
//! runtime.md: states, operations, hooks, errors.

use crate::support::{Case, Change};
use conformance::change::{push, without_namespace};
use conformance::{Bundle, Doing, Result, Runtime, each, ensure, ensure_eq, host};
use serde_json::{Value, json};
use std::path::Path;

pub(crate) const CASES: &[Case] = &[
    Case {
        name: "create, start, kill and delete lead from status to status",
        quote: "`created`: the runtime has finished the create operation, and the container process has \
                neither exited nor executed the user-specified program (runtime.md, State)",
        run: whole_life,
    },
    Case {
        name: "the program does not run before start",
        quote: "the user-specified program MUST NOT be run at this time (runtime.md, Lifecycle, 2)",
        run: not_before_start,
    },
    Case {
        name: "state has the required properties",
        quote: "The state of a container includes the following properties (runtime.md, State)",
        run: state_document,
    },
    Case {
        name: "state of an unknown container is an error",
        quote: "Attempting to query a container that does not exist MUST generate an error (runtime.md, Query State)",
        run: |runtime| runtime.run(&["state", "nobody"])?.failed().map(drop),
    },
    Case {
        name: "operations without an id are errors",
        quote: "This operation MUST generate an error if it is not provided the container ID (runtime.md)",
        run: |runtime| {
            for verb in ["create", "start", "state", "kill", "delete"] {
                runtime.run(&[verb])?.failed()?;
            }
            Ok(())
        },
    },
    Case {
        name: "operations on an unknown container are errors",
        quote: "Attempting to `start` a container that is not `created` MUST have no effect on the container \
                and MUST generate an error (runtime.md, Start)",
        run: |runtime| {
            for args in [&["start", "nobody"][..], &["kill", "nobody", "9"], &["delete", "nobody"]] {
                runtime.run(args)?.failed()?;
            }
            Ok(())
        },
    },
    Case {
        name: "an id can be taken only once",
        quote: "If the ID provided is not unique across all containers within the scope of the runtime, the \
                implementation MUST generate an error and a new container MUST NOT be created (runtime.md, Create)",
        run: id_is_unique,
    },
    Case {
        name: "an id can be taken again after delete",
        quote: "Once a container is deleted its ID MAY be used by a subsequent container (runtime.md, Delete)",
        run: |runtime| {
            let bundle = Bundle::new(&["exit", "0"])?;
            for _ in 0..3 {
                runtime.run_in(&bundle, &["run", "again"])?.ok()?;
            }
            Ok(())
        },
    },
    Case {
        name: "malformed ids are errors",
        quote: "or is not valid in any other way, the implementation MUST generate an error (runtime.md, Create)",
        run: |runtime| {
            let bundle = Bundle::new(&["exit", "0"])?;
            each(["", ".", "..", "a/b", "../x"], |id| {
                runtime.run_in(&bundle, &["create", id])?.failed().map(drop)
            })
        },
    },
    Case {
        name: "ids with other characters are errors",
        quote: "runc: an id has only ASCII letters, digits, and _+-.",
        run: |runtime| {
            let bundle = Bundle::new(&["exit", "0"])?;
            each(["a b", "ä", "a*"], |id| runtime.run_in(&bundle, &["create", id])?.failed().map(drop))
        },
    },
    Case {
        name: "a missing bundle is an error",
        quote: "This operation MUST generate an error if it is not provided a path to the bundle (runtime.md, Create)",
        run: |runtime| runtime.run(&["create", "--bundle", "/nonexistent", "c"])?.failed().map(drop),
    },
    Case {
        name: "a bundle without config.json is an error",
        quote: "`config.json`: contains configuration data. This REQUIRED file MUST reside in the root of the bundle \
                directory and MUST be named `config.json` (bundle.md)",
        run: |runtime| {
            let bundle = Bundle::new(&["exit", "0"])?;
            let file = bundle.path().join("config.json");
            std::fs::rename(&file, bundle.path().join("Config.json")).doing("rename")?;
            runtime.run_in(&bundle, &["create", "c"])?.failed().map(drop)
        },
    },
    Case {
        name: "objects that the container has not made stay",
        quote: "Note that resources associated with the container, but not created by this container, MUST NOT be deleted \
                (runtime.md, Delete)",
        run: not_its_own,
    },
    Case {
        name: "edits of config.json after create have no effect",
        quote: "Any changes made to the config.json file after this operation will not have an effect on the \
                container (runtime.md, Create)",
        run: late_edits,
    },
    Case {
        name: "a container starts only once",
        quote: "Attempting to `start` a container that is not `created` MUST have no effect on the container \
                and MUST generate an error (runtime.md, Start)",
        run: start_once,
    },
    Case {
        name: "one of two concurrent starts succeeds",
        quote: "Attempting to `start` a container that is not `created` MUST generate an error (runtime.md, Start)",
        run: concurrent_starts,
    },
    Case {
        name: "kill sends the signal",
        quote: "This operation MUST send the specified signal to the container process (runtime.md, Kill)",
        run: |runtime| kill_sends(runtime, &["USR1", "SIGUSR1", "10"]),
    },
    Case {
        name: "names of signals may be in lower case",
        quote: "runc: the name of a signal may be in any case",
        run: |runtime| kill_sends(runtime, &["usr1", "sigusr1"]),
    },
    Case {
        name: "kill of a stopped container is an error",
        quote: "Attempting to send a signal to a container that is neither `created` nor `running` MUST have \
                no effect on the container and MUST generate an error (runtime.md, Kill)",
        run: |runtime| {
            let bundle = Bundle::new(&["exit", "0"])?;
            runtime.run_in(&bundle, &["run", "--detach", "c"])?.ok()?;
            runtime.await_status("c", "stopped")?;
            runtime.run(&["kill", "c", "0"])?.failed()?;
            runtime.run(&["kill", "c", "KILL"])?.failed()?;
            runtime.run(&["delete", "c"])?.ok().map(drop)
        },
    },
    Case {
        name: "delete of a running container is an error",
        quote: "Attempting to `delete` a container that is not `stopped` MUST have no effect on the container \
                and MUST generate an error (runtime.md, Delete)",
        run: |runtime| {
            let bundle = Bundle::new(&["sleep"])?;
            runtime.run_in(&bundle, &["run", "--detach", "c"])?.ok()?;
            runtime.run(&["delete", "c"])?.failed()?;
            ensure_eq!(runtime.status("c")?, "running");
            runtime.run(&["delete", "--force", "c"])?.ok().map(drop)
        },
    },
    Case {
        name: "delete of a created container ends it",
        quote: "runc, crun and containerd agree against the specification: `delete` of a container that was never \
                started kills and deletes it (docs/decisions/traps.md, T1)",
        run: |runtime| {
            let bundle = Bundle::new(&["sleep"])?;
            runtime.run_in(&bundle, &["create", "c"])?.ok()?;
            runtime.run(&["delete", "c"])?.ok().map(drop)
        },
    },
    Case {
        name: "create fails and leaves nothing",
        quote: "generating an error MUST leave the state of the environment as if the operation were never \
                attempted (runtime.md, Errors)",
        run: failures_leave_nothing,
    },
    Case {
        name: "a failing createRuntime hook stops the container",
        quote: "If any `createRuntime` hook fails, the runtime MUST generate an error, stop the container, and \
                continue the lifecycle at step 12 (runtime.md, Lifecycle, 4)",
        run: |runtime| {
            let bundle = Bundle::new(&["exit", "0"])?
                .with(|config| config["hooks"] = json!({ "createRuntime": [sh("exit 7")] }))?;
            runtime.run_in(&bundle, &["create", "c"])?.failed()?;
            runtime.run(&["state", "c"])?.failed().map(drop)
        },
    },
    Case {
        name: "a failing poststart hook stops the container",
        quote: "If any `poststart` hook fails, the runtime MUST generate an error, stop the container, and \
                continue the lifecycle at step 12 (runtime.md, Lifecycle, 9, since 1.3)",
        run: |runtime| {
            let bundle = Bundle::new(&["sleep"])?
                .with(|config| config["hooks"] = json!({ "poststart": [sh("exit 7")] }))?;
            runtime.run_in(&bundle, &["create", "c"])?.ok()?;
            runtime.run(&["start", "c"])?.failed()?;
            runtime.run(&["state", "c"])?.failed().map(drop)
        },
    },
    Case {
        name: "a failing poststop hook is a warning",
        quote: "If any `poststop` hook fails, the runtime MUST log a warning, but the remaining hooks and lifecycle \
                continue as if the hook had succeeded (runtime.md, Lifecycle, 13)",
        run: |runtime| {
            let bundle = Bundle::new(&["exit", "0"])?;
            let mark = bundle.path().join("mark");
            let touch = sh(&format!("touch {}", mark.display()));
            let bundle =
                bundle.with(|config| config["hooks"] = json!({ "poststop": [sh("exit 7"), touch] }))?;
            runtime.run_in(&bundle, &["create", "c"])?.ok()?;
            runtime.run(&["start", "c"])?.ok()?;
            runtime.await_status("c", "stopped")?;
            runtime.run(&["delete", "c"])?.ok()?;
            ensure!(mark.exists(), "the hook behind the failing one did not run");
            runtime.run(&["state", "c"])?.failed().map(drop)
        },
    },
    Case {
        name: "a cgroup that another container uses is an error",
        quote: "runc: the cgroup of a new container must be empty, so that no operation on one container affects another \
                (which config-linux.md, Control groups, allows)",
        run: |runtime| {
            let path = if runtime.has_systemd_cgroups() { "system.slice:one:shared" } else { "/one-shared" };
            let bundle =
                Bundle::new(&["sleep"])?.with(|config| config["linux"]["cgroupsPath"] = json!(path))?;
            runtime.run_in(&bundle, &["run", "--detach", "first"])?.ok()?;
            runtime.run_in(&bundle, &["create", "second"])?.failed()?;
            runtime.run_in(&bundle, &["run", "--detach", "second"])?.failed()?;
            runtime.run(&["delete", "--force", "second"])?;
            ensure_eq!(runtime.status("first")?, "running");
            runtime.run(&["delete", "--force", "first"])?.ok().map(drop)
        },
    },
    Case {
        name: "a foreground run has the exit status of its process",
        quote: "runc: the container process's status, 128+N if it was killed by signal N",
        run: |runtime| {
            let output = runtime.run_in(&Bundle::new(&["exit", "42"])?, &["run", "c"])?;
            ensure_eq!(output.status.code(), Some(42));
            // In the host's pid namespace a process can kill itself by a signal.
            let bundle =
                Bundle::new(&["die-by-signal", "15"])?.with(|config| without_namespace(config, "pid"))?;
            let output = runtime.run_in(&bundle, &["run", "c"])?;
            ensure_eq!(output.status.code(), Some(128 + 15));
            Ok(())
        },
    },
    Case {
        name: "a foreground run has the caller's standard input and output",
        quote: "runc: standard input, output and error are those of the caller",
        run: |runtime| {
            let bundle = Bundle::new(&["echo-stdin"])?;
            let input = tempfile::NamedTempFile::new().doing("temporary file")?;
            let text = "x".repeat(300_000);
            std::fs::write(input.path(), &text).doing("write")?;
            let mut command = runtime.command(&["run", "c"]);
            command.current_dir(bundle.path()).stdin(std::fs::File::open(input.path()).doing("open")?);
            let output = conformance::runtime::finish(command)?.ok()?;
            ensure!(output.stdout == text, "{} of {} bytes came back", output.stdout.len(), text.len());
            Ok(())
        },
    },
    Case {
        name: "the pid file has the pid and no newline",
        quote: "runc: the pid in decimal without a newline, in a file that is replaced in one step",
        run: |runtime| {
            let bundle = Bundle::new(&["sleep"])?;
            let file = bundle.path().join("pid");
            std::fs::write(&file, "old").doing("write")?;
            runtime.run_in(&bundle, &["create", "--pid-file", "pid", "c"])?.ok()?;
            let pid = std::fs::read_to_string(&file).doing("pid file")?;
            ensure_eq!(Some(pid), runtime.state("c")?["pid"].as_i64().map(|pid| pid.to_string()));
            runtime.run(&["delete", "c"])?.ok().map(drop)
        },
    },
    Case {
        name: "list shows every container",
        quote: "runc: list shows every container of the state directory",
        run: |runtime| {
            let bundle = Bundle::new(&["sleep"])?;
            ensure_eq!(runtime.run(&["list", "--format", "json"])?.ok()?.stdout.trim(), "null");
            for id in ["a", "b"] {
                runtime.run_in(&bundle, &["create", id])?.ok()?;
            }
            ensure_eq!(runtime.run(&["list", "-q"])?.ok()?.stdout, "a\nb\n");
            let list: Value =
                serde_json::from_str(&runtime.run(&["list", "-f", "json"])?.ok()?.stdout).doing("list")?;
            ensure_eq!(list[1]["id"], "b");
            ensure_eq!(list[1]["status"], "created");
            for id in ["a", "b"] {
                runtime.run(&["delete", id])?.ok()?;
            }
            Ok(())
        },
    },
    Case {
        name: "the init is not a child of create",
        quote: "runc: init is re-parented to the caller's subreaper; containerd's shim waits for it",
        run: |runtime| {
            let bundle = Bundle::new(&["sleep"])?;
            runtime.run_in(&bundle, &["create", "c"])?.ok()?;
            let pid = runtime.state("c")?["pid"].as_i64().unwrap_or_default();
            ensure_eq!(host::process_status(pid, "PPid"), Some(std::process::id().to_string()));
            runtime.run(&["delete", "c"])?.ok().map(drop)
        },
    },
];

fn sh(script: &str) -> Value {
    json!({ "path": "/bin/sh", "args": ["sh", "-c", script], "env": ["PATH=/usr/bin:/bin"] })
}

fn whole_life(runtime: &Runtime) -> Result {
    let bundle = Bundle::new(&["sleep"])?;
    runtime.run_in(&bundle, &["create", "life"])?.ok()?;
    ensure_eq!(runtime.status("life")?, "created");
    runtime.run(&["start", "life"])?.ok()?;
    ensure_eq!(runtime.status("life")?, "running");
    runtime.run(&["kill", "life", "KILL"])?.ok()?;
    runtime.await_status("life", "stopped")?;
    runtime.run(&["delete", "life"])?.ok()?;
    runtime.run(&["state", "life"])?.failed().map(drop)
}

fn not_before_start(runtime: &Runtime) -> Result {
    let bundle =
        Bundle::new(&["write", "/mark", "x"])?.with(|config| config["root"]["readonly"] = json!(false))?;
    runtime.run_in(&bundle, &["create", "c"])?.ok()?;
    ensure!(!bundle.rootfs("mark").exists(), "the program ran before start");
    runtime.run(&["start", "c"])?.ok()?;
    runtime.await_status("c", "stopped")?;
    ensure!(bundle.rootfs("mark").exists(), "the program did not run");
    runtime.run(&["delete", "c"])?.ok().map(drop)
}

fn state_document(runtime: &Runtime) -> Result {
    let bundle = Bundle::new(&["sleep"])?
        .with(|config| config["annotations"] = json!({ "org.example.key": "value" }))?;
    runtime.run_in(&bundle, &["create", "c"])?.ok()?;
    let state = runtime.state("c")?;
    ensure_eq!(state["id"], "c");
    ensure_eq!(state["bundle"].as_str().map(Path::new), Some(bundle.path()));
    ensure_eq!(state["annotations"], json!({ "org.example.key": "value" }));
    ensure!(state["ociVersion"].as_str().is_some_and(|v| v.starts_with("1.")), "{state}");
    let pid = state["pid"].as_i64().unwrap_or_default();
    ensure!(pid > 0 && Path::new(&format!("/proc/{pid}")).exists(), "no process {pid}");
    runtime.run(&["kill", "c", "KILL"])?.ok()?;
    runtime.await_status("c", "stopped")?;
    runtime.run(&["delete", "c"])?.ok().map(drop)
}

fn not_its_own(runtime: &Runtime) -> Result {
    let source = tempfile::tempdir().doing("temporary directory")?;
    std::fs::write(source.path().join("file"), "").doing("write")?;
    // A network namespace that a file keeps alive, as with `ip netns`.
    let namespace = tempfile::NamedTempFile::new().doing("temporary file")?;
    let path = namespace.path().display().to_string();
    let unshare = std::process::Command::new("unshare").arg(format!("--net={path}")).arg("true").status();
    ensure!(unshare.doing("unshare")?.success(), "unshare failed");
    let inode =
        || std::fs::metadata(&path).map(|meta| std::os::unix::fs::MetadataExt::ino(&meta)).doing("stat");
    let before = inode()?;
    let bundle = Bundle::new(&["sleep"])?.with(|config| {
        without_namespace(config, "network");
        if let Some(list) = config["linux"]["namespaces"].as_array_mut() {
            list.push(json!({ "type": "network", "path": path }));
        }
        push(config, json!({ "destination": "/tmp", "source": source.path(), "options": ["rbind"] }));
    })?;
    runtime.run_in(&bundle, &["run", "--detach", "c"])?.ok()?;
    runtime.run(&["kill", "c", "KILL"])?.ok()?;
    runtime.await_status("c", "stopped")?;
    runtime.run(&["delete", "c"])?.ok()?;
    let after = inode();
    nix::mount::umount(namespace.path()).doing("umount")?;
    ensure_eq!(after?, before);
    for path in [source.path().join("file"), bundle.rootfs("probe"), bundle.path().join("config.json")] {
        ensure!(path.exists(), "{} is gone", path.display());
    }
    Ok(())
}

fn id_is_unique(runtime: &Runtime) -> Result {
    let bundle = Bundle::new(&["sleep"])?;
    runtime.run_in(&bundle, &["create", "twin"])?.ok()?;
    let first = runtime.state("twin")?;
    for verb in ["create", "run"] {
        runtime.run_in(&bundle, &[verb, "twin"])?.failed()?;
    }
    ensure_eq!(runtime.state("twin")?, first);
    runtime.run(&["delete", "twin"])?.ok().map(drop)
}

fn late_edits(runtime: &Runtime) -> Result {
    let bundle =
        Bundle::new(&["write", "/first", "x"])?.with(|config| config["root"]["readonly"] = json!(false))?;
    runtime.run_in(&bundle, &["create", "c"])?.ok()?;
    let bundle =
        bundle.with(|config| config["process"]["args"] = json!(["/probe", "write", "/second", "x"]))?;
    runtime.run(&["start", "c"])?.ok()?;
    runtime.await_status("c", "stopped")?;
    ensure!(
        bundle.rootfs("first").exists() && !bundle.rootfs("second").exists(),
        "the new configuration was used"
    );
    runtime.run(&["delete", "c"])?.ok().map(drop)
}

fn start_once(runtime: &Runtime) -> Result {
    let bundle = Bundle::new(&["sleep"])?;
    runtime.run_in(&bundle, &["create", "c"])?.ok()?;
    runtime.run(&["start", "c"])?.ok()?;
    runtime.run(&["start", "c"])?.failed()?;
    ensure_eq!(runtime.status("c")?, "running");
    runtime.run(&["kill", "c", "KILL"])?.ok()?;
    runtime.await_status("c", "stopped")?;
    runtime.run(&["start", "c"])?.failed()?;
    runtime.run(&["delete", "c"])?.ok().map(drop)
}

fn concurrent_starts(runtime: &Runtime) -> Result {
    let bundle = Bundle::new(&["sleep"])?;
    for round in 0..10 {
        let id = format!("race{round}");
        runtime.run_in(&bundle, &["create", &id])?.ok()?;
        let mut children = Vec::new();
        for _ in 0..4 {
            let mut command = runtime.command(&["start", &id]);
            command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
            children.push(command.spawn().doing("spawn")?);
        }
        let mut winners = 0;
        for child in &mut children {
            winners += i32::from(conformance::runtime::wait(child)?.success());
        }
        ensure_eq!(winners, 1);
        runtime.run(&["delete", "--force", &id])?.ok()?;
    }
    Ok(())
}

fn kill_sends(runtime: &Runtime, names: &[&str]) -> Result {
    // SIGUSR1 kills a process without a handler, except the first of a pid namespace.
    let bundle = Bundle::new(&["sleep"])?.with(|config| without_namespace(config, "pid"))?;
    for signal in names {
        runtime.run_in(&bundle, &["run", "--detach", "c"])?.ok()?;
        runtime.run(&["kill", "c", "0"])?.ok()?;
        ensure_eq!(runtime.status("c")?, "running");
        runtime.run(&["kill", "c", signal])?.ok()?;
        runtime.await_status("c", "stopped")?;
        runtime.run(&["delete", "c"])?.ok()?;
    }
    Ok(())
}

fn failures_leave_nothing(runtime: &Runtime) -> Result {
    let changes: [(&str, Change); 8] = [
        ("no program", |c| c["process"]["args"] = json!(["/nonexistent"])),
        ("a directory as program", |c| c["process"]["args"] = json!(["/proc"])),
        ("no rootfs", |c| c["root"]["path"] = json!("nonexistent")),
        ("no source", |c| {
            push(c, json!({ "destination": "/x", "source": "/nonexistent", "options": ["bind"] }));
        }),
        ("no such file system", |c| {
            push(c, json!({ "destination": "/tmp", "type": "nosuchfs", "source": "x" }));
        }),
        ("a wrong option", |c| {
            push(c, json!({ "destination": "/tmp", "type": "tmpfs", "source": "x", "options": ["size=x"] }));
        }),
        ("a working directory that is a file", |c| c["process"]["cwd"] = json!("/probe")),
        ("no namespace at the path", |c| {
            c["linux"]["namespaces"][1]["path"] = json!("/nonexistent");
        }),
    ];
    for (what, change) in changes {
        let bundle = Bundle::new(&["exit", "0"])?.with(change)?;
        for verb in ["create", "run"] {
            runtime.run_in(&bundle, &[verb, "fails"])?.failed().map_err(|why| format!("{what}: {why}"))?;
            runtime.run(&["state", "fails"])?.failed()?;
        }
    }
    Ok(())
}
