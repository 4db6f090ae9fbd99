// SPDX-License-Identifier: Apache-2.0
//! Sentences of the specification that no other group checks.

use crate::support::{Case, Device, features, in_container, ip, probe_hook, refused, reports};
use conformance::change::{push, with_user_namespace};
use conformance::console::ConsoleSocket;
use conformance::{Bundle, Doing, Report, Result, Runtime, each, ensure, ensure_eq, host};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

pub(crate) const CASES: &[Case] = &[
    Case {
        name: "the state conforms to its schema",
        quote: "When serialized in JSON, the format MUST adhere to the JSON Schema schema/state-schema.json (runtime.md, \
                State)",
        run: every_state,
    },
    Case {
        name: "options of mount(8) that no file system knows are errors",
        quote: "If a custom option string is already recognized by mount(8), the runtime SHOULD follow the behavior of \
                mount(8) (config.md, Linux mount options)",
        run: |runtime| {
            // No option is mistaken for another: each goes to the file system, which does not know
            // it.
            each(["user", "users", "group", "owner", "nofail", "auto", "noauto", "_netdev"], |option| {
                refused(runtime, |config| {
                    let options = json!([option]);
                    push(
                        config,
                        json!({ "destination": "/mnt", "type": "tmpfs", "source": "tmpfs", "options": options }),
                    );
                })
            })
        },
    },
    Case {
        name: "every process has the configured I/O priority",
        quote: "The I/O priority settings will be automatically applied to the entire process group, affecting all \
                processes within the container (config.md, Linux Process, since 1.1)",
        run: |runtime| {
            let change = |config: &mut Value| {
                config["process"]["ioPriority"] = json!({ "class": "IOPRIO_CLASS_BE", "priority": 6 });
            };
            in_container(runtime, &["sleep"], change, |bundle| {
                let pid_file = bundle.path().join("pid").display().to_string();
                runtime.run(&["exec", "--detach", "--pid-file", &pid_file, "c", "/probe", "sleep"])?.ok()?;
                let second = fs::read_to_string(&pid_file).doing("pid file")?;
                each([runtime.state("c")?["pid"].to_string(), second], |pid| {
                    let output = Command::new("ionice").args(["-p", pid]).output().doing("ionice")?;
                    ensure_eq!(String::from_utf8_lossy(&output.stdout).trim(), "best-effort: prio 6");
                    Ok(())
                })
            })
        },
    },
    Case {
        name: "prestart and createRuntime hooks find the environment",
        quote: "The `prestart` hooks MUST be called as part of the create operation after the runtime environment has \
                been created (according to the configuration in config.json) but before the `pivot_root` or any \
                equivalent operation has been executed; the same is said of `createRuntime` (config.md, Prestart, \
                CreateRuntime Hooks, since 1.1)",
        run: |runtime| each(["prestart", "createRuntime"], |kind| environment_of(runtime, kind)),
    },
    Case {
        name: "the console is the terminal",
        quote: "`/dev/console` is set up if `terminal` is enabled in the config by bind mounting the pseudoterminal pty \
                to `/dev/console` (config-linux.md, Default Devices)",
        run: |runtime| {
            let socket = ConsoleSocket::new()?;
            let path = socket.path().display().to_string();
            let bundle =
                Bundle::new(&["report"])?.with(|config| config["process"]["terminal"] = json!(true))?;
            runtime.run_in(&bundle, &["run", "--detach", "--console-socket", &path, "c"])?.ok()?;
            let mut text = Vec::new();
            // Reading ends with EIO once no process has the terminal open.
            let _end = fs::File::from(socket.receive()?).read_to_end(&mut text);
            runtime.await_status("c", "stopped")?;
            runtime.run(&["delete", "c"])?.ok()?;
            let report: Report = serde_json::from_slice(&text).doing(&String::from_utf8_lossy(&text))?;
            ensure_eq!(report.mount("/dev/console").map(|mount| mount.fstype.as_str()), Some("devpts"));
            let node = report.dev.get("console").map(|node| node.kind.as_str()).unwrap_or_default();
            ensure!(node.starts_with("char 136:"), "/dev/console is {node:?}");
            Ok(())
        },
    },
    Case {
        name: "a network device is not managed after create",
        quote: "The runtime MUST NOT actively manage the interface's lifecycle and configuration within the container's \
                network namespace; the runtime MUST NOT attempt to move the interface out of the namespace before \
                deletion (config-linux.md, Network Devices, since 1.3)",
        run: moved_for_good,
    },
    Case {
        name: "controllers that nothing on the way has enabled are enabled",
        quote: "The OCI runtime MUST ensure that the needed cgroup controllers are enabled for the cgroup (config-linux.md, \
                Unified, since 1.1)",
        run: two_levels_deep,
    },
    Case {
        name: "hierarchies of version 1 stay as they are",
        quote: "Runtimes SHOULD NOT change the ownership of container cgroups when using cgroups v1 (config-linux.md, \
                Cgroup ownership, since 1.1)",
        run: |runtime| {
            let before = version_1()?;
            let bundle = Bundle::new(&["sleep"])?.with(delegated)?;
            runtime.run_in(&bundle, &["run", "--detach", "c"])?.ok()?;
            let meanwhile = version_1();
            runtime.run(&["delete", "--force", "c"])?.ok()?;
            let of_others: Vec<_> = meanwhile?.into_iter().filter(|(_, owner)| *owner >= 300_000).collect();
            ensure!(of_others.is_empty(), "{of_others:?}");
            let owners = before.iter().filter(|(_, owner)| **owner >= 300_000).count();
            ensure_eq!(owners, 0);
            Ok(())
        },
    },
    Case {
        name: "without the kernel's list the user gets the cgroup and three files",
        quote: "If the `/sys/kernel/cgroup/delegate` file does not exist, the runtime MUST fall back to using the \
                following list of files: cgroup.procs, cgroup.subtree_control, cgroup.threads (config-linux.md, Cgroup \
                ownership, since 1.1)",
        run: without_list,
    },
    Case {
        name: "no resctrl is touched if no cache allocation is configured",
        quote: "If `intelRdt` is not set, the runtime MUST NOT manipulate any `resctrl` pseudo-filesystems \
                (config-linux.md, IntelRdt)",
        run: without_resctrl,
    },
    Case {
        name: "features do not depend on the host",
        quote: "The Features structure is irrelevant to the actual availability of the features in the host operating \
                system. Hence, the content of the Features structure SHOULD be determined on the compilation time of the \
                runtime, not on the execution time (features.md)",
        run: |runtime| {
            // Flags of filters that are "not supported by the current kernel" may be missing.
            let without_flags = |mut features: Value| {
                features["linux"]["seccomp"]["supportedFlags"].take();
                features
            };
            let usual = without_flags(features(runtime)?);
            let covered = "mount -t tmpfs none /sys && mount -t tmpfs none /proc/sys && exec \"$@\"";
            let user = "exec setpriv --reuid 65534 --clear-groups --bounding-set -all \"$@\"";
            each([covered, user], |script| {
                let output = Command::new("unshare")
                    .args(["--mount", "--propagation", "private", "sh", "-c", script, "sh"])
                    .arg(runtime.program())
                    .arg("features")
                    .stdin(Stdio::null())
                    .output()
                    .doing("unshare")?;
                let text = String::from_utf8_lossy(&output.stdout);
                ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
                ensure_eq!(without_flags(serde_json::from_str(&text).doing(&text)?), usual);
                Ok(())
            })
        },
    },
    Case {
        name: "features have no null",
        quote: "The `null` value MUST NOT be confused with an empty value such as `0`, `false`, `\"\"`, `[]`, and `{}` \
                (features.md)",
        run: |runtime| {
            // null would be ambiguous here, so a runtime must give a value.
            let mut found = Vec::new();
            nulls(&features(runtime)?, "", &mut found);
            ensure!(found.is_empty(), "null: {found:?}");
            Ok(())
        },
    },
    Case {
        name: "the versions in features are in order",
        quote: "The value MUST NOT be less than the value of the `ociVersionMin` property (features.md, Specification \
                version)",
        run: |runtime| {
            let features = features(runtime)?;
            let number = |name: &str| -> Result<Vec<u32>> {
                let text = features[name].as_str().unwrap_or_default();
                let core = text.split(['-', '+']).next().unwrap_or_default();
                core.split('.').map(|part| part.parse().doing(text)).collect()
            };
            let (min, max) = (number("ociVersionMin")?, number("ociVersionMax")?);
            ensure!(max.len() == 3 && min.len() == 3 && min <= max, "{min:?} to {max:?}");
            Ok(())
        },
    },
    Case {
        name: "features have only properties of the specification",
        quote: "The Features structure MUST NOT contain properties that are not defined in this version of the Open \
                Container Initiative Runtime Specification (features.md, Specification version)",
        run: |runtime| {
            let mut unknown = Vec::new();
            unknown_properties(&features(runtime)?, &known_properties(), "", &mut unknown);
            ensure!(unknown.is_empty(), "{unknown:?}");
            Ok(())
        },
    },
    Case {
        name: "features list no options of file systems",
        quote: "Linux: this array SHOULD NOT contain filesystem-specific mount options that are passed to the mount(2) \
                syscall as `const void *data` (features.md, Mount Options)",
        run: |runtime| {
            let options = features(runtime)?["mountOptions"].clone();
            let of_file_systems =
                ["size", "mode", "uid", "gid", "nr_inodes", "lowerdir", "newinstance", "ptmxmode", "data"];
            each(of_file_systems, |option| {
                ensure!(options.as_array().is_some_and(|all| !all.contains(&json!(option))), "{options}");
                Ok(())
            })
        },
    },
    Case {
        name: "annotations of features are a map of strings",
        quote: "Annotations MUST be a key-value map that follows the same convention as the Key and Values of the \
                `annotations` property of config.json (features.md, Annotations)",
        run: |runtime| {
            let features = features(runtime)?;
            let Some(annotations) = features.get("annotations") else { return Ok(()) };
            let map = annotations.as_object().ok_or(format!("no map: {annotations}"))?;
            let wrong: Vec<_> =
                map.iter().filter(|(key, value)| key.is_empty() || !value.is_string()).collect();
            ensure!(wrong.is_empty(), "{wrong:?}");
            Ok(())
        },
    },
    Case {
        name: "features say that idmap is enabled",
        quote: "The runtime MUST set `enabled` to true if idmap mounts are supported, even if support is partial \
                (features-linux.md, MountExtensions, since 1.2)",
        run: |runtime| {
            ensure_eq!(features(runtime)?["linux"]["mountExtensions"]["idmap"]["enabled"], json!(true));
            Ok(())
        },
    },
];

