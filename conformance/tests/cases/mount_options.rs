// SPDX-License-Identifier: Apache-2.0
//! Mounts, compared with mount(2): the spellings of options, remounts, mount points and errors.

use crate::support::{Case, refused};
use conformance::Mounted;
use conformance::change::{push, with_user_namespace, without_namespace};
use conformance::report::{Mount, Node, Report};
use conformance::{Bundle, Doing, Result, Runtime, each, ensure, ensure_eq};
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};

pub(crate) const CASES: &[Case] = &[
    Case {
        name: "options in one string are split",
        quote: "Runtimes SHOULD treat unknown options as filesystem-specific ones and pass those as a comma-separated \
                string to the fifth (const void *data) argument of mount(2) (config.md, Linux mount options)",
        run: |runtime| {
            let mount = mounted(runtime, tmpfs(&["nosuid", "size=64k,mode=0700", "nr_inodes=10,"]))?;
            for option in ["size=64k", "mode=700", "nr_inodes=10"] {
                ensure!(mount.super_options.iter().any(|o| o == option), "no {option}: {mount:?}");
            }
            refused(runtime, |config| push(config, at_m0(tmpfs(&["size=64k,nonsense"]))))
        },
    },
    Case {
        name: "options longer than 255 bytes reach the file system",
        quote: "Runtimes SHOULD ... pass those as a comma-separated string to the fifth (const void *data) argument of \
                mount(2) (config.md, Linux mount options): which takes a page, where fsconfig(2) takes 255 bytes of each",
        run: |runtime| layers(runtime, 8, &["ro", "nosuid"]),
    },
    Case {
        name: "options longer than a page reach the file system",
        quote: "The maximum number of lower layers is 500 (Documentation/filesystems/overlayfs.rst): `lowerdir+` takes \
                them one by one, where the data of mount(2) is a page",
        run: |runtime| layers(runtime, 50, &["ro"]),
    },
    Case {
        name: "a source may be longer than 255 bytes",
        quote: "source: a device name, but can also be a file or directory name for bind mounts or a dummy (config.md, \
                Mounts)",
        run: |runtime| {
            let source = "x".repeat(1000);
            let mut mount = tmpfs(&["size=64k", "mode=0700", "ro"]);
            mount["source"] = json!(source);
            let mount = mounted(runtime, mount)?;
            ensure_eq!(mount.source, source);
            ensure!(mount.options.iter().any(|option| option == "ro"), "{mount:?}");
            ensure!(mount.super_options.iter().any(|option| option == "size=64k"), "{mount:?}");
            Ok(())
        },
    },
    Case {
        name: "exec works in a container whose options were longer than 255 bytes",
        quote: "the same, and exec begins at the topmost mount on the root, as each program that joins a mount \
                namespace (setns(2))",
        run: |runtime| {
            let mut mount = tmpfs(&["size=64k"]);
            mount["source"] = json!("x".repeat(1000));
            let bundle = Bundle::new(&["sleep"])?.with(|config| push(config, at_m0(mount)))?;
            runtime.run_in(&bundle, &["run", "--detach", "c"])?.ok()?;
            let output = runtime.run(&["exec", "c", "/probe", "report"])?;
            runtime.run(&["delete", "--force", "c"])?.ok()?;
            let report: Report = serde_json::from_str(&output.ok()?.stdout).doing("report")?;
            ensure_eq!(report.mounts.iter().filter(|mount| mount.target == "/").count(), 1);
            Ok(())
        },
    },
    Case {
        name: "a remount changes the file system",
        quote: "Runtimes MUST implement `remount` (config.md, Linux mount options): as mount(8), with the options of the \
                file system that it names",
        run: |runtime| {
            let all: &[(&[&str], &[&str])] = &[
                (&["size=64k"], &["size=64k"]),
                (&["size=64k,nr_inodes=20"], &["size=64k", "nr_inodes=20"]),
                (&["lazytime"], &["lazytime"]),
                (&["sync"], &["sync"]),
                (&["ro", "size=64k"], &["ro", "size=64k"]),
            ];
            each(all, |(options, want)| {
                let mount = remounted(runtime, tmpfs(&["size=1m", "nosuid"]), options)?;
                let has =
                    |option: &&&str| mount.options.iter().chain(&mount.super_options).any(|o| o == *option);
                ensure!(want.iter().all(|option| has(&option)), "{options:?}: {mount:?}");
                Ok(())
            })
        },
    },
    Case {
        name: "a remount changes ro and rw",
        quote: "Runtimes MUST implement `remount`, `rw` (config.md, Linux mount options)",
        run: |runtime| {
            let mount = remounted(runtime, tmpfs(&["ro"]), &["rw"])?;
            ensure!(mount.options.iter().any(|option| option == "rw"), "{mount:?}");
            let overlay =
                |options: &[&str]| json!({ "type": "overlay", "source": "overlay", "options": options });
            let lower = tempfile::tempdir().doing("temporary directory")?;
            let lowerdir = format!("lowerdir={0}/a:{0}/b", lower.path().display());
            for name in ["a", "b"] {
                std::fs::create_dir(lower.path().join(name)).doing("mkdir")?;
            }
            let mount = remounted(runtime, overlay(&[&lowerdir, "nodev"]), &["ro", "noexec"])?;
            for option in ["ro", "noexec"] {
                ensure!(mount.options.iter().any(|o| o == option), "{mount:?}");
            }
            ensure!(mount.super_options.iter().any(|option| option == "ro"), "{mount:?}");
            Ok(())
        },
    },
    Case {
        name: "a remount changes the propagation",
        quote: "Runtimes MUST implement `shared`, `rshared` (config.md, Linux mount options): with `remount`, too",
        run: |runtime| {
            for option in ["shared", "rshared"] {
                let mount = remounted(runtime, tmpfs(&[]), &[option])?;
                ensure!(
                    mount.propagation.iter().any(|field| field.starts_with("shared:")),
                    "{option}: {mount:?}"
                );
            }
            Ok(())
        },
    },
    Case {
        name: "a remount with impossible options is an error",
        quote: "Runtimes MUST generate an error when invalid or unsupported values are encountered (config.md, Valid \
                values): an option that changes nothing is not dropped without a word",
        run: |runtime| {
            each([&["nonsense=1"][..], &["size=x"], &["bind", "size=64k"], &["idmap"]], |options| {
                let options = [&["remount"], *options].concat();
                refused(runtime, |config| {
                    push(config, at_m0(tmpfs(&[])));
                    push(config, at_m0(json!({ "type": "none", "source": "/", "options": options })));
                })
            })
        },
    },
    Case {
        name: "a remount does not change a file system of the host",
        quote: "A remount without `bind` changes the superblock (mount(2)), which a bind mount shares with the \
                host and its other mounts",
        run: |runtime| {
            let dir = tempfile::tempdir().doing("temporary directory")?;
            let host = Mounted::tmpfs(dir.path())?;
            let again = |options: &[&str]| json!({ "type": "none", "source": "/", "options": options });
            let bind = json!({ "type": "none", "source": dir.path(), "options": ["bind"] });
            for options in [&["remount", "size=64k"][..], &["remount", "sync"], &["remount", "ro"]] {
                let bundle = Bundle::new(&["report"])?.with(|config| {
                    push(config, at_m0(bind.clone()));
                    push(config, at_m0(again(options)));
                })?;
                let _either = runtime.run_in(&bundle, &["run", "c"])?;
                let line = host.line()?;
                ensure!(
                    !["size=64k", "sync", " ro"].iter().any(|option| line.contains(option)),
                    "{options:?}: {line}"
                );
            }
            Ok(())
        },
    },
    Case {
        name: "a directory cannot be mounted on a file, or a file on a directory",
        quote: "dockerd: an error with `not a directory` is status 127 and the hint that a directory may be \
                mounted onto a file, or vice versa (runc#3318)",
        run: |runtime| {
            let dir = tempfile::tempdir().doing("temporary directory")?;
            std::fs::write(dir.path().join("file"), "").doing("write")?;
            let file = dir.path().join("file");
            let bind = |source: &Path, destination: &str| json!({ "destination": destination, "source": source, "options": ["rbind"] });
            let tmpfs = json!({ "destination": "/etc/passwd", "type": "tmpfs", "source": "tmpfs" });
            each([bind(dir.path(), "/etc/passwd"), bind(&file, "/tmp"), tmpfs], |mount| {
                let bundle = Bundle::new(&["exit", "0"])?.with(|config| push(config, mount.clone()))?;
                let output = runtime.run_in(&bundle, &["run", "c"])?.failed()?;
                ensure!(output.stderr.to_lowercase().contains("not a directory"), "{output}");
                Ok(())
            })
        },
    },
    Case {
        name: "a mount on the root is the root",
        quote: "destination: destination of mount point: path inside container. This value MUST be an absolute path \
                (config.md, Mounts): / is one (runc#5070, crun#1752), and what follows is mounted below it",
        run: |runtime| {
            on_root(runtime, |_| ())?;
            // Hooks look for the rootfs at its path on the host.
            on_root(runtime, |config| config["hooks"] = json!({ "createRuntime": [{ "path": "/bin/true" }] }))
        },
    },
    Case {
        name: "a mount on the root is the root in a user namespace",
        quote: "destination: destination of mount point: path inside container (config.md, Mounts)",
        run: |runtime| on_root(runtime, with_user_namespace),
    },
    Case {
        name: "a mount on the root comes last",
        quote: "The runtime MUST mount entries in the listed order (config.md, Mounts): it covers all before it, masked \
                paths are those that can be seen, and what is executed later sees the same",
        run: |runtime| {
            let (bundle, new) = rooted()?;
            let bundle = bundle.with(|config| {
                push(config, json!({ "destination": "/", "source": new.path(), "options": ["bind"] }));
                config["linux"]["maskedPaths"] = json!(["/etc/masked"]);
                config["process"]["args"] =
                    json!(["/probe", "stat", "/proc/self", "/etc/masked", "/new", "/dev/null"]);
            })?;
            std::fs::write(new.path().join("etc/masked"), "").doing("write")?;
            let output = runtime.run_in(&bundle, &["run", "c"])?.ok()?;
            let nodes: Vec<Option<Node>> = serde_json::from_str(&output.stdout).doing("stat")?;
            let kinds: Vec<_> =
                nodes.iter().map(|node| node.as_ref().map(|node| node.kind.as_str())).collect();
            ensure_eq!(kinds, [None, Some("char 1:3"), Some("file"), Some("char 1:3")]);
            Ok(())
        },
    },
    Case {
        name: "nothing can be mounted on a link to the root",
        quote: "An image's link /data -> / and a volume at /data: the container's process would see the image, \
                and each process of exec only the volume, without /proc and its masks",
        run: |runtime| {
            let dir = tempfile::tempdir().doing("temporary directory")?;
            let volume = json!({ "destination": "/data", "source": dir.path(), "options": ["bind"] });
            let tmpfs = json!({ "destination": "/data", "type": "tmpfs", "source": "tmpfs" });
            each([volume, tmpfs], |mount| {
                for target in ["/", "tmp/..", "/tmp/../"] {
                    let bundle = Bundle::new(&["exit", "0"])?.with(|config| push(config, mount.clone()))?;
                    symlink(target, bundle.rootfs("data")).doing("symlink")?;
                    runtime.run_in(&bundle, &["run", "c"])?.failed()?;
                }
                Ok(())
            })?;
            // Masked and read-only paths cannot cover it either.
            each(["maskedPaths", "readonlyPaths"], |field| {
                let bundle =
                    Bundle::new(&["exit", "0"])?.with(|config| config["linux"][*field] = json!(["/data"]))?;
                symlink("/", bundle.rootfs("data")).doing("symlink")?;
                runtime.run_in(&bundle, &["run", "c"])?.failed().map(drop)
            })
        },
    },
    Case {
        name: "a user namespace with the host's network has a read-only sysfs",
        quote: "sysfs requires rights over the network namespace, which a user namespace does not have over the \
                host's (runc#3970, KEP-5607): crun mounts the host's /sys read-only, with all mounts below it",
        run: |runtime| {
            let change = |config: &mut Value| {
                with_user_namespace(config);
                without_namespace(config, "network");
            };
            let bundle = Bundle::new(&["report"])?.with(change)?.with(|config| {
                // The host decides whether access times are kept.
                if let Some(mounts) = config["mounts"].as_array_mut()
                    && let Some(sys) = mounts.iter_mut().find(|mount| mount["destination"] == "/sys")
                    && let Some(options) = sys["options"].as_array_mut()
                {
                    options.push(json!("noatime"));
                }
            })?;
            let report = runtime.report(&bundle)?;
            let sys: Vec<_> = report.mounts.iter().filter(|mount| mount.target.starts_with("/sys")).collect();
            ensure!(sys.iter().any(|mount| mount.target == "/sys" && mount.fstype == "sysfs"), "{sys:?}");
            for mount in &sys {
                ensure!(mount.options.iter().any(|option| option == "ro"), "writable: {mount:?}");
            }
            // Masks cover paths of the mount, too.
            ensure!(sys.iter().any(|mount| mount.target == "/sys/firmware"), "{sys:?}");
            let bundle = Bundle::new(&["stat", "/sys/class/net/lo"])?.with(change)?;
            let output = runtime.run_in(&bundle, &["run", "c"])?.ok()?;
            ensure!(output.stdout.contains("link"), "{output}");
            Ok(())
        },
    },
    Case {
        name: "a link is made instead of a mount of its target",
        quote: "crun, copy-symlink: if the source of a bind mount is a symlink, it is recreated at the destination",
        run: |runtime| {
            let sources = tempfile::tempdir().doing("temporary directory")?;
            let link = sources.path().join("link");
            symlink("/etc/passwd", &link).doing("symlink")?;
            let bundle = Bundle::new(&["stat", "/link"])?.with(|config| {
                push(
                    config,
                    json!({ "destination": "/link", "source": link, "options": ["bind", "copy-symlink"] }),
                );
            })?;
            let output = runtime.run_in(&bundle, &["run", "c"])?.ok()?;
            ensure!(output.stdout.contains("link /etc/passwd"), "{output}");
            // The link itself is mounted, not its target.
            let made = fs::read_link(bundle.rootfs("link")).doing("readlink")?;
            ensure_eq!(made, Path::new("/etc/passwd"));
            Ok(())
        },
    },
    Case {
        name: "src-nofollow mounts a link itself, not its target",
        quote: "crun(1), src-nofollow: if the source of a bind mount is a symbolic link, the link itself is used rather \
                than what it points to",
        run: |runtime| {
            let sources = tempfile::tempdir().doing("temporary directory")?;
            let host = sources.path();
            fs::create_dir(host.join("dir")).doing("mkdir")?;
            symlink("/etc/passwd", host.join("dir/link")).doing("symlink")?;
            symlink("dir", host.join("way")).doing("symlink")?;
            // Links on the way to it are followed.
            each(["dir/link", "way/link", "dir/../way/link"], |source| {
                let bundle = Bundle::new(&["stat", "/link"])?.with(|config| {
                    let (source, options) = (host.join(source), ["bind", "src-nofollow"]);
                    push(config, json!({ "destination": "/link", "source": source, "options": options }));
                })?;
                let output = runtime.run_in(&bundle, &["run", "c"])?.ok()?;
                ensure!(output.stdout.contains("link /etc/passwd"), "{output}");
                ensure!(bundle.rootfs("link").is_file(), "no mount, but a link in the image");
                Ok(())
            })
        },
    },
    Case {
        name: "a source on an unbindable mount can be bound",
        quote: "source: a file or directory name for bind mounts (config.md, Mounts). In the container's mount namespace, \
                where runc and crun bind it, an unbindable mount is a slave, which can be bound (mount_namespaces(7))",
        run: |runtime| {
            let dir = tempfile::tempdir().doing("temporary directory")?;
            let mounted = Mounted::tmpfs(dir.path())?;
            let unbindable = nix::mount::MsFlags::MS_UNBINDABLE;
            nix::mount::mount(None::<&str>, mounted.path(), None::<&str>, unbindable, None::<&str>)
                .doing("mount")?;
            fs::write(dir.path().join("file"), "text").doing("write")?;
            each([&["bind"][..], &["rbind", "ro", "nosuid"]], |options| {
                let bundle = Bundle::new(&["cat", "/x/file"])?.with(|config| {
                    push(config, json!({ "destination": "/x", "source": dir.path(), "options": options }));
                })?;
                ensure_eq!(runtime.run_in(&bundle, &["run", "c"])?.ok()?.stdout, "text");
                Ok(())
            })
        },
    },
    Case {
        name: "an error names the path that failed, wherever it is in the list",
        quote: "Runtimes MUST generate an error when invalid or unsupported values are encountered (config.md, Valid \
                values): the error names the path that failed, wherever in the list it is",
        run: late_failure,
    },
];

