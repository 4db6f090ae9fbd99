// SPDX-License-Identifier: Apache-2.0
//! Device nodes and /dev, with hostile images and volumes among them.

use crate::support::{Case, Change, bind_dev, has_links, rows, with_image_dev};
use conformance::change::{push, with_user_namespace};
use conformance::report::Node;
use conformance::{Bundle, Doing, Output, Result, Runtime, each, ensure, ensure_eq};
use nix::sys::stat::{Mode, SFlag, makedev, mknod};
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

pub(crate) const CASES: &[Case] = &[
    Case {
        name: "a volume that a link of the image puts on /dev stays as it is",
        quote: "the image's /data is a link to dev, and config.json has a volume at /data: nodes and links are made in \
                the host's directory, and its ptmx is deleted",
        run: |runtime| {
            untouched(runtime, "data", "dev", |config, volume| {
                bind_volume(config, volume, "/data");
            })
        },
    },
    Case {
        name: "a volume that the image's /dev leads to stays as it is",
        quote: "CVE-2026-41579: the image's /dev is a link",
        run: |runtime| {
            untouched(runtime, "dev", "volume", |config, volume| {
                with_image_dev(config);
                bind_volume(config, volume, "/volume");
            })
        },
    },
    Case {
        name: "a volume that a device's path leads to stays as it is",
        quote: "a link of the image leads from the path of a device to a volume, where the host finds the node",
        run: |runtime| {
            untouched(runtime, "opt", "volume", |config, volume| {
                bind_volume(config, volume, "/volume");
                config["linux"]["devices"] =
                    json!([{ "path": "/opt/x", "type": "c", "major": 1, "minor": 3 }]);
            })
        },
    },
    Case {
        name: "a device is made in a new file system behind a link of the image",
        quote: "devices lists devices that MUST be available in the container (config-linux.md, Devices)",
        run: |runtime| {
            let bundle = Bundle::new(&["stat", "/run/x"])?.with(|config| {
                push(config, json!({ "destination": "/run", "type": "tmpfs", "source": "tmpfs" }));
                config["linux"]["devices"] =
                    json!([{ "path": "/var/run/x", "type": "c", "major": 1, "minor": 3 }]);
            })?;
            fs::create_dir(bundle.rootfs("var")).doing("mkdir")?;
            symlink("/run", bundle.rootfs("var/run")).doing("symlink")?;
            let output = runtime.run_in(&bundle, &["run", "c"])?.ok()?;
            ensure!(output.stdout.contains("char 1:3"), "{output}");
            Ok(())
        },
    },
    Case {
        name: "a device that the image has gets only the configured mode and owner",
        quote: "fileMode - file mode for the device; uid, gid - id of device owner, group in the container namespace \
                (config-linux.md, Devices)",
        run: |runtime| {
            let bundle = Bundle::new(&["stat", "/here", "/there", "/user", "/group"])?.with(|config| {
                config["linux"]["devices"] = json!([
                    { "path": "/here", "type": "c", "major": 1, "minor": 3, "fileMode": 0o640, "uid": 7, "gid": 8 },
                    { "path": "/there", "type": "c", "major": 1, "minor": 3 },
                    { "path": "/user", "type": "c", "major": 1, "minor": 3, "uid": 7 },
                    { "path": "/group", "type": "c", "major": 1, "minor": 3, "gid": 8 },
                ]);
            })?;
            for name in ["here", "there", "user", "group"] {
                let mode = Mode::from_bits_truncate(0o600);
                mknod(&bundle.rootfs(name), SFlag::S_IFCHR, mode, makedev(1, 3)).doing("mknod")?;
            }
            let output = runtime.run_in(&bundle, &["run", "c"])?.ok()?;
            let nodes: Vec<Option<Node>> = serde_json::from_str(&output.stdout).doing("nodes")?;
            let node = |mode, owner| Some(Node { kind: "char 1:3".to_owned(), mode, owner });
            let found = [node(0o640, (7, 8)), node(0o600, (0, 0)), node(0o600, (7, 0)), node(0o600, (0, 8))];
            ensure_eq!(nodes, found);
            Ok(())
        },
    },
    Case {
        name: "in a user namespace a device is an error where another file is",
        quote: "If a file already exists at `path` that does not match the requested device, the runtime MUST generate an \
                error (config-linux.md, Devices)",
        run: |runtime| {
            let bundle = Bundle::new(&["exit", "0"])?.with(|config| {
                with_user_namespace(config);
                with_image_dev(config);
            })?;
            std::os::unix::fs::chown(bundle.rootfs("dev"), Some(300_000), Some(400_000)).doing("chown")?;
            // Runtimes make empty files there themselves, as mount points.
            fs::write(bundle.rootfs("dev/null"), "").doing("write")?;
            runtime.run_in(&bundle, &["run", "c"])?.ok()?;
            fs::write(bundle.rootfs("dev/zero"), "mine").doing("write")?;
            runtime.run_in(&bundle, &["run", "c"])?.failed().map(drop)
        },
    },
    Case {
        name: "in a user namespace a device is what config.json says",
        quote: "devices: path, type, major, minor, fileMode, uid, gid (config-linux.md, Devices); crun 1.27: not the node that the \
                host has at that path, nor that one's owner and mode",
        run: |runtime| {
            let paths = ["/dev/not-on-the-host", "/dev/kmsg", "/tmp/b"];
            let bundle = Bundle::new(&[&["stat"], &paths[..]].concat())?.with(|config| {
                with_user_namespace(config);
                described_devices(config);
            })?;
            has_described_devices(&runtime.run_in(&bundle, &["run", "c"])?.ok()?)?;
            // The device filter allows it, too.
            let bundle = Bundle::new(&["write", "/dev/kmsg", "x"])?.with(|config| {
                with_user_namespace(config);
                described_devices(config);
            })?;
            runtime.run_in(&bundle, &["run", "c"])?.ok().map(drop)
        },
    },
    Case {
        name: "in an existing user namespace a device is what config.json says",
        quote: "devices: path, type, major, minor, fileMode, uid, gid (config-linux.md, Devices): the owner of a user \
                namespace by its path",
        run: |runtime| {
            let first = Bundle::new(&["sleep"])?.with(with_user_namespace)?;
            runtime.run_in(&first, &["run", "--detach", "first"])?.ok()?;
            let pid = runtime.state("first")?["pid"].clone();
            let paths = ["/dev/not-on-the-host", "/dev/kmsg", "/tmp/b"];
            let bundle = Bundle::new(&[&["stat"], &paths[..]].concat())?.with(|config| {
                with_user_namespace(config);
                for list in ["uidMappings", "gidMappings"] {
                    config["linux"].as_object_mut().map(|linux| linux.remove(list));
                }
                for namespace in config["linux"]["namespaces"].as_array_mut().into_iter().flatten() {
                    if namespace["type"] == "user" {
                        namespace["path"] = json!(format!("/proc/{pid}/ns/user"));
                    }
                }
                described_devices(config);
            })?;
            let output = runtime.run_in(&bundle, &["run", "c"]);
            runtime.run(&["delete", "--force", "first"])?.ok()?;
            has_described_devices(&output?.ok()?)
        },
    },
    Case {
        name: "an unmapped owner of a device becomes the overflow uid, with a warning",
        quote: "podman run --userns --privileged describes the host's nodes with the host's ids: with runc and crun \
                the container starts. A device whose owner has no mapping belongs to the overflow uid 65534 \
                (proc_sys_kernel(5)), and a warning names the device",
        run: |runtime| {
            let bundle = Bundle::new(&["stat", "/dev/x"])?.with(|config| {
                with_user_namespace(config);
                config["linux"]["devices"] =
                    json!([{ "path": "/dev/x", "type": "c", "major": 1, "minor": 3, "uid": 70_000, "gid": 8 }]);
            })?;
            let output = runtime.run_in(&bundle, &["run", "c"])?.ok()?;
            let nodes: Vec<Option<Node>> = serde_json::from_str(&output.stdout).doing("nodes")?;
            ensure_eq!(nodes[0].as_ref().map(|node| node.owner), Some((65534, 8)));
            ensure!(
                output.stderr.contains("/dev/x: uid 70000 has no mapping"),
                "no warning: {}",
                output.stderr
            );
            // Where the host's root is a user of the container, the device is not that user's.
            let bundle = bundle.with(|config| {
                for (list, size) in [("uidMappings", 1), ("gidMappings", 65_536)] {
                    config["linux"][list] = json!([
                        { "containerID": 0, "hostID": 300_000, "size": size },
                        { "containerID": 65_536, "hostID": 0, "size": 1 }]);
                }
            })?;
            let output = runtime.run_in(&bundle, &["run", "c"])?.ok()?;
            let nodes: Vec<Option<Node>> = serde_json::from_str(&output.stdout).doing("nodes")?;
            ensure_eq!(nodes[0].as_ref().map(|node| node.owner), Some((65534, 8)));
            Ok(())
        },
    },
    Case {
        name: "a device that the container may not use can be mounted",
        quote: "source: a device name [...]; type: the type of the filesystem to be mounted (config.md, Mounts). runc mounts it \
                whatever linux.resources.devices says, which is about the container's processes",
        run: |runtime| {
            let disk = Disk::new()?;
            let bundle = Bundle::new(&["cat", "/tmp/mark"])?.with(|config| {
                push(config, json!({ "destination": "/tmp", "type": "ext2", "source": disk.device, "options": ["ro"] }));
            })?;
            for _ in 0..5 {
                ensure_eq!(runtime.run_in(&bundle, &["run", "c"])?.ok()?.stdout, "on the disk");
            }
            Ok(())
        },
    },
    Case {
        name: "a file system of a device is refused in a user namespace",
        quote: "mounting block-based filesystems can be done only by a process that holds CAP_SYS_ADMIN in the \
                initial user namespace (user_namespaces(7)): a runtime with this capability does not use it for \
                the container",
        run: |runtime| {
            let disk = Disk::new()?;
            let bundle = Bundle::new(&["cat", "/tmp/mark"])?.with(|config| {
                with_user_namespace(config);
                push(config, json!({ "destination": "/tmp", "type": "ext2", "source": disk.device, "options": ["ro"] }));
            })?;
            runtime.run_in(&bundle, &["run", "c"])?.failed().map(drop)
        },
    },
    Case {
        name: "devices are made outside of a bind mount on /dev, and not in it",
        quote: "devices lists devices that MUST be available in the container. The path MAY be anywhere in the container \
                filesystem, notably outside of `/dev` (config-linux.md, Devices); runc, crun: nothing is made in a \
                bind mount on /dev",
        run: |runtime| {
            let dev = tempfile::tempdir().doing("temporary directory")?;
            mknod(&dev.path().join("null"), SFlag::S_IFCHR, Mode::from_bits_truncate(0o666), makedev(1, 3))
                .doing("mknod")?;
            let bundle = Bundle::new(&["stat", "/x", "/dev/x"])?.with(|config| {
                bind_dev(config, dev.path());
                let device = |path| json!({ "path": path, "type": "c", "major": 1, "minor": 3 });
                config["linux"]["devices"] = json!([device("/x"), device("/dev/x")]);
            })?;
            let output = runtime.run_in(&bundle, &["run", "c"])?.ok()?;
            let nodes: Vec<Option<Node>> = serde_json::from_str(&output.stdout).doing("nodes")?;
            ensure_eq!(nodes[0].as_ref().map(|node| node.kind.as_str()), Some("char 1:3"));
            ensure_eq!(nodes[1], None);
            ensure_eq!(names(dev.path())?, ["null"]);
            Ok(())
        },
    },
    Case {
        name: "the default devices can be used",
        quote: "In addition to any devices configured with this setting, the runtime MUST also supply /dev/null, /dev/zero, \
                /dev/full, /dev/random, /dev/urandom, /dev/tty, /dev/ptmx (config-linux.md, Default Devices)",
        run: |runtime| {
            let changes: [(&str, Change); 4] = [
                ("a filter that denies all", |_| ()),
                ("no filter", |config| config["linux"]["resources"] = json!({})),
                ("a user namespace", with_user_namespace),
                ("a user", |config| config["process"]["user"] = json!({ "uid": 1000, "gid": 1000 })),
            ];
            rows(&changes, |change| {
                let bundle = Bundle::new(&["use-devices"])?.with(change)?;
                let output = runtime.run_in(&bundle, &["run", "c"])?.ok()?;
                let used: Value = serde_json::from_str(&output.stdout).doing("used")?;
                let want = json!({ "null": "takes all, has nothing", "zero": "zeros", "full": "zeros, No space left on \
                    device", "random": "numbers", "urandom": "numbers", "tty": "No such device or address",
                    "ptmx": "opened 0" });
                ensure_eq!(used, want);
                Ok(())
            })
        },
    },
    Case {
        name: "rules of devices apply in their order",
        quote: "The runtime MUST apply entries in the listed order (config-linux.md, Allowed Device list)",
        run: |runtime| {
            let deny_all = json!({ "allow": false, "access": "rwm" });
            let allow_all = json!({ "allow": true, "access": "rwm" });
            let rule = |allow: bool, minor: Option<i64>| {
                let mut rule = json!({ "allow": allow, "type": "c", "major": 1, "access": "rwm" });
                if let Some(minor) = minor {
                    rule["minor"] = json!(minor);
                }
                rule
            };
            // The kernel's log, which can be opened for writing without harm.
            let (one, all_of_one) = (Some(11), None);
            let orders = [
                (json!([deny_all, rule(true, one)]), true),
                (json!([rule(true, one), deny_all]), false),
                (json!([deny_all, rule(true, all_of_one), rule(false, one)]), false),
                (json!([deny_all, rule(false, one), rule(true, all_of_one)]), true),
                (json!([deny_all, rule(true, one), deny_all, allow_all]), true),
                (json!([deny_all, allow_all, deny_all]), false),
                (json!([allow_all, rule(false, one)]), false),
                (json!([rule(false, one), allow_all]), true),
            ];
            each(orders, |(rules, want)| {
                let device =
                    json!({ "path": "/dev/test", "type": "c", "major": 1, "minor": 11, "fileMode": 0o666 });
                let bundle = Bundle::new(&["write", "/dev/test", ""])?.with(|config| {
                    config["linux"]["devices"] = json!([device]);
                    config["linux"]["resources"]["devices"] = rules.clone();
                })?;
                let output = runtime.run_in(&bundle, &["run", "c"])?;
                ensure!(output.status.success() == *want, "{output}");
                Ok(())
            })
        },
    },
    Case {
        name: "the links in /dev work, also in an image's /dev",
        quote: "The runtime MUST create the following symlinks if the source file exists after processing mounts: /dev/fd, \
                /dev/stdin, /dev/stdout, /dev/stderr (runtime-linux.md, Dev symbolic links)",
        run: |runtime| {
            let changes: [(&str, Change); 3] = [
                ("a tmpfs", |_| ()),
                ("the image's", |config| {
                    with_image_dev(config);
                    config["root"]["readonly"] = json!(false);
                }),
                ("a user namespace", with_user_namespace),
            ];
            rows(&changes, |change| {
                let bundle = Bundle::new(&["report"])?.with(change)?;
                let report = runtime.report(&bundle)?;
                has_links(&report)?;
                let input = bundle.path().join("input");
                fs::write(&input, "text").doing("write")?;
                for path in ["/dev/stdin", "/dev/fd/0"] {
                    let bundle = Bundle::new(&["cat", path])?.with(change)?;
                    let mut command = runtime.command(&["run", "c"]);
                    command.current_dir(bundle.path()).stdin(fs::File::open(&input).doing("open")?);
                    ensure_eq!(conformance::runtime::finish(command)?.ok()?.stdout, "text");
                }
                Ok(())
            })
        },
    },
];

