// SPDX-License-Identifier: Apache-2.0
//! Objects of the host that no container may change: its devices, namespaces and programs.
#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

use conformance::runtime::finish;
use conformance::{Bundle, Runtime};
use nix::sys::stat::{Mode, SFlag, makedev, mknod};
use serde_json::{Value, json};
use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::{MetadataExt, symlink};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

fn program() -> std::path::PathBuf {
    conformance::bundle::beside("runtime-cli")
}

fn runtime() -> Runtime {
    Runtime::new(&program()).unwrap()
}

/// Makes a bundle with its own cgroup, because other tests may run at the same time.
fn bundle(args: &[&str], change: impl FnOnce(&mut Value)) -> Bundle {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let cgroup = format!("/host-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
    let bundle = Bundle::new(args).unwrap().with(|config| config["linux"]["cgroupsPath"] = json!(cgroup));
    bundle.unwrap().with(change).unwrap()
}

#[test]
fn exec_gets_the_null_device_of_the_container() {
    let runtime = runtime();
    let bundle = bundle(&["sleep"], |config| config["root"]["readonly"] = json!(false));
    runtime.run_in(&bundle, &["run", "--detach", "c"]).unwrap().ok().unwrap();
    let exec = |args: &[&str]| {
        let mut command = runtime.command(&[&["exec", "--detach", "c", "/probe"], args].concat());
        command.stdin(Stdio::null());
        finish(command).unwrap()
    };
    exec(&["same-file", "/proc/self/fd/0", "/dev/null", "/same"]).ok().unwrap();
    let same = bundle.rootfs("same");
    while !same.exists() {
        std::thread::yield_now();
    }
    // Even a container without /dev/null does not get the host's.
    runtime.run(&["exec", "c", "/probe", "unlink", "/dev/null"]).unwrap().ok().unwrap();
    exec(&["exit", "0"]).failed_with(255, "reopening /dev/null inside the container").unwrap();
    runtime.run(&["delete", "--force", "c"]).unwrap().ok().unwrap();
    assert_eq!(fs::read_to_string(same).unwrap(), "true");
}

#[test]
fn a_device_of_the_host_keeps_its_owner() {
    let runtime = runtime();
    let bundle = bundle(&["sleep"], |config| config["process"]["user"] = json!({ "uid": 1000, "gid": 1000 }));
    // Other directories are often mounted with `nodev`.
    let dir = tempfile::tempdir_in("/var/tmp").unwrap();
    let full = dir.path().join("full");
    mknod(&full, SFlag::S_IFCHR, Mode::S_IRWXU, makedev(1, 7)).unwrap();
    let file = dir.path().join("file");
    let mut command = runtime.command(&["create", "c"]);
    command.current_dir(bundle.path()).stdin(OpenOptions::new().read(true).write(true).open(&full).unwrap());
    command.stdout(File::create(&file).unwrap()).stderr(Stdio::null());
    assert!(command.status().unwrap().success());
    runtime.run(&["delete", "--force", "c"]).unwrap().ok().unwrap();
    assert_eq!(fs::metadata(full).unwrap().uid(), 0);
    assert_eq!(fs::metadata(file).unwrap().uid(), 1000, "but a file is for the container's user");
}

/// A path in linux.namespaces may lead to the runtime's own namespace.
#[test]
fn namespaces_of_the_host_by_their_path_are_the_hosts() {
    let runtime = runtime();
    let hostname = fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    let own = |kind: &str, file: &str| {
        let (kind, path) = (kind.to_owned(), format!("/proc/{}/ns/{file}", std::process::id()));
        move |config: &mut Value| {
            let list = config["linux"]["namespaces"].as_array_mut().unwrap();
            list.retain(|namespace| namespace["type"] != json!(kind));
            list.push(json!({ "type": kind, "path": path }));
        }
    };
    let refused = |change: Box<dyn FnOnce(&mut Value)>, text: &str| {
        let bundle = bundle(&["exit", "0"], change);
        runtime.run_in(&bundle, &["run", "c"]).unwrap().failed_with(1, text).unwrap();
    };
    // The present name, so that a failure of this test does no harm.
    let same_name = hostname.trim().to_owned();
    let uts = move |config: &mut Value| {
        own("uts", "uts")(config);
        config["hostname"] = json!(same_name);
    };
    refused(
        Box::new(uts),
        "hostname: needs a private uts namespace (the one in linux.namespaces is the runtime's)",
    );
    // In a mount namespace of its own: pivot_root would replace the root of the host.
    let alone = Command::new("unshare")
        .args(["--mount", "--propagation", "private", "sh", "-c"])
        .arg(
            "sed \"s#/proc/[0-9]*/ns/mnt#/proc/$$/ns/mnt#\" config.json > new && mv new config.json \
              && \"$@\" 2>&1; ls -d /proc/self",
        )
        .arg("sh")
        .arg(program())
        .arg("--root")
        .arg(runtime.root())
        .args(["run", "c"])
        .current_dir(bundle(&["exit", "0"], own("mount", "mnt")).path())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&alone.stdout);
    assert!(text.contains("mount namespace /proc/"), "{text}");
    assert!(text.ends_with("/proc/self\n"), "the root is another: {text}");
}

