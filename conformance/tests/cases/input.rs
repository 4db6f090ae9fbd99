// SPDX-License-Identifier: Apache-2.0
//! The size and the shape of input: every input ends, long lists take no more than linear time, and
//! errors name the place of a wrong value.

use crate::support::{Case, Change};
use conformance::runtime::{finish, wait};
use conformance::{Bundle, Doing, Output, Result, Runtime, each, ensure, ensure_eq, host};
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

pub(crate) const CASES: &[Case] = &[
    Case {
        name: "a config.json that is not a regular file is an error",
        quote: "a fifo would block its reader for ever, a device would fill its memory",
        run: |runtime| {
            let bundle = Bundle::new(&["exit", "0"])?;
            let config = bundle.path().join("config.json");
            fs::remove_file(&config).doing("rm")?;
            nix::unistd::mkfifo(&config, nix::sys::stat::Mode::S_IRUSR).doing("mkfifo")?;
            quickly(|| runtime.run_in(&bundle, &["create", "c"]))?.failed()?;
            fs::remove_file(&config).doing("rm")?;
            std::os::unix::fs::symlink("/dev/zero", &config).doing("symlink")?;
            limited(runtime, &["create", "--bundle", &bundle.path().to_string_lossy(), "c"])?.failed()?;
            Ok(())
        },
    },
    Case {
        name: "an endless configuration is an error",
        quote: "engines pass 16 MiB in a message (docs/limits.md)",
        run: |runtime| {
            let bundle = Bundle::new(&["exit", "0"])?;
            let text = bundle.config.to_string();
            let config = bundle.path().join("config.json");
            fs::write(&config, format!("{}{text}", " ".repeat((16 << 20) - text.len()))).doing("write")?;
            runtime.run_in(&bundle, &["run", "c"])?.ok()?;
            fs::write(&config, format!("{}{text}", " ".repeat((16 << 20) - text.len() + 1)))
                .doing("write")?;
            runtime.run_in(&bundle, &["run", "c"])?.failed()?;
            Ok(())
        },
    },
    Case {
        name: "endless documents are errors",
        quote: "exec --process and update --resources read a file that the caller names, which may be a pipe",
        run: |runtime| {
            let bundle = Bundle::new(&["sleep"])?;
            runtime.run_in(&bundle, &["run", "--detach", "c"])?.ok()?;
            for args in [["exec", "--process", "/dev/zero", "c"], ["update", "--resources", "/dev/zero", "c"]]
            {
                limited(runtime, &args)?.failed()?;
            }
            // Blanks are valid JSON, any number of them.
            for args in [["exec", "--process", "/dev/stdin", "c"], ["update", "--resources", "-", "c"]] {
                let mut blanks = Command::new("yes").arg("").stdout(Stdio::piped()).spawn().doing("yes")?;
                let mut command = with_limit(runtime, &args);
                command.stdin(blanks.stdout.take().ok_or("no pipe")?);
                let output = quickly(|| finish(command)).and_then(bounded);
                blanks.kill().doing("kill")?;
                blanks.wait().doing("wait")?;
                output?.failed()?;
            }
            runtime.run(&["delete", "--force", "c"])?.ok().map(drop)
        },
    },
    Case {
        name: "documents may come from a pipe",
        quote: "runc: update --resources=- reads standard input; engines pass /dev/fd/N",
        run: |runtime| {
            let bundle = Bundle::new(&["sleep"])?;
            runtime.run_in(&bundle, &["run", "--detach", "c"])?.ok()?;
            let mut process = bundle.config["process"].clone();
            process["args"] = json!(["/probe", "print", "piped"]);
            let piped = |args: &[&str], text: &str| -> Result<Output> {
                let mut echo = Command::new("echo").arg(text).stdout(Stdio::piped()).spawn().doing("echo")?;
                let mut command = runtime.command(args);
                command.stdin(echo.stdout.take().ok_or("no pipe")?);
                let output = finish(command)?;
                wait(&mut echo)?;
                Ok(output)
            };
            let exec = piped(&["exec", "--process", "/dev/stdin", "c"], &process.to_string())?.ok()?;
            ensure_eq!(exec.stdout, "piped\n");
            piped(&["update", "--resources", "-", "c"], "{}")?.ok()?;
            runtime.run(&["delete", "--force", "c"])?.ok().map(drop)
        },
    },
    Case {
        name: "long lists take linear time",
        quote: "a list of n entries takes time in proportion to n, or n log n, at any place",
        run: |runtime| {
            let bundle = Bundle::new(&["exit", "0"])?;
            let whole = bundle.config.clone();
            let mut bundle = bundle;
            for (name, change) in LISTS {
                bundle.config = whole.clone();
                bundle = bundle.with(change)?;
                let begin = Instant::now();
                // Success or an error: some of the lists are longer than the kernel allows.
                let _either = runtime.run_in(&bundle, &["run", "c"])?;
                let time = begin.elapsed();
                ensure!(time < Duration::from_secs(20), "{name}: {LENGTH} entries took {time:?}");
                runtime.run(&["delete", "--force", "c"])?;
            }
            Ok(())
        },
    },
    Case {
        name: "an endless list is an error",
        quote: "a few bytes of text become an entry of a hundred bytes: 16 MiB would become more than a gigabyte \
                (docs/limits.md)",
        run: |runtime| {
            let bundle = Bundle::new(&["exit", "0"])?;
            let text = bundle.config.to_string();
            let whole = text.strip_suffix('}').unwrap_or_default();
            let mounts = "{},".repeat(5_400_000);
            fs::write(
                bundle.path().join("config.json"),
                format!("{whole},\"x\":0,\"hooks\":{{\"poststop\":[{mounts}{{}}]}}}}"),
            )
            .doing("write")?;
            let mut command = Command::new("prlimit");
            command.arg("--as=402653184").arg("--").arg(runtime.program()).arg("--root").arg(runtime.root());
            command.args(["run", "--bundle", &bundle.path().to_string_lossy(), "c"]).stdin(Stdio::null());
            bounded(quickly(|| finish(command))?)?.failed().map(drop)
        },
    },
    Case {
        name: "a filter that is too long is an error",
        quote: "BPF_MAXINSNS of linux/bpf_common.h: 4096",
        run: |runtime| {
            let bundle = Bundle::new(&["exit", "0"])?.with(|config| {
                let rule = |i: usize| {
                    let op = if i.is_multiple_of(2) { "SCMP_CMP_GT" } else { "SCMP_CMP_MASKED_EQ" };
                    let arg = json!({ "index": i % 6, "value": i * 7, "op": op });
                    json!({ "names": ["mkdir"], "action": "SCMP_ACT_ERRNO", "args": [arg] })
                };
                let rules: Value = (0..10_000).map(rule).collect();
                config["linux"]["seccomp"] = json!({ "defaultAction": "SCMP_ACT_ALLOW", "syscalls": rules });
            })?;
            runtime.run_in(&bundle, &["run", "c"])?.failed().map(drop)
        },
    },
    Case {
        name: "deep nesting crashes no command",
        quote: "Runtimes ... MUST otherwise ignore [unknown properties] (config.md, Extensibility), however deep",
        run: |runtime| {
            let bundle = Bundle::new(&["exit", "0"])?;
            let text = bundle.config.to_string();
            let whole = text.strip_suffix('}').unwrap_or_default().to_owned();
            let config = bundle.path().join("config.json");
            // At a known place as well, and without an end.
            for (name, open, close) in [("x", "[", "]"), ("x", "{\"x\":", "}"), ("mounts", "[", "]")] {
                for closes in [true, false] {
                    let depth = 2_000_000;
                    let close = if closes { close.repeat(depth) + "}" } else { String::new() };
                    let text = format!("{whole},\"{name}\":{}1{close}", open.repeat(depth));
                    fs::write(&config, text).doing("write")?;
                    let path = bundle.path().to_string_lossy();
                    let output = limited(runtime, &["--debug", "run", "--bundle", &path, "c"])?;
                    ensure!(output.status.code().is_some(), "{name} {open}: {output:.1000}");
                    ensure!(output.stderr.len() < 100_000, "{} bytes are no message", output.stderr.len());
                }
            }
            Ok(())
        },
    },
    Case {
        name: "the length of an error is limited",
        quote: "engines put the text into logs and answers: it does not repeat all of a long value",
        run: |runtime| {
            each(LONG, |(name, change)| {
                let bundle = Bundle::new(&["exit", "0"])?.with(change)?;
                let output = runtime.run_in(&bundle, &["run", "c"])?;
                let said = output.stderr.len();
                ensure!(said < 20_000, "{name}: {said} bytes");
                Ok(())
            })
        },
    },
    Case {
        name: "a cgroup that cannot be made is an error, and leaves nothing",
        quote: "If an error is generated ... the runtime MUST leave the state of the environment as if the operation \
            were never attempted (runtime.md, Errors)",
        run: |runtime| {
            let top = format!("input-{}", std::process::id());
            let names = ["cgroup.procs", "a/b/cgroup.events", "a/x\ny"];
            each(names, |name| {
                let bundle = Bundle::new(&["exit", "0"])?.with(|config| {
                    config["linux"]["cgroupsPath"] = json!(format!("/{top}/{name}"));
                })?;
                for verb in ["create", "run"] {
                    let output = runtime.run_in(&bundle, &[verb, "c"])?.failed()?;
                    let left = host::hierarchy().join(&top);
                    ensure!(!left.exists(), "{} is left: {output}", left.display());
                }
                Ok(())
            })
        },
    },
    Case {
        name: "missing REQUIRED properties are errors",
        quote: "hostID (uint32, REQUIRED), major, minor (int64, REQUIRED), allow (boolean, REQUIRED), soft, hard (uint64, \
            REQUIRED), class, policy (string, REQUIRED), priority (int, REQUIRED), index (uint, REQUIRED), value (uint64, REQUIRED): a missing one is an error, and never 0 \
            (config.md, config-linux.md)",
        run: |runtime| {
            each(MISSING, |(place, change)| {
                // Not every runtime makes devices in a user namespace.
                let whole = if place.contains("Mappings") { mapped } else { full };
                let bundle = Bundle::new(&["exit", "0"])?.with(whole)?;
                runtime.run_in(&bundle, &["run", "c"])?.ok()?;
                let output = runtime.run_in(&bundle.with(change)?, &["run", "c"])?.failed()?;
                ensure!(output.stderr.contains(place), "must say {place:?}: {output}");
                Ok(())
            })
        },
    },
    Case {
        name: "values that break the rules of SCHED_DEADLINE are errors",
        quote: "sched(7): the kernel requires that runtime <= deadline <= period, and that all are at least \
                1024; it returns EINVAL otherwise",
        run: |runtime| {
            let broken = [
                (2_000_000, 1_000_000, 3_000_000, "runtime"),
                (1_000_000, 4_000_000, 3_000_000, "deadline"),
                (1000, 1_000_000, 3_000_000, "runtime"),
                (1_000_000, 0, 3_000_000, "deadline"),
                // The longest period of the host is 4 s.
                (1_000_000, 2_000_000, 60_000_000_000u64, "period"),
            ];
            each(broken, |(time, deadline, period, field)| {
                let bundle = Bundle::new(&["exit", "0"])?.with(|config| {
                    config["process"]["scheduler"] = json!({ "policy": "SCHED_DEADLINE", "runtime": time,
                        "deadline": deadline, "period": period });
                })?;
                let output = runtime.run_in(&bundle, &["run", "c"])?.failed()?;
                ensure!(output.stderr.contains(field), "must name {field}: {output}");
                Ok(())
            })
        },
    },
    Case {
        name: "settings that cgroup v2 does not have are errors or warnings",
        quote: "If a setting of version 1 cannot be converted, the runtime MUST generate an error (config-linux.md, unified)",
        run: |runtime| {
            let with =
                |limits: Value| Bundle::new(&["exit", "0"])?.with(|c| c["linux"]["resources"] = limits);
            for swappiness in [0, 60] {
                let bundle = with(json!({ "memory": { "swappiness": swappiness } }))?;
                let output = runtime.run_in(&bundle, &["run", "c"])?.failed()?;
                ensure!(output.stderr.contains("swappiness"), "must name it: {output}");
            }
            // docs/decisions/traps.md: runc documents these values as "leave it".
            let zeros = json!({ "memory": { "kernel": 0, "kernelTCP": 0 }, "cpu": { "realtimeRuntime": 0 } });
            let output = runtime.run_in(&with(zeros)?, &["run", "c"])?.ok()?;
            for name in ["memory.kernel:", "memory.kernelTCP:", "cpu.realtimeRuntime:"] {
                ensure!(output.stderr.contains(name), "must warn of {name} {output}");
            }
            Ok(())
        },
    },
    Case {
        name: "a user without a number is root, with a warning",
        quote: "uid, gid (int, REQUIRED) (config.md, POSIX-platform User); runc and crun take root",
        run: |runtime| {
            for (user, ids, warning) in [
                (json!({ "gid": 7 }), (0, 7), "process.user.uid"),
                (json!({ "uid": 7 }), (7, 0), "process.user.gid"),
            ] {
                let bundle = Bundle::new(&["report"])?.with(|config| config["process"]["user"] = user)?;
                let output = runtime.run_in(&bundle, &["run", "c"])?.ok()?;
                let report: conformance::Report = serde_json::from_str(&output.stdout).doing("report")?;
                ensure_eq!(report.uids, [ids.0; 4]);
                ensure_eq!(report.gids, [ids.1; 4]);
                ensure!(output.stderr.contains(warning), "must warn of {warning}: {output}");
            }
            Ok(())
        },
    },
    Case {
        name: "a misspelled property is a warning",
        quote: "Runtimes MAY log unknown properties but MUST otherwise ignore them (config.md, Extensibility)",
        run: |runtime| {
            let bundle = Bundle::new(&["exit", "0"])?.with(|config| {
                config["linux"]["resources"]["memory"] = json!({ "limits": 4096 });
                config["org.example.hostname"] = json!("x");
            })?;
            let output = runtime.run_in(&bundle, &["run", "c"])?.ok()?;
            ensure!(
                output.stderr.contains("linux.resources.memory.limits")
                    && output.stderr.contains("\"limit\\\""),
                "must ask for limit: {output}"
            );
            ensure_eq!(output.stderr.lines().count(), 1);
            // The warning precedes the error that it may have caused.
            let bundle = bundle.with(|config| config["process"]["args"] = json!(["/nonexistent"]))?;
            let output = runtime.run_in(&bundle, &["run", "c"])?.failed()?;
            ensure!(output.stderr.contains("linux.resources.memory.limits"), "no warning: {output}");
            Ok(())
        },
    },
    Case {
        name: "features, help and spec need no state directory",
        quote: "crun#1816: engines call features before any state directory exists, as any user",
        run: |runtime| {
            let dir = tempfile::tempdir().doing("temporary directory")?;
            fs::set_permissions(dir.path(), PermissionsExt::from_mode(0o777)).doing("chmod")?;
            let program = dir.path().join("runtime");
            fs::copy(runtime.program(), &program).doing("copy")?;
            for (user, runtime_dir) in
                [("65534", "/nonexistent/run"), ("65534", "/proc"), ("0", "/nonexistent")]
            {
                for args in [
                    &["features"][..],
                    &["--version"],
                    &["--help"],
                    &["help"],
                    &["create", "--help"],
                    &["spec"],
                ] {
                    let mut command = Command::new("setpriv");
                    command
                        .arg(format!("--reuid={user}"))
                        .arg(format!("--regid={user}"))
                        .arg("--clear-groups");
                    command.arg("--").arg(&program).args(args).stdin(Stdio::null());
                    command.env("XDG_RUNTIME_DIR", runtime_dir).current_dir(dir.path());
                    let output = finish(command)?.ok()?;
                    ensure!(args == ["spec"] || !output.stdout.is_empty(), "{output}");
                }
                fs::remove_file(dir.path().join("config.json")).doing("config.json")?;
            }
            Ok(())
        },
    },
    Case {
        name: "real-time signals have names",
        quote: "systemd(1): SIGRTMIN+3 halts; kill(1) and podman-kill(1) know SIGRTMIN+n and SIGRTMAX-n, with and without SIG",
        run: |runtime| {
            let bundle = ended_by_signals()?;
            for (signal, number) in
                [("SIGRTMIN+3", 37), ("RTMIN+3", 37), ("rtmin", 34), ("SIGRTMAX-27", 37), ("RTMAX", 64)]
            {
                let mut child = run_in_background(runtime, &bundle)?;
                let killed = runtime.run(&["kill", "c", signal])?;
                if !killed.status.success() {
                    runtime.run(&["kill", "c", "KILL"])?.ok()?;
                }
                let status = wait(&mut child)?;
                killed.ok()?;
                ensure_eq!((signal, status.code()), (signal, Some(128 + number)));
            }
            Ok(())
        },
    },
    Case {
        name: "two dashes may follow the id, and an empty signal is SIGTERM",
        quote: "runc (main, 2026): -- behind the id separates it from the command; an empty signal is SIGTERM",
        run: |runtime| {
            let bundle = ended_by_signals()?;
            let mut child = run_in_background(runtime, &bundle)?;
            let executed = runtime.run(&["exec", "c", "--", "/probe", "exit", "5"])?;
            let listed = runtime.run(&["ps", "c", "--", "-e"])?;
            let killed = runtime.run(&["kill", "c", ""])?;
            if !killed.status.success() {
                runtime.run(&["kill", "c", "KILL"])?.ok()?;
            }
            let status = wait(&mut child)?;
            ensure!(executed.status.code() == Some(5), "{executed}");
            listed.ok()?;
            killed.ok()?;
            ensure_eq!(status.code(), Some(128 + 15));
            Ok(())
        },
    },
    Case {
        name: "an empty value of a cgroup's file sets no limit",
        quote: "unified: an empty value sets no limit; the kernel reads a newline as 0",
        run: |runtime| {
            ensure!(
                host::controllers().iter().any(|name| name == "hugetlb"),
                "the host has no hugetlb controller to ask: {:?}",
                host::controllers()
            );
            let bundle = Bundle::new(&["sleep"])?.with(|config| {
                config["linux"]["resources"] = json!({ "unified": { "hugetlb.2MB.max": "" } });
            })?;
            runtime.run_in(&bundle, &["run", "--detach", "c"])?.ok()?;
            let state = runtime.state("c")?;
            let cgroup = host::cgroup_of(state["pid"].as_i64().unwrap_or_default())?;
            let limit = fs::read_to_string(cgroup.join("hugetlb.2MB.max")).doing("hugetlb.2MB.max")?;
            runtime.run(&["delete", "--force", "c"])?.ok()?;
            ensure!(limit.trim() != "0", "nothing was asked for, and the limit is 0");
            Ok(())
        },
    },
];