/// Compares the state that the operation prints with the state that hooks get, in each status.
fn every_state(runtime: &Runtime) -> Result {
    let bundle = Bundle::new(&["sleep"])?;
    let log = bundle.rootfs("log");
    let bundle = bundle.with(|config| {
        config["annotations"] = json!({ "org.example.key": "value" });
    })?;
    let kinds = ["createRuntime", "poststart", "poststop"];
    let hooks: serde_json::Map<_, _> = kinds
        .iter()
        .map(|kind| ((*kind).to_owned(), json!([probe_hook(&bundle, kind, kind, &[])])))
        .collect();
    let bundle = bundle.with(|config| config["hooks"] = Value::Object(hooks))?;
    runtime.run_in(&bundle, &["create", "c"])?.ok()?;
    let mut states = vec![runtime.state("c")?];
    runtime.run(&["start", "c"])?.ok()?;
    states.push(runtime.state("c")?);
    runtime.run(&["kill", "c", "KILL"])?.ok()?;
    runtime.await_status("c", "stopped")?;
    states.push(runtime.state("c")?);
    runtime.run(&["delete", "c"])?.ok()?;
    states.extend(reports(&log)?.into_iter().map(|report| report.state));
    ensure_eq!(states.len(), 6);
    each(states, |state| {
        let text = |name: &str| state[name].as_str().ok_or(format!("{name} is no text: {state}"));
        ensure!(!text("ociVersion")?.is_empty() && !text("id")?.is_empty(), "{state}");
        ensure!(["creating", "created", "running", "stopped"].contains(&text("status")?), "{state}");
        ensure!(Path::new(text("bundle")?).is_absolute(), "{state}");
        let pid = state.get("pid");
        ensure!(pid.is_none_or(|pid| pid.as_u64().is_some()), "pid is no number from 0: {state}");
        ensure_eq!(state["annotations"], json!({ "org.example.key": "value" }));
        Ok(())
    })
}

