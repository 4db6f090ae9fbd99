// SPDX-License-Identifier: Apache-2.0
//! `checkpoint` and `restore` on a host without CRIU, or with one that is too old: what is refused
//! leaves everything as it was. conformance/engines/checkpoint.bats has the tests with CRIU.
#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

use conformance::runtime::finish;
use conformance::{Bundle, Output, Runtime};
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

/// A container of the program, and a directory for images.
struct Host {
    runtime: Runtime,
    bundle: Bundle,
    dir: tempfile::TempDir,
}

impl Host {
    fn new(change: impl FnOnce(&mut Value)) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let cgroup = format!("/checkpoint-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let bundle = Bundle::new(&["sleep"]).unwrap();
        let bundle = bundle.with(|config| config["linux"]["cgroupsPath"] = json!(cgroup)).unwrap();
        let runtime = Runtime::new(&conformance::bundle::beside("runtime-cli")).unwrap();
        Host { runtime, bundle: bundle.with(change).unwrap(), dir: tempfile::tempdir().unwrap() }
    }

    fn images(&self) -> PathBuf {
        self.dir.path().join("images")
    }

    /// Makes a directory that looks like the images of a checkpoint.
    fn make_images(&self) {
        fs::create_dir(self.images()).unwrap();
        fs::write(self.images().join("descriptors.json"), r#"["/dev/null","/dev/null","/dev/null"]"#)
            .unwrap();
    }

    /// Runs a command with a PATH that has only what is in `path`.
    fn run_with(&self, path: &Path, args: &[&str]) -> Output {
        let mut command = self.runtime.command(args);
        command.env("PATH", path).current_dir(self.bundle.path());
        finish(command).unwrap()
    }

    fn run(&self, args: &[&str]) -> Output {
        self.run_with(self.dir.path(), args)
    }

    fn start(&self) {
        self.runtime.run_in(&self.bundle, &["run", "--detach", "c"]).unwrap().ok().unwrap();
    }

    fn checkpoint(&self, flags: &[&str]) -> Output {
        let images = self.images();
        self.run(&[&["checkpoint", "--image-path", images.to_str().unwrap()], flags, &["c"]].concat())
    }

    fn restore(&self, flags: &[&str]) -> Output {
        let images = self.images();
        self.run(
            &[&["restore", "--detach", "--image-path", images.to_str().unwrap()], flags, &["r"]].concat(),
        )
    }

    /// Checks that the container still runs and that no images were made, and deletes the container.
    fn goes_on_without_images(self) {
        assert!(!self.images().exists());
        let state = self.run(&["state", "c"]).ok().unwrap();
        assert!(state.stdout.contains("\"running\""), "{state}");
        self.run(&["delete", "--force", "c"]).ok().unwrap();
    }

    /// Checks that nothing is left of a restore.
    fn has_restored_nothing(self) {
        assert_eq!(self.run(&["list", "--quiet"]).ok().unwrap().stdout, "");
        self.run(&["state", "r"]).failed_with(1, "container does not exist").unwrap();
    }
}

#[test]
fn without_criu_nothing_is_changed() {
    let host = Host::new(|_| {});
    host.start();
    let error =
        "exec: \\\"criu\\\": executable file not found in $PATH; hint: checkpoint and restore need CRIU 3.16";
    host.checkpoint(&[]).failed_with(1, error).unwrap();
    host.checkpoint(&["--pre-dump"]).failed_with(1, error).unwrap();
    host.goes_on_without_images();
    let host = Host::new(|_| {});
    host.make_images();
    host.restore(&[]).failed_with(1, error).unwrap();
    host.has_restored_nothing();
}

/// The restore would not connect its pipes.
#[test]
fn a_record_without_the_names_of_the_streams_is_refused() {
    let host = Host::new(|_| {});
    host.start();
    let file = host.runtime.root().join("c/state.json");
    let mut record: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    let names = record.as_object_mut().unwrap().remove("external_descriptors").unwrap();
    assert_eq!(names.as_array().unwrap().len(), 3);
    fs::write(&file, record.to_string()).unwrap();
    let error = "cannot checkpoint a container that an older version of this runtime has made";
    host.checkpoint(&[]).failed_with(1, error).unwrap();
    host.goes_on_without_images();
}

#[test]
fn an_old_criu_is_refused() {
    let host = Host::new(|_| {});
    host.start();
    // It answers the request for its version, of four bytes, with 3.15.
    let criu = host.dir.path().join("criu");
    let script = "#!/bin/sh\n/usr/bin/head -c 4 <&$2 >/dev/null\nprintf '\\010\\012\\020\\001\\122\\004\\010\\003\\020\\017' >&$2\n";
    fs::write(&criu, script).unwrap();
    fs::set_permissions(&criu, fs::Permissions::from_mode(0o755)).unwrap();
    host.checkpoint(&[]).failed_with(1, "CRIU version 3.15 must be 3.16 or higher").unwrap();
    host.goes_on_without_images();
}

#[test]
fn a_container_that_does_not_run_is_not_checkpointed() {
    let host = Host::new(|_| {});
    host.runtime.run_in(&host.bundle, &["create", "c"]).unwrap().ok().unwrap();
    host.checkpoint(&[]).failed_with(1, "Container cannot be checkpointed in created state").unwrap();
    host.run(&["kill", "c", "KILL"]).ok().unwrap();
    while !host.run(&["state", "c"]).ok().unwrap().stdout.contains("\"stopped\"") {
        std::thread::yield_now();
    }
    host.checkpoint(&[]).failed_with(1, "Container cannot be checkpointed in stopped state").unwrap();
    host.run(&["delete", "c"]).ok().unwrap();
    host.checkpoint(&[]).failed_with(1, "container does not exist").unwrap();
    assert!(!host.images().exists());
}

#[test]
fn a_container_without_a_pid_namespace_is_refused() {
    let without = |kind: &'static str| {
        move |config: &mut Value| {
            config["linux"]["namespaces"].as_array_mut().unwrap().retain(|it| it["type"] != kind);
            config["linux"]["maskedPaths"] = json!([]);
            config["linux"]["readonlyPaths"] = json!([]);
        }
    };
    let host = Host::new(without("pid"));
    host.start();
    host.checkpoint(&[]).failed_with(1, "cannot checkpoint a container without a pid namespace").unwrap();
    host.goes_on_without_images();
    let host = Host::new(without("pid"));
    host.make_images();
    host.restore(&[]).failed_with(1, "linux.namespaces: restore needs a pid namespace").unwrap();
    host.has_restored_nothing();
}