/// Returns a bundle whose program ends by any signal: the first process of a pid namespace ignores
/// those without a handler.
fn ended_by_signals() -> Result<Bundle> {
    Bundle::new(&["sleep"])?.with(|config| conformance::change::without_namespace(config, "pid"))
}

/// Runs the container `c` in the foreground of a child process, until the container is running.
fn run_in_background(runtime: &Runtime, bundle: &Bundle) -> Result<std::process::Child> {
    let mut command = runtime.command(&["run", "c"]);
    command.current_dir(bundle.path()).stdout(Stdio::null()).stderr(Stdio::null());
    let child = command.spawn().doing("spawn")?;
    let end = Instant::now() + Duration::from_secs(20);
    while !runtime.run(&["state", "c"])?.stdout.contains("running") && Instant::now() < end {
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(child)
}

const LENGTH: usize = 150_000;

fn list(entry: impl Fn(usize) -> Value) -> Value {
    (0..LENGTH).map(entry).collect()
}

fn map(entry: impl Fn(usize) -> (String, Value)) -> Value {
    Value::Object((0..LENGTH).map(entry).collect())
}

const LISTS: &[(&str, Change)] = &[
    ("masked paths", |c| c["linux"]["maskedPaths"] = list(|i| json!(format!("/proc/x{i}")))),
    ("read-only paths", |c| c["linux"]["readonlyPaths"] = list(|i| json!(format!("/proc/x{i}")))),
    ("environment", |c| c["process"]["env"] = list(|i| json!(format!("A{i}=b")))),
    ("arguments", |c| c["process"]["args"] = list(|_| json!("/probe"))),
    ("groups", |c| c["process"]["user"]["additionalGids"] = list(|i| json!(i))),
    ("rlimits", |c| {
        c["process"]["rlimits"] = list(|_| json!({ "type": "RLIMIT_CORE", "soft": 0, "hard": 0 }));
    }),
    ("capabilities", |c| {
        c["process"]["capabilities"]["bounding"] = list(|i| json!(format!("CAP_X{i}")));
    }),
    ("options of a mount", |c| c["mounts"][1]["options"] = list(|_| json!("nosuid"))),
    ("devices", |c| {
        c["linux"]["devices"] =
            list(|i| json!({ "path": format!("/dev/x{}", i % 1000), "type": "c", "major": 1, "minor": 3 }));
    }),
    ("rules of devices", |c| {
        c["linux"]["resources"] = json!({ "devices": list(|i| {
            json!({ "allow": i % 2 == 0, "type": "c", "major": i % 4000, "minor": i, "access": "rwm" })
        }) });
    }),
    ("kernel parameters", |c| {
        c["linux"]["sysctl"] = map(|i| (format!("net.ipv4.conf.x{i}"), json!("1")));
    }),
    ("annotations", |c| c["annotations"] = map(|i| (format!("a{i}"), json!("b")))),
    ("id mappings", |c| {
        c["linux"]["namespaces"] = json!([{ "type": "mount" }, { "type": "user" }]);
        let one = list(|i| json!({ "containerID": i, "hostID": i, "size": 1 }));
        c["linux"]["uidMappings"] = one.clone();
        c["linux"]["gidMappings"] = one;
    }),
    ("namespaces", |c| c["linux"]["namespaces"] = list(|_| json!({ "type": "pid" }))),
    ("network devices", |c| c["linux"]["netDevices"] = map(|i| (format!("e{i}"), json!({})))),
    ("files of the cgroup", |c| {
        c["linux"]["resources"] = json!({ "unified": map(|i| (format!("a{i}.b"), json!("1"))) });
    }),
    ("rates of devices", |c| {
        let rates = list(|i| json!({ "major": 8, "minor": i, "rate": 1 }));
        c["linux"]["resources"] = json!({ "blockIO": { "throttleReadBpsDevice": rates } });
    }),
    ("processors", |c| {
        let cpus = ["0-65535"; LENGTH].join(",");
        c["linux"]["resources"] = json!({ "cpu": { "cpus": cpus } });
    }),
    ("system calls", |c| {
        let names = list(|i| json!(format!("x{i}")));
        c["linux"]["seccomp"] = json!({ "defaultAction": "SCMP_ACT_ALLOW",
            "syscalls": [{ "names": names, "action": "SCMP_ACT_ERRNO" }] });
    }),
    ("rules of a filter", |c| {
        let rules = list(|i| {
            json!({ "names": ["mkdir"], "action": "SCMP_ACT_ERRNO",
                "args": [{ "index": i % 6, "value": i, "op": "SCMP_CMP_GT" }] })
        });
        c["linux"]["seccomp"] = json!({ "defaultAction": "SCMP_ACT_ALLOW", "syscalls": rules });
    }),
    ("unknown properties", |c| c["x"] = map(|i| (format!("x{i}"), json!(i)))),
];

const LONG: &[(&str, Change)] = &[
    ("a variable without a value", |c| c["process"]["env"] = json!(["x".repeat(1 << 20)])),
    ("an unknown capability", |c| {
        c["process"]["capabilities"]["bounding"] = json!(["X".repeat(1 << 20)]);
    }),
    ("the name of a program", |c| c["process"]["args"] = json!(["/x".repeat(50_000)])),
    ("the root directory", |c| c["root"]["path"] = json!("/x".repeat(1 << 20))),
    ("the cgroup", |c| c["linux"]["cgroupsPath"] = json!("/x".repeat(1 << 20))),
    ("a kernel parameter", |c| c["linux"]["sysctl"] = json!({ "x".repeat(1 << 20): "1" })),
    ("a version", |c| c["ociVersion"] = json!("1".repeat(1 << 20))),
    ("a name of a wrong type", |c| c["hostname"] = json!({ "x".repeat(1 << 20): 1 })),
    ("a value of a wrong type", |c| c["process"]["terminal"] = json!("x".repeat(1 << 20))),
];

/// Adds a user namespace, for the mappings of [`MISSING`].
fn mapped(config: &mut Value) {
    let one = json!([{ "containerID": 0, "hostID": 0, "size": 4_294_967_295u32 }]);
    if let Some(list) = config["linux"]["namespaces"].as_array_mut() {
        list.push(json!({ "type": "user" }));
    }
    config["linux"]["uidMappings"] = one.clone();
    config["linux"]["gidMappings"] = one;
}

/// Adds a value at each other place of [`MISSING`].
fn full(config: &mut Value) {
    config["linux"]["devices"] = json!([{ "path": "/dev/x", "type": "c", "major": 1, "minor": 3 }]);
    config["linux"]["resources"] = json!({ "devices": [{ "allow": false, "access": "rwm" }] });
    config["process"]["rlimits"] = json!([{ "type": "RLIMIT_CORE", "soft": 0, "hard": 0 }]);
    config["process"]["ioPriority"] = json!({ "class": "IOPRIO_CLASS_BE", "priority": 4 });
    config["process"]["scheduler"] = json!({ "policy": "SCHED_OTHER" });
    config["linux"]["seccomp"] = json!({ "defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{ "names": ["mkdir"],
        "action": "SCMP_ACT_ERRNO", "args": [{ "index": 1, "value": 1, "op": "SCMP_CMP_EQ" }] }] });
}

