// SPDX-License-Identifier: Apache-2.0
//! runtime.md, "Create": the properties of a created container, values that cannot be applied, and
//! the image after a failed create.

use crate::support::{Case, Change, rows};
use conformance::change::{push, with_user_namespace, without_namespace};
use conformance::{Bundle, Doing, Result, Runtime, each, ensure, host};
use serde_json::json;
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::Path;
use std::process::Command;

pub(crate) const CASES: &[Case] = &[
    Case {
        name: "everything except the process is made before start",
        quote: "All of the properties configured in config.json except for process MUST be applied (runtime.md, Create); \
            while the resources requested in the config.json MUST be created, the user-specified program MUST NOT be run \
            at this time (runtime.md, Lifecycle, 2)",
        run: |runtime| {
            let bundle = full()?;
            runtime.run_in(&bundle, &["create", "c"])?.ok()?;
            let seen = look(runtime.state("c")?["pid"].as_i64().unwrap_or_default());
            let ran = bundle.rootfs("run/mark").exists();
            runtime.run(&["delete", "--force", "c"])?.ok()?;
            ensure!(!ran, "the program ran");
            let seen = seen?;
            each(PROPERTIES, |(name, want)| {
                let got = seen.get(*name).map(String::as_str).unwrap_or_default();
                ensure!(got == *want, "got {got:?}");
                Ok(())
            })
        },
    },
    Case {
        name: "namespaces have their maps and clocks before start",
        quote: "All of the properties configured in config.json except for process MUST be applied (runtime.md, Create)",
        run: |runtime| {
            let changes: [(Change, &[(&str, &str)]); 2] = [
                (with_user_namespace, &[("uid_map", "0 300000 65536"), ("gid_map", "0 400000 65536")]),
                (
                    |config| {
                        if let Some(list) = config["linux"]["namespaces"].as_array_mut() {
                            list.push(json!({ "type": "time" }));
                        }
                        config["linux"]["timeOffsets"] = json!({ "boottime": { "secs": 77 } });
                    },
                    &[("timens_offsets", "monotonic 0 0 boottime 77 0")],
                ),
            ];
            for (change, files) in changes {
                let bundle = Bundle::new(&["sleep"])?.with(change)?;
                runtime.run_in(&bundle, &["create", "c"])?.ok()?;
                let pid = runtime.state("c")?["pid"].clone();
                let words = |file: &str| {
                    let text = fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap_or_default();
                    text.split_ascii_whitespace().collect::<Vec<_>>().join(" ")
                };
                let seen: Vec<_> = files.iter().map(|(file, _)| (*file, words(file))).collect();
                runtime.run(&["delete", "--force", "c"])?.ok()?;
                each(seen.iter().zip(files), |((_, got), (_, want))| {
                    ensure!(got == want, "want {want}");
                    Ok(())
                })?;
            }
            Ok(())
        },
    },
    Case {
        name: "properties that cannot be applied are errors",
        quote: "If the runtime cannot apply a property as specified in the configuration, it MUST generate an error and a \
            new container MUST NOT be created (runtime.md, Create)",
        run: |runtime| {
            rows(IMPOSSIBLE, |change| never_made(runtime, &Bundle::new(&["exit", "0"])?.with(change)?))
        },
    },
    Case {
        name: "limits without a controller are errors",
        quote: "If the runtime cannot apply a property as specified in the configuration, it MUST generate an error and a \
            new container MUST NOT be created (runtime.md, Create)",
        run: |runtime| {
            let have = host::controllers();
            let limits = [
                ("memory", json!({ "memory": { "limit": 1 << 30 } })),
                ("pids", json!({ "pids": { "limit": 100 } })),
                ("cpu", json!({ "cpu": { "quota": 50_000, "period": 100_000 } })),
                ("cpuset", json!({ "cpu": { "cpus": "0" } })),
                ("hugetlb", json!({ "hugepageLimits": [{ "pageSize": "2MB", "limit": 0 }] })),
                ("rdma", json!({ "rdma": { "mlx5_1": { "hcaHandles": 3 } } })),
            ];
            each(limits.into_iter().filter(|(name, _)| !have.iter().any(|one| one == name)), |(_, limits)| {
                let bundle = Bundle::new(&["exit", "0"])?
                    .with(|config| config["linux"]["resources"] = limits.clone())?;
                never_made(runtime, &bundle)
            })
        },
    },
    Case {
        name: "a create that fails leaves the files of the image as they were",
        quote: "generating an error MUST leave the state of the environment as if the operation were never \
                attempted (runtime.md, Errors): all files of the image; new mount points stay \
                (docs/decisions/traps.md)",
        run: |runtime| {
            rows(LATE, |change| {
                let bundle = Bundle::new(&["exit", "0"])?.with(|config| {
                    config["root"]["readonly"] = json!(false);
                    config["mounts"][0]["options"] = json!(["nosuid"]);
                    for destination in ["/opt/made", "/etc/hosts"] {
                        let source = if destination == "/opt/made" { "/sys" } else { "/proc/self/status" };
                        push(
                            config,
                            json!({ "destination": destination, "source": source, "options": ["bind", "ro"] }),
                        );
                    }
                    config["linux"]["maskedPaths"] = json!(["/etc/passwd", "/root"]);
                })?;
                symlink("/loop", bundle.rootfs("loop")).doing("symlink")?;
                fs::write(bundle.rootfs("root/file"), "text").doing("write")?;
                let bundle = bundle.with(change)?;
                let before = tree(&bundle.rootfs(""))?;
                never_made(runtime, &bundle)?;
                let mut after = tree(&bundle.rootfs(""))?;
                for (path, entry) in &before {
                    let now = after.remove(path);
                    ensure!(now.as_ref() == Some(entry), "{path}: {now:?}, was {entry:?}");
                }
                // The mount points and the directories above them.
                after.retain(|path, (_, size, _)| {
                    *size != 0 || !["opt", "etc/hosts"].iter().any(|at| path.starts_with(at))
                });
                ensure!(after.is_empty(), "new: {after:?}");
                Ok(())
            })
        },
    },
];

