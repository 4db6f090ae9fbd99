// SPDX-License-Identifier: Apache-2.0
//! A root file system that is made of the caller's mounts, as a containerd shim gets them.

use crate::support::{alone, children, end, fds, own_id};
use crate::tracing::{before_each, inspect, is_in_other_user_namespace, refuse};
use conformance::Bundle;
use runtime_core::spec::{self, Status};
use runtime_core::{ContainerBuilder, ContainerId, DeleteOptions, ErrorKind, Runtime, Stdio};
use serde_json::{Value, json};
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

fn mount(kind: &str, source: impl AsRef<Path>, destination: &str, options: &[&str]) -> spec::Mount {
    spec::Mount {
        destination: destination.into(),
        kind: kind.into(),
        source: source.as_ref().to_str().unwrap().into(),
        options: options.iter().map(|option| (*option).to_owned()).collect(),
        ..Default::default()
    }
}

/// A bundle with an empty rootfs, and directories for an overlay over the files of a container.
struct Image {
    bundle: Bundle,
    place: tempfile::TempDir,
    runtime: Runtime,
    id: ContainerId,
}

impl Image {
    fn new() -> Self {
        let bundle = Bundle::new(&["sleep"]).unwrap();
        let place = tempfile::tempdir().unwrap();
        std::os::unix::fs::chown(place.path(), Some(0), Some(0)).unwrap();
        for dir in ["upper", "work", "layer"] {
            std::fs::create_dir(place.path().join(dir)).unwrap();
        }
        std::fs::write(place.path().join("layer/of-layer"), "1").unwrap();
        std::fs::rename(bundle.rootfs(""), place.path().join("base")).unwrap();
        std::fs::create_dir(bundle.rootfs("")).unwrap();
        let runtime = Runtime::new(place.path().join("state"));
        Image { bundle, place, runtime, id: own_id("rootfs") }
    }

    fn with(mut self, change: impl FnOnce(&mut Value)) -> Self {
        change(&mut self.bundle.config);
        self.bundle.save().unwrap();
        self
    }

    /// Adds a user namespace that maps id 0 to 100000.
    fn in_user_namespace(self) -> Self {
        let map = json!([{ "containerID": 0, "hostID": 100_000, "size": 65536 }]);
        self.with(|config| {
            config["linux"]["namespaces"].as_array_mut().unwrap().push(json!({ "type": "user" }));
            config["linux"]["uidMappings"] = map.clone();
            config["linux"]["gidMappings"] = map;
        })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.place.path().join(name)
    }

    fn builder(&self, mounts: impl IntoIterator<Item = spec::Mount>) -> ContainerBuilder {
        self.runtime.builder(self.id.clone(), self.bundle.path()).rootfs_mounts(mounts)
    }

    /// Returns the mount of an overlay as containerd's snapshotter describes it.
    fn overlay(&self, more: &[&str]) -> spec::Mount {
        let path = |name: &str| self.path(name).display().to_string();
        let dirs = [
            format!("workdir={}", path("work")),
            format!("upperdir={}", path("upper")),
            format!("lowerdir={}:{}", path("layer"), path("base")),
        ];
        let options: Vec<_> = more.iter().copied().chain(dirs.iter().map(String::as_str)).collect();
        mount("overlay", "overlay", "", &options)
    }
}

/// Ends the container of a test that has failed.
impl Drop for Image {
    fn drop(&mut self) {
        drop(self.runtime.container(self.id.clone()).delete(DeleteOptions::new().force(true)));
    }
}

fn mounts_here() -> String {
    std::fs::read_to_string("/proc/self/mountinfo").unwrap()
}

fn in_container(pid: i32, path: &str) -> PathBuf {
    PathBuf::from(format!("/proc/{pid}/root/{path}"))
}

