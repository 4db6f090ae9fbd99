// SPDX-License-Identifier: Apache-2.0
//! config.md and config-linux.md: devices, kernel parameters, masked and read-only paths, cgroups,
//! and unknown properties and values.

use crate::support::{Case, accepts, refused};
use conformance::change::{push, with_user_namespace, without_namespace};
use conformance::report::Node;
use conformance::{Bundle, Doing, Result, Runtime, each, ensure, ensure_eq, host};
use serde_json::{Value, json};
use std::os::unix::fs::MetadataExt;

pub(crate) const CASES: &[Case] = &[
    Case {
        name: "older versions of the specification are accepted",
        quote: "if a configuration is compliant with version 1.1 of this specification, it is compatible with all \
                runtimes that support any 1.1 or later release of this specification (config.md, Specification version)",
        run: |runtime| {
            for version in ["1.0.0", "1.0.2-dev", "1.0.2", "1.1.0", "1.2.1"] {
                accepts(runtime, |config| config["ociVersion"] = json!(version))?;
            }
            Ok(())
        },
    },
    Case {
        name: "invalid versions are errors",
        quote: "ociVersion (string, REQUIRED) MUST be in SemVer v2.0.0 format (config.md, Specification version)",
        run: |runtime| {
            let far = [json!("invalid"), json!("1"), json!(""), json!(1.2), Value::Null];
            // Texts that are almost versions (SemVer 2.0.0, items 2, 9 and 10).
            let near = [
                "1.0.0-",
                "1.0.0+",
                "01.0.0",
                "1.00.0",
                "1.0.0-01",
                "1.0.0-a..b",
                "1.0.0-a_b",
                "1.0.0-rc\n",
                " 1.0.0",
            ];
            each(far.into_iter().chain(near.map(Value::from)), |version| {
                refused(runtime, |config| config["ociVersion"] = version.clone())
            })
        },
    },
    Case {
        name: "unknown properties are ignored",
        quote: "Runtimes MAY log unknown properties but MUST otherwise ignore them. That includes not generating errors if \
                they encounter an unknown property (config.md, Extensibility)",
        run: |runtime| {
            accepts(runtime, |config| {
                let unknown = json!({ "deep": [1, { "null": null }] });
                config["org.example.unknown"] = unknown.clone();
                for place in ["process", "root", "linux"] {
                    config[place]["unknown"] = unknown.clone();
                }
                config["process"]["user"]["unknown"] = unknown.clone();
                config["process"]["capabilities"]["unknown"] = unknown.clone();
                config["mounts"][0]["unknown"] = unknown.clone();
                config["linux"]["resources"]["unknown"] = unknown.clone();
                config["linux"]["namespaces"][0]["unknown"] = unknown.clone();
                config["hooks"] = json!({ "unknown": unknown });
            })
        },
    },
    Case {
        name: "unknown annotations are ignored",
        quote: "Runtimes MUST handle unknown annotation keys like any other unknown property; values MAY be an empty \
                string (config.md, Annotations)",
        run: |runtime| {
            let all =
                json!({ "org.example.a": "", "no.such.key": "x", "org.opencontainers.image.os": "linux" });
            let bundle = Bundle::new(&["sleep"])?.with(|config| config["annotations"] = all.clone())?;
            runtime.run_in(&bundle, &["create", "c"])?.ok()?;
            ensure_eq!(runtime.state("c")?["annotations"], all);
            runtime.run(&["delete", "--force", "c"])?.ok().map(drop)
        },
    },
    Case {
        name: "annotations that are no strings are errors",
        quote: "Annotations MUST be a key-value map. Values MUST be strings (config.md, Annotations)",
        run: |runtime| {
            each([json!({ "a": 1 }), json!(["a"]), json!("a=b")], |annotations| {
                refused(runtime, |config| config["annotations"] = annotations.clone())
            })
        },
    },
    Case {
        name: "an annotation without a name is an error",
        quote: "Keys MUST NOT be an empty string (config.md, Annotations)",
        run: |runtime| refused(runtime, |config| config["annotations"] = json!({ "": "x" })),
    },
    Case {
        name: "values of a wrong type are errors",
        quote: "Runtimes MUST generate an error when invalid or unsupported values are encountered (config.md, Valid \
                values)",
        run: |runtime| {
            let changes: [fn(&mut Value); 12] = [
                |c| c["root"]["path"] = json!(1),
                |c| c["root"]["readonly"] = json!("yes"),
                |c| c["process"]["args"] = json!("/probe"),
                |c| c["process"]["env"] = json!([1]),
                |c| c["process"]["cwd"] = json!(["/"]),
                |c| c["process"]["noNewPrivileges"] = json!(1),
                |c| c["process"]["user"]["umask"] = json!(-1),
                |c| c["mounts"] = json!({}),
                |c| c["mounts"][0]["options"] = json!("ro"),
                |c| c["linux"]["namespaces"] = json!(["pid"]),
                |c| c["linux"]["maskedPaths"] = json!("/proc/kcore"),
                |c| c["linux"]["resources"]["devices"] = json!([{ "allow": "no" }]),
            ];
            changes.into_iter().enumerate().try_for_each(|(i, change)| {
                refused(runtime, change).map_err(|why| format!("change {i}: {why}"))
            })
        },
    },
    Case {
        name: "a root that is not a directory is an error",
        quote: "A directory MUST exist at the path declared by the field (config.md, Root)",
        run: |runtime| {
            refused(runtime, |config| config["root"]["path"] = json!("rootfs/probe"))?;
            refused(runtime, |config| config["root"]["path"] = json!(""))?;
            refused(runtime, |config| {
                config.as_object_mut().map(|all| all.remove("root"));
            })
        },
    },
    Case {
        name: "the path of the root may be absolute",
        quote: "On POSIX platforms, `path` is either an absolute path or a relative path to the bundle (config.md, Root)",
        run: |runtime| {
            let other = Bundle::new(&[])?;
            let bundle = Bundle::new(&["cat", "/mark"])?
                .with(|config| config["root"]["path"] = json!(other.path().join("rootfs")))?;
            std::fs::write(other.rootfs("mark"), "other").doing("write")?;
            ensure_eq!(runtime.run_in(&bundle, &["run", "c"])?.ok()?.stdout, "other");
            Ok(())
        },
    },
    Case {
        name: "a relative path of the root may leave the bundle",
        quote: "On POSIX platforms, `path` is either an absolute path or a relative path to the bundle (config.md, Root)",
        run: |runtime| {
            let other = Bundle::new(&[])?;
            std::fs::write(other.rootfs("mark"), "other").doing("write")?;
            let name = other.path().file_name().and_then(|name| name.to_str());
            let path = format!(".././{}/rootfs", name.unwrap_or_default());
            let bundle =
                Bundle::new(&["cat", "/mark"])?.with(|config| config["root"]["path"] = json!(path))?;
            ensure_eq!(runtime.run_in(&bundle, &["run", "c"])?.ok()?.stdout, "other");
            Ok(())
        },
    },
    Case {
        name: "devices are available at their paths",
        quote: "devices (array of objects, OPTIONAL) lists devices that MUST be available in the container. The path MAY \
                be anywhere in the container filesystem, notably outside of `/dev` (config-linux.md, Devices)",
        run: |runtime| {
            let nodes = stat(runtime, &["/dev/a", "/dev/b", "/dev/p", "/tmp/x/u"], |config| {
                config["linux"]["devices"] = json!([
                    { "path": "/dev/a", "type": "c", "major": 1, "minor": 3, "fileMode": 0o640, "uid": 7, "gid": 8 },
                    { "path": "/dev/b", "type": "b", "major": 7, "minor": 99, "fileMode": 0o600 },
                    { "path": "/dev/p", "type": "p", "fileMode": 0o622 },
                    { "path": "/tmp/x/u", "type": "u", "major": 10, "minor": 200, "uid": 1, "gid": 2 },
                ]);
            })?;
            let node = |kind: &str, mode, owner| Some(Node { kind: kind.to_owned(), mode, owner });
            ensure_eq!(nodes[0], node("char 1:3", 0o640, (7, 8)));
            ensure_eq!(nodes[1], node("block 7:99", 0o600, (0, 0)));
            ensure_eq!(nodes[2], node("fifo", 0o622, (0, 0)));
            ensure_eq!(nodes[3].as_ref().map(|n| (n.kind.as_str(), n.owner)), Some(("char 10:200", (1, 2))));
            Ok(())
        },
    },
    Case {
        name: "devices are available in a user namespace",
        quote: "uid (uint32, OPTIONAL) - id of device owner in the container namespace; The runtime MAY supply them however \
                it likes (with mknod, by bind mounting from the runtime mount namespace, using symlinks, etc.) \
                (config-linux.md, Devices)",
        run: |runtime| {
            let nodes = stat(runtime, &["/dev/null", "/dev/zero", "/dev/tun"], |config| {
                with_user_namespace(config);
                config["linux"]["devices"] =
                    json!([{ "path": "/dev/tun", "type": "c", "major": 1, "minor": 7 }]);
            });
            // The host may have no such node to bind.
            let nodes = nodes.or_else(|_| stat(runtime, &["/dev/null", "/dev/zero"], with_user_namespace))?;
            ensure_eq!(nodes[0].as_ref().map(|node| node.kind.as_str()), Some("char 1:3"));
            ensure_eq!(nodes[1].as_ref().map(|node| node.kind.as_str()), Some("char 1:5"));
            Ok(())
        },
    },
    Case {
        name: "a device is an error where another file is",
        quote: "If a file already exists at `path` that does not match the requested device, the runtime MUST generate an \
                error (config-linux.md, Devices)",
        run: |runtime| {
            each([("/etc/passwd", "c"), ("/etc", "c"), ("/probe", "p")], |&(path, kind)| {
                refused(runtime, |config| {
                    config["root"]["readonly"] = json!(false);
                    config["linux"]["devices"] =
                        json!([{ "path": path, "type": kind, "major": 1, "minor": 3 }]);
                })
            })
        },
    },
    Case {
        name: "a device that exists already is used",
        quote: "If a file already exists at `path` that does not match the requested device, the runtime MUST generate an \
                error (config-linux.md, Devices): this one matches",
        run: |runtime| {
            let device = json!({ "path": "/here", "type": "c", "major": 1, "minor": 3 });
            let bundle =
                Bundle::new(&["stat", "/here"])?.with(|c| c["linux"]["devices"] = json!([device]))?;
            let (mode, number) = (nix::sys::stat::SFlag::S_IFCHR, nix::sys::stat::makedev(1, 3));
            let bits = nix::sys::stat::Mode::from_bits_truncate(0o666);
            nix::sys::stat::mknod(&bundle.rootfs("here"), mode, bits, number).doing("mknod")?;
            runtime.run_in(&bundle, &["run", "c"])?.ok().map(drop)
        },
    },
    Case {
        name: "invalid devices are errors",
        quote: "type (string, REQUIRED) - type of device: `c`, `b`, `u` or `p`; path (string, REQUIRED) - full path to \
                device inside container (config-linux.md, Devices)",
        run: |runtime| {
            each(
                [
                    json!({ "path": "/dev/x", "type": "x", "major": 1, "minor": 3 }),
                    json!({ "path": "/dev/x", "major": 1, "minor": 3 }),
                    json!({ "path": "/dev/x", "type": "c", "major": -2, "minor": 3 }),
                    json!({ "path": "/dev/x", "type": "c", "major": 1, "minor": 1u64 << 40 }),
                ],
                |device| refused(runtime, |config| config["linux"]["devices"] = json!([device])),
            )
        },
    },
    Case {
        name: "a device without a path is an error",
        quote: "path (string, REQUIRED) - full path to device inside container (config-linux.md, Devices)",
        run: |runtime| {
            each(
                [
                    json!({ "type": "c", "major": 1, "minor": 3 }),
                    json!({ "path": "/", "type": "c", "major": 1, "minor": 3 }),
                ],
                |device| refused(runtime, |config| config["linux"]["devices"] = json!([device])),
            )
        },
    },
    Case {
        name: "kernel parameters are set",
        quote: "sysctl (object, OPTIONAL) allows kernel parameters to be modified at runtime for the container \
                (config-linux.md, Sysctl)",
        run: |runtime| {
            for (name, path, value) in [
                ("net.ipv4.ip_forward", "net/ipv4/ip_forward", "1"),
                ("net/ipv4/ip_default_ttl", "net/ipv4/ip_default_ttl", "77"),
                ("kernel.shmmni", "kernel/shmmni", "4321"),
                ("fs.mqueue.msg_max", "fs/mqueue/msg_max", "9"),
            ] {
                let file = format!("/proc/sys/{path}");
                let before = std::fs::read_to_string(&file).doing("read")?;
                let bundle = Bundle::new(&["cat", &file])?
                    .with(|config| config["linux"]["sysctl"] = json!({ name: value }))?;
                ensure_eq!(runtime.run_in(&bundle, &["run", "c"])?.ok()?.stdout.trim(), value);
                ensure!(
                    std::fs::read_to_string(&file).doing("read")? == before,
                    "{name} of the host changed"
                );
            }
            Ok(())
        },
    },
    Case {
        name: "kernel parameters that cannot be applied are errors",
        quote: "If the runtime cannot apply a property as specified in the configuration, it MUST generate an error and a \
                new container MUST NOT be created (runtime.md, Create)",
        run: |runtime| {
            for (name, value) in
                [("net.ipv4.no_such_thing", "1"), ("net.ipv4.ip_default_ttl", "many"), ("", "1")]
            {
                refused(runtime, |config| config["linux"]["sysctl"] = json!({ name: value }))
                    .map_err(|why| format!("{name:?}={value:?}: {why}"))?;
            }
            // Without its own namespace the container would change the host's parameter.
            refused(runtime, |config| {
                without_namespace(config, "ipc");
                config["linux"]["sysctl"] = json!({ "kernel.shmmni": "4321" });
            })
        },
    },
    Case {
        name: "an empty kernel parameter is an error for a number, not for a name",
        quote: "All of the properties configured in config.json except for process MUST be applied. If the runtime cannot \
                apply a property as specified in the configuration, it MUST generate an error (runtime.md, Create)",
        run: |runtime| {
            // A number cannot be empty, a name can. Writing zero bytes changes neither.
            refused(runtime, |config| config["linux"]["sysctl"] = json!({ "kernel.shmmni": "" }))?;
            let bundle = Bundle::new(&["cat", "/proc/sys/kernel/domainname"])?
                .with(|config| config["linux"]["sysctl"] = json!({ "kernel.domainname": "" }))?;
            ensure_eq!(runtime.run_in(&bundle, &["run", "c"])?.ok()?.stdout, "\n");
            Ok(())
        },
    },
    Case {
        name: "relative masked paths are errors",
        quote: "maskedPaths, readonlyPaths: the values MUST be absolute paths in the container namespace (config-linux.md, \
                Masked Paths, Readonly Paths)",
        run: |runtime| {
            each(["maskedPaths", "readonlyPaths"], |&field| {
                refused(runtime, |config| config["linux"][field] = json!(["proc/kcore"]))
            })
        },
    },
    Case {
        name: "read-only paths cannot be written",
        quote: "readonlyPaths will set the provided paths as readonly inside the container (config-linux.md, Readonly \
                Paths)",
        run: |runtime| {
            for (path, file) in [("/data", "/data/below/file"), ("/data/file", "/data/file")] {
                let bundle = Bundle::new(&["write", file, "x"])?.with(|config| {
                    config["root"]["readonly"] = json!(false);
                    config["linux"]["readonlyPaths"] = json!([path, "/nonexistent"]);
                })?;
                std::fs::create_dir_all(bundle.rootfs("data/below")).doing("mkdir")?;
                std::fs::write(bundle.rootfs("data/file"), "").doing("write")?;
                let output = runtime.run_in(&bundle, &["run", "c"])?.failed()?;
                ensure!(output.stderr.contains("Read-only file system"), "{path}: {output}");
            }
            Ok(())
        },
    },
    Case {
        name: "masked paths are those after the mounts",
        quote: "maskedPaths will mask over the provided paths inside the container so that they cannot be read \
                (config-linux.md, Masked Paths)",
        run: |runtime| {
            let source = tempfile::tempdir().doing("temporary directory")?;
            std::fs::write(source.path().join("secret"), "secret").doing("write")?;
            let bundle = Bundle::new(&["cat", "/tmp/secret"])?.with(|config| {
                push(config, json!({ "destination": "/tmp", "source": source.path(), "options": ["bind"] }));
                config["linux"]["maskedPaths"] = json!(["/tmp/secret"]);
            })?;
            ensure_eq!(runtime.run_in(&bundle, &["run", "c"])?.ok()?.stdout, "");
            Ok(())
        },
    },
    Case {
        name: "a masked file is read-only, whatever /dev is",
        quote: "Podman, --read-only --read-only-tmpfs=false: /dev is read-only, but the container's /dev/null can be given \
                another mode or owner by the name of a masked file",
        run: |runtime| {
            let report = runtime.report(&Bundle::new(&["report"])?.with(|config| {
                config["linux"]["maskedPaths"] = json!(["/proc/version", "/proc/keys"]);
            })?)?;
            for path in ["/proc/version", "/proc/keys"] {
                let mount = report.mount(path).ok_or_else(|| format!("{path} is not covered"))?;
                ensure!(mount.options.iter().any(|option| option == "ro"), "{mount:?}");
            }
            Ok(())
        },
    },
    Case {
        name: "an absolute path of a cgroup begins at the mount point",
        quote: "In the case of an absolute path (starting with `/`), the runtime MUST take the path to be relative to the \
                cgroups mount point; the runtime MUST consistently attach to the same place in the cgroups hierarchy given \
                the same value of `cgroupsPath` (config-linux.md, Cgroups Path)",
        run: |runtime| {
            if runtime.has_systemd_cgroups() {
                return Ok(());
            }
            let bundle = Bundle::new(&["sleep"])?
                .with(|config| config["linux"]["cgroupsPath"] = json!("/conformance-case/below"))?;
            let want = host::hierarchy().join("conformance-case/below");
            for _ in 0..2 {
                runtime.run_in(&bundle, &["run", "--detach", "c"])?.ok()?;
                let pid = runtime.state("c")?["pid"].as_i64().unwrap_or_default();
                let got = host::cgroup_of(pid)?;
                runtime.run(&["delete", "--force", "c"])?.ok()?;
                ensure_eq!(got, want);
            }
            // The parent directory that the runtime has made belongs to no container.
            let _parent = std::fs::remove_dir(host::hierarchy().join("conformance-case"));
            Ok(())
        },
    },
    Case {
        name: "a relative path of a cgroup always leads to the same place",
        quote: "the runtime MUST consistently attach to the same place in the cgroups hierarchy given the same value of \
                `cgroupsPath` (config-linux.md, Cgroups Path)",
        run: |runtime| {
            if runtime.has_systemd_cgroups() {
                return Ok(());
            }
            let bundle = Bundle::new(&["sleep"])?
                .with(|config| config["linux"]["cgroupsPath"] = json!("conformance-relative"))?;
            let mut places = Vec::new();
            for id in ["a", "b"] {
                runtime.run_in(&bundle, &["run", "--detach", id])?.ok()?;
                let pid = runtime.state(id)?["pid"].as_i64().unwrap_or_default();
                places.push(host::cgroup_of(pid)?);
                runtime.run(&["delete", "--force", id])?.ok()?;
            }
            ensure_eq!(places[0], places[1]);
            ensure!(places[0].ends_with("conformance-relative"), "{places:?}");
            Ok(())
        },
    },
    Case {
        name: "no cgroup path leads out of the hierarchy",
        quote: "Runtimes MAY consider certain `cgroupsPath` values to be invalid, and MUST generate an error if this is the \
                case (config-linux.md, Cgroups Path): either that, or the place is in the hierarchy",
        run: |runtime| {
            each(
                ["/../../conformance-outside", "/a/../../conformance-outside", "../conformance-outside"],
                |path| {
                    let bundle = Bundle::new(&["sleep"])?
                        .with(|config| config["linux"]["cgroupsPath"] = json!(path))?;
                    let output = runtime.run_in(&bundle, &["create", "c"])?;
                    let pid = runtime.state("c").ok().and_then(|state| state["pid"].as_i64());
                    let place = pid.map(host::cgroup_of);
                    runtime.run(&["delete", "--force", "c"])?;
                    for outside in ["", "/sys", "/sys/fs"] {
                        let outside = std::path::PathBuf::from(format!("{outside}/conformance-outside"));
                        ensure!(!outside.exists(), "made {}", outside.display());
                    }
                    match place {
                        // At its configured place, and not elsewhere.
                        Some(place) => {
                            let place = place?;
                            ensure!(
                                place.ends_with("conformance-outside"),
                                "in {}: {output}",
                                place.display()
                            );
                            ensure!(place.starts_with(host::hierarchy()), "in {}", place.display());
                            ensure!(!place.display().to_string().contains(".."), "in {}", place.display());
                        }
                        None => drop(output.failed()?),
                    }
                    Ok(())
                },
            )
        },
    },
    Case {
        name: "no container is made in a frozen cgroup",
        quote: "runc: a container is not made in a cgroup that is frozen (which config-linux.md, Control groups, allows)",
        run: |runtime| {
            if runtime.has_systemd_cgroups() {
                return Ok(());
            }
            let cgroup = host::hierarchy().join("conformance-frozen");
            std::fs::create_dir(&cgroup).doing("mkdir")?;
            std::fs::write(cgroup.join("cgroup.freeze"), "1").doing("freeze")?;
            let refused = refused(runtime, |c| c["linux"]["cgroupsPath"] = json!("/conformance-frozen"));
            let _gone = std::fs::write(cgroup.join("cgroup.freeze"), "0");
            let _gone = std::fs::remove_dir(&cgroup);
            refused
        },
    },
    Case {
        name: "a cgroup belongs to the container's user only if it is writable",
        quote: "Runtimes SHOULD change the cgroup ownership if and only if the cgroup filesystem is to be mounted \
                read/write [...]. A runtime that changes the cgroup ownership SHOULD only change the ownership of the \
                container's cgroup directory and files within that directory that are listed in \
                `/sys/kernel/cgroup/delegate` (config-linux.md, Cgroup ownership, since 1.1)",
        run: |runtime| {
            let list = std::fs::read_to_string("/sys/kernel/cgroup/delegate")
                .unwrap_or_else(|_| "cgroup.procs\ncgroup.subtree_control\ncgroup.threads\n".to_owned());
            for (writable, owner) in [(true, 300_000), (false, 0)] {
                let bundle = Bundle::new(&["sleep"])?.with(|config| {
                    with_user_namespace(config);
                    for mount in config["mounts"].as_array_mut().into_iter().flatten() {
                        if mount["type"] == "cgroup" && writable {
                            mount["options"] = json!(["nosuid", "noexec", "nodev", "relatime", "rw"]);
                        }
                    }
                })?;
                runtime.run_in(&bundle, &["run", "--detach", "c"])?.ok()?;
                let pid = runtime.state("c")?["pid"].as_i64().unwrap_or_default();
                let dir = host::cgroup_of(pid)?;
                let mut wrong = Vec::new();
                for entry in std::fs::read_dir(&dir).doing("read")?.flatten() {
                    let name = entry.file_name().to_string_lossy().into_owned();
                    let want = if list.lines().any(|line| line == name) { owner } else { 0 };
                    let got = entry.metadata().doing("stat")?.uid();
                    if got != want {
                        wrong.push((name, got));
                    }
                }
                let of_dir = std::fs::metadata(&dir).doing("stat")?.uid();
                runtime.run(&["delete", "--force", "c"])?.ok()?;
                ensure!(of_dir == owner, "writable {writable}: the directory is {of_dir}'s");
                ensure!(wrong.is_empty(), "writable {writable}: {wrong:?}");
            }
            Ok(())
        },
    },
    Case {
        name: "cache allocation that the host does not have is an error",
        quote: "If no mounted `resctrl` pseudo-filesystem is available in the runtime mount namespace, the runtime MUST \
                generate an error (config-linux.md, IntelRdt)",
        run: |runtime| {
            let mounts = std::fs::read_to_string("/proc/self/mountinfo").doing("mountinfo")?;
            if mounts.contains(" - resctrl ") {
                return Ok(());
            }
            refused(runtime, |config| config["linux"]["intelRdt"] = json!({ "closID": "guaranteed" }))?;
            refused(runtime, |config| config["linux"]["intelRdt"] = json!({ "memBwSchema": "MB:0=20" }))
        },
    },
];

/// Runs `probe stat` for these paths in a container with the change.
fn stat(runtime: &Runtime, paths: &[&str], change: impl FnOnce(&mut Value)) -> Result<Vec<Option<Node>>> {
    let bundle = Bundle::new(&[&["stat"], paths].concat())?.with(change)?;
    serde_json::from_str(&runtime.run_in(&bundle, &["run", "c"])?.ok()?.stdout).doing("stat")
}
