// SPDX-License-Identifier: Apache-2.0
//! features.md and features-linux.md: the runtime supports all that it announces.

use crate::support::{Case, accepts, features};
use conformance::change::push;
use conformance::{Bundle, Doing, Result, Runtime, each, ensure, ensure_eq};
use serde_json::{Value, json};

pub(crate) const CASES: &[Case] = &[
    Case {
        name: "features lists versions that are accepted",
        quote: "The runtime MUST accept this value as the ociVersion property of config.json (features.md, \
                Specification version)",
        run: |runtime| {
            let features = features(runtime)?;
            for end in ["ociVersionMin", "ociVersionMax"] {
                let version = features[end].as_str().unwrap_or_default().to_owned();
                ensure!(!version.is_empty(), "{end} is missing");
                accepts(runtime, |config| config["ociVersion"] = json!(version))?;
            }
            Ok(())
        },
    },
    Case {
        name: "features lists the hooks",
        quote: "The runtime MUST support the elements in this array as the hooks property of config.json \
                (features.md, Hooks)",
        run: |runtime| {
            for hook in list(&features(runtime)?["hooks"]) {
                let bundle = Bundle::new(&["exit", "0"])?;
                let log = bundle.path().join("log");
                // The container has no program but the probe.
                let program = match hook.as_str() {
                    "startContainer" => json!({ "path": "/probe", "args": ["probe", "write", "/log", "x"] }),
                    _ => {
                        json!({ "path": "/bin/sh", "args": ["sh", "-c", format!("echo x > {}", log.display())] })
                    }
                };
                let bundle = bundle.with(|config| {
                    config["root"]["readonly"] = json!(false);
                    config["hooks"] = json!({ &hook: [program] });
                })?;
                runtime.run_in(&bundle, &["run", "c"])?.ok()?;
                ensure!(log.exists() || bundle.rootfs("log").exists(), "the {hook} hook did not run");
            }
            Ok(())
        },
    },
    Case {
        name: "features lists the mount options",
        quote: "The runtime MUST recognize the elements in this array as the options of mounts objects in \
                config.json (features.md, Mount Options)",
        run: mount_options,
    },
    Case {
        name: "features lists the types of namespaces",
        quote: "The runtime MUST recognize the elements in this array as the type of linux.namespaces objects \
                (features-linux.md, Namespaces)",
        run: |runtime| {
            let kinds = list(&features(runtime)?["linux"]["namespaces"]);
            accepts(runtime, |config| {
                let own = |kind: &String| json!({ "type": kind });
                config["linux"]["namespaces"] = kinds.iter().map(own).collect();
                let all = json!([{ "containerID": 0, "hostID": 0, "size": 65536 }]);
                config["linux"]["uidMappings"] = all.clone();
                config["linux"]["gidMappings"] = all;
            })
        },
    },
    Case {
        name: "features lists the capabilities",
        quote: "The runtime MUST recognize the elements in this array in the process.capabilities object of \
                config.json (features-linux.md, Capabilities)",
        run: |runtime| {
            let names = list(&features(runtime)?["linux"]["capabilities"]);
            ensure!(names.len() > 40, "{names:?}");
            // One by one: two names that are confused with each other would work together.
            each(names, |name| {
                let bundle = Bundle::new(&["report"])?.with(|config| {
                    config["process"]["capabilities"] = json!({ "bounding": [name] });
                })?;
                let report = runtime.report(&bundle)?;
                let bit = caps_number(name).ok_or("no such capability")?;
                let want = if host_has(name)? { 1u64 << bit } else { 0 };
                ensure_eq!(report.capabilities.get("CapBnd"), Some(&format!("{want:016x}")));
                Ok(())
            })
        },
    },
    Case {
        name: "features lists what filters can have",
        quote: "The runtime MUST recognize the elements in this array in [...] the linux.seccomp object in \
                config.json (features-linux.md, Seccomp)",
        run: seccomp,
    },
    Case {
        name: "features lists the modes of memory policies",
        quote: "The runtime MUST recognize the elements in this array as the mode of linux.memoryPolicy objects \
                in config.json (features-linux.md, MemoryPolicy)",
        run: memory_policies,
    },
    Case {
        name: "features print nothing on standard error",
        quote: "CRI-O reads standard output and standard error of `features` together",
        run: |runtime| {
            ensure_eq!(runtime.run(&["features"])?.ok()?.stderr, "");
            Ok(())
        },
    },
];

