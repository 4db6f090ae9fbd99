// SPDX-License-Identifier: Apache-2.0
//! The process of a hook: its inheritance from the caller, its children, and its failure.

use crate::support::Case;
use conformance::change::{push, without_namespace};
use conformance::host::process_status;
use conformance::runtime::finish;
use conformance::{Bundle, Doing, Result, Runtime, each, ensure, ensure_eq};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// The kinds that run in the runtime's namespaces.
const OUTSIDE: [&str; 4] = ["prestart", "createRuntime", "poststart", "poststop"];

pub(crate) const CASES: &[Case] = &[
    Case {
        name: "hooks inherit no blocked or ignored signals from the runtime",
        quote: "sigprocmask(2): \"the signal mask is preserved across execve\": a child of a hook could not be \
                ended by SIGTERM if the runtime blocks signals",
        run: |runtime| {
            each(KINDS, |kind| {
                let log = Log::new()?;
                // cp, because some shells clear the signal mask.
                let hook = json!({ "path": "/bin/cp", "args": ["cp", "/proc/self/status", log.name(kind)] });
                let bundle = log.bundle(kind, &hook)?;
                runtime.run_in(&bundle, &["run", "c"])?.ok()?;
                let text = log.text(kind)?;
                // The signals that the caller ignores, as a shell's background job does.
                let own = std::fs::read_to_string("/proc/self/status").doing("read /proc/self/status")?;
                for field in ["SigBlk:\t", "SigIgn:\t"] {
                    let standard = |status: &str| {
                        let mask =
                            status.lines().find_map(|line| line.strip_prefix(field)).unwrap_or_default();
                        // Without the signals that the C library of this program uses itself.
                        u64::from_str_radix(mask, 16).doing(status).map(|mask| mask & 0x7fff_ffff)
                    };
                    // Rust ignores SIGPIPE, but not in its children.
                    let pipe = 1 << (Signal::SIGPIPE as i32 - 1);
                    let own = standard(&own)? & !pipe;
                    // In the container's namespaces a hook ignores none, like the container's
                    // program.
                    ensure_eq!(standard(&text)?, if OUTSIDE.contains(kind) { own } else { 0 });
                }
                Ok(())
            })
        },
    },
    Case {
        name: "the children of a hook that runs too long are ended",
        quote: "timeout is the number of seconds before aborting the hook (config.md, POSIX-platform Hooks): what it has \
            started would go on, and hold what it holds",
        run: |runtime| {
            each(["prestart", "createRuntime", "createContainer", "startContainer", "poststart"], |kind| {
                let log = Log::new()?;
                let mut hook = sh(&format!("sleep 1000 & echo $! >{}; wait", log.name(kind)), kind);
                hook["timeout"] = json!(1);
                let bundle = log.bundle(kind, &hook)?.with(|config| without_namespace(config, "pid"))?;
                let run = runtime.run_in(&bundle, &["run", "--detach", "c"]);
                let pids = log.pids(kind)?;
                let alive = ended(&pids);
                run?.failed()?;
                ensure_eq!(pids.len(), 1);
                ensure!(alive.is_empty(), "{pids:?} lives");
                let _gone = runtime.run(&["delete", "--force", "c"])?;
                Ok(())
            })
        },
    },
    Case {
        name: "a daemon that a hook leaves goes on",
        quote: "hooks of network plugins start daemons: the daemons of a successful hook stay, also if another \
                hook fails",
        run: |runtime| {
            let log = Log::new()?;
            let start = "setsid sleep 1000 </dev/null >/dev/null 2>&1 & echo $!";
            let plain = "sleep 1001 </dev/null >/dev/null 2>&1 & echo $!";
            let script = format!("{{ {start}; {plain}; }} >{}", log.name("createRuntime"));
            let late = json!({ "path": "/bin/sleep", "args": ["sleep", "100"], "timeout": 1 });
            let bundle = log.bundle("createRuntime", &sh(&script, "createRuntime"))?;
            runtime.run_in(&bundle, &["create", "c"])?.ok()?;
            runtime.run(&["delete", "c"])?.ok()?;
            let mut pids = log.pids("createRuntime")?;
            let bundle = bundle.with(|config| {
                config["hooks"]["createRuntime"] = json!([sh(&script, "createRuntime"), late]);
            })?;
            runtime.run_in(&bundle, &["create", "c"])?.failed()?;
            pids.extend(log.pids("createRuntime")?);
            ensure_eq!(ended(&pids), pids);
            ensure_eq!(pids.len(), 4);
            Ok(())
        },
    },
    Case {
        name: "a hook without env on the host has the runtime's environment",
        quote: "env (array of strings, OPTIONAL) (config.md, POSIX-platform Hooks); runc, crun: a hook without it that \
            runs on the host has the runtime's environment",
        run: |runtime| {
            each(OUTSIDE, |kind| {
                let env = environment(runtime, kind, None)?;
                ensure!(env.contains("OF_THE_CALLER=1\n") && env.contains("PATH="), "{env}");
                Ok(())
            })
        },
    },
    Case {
        name: "a hook with an empty env gets nothing of the runtime's environment",
        quote: "env has the same semantics as IEEE Std 1003.1-2008's environ (config.md, POSIX-platform Hooks): an empty \
            one is not an absent one",
        run: |runtime| {
            each(KINDS, |kind| {
                let env = environment(runtime, kind, Some(json!([])))?;
                ensure!(!env.contains("OF_THE_CALLER"), "{env}");
                Ok(())
            })
        },
    },
    Case {
        name: "a hook without env in the container does not get the runtime's",
        quote: "runc: a hook in the container's namespaces has nothing of the runtime's environment; startContainer hooks have \
            that of the program",
        run: |runtime| {
            each(["createContainer", "startContainer"], |kind| {
                let env = environment(runtime, kind, None)?;
                ensure!(!env.contains("OF_THE_CALLER"), "{env}");
                ensure_eq!(env.contains("OF_THE_PROGRAM"), *kind == "startContainer");
                Ok(())
            })
        },
    },
    Case {
        name: "hooks on the host start in the bundle",
        quote: "crun: hooks that run on the host start in the bundle; runc: those of create do",
        run: |runtime| {
            each(OUTSIDE, |kind| {
                let log = Log::new()?;
                let bundle = log.bundle(kind, &sh(&format!("pwd >{}", log.name(kind)), kind))?;
                let path = bundle.path().display().to_string();
                runtime.run(&["create", "--bundle", &path, "c"])?.ok()?;
                runtime.run(&["start", "c"])?.ok()?;
                runtime.await_status("c", "stopped")?;
                runtime.run(&["delete", "c"])?.ok()?;
                ensure_eq!(log.text(kind)?.trim(), path);
                Ok(())
            })
        },
    },
    Case {
        name: "poststop hooks run if the bundle is gone",
        quote: "The `poststop` hooks MUST be invoked by the runtime (runtime.md, Lifecycle, 13)",
        run: |runtime| {
            let log = Log::new()?;
            let bundle =
                log.bundle("poststop", &sh(&format!("echo >{}", log.name("poststop")), "poststop"))?;
            runtime.run_in(&bundle, &["run", "--detach", "c"])?.ok()?;
            runtime.await_status("c", "stopped")?;
            drop(bundle);
            runtime.run(&["delete", "c"])?.ok()?;
            log.text("poststop").map(drop)
        },
    },
    Case {
        name: "a failing hook of start destroys the container",
        quote: "If any `startContainer` hook fails, the runtime MUST generate an error, stop the container, and continue \
            the lifecycle at step 12. If any `poststart` hook fails, the runtime MUST [do the same]. 12. The container \
            MUST be destroyed by undoing the steps performed during create phase (step 2). 13. The `poststop` hooks MUST \
            be invoked by the runtime (runtime.md, Lifecycle, 7, 9, since 1.3)",
        run: |runtime| {
            each(["startContainer", "poststart"], |kind| {
                for operation in ["start", "run"] {
                    let _of_another_kind = runtime.run(&["delete", "--force", "c"])?;
                    let log = Log::new()?;
                    let bundle = log.bundle(kind, &sh("exit 7", kind))?;
                    let bundle = bundle.with(|config| {
                        config["process"]["args"] = json!(["/probe", "sleep"]);
                        let script = format!("echo >{}", log.name("poststop"));
                        config["hooks"]["poststop"] = json!([sh(&script, "poststop")]);
                    })?;
                    if operation == "start" {
                        runtime.run_in(&bundle, &["create", "c"])?.ok()?;
                        runtime.run(&["start", "c"])?.failed()?;
                    } else {
                        runtime.run_in(&bundle, &["run", "--detach", "c"])?.failed()?;
                    }
                    runtime.run(&["state", "c"])?.failed().map_err(|why| format!("{operation}: {why}"))?;
                    log.text("poststop").map_err(|why| format!("{operation}: {why}"))?;
                }
                Ok(())
            })
        },
    },
    Case {
        name: "the container is gone when poststop hooks run",
        quote: "The `poststop` hooks MUST be called after the container is deleted but before the `delete` operation \
            returns (config.md, Poststop)",
        run: |runtime| {
            let log = Log::new()?;
            let (program, root) = (runtime.program().display(), runtime.root().display());
            let out = log.name("poststop");
            let script = format!(
                "{program} --root {root} state c >/dev/null 2>&1 && echo here >{out} || echo gone >{out}"
            );
            let bundle = log.bundle("poststop", &sh(&script, "poststop"))?;
            for run in [&["run", "c"][..], &["run", "--detach", "c"]] {
                runtime.run_in(&bundle, run)?.ok()?;
                if run.len() > 2 {
                    runtime.await_status("c", "stopped")?;
                    runtime.run(&["delete", "c"])?.ok()?;
                }
                ensure_eq!(log.text("poststop")?, "gone\n");
            }
            Ok(())
        },
    },
    Case {
        name: "no poststart hook runs if the program cannot be executed",
        quote: "8. The runtime MUST run the user-specified program, as specified by `process`. 9. The `poststart` hooks \
            MUST be invoked by the runtime (runtime.md, Lifecycle): after the program is executed (config.md, Poststart)",
        run: |runtime| {
            let log = Log::new()?;
            let bundle =
                log.bundle("poststart", &sh(&format!("echo >{}", log.name("poststart")), "poststart"))?;
            let bundle = bundle.with(|config| config["process"]["args"] = json!(["/text"]))?;
            let text = bundle.rootfs("text");
            std::fs::write(&text, "no program\n").doing("write")?;
            std::fs::set_permissions(&text, std::os::unix::fs::PermissionsExt::from_mode(0o755))
                .doing("chmod")?;
            // Some runtimes look for the program at create.
            if runtime.run_in(&bundle, &["create", "c"])?.status.success() {
                let output = runtime.run(&["start", "c"])?.failed()?;
                ensure!(output.stderr.contains("exec format error"), "{output}");
            }
            runtime.run(&["delete", "--force", "c"])?;
            runtime.run_in(&bundle, &["run", "--detach", "c"])?.failed()?;
            runtime.run(&["delete", "--force", "c"])?;
            let output = runtime.run_in(&bundle, &["run", "c"])?.failed()?;
            ensure!(output.stderr.contains("exec format error"), "{output}");
            ensure!(!log.path("poststart").exists(), "the poststart hook ran");
            Ok(())
        },
    },
    Case {
        name: "hooks run for a container with as many groups as there can be",
        quote: "The state of the container MUST be passed to hooks over stdin (config.md, POSIX-platform Hooks); \
                NGROUPS_MAX: 65,536 (linux/limits.h), which /proc/PID/status lists",
        run: |runtime| {
            let hook = json!({ "path": "/probe", "args": ["probe", "exit", "0"] });
            let bundle = Bundle::new(&["exit", "7"])?.with(|config| {
                config["process"]["user"]["additionalGids"] = (1..=65_536).collect();
                config["hooks"] = json!({ "startContainer": [hook] });
            })?;
            runtime.run_in(&bundle, &["run", "c"])?.failed_with(7, "").map(drop)
        },
    },
    Case {
        name: "a createContainer hook runs though a mount of the container hides it",
        quote: "The `createContainer` hooks' path MUST resolve in the runtime namespace (config.md, CreateContainer Hooks)",
        run: |runtime| {
            for script in [false, true] {
                let log = Log::new()?;
                let bundle = Bundle::new(&["exit", "0"])?;
                let hidden = bundle.rootfs("tmp/hook");
                let out = log.name("createContainer");
                if script {
                    std::fs::write(&hidden, format!("#!/bin/sh\necho \"$1\" >{out}\n")).doing("write")?;
                } else {
                    std::fs::copy("/bin/touch", &hidden).doing("copy")?;
                }
                std::fs::set_permissions(&hidden, std::os::unix::fs::PermissionsExt::from_mode(0o755))
                    .doing("chmod")?;
                let hook = json!({ "path": hidden, "args": ["hook", out] });
                let bundle = bundle.with(|config| {
                    push(config, json!({ "destination": "/tmp", "type": "tmpfs", "source": "tmpfs" }));
                    config["hooks"] = json!({ "createContainer": [hook] });
                })?;
                runtime.run_in(&bundle, &["run", "c"])?.ok()?;
                log.text("createContainer")?;
            }
            Ok(())
        },
    },
    Case {
        name: "a createContainer hook that only the container has is an error",
        quote: "The `createContainer` hooks' path MUST resolve in the runtime namespace (config.md, CreateContainer Hooks)",
        run: |runtime| {
            let log = Log::new()?;
            let program = log.path("hook");
            std::fs::copy("/bin/touch", &program).doing("copy")?;
            std::fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755))
                .doing("chmod")?;
            let bundle = Bundle::new(&["exit", "0"])?;
            let path = bundle.rootfs("tmp/hook");
            let out = log.name("createContainer");
            let bundle = bundle.with(|config| {
                push(config, json!({ "destination": "/tmp", "source": log.0.path(), "options": ["bind"] }));
                config["hooks"] = json!({ "createContainer": [{ "path": path, "args": ["hook", out] }] });
            })?;
            runtime.run_in(&bundle, &["run", "c"])?.failed()?;
            ensure!(!log.path("createContainer").exists(), "the hook ran");
            Ok(())
        },
    },
    Case {
        name: "a createContainer hook that is a script is executed by its path",
        quote: "runc, crun: the hook is executed by its path, so that a script finds its own files",
        run: |runtime| {
            let log = Log::new()?;
            let script = log.path("hook.sh");
            let out = log.name("createContainer");
            std::fs::write(&script, format!("#!/bin/sh\necho \"$0\" >{out}\n")).doing("write")?;
            std::fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755))
                .doing("chmod")?;
            let bundle = log.bundle("createContainer", &json!({ "path": script }))?;
            runtime.run_in(&bundle, &["run", "c"])?.ok()?;
            ensure_eq!(log.text("createContainer")?.trim(), script.display().to_string());
            Ok(())
        },
    },
];