fn take(value: &mut Value, name: &str) {
    value.as_object_mut().and_then(|object| object.remove(name));
}

const MISSING: &[(&str, Change)] = &[
    ("linux.uidMappings[0].hostID", |c| take(&mut c["linux"]["uidMappings"][0], "hostID")),
    ("linux.gidMappings[0].containerID", |c| take(&mut c["linux"]["gidMappings"][0], "containerID")),
    ("linux.gidMappings[0].size", |c| take(&mut c["linux"]["gidMappings"][0], "size")),
    ("linux.devices[0].major", |c| take(&mut c["linux"]["devices"][0], "major")),
    ("linux.devices[0].minor", |c| take(&mut c["linux"]["devices"][0], "minor")),
    ("linux.resources.devices[0].allow", |c| take(&mut c["linux"]["resources"]["devices"][0], "allow")),
    ("process.ioPriority.class", |c| take(&mut c["process"]["ioPriority"], "class")),
    ("process.ioPriority.priority", |c| take(&mut c["process"]["ioPriority"], "priority")),
    ("process.scheduler.policy", |c| take(&mut c["process"]["scheduler"], "policy")),
    ("process.rlimits[0].soft", |c| take(&mut c["process"]["rlimits"][0], "soft")),
    ("process.rlimits[0].hard", |c| take(&mut c["process"]["rlimits"][0], "hard")),
    ("linux.seccomp.syscalls[0].args[0].index", |c| {
        take(&mut c["linux"]["seccomp"]["syscalls"][0]["args"][0], "index");
    }),
    ("linux.seccomp.syscalls[0].args[0].value", |c| {
        take(&mut c["linux"]["seccomp"]["syscalls"][0]["args"][0], "value");
    }),
];

/// Returns the output of `run`, which must come soon.
fn quickly(run: impl FnOnce() -> Result<Output>) -> Result<Output> {
    let begin = Instant::now();
    let output = run()?;
    let time = begin.elapsed();
    ensure!(time < Duration::from_secs(20), "took {time:?}: {output}");
    Ok(output)
}

/// Returns a command of the runtime with an address space of 2 GiB.
fn with_limit(runtime: &Runtime, args: &[&str]) -> Command {
    let mut command = Command::new("prlimit");
    command.arg("--as=2147483648").arg("--").arg(runtime.program()).arg("--root").arg(runtime.root());
    command.args(args).stdin(Stdio::null());
    command
}

fn limited(runtime: &Runtime, args: &[&str]) -> Result<Output> {
    bounded(quickly(|| finish(with_limit(runtime, args)))?)
}

/// Returns the output unless the command has crashed, or has used all its memory.
fn bounded(output: Output) -> Result<Output> {
    ensure!(output.status.code().is_some_and(|code| code < 128 || code == 255), "{output:.2000}");
    ensure!(!output.stderr.contains("memory"), "it has filled all memory that it could get: {output:.2000}");
    Ok(output)
}
