// SPDX-License-Identifier: Apache-2.0
//! config-linux.md, "Namespaces": existing namespaces, user and time namespaces.

use crate::support::{Case, add_namespace, own_namespace, refused};
use conformance::change::{
    beside, cgroup2_options, join, join_process, with_the_hosts_cgroups, with_user_namespace,
    without_namespace,
};
use conformance::report::Node;
use conformance::{Bundle, Doing, Report, Result, Runtime, each, ensure, ensure_eq};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::process::Command;

pub(crate) const CASES: &[Case] = &[
    Case {
        name: "namespaces are joined by their paths",
        quote: "The runtime MUST place the container process in the namespace associated with that `path` \
                (config-linux.md, Namespaces)",
        run: |runtime| {
            let all = [
                ("network", "net"),
                ("ipc", "ipc"),
                ("uts", "uts"),
                ("pid", "pid"),
                ("cgroup", "cgroup"),
                ("time", "time"),
            ];
            each(all, |&(kind, file)| {
                let (first, report) = with_first(
                    runtime,
                    |_| (),
                    |pid, config| {
                        if kind == "uts" {
                            config.as_object_mut().map(|all| all.remove("hostname"));
                        }
                        join(config, kind, &format!("/proc/{pid}/ns/{file}"));
                    },
                )?;
                let got = report?.namespaces.get(file).cloned();
                ensure!(got.as_ref() == first.get(file), "{got:?}, want {:?}", first.get(file));
                Ok(())
            })
        },
    },
    Case {
        name: "a mount namespace is joined by its path",
        quote: "The runtime MUST place the container process in the namespace associated with that `path` \
                (config-linux.md, Namespaces)",
        run: |runtime| {
            let mut other = Command::new("unshare");
            other.args(["--mount", "--propagation", "private", "sleep", "1000"]);
            let mut other = other.spawn().doing("unshare")?;
            let path = format!("/proc/{}/ns/mnt", other.id());
            let link = |path: &str| std::fs::read_link(path).map(|link| link.display().to_string());
            let own = link("/proc/self/ns/mnt").doing("readlink")?;
            // Waits for the new namespace.
            let end = std::time::Instant::now() + std::time::Duration::from_secs(5);
            while link(&path).is_ok_and(|link| link == own) && std::time::Instant::now() < end {
                std::thread::sleep(std::time::Duration::from_millis(5));
            }
            let want = link(&path);
            let bundle = Bundle::new(&["report"])?.with(|config| {
                join(config, "mount", &path);
            })?;
            let report = runtime.report(&bundle);
            other.kill().and_then(|()| other.wait()).doing("kill")?;
            let want = want.doing("readlink")?;
            ensure!(want != own, "no other namespace");
            ensure_eq!(report?.namespaces.get("mnt"), Some(&want));
            Ok(())
        },
    },
    Case {
        name: "a user namespace is joined by its path",
        quote: "The runtime MUST place the container process in the namespace associated with that `path` \
                (config-linux.md, Namespaces)",
        run: |runtime| {
            // With the other namespaces of the same user namespace, as in a pod.
            let (first, report) = with_first(runtime, with_user_namespace, |pid, config| {
                for (kind, file) in [("network", "net"), ("ipc", "ipc"), ("uts", "uts"), ("user", "user")] {
                    join(config, kind, &format!("/proc/{pid}/ns/{file}"));
                }
                config.as_object_mut().map(|all| all.remove("hostname"));
            })?;
            let report = report?;
            for file in ["net", "ipc", "uts", "user"] {
                ensure_eq!(report.namespaces.get(file), first.get(file));
            }
            ensure_eq!(report.uids, [0; 4]);
            Ok(())
        },
    },
    Case {
        name: "a path of another type of namespace is an error",
        quote: "The runtime MUST generate an error if `path` is not associated with a namespace of type `type` \
                (config-linux.md, Namespaces)",
        run: |runtime| {
            each(
                [
                    ("network", "uts"),
                    ("ipc", "net"),
                    ("uts", "ipc"),
                    ("pid", "net"),
                    ("cgroup", "uts"),
                    ("time", "net"),
                    ("user", "net"),
                    ("mount", "net"),
                ],
                |&(kind, other)| {
                    refused(runtime, |config| {
                        join(config, kind, &format!("/proc/self/ns/{other}"));
                    })
                },
            )
        },
    },
    Case {
        name: "a path of a file that is no namespace is an error",
        quote: "The runtime MUST generate an error if `path` is not associated with a namespace of type `type` \
                (config-linux.md, Namespaces)",
        run: |runtime| {
            each(["/proc/self/status", "/", "/dev/null"], |&path| {
                refused(runtime, |config| {
                    join(config, "network", path);
                })
            })
        },
    },
    Case {
        name: "a relative path of a namespace is an error",
        quote: "This value MUST be an absolute path in the runtime mount namespace (config-linux.md, Namespaces); \
                Runtimes MUST generate an error when invalid or unsupported values are encountered (config.md, Valid \
                values)",
        run: |runtime| {
            let bundle = Bundle::new(&["exit", "0"])?.with(|config| {
                join(config, "network", "net");
            })?;
            std::os::unix::fs::symlink("/proc/1/ns/net", bundle.path().join("net")).doing("symlink")?;
            runtime.run_in(&bundle, &["run", "c"])?.failed().map(drop)
        },
    },
    Case {
        name: "joining the host's cgroup namespace leaves its mount options alone",
        quote: "cgroup2 mount options are system wide and can only be set on mount or modified through remount \
                from the init namespace (Documentation/admin-guide/cgroup-v2.rst): a new mount there removes \
                nsdelegate from the host",
        run: |runtime| {
            let before = cgroup2_options()?;
            each(["/proc/self/ns/cgroup", "/proc/thread-self/../../ns/cgroup"], |&path| {
                let bundle = Bundle::new(&["report"])?.with(|config| with_the_hosts_cgroups(config, path))?;
                let report = runtime.report(&bundle)?;
                let mount = report.mount("/sys/fs/cgroup").ok_or("no mount")?;
                ensure!(mount.source != "new", "not a bind mount of the host's: {mount:?}");
                ensure_eq!(cgroup2_options()?, before);
                Ok(())
            })
        },
    },
    Case {
        name: "the runtime's namespaces by their paths are shared, and not changed",
        quote: "If a namespace type is not specified in the namespaces array, the container MUST inherit the runtime \
                namespace of that type (config-linux.md, Namespaces): a path that leads there says no more",
        run: |runtime| {
            // The present values, so that a runtime that writes them does no harm.
            let read = |name: &str| std::fs::read_to_string(format!("/proc/sys/{name}")).doing(name);
            let (hostname, msgmax) = (read("kernel/hostname")?, read("kernel/msgmax")?);
            let forward = read("net/ipv4/ip_forward")?;
            let changes = [
                ("uts", "uts", json!({ "hostname": hostname.trim() })),
                ("ipc", "ipc", json!({ "linux": { "sysctl": { "kernel.msgmax": msgmax.trim() } } })),
                (
                    "network",
                    "net",
                    json!({ "linux": { "sysctl": { "net.ipv4.ip_forward": forward.trim() } } }),
                ),
            ];
            for (kind, file, change) in changes {
                refused(runtime, |config| {
                    without_namespace(config, kind);
                    config.as_object_mut().map(|all| all.remove("hostname"));
                    join(config, kind, &format!("/proc/self/ns/{file}"));
                    for (name, value) in change.as_object().into_iter().flatten() {
                        match name.as_str() {
                            "linux" => config["linux"]["sysctl"] = value["sysctl"].clone(),
                            _ => config[name] = value.clone(),
                        }
                    }
                })?;
            }
            let bundle = Bundle::new(&["report"])?.with(|config| {
                config.as_object_mut().map(|all| all.remove("hostname"));
                for (kind, file) in [("uts", "uts"), ("ipc", "ipc"), ("user", "user"), ("cgroup", "cgroup")] {
                    join(config, kind, &format!("/proc/self/ns/{file}"));
                }
            })?;
            let report = runtime.report(&bundle)?;
            for file in ["uts", "ipc", "user", "cgroup"] {
                ensure_eq!(report.namespaces.get(file), Some(&own_namespace(file)?));
            }
            ensure_eq!(report.dev.get("null").map(|node| node.kind.as_str()), Some("char 1:3"));
            Ok(())
        },
    },
    Case {
        name: "duplicate namespaces are errors",
        quote: "If a `namespaces` field contains duplicated namespaces with same `type`, the runtime MUST generate an \
                error (config-linux.md, Namespaces)",
        run: |runtime| {
            each(["network", "mount", "pid"], |&kind| {
                refused(runtime, |config| add_namespace(config, json!({ "type": kind })))
            })
        },
    },
    Case {
        name: "an unknown type of namespace is an error",
        quote: "Runtimes MUST generate an error when invalid or unsupported values are encountered (config.md, Valid \
                values)",
        run: |runtime| refused(runtime, |config| add_namespace(config, json!({ "type": "disk" }))),
    },
    Case {
        name: "a user namespace has its mappings",
        quote: "uidMappings and gidMappings describe the user namespace uid and gid mappings from the host to the \
                container (config-linux.md, User namespace mappings)",
        run: |runtime| {
            let words = |text: String| text.split_ascii_whitespace().map(str::to_owned).collect::<Vec<_>>();
            for (file, host) in [("uid_map", "300000"), ("gid_map", "400000")] {
                let bundle =
                    Bundle::new(&["cat", &format!("/proc/self/{file}")])?.with(with_user_namespace)?;
                let output = runtime.run_in(&bundle, &["run", "c"])?.ok()?;
                ensure_eq!(words(output.stdout), ["0", host, "65536"]);
            }
            Ok(())
        },
    },
    Case {
        name: "a user namespace has several mappings",
        quote: "uidMappings (array of objects, OPTIONAL) describes the user namespace uid mappings from the host to the \
                container (config-linux.md, User namespace mappings)",
        run: |runtime| {
            let bundle = Bundle::new(&["report"])?.with(|config| {
                with_user_namespace(config);
                let map = json!([
                    { "containerID": 0, "hostID": 300_000, "size": 1 },
                    { "containerID": 1, "hostID": 500_000, "size": 10 },
                    { "containerID": 1000, "hostID": 600_000, "size": 65_536 },
                ]);
                config["linux"]["uidMappings"] = map.clone();
                config["linux"]["gidMappings"] = map;
                config["process"]["user"] = json!({ "uid": 1000, "gid": 5, "additionalGids": [0, 1001] });
            })?;
            let report = runtime.report(&bundle)?;
            ensure_eq!(report.uids, [1000; 4]);
            ensure_eq!(report.gids, [5; 4]);
            ensure_eq!(report.groups, [0, 1001]);
            Ok(())
        },
    },
    Case {
        name: "mappings that the kernel refuses are errors",
        quote: "If the runtime cannot apply a property as specified in the configuration, it MUST generate an error and \
                a new container MUST NOT be created (runtime.md, Create)",
        run: |runtime| {
            let ranges = [
                json!([{ "containerID": 0, "hostID": 300_000, "size": 0 }]),
                json!([{ "containerID": 0, "hostID": 1, "size": 10 }, { "containerID": 5, "hostID": 100, "size": 10 }]),
                json!([{ "containerID": 0, "hostID": 4_294_967_000u32, "size": 1000 }]),
            ];
            each(ranges, |range| {
                refused(runtime, |config| {
                    with_user_namespace(config);
                    config["linux"]["uidMappings"] = range.clone();
                })
            })
        },
    },
    Case {
        name: "the owner of the files is unchanged",
        quote: "The runtime SHOULD NOT modify the ownership of referenced filesystems to realize the mapping \
                (config-linux.md, User namespace mappings)",
        run: |runtime| {
            let bundle = Bundle::new(&["exit", "0"])?.with(with_user_namespace)?;
            runtime.run_in(&bundle, &["run", "c"])?.ok()?;
            for path in ["", "probe", "etc", "etc/passwd"] {
                let meta = std::fs::metadata(bundle.rootfs(path)).doing("stat")?;
                ensure_eq!((meta.uid(), meta.gid()), (0, 0));
            }
            Ok(())
        },
    },
    Case {
        name: "a time namespace has its offsets",
        quote: "timeOffsets (object, OPTIONAL) sets the offset for Time Namespace (config-linux.md, Offset for Time \
                Namespace, since 1.1)",
        run: |runtime| {
            let bundle = Bundle::new(&["cat", "/proc/self/timens_offsets"])?.with(|config| {
                add_namespace(config, json!({ "type": "time" }));
                config["linux"]["timeOffsets"] = json!({
                    "monotonic": { "secs": 172_800, "nanosecs": 7 }, "boottime": { "secs": -5 },
                });
            })?;
            let output = runtime.run_in(&bundle, &["run", "c"])?.ok()?;
            let words: Vec<_> = output.stdout.split_ascii_whitespace().collect();
            ensure_eq!(words, ["monotonic", "172800", "7", "boottime", "-5", "0"]);
            Ok(())
        },
    },
    Case {
        name: "the clock of a new time namespace has its offset",
        quote: "`time`: the container will be able to have its own clocks (config-linux.md, Namespaces, since 1.1)",
        run: |runtime| {
            let uptime = || -> Result<f64> {
                let text = std::fs::read_to_string("/proc/uptime").doing("uptime")?;
                text.split(' ').next().unwrap_or_default().parse().doing("uptime")
            };
            let bundle = Bundle::new(&["cat", "/proc/uptime"])?.with(|config| {
                add_namespace(config, json!({ "type": "time" }));
                config["linux"]["timeOffsets"] = json!({ "boottime": { "secs": 1_000_000 } });
            })?;
            let output = runtime.run_in(&bundle, &["run", "c"])?.ok()?;
            let inside: f64 = output.stdout.split(' ').next().unwrap_or_default().parse().doing("uptime")?;
            let difference = inside - uptime()?;
            ensure!((999_000.0..1_000_001.0).contains(&difference), "differs by {difference} s");
            Ok(())
        },
    },
    Case {
        name: "invalid time offsets are errors",
        quote: "Runtimes MUST generate an error when invalid or unsupported values are encountered (config.md, Valid \
                values)",
        run: |runtime| {
            for offsets in [
                json!({ "realtime": { "secs": 1 } }),
                json!({ "boottime": { "secs": -1_000_000_000 } }),
                json!({ "monotonic": { "nanosecs": 1_000_000_000 } }),
            ] {
                refused(runtime, |config| {
                    add_namespace(config, json!({ "type": "time" }));
                    config["linux"]["timeOffsets"] = offsets.clone();
                })
                .map_err(|why| format!("{offsets}: {why}"))?;
            }
            // The same without a time namespace.
            refused(runtime, |config| config["linux"]["timeOffsets"] = json!({ "boottime": { "secs": 1 } }))
        },
    },
    Case {
        name: "a container has its host and domain name",
        quote: "hostname, domainname: on Linux, for example, this will change the hostname (domainname) in the container \
                UTS namespace (config.md, Hostname, Domainname)",
        run: |runtime| {
            let bundle = Bundle::new(&["report"])?.with(|config| {
                config["hostname"] = json!("mrsdalloway");
                config["domainname"] = json!("example.org");
            })?;
            let report = runtime.report(&bundle)?;
            ensure_eq!(report.hostname, "mrsdalloway");
            ensure_eq!(report.domainname, "example.org");
            Ok(())
        },
    },
    Case {
        name: "a container of a pod may repeat the pod's id mappings",
        quote: "CRI-O, containerd: a container of a pod has the path of the pod's user namespace and its \
                mappings. A process that shares the pid namespace of others joins both namespaces itself, and \
                has the host's mappings until then",
        run: |runtime| {
            each([(); 4], |()| {
                let (_, report) = with_first(runtime, with_user_namespace, |pid, config| {
                    join_pod(pid, config);
                    with_mappings(config);
                })?;
                ensure_eq!(report?.uids, [0; 4]);
                Ok(())
            })
        },
    },
    Case {
        name: "a device has its owner in existing user and pid namespaces",
        quote: "uid (uint32, OPTIONAL): id of device owner in the container namespace (config-linux.md, Devices)",
        run: |runtime| {
            each([true, false].repeat(4), |&gives_mappings| {
                let (_, report) = with_first(runtime, with_user_namespace, |pid, config| {
                    join_pod(pid, config);
                    if gives_mappings {
                        with_mappings(config);
                    }
                    config["linux"]["devices"] = json!([{ "path": "/dev/made", "type": "c", "major": 1, "minor": 3,
                        "fileMode": 0o666, "uid": 7, "gid": 8 }]);
                })?;
                ensure_eq!(report?.dev.get("made").map(|node| node.owner), Some((7, 8)));
                Ok(())
            })
        },
    },
    Case {
        name: "a new user namespace works with a joined network and the host's pids",
        quote: "uidMappings and gidMappings describe the user namespace uid and gid mappings from the host to the container \
                (config-linux.md, User namespace mappings)",
        run: |runtime| {
            each([(); 4], |()| {
                let (_, report) = with_first(
                    runtime,
                    |_| (),
                    |pid, config| {
                        with_user_namespace(config);
                        without_namespace(config, "pid");
                        join(config, "network", &format!("/proc/{pid}/ns/net"));
                        // Without file systems of namespaces that another user namespace owns.
                        if let Some(mounts) = config["mounts"].as_array_mut() {
                            mounts.retain(|mount| mount["destination"] == "/dev");
                            mounts.push(
                                json!({ "destination": "/proc", "source": "/proc", "options": ["rbind"] }),
                            );
                        }
                    },
                )?;
                ensure_eq!(report?.uids, [0; 4]);
                Ok(())
            })
        },
    },
    Case {
        name: "/dev/mqueue and files of the network belong to the container's root",
        quote: "moby#20798, sysbox#850: /dev/mqueue and the files of the network in /proc and /sys belong to \
                the overflow uid 65534",
        run: |runtime| {
            let paths = ["/dev/mqueue", "/proc/net/dev", "/sys/class/net/lo/mtu"];
            let bundle = Bundle::new(&[&["stat"], &paths[..]].concat())?.with(with_user_namespace)?;
            let output = runtime.run_in(&bundle, &["run", "c"])?.ok()?;
            let nodes: Vec<Option<Node>> = serde_json::from_str(&output.stdout).doing("stat")?;
            each(paths.iter().zip(nodes), |(_, node)| {
                ensure_eq!(node.as_ref().map(|node| node.owner), Some((0, 0)));
                Ok(())
            })
        },
    },
];

