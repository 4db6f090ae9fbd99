// SPDX-License-Identifier: Apache-2.0
//! config.md, "Mounts": every option, trees of mounts, propagation, id mappings.

use crate::support::{Case, refused};
use conformance::Mounted;
use conformance::change::{push, with_user_namespace};
use conformance::report::{Mount, Node};
use conformance::{Bundle, Doing, Result, Runtime, each, ensure, ensure_eq};
use nix::mount::MsFlags;
use serde_json::{Value, json};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

pub(crate) const CASES: &[Case] = &[
    Case {
        name: "a new file system has its options",
        quote: "Runtimes MUST implement the following option strings for Linux: `async`, `atime`, `dev`, \
                `diratime`, `dirsync`, `exec`, `iversion`, `lazytime`, `loud`, `noatime`, `nodev`, `nodiratime`, \
                `noexec`, `noiversion`, `nolazytime`, `norelatime`, `nostrictatime`, `nosuid`, `relatime`, `ro`, \
                `rw`, `silent`, `strictatime`, `suid`, `sync` (config.md, Linux mount options)",
        run: |runtime| rows(runtime, OF_A_FILE_SYSTEM, tmpfs),
    },
    Case {
        name: "the option defaults changes no flag",
        quote: "Runtimes MUST implement the following option strings for Linux: `defaults` (config.md, Linux mount \
                options)",
        run: |runtime| {
            rows(runtime, &[(&["defaults"], &["rw"], &["ro", "nosuid", "nodev", "noexec"])], tmpfs)
        },
    },
    Case {
        name: "nosymfollow forbids links",
        quote: "Runtimes SHOULD implement `nosymfollow` and `symfollow` (config.md, Linux mount options, since 1.1)",
        run: |runtime| {
            let both: &[Row] = &[
                (&["nosymfollow"], &["nosymfollow"], &[]),
                (&["nosymfollow", "symfollow"], &[], &["nosymfollow"]),
            ];
            rows(runtime, both, tmpfs)
        },
    },
    Case {
        name: "a bind mount has its options",
        quote: "`bind`: bind mount; `ro`, `nosuid`, `nodev`, `noexec`, `noatime`, `nodiratime`, `strictatime`: \
                corresponds to mount(8) (config.md, Linux mount options)",
        run: |runtime| {
            let source = tempfile::tempdir().doing("temporary directory")?;
            rows(runtime, OF_A_BIND_MOUNT, |options| bind("bind", source.path(), options))
        },
    },
    Case {
        name: "rbind includes the mounts below, and bind does not",
        quote: "`rbind`: recursive bind mount (config.md, Linux mount options)",
        run: |runtime| {
            let tree = Tree::new()?;
            for (option, want) in [("bind", None), ("rbind", Some("tmpfs"))] {
                let mounts = mounts(runtime, &[bind(option, tree.path(), &[])])?;
                let below = mounts.iter().find(|mount| mount.target == "/m0/below");
                ensure!(below.map(|mount| mount.fstype.as_str()) == want, "{option}: {below:?}");
            }
            Ok(())
        },
    },
    Case {
        name: "recursive options hold for the mounts below",
        quote: "Runtimes SHOULD implement `rro`, `rrw`, `rnosuid`, `rsuid`, `rnodev`, `rdev`, `rnoexec`, `rexec`, \
                `rnodiratime`, `rdiratime`, `rnosymfollow`, `rsymfollow`: these AT_RECURSIVE options need kernel 5.12 \
                or later (config.md, Linux mount options, since 1.1)",
        run: |runtime| recursive(runtime, &Tree::new()?, RECURSIVE),
    },
    Case {
        name: "recursive access times hold for the mounts below",
        quote: "Runtimes SHOULD implement `rnoatime`, `ratime`, `rrelatime`, `rnorelatime`, `rstrictatime`, \
                `rnostrictatime`: recursive `noatime` and so on (config.md, Linux mount options, since 1.1)",
        run: |runtime| {
            recursive(runtime, &Tree::new()?, RECURSIVE_ATIME)?;
            recursive(runtime, &Tree::new()?.without_atime()?, RECURSIVE_ATIME_AGAIN)
        },
    },
    Case {
        name: "a mount has its propagation",
        quote: "Runtimes MUST implement `private`, `shared`, `slave`, `unbindable`, `rprivate`, `rshared`, `rslave`, \
                `runbindable`: bind mount propagation (config.md, Linux mount options)",
        run: |runtime| {
            let tree = Tree::new()?;
            tree.share()?;
            let all = [
                ("private", "", None),
                ("shared", "shared", None),
                ("slave", "master", None),
                // Slave is the default.
                ("shared,slave", "master", None),
                ("unbindable", "unbindable", None),
                ("rprivate", "", Some("")),
                ("rshared", "shared", Some("shared")),
                ("rslave", "master", Some("master")),
                ("rshared,rslave", "master", Some("master")),
                ("runbindable", "unbindable", Some("unbindable")),
            ];
            each(all, |&(option, own, below)| {
                let options: Vec<_> = option.split(',').collect();
                let mounts = mounts(runtime, &[bind("rbind", tree.path(), &options)])?;
                let of = |target: &str| mounts.iter().find(|m| m.target == target).map(propagation);
                ensure!(of("/m0").as_deref() == Some(own), "{option}: {:?}", of("/m0"));
                if let Some(below) = below {
                    ensure!(of("/m0/below").as_deref() == Some(below), "{option}: {:?}", of("/m0/below"));
                }
                Ok(())
            })
        },
    },
    Case {
        name: "the root has its propagation",
        quote: "rootfsPropagation sets the rootfs's mount propagation. Its value is either `shared`, `slave`, `private` \
                or `unbindable` (config-linux.md, Rootfs Mount Propagation)",
        run: |runtime| {
            let all =
                [("shared", "shared"), ("slave", "master"), ("private", ""), ("unbindable", "unbindable")];
            each(all, |&(value, want)| {
                let bundle =
                    Bundle::new(&["report"])?.with(|c| c["linux"]["rootfsPropagation"] = json!(value))?;
                // A mount can only be a slave of a shared mount of the host.
                let _shared = Mounted::bind(&bundle.rootfs(""), &bundle.rootfs(""))?.shared()?;
                let report = runtime.report(&bundle)?;
                let got = report.mount("/").map(propagation);
                ensure!(got.as_deref() == Some(want), "{value}: {got:?}");
                Ok(())
            })?;
            refused(runtime, |config| config["linux"]["rootfsPropagation"] = json!("everywhere"))
        },
    },
    Case {
        name: "remount changes the flags of a mount",
        quote: "Runtimes MUST implement `remount` (config.md, Linux mount options): it changes the flags of what is \
                mounted there, as mount(8)",
        run: |runtime| {
            let again = |options: Value| json!({ "destination": "/m0", "type": "none", "options": options });
            let list = [tmpfs(&["nosuid"]), again(json!(["remount", "bind", "ro", "noexec"]))];
            let bundle = Bundle::new(&["report"])?.with(|config| {
                for mut mount in list {
                    mount["destination"] = json!("/m0");
                    push(config, mount);
                }
            })?;
            let report = runtime.report(&bundle)?;
            let all: Vec<_> = report.mounts.iter().filter(|mount| mount.target == "/m0").collect();
            ensure_eq!(all.len(), 1);
            for option in ["ro", "noexec"] {
                ensure!(all[0].options.iter().any(|o| o == option), "no {option}: {:?}", all[0]);
            }
            Ok(())
        },
    },
    Case {
        name: "unknown options go to the file system",
        quote: "Runtimes SHOULD treat unknown options as filesystem-specific ones and pass those as a comma-separated \
                string to the fifth (const void *data) argument of mount(2) (config.md, Linux mount options)",
        run: |runtime| {
            let options = &["size=64k", "mode=700", "nr_inodes=10"];
            rows(runtime, &[(options, options, &[])], tmpfs)?;
            refused(runtime, |config| push(config, at(0, tmpfs(&["nonsense"]))))
        },
    },
    Case {
        name: "a relative destination begins at the root",
        quote: "For compatibility with old tools and configurations, it MAY be a relative path, in which case it MUST be \
                interpreted as relative to \"/\" (config.md, Mounts)",
        run: |runtime| {
            let bundle = Bundle::new(&["report"])?.with(|config| {
                push(config, json!({ "destination": "tmp/here", "type": "tmpfs", "source": "tmpfs" }));
                config["process"]["cwd"] = json!("/etc");
            })?;
            ensure!(runtime.report(&bundle)?.mount("/tmp/here").is_some(), "not at /tmp/here");
            Ok(())
        },
    },
    Case {
        name: "the later of two mounts at one place is on top",
        quote: "The runtime MUST mount entries in the listed order (config.md, Mounts)",
        run: |runtime| {
            let (lower, upper) =
                (tempfile::tempdir().doing("tempdir")?, tempfile::tempdir().doing("tempdir")?);
            std::fs::write(lower.path().join("lower"), "").doing("write")?;
            std::fs::write(upper.path().join("upper"), "").doing("write")?;
            let bundle = Bundle::new(&["stat", "/tmp/lower", "/tmp/upper"])?.with(|config| {
                for dir in [&lower, &upper] {
                    let mount = json!({ "destination": "/tmp", "source": dir.path(), "options": ["bind"] });
                    push(config, mount);
                }
            })?;
            let nodes = stat(runtime, &bundle)?;
            ensure!(nodes[0].is_none() && nodes[1].is_some(), "{nodes:?}");
            Ok(())
        },
    },
    Case {
        name: "a relative source begins at the bundle",
        quote: "Path values for bind mounts are either absolute or relative to the bundle (config.md, Mounts)",
        run: |runtime| {
            let bundle = Bundle::new(&["cat", "/tmp/file"])?.with(|config| {
                push(config, json!({ "destination": "/tmp", "source": "data", "options": ["bind"] }));
            })?;
            std::fs::create_dir(bundle.path().join("data")).doing("mkdir")?;
            std::fs::write(bundle.path().join("data/file"), "text").doing("write")?;
            // From any working directory of the caller.
            let mut command =
                runtime.command(&["run", "--bundle", &bundle.path().display().to_string(), "c"]);
            command.current_dir("/");
            ensure_eq!(conformance::runtime::finish(command)?.ok()?.stdout, "text");
            Ok(())
        },
    },
    Case {
        name: "a file can be mounted on a file",
        quote: "source: a device name, but can also be a file or directory name for bind mounts (config.md, Mounts)",
        run: |runtime| {
            let file = tempfile::NamedTempFile::new().doing("temporary file")?;
            std::fs::write(file.path(), "text").doing("write")?;
            let bundle = Bundle::new(&["cat", "/etc/new/file"])?.with(|config| {
                let mount = json!({ "destination": "/etc/new/file", "type": "none", "source": file.path(),
                    "options": ["rbind", "ro"] });
                push(config, mount);
            })?;
            ensure_eq!(runtime.run_in(&bundle, &["run", "c"])?.ok()?.stdout, "text");
            Ok(())
        },
    },
    Case {
        name: "tmpcopyup copies the directory below into the tmpfs",
        quote: "Runtimes MAY implement `tmpcopyup`: copy up the contents to a tmpfs (config.md, Linux mount options)",
        run: |runtime| {
            let bundle = Bundle::new(&["cat", "/m0/below/file"])?.with(|config| {
                push(config, at(0, tmpfs(&["tmpcopyup"])));
            })?;
            std::fs::create_dir_all(bundle.rootfs("m0/below")).doing("mkdir")?;
            std::fs::write(bundle.rootfs("m0/below/file"), "text").doing("write")?;
            ensure_eq!(runtime.run_in(&bundle, &["run", "c"])?.ok()?.stdout, "text");
            Ok(())
        },
    },
    Case {
        name: "a tmpfs may have a device as its source",
        quote: "source: a device name, but can also be a file or directory name for bind mounts or a dummy (config.md, \
                Mounts)",
        run: |runtime| {
            let bundle = Bundle::new(&["cat", "/m0/file"])?;
            let device = bundle.path().join("device");
            nix::sys::stat::mknod(
                &device,
                nix::sys::stat::SFlag::S_IFBLK,
                nix::sys::stat::Mode::empty(),
                nix::sys::stat::makedev(7, 0),
            )
            .doing("mknod")?;
            let bundle = bundle.with(|config| {
                let options = ["tmpcopyup"];
                let mount = json!({ "type": "tmpfs", "source": device, "options": options });
                push(config, at(0, mount));
            })?;
            std::fs::create_dir(bundle.rootfs("m0")).doing("mkdir")?;
            std::fs::write(bundle.rootfs("m0/file"), "text").doing("write")?;
            ensure_eq!(runtime.run_in(&bundle, &["run", "c"])?.ok()?.stdout, "text");
            Ok(())
        },
    },
    Case {
        name: "a mount has its id mappings",
        quote: "`idmap`: indicates that the mount MUST have an idmapping applied. If `uidMappings` or `gidMappings` are \
                specified for the mount, the runtime MUST use those values for the mount's mapping (config.md, Linux \
                mount options, since 1.2)",
        run: |runtime| {
            let tree = Tree::new()?;
            let bundle = mapped(&tree, json!(["rbind", "idmap"]), true)?;
            let nodes = stat(runtime, &bundle)?;
            ensure_eq!(nodes[0].as_ref().map(|node| node.owner), Some((100_000, 200_000)));
            // The mount below is not id-mapped.
            ensure_eq!(nodes[1].as_ref().map(|node| node.owner), Some((0, 0)));
            idmapped(runtime, bundle, [true, false])?;
            // The owner of the source's files has not changed.
            let owner = std::fs::metadata(tree.path().join("file")).doing("stat")?;
            ensure_eq!((owner.uid(), owner.gid()), (0, 0));
            Ok(())
        },
    },
    Case {
        name: "ridmap maps the ids of a tree of mounts",
        quote: "`ridmap`: indicates that the mount MUST have an idmapping applied, and the mapping is applied \
                recursively (config.md, Linux mount options, since 1.2)",
        run: |runtime| {
            let tree = Tree::new()?;
            let bundle = mapped(&tree, json!(["rbind", "ridmap"]), true)?;
            for node in stat(runtime, &bundle)? {
                ensure_eq!(node.map(|node| node.owner), Some((100_000, 200_000)));
            }
            idmapped(runtime, bundle, [true, true])
        },
    },
    Case {
        name: "a mount in a user namespace has its own id mappings",
        quote: "If `uidMappings` or `gidMappings` are specified for the mount, the runtime MUST use those values for the \
                mount's mapping (config.md, Linux mount options, since 1.2): not those of the container",
        run: |runtime| {
            let tree = Tree::new()?;
            for (option, below) in [("idmap", 65_534), ("ridmap", 5)] {
                let bundle = mapped(&tree, json!(["rbind", option]), true)?.with(|config| {
                    with_user_namespace(config);
                    let last = config["mounts"].as_array_mut().and_then(|mounts| mounts.last_mut());
                    if let Some(mount) = last {
                        mount["uidMappings"][0]["hostID"] = json!(300_005);
                        mount["gidMappings"][0]["hostID"] = json!(400_005);
                        for list in ["uidMappings", "gidMappings"] {
                            mount[list][0]["size"] = json!(1000);
                        }
                    }
                })?;
                let owners: Vec<_> =
                    stat(runtime, &bundle)?.into_iter().flatten().map(|node| node.owner).collect();
                ensure_eq!(owners, [(5, 5), (below, below)]);
            }
            Ok(())
        },
    },
    Case {
        name: "idmap alone uses the mappings of the container",
        quote: "If they are not specified, the runtime MAY use the container's user namespace mapping, otherwise an \
                error MUST be returned (config.md, Linux mount options, since 1.2)",
        run: |runtime| {
            // No runtime refuses these. An error would be right, an unwanted mapping would not.
            let tree = Tree::new()?;
            for (option, below) in [("idmap", 65_534), ("ridmap", 0)] {
                let bundle = mapped(&tree, json!(["rbind", option]), false)?.with(with_user_namespace)?;
                let owners: Vec<_> =
                    stat(runtime, &bundle)?.into_iter().flatten().map(|node| node.owner).collect();
                ensure_eq!(owners, [(0, 0), (below, below)]);
                idmapped(runtime, bundle, [true, option == "ridmap"])?;
            }
            Ok(())
        },
    },
    Case {
        name: "idmap without any mappings is an error",
        quote: "If there are no `uidMappings` and `gidMappings` specified and the container isn't using user namespaces, \
                an error MUST be returned (config.md, Linux mount options, since 1.2)",
        run: |runtime| {
            let tree = Tree::new()?;
            for option in ["idmap", "ridmap"] {
                let bundle = mapped(&tree, json!(["rbind", option]), false)?;
                runtime.run_in(&bundle, &["run", "c"])?.failed()?;
            }
            Ok(())
        },
    },
    Case {
        name: "one kind of id mappings without the other is an error",
        quote: "uidMappings: if specified, it MUST be specified along with `gidMappings` (config.md, POSIX-platform \
                Mounts, since 1.1)",
        run: |runtime| {
            let tree = Tree::new()?;
            for field in ["uidMappings", "gidMappings"] {
                let bundle = mapped(&tree, json!(["rbind", "idmap"]), true)?.with(|config| {
                    let last = config["mounts"].as_array_mut().and_then(|mounts| mounts.last_mut());
                    if let Some(mount) = last.and_then(Value::as_object_mut) {
                        mount.remove(field);
                    }
                })?;
                runtime.run_in(&bundle, &["run", "c"])?.failed()?;
            }
            Ok(())
        },
    },
];