#[test]
fn an_overlay_is_the_root_and_is_mounted_for_the_container_alone() {
    let _alone = alone();
    for in_user_namespace in [false, true] {
        let image = Image::new().with(|config| config["root"]["readonly"] = json!(false));
        let image = if in_user_namespace { image.in_user_namespace() } else { image };
        let before = (mounts_here(), fds(), children());
        let init = image.builder([image.overlay(&["index=off"])]).create().unwrap();
        assert_eq!(mounts_here(), before.0);
        assert_eq!(std::fs::read(in_container(init.pid(), "of-layer")).unwrap(), b"1");
        let table = std::fs::read_to_string(format!("/proc/{}/mountinfo", init.pid())).unwrap();
        let root = table.lines().find(|line| line.split(' ').nth(4) == Some("/")).unwrap();
        assert!(root.contains("- overlay overlay ") && !table.contains("bundle-"), "{table}");
        std::fs::write(in_container(init.pid(), "written"), "").unwrap();
        assert!(image.path("upper/written").exists());
        init.container().start().unwrap();
        let exec = spec::Process {
            args: ["/probe", "exit", "5"].map(str::to_owned).to_vec(),
            cwd: "/".into(),
            ..Default::default()
        };
        assert_eq!(init.container().exec(exec).spawn().unwrap().wait().unwrap().code(), 5);
        end(init);
        assert_eq!((mounts_here(), fds(), children()), before);
    }
}

/// A pod has more layers than a page of options holds (since Linux 6.7 one by one), and fewer.
#[test]
fn an_overlay_has_many_layers() {
    let _alone = alone();
    let image = Image::new();
    for count in [10, 80] {
        let mut layers = Vec::new();
        for i in 0..count {
            let dir = image.path(&format!("{}{i}", "x".repeat(60)));
            std::fs::create_dir_all(&dir).unwrap();
            std::fs::write(dir.join(format!("layer-{i}")), "").unwrap();
            layers.push(dir.display().to_string());
        }
        let lower = format!("lowerdir={}:{}", layers.join(":"), image.path("base").display());
        let init = image.builder([mount("overlay", "overlay", "", &[&lower, "ro"])]).create().unwrap();
        for i in [0, count - 1] {
            assert!(in_container(init.pid(), &format!("layer-{i}")).exists(), "{count} {i}");
        }
        end(init);
    }
}

#[test]
fn mounts_below_the_root_are_made_in_their_order() {
    let _alone = alone();
    let image = Image::new();
    let mounts = [
        mount("bind", image.path("base"), "/", &["rbind", "rw"]),
        mount("tmpfs", "tmpfs", "/run", &["nosuid"]),
        mount("", image.path("layer"), "/run/layer", &["bind", "ro", "sync"]),
    ];
    let init = image.builder(mounts).create().unwrap();
    let warnings: Vec<_> = init.warnings().iter().map(ToString::to_string).collect();
    let ignored = "rootfs_mounts[2].options: \"sync\" is ignored: a bind mount cannot change its file system";
    assert_eq!(warnings, [ignored]);
    assert_eq!(std::fs::read(in_container(init.pid(), "run/layer/of-layer")).unwrap(), b"1");
    assert_eq!(std::fs::read_dir(image.path("base/run")).unwrap().count(), 0);
    end(init);
}

/// A hook finds the root file system where config.json says, in the container's mount namespace.
#[test]
fn a_hook_sees_the_root_at_its_path() {
    let _alone = alone();
    let image = Image::new();
    let path = image.bundle.rootfs("of-layer");
    let look = format!(
        "test ! -e {0} && nsenter -t $(sed 's/.*\"pid\":\\([0-9]*\\).*/\\1/') -m test -e {0}",
        path.display()
    );
    let hook = json!([{ "path": "/bin/sh", "args": ["sh", "-c", look], "env": ["PATH=/usr/bin:/bin"] }]);
    let image = image.with(|config| config["hooks"] = json!({ "createRuntime": hook }));
    end(image.builder([image.overlay(&[])]).create().unwrap());
}