fn tmpfs(options: &[&str]) -> Value {
    json!({ "type": "tmpfs", "source": "tmpfs", "options": options })
}

fn at_m0(mut mount: Value) -> Value {
    mount["destination"] = json!("/m0");
    mount
}

/// Mounts something at /m0. Returns the container's view of it.
fn mounted(runtime: &Runtime, mount: Value) -> Result<Mount> {
    let bundle = Bundle::new(&["report"])?.with(|config| push(config, at_m0(mount)))?;
    let report = runtime.report(&bundle)?;
    report.mount("/m0").cloned().ok_or_else(|| "no mount".to_owned())
}

/// Mounts something at /m0, and remounts it with other options. Returns the container's view.
fn remounted(runtime: &Runtime, first: Value, options: &[&str]) -> Result<Mount> {
    let options = [&["remount"], options].concat();
    let bundle = Bundle::new(&["report"])?.with(|config| {
        push(config, at_m0(first));
        push(config, at_m0(json!({ "type": "none", "source": "/", "options": options })));
    })?;
    let report = runtime.report(&bundle)?;
    let all: Vec<_> = report.mounts.iter().filter(|mount| mount.target == "/m0").collect();
    ensure_eq!(all.len(), 1);
    Ok(all[0].clone())
}

/// Makes a bundle, and a directory to mount on its root, with one more file.
fn rooted() -> Result<(Bundle, tempfile::TempDir)> {
    let bundle = Bundle::new(&["sleep"])?;
    let new = tempfile::tempdir().doing("temporary directory")?;
    std::fs::set_permissions(new.path(), std::fs::Permissions::from_mode(0o755)).doing("chmod")?;
    for name in ["dev", "etc", "proc", "sys"] {
        std::fs::create_dir(new.path().join(name)).doing("mkdir")?;
    }
    std::fs::copy(bundle.rootfs("probe"), new.path().join("probe")).doing("copy")?;
    std::fs::write(new.path().join("new"), "").doing("write")?;
    Ok((bundle, new))
}