#[test]
fn a_restore_joins_no_pid_namespace() {
    let other = Host::new(|_| {});
    other.start();
    let state: Value = serde_json::from_str(&other.run(&["state", "c"]).ok().unwrap().stdout).unwrap();
    let path = format!("/proc/{}/ns/pid", state["pid"]);
    let host = Host::new(|config| {
        let namespaces = config["linux"]["namespaces"].as_array_mut().unwrap();
        namespaces.retain(|it| it["type"] != "pid");
        namespaces.push(json!({ "type": "pid", "path": path }));
    });
    host.make_images();
    host.restore(&[]).failed_with(1, "linux.namespaces: restore cannot join a pid namespace").unwrap();
    host.has_restored_nothing();
    other.run(&["delete", "--force", "c"]).ok().unwrap();
}

#[test]
fn flags_with_a_wrong_value_are_errors() {
    let host = Host::new(|_| {});
    host.start();
    for (flags, error) in [
        (&["--manage-cgroups-mode", "hard"][..], "invalid manage-cgroups-mode value"),
        (&["--empty-ns", "pid"], "namespace \\\"pid\\\" is not supported"),
        (&["--page-server", "here"], "Use --page-server ADDRESS:PORT to specify page server"),
        (&["--page-server", "[::1]:x"], "Invalid port number"),
        (&["--page-server", "::1:27"], "Use --page-server ADDRESS:PORT to specify page server"),
        (&["--page-server", "[::1:27"], "Use --page-server ADDRESS:PORT to specify page server"),
        (&["--lazy-pages", "--status-fd", "77"], "invalid --status-fd argument 77: bad file descriptor"),
    ] {
        host.checkpoint(flags).failed_with(1, error).unwrap();
    }
    host.goes_on_without_images();
}

