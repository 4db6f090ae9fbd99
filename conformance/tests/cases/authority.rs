// SPDX-License-Identifier: Apache-2.0
//! Least authority: of the runtime's processes while others can see them, and of the container's
//! program.

use crate::support::{Case, end, in_container, terminal_output};
use conformance::change::with_user_namespace;
use conformance::console::ConsoleSocket;
use conformance::runtime::finish;
use conformance::{Bundle, Doing, Report, Result, Runtime, ensure, ensure_eq};
use nix::mount::{MsFlags, mount, umount};
use serde_json::{Value, json};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

pub(crate) const CASES: &[Case] = &[
    Case {
        name: "a process in an existing pid namespace has the /proc of that namespace",
        quote: "**`path`** *(string, OPTIONAL)* - namespace file. (config-linux.md, Namespaces)",
        run: |runtime| {
            beside_first(runtime, |namespace| {
                let report = runtime.report(&joining(namespace, &["report"])?)?;
                let joined = std::fs::read_link(namespace).doing("readlink")?;
                ensure_eq!(report.namespaces.get("pid"), Some(&joined.display().to_string()));
                ensure!(report.processes.contains(&1), "not the joined /proc: {:?}", report.processes);
                ensure!(report.processes.contains(&report.pid), "{:?}", report.processes);
                ensure_eq!(report.sid, report.pid);
                Ok(())
            })
        },
    },
    Case {
        name: "a terminal in an existing pid namespace controls the process",
        quote: "**`terminal`** (bool, OPTIONAL) specifies whether a terminal is attached to the process (config.md, \
                Process)",
        run: |runtime| {
            beside_first(runtime, |namespace| {
                has_terminal(runtime, joining(namespace, &["write", "/dev/tty", "hello"])?)
            })
        },
    },
    Case {
        name: "a terminal in a new pid namespace controls the process",
        quote: "terminal (bool, OPTIONAL) specifies whether a terminal is attached to the process (config.md, Process); runc: \
                it is the controlling one",
        run: |runtime| has_terminal(runtime, Bundle::new(&["write", "/dev/tty", "hello"])?),
    },
    Case {
        name: "a terminal of exec controls its process",
        quote: "runc exec --tty: the terminal is the controlling one of the process",
        run: |runtime| {
            in_container(
                runtime,
                &["sleep"],
                |_| (),
                |_| {
                    let socket = ConsoleSocket::new()?;
                    let path = socket.path().display().to_string();
                    let flags = ["exec", "--tty", "--detach", "--console-socket", &path, "c"];
                    runtime.run(&[&flags[..], &["/probe", "write", "/dev/tty", "hello"]].concat())?.ok()?;
                    ensure_eq!(terminal_output(&socket)?, "hello");
                    Ok(())
                },
            )
        },
    },
    Case {
        name: "the runtime's processes do not count for RLIMIT_NPROC",
        quote: "RLIMIT_NPROC counts the processes of the user (getrlimit(2)), which the runtime's processes are \
                not",
        run: |runtime| {
            let limits = json!([{ "type": "RLIMIT_NPROC", "soft": 1, "hard": 1 }]);
            let user = json!({ "uid": 3_141_592, "gid": 1 });
            beside_first(runtime, |namespace| {
                let bundle = joining(namespace, &["report"])?.with(|config| {
                    config["process"]["rlimits"] = limits.clone();
                    config["process"]["user"] = user.clone();
                })?;
                ensure_eq!(runtime.report(&bundle)?.rlimits.get("RLIMIT_NPROC"), Some(&(1, 1)));
                Ok(())
            })?;
            in_container(
                runtime,
                &["sleep"],
                |config| config["process"]["rlimits"] = limits.clone(),
                |_| {
                    let args = ["exec", "--user", "3141592", "c", "/probe", "exit", "0"];
                    runtime.run(&args)?.ok().map(drop)
                },
            )
        },
    },
    Case {
        name: "a pid namespace whose first process has ended is an error",
        quote: "The runtime MUST generate an error (runtime.md, Errors): one that says what is wrong, for the kernel \
                says ENOMEM",
        run: |runtime| {
            let place = tempfile::NamedTempFile::new().doing("temporary file")?;
            let bundle = Bundle::new(&["sleep"])?;
            runtime.run_in(&bundle, &["run", "--detach", "first"])?.ok()?;
            let namespace = format!("/proc/{}/ns/pid", runtime.state("first")?["pid"]);
            let none = None::<&str>;
            mount(Some(namespace.as_str()), place.path(), none, MsFlags::MS_BIND, none).doing("mount")?;
            end(runtime, "first")?;
            let bundle = joining(&place.path().display().to_string(), &["exit", "0"])?;
            let failed = runtime.run_in(&bundle, &["run", "c"]).and_then(|output| {
                output.failed_with(1, "the first process of the pid namespace to join has ended")
            });
            umount(place.path()).doing("umount")?;
            failed.map(drop)
        },
    },
    Case {
        name: "exec drops the caller's groups, also in a hostile user namespace",
        quote: "additionalGids (array of ints, OPTIONAL) specifies additional group IDs to be added to the process \
                (config.md, POSIX process): none but those",
        run: |runtime| {
            let change = |config: &mut Value| {
                with_user_namespace(config);
                // Needed to map the host's root (user_namespaces(7), since 5.12).
                for set in ["bounding", "effective", "permitted"] {
                    config["process"]["capabilities"][set] =
                        json!(["CAP_SETFCAP", "CAP_SETUID", "CAP_SETGID"]);
                }
            };
            in_container(runtime, &["deny-groups"], change, |_| {
                let end = Instant::now() + Duration::from_secs(10);
                let pid = runtime.state("c")?["pid"].to_string();
                // gid_map is the last file that the runtime writes.
                let file = format!("/proc/{pid}/gid_map");
                while std::fs::read_to_string(&file).doing(&file)?.split_ascii_whitespace().last()
                    != Some("1")
                {
                    ensure!(Instant::now() < end, "the container's init does not deny setgroups(2)");
                    std::thread::sleep(Duration::from_millis(2));
                }
                let mut exec = Command::new("setpriv");
                exec.args(["--groups", "24,29"]).arg(runtime.program()).arg("--root").arg(runtime.root());
                exec.args(["exec", "c", "/probe", "report"]).stdin(Stdio::null());
                let output = finish(exec)?.ok()?;
                let report: Report = serde_json::from_str(&output.stdout).doing(&output.stdout)?;
                // Groups without a mapping are shown as the overflow id.
                ensure!(report.groups.is_empty(), "it has the groups {:?}", report.groups);
                Ok(())
            })
        },
    },
    Case {
        name: "a capability beyond the set it depends on is left out, with a warning",
        quote: "Any value which cannot be mapped to a relevant kernel interface, or cannot be granted otherwise, MUST \
                be logged as a warning by the runtime (config.md, Linux Process)",
        run: |runtime| {
            for (set, name) in
                [("effective", "CAP_NET_RAW"), ("permitted", "CAP_NET_RAW"), ("inheritable", "CAP_NET_RAW")]
            {
                let bundle = Bundle::new(&["report"])?.with(|config| {
                    if let Some(names) = config["process"]["capabilities"][set].as_array_mut() {
                        names.push(json!(name));
                    } else {
                        config["process"]["capabilities"][set] = json!([name]);
                    }
                })?;
                let output = runtime.run_in(&bundle, &["run", "c"])?.ok()?;
                ensure!(output.stderr.contains(name), "{set}: no warning names it: {output}");
                let report: Report = serde_json::from_str(&output.stdout).doing(&output.stdout)?;
                for (set, bits) in &report.capabilities {
                    let bits = u64::from_str_radix(bits, 16).doing(bits)?;
                    ensure!(bits & 1 << 13 == 0, "{set} has {name}");
                }
            }
            Ok(())
        },
    },
    Case {
        name: "exec stays on its initial CPUs if it has no final ones",
        quote: "initial (string, OPTIONAL) is a list of CPUs a runtime parent process to be run on initially, before the \
                transition to container's cgroup (config.md, Linux Process)",
        run: |runtime| {
            let change =
                |config: &mut Value| config["process"]["execCPUAffinity"] = json!({ "initial": "0" });
            in_container(runtime, &["sleep"], change, |_| {
                let output = runtime.run(&["exec", "c", "/probe", "report"])?.ok()?;
                let report: Report = serde_json::from_str(&output.stdout).doing(&output.stdout)?;
                ensure_eq!(report.status.get("Cpus_allowed_list").map(String::as_str), Some("0"));
                Ok(())
            })
        },
    },
    Case {
        name: "hooks of every kind run for a container in an existing pid namespace",
        quote: "The `prestart` hooks MUST be called after the runtime environment has been created (config.md, \
                POSIX-platform Hooks)",
        run: |runtime| {
            beside_first(runtime, |namespace| {
                let bundle = joining(namespace, &["exit", "0"])?;
                let host_path = bundle.rootfs("probe");
                let hook = |path: &std::path::Path, name: &str| json!([{ "path": path, "args": ["probe", "echo-stdin"], "env": [format!("NAME={name}")] }]);
                let bundle = bundle.with(|config| {
                    for kind in ["prestart", "createRuntime", "createContainer", "poststart", "poststop"] {
                        config["hooks"][kind] = hook(&host_path, kind);
                    }
                    config["hooks"]["startContainer"] = hook("/probe".as_ref(), "startContainer");
                })?;
                runtime.run_in(&bundle, &["run", "c"])?.ok().map(drop)
            })
        },
    },
];