/// Mounts a directory on the root, and the other mounts in it. Checks that the container's process
/// and a later exec see it.
fn on_root(runtime: &Runtime, change: impl FnOnce(&mut Value)) -> Result {
    let (bundle, new) = rooted()?;
    let seen = ["/new", "/etc/passwd", "/proc/self", "/dev/null", "/made/m0"];
    let bundle = bundle.with(|config| {
        if let Some(mounts) = config["mounts"].as_array_mut() {
            mounts.insert(0, json!({ "destination": "/", "source": new.path(), "options": ["bind"] }));
            mounts.push(json!({ "destination": "/made/m0", "type": "tmpfs", "source": "tmpfs" }));
        }
        change(config);
    })?;
    if !bundle.config["linux"]["uidMappings"].is_null() {
        // The directory needs the mount points.
        for name in ["", "dev", "etc", "proc", "sys"] {
            chown(new.path().join(name), Some(300_000), Some(400_000)).doing("chown")?;
        }
    }
    runtime.run_in(&bundle, &["create", "c"])?.ok()?;
    runtime.run(&["start", "c"])?.ok()?;
    let output = runtime.run(&[&["exec", "c", "/probe", "stat"], seen.as_slice()].concat())?.ok()?;
    let nodes: Vec<Option<Node>> = serde_json::from_str(&output.stdout).doing("stat")?;
    let there: Vec<_> = nodes.iter().map(Option::is_some).collect();
    ensure_eq!(there, [true, false, true, true, true]);
    let pid = runtime.state("c")?["pid"].clone();
    let root = PathBuf::from(format!("/proc/{pid}/root"));
    for (path, want) in seen.iter().zip(&there) {
        ensure_eq!(root.join(&path[1..]).symlink_metadata().is_ok(), *want);
    }
    // `root.readonly` applies to the new root, and the old root stays without mounts.
    let mounts = std::fs::read_to_string(format!("/proc/{pid}/mountinfo")).doing("mountinfo")?;
    let roots: Vec<_> = mounts.lines().filter(|line| line.split(' ').nth(4) == Some("/")).collect();
    ensure_eq!(roots.len(), 1);
    ensure!(roots[0].split(' ').nth(5).is_some_and(|options| options.starts_with("ro")), "{roots:?}");
    ensure!(!bundle.rootfs("made").exists(), "made in the old root");
    runtime.run(&["delete", "--force", "c"])?.ok().map(drop)
}