/// All kinds.
const KINDS: [&str; 6] =
    ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"];

/// Returns the environment of a hook of this kind.
fn environment(runtime: &Runtime, kind: &str, env: Option<Value>) -> Result<String> {
    let log = Log::new()?;
    let mut hook = sh(&format!("tr '\\0' '\\n' </proc/self/environ >{}", log.name(kind)), kind);
    match env {
        Some(env) => hook["env"] = env,
        None => drop(hook.as_object_mut().and_then(|hook| hook.remove("env"))),
    }
    let bundle = log.bundle(kind, &hook)?.with(|config| {
        config["process"]["env"] = json!(["PATH=/bin:/usr/bin", "OF_THE_PROGRAM=1"]);
    })?;
    let mut command: Command = runtime.command(&["run", "c"]);
    command.current_dir(bundle.path()).env("OF_THE_CALLER", "1");
    finish(command)?.ok()?;
    log.text(kind)
}

/// Makes a hook that is a shell script, with the shell of the host or of the container.
fn sh(script: &str, _kind: &str) -> Value {
    json!({ "path": "/bin/sh", "args": ["sh", "-c", script], "env": ["PATH=/usr/bin:/bin"] })
}

/// A directory for hooks to write to, at the same path inside and outside the container.
struct Log(tempfile::TempDir);

