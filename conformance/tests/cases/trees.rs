// SPDX-License-Identifier: Apache-2.0
//! Trees of mounts that cross from the host into a container: locked mounts, the meaning of a
//! source's path, and large numbers.

use crate::support::Case;
use conformance::change::{UserNamespace, push, with_user_namespace};
use conformance::{Bundle, Doing, Mounted, Output, Report, Result, Runtime, Volume, each, ensure, ensure_eq};
use nix::mount::MsFlags;
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

pub(crate) const CASES: &[Case] = &[
    Case {
        name: "a read-only source stays read-only in a user namespace",
        quote: "when creating a less privileged mount namespace, the flags read-only, nosuid, noexec and nodev become \
                locked, and cannot be changed separately (mount_namespaces(7), Restrictions on mount namespaces)",
        run: |runtime| each(UserNamespace::ALL, |&user| stays_read_only(runtime, user)),
    },
    Case {
        name: "a read-only source stays read-only in an existing mount namespace",
        quote: "when creating a less privileged mount namespace, the flags read-only, nosuid, noexec and nodev become \
                locked, and cannot be changed separately (mount_namespaces(7), Restrictions on mount namespaces)",
        run: |runtime| stays_read_only(runtime, UserNamespace::JoinedWithMounts),
    },
    Case {
        name: "a read-only rootfs stays read-only in a user namespace",
        quote: "when creating a less privileged mount namespace, the flags read-only, nosuid, noexec and nodev become \
                locked, and cannot be changed separately (mount_namespaces(7), Restrictions on mount namespaces)",
        run: |runtime| {
            each(UserNamespace::ALL, |&user| {
                let words = ["write-read-only", "/", "/tmp", "etc/passwd", "theirs"];
                let bundle = Bundle::new(&words)?.with(|config| config["root"]["readonly"] = json!(false))?;
                let (rootfs, passwd) = (bundle.rootfs(""), bundle.rootfs("etc/passwd"));
                fs::set_permissions(&passwd, fs::Permissions::from_mode(0o666)).doing("chmod")?;
                let _readonly = Mounted::bind(&rootfs, &rootfs)?.with(MsFlags::MS_RDONLY)?;
                let output = user.run_in(runtime, bundle)?;
                ensure!(output.stderr.contains("the flags are locked"), "{output}");
                ensure!(fs::read_to_string(passwd).doing("read")?.starts_with("root:"), "written: {output}");
                Ok(())
            })
        },
    },
    Case {
        name: "a covered directory stays covered in a user namespace",
        quote: "mounts that come as a single unit from a more privileged mount namespace are locked together and may not \
                be separated in a less privileged one: it might reveal what is underneath (mount_namespaces(7), \
                Restrictions on mount namespaces)",
        run: |runtime| {
            each(UserNamespace::ALL, |&user| {
                let volume = Volume::new()?;
                let below = volume.path.join("below");
                fs::create_dir(&below).doing("mkdir")?;
                fs::write(below.join("secret"), "secret").doing("write")?;
                let _cover = Mounted::tmpfs(&below)?;
                let words = ["read-covered", "/volume/below", "/tmp", "secret"];
                let output = run_as(user, runtime, &words, |config| bind(config, &volume.path, "/volume"))?;
                ensure!(output.stderr.contains("the mount is locked"), "{output}");
                Ok(())
            })
        },
    },
    Case {
        name: "mounts in a user namespace with a shared root stay there",
        quote: "the propagation of shared mounts becomes that of slaves when the new mount namespace is less privileged: \
                mappings performed in less privileged mount namespaces do not propagate to more privileged ones \
                (mount_namespaces(7), Restrictions on mount namespaces)",
        run: |runtime| {
            each(UserNamespace::ALL, |&user| {
                let volume = Volume::new()?;
                let (dir, below) = (volume.path.join("dir"), volume.path.join("below"));
                for dir in [&dir, &below] {
                    fs::create_dir(dir).doing("mkdir")?;
                }
                let _below = Mounted::tmpfs(&below)?;
                fs::write(below.join("file"), "").doing("write")?;
                fs::write(dir.join("file"), "").doing("write")?;
                volume.mounted.share()?;
                let options: [&[&str]; 2] = [&["rbind"], &["rbind", "rshared"]];
                each(options, |options| {
                    let words = ["mount-tmpfs", "/volume/dir", "umount", "/volume/below", "report"];
                    let output = run_as(user, runtime, &words, |config| {
                        config["linux"]["rootfsPropagation"] = json!("shared");
                        let source = &volume.path;
                        push(
                            config,
                            json!({ "destination": "/volume", "source": source, "options": options }),
                        );
                    })?;
                    ensure!(
                        dir.join("file").exists(),
                        "a mount of the container covers the host's: {output}"
                    );
                    ensure!(below.join("file").exists(), "the container has unmounted the host's: {output}");
                    Ok(())
                })
            })
        },
    },
    Case {
        name: "a shared volume in a user namespace is shared again",
        quote: "shared: mounts in this group propagate to each other (config-linux.md, Rootfs Mount Propagation)",
        run: |runtime| {
            let volume = Volume::new()?;
            volume.mounted.share()?;
            let bundle = bundle(&["report"])?.with(|config| {
                with_user_namespace(config);
                config["linux"]["rootfsPropagation"] = json!("shared");
                let options = ["rbind", "rshared"];
                push(config, json!({ "destination": "/volume", "source": volume.path, "options": options }));
            })?;
            let report = runtime.report(&bundle)?;
            let fields = &report.mount("/volume").ok_or("no mount")?.propagation;
            for kind in ["shared:", "master:"] {
                ensure!(fields.iter().any(|field| field.starts_with(kind)), "not {kind}: {fields:?}");
            }
            Ok(())
        },
    },
    Case {
        name: "a source may be out of the user namespace's reach",
        quote: "runc: sources are opened with the rights of the runtime, as for Kubernetes volumes below /var/lib/kubelet",
        run: |runtime| {
            each(UserNamespace::ALL, |&user| {
                let outer = tempfile::tempdir().doing("temporary directory")?;
                fs::set_permissions(outer.path(), fs::Permissions::from_mode(0o700)).doing("chmod")?;
                let inner = outer.path().join("volume");
                fs::create_dir(&inner).doing("mkdir")?;
                fs::write(inner.join("file"), "text").doing("write")?;
                for mode in [0o755, 0o700] {
                    fs::set_permissions(&inner, fs::Permissions::from_mode(mode)).doing("chmod")?;
                    let file = inner.join("file");
                    let output = run_as(user, runtime, &["cat", "/file"], |config| {
                        bind(config, &inner, "/volume");
                        bind(config, &file, "/file");
                    })?;
                    ensure_eq!(output.ok()?.stdout, "text");
                }
                Ok(())
            })
        },
    },
    Case {
        name: "a rootfs may be out of the user namespace's reach, also with hooks",
        quote: "engines keep layers where only root has access, as below /var/lib, and root of the host may \
                mount them (with a hook of create, runc and crun refuse such a rootfs)",
        run: |runtime| {
            // During createRuntime hooks the rootfs is mounted at the path of config.json.
            let outer = tempfile::tempdir().doing("temporary directory")?;
            fs::set_permissions(outer.path(), fs::Permissions::from_mode(0o700)).doing("chmod")?;
            let bundle = bundle(&["report"])?;
            let root = outer.path().join("rootfs");
            fs::rename(bundle.rootfs(""), &root).doing("rename")?;
            let bundle = bundle.with(|config| {
                with_user_namespace(config);
                config["root"]["path"] = json!(root);
                config["hooks"] = json!({ "createRuntime": [{ "path": "/bin/true" }] });
            })?;
            ensure_eq!(runtime.report(&bundle)?.uids, [0; 4]);
            Ok(())
        },
    },
    Case {
        name: "a source in the rootfs is never the kernel's view of the host",
        quote: "CVE-2019-16884, CVE-2025-52881 and similar ones: a link of the image makes the source of a bind \
                mount procfs or sysfs, without masks",
        run: |runtime| {
            let targets = ["/proc", "/proc/sys", "/sys", "/sys/fs", "/proc/self/root/proc/sys", "/"];
            each(
                targets.iter().flat_map(|target| Spelling::ALL.map(|spelling| (*target, spelling))),
                |&(target, spelling)| {
                    let bundle = bundle(&["report"])?;
                    symlink(target, bundle.rootfs("data")).doing("symlink")?;
                    let source = spelling.source(&bundle)?;
                    let bundle = bundle.with(|config| bind(config, &source.path, "/volume"))?;
                    let output = runtime.run_in(&bundle, &["run", "c"])?;
                    // The container may be refused.
                    let Ok(report) = serde_json::from_str::<Report>(&output.stdout) else { return Ok(()) };
                    let there = report.mounts.iter().filter(|mount| mount.target.starts_with("/volume"));
                    let bare: Vec<_> =
                        there.filter(|mount| ["proc", "sysfs"].contains(&&*mount.fstype)).collect();
                    ensure!(bare.is_empty(), "{bare:?}");
                    Ok(())
                },
            )
        },
    },
    Case {
        name: "a source in the rootfs comes with the mounts below it",
        quote: "bind: bind mount; rbind: recursive bind mount (config.md, Linux mount options)",
        run: |runtime| {
            let bundle = bundle(&["report"])?;
            fs::create_dir(bundle.rootfs("data")).doing("mkdir")?;
            let source = bundle.rootfs("data");
            let bundle = bundle.with(|config| {
                push(config, json!({ "destination": "/data/below", "type": "tmpfs", "source": "t" }));
                push(config, json!({ "destination": "/volume", "source": source, "options": ["rbind"] }));
            })?;
            let report = runtime.report(&bundle)?;
            for target in ["/volume", "/volume/below"] {
                ensure!(report.mount(target).is_some(), "no mount {target}: {:?}", report.mounts);
            }
            Ok(())
        },
    },
    Case {
        name: "a source in the rootfs is not led out by the image's links",
        quote: "CVE-2024-45310 and similar ones: a link of the image is followed in the host's root",
        run: |runtime| {
            each(Spelling::ALL, |&spelling| {
                let outside = Volume::new()?;
                let bundle = bundle(&["cat", "/volume/file"])?;
                symlink(&outside.path, bundle.rootfs("data")).doing("symlink")?;
                let source = spelling.source(&bundle)?;
                let bundle = bundle.with(|config| bind(config, &source.path, "/volume"))?;
                let output = runtime.run_in(&bundle, &["run", "c"])?;
                ensure!(!output.stdout.contains("ours"), "the host's file: {output}");
                Ok(())
            })
        },
    },
    Case {
        name: "a source beside the rootfs is the host's",
        quote: "source: a device name, but can also be a file or directory name for bind mounts (config.md, Mounts)",
        run: |runtime| {
            let bundle = bundle(&["cat", "/volume/file"])?;
            fs::create_dir(bundle.path().join("data")).doing("mkdir")?;
            fs::write(bundle.path().join("data/file"), "text").doing("write")?;
            symlink("data", bundle.path().join("link")).doing("symlink")?;
            let bundle = std::cell::RefCell::new(Some(bundle));
            each(["data", "rootfs/../data", "link", "rootfs/etc/../../link", "data/../link/."], |&source| {
                let changed = bundle.take().ok_or("no bundle")?.with(|config| {
                    if let Some(mounts) = config["mounts"].as_array_mut() {
                        mounts.retain(|mount| mount["destination"] != "/volume");
                    }
                    bind(config, Path::new(source), "/volume");
                })?;
                let output = runtime.run_in(&changed, &["run", "c"]);
                bundle.replace(Some(changed));
                ensure_eq!(output?.ok()?.stdout, "text");
                Ok(())
            })
        },
    },
    Case {
        name: "a link of the image does not undo the options of another mount",
        quote: "ro: the mount is read-only (mount(8)); a link of the image makes it the source of another, writable one",
        run: |runtime| {
            each([&["rbind", "rw"], &["rbind", "rrw"]], |options| {
                let outside = Volume::new()?;
                let bundle = bundle(&["write", "/volume/file", "theirs"])?;
                fs::create_dir(bundle.rootfs("readonly")).doing("mkdir")?;
                symlink("/readonly", bundle.rootfs("data")).doing("symlink")?;
                let source = bundle.rootfs("data");
                let bundle = bundle.with(|config| {
                    let mount = |destination: &str, source: &Path, options: &[&str]| {
                        json!({ "destination": destination, "source": source, "options": options })
                    };
                    push(config, mount("/readonly", &outside.path, &["rbind", "ro"]));
                    push(config, mount("/volume", &source, *options));
                })?;
                let output = runtime.run_in(&bundle, &["run", "c"])?;
                ensure_eq!(fs::read_to_string(outside.path.join("file")).doing("read")?, "ours");
                ensure!(!output.status.success(), "{output}");
                Ok(())
            })
        },
    },
    Case {
        name: "nothing of the rootfs is mounted on /proc",
        quote: "CVE-2019-19921: writes to /proc go to files of the image",
        run: |runtime| {
            each(["data", "."], |&source| {
                let bundle = bundle(&["exit", "0"])?;
                fs::create_dir(bundle.rootfs("data")).doing("mkdir")?;
                let source = bundle.rootfs(source);
                let bundle = bundle.with(|config| {
                    if let Some(mounts) = config["mounts"].as_array_mut() {
                        mounts.retain(|mount| mount["destination"] != "/proc");
                    }
                    config["linux"]["maskedPaths"] = json!([]);
                    config["linux"]["readonlyPaths"] = json!([]);
                    bind(config, &source, "/proc");
                })?;
                runtime.run_in(&bundle, &["run", "c"])?.failed().map(drop)
            })
        },
    },
    Case {
        name: "more mounts than descriptors can be made",
        quote: "runc#5177, #5007: 300 bind mounts with a soft limit of 256 descriptors, 1,100 with a hard limit of 1,024",
        run: |runtime| {
            each([("256:1024", 300), ("1024:1024", 1400)], |&(limit, count)| {
                many(runtime, limit, count, |_| ())
            })
        },
    },
    Case {
        name: "more read-only file systems than descriptors can be made",
        quote: "runc#5177, #5007: 300 mounts with a soft limit of 256 descriptors",
        run: |runtime| {
            let bundle = Bundle::new(&["report"])?.with(|config| {
                config["root"]["readonly"] = json!(false);
                // The mount points are made while the file system is writable.
                for destination in (0..300).flat_map(|i| [format!("/m{i}"), format!("/m{i}/below")]) {
                    push(config, json!({ "destination": destination, "type": "tmpfs", "options": ["ro"] }));
                }
            })?;
            let report = limited(runtime, "256:1024", &bundle)?;
            let made = report.mounts.iter().filter(|mount| mount.target.starts_with("/m"));
            ensure_eq!(made.filter(|mount| mount.options.iter().any(|option| option == "ro")).count(), 600);
            Ok(())
        },
    },
    Case {
        name: "a file system on the root can be read-only",
        quote: "`ro`: the filesystem is mounted read-only (config.md, Linux mount options), here at the destination \"/\"",
        run: |runtime| {
            let program = tempfile::tempdir().doing("temporary directory")?;
            fs::copy(conformance::bundle::probe(), program.path().join("probe")).doing("copy")?;
            let bundle = Bundle::new(&["report"])?.with(|config| {
                config["root"]["readonly"] = json!(false);
                config["process"]["args"][0] = json!("/program/probe");
                let root = json!({ "destination": "/", "type": "tmpfs", "source": "t", "options": ["ro"] });
                if let Some(mounts) = config["mounts"].as_array_mut() {
                    mounts.insert(0, root);
                }
                bind(config, program.path(), "/program");
            })?;
            let options = &runtime.report(&bundle)?.mount("/").ok_or("no root")?.options.clone();
            ensure!(options.iter().any(|option| option == "ro"), "{options:?}");
            Ok(())
        },
    },
    Case {
        name: "more mounts than descriptors can be made in a user namespace",
        quote: "runc#5177, #5007: 300 bind mounts with a soft limit of 256 descriptors, 1,100 with a hard limit of 1,024",
        run: |runtime| {
            each([("256:1024", 300), ("1024:1024", 1400)], |&(limit, count)| {
                many(runtime, limit, count, with_user_namespace)
            })
        },
    },
];