/// Checks that the mounts of the container's process are made, and not yet in place, while a hook
/// runs.
fn environment_of(runtime: &Runtime, kind: &str) -> Result {
    let bundle = Bundle::new(&["exit", "0"])?;
    let file = bundle.path().join("mountinfo");
    let script = format!(
        "pid=$(sed -n 's/.*\"pid\": *\\([0-9]*\\).*/\\1/p'); cat /proc/$pid/mountinfo > {}",
        file.display()
    );
    let bundle = bundle.with(|config| {
        config["hooks"] = json!({ kind: [{ "path": "/bin/sh", "args": ["sh", "-c", script] }] });
    })?;
    runtime.run_in(&bundle, &["run", "c"])?.ok()?;
    let mounts = fs::read_to_string(&file).doing("mountinfo")?;
    for target in ["proc", "dev", "dev/shm"] {
        let target = format!(" {} ", bundle.rootfs(target).display());
        ensure!(mounts.contains(&target), "{kind}: no{target}in\n{mounts}");
    }
    Ok(())
}

/// Moves a device into a network namespace that outlives the container.
fn moved_for_good(runtime: &Runtime) -> Result {
    let device = Device::new("cfm0")?;
    runtime.run_in(&Bundle::new(&["sleep"])?, &["run", "--detach", "first"])?.ok()?;
    let pid = runtime.state("first")?["pid"].to_string();
    let bundle = Bundle::new(&["sleep"])?.with(|config| {
        config["linux"]["netDevices"] = json!({ device.name: {} });
        for namespace in config["linux"]["namespaces"].as_array_mut().into_iter().flatten() {
            if namespace["type"] == "network" {
                namespace["path"] = json!(format!("/proc/{pid}/ns/net"));
            }
        }
    })?;
    let inside = |args: &str| {
        let output = Command::new("nsenter").args(["-n", "-t", &pid, "ip"]).args(args.split(' ')).output();
        let output = output.doing("nsenter")?;
        ensure!(output.status.success(), "ip {args}: {}", String::from_utf8_lossy(&output.stderr));
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let is_as_it_was = |when: &str| {
        let text = inside(&format!("-o link show dev {}", device.name))?;
        let flags = text.split(['<', '>']).nth(1).unwrap_or_default();
        ensure!(
            !flags.split(',').any(|flag| flag == "UP") && text.contains("mtu 1300"),
            "after {when}: {text}"
        );
        ensure!(ip(&format!("link show dev {}", device.name)).is_err(), "after {when} it is the host's");
        Ok(())
    };
    let life = || {
        runtime.run_in(&bundle, &["create", "c"])?.ok()?;
        inside(&format!("link set dev {} down mtu 1300", device.name))?;
        runtime.run(&["start", "c"])?.ok()?;
        is_as_it_was("start")?;
        runtime.run(&["exec", "c", "/probe", "exit", "0"])?.ok()?;
        is_as_it_was("exec")?;
        runtime.run(&["kill", "c", "KILL"])?.ok()?;
        runtime.await_status("c", "stopped")?;
        is_as_it_was("kill")?;
        runtime.run(&["delete", "c"])?.ok()?;
        is_as_it_was("delete")
    };
    let checked = life();
    runtime.run(&["delete", "--force", "c"])?;
    runtime.run(&["delete", "--force", "first"])?.ok()?;
    checked
}

/// Makes a container that would own its cgroup.
fn delegated(config: &mut Value) {
    with_user_namespace(config);
    for mount in config["mounts"].as_array_mut().into_iter().flatten() {
        if mount["type"] == "cgroup" {
            mount["options"] = json!(["nosuid", "noexec", "nodev", "relatime", "rw"]);
        }
    }
}

/// Checks a cgroup two levels below the hierarchy, where no controller is enabled.
fn two_levels_deep(runtime: &Runtime) -> Result {
    let have = host::controllers();
    let files = [("pids", "pids.max", "100"), ("hugetlb", "hugetlb.2MB.max", "4194304")];
    let Some((_, file, value)) = files.into_iter().find(|(name, ..)| have.iter().any(|one| one == name))
    else {
        eprintln!("not judged: controllers: cgroup2 has neither pids nor hugetlb here");
        return Ok(());
    };
    if runtime.has_systemd_cgroups() {
        // With systemd the path is no directory; the group `limits` checks the same.
        return Ok(());
    }
    let top = host::hierarchy().join(format!("letter-{}", std::process::id()));
    fs::create_dir_all(top.join("below")).doing("mkdir")?;
    let path = format!("/{}/below/c", top.file_name().unwrap_or_default().to_string_lossy());
    let bundle = Bundle::new(&["sleep"])?.with(|config| {
        config["linux"]["cgroupsPath"] = json!(path);
        config["linux"]["resources"]["unified"] = json!({ file: value });
    })?;
    let run = || {
        runtime.run_in(&bundle, &["run", "--detach", "c"])?.ok()?;
        let got = fs::read_to_string(top.join("below/c").join(file)).doing(file);
        runtime.run(&["delete", "--force", "c"])?.ok()?;
        ensure_eq!(got?.trim(), value);
        Ok(())
    };
    let checked = run();
    let _gone = [top.join("below/c"), top.join("below"), top.clone()].map(fs::remove_dir);
    checked
}

fn without_list(runtime: &Runtime) -> Result {
    let bundle = Bundle::new(&["sleep"])?.with(|config| {
        delegated(config);
        // In a user namespace the kernel mounts no sysfs while a part of the host's is covered.
        for mount in config["mounts"].as_array_mut().into_iter().flatten() {
            if mount["type"] == "sysfs" {
                *mount = json!({ "destination": "/sys", "type": "tmpfs", "source": "tmpfs" });
            }
        }
    })?;
    let create = runtime.command(&["create", "c"]);
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation", "private", "sh", "-c"]);
    command.args(["mount -t tmpfs none /sys/kernel/cgroup && exec \"$@\"", "sh"]);
    command.arg(create.get_program()).args(create.get_args()).current_dir(bundle.path()).stdin(Stdio::null());
    conformance::runtime::finish(command)?.ok()?;
    let pid = runtime.state("c")?["pid"].as_i64().unwrap_or_default();
    let dir = host::cgroup_of(pid)?;
    let of_user = |path: &Path| fs::metadata(path).is_ok_and(|meta| meta.uid() == 300_000);
    let mut files: Vec<_> = fs::read_dir(&dir).doing("read")?.flatten().map(|entry| entry.path()).collect();
    files.retain(|path| of_user(path));
    files.sort();
    let names: Vec<_> = files.iter().filter_map(|path| path.file_name()?.to_str()).collect();
    let of_dir = of_user(&dir);
    runtime.run(&["delete", "--force", "c"])?.ok()?;
    ensure!(of_dir, "the directory is not the user's");
    ensure_eq!(names, ["cgroup.procs", "cgroup.subtree_control", "cgroup.threads"]);
    Ok(())
}

/// Runs the whole lifecycle on a host where resctrl is a file, so that a runtime that uses it
/// fails.
fn without_resctrl(runtime: &Runtime) -> Result {
    const SCRIPT: &str = "mkdir -p $d/cgroup && mount --rbind /sys/fs/cgroup $d/cgroup && mount --rbind $d /sys/fs && \
        echo as it was > /sys/fs/resctrl && \"$r\" --root $s create c && \"$r\" --root $s start c && \
        \"$r\" --root $s exec c /probe exit 0 && \"$r\" --root $s delete --force c && cat /sys/fs/resctrl";
    let bundle = Bundle::new(&["sleep"])?;
    let dir = tempfile::tempdir().doing("temporary directory")?;
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation", "private", "sh", "-c", SCRIPT]).current_dir(bundle.path());
    command.env("d", dir.path()).env("r", runtime.program()).env("s", runtime.root()).stdin(Stdio::null());
    ensure_eq!(conformance::runtime::finish(command)?.ok()?.stdout, "as it was\n");
    Ok(())
}

/// Returns the directories of version 1 hierarchies and their owners.
fn version_1() -> Result<BTreeMap<PathBuf, u32>> {
    fn walk(dir: &Path, all: &mut BTreeMap<PathBuf, u32>) {
        let Ok(meta) = fs::metadata(dir) else { return };
        all.insert(dir.to_owned(), meta.uid());
        let Ok(entries) = fs::read_dir(dir) else { return };
        for entry in entries.flatten().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())) {
            walk(&entry.path(), all);
        }
    }
    let mounts = fs::read_to_string("/proc/self/mountinfo").doing("mountinfo")?;
    let mut all = BTreeMap::new();
    for line in mounts.lines().filter(|line| line.contains(" - cgroup ")) {
        walk(Path::new(line.split(' ').nth(4).unwrap_or_default()), &mut all);
    }
    Ok(all)
}