/// containerd describes the mappings of a pod with a user namespace in the options of the overlay.
#[test]
fn the_layers_of_an_overlay_get_the_ids_of_the_container() {
    let _alone = alone();
    let image = Image::new().in_user_namespace();
    let layer = |i: i32| {
        let dir = image.path(&format!("{i}"));
        std::fs::create_dir(&dir).unwrap();
        std::fs::write(dir.join("of-layer"), "").unwrap();
        dir.display().to_string()
    };
    let many: Vec<_> = (0..80).map(layer).collect();
    let lower = format!("lowerdir={}:{}", many.join(":"), image.path("base").display());
    let maps = ["uidmap=0:100000:65536", "gidmap=0:200000:100,100:300000:1"];
    for overlay in [image.overlay(&maps), mount("overlay", "overlay", "", &[&lower, maps[0], maps[1]])] {
        let init = image.builder([overlay]).create().unwrap();
        let file = std::fs::metadata(in_container(init.pid(), "of-layer")).unwrap();
        assert_eq!((file.uid(), file.gid()), (100_000, 200_000));
        end(init);
    }
    // A bind mount has the mappings itself, whatever its type is called.
    let bind = mount("overlay", image.path("base"), "", &["bind", maps[0], maps[1]]);
    let init = image.builder([bind]).create().unwrap();
    assert_eq!(std::fs::metadata(in_container(init.pid(), "")).unwrap().uid(), 100_000);
    end(init);
    // With an option for mount(2).
    let long = image.path(&format!("{}/{}", "x".repeat(200), "y".repeat(100)));
    let dirs = ["upperdir", "workdir"].map(|name| {
        std::fs::create_dir_all(long.join(name)).unwrap();
        format!("{name}={}", long.join(name).display())
    });
    let lower = format!("lowerdir={}:{}", image.path("layer").display(), image.path("base").display());
    let overlay = mount("overlay", "overlay", "", &[&lower, &dirs[0], &dirs[1], maps[0], maps[1]]);
    let init = image.builder([overlay]).create().unwrap();
    assert_eq!(std::fs::metadata(in_container(init.pid(), "of-layer")).unwrap().uid(), 100_000);
    end(init);
    for (maps, text) in
        [(&["uidmap=0:1"][..], "CONTAINER_ID:HOST_ID:SIZE"), (&["uidmap=0:1:1"], "must be given together")]
    {
        let error = image.builder([image.overlay(maps)]).create().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidConfig, "{error:?}");
        assert!(error.report().contains(text), "{error:?}");
    }
}

/// The process has the host's root directory and the caller's memory.
#[test]
fn the_process_that_mounts_is_hidden_in_its_user_namespace() {
    let _alone = alone();
    let image = Image::new().in_user_namespace();
    let (init, seen) = inspect(|| image.builder([image.overlay(&[])]).create().unwrap());
    end(init);
    assert!(!seen.is_empty() && seen.iter().all(|(_, hidden)| *hidden), "{seen:?}");
}

#[test]
fn layers_with_the_same_mappings_share_a_user_namespace() {
    let _alone = alone();
    let image = Image::new().in_user_namespace();
    let (to_test, clones) = std::sync::mpsc::channel();
    before_each(libc::SYS_clone3, move |_| to_test.send(()).unwrap());
    let [few, many] = [1, 5].map(|count| {
        let layer = image.path("layer").display().to_string();
        let layers: String = (0..count)
            .map(|i| {
                std::fs::create_dir_all(format!("{layer}/{i}")).unwrap();
                format!("{layer}/{i}:")
            })
            .collect();
        let lower = format!("lowerdir={layers}{}", image.path("base").display());
        let maps = ["uidmap=0:100000:65536", "gidmap=0:100000:65536"];
        end(image.builder([mount("overlay", "overlay", "", &[&lower, maps[0], maps[1]])]).create().unwrap());
        clones.try_iter().count()
    });
    assert_eq!(few, many);
}

#[test]
fn a_refused_user_namespace_is_an_error_with_a_hint() {
    let _alone = alone();
    let image = Image::new().in_user_namespace();
    let maps = ["uidmap=0:100000:65536", "gidmap=0:100000:65536"];
    let user_and_mount = (libc::CLONE_NEWUSER | libc::CLONE_NEWNS) as u32;
    for (number, flags, field) in [
        (libc::SYS_unshare, Some(user_and_mount), "rootfs_mounts"),
        (libc::SYS_clone3, None, "rootfs_mounts[0]"),
    ] {
        refuse(number, flags);
        let error = image.builder([image.overlay(&maps)]).create().unwrap_err();
        assert_eq!((error.kind(), error.field()), (ErrorKind::Setup, Some(field)), "{error:?}");
        assert_eq!(error.errno(), Some(libc::EPERM), "{error:?}");
        assert!(error.report().contains("hint: new namespaces need CAP_SYS_ADMIN"), "{}", error.report());
    }
}