/// Options of a mount, the options that it must have, and those that it must not have.
type Row = (&'static [&'static str], &'static [&'static str], &'static [&'static str]);

const OF_A_FILE_SYSTEM: &[Row] = &[
    (&["ro"], &["ro"], &["rw"]),
    (&["ro", "rw"], &["rw"], &["ro"]),
    (&["nosuid"], &["nosuid"], &[]),
    (&["nosuid", "suid"], &[], &["nosuid"]),
    (&["nodev"], &["nodev"], &[]),
    (&["nodev", "dev"], &[], &["nodev"]),
    (&["noexec"], &["noexec"], &[]),
    (&["noexec", "exec"], &[], &["noexec"]),
    (&["noatime"], &["noatime"], &["relatime"]),
    (&["noatime", "atime"], &[], &["noatime"]),
    (&["nodiratime"], &["nodiratime"], &[]),
    (&["nodiratime", "diratime"], &[], &["nodiratime"]),
    (&["relatime"], &["relatime"], &["noatime"]),
    (&["norelatime"], &[], &["noatime"]),
    (&["strictatime"], &[], &["noatime", "relatime"]),
    (&["strictatime", "nostrictatime"], &["relatime"], &["noatime"]),
    (&["sync"], &["sync"], &[]),
    (&["sync", "async"], &[], &["sync"]),
    (&["dirsync"], &["dirsync"], &[]),
    (&["lazytime"], &["lazytime"], &[]),
    (&["lazytime", "nolazytime"], &[], &["lazytime"]),
    // Options without a visible effect.
    (&["silent"], &[], &[]),
    (&["loud"], &[], &[]),
    (&["iversion"], &[], &[]),
    (&["noiversion"], &[], &[]),
];