/// Mounts an overlay of `count` lower layers, with paths of 100 bytes each.
fn layers(runtime: &Runtime, count: usize, options: &[&str]) -> Result {
    let dir = tempfile::tempdir().doing("temporary directory")?;
    let mut layers = Vec::new();
    for i in 0..count {
        let layer = dir.path().join(format!("{}{i}", "x".repeat(80)));
        std::fs::create_dir(&layer).doing("mkdir")?;
        std::fs::write(layer.join(format!("file{i}")), "").doing("write")?;
        layers.push(layer.display().to_string());
    }
    let lowerdir = format!("lowerdir={}", layers.join(":"));
    let options = [options, &[lowerdir.as_str()]].concat();
    let files = [format!("/m0/file{}", count - 1), "/m0/file0".to_owned()];
    let bundle = Bundle::new(&["stat", &files[0], &files[1]])?.with(|config| {
        push(config, at_m0(json!({ "type": "overlay", "source": "overlay", "options": options })));
    })?;
    let output = runtime.run_in(&bundle, &["run", "c"])?.ok()?;
    let nodes: Vec<Option<Node>> = serde_json::from_str(&output.stdout).doing("stat")?;
    ensure!(nodes.iter().all(Option::is_some), "{nodes:?}");
    let bundle = bundle.with(|config| config["process"]["args"] = json!(["/probe", "report"]))?;
    let report = runtime.report(&bundle)?;
    let mount = report.mount("/m0").ok_or("no mount")?;
    for option in options.iter().filter(|option| !option.starts_with("lowerdir")) {
        ensure!(mount.options.iter().any(|o| o == option), "no {option}: {mount:?}");
    }
    Ok(())
}

/// Fails at a mount whose index does not fit into 16 bits.
fn late_failure(runtime: &Runtime) -> Result {
    let bundle = Bundle::new(&["exit", "0"])?.with(|config| {
        let missing = (0..65_540).map(|i| format!("/none/{i}"));
        config["linux"]["maskedPaths"] = missing.chain(["/loop".to_owned()]).collect();
    })?;
    symlink("/loop", bundle.rootfs("loop")).doing("symlink")?;
    let output = runtime.run_in(&bundle, &["run", "c"])?.failed()?;
    ensure!(output.stderr.contains("loop") && !output.stderr.contains("none/"), "{}", output.stderr);
    Ok(())
}