fn list(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().filter_map(|item| item.as_str().map(str::to_owned)).collect()
}

/// Returns true if the kernel knows the capability and this process has it.
fn host_has(name: &str) -> Result<bool> {
    let number = |cap: &str| caps_number(cap).ok_or_else(|| format!("no capability {cap}"));
    let status = std::fs::read_to_string("/proc/self/status").doing("status")?;
    let set = status.lines().find_map(|line| line.strip_prefix("CapPrm:\t")).unwrap_or_default();
    Ok(u64::from_str_radix(set, 16).doing(set)? >> number(name)? & 1 == 1)
}

/// Returns the kernel's number: features-linux.md lists the names in the same order.
fn caps_number(name: &str) -> Option<usize> {
    const NAMES: &str = "CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP \
        LINUX_IMMUTABLE NET_BIND_SERVICE NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE \
        SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME \
        SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE MAC_ADMIN SYSLOG \
        WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE";
    NAMES.split_whitespace().position(|known| name.strip_prefix("CAP_") == Some(known))
}

/// Checks the announced mount options: an option that the runtime does not know goes to the file
/// system, and tmpfs refuses it.
fn mount_options(runtime: &Runtime) -> Result {
    let source = tempfile::tempdir().doing("temporary directory")?;
    let tmpfs = |options: &[&str]| json!({ "destination": "/tmp", "type": "tmpfs", "source": "x", "options": options });
    runtime
        .run_in(
            &Bundle::new(&["exit", "0"])?.with(|config| push(config, tmpfs(&["no-such-option"])))?,
            &["run", "c"],
        )?
        .failed()?;
    let options = list(&features(runtime)?["mountOptions"]);
    ensure!(!options.is_empty(), "there are none");
    for option in options {
        let bind = json!({ "destination": "/tmp", "source": source.path(), "options": ["bind", option] });
        let mount = match option.as_str() {
            "bind" | "rbind" | "copy-symlink" | "src-nofollow" | "dest-nofollow" => bind,
            "idmap" | "ridmap" => {
                let mut mapped = bind;
                for field in ["uidMappings", "gidMappings"] {
                    mapped[field] = json!([{ "containerID": 0, "hostID": 100_000, "size": 65_536 }]);
                }
                mapped
            }
            "remount" => {
                json!({ "destination": "/dev/shm", "type": "none", "source": "none", "options": ["remount", "ro"] })
            }
            option => tmpfs(&[option]),
        };
        accepts(runtime, |config| push(config, mount)).map_err(|why| format!("{option}: {why}"))?;
    }
    Ok(())
}