/// Makes a container with `count` bind mounts, by a caller with this limit of descriptors. Some are
/// of files, some by links, some from the rootfs, some id-mapped.
fn many(runtime: &Runtime, limit: &str, count: usize, change: impl FnOnce(&mut Value)) -> Result {
    let volume = Volume::new()?;
    let bundle = Bundle::new(&["report"])?;
    symlink(&volume.path, bundle.path().join("link")).doing("symlink")?;
    for i in 0..count {
        let target = bundle.rootfs(&format!("m{i}"));
        match i % 5 {
            1 => fs::write(target, "").doing("write")?,
            _ => fs::create_dir(target).doing("mkdir")?,
        }
    }
    let bundle = bundle.with(|config| {
        for i in 0..count {
            let (source, options) = match i % 5 {
                0 => (volume.path.clone(), json!(["rbind"])),
                1 => (volume.path.join("file"), json!(["bind", "ro"])),
                2 => (PathBuf::from("link"), json!(["bind"])),
                3 => (PathBuf::from("rootfs/etc"), json!(["bind"])),
                _ => (volume.path.clone(), json!(["bind"])),
            };
            let mut mount = json!({ "destination": format!("/m{i}"), "source": source, "options": options });
            if i % 5 == 4 {
                let map = json!([{ "containerID": 0, "hostID": 100_000, "size": 65_536 }]);
                mount["uidMappings"] = map.clone();
                mount["gidMappings"] = map;
            }
            push(config, mount);
        }
        change(config);
    })?;
    let report = limited(runtime, limit, &bundle)?;
    let made = report.mounts.iter().filter(|mount| mount.target.starts_with("/m")).count();
    ensure_eq!(made, count);
    Ok(())
}