#[test]
fn cancel_ends_the_process_that_mounts() {
    let _alone = alone();
    let image = Image::new().in_user_namespace();
    let before = (mounts_here(), children());
    let (event, mut writer) = std::io::pipe().unwrap();
    before_each(libc::SYS_open_tree, move |pid| {
        if is_in_other_user_namespace(pid) {
            // EPIPE: the test has failed, and a later process comes here.
            runtime_sys::ignore(writer.write_all(b"x"));
            std::thread::sleep(Duration::from_secs(2));
        }
    });
    let begin = Instant::now();
    let error = image.builder([image.overlay(&[])]).cancel(event.into()).create().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Cancelled, "{error:?}");
    assert!(begin.elapsed() < Duration::from_secs(2), "{error:?}");
    assert_eq!((mounts_here(), children()), before);
}

/// A bind mount receives the mounts that the host makes on its source.
#[test]
fn the_root_is_a_slave_of_its_source_if_the_configuration_says_so() {
    let _alone = alone();
    let images = [("rprivate", false), ("rslave", false), ("rslave", true)].map(|(propagation, user)| {
        let image = Image::new().with(|config| config["linux"]["rootfsPropagation"] = json!(propagation));
        if user { image.in_user_namespace() } else { image }
    });
    let base = images[0].path("base");
    let run = |program: &str, args: &[&str]| {
        assert!(Command::new(program).args(args).arg(&base).status().unwrap().success(), "{program}");
    };
    run("mount", &["--bind", base.to_str().unwrap()]);
    run("mount", &["--make-shared"]);
    let roots = images.each_ref().map(|image| {
        let init = image.builder([mount("bind", &base, "", &["rbind"])]).create().ok()?;
        let table = std::fs::read_to_string(format!("/proc/{}/mountinfo", init.pid())).unwrap();
        end(init);
        table.lines().find(|line| line.split(' ').nth(4) == Some("/")).map(str::to_owned)
    });
    run("umount", &[]);
    let are_slaves = roots.each_ref().map(|root| root.as_ref().map(|line| line.contains(" master:")));
    assert_eq!(are_slaves, [Some(false), Some(true), Some(true)], "{roots:?}");
}

/// The kernel lets root of the container clear the flags of a mount that was attached later.
#[test]
fn root_of_a_user_namespace_cannot_make_the_root_writable() {
    let _alone = alone();
    let image = Image::new().in_user_namespace().with(|config| {
        config["root"]["readonly"] = json!(false);
        let all = json!(["CAP_SYS_ADMIN"]);
        config["process"]["capabilities"] = json!({ "bounding": all, "effective": all, "permitted": all });
        config["process"]["args"] = json!(["/probe", "write-read-only", "/", "/tmp", "file", "text"]);
    });
    std::os::unix::fs::chown(image.path("base"), Some(100_000), None).unwrap();
    for (options, want) in
        [(&["rbind", "ro", "nosuid"][..], "the flags are locked"), (&["rbind", "nosuid"], "")]
    {
        let mount = mount("bind", image.path("base"), "", options);
        let mut init = image.builder([mount]).stderr(Stdio::Piped).run().unwrap();
        let output = init.wait_with_output(1000).unwrap();
        init.delete().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(stderr.contains(want), "{options:?}: {stderr}");
        assert_eq!(image.path("base/file").exists(), want.is_empty(), "{options:?}: {stderr}");
    }
}