fn seccomp(runtime: &Runtime) -> Result {
    let features = &features(runtime)?["linux"]["seccomp"];
    let agent = conformance::Agent::start(&[])?;
    let with = |profile: Value| accepts(runtime, |config| config["linux"]["seccomp"] = profile);
    for action in list(&features["actions"]) {
        with(json!({ "defaultAction": "SCMP_ACT_ALLOW", "listenerPath": agent.path(),
            "syscalls": [{ "names": ["acct"], "action": action }] }))?;
    }
    for op in list(&features["operators"]) {
        with(json!({ "defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{ "names": ["acct"],
            "action": "SCMP_ACT_ERRNO", "args": [{ "index": 0, "value": 1, "op": op }] }] }))?;
    }
    for arch in list(&features["archs"]) {
        with(json!({ "defaultAction": "SCMP_ACT_ALLOW", "architectures": [arch],
            "syscalls": [{ "names": ["acct"], "action": "SCMP_ACT_ERRNO" }] }))?;
    }
    let (known, supported) = (list(&features["knownFlags"]), list(&features["supportedFlags"]));
    for flag in &supported {
        ensure!(known.contains(flag), "{flag} is supported, but not known");
    }
    let flagged = |flag: &str| {
        json!({ "defaultAction": "SCMP_ACT_ALLOW", "listenerPath": agent.path(),
        "flags": [flag], "syscalls": [{ "names": ["acct"], "action": "SCMP_ACT_NOTIFY" }] })
    };
    let run = |flag: &str| -> Result<conformance::Output> {
        let bundle = Bundle::new(&["exit", "0"])?.with(|c| c["linux"]["seccomp"] = flagged(flag))?;
        runtime.run_in(&bundle, &["run", "c"])
    };
    // A flag that the runtime knows and the kernel lacks is refused with other words than an
    // unknown flag.
    let unknown = "SECCOMP_FILTER_FLAG_NOBODY_KNOWS";
    let unknown = refusal(&run(unknown)?.failed()?, unknown);
    each(known, |flag| {
        let output = run(flag)?;
        ensure!(output.status.success() || !supported.contains(flag), "{output}");
        ensure!(output.status.success() || refusal(&output, flag) != unknown, "not recognized: {output}");
        Ok(())
    })
}

fn memory_policies(runtime: &Runtime) -> Result {
    let features = &features(runtime)?["linux"]["memoryPolicy"];
    let run = |mode: &str, nodes: &str, flag: &str| -> Result<conformance::Output> {
        let mut policy = json!({ "mode": mode, "nodes": nodes });
        if !flag.is_empty() {
            policy["flags"] = json!([flag]);
        }
        let bundle = Bundle::new(&["exit", "0"])?.with(|c| c["linux"]["memoryPolicy"] = policy)?;
        runtime.run_in(&bundle, &["run", "c"])
    };
    each(list(&features["modes"]), |mode| {
        let number = MODES.iter().position(|name| name == mode).ok_or("no mode of set_mempolicy(2)")?;
        let nodes = if matches!(mode.as_str(), "MPOL_DEFAULT" | "MPOL_LOCAL") { "" } else { "0" };
        let output = run(mode, nodes, "")?;
        // A mode that is newer than the kernel fails.
        ensure!(output.status.success() || !kernel_has(number as i32, !nodes.is_empty()), "{output}");
        Ok(())
    })?;
    each(list(&features["flags"]), |flag| {
        let bit = match flag.as_str() {
            "MPOL_F_STATIC_NODES" => 1 << 15,
            "MPOL_F_RELATIVE_NODES" => 1 << 14,
            "MPOL_F_NUMA_BALANCING" => 1 << 13,
            _ => return Err("no flag of set_mempolicy(2)".into()),
        };
        let output = run("MPOL_BIND", "0", flag)?;
        ensure!(output.status.success() || !kernel_has(2 | bit, true), "{output}");
        Ok(())
    })
}

/// The modes of set_mempolicy(2), in the order of their numbers.
const MODES: [&str; 7] = [
    "MPOL_DEFAULT",
    "MPOL_PREFERRED",
    "MPOL_BIND",
    "MPOL_INTERLEAVE",
    "MPOL_LOCAL",
    "MPOL_PREFERRED_MANY",
    "MPOL_WEIGHTED_INTERLEAVE",
];

/// Returns true if this kernel has the mode with its flags, on the first node. Tries it in a
/// thread, which ends.
fn kernel_has(mode: i32, has_node: bool) -> bool {
    let asked =
        std::thread::spawn(move || runtime_sys::process::set_mempolicy(mode, &[u64::from(has_node)]).is_ok());
    asked.join().unwrap_or(false)
}

/// Returns the error up to the name that it is about, without the time: a list of other names may
/// follow.
fn refusal(output: &conformance::Output, name: &str) -> String {
    let said = output.stderr.split("msg=").last().unwrap_or_default();
    said.split(name).next().unwrap_or_default().to_owned()
}