const OF_A_BIND_MOUNT: &[Row] = &[
    (&[], &["rw"], &["ro"]),
    (&["ro"], &["ro"], &["rw"]),
    (&["ro", "nosuid", "nodev", "noexec"], &["ro", "nosuid", "nodev", "noexec"], &[]),
    (&["noatime"], &["noatime"], &["relatime"]),
    (&["nodiratime"], &["nodiratime"], &[]),
    (&["strictatime"], &[], &["noatime", "relatime"]),
];

const RECURSIVE: &[Row] = &[
    (&["rro"], &["ro"], &["rw"]),
    (&["ro", "rrw"], &["rw"], &["ro"]),
    (&["rnosuid"], &["nosuid"], &[]),
    (&["rnosuid", "rsuid"], &[], &["nosuid"]),
    (&["rnodev"], &["nodev"], &[]),
    (&["rnodev", "rdev"], &[], &["nodev"]),
    (&["rnoexec"], &["noexec"], &[]),
    (&["rnoexec", "rexec"], &[], &["noexec"]),
    (&["rnodiratime"], &["nodiratime"], &[]),
    (&["rnodiratime", "rdiratime"], &[], &["nodiratime"]),
    (&["rnosymfollow"], &["nosymfollow"], &[]),
    (&["rnosymfollow", "rsymfollow"], &[], &["nosymfollow"]),
];