fn nulls(value: &Value, path: &str, found: &mut Vec<String>) {
    match value {
        Value::Null => found.push(path.to_owned()),
        Value::Array(list) => list.iter().for_each(|item| nulls(item, &format!("{path}[]"), found)),
        Value::Object(map) => map.iter().for_each(|(key, item)| nulls(item, &format!("{path}.{key}"), found)),
        _ => {}
    }
}

/// The properties of features.md and features-linux.md, version 1.3.
fn known_properties() -> Value {
    let enabled = json!({ "enabled": {} });
    json!({
        "ociVersionMin": {}, "ociVersionMax": {}, "hooks": {}, "mountOptions": {}, "annotations": { "*": {} },
        "potentiallyUnsafeConfigAnnotations": {},
        "linux": {
            "namespaces": {}, "capabilities": {},
            "cgroup": { "v1": {}, "v2": {}, "systemd": {}, "systemdUser": {}, "rdma": {} },
            "seccomp": {
                "enabled": {}, "actions": {}, "operators": {}, "archs": {}, "knownFlags": {}, "supportedFlags": {},
            },
            "apparmor": enabled, "selinux": enabled, "netDevices": enabled,
            "intelRdt": { "enabled": {}, "schemata": {}, "monitoring": {} },
            "memoryPolicy": { "modes": {}, "flags": {} },
            "mountExtensions": { "idmap": enabled },
        },
    })
}

fn unknown_properties(value: &Value, known: &Value, path: &str, unknown: &mut Vec<String>) {
    for (key, value) in value.as_object().into_iter().flatten() {
        let path = format!("{path}.{key}");
        match known.get(key).or(known.get("*")) {
            Some(known) => unknown_properties(value, known, &path, unknown),
            None => unknown.push(path),
        }
    }
}