impl Log {
    fn new() -> Result<Self> {
        tempfile::Builder::new().prefix("hook-").tempdir().doing("temporary directory").map(Log)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn name(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    fn text(&self, name: &str) -> Result<String> {
        std::fs::read_to_string(self.path(name))
            .map_err(|error| format!("the hook {name} left nothing: {error}"))
    }

    fn pids(&self, name: &str) -> Result<Vec<i32>> {
        self.text(name)?.split_ascii_whitespace().map(|pid| pid.parse().doing(pid)).collect()
    }

    /// Makes a bundle with one hook, the directory at its own path, and the host's programs.
    fn bundle(&self, kind: &str, hook: &Value) -> Result<Bundle> {
        let bundle = Bundle::new(&["exit", "0"])?;
        let mut binds =
            vec![json!({ "destination": self.0.path(), "source": self.0.path(), "options": ["bind", "rw"] })];
        for dir in ["/bin", "/usr", "/lib", "/lib64"].into_iter().filter(|dir| Path::new(dir).exists()) {
            binds.push(json!({ "destination": dir, "source": dir, "options": ["rbind", "ro"] }));
        }
        bundle.with(|config| {
            config["root"]["readonly"] = json!(false);
            if let Some(mounts) = config["mounts"].as_array_mut() {
                mounts.extend(binds);
            }
            config["hooks"] = json!({ kind: [hook] });
        })
    }
}

/// Kills processes. Returns those that still existed.
fn ended(pids: &[i32]) -> Vec<i32> {
    // Killed processes need a moment to end.
    std::thread::sleep(Duration::from_millis(200));
    let is_alive = |pid: &&i32| {
        let state = process_status((**pid).into(), "State").unwrap_or_default();
        !state.is_empty() && !state.starts_with('Z')
    };
    let alive: Vec<_> = pids.iter().filter(is_alive).copied().collect();
    for pid in &alive {
        let _gone = kill(Pid::from_raw(*pid), Signal::SIGKILL);
    }
    alive
}