const RECURSIVE_ATIME: &[Row] = &[
    (&["rnoatime"], &["noatime"], &["relatime"]),
    (&["rnoatime", "ratime"], &["relatime"], &["noatime"]),
    (&["rrelatime"], &["relatime"], &["noatime"]),
    (&["rnorelatime"], &[], &["noatime"]),
    (&["rstrictatime"], &[], &["noatime", "relatime"]),
    (&["rnostrictatime"], &["relatime"], &["noatime"]),
    (&["rstrictatime", "rnostrictatime"], &["relatime"], &["noatime"]),
];

/// Rows for mounts that have `noatime`.
const RECURSIVE_ATIME_AGAIN: &[Row] = &[
    (&[], &["noatime"], &["relatime"]),
    (&["rrelatime"], &["relatime"], &["noatime"]),
    (&["rnorelatime"], &["relatime"], &["noatime"]),
    (&["ratime"], &["relatime"], &["noatime"]),
    (&["rstrictatime"], &[], &["noatime", "relatime"]),
];

fn tmpfs(options: &[&str]) -> Value {
    json!({ "type": "tmpfs", "source": "tmpfs", "options": options })
}

fn bind(kind: &str, source: &Path, options: &[&str]) -> Value {
    let options = [&[kind], options].concat();
    json!({ "type": "none", "source": source, "options": options })
}