/// Properties and their values, as [`look`] returns them.
const PROPERTIES: &[(&str, &str)] = &[
    ("hostname", "mrsdalloway"),
    ("domainname", "example.org"),
    ("sysctl of ipc", "4321"),
    ("sysctl of net", "77"),
    ("mount", "tmpfs rw,nosuid"),
    ("root.readonly", "ro"),
    ("readonlyPaths", "ro"),
    ("maskedPaths", "0"),
    ("devices", "char 1:3 640 7:8"),
    ("default devices", "char 1:7"),
    ("links", "/proc/self/fd"),
    ("netDevices", "up"),
    ("cgroupsPath", "conformance-properties"),
    ("own namespaces", "cgroup ipc mnt net pid uts"),
];

/// Makes a container with many properties.
fn full() -> Result<Bundle> {
    let bundle = Bundle::new(&["write", "/run/mark", "x"])?.with(|config| {
        config["hostname"] = json!("mrsdalloway");
        config["domainname"] = json!("example.org");
        push(
            config,
            json!({ "destination": "/tmp", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid"] }),
        );
        push(config, json!({ "destination": "/run", "source": "/tmp", "options": ["bind", "rw"] }));
        config["linux"]["sysctl"] = json!({ "kernel.shmmni": "4321", "net.ipv4.ip_default_ttl": "77" });
        config["linux"]["readonlyPaths"] = json!(["/tmp"]);
        config["linux"]["maskedPaths"] = json!(["/etc/passwd"]);
        config["linux"]["devices"] = json!([{ "path": "/dev/made", "type": "c", "major": 1, "minor": 3,
            "fileMode": 0o640, "uid": 7, "gid": 8 }]);
        config["linux"]["cgroupsPath"] = json!("/conformance-properties");
    })?;
    Ok(bundle)
}

/// Returns the properties of a container's first process, seen from the host.
fn look(pid: i64) -> Result<BTreeMap<&'static str, String>> {
    let inside = |namespaces: &[&str], command: &[&str]| -> Result<String> {
        let output =
            Command::new("nsenter").arg("-t").arg(pid.to_string()).args(namespaces).args(command).output();
        let output = output.doing("nsenter")?;
        ensure!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let mounts = fs::read_to_string(format!("/proc/{pid}/mountinfo")).doing("mountinfo")?;
    let mount = |at: &str| {
        let line = mounts.lines().rev().find(|line| line.split(' ').nth(4) == Some(at)).unwrap_or_default();
        let (left, right) = line.split_once(" - ").unwrap_or_default();
        let options = left.split(' ').nth(5).unwrap_or_default().to_owned();
        (right.split(' ').next().unwrap_or_default().to_owned(), options)
    };
    let root = |path: &str| format!("/proc/{pid}/root{path}");
    let device = |path: &str| -> Result<(String, fs::Metadata)> {
        let meta = fs::symlink_metadata(root(path)).doing(path)?;
        let (major, minor) = (nix::sys::stat::major(meta.rdev()), nix::sys::stat::minor(meta.rdev()));
        Ok((format!("char {major}:{minor}"), meta))
    };
    let (made, meta) = device("/dev/made")?;
    let mut own = Vec::new();
    for kind in ["cgroup", "ipc", "mnt", "net", "pid", "uts"] {
        let link = |process: &str| fs::read_link(format!("/proc/{process}/ns/{kind}")).doing("readlink");
        if link(&pid.to_string())? != link("self")? {
            own.push(kind);
        }
    }
    let first = |options: &str| options.split(',').next().unwrap_or_default().to_owned();
    let links = inside(&["--net"], &["ip", "-o", "link", "show", "up"])?;
    Ok(BTreeMap::from([
        ("hostname", inside(&["--uts"], &["hostname"])?),
        ("domainname", inside(&["--uts"], &["cat", "/proc/sys/kernel/domainname"])?),
        ("sysctl of ipc", inside(&["--ipc"], &["cat", "/proc/sys/kernel/shmmni"])?),
        ("sysctl of net", inside(&["--net"], &["cat", "/proc/sys/net/ipv4/ip_default_ttl"])?),
        ("mount", {
            let line = mounts.lines().find(|line| line.split(' ').nth(4) == Some("/tmp")).unwrap_or_default();
            let kind = line.split_once(" - ").map(|(_, right)| right.split(' ').next().unwrap_or_default());
            let has = line.split(' ').nth(5).is_some_and(|options| options.contains("nosuid"));
            format!("{} {}", kind.unwrap_or_default(), if has { "rw,nosuid" } else { "" })
        }),
        ("root.readonly", first(&mount("/").1)),
        ("readonlyPaths", first(&mount("/tmp").1)),
        ("maskedPaths", fs::read(root("/etc/passwd")).map(|text| text.len()).unwrap_or(0).to_string()),
        ("devices", format!("{made} {:o} {}:{}", meta.mode() & 0o7777, meta.uid(), meta.gid())),
        ("default devices", device("/dev/full")?.0),
        ("links", fs::read_link(root("/dev/fd")).doing("/dev/fd")?.display().to_string()),
        ("netDevices", if links.contains("lo:") { "up".to_owned() } else { links }),
        ("cgroupsPath", host::cgroup_of(pid)?.file_name().unwrap_or_default().to_string_lossy().into_owned()),
        ("own namespaces", own.join(" ")),
    ]))
}

/// Paths below a directory, with kind, size, mode, owner and, for files, the time of the last
/// change.
type Tree = BTreeMap<String, (String, u64, String)>;

fn tree(top: &Path) -> Result<Tree> {
    fn walk(top: &Path, dir: &Path, all: &mut Tree) -> Result {
        for entry in fs::read_dir(dir).doing("read")?.flatten() {
            let (path, meta) = (entry.path(), entry.metadata().doing("stat")?);
            let size = if meta.is_dir() { 0 } else { meta.len() };
            let time = if meta.is_dir() { 0 } else { meta.mtime_nsec() };
            let rest = format!("{:o} {}:{} {time}", meta.mode(), meta.uid(), meta.gid());
            let name = path.strip_prefix(top).unwrap_or(&path).display().to_string();
            all.insert(name, (format!("{:?}", meta.file_type()), size, rest));
            if meta.is_dir() {
                walk(top, &path, all)?;
            }
        }
        Ok(())
    }
    let mut all = Tree::new();
    walk(top, top, &mut all)?;
    Ok(all)
}

/// Checks that neither create nor run makes a container of the bundle.
fn never_made(runtime: &Runtime, bundle: &Bundle) -> Result {
    for verb in ["create", "run"] {
        let output = runtime.run_in(bundle, &[verb, "c"])?;
        let state = runtime.run(&["state", "c"])?;
        if state.status.success() {
            runtime.run(&["delete", "--force", "c"])?;
        }
        output.failed()?;
        state.failed()?;
    }
    Ok(())
}

/// Changes that no runtime can apply.
const IMPOSSIBLE: &[(&str, Change)] = &[
    ("hostname of the host", |c| without_namespace(c, "uts")),
    ("domainname of the host", |c| {
        without_namespace(c, "uts");
        c.as_object_mut().map(|all| all.remove("hostname"));
        c["domainname"] = json!("example.org");
    }),
    ("a mount below a file", |c| {
        push(c, json!({ "destination": "/probe/below", "type": "tmpfs", "source": "tmpfs" }));
    }),
    ("a mount of no device", |c| {
        push(c, json!({ "destination": "/tmp", "type": "ext4", "source": "/dev/null" }));
    }),
    ("a bind mount of nothing", |c| {
        push(c, json!({ "destination": "/tmp", "source": "/nonexistent", "options": ["rbind"] }));
    }),
    ("id mappings of procfs", |c| {
        let map = json!([{ "containerID": 0, "hostID": 100_000, "size": 65_536 }]);
        push(
            c,
            json!({ "destination": "/tmp", "type": "proc", "source": "proc", "options": ["idmap"],
            "uidMappings": map, "gidMappings": map }),
        );
    }),
    ("a user namespace without mappings", |c| {
        if let Some(list) = c["linux"]["namespaces"].as_array_mut() {
            list.push(json!({ "type": "user" }));
        }
    }),
    ("a device below a file", |c| {
        c["linux"]["devices"] = json!([{ "path": "/probe/x", "type": "c", "major": 1, "minor": 3 }]);
    }),
    ("pages of no size", |c| {
        c["linux"]["resources"]["hugepageLimits"] = json!([{ "pageSize": "3MB", "limit": 0 }]);
    }),
    ("a file of no cgroup", |c| {
        c["linux"]["resources"]["unified"] = json!({ "no.such": "1" });
    }),
    ("a profile that is not loaded", |c| {
        c["process"]["apparmorProfile"] = json!("conformance-no-such-profile");
    }),
    ("a namespace that is not there", |c| c["linux"]["namespaces"][1]["path"] = json!("/nonexistent")),
    ("a network device that is not there", |c| {
        c["linux"]["netDevices"] = json!({ "nonexistent0": {} });
    }),
    ("a kernel parameter that is not there", |c| c["linux"]["sysctl"] = json!({ "net.no_such": "1" })),
    ("a hook that is not there", |c| {
        c["hooks"] = json!({ "createRuntime": [{ "path": "/nonexistent" }] });
    }),
    ("a cache that cannot be divided", |c| {
        c["linux"]["intelRdt"] = json!({ "closID": "conformance", "l3CacheSchema": "L3:99=1" });
    }),
];

/// Changes that fail after the mounts were made.
const LATE: &[(&str, Change)] = &[
    ("no program", |c| c["process"]["args"] = json!(["/nonexistent"])),
    ("a working directory that is a file", |c| c["process"]["cwd"] = json!("/probe")),
    ("a kernel parameter", |c| c["linux"]["sysctl"] = json!({ "net.no_such": "1" })),
    ("a masked path", |c| c["linux"]["maskedPaths"] = json!(["/etc/passwd", "/loop/x"])),
    ("a later mount", |c| {
        push(c, json!({ "destination": "/tmp", "type": "nosuchfs", "source": "x" }));
    }),
    ("a hook of the host", |c| {
        c["hooks"] = json!({ "createRuntime": [{ "path": "/bin/false" }] });
    }),
    ("a hook in the container's namespaces", |c| {
        c["hooks"] = json!({ "createContainer": [{ "path": "/bin/false" }] });
    }),
    ("a namespace", |c| c["linux"]["namespaces"][1]["path"] = json!("/proc/self/ns/uts")),
];