#[test]
fn a_failure_leaves_nothing() {
    let _alone = alone();
    let image = Image::new();
    let before = (mounts_here(), fds(), children());
    let missing = image.path("missing");
    let lower_missing = format!("lowerdir={}", missing.display());
    for (mounts, kind, field, text) in [
        (vec![], ErrorKind::InvalidConfig, "rootfs_mounts", "there is no mount"),
        (
            vec![mount("bind", image.path("base"), "/x", &["bind"])],
            ErrorKind::InvalidConfig,
            "rootfs_mounts[0].destination",
            "the first mount is the root itself",
        ),
        (
            vec![mount("proc", "proc", "", &[])],
            ErrorKind::Unsupported,
            "rootfs_mounts[0].type",
            "\"proc\" belongs into the mounts of config.json",
        ),
        (
            vec![mount("", image.path("base"), "", &["remount", "ro"])],
            ErrorKind::Unsupported,
            "rootfs_mounts[0].options",
            "remount",
        ),
        (
            vec![mount("bind", &missing, "", &["rbind"])],
            ErrorKind::Setup,
            "rootfs_mounts[0].source",
            "missing: no such file or directory",
        ),
        (
            vec![mount(
                "bind",
                image.path("base"),
                "",
                &["uidmap=0:1:1", "gidmap=0:1:1", "bind", "nonsense"],
            )],
            ErrorKind::InvalidConfig,
            "rootfs_mounts[0].options[3]",
            "nonsense",
        ),
        (
            vec![mount("overlay", "overlay", "", &[&lower_missing, "uidmap=0:1:1", "gidmap=0:1:1"])],
            ErrorKind::Setup,
            "rootfs_mounts[0].options",
            "missing: no such file or directory",
        ),
        (
            vec![mount("overlay", "overlay", "", &["lowerdir=/a:b"])],
            ErrorKind::InvalidConfig,
            "rootfs_mounts[0].options",
            "lowerdir: \"b\": a path in the options of an overlay must be absolute",
        ),
        (
            vec![mount("overlay", "overlay", "", &["lowerdir=/a", "upperdir=b"])],
            ErrorKind::InvalidConfig,
            "rootfs_mounts[0].options",
            "upperdir: \"b\"",
        ),
        (vec![image.overlay(&["nonsense=1"])], ErrorKind::Setup, "rootfs_mounts[0]", "the kernel reports"),
        (
            vec![mount("nonsense", "x", "", &[])],
            ErrorKind::Setup,
            "rootfs_mounts[0]",
            "the kernel does not know this file system",
        ),
        (
            vec![image.overlay(&[]), mount("bind", image.path("layer/of-layer"), "/etc", &["bind"])],
            ErrorKind::Setup,
            "rootfs_mounts[1]",
            "a file cannot be mounted on a directory",
        ),
    ] {
        let error = image.builder(mounts).create().unwrap_err();
        assert_eq!((error.kind(), error.field()), (kind, Some(field)), "{error:?}");
        assert!(error.report().contains(text), "{error:?}");
        assert_eq!((mounts_here(), fds(), children()), before);
        let left = image.runtime.list();
        assert!(left.as_ref().map_or_else(|e| e.kind() == ErrorKind::NotFound, Vec::is_empty), "{left:?}");
    }
}

/// The overlay is busy for as long as a mount of it exists anywhere.
#[test]
fn a_caller_that_is_killed_at_any_moment_leaves_no_mount() {
    let _alone = alone();
    let images = [Image::new(), Image::new().in_user_namespace()];
    let before = mounts_here();
    let mut durations = [0; 2];
    for _ in 0..2 {
        for (image, duration) in images.iter().zip(&mut durations) {
            let begin = Instant::now();
            end(image.builder([image.overlay(&["index=on"])]).create().unwrap());
            *duration = begin.elapsed().as_micros() as u32;
        }
    }
    let (mut unfinished, mut finished) = (0, 0);
    for round in 0..40 {
        let (image, whole) = (&images[round % 2], durations[round % 2]);
        let pid = sys_testing::process::fork(|| {
            sys_testing::process::end_after(1 + whole * round as u32 / 20);
            let created = image.builder([image.overlay(&["index=on"])]).create();
            std::thread::sleep(Duration::from_secs(u64::from(created.is_ok()) * 100));
            1
        });
        runtime_sys::process::wait(runtime_sys::process::pidfd_open(pid.unwrap().as_raw()).unwrap(), 0)
            .unwrap();
        let container = image.runtime.container(image.id.clone());
        match container.state() {
            Ok(state) if state.status == Status::Created => finished += 1,
            _ => unfinished += 1,
        }
        assert_eq!(mounts_here(), before);
        match container.delete(DeleteOptions::new().force(true)) {
            Err(error) if error.kind() != ErrorKind::NotFound => panic!("{error:?}"),
            _ => {}
        }
        // The process that was mounting ends soon after its parent.
        let mut tries = 0..100;
        let init = loop {
            match image.builder([image.overlay(&["index=on"])]).create() {
                Err(error) if error.errno() == Some(libc::EBUSY) && tries.next().is_some() => {
                    std::thread::sleep(Duration::from_millis(10));
                }
                other => break other.unwrap_or_else(|e| panic!("{round}: {e:?}")),
            }
        };
        end(init);
    }
    assert!(unfinished > 0 && finished > 0, "{unfinished} {finished}");
}