/// A block device with a file system that has a file `mark`.
struct Disk {
    device: String,
    _dir: tempfile::TempDir,
}

impl Disk {
    fn new() -> Result<Self> {
        let dir = tempfile::tempdir().doing("temporary directory")?;
        let (image, content) = (dir.path().join("image"), dir.path().join("content"));
        fs::create_dir(&content).doing("mkdir")?;
        fs::write(content.join("mark"), "on the disk").doing("write")?;
        let file = fs::File::create(&image).doing("create")?;
        file.set_len(2 << 20).doing("ftruncate")?;
        let mut make = Command::new("mke2fs");
        output(make.args(["-q", "-t", "ext2", "-d"]).arg(&content).arg(&image))?;
        let device = output(Command::new("losetup").args(["--find", "--show"]).arg(&image))?;
        Ok(Disk { device: device.trim().to_owned(), _dir: dir })
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _detached = output(Command::new("losetup").args(["--detach", &self.device]));
    }
}

fn output(command: &mut Command) -> Result<String> {
    let output = command.output().doing(&format!("{command:?}"))?;
    ensure!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Adds devices that the host does not have, or has with other properties.
fn described_devices(config: &mut Value) {
    config["linux"]["devices"] = json!([
        { "path": "/dev/not-on-the-host", "type": "c", "major": 1, "minor": 5, "fileMode": 0o640, "uid": 7, "gid": 8 },
        // The host has the kernel's log at this path.
        { "path": "/dev/kmsg", "type": "c", "major": 1, "minor": 3 },
        { "path": "/tmp/b", "type": "b", "major": 7, "minor": 99, "fileMode": 0o600 },
    ]);
    config["linux"]["resources"]["devices"] = json!([{ "allow": true, "access": "rwm" }]);
    if let Some(mounts) = config["mounts"].as_array_mut() {
        mounts.push(json!({ "destination": "/tmp", "type": "tmpfs", "source": "tmpfs" }));
    }
}

/// Checks the output of `probe stat` for the devices of [`described_devices`].
fn has_described_devices(output: &Output) -> Result {
    let nodes: Vec<Option<Node>> = serde_json::from_str(&output.stdout).doing("stat")?;
    let node = |kind: &str, mode, owner| Some(Node { kind: kind.to_owned(), mode, owner });
    let expected =
        [node("char 1:5", 0o640, (7, 8)), node("char 1:3", 0o666, (0, 0)), node("block 7:99", 0o600, (0, 0))];
    ensure_eq!(nodes, expected);
    Ok(())
}

/// Checks that nothing is made or removed in a volume. `link` of the image leads to `target`;
/// `change` adds the volume.
fn untouched(runtime: &Runtime, link: &str, target: &str, change: impl FnOnce(&mut Value, &Path)) -> Result {
    let volume = tempfile::tempdir().doing("temporary directory")?;
    for name in ["mine", "ptmx"] {
        fs::write(volume.path().join(name), "").doing("write")?;
    }
    let bundle = Bundle::new(&["exit", "0"])?.with(|config| change(config, volume.path()))?;
    fs::create_dir(bundle.rootfs("volume")).doing("mkdir")?;
    if link == "dev" {
        fs::remove_dir(bundle.rootfs("dev")).doing("rmdir")?;
    }
    symlink(target, bundle.rootfs(link)).doing("symlink")?;
    // The container may fail.
    let _either = runtime.run_in(&bundle, &["run", "c"])?;
    ensure_eq!(names(volume.path())?, ["mine", "ptmx"]);
    for name in ["mine", "ptmx"] {
        let meta = fs::symlink_metadata(volume.path().join(name)).doing("stat")?;
        ensure!(meta.is_file(), "{name} is another one: {meta:?}");
    }
    Ok(())
}

fn bind_volume(config: &mut Value, volume: &Path, destination: &str) {
    push(config, json!({ "destination": destination, "source": volume, "options": ["rbind"] }));
}

/// Lists the names in a directory, sorted.
fn names(dir: &Path) -> Result<Vec<String>> {
    let entries = fs::read_dir(dir).doing("read")?.flatten();
    let mut names: Vec<_> = entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    Ok(names)
}