fn at(i: usize, mut mount: Value) -> Value {
    mount["destination"] = json!(format!("/m{i}"));
    mount
}

/// Mounts these at /m0, /m1 and so on. Returns the container's view of them.
fn mounts(runtime: &Runtime, list: &[Value]) -> Result<Vec<Mount>> {
    let bundle = Bundle::new(&["report"])?.with(|config| {
        for (i, mount) in list.iter().enumerate() {
            push(config, at(i, mount.clone()));
        }
    })?;
    Ok(runtime.report(&bundle)?.mounts)
}

/// Checks each row in one container, with one mount a row.
fn rows(runtime: &Runtime, rows: &[Row], make: impl Fn(&[&str]) -> Value) -> Result {
    each(rows, |row| {
        let mounts = mounts(runtime, &[make(row.0)])?;
        judge(row, mounts.iter().find(|mount| mount.target == "/m0").ok_or("no mount")?)
    })
}

fn judge((options, want, unwanted): &Row, mount: &Mount) -> Result {
    let has = |option: &&&str| mount.options.iter().chain(&mount.super_options).any(|o| o == *option);
    // Read-only is an option of the mount here, not of the file system.
    let has_itself = |option: &&&str| {
        mount.options.iter().any(|o| o == *option) || !["ro", "rw"].contains(*option) && has(option)
    };
    if let Some(missing) = want.iter().find(|option| !has(option)) {
        return Err(format!("{options:?}: no {missing}: {mount:?}"));
    }
    match unwanted.iter().find(|option| has_itself(option)) {
        Some(other) => Err(format!("{options:?}: {other}: {mount:?}")),
        None => Ok(()),
    }
}