/// Joins the container to all namespaces of a pod, its pid namespace included.
fn join_pod(pid: i64, config: &mut Value) {
    join_process(config, pid, &["network", "ipc", "uts", "pid"]);
    join(config, "user", &format!("/proc/{pid}/ns/user"));
}

/// Adds the mappings of a user namespace that exists already.
fn with_mappings(config: &mut Value) {
    let namespaces = config["linux"]["namespaces"].clone();
    with_user_namespace(config);
    config["linux"]["namespaces"] = namespaces;
}

/// Runs a container, and a second one beside it that `change` joins to namespaces of the first
/// one's pid. Returns the first one's namespaces and the second one's report.
fn with_first(
    runtime: &Runtime,
    first: impl FnOnce(&mut Value),
    change: impl FnOnce(i64, &mut Value),
) -> Result<(BTreeMap<String, String>, Result<Report>)> {
    let with_time = |config: &mut Value| {
        add_namespace(config, json!({ "type": "time" }));
        first(config);
    };
    beside(runtime, with_time, |pid| {
        let mut namespaces = BTreeMap::new();
        for file in ["net", "ipc", "uts", "pid", "cgroup", "time", "user"] {
            let link = std::fs::read_link(format!("/proc/{pid}/ns/{file}")).doing("readlink")?;
            namespaces.insert(file.to_owned(), link.display().to_string());
        }
        let second = Bundle::new(&["report"])?.with(|config| change(pid, config))?;
        Ok((namespaces, runtime.report(&second)))
    })
}
