// SPDX-License-Identifier: Apache-2.0
//! runtime.md, "Operations": the operations that each status allows, and names and edits once a
//! container exists.

use crate::support::Case;
use conformance::change::without_namespace;
use conformance::runtime::wait;
use conformance::{Bundle, Doing, Result, Runtime, each, ensure, ensure_eq, host};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

pub(crate) const CASES: &[Case] = &[
    Case {
        name: "an id is taken in every status",
        quote: "If the ID provided is not unique across all containers within the scope of the runtime, or is not valid in \
            any other way, the implementation MUST generate an error and a new container MUST NOT be created (runtime.md, \
            Create)",
        run: |runtime| {
            let bundle = Bundle::new(&["sleep"])?;
            let other = Bundle::new(&["exit", "0"])?;
            let refused = || -> Result {
                let before = runtime.state("c")?;
                for verb in ["create", "run"] {
                    runtime.run_in(&other, &[verb, "c"])?.failed()?;
                }
                ensure_eq!(runtime.state("c")?, before);
                Ok(())
            };
            // The status `creating`: from a hook of the container.
            let log = bundle.path().join("log");
            let command = format!("{} --root {}", runtime.program().display(), runtime.root().display());
            let script = format!(
                "timeout 10 {command} create --bundle {} c 2>/dev/null; echo $? >{}",
                other.path().display(),
                log.display()
            );
            let bundle = bundle.with(|config| config["hooks"] = json!({ "createRuntime": [sh(&script)] }))?;
            runtime.run_in(&bundle, &["create", "c"])?.ok()?;
            let status = fs::read_to_string(&log).doing("log")?;
            ensure!(status.trim() != "0" && status.trim() != "124", "create while creating: {status}");
            refused()?;
            runtime.run(&["start", "c"])?.ok()?;
            refused()?;
            runtime.run(&["kill", "c", "KILL"])?.ok()?;
            runtime.await_status("c", "stopped")?;
            refused()?;
            runtime.run(&["delete", "c"])?.ok().map(drop)
        },
    },
    Case {
        name: "one of two concurrent creates succeeds",
        quote: "If the ID provided is not unique across all containers within the scope of the runtime, the implementation \
            MUST generate an error and a new container MUST NOT be created (runtime.md, Create)",
        run: |runtime| {
            let bundle = Bundle::new(&["sleep"])?;
            each(0..5, |_| {
                let mut children = Vec::new();
                for _ in 0..4 {
                    let mut command = runtime.command(&["create", "c"]);
                    command.current_dir(bundle.path()).stdout(Stdio::null()).stderr(Stdio::null());
                    children.push(command.spawn().doing("spawn")?);
                }
                let mut winners = 0;
                for child in &mut children {
                    winners += i32::from(wait(child)?.success());
                }
                ensure_eq!(winners, 1);
                ensure_eq!(runtime.status("c")?, "created");
                runtime.run(&["delete", "--force", "c"])?.ok().map(drop)
            })
        },
    },
    Case {
        name: "a second state directory takes nothing from the first's container",
        quote: "id is the container's ID. This MUST be unique across all containers on this host (runtime.md, State): the \
            second is refused, or takes nothing from the first",
        run: |runtime| {
            let bundle = Bundle::new(&["sleep"])?;
            runtime.run_in(&bundle, &["run", "--detach", "c"])?.ok()?;
            let first = runtime.state("c")?;
            let other = Runtime::new(runtime.program())?.with_systemd(runtime.has_systemd_cgroups());
            let second = other.run_in(&bundle, &["run", "--detach", "c"])?;
            let deleted = other.run(&["delete", "--force", "c"])?;
            let after = runtime.state("c")?;
            let alive = host::process_status(first["pid"].as_i64().unwrap_or_default(), "State");
            runtime.run(&["delete", "--force", "c"])?.ok()?;
            ensure_eq!(after, first);
            ensure!(alive.is_some_and(|state| !state.starts_with('Z')), "killed: {second} {deleted}");
            Ok(())
        },
    },
    Case {
        name: "no edit of config.json after create has an effect",
        quote: "Any changes made to the config.json file after this operation will not have an effect on the container \
            (runtime.md, Create)",
        run: |runtime| {
            let all: [fn(&Path) -> std::io::Result<()>; 3] = [
                |file| {
                    let later =
                        fs::read_to_string(file)?.replace("first", "later").replace("rootfs", "nowhere");
                    fs::write(file, later)
                },
                |file| fs::write(file, "{"),
                |file| fs::remove_file(file),
            ];
            each(0..all.len(), |&edit| {
                let bundle = Bundle::new(&["write", "/first", "x"])?;
                let log = bundle.path().join("log");
                let hook = |kind: &str| json!([sh(&format!("echo {kind} first >>{}", log.display()))]);
                let hooks = json!({ "poststart": hook("poststart"), "poststop": hook("poststop"),
                    "startContainer": [{ "path": "/probe", "args": ["probe", "write", "/hook-first", "x"] }] });
                let bundle = bundle.with(|config| {
                    config["root"]["readonly"] = json!(false);
                    config["hostname"] = json!("first");
                    config["annotations"] = json!({ "org.example.key": "first" });
                    config["process"]["env"] = json!(["PATH=/", "A=first"]);
                    config["hooks"] = hooks;
                })?;
                runtime.run_in(&bundle, &["create", "c"])?.ok()?;
                all[edit](&bundle.path().join("config.json")).doing("edit")?;
                runtime.run(&["start", "c"])?.ok()?;
                ensure_eq!(runtime.state("c")?["annotations"]["org.example.key"], "first");
                runtime.await_status("c", "stopped")?;
                runtime.run(&["delete", "c"])?.ok()?;
                for name in ["first", "hook-first"] {
                    ensure!(bundle.rootfs(name).exists(), "no /{name}");
                }
                for name in ["later", "hook-later"] {
                    ensure!(!bundle.rootfs(name).exists(), "/{name} is there");
                }
                ensure_eq!(fs::read_to_string(&log).doing("log")?, "poststart first\npoststop first\n");
                Ok(())
            })
        },
    },
    Case {
        name: "start and kill of a stopped container have no effect",
        quote: "Attempting to `start` a container that is not `created` MUST have no effect on the container and MUST \
            generate an error; attempting to send a signal to a container that is neither `created` nor `running` MUST \
            have no effect on the container and MUST generate an error (runtime.md, Start, Kill)",
        run: |runtime| {
            // A second start would write the mark twice.
            let bundle = Bundle::new(&["write", "/mark", "x"])?.with(|config| {
                without_namespace(config, "pid");
                config["root"]["readonly"] = json!(false);
            })?;
            runtime.run_in(&bundle, &["run", "--detach", "c"])?.ok()?;
            runtime.await_status("c", "stopped")?;
            fs::remove_file(bundle.rootfs("mark")).doing("unlink")?;
            let before = runtime.state("c")?;
            for verb in
                [&["start", "c"][..], &["kill", "c", "TERM"], &["kill", "c", "KILL"], &["kill", "c", "0"]]
            {
                runtime.run(verb)?.failed()?;
                ensure_eq!(runtime.state("c")?, before);
            }
            ensure!(!bundle.rootfs("mark").exists(), "it ran again");
            runtime.run(&["delete", "c"])?.ok().map(drop)
        },
    },
    Case {
        name: "processes that a stopped container left are ended by SIGKILL only",
        quote: "runc, containerd: SIGKILL for a container without a pid namespace of its own is sent to all its \
                processes, even if the init has ended: engines end the others by `kill`. Any other signal is an \
                error (docs/decisions/traps.md, T15)",
        run: |runtime| {
            let bundle = Bundle::new(&["leave", "/left"])?.with(|config| {
                without_namespace(config, "pid");
                config["root"]["readonly"] = json!(false);
            })?;
            runtime.run_in(&bundle, &["run", "--detach", "c"])?.ok()?;
            runtime.await_status("c", "stopped")?;
            let pid = fs::read_to_string(bundle.rootfs("left")).doing("left")?;
            let pid: i64 = pid.parse().doing("pid")?;
            let is_alive = || host::process_status(pid, "State").is_some_and(|state| !state.starts_with('Z'));
            let before = is_alive();
            let (term, after_term) = (runtime.run(&["kill", "c", "TERM"])?, is_alive());
            let killed = runtime.run(&["kill", "c", "KILL"])?;
            let end = Instant::now() + Duration::from_secs(2);
            while is_alive() && Instant::now() < end {
                host::reap();
                std::thread::sleep(Duration::from_millis(5));
            }
            if is_alive() {
                let _gone = kill(Pid::from_raw(pid as i32), Signal::SIGKILL);
                host::await_children()?;
                runtime.run(&["delete", "--force", "c"])?;
                return Err(format!("it is left: {killed}"));
            }
            let status = runtime.status("c")?;
            runtime.run(&["delete", "--force", "c"])?.ok()?;
            ensure!(before, "it left nothing");
            term.failed()?;
            ensure!(after_term, "SIGTERM has ended it");
            killed.ok()?;
            ensure_eq!(status, "stopped");
            Ok(())
        },
    },
];

fn sh(script: &str) -> Value {
    json!({ "path": "/bin/sh", "args": ["sh", "-c", script], "env": ["PATH=/usr/bin:/bin"] })
}