/// A checkpoint that cannot be restored would end the container for good.
#[test]
fn a_container_that_could_not_be_restored() {
    let mount = |destination: &'static str, kind: &'static str, options: &'static [&'static str]| {
        move |config: &mut Value| {
            let mount =
                json!({ "destination": destination, "type": kind, "source": "/tmp", "options": options });
            config["mounts"].as_array_mut().unwrap().push(mount);
            config["root"]["readonly"] = json!(false);
        }
    };
    let refused = |change: &dyn Fn(&mut Value), error: &str| {
        let host = Host::new(change);
        host.start();
        let error = format!("cannot checkpoint a container {error} (it could not be restored)");
        host.checkpoint(&[]).failed_with(1, &error).unwrap();
        host.goes_on_without_images();
    };
    refused(&mount("/data", "", &["bind", "src-nofollow"]), "with a mount of a link: /data");
    let brackets = "with a mount point that has \\\"]:\\\" in its path: /data]:x";
    refused(&mount("/data]:x", "tmpfs", &[]), brackets);
    let other = Host::new(|_| {});
    other.start();
    let state: Value = serde_json::from_str(&other.run(&["state", "c"]).ok().unwrap().stdout).unwrap();
    let path = format!("/proc/{}/ns/cgroup", state["pid"]);
    let join = |config: &mut Value| {
        let namespaces = config["linux"]["namespaces"].as_array_mut().unwrap();
        namespaces.retain(|it| it["type"] != "cgroup");
        namespaces.push(json!({ "type": "cgroup", "path": path }));
    };
    refused(&join, "that has joined a cgroup namespace");
    other.goes_on_without_images();
}

#[test]
fn a_configuration_of_criu_must_be_of_root() {
    let host = Host::new(|config| config["annotations"] = json!({ "org.criu.config": "criu.conf" }));
    host.start();
    let error =
        "annotations[\\\"org.criu.config\\\"]: \\\"criu.conf\\\" is not an absolute path; hint: the file can";
    host.checkpoint(&[]).failed_with(1, error).unwrap();
    host.make_images();
    host.restore(&[]).failed_with(1, error).unwrap();
    fs::remove_dir_all(host.images()).unwrap();
    host.goes_on_without_images();
}

#[test]
fn a_user_without_rights_is_refused() {
    let root = tempfile::tempdir().unwrap();
    std::os::unix::fs::chown(root.path(), Some(65534), None).unwrap();
    let mut command = Command::new(conformance::bundle::beside("runtime-cli"));
    command.arg("--root").arg(root.path()).args(["checkpoint", "--image-path", "/nowhere", "c"]);
    command.uid(65534).current_dir("/");
    finish(command).unwrap().failed_with(1, "checkpoint and restore need root of the host").unwrap();
}