/// Runs the probe, by a caller with this limit of descriptors.
fn limited(runtime: &Runtime, limit: &str, bundle: &Bundle) -> Result<Report> {
    let mut command = std::process::Command::new("prlimit");
    command.arg(format!("--nofile={limit}")).arg(runtime.program());
    command.arg("--root").arg(runtime.root()).args(["run", "c"]).current_dir(bundle.path());
    let output = conformance::runtime::finish(command)?.ok()?;
    serde_json::from_str(&output.stdout).doing("the probe's report")
}

/// The path of the directory `data` in the rootfs.
#[derive(Clone, Copy, Debug)]
enum Spelling {
    Plain,
    Climbing,
    ByLink,
    /// A link to a path in the rootfs.
    ByLinkBelow,
    /// A path in another mount of the rootfs.
    ByMount,
}

/// A source, and the objects that keep it.
struct SourceName {
    path: PathBuf,
    _mounted: Option<(Mounted, tempfile::TempDir)>,
}

impl Spelling {
    const ALL: [Spelling; 5] =
        [Spelling::Plain, Spelling::Climbing, Spelling::ByLink, Spelling::ByLinkBelow, Spelling::ByMount];

    fn source(self, bundle: &Bundle) -> Result<SourceName> {
        let link = bundle.path().join("link");
        let mut mounted = None;
        let path = match self {
            Spelling::Plain => bundle.rootfs("data"),
            Spelling::Climbing => bundle.rootfs("../rootfs/data"),
            Spelling::ByLink => {
                symlink(bundle.rootfs(""), &link).doing("symlink")?;
                link.join("data")
            }
            Spelling::ByLinkBelow => {
                symlink(bundle.rootfs("data"), &link).doing("symlink")?;
                link
            }
            Spelling::ByMount => {
                let dir = tempfile::tempdir().doing("temporary directory")?;
                let path = dir.path().join("data");
                mounted = Some((Mounted::bind(&bundle.rootfs(""), dir.path())?, dir));
                path
            }
        };
        Ok(SourceName { path, _mounted: mounted })
    }
}