#[test]
fn a_passwd_file_that_is_not_a_regular_file_is_not_read() {
    for kind in ["/proc/self/fd/0", "/dev/tty", "/proc/self/root/etc/passwd", "fifo", "sparse"] {
        let runtime = runtime();
        let bundle = bundle(&["report"], |_| ());
        let passwd = bundle.rootfs("etc/passwd");
        fs::remove_file(&passwd).unwrap();
        match kind {
            "fifo" => nix::unistd::mkfifo(&passwd, Mode::S_IRWXU).unwrap(),
            "sparse" => File::create(&passwd).unwrap().set_len(1 << 40).unwrap(),
            target => symlink(target, &passwd).unwrap(),
        }
        let mut command = runtime.command(&["run", "c"]);
        command.current_dir(bundle.path()).stdin(Stdio::piped());
        let output = finish(command).unwrap().ok().unwrap();
        assert!(output.stdout.contains("\"HOME=/\""), "{kind}: {output}");
    }
}

/// The program file is protected on every mount.
#[test]
fn a_program_on_a_mount_that_cannot_be_cloned_runs() {
    let runtime = runtime();
    let bundle = bundle(&["exit", "7"], |_| ());
    let dir = tempfile::tempdir().unwrap();
    fs::copy(program(), dir.path().join("runc")).unwrap();
    let status = Command::new("unshare")
        .args(["--mount", "--propagation", "private", "sh", "-c"])
        .arg("d=$1; shift; mount --bind $d $d && mount --make-unbindable $d && exec \"$d/runc\" \"$@\"")
        .args(["sh".as_ref(), dir.path().as_os_str(), "--root".as_ref(), runtime.root().as_os_str()])
        .args(["run", "c"])
        .current_dir(bundle.path())
        .stdin(Stdio::null())
        .status()
        .unwrap();
    assert_eq!(status.code(), Some(7));
}

/// The kernel shows such a process as a zombie.
#[test]
fn an_init_whose_first_thread_has_ended_is_running() {
    let runtime = runtime();
    let bundle = bundle(&["sleep-in-a-thread"], |_| ());
    runtime.run_in(&bundle, &["run", "--detach", "c"]).unwrap().ok().unwrap();
    let pid = runtime.state("c").unwrap()["pid"].as_i64().unwrap();
    while !conformance::host::process_status(pid, "State").unwrap().starts_with('Z') {
        std::thread::yield_now();
    }
    assert_eq!(runtime.status("c").unwrap(), "running");
    runtime.run(&["delete", "c"]).unwrap().failed_with(1, "that is not stopped: running").unwrap();
    runtime.run(&["kill", "c", "KILL"]).unwrap().ok().unwrap();
    runtime.await_status("c", "stopped").unwrap();
    runtime.run(&["delete", "c"]).unwrap().ok().unwrap();
}