/// Checks that a program that writes "hello" to /dev/tty writes to the container's terminal.
fn has_terminal(runtime: &Runtime, bundle: Bundle) -> Result {
    let bundle = bundle.with(|config| config["process"]["terminal"] = json!(true))?;
    let socket = ConsoleSocket::new()?;
    let path = socket.path().display().to_string();
    runtime.run_in(&bundle, &["run", "--detach", "--console-socket", &path, "c"])?.ok()?;
    let text = terminal_output(&socket)?;
    runtime.run(&["delete", "--force", "c"])?.ok()?;
    ensure_eq!(text, "hello");
    Ok(())
}

/// Runs a check beside a container, with the path of its pid namespace.
fn beside_first(runtime: &Runtime, check: impl FnOnce(&str) -> Result) -> Result {
    let bundle = Bundle::new(&["sleep"])?;
    runtime.run_in(&bundle, &["run", "--detach", "first"])?.ok()?;
    let checked = check(&format!("/proc/{}/ns/pid", runtime.state("first")?["pid"]));
    end(runtime, "first")?;
    checked
}

/// Makes a bundle whose container joins the pid namespace at a path.
fn joining(path: &str, probe: &[&str]) -> Result<Bundle> {
    Bundle::new(probe)?.with(|config| {
        let namespaces = config["linux"]["namespaces"].as_array_mut();
        for namespace in namespaces.into_iter().flatten().filter(|namespace| namespace["type"] == "pid") {
            namespace["path"] = json!(path);
        }
    })
}