fn stays_read_only(runtime: &Runtime, user: UserNamespace) -> Result {
    let volume = Volume::new()?.restricted()?;
    let words = ["write-read-only", "/volume", "/tmp", "file", "theirs"];
    let output = run_as(user, runtime, &words, |config| bind(config, &volume.path, "/volume"))?;
    ensure!(output.stderr.contains("the flags are locked"), "{output}");
    ensure_eq!(fs::read_to_string(volume.path.join("file")).doing("read")?, "ours");
    Ok(())
}

/// Runs the probe as root of the user namespace, with CAP_SYS_ADMIN.
fn run_as(
    user: UserNamespace,
    runtime: &Runtime,
    words: &[&str],
    change: impl FnOnce(&mut Value),
) -> Result<Output> {
    user.run_in(runtime, bundle(words)?.with(change)?)
}

/// Makes a bundle with mount points that root of a user namespace could not make.
fn bundle(words: &[&str]) -> Result<Bundle> {
    let bundle = Bundle::new(words)?;
    fs::create_dir(bundle.rootfs("volume")).doing("mkdir")?;
    fs::write(bundle.rootfs("file"), "").doing("write")?;
    Ok(bundle)
}

fn bind(config: &mut Value, source: &Path, destination: &str) {
    push(config, json!({ "destination": destination, "source": source, "options": ["rbind"] }));
}