fn recursive(runtime: &Runtime, tree: &Tree, rows: &[Row]) -> Result {
    each(rows, |row| {
        let mounts = mounts(runtime, &[bind("rbind", tree.path(), row.0)])?;
        each(["/m0", "/m0/below"], |target| {
            judge(row, mounts.iter().find(|mount| mount.target == *target).ok_or("no mount")?)
        })
    })
}

/// Returns the optional field of mountinfo without its number; empty for private.
fn propagation(mount: &Mount) -> String {
    mount.propagation.first().and_then(|field| field.split(':').next()).unwrap_or_default().to_owned()
}

/// Makes a container that prints the owners of a tree, mounted with these options.
fn mapped(tree: &Tree, options: Value, mappings: bool) -> Result<Bundle> {
    let bundle = Bundle::new(&["stat", "/m0/file", "/m0/below/file"])?;
    // Root of a user namespace could not make it.
    std::fs::create_dir(bundle.rootfs("m0")).doing("mkdir")?;
    bundle.with(|config| {
        let mut mount = json!({ "type": "none", "source": tree.path(), "options": options });
        if mappings {
            mount["uidMappings"] = json!([{ "containerID": 0, "hostID": 100_000, "size": 65_536 }]);
            mount["gidMappings"] = json!([{ "containerID": 0, "hostID": 200_000, "size": 65_536 }]);
        }
        push(config, at(0, mount));
    })
}