#[test]
fn images_without_a_checkpoint_are_errors() {
    let host = Host::new(|_| {});
    host.restore(&[]).failed_with(1, "image directory: open ").unwrap();
    fs::create_dir(host.images()).unwrap();
    let error = "read descriptors.json of the checkpoint: no such file or directory; hint: the image directory has no checkpoint";
    host.restore(&[]).failed_with(1, error).unwrap();
    // CRIU would follow a link to any file, and wait for the writer of a fifo.
    let image = host.images().join("pages-1.img");
    std::os::unix::fs::symlink("/etc/shadow", &image).unwrap();
    host.restore(&[]).failed_with(1, "/images: pages-1.img is a link").unwrap();
    fs::remove_file(&image).unwrap();
    nix::unistd::mkfifo(&image, nix::sys::stat::Mode::S_IRWXU).unwrap();
    host.restore(&[]).failed_with(1, "/images: pages-1.img is a fifo").unwrap();
    // Also behind the link to the images of a pre-dump, which can lead to itself.
    let before = host.dir.path().join("before");
    fs::create_dir(&before).unwrap();
    fs::rename(&image, before.join("pages-1.img")).unwrap();
    let parent = host.images().join("parent");
    std::os::unix::fs::symlink("../before", &parent).unwrap();
    host.restore(&[]).failed_with(1, "/images: parent 1: pages-1.img is a fifo").unwrap();
    fs::remove_file(&parent).unwrap();
    std::os::unix::fs::symlink(".", &parent).unwrap();
    host.restore(&[]).failed_with(1, "/images: more than 256 parents").unwrap();
    fs::remove_file(&parent).unwrap();
    // CRIU writes its statistics into the work directory, where an engine has other files.
    let work = host.dir.path().join("work");
    fs::create_dir(&work).unwrap();
    nix::unistd::mkfifo(&work.join("ctl"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    let work_path = ["--work-path", work.to_str().unwrap()];
    host.restore(&work_path).failed_with(1, error).unwrap();
    std::os::unix::fs::symlink(host.dir.path().join("made"), work.join("stats-restore")).unwrap();
    host.restore(&work_path).failed_with(1, "/work: stats-restore is a link").unwrap();
    fs::write(host.images().join("descriptors.json"), "{").unwrap();
    host.restore(&[]).failed_with(1, "read descriptors.json of the checkpoint: invalid type: map").unwrap();
    host.has_restored_nothing();
}

#[test]
fn configurations_that_cannot_be_restored_are_refused() {
    let refused = |change: &dyn Fn(&mut Value), error: &str| {
        let host = Host::new(change);
        host.make_images();
        host.restore(&[]).failed_with(1, error).unwrap();
        host.has_restored_nothing();
    };
    let mount = |destination: &'static str, options: &'static [&'static str], maps: Value| {
        move |config: &mut Value| {
            let mut mount = json!({ "destination": destination, "source": "/tmp", "options": options });
            (mount["uidMappings"], mount["gidMappings"]) = (maps.clone(), maps.clone());
            config["mounts"].as_array_mut().unwrap().push(mount);
        }
    };
    let ids = json!([{ "containerID": 0, "hostID": 1000, "size": 1 }]);
    refused(&mount("/data]:/etc", &["bind"], json!([])), "CRIU cannot name a mount point with");
    refused(&mount("/data", &["bind", "idmap"], ids), "an id-mapped mount cannot be restored");
    refused(&mount("/data", &["bind", "src-nofollow"], json!([])), "a mount of a link cannot be restored");
    let inside = |config: &mut Value| {
        config["mounts"] = json!([{ "destination": "/data", "source": "rootfs/vol", "options": ["bind"] }]);
    };
    refused(&inside, "mounts[0].source: restore cannot mount ");
    let node = |config: &mut Value| {
        config["linux"]["namespaces"].as_array_mut().unwrap().push(json!({ "type": "user" }));
        let identity = json!([{ "containerID": 0, "hostID": 0, "size": 65536 }]);
        (config["linux"]["uidMappings"], config["linux"]["gidMappings"]) = (identity.clone(), identity);
        config["linux"]["devices"] = json!([{ "path": "/dev/null", "type": "c", "major": 1, "minor": 5 }]);
    };
    refused(&node, "linux.devices: device /dev/null of the host is not 1:5");
    refused(&|config| config["process"]["terminal"] = json!(true), "cannot allocate tty if runc will detach");
    let host = Host::new(|_| {});
    host.make_images();
    let terminal = r#"["/dev/pts/0","/dev/pts/0","/dev/pts/0"]"#;
    fs::write(host.images().join("descriptors.json"), terminal).unwrap();
    host.restore(&[]).failed_with(1, "process.terminal: the container in the images has a terminal").unwrap();
    let host = Host::new(|_| {});
    host.make_images();
    host.restore(&["--console-socket", "/nowhere"])
        .failed_with(1, "cannot use console socket if runc will not detach or allocate tty")
        .unwrap();
    host.has_restored_nothing();
}

#[test]
fn an_id_that_is_taken_is_an_error() {
    let host = Host::new(|_| {});
    host.start();
    let images = host.images();
    let restore = ["restore", "--detach", "--image-path", images.to_str().unwrap(), "c"];
    host.run(&restore).failed_with(1, "container with given ID already exists").unwrap();
    host.goes_on_without_images();
}