/// Checks whether the mounts at /m0 and below it are id-mapped, by the files' owners.
fn idmapped(runtime: &Runtime, bundle: Bundle, want: [bool; 2]) -> Result {
    let bundle = bundle.with(|config| config["process"]["args"] = json!(["/probe", "report"]))?;
    let report = runtime.report(&bundle)?;
    let got = ["/m0", "/m0/below"]
        .map(|at| report.mount(at).is_some_and(|mount| mount.options.iter().any(|o| o == "idmapped")));
    ensure!(got == want, "id-mapped: {got:?}, want {want:?}");
    Ok(())
}

/// Runs the container's `probe stat`.
fn stat(runtime: &Runtime, bundle: &Bundle) -> Result<Vec<Option<Node>>> {
    serde_json::from_str(&runtime.run_in(bundle, &["run", "c"])?.ok()?.stdout).doing("stat")
}

/// A tmpfs with another one below it, each with a file of root's.
struct Tree {
    // In the order in which they are unmounted.
    below: Mounted,
    top: Mounted,
    _dir: tempfile::TempDir,
}

impl Tree {
    fn new() -> Result<Self> {
        let dir = tempfile::tempdir().doing("temporary directory")?;
        let top = Mounted::tmpfs(dir.path())?;
        let below = dir.path().join("below");
        std::fs::create_dir(&below).doing("mkdir")?;
        let tree = Tree { below: Mounted::tmpfs(&below)?, top, _dir: dir };
        for file in [tree.path().join("file"), below.join("file")] {
            std::fs::write(file, "").doing("write")?;
        }
        Ok(tree)
    }

    fn path(&self) -> &Path {
        self.top.path()
    }

    fn share(&self) -> Result {
        self.top.share()
    }

    fn without_atime(mut self) -> Result<Self> {
        self.top = self.top.with(MsFlags::MS_NOATIME)?;
        self.below = self.below.with(MsFlags::MS_NOATIME)?;
        Ok(self)
    }
}
