// SPDX-License-Identifier: Apache-2.0
//! A dry run makes nothing, and fails with the errors of a creation.

use super::support::{ID, Plan, docker, runtime};
use conformance::change::{push, with_user_namespace};
use conformance::host::HostSnapshot;
use conformance::{Bundle, Output, Runtime, host, runtime::finish};
use nix::libc;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use sys_testing::filter;

/// The calls that make or change something outside of the calling process.
const MAKING: [libc::c_long; 26] = [
    libc::SYS_bpf,
    libc::SYS_clone,
    libc::SYS_clone3,
    libc::SYS_connect,
    libc::SYS_fchmodat,
    libc::SYS_fchownat,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fsopen,
    libc::SYS_ftruncate,
    libc::SYS_linkat,
    libc::SYS_mkdirat,
    libc::SYS_mknodat,
    libc::SYS_mount,
    libc::SYS_mount_setattr,
    libc::SYS_move_mount,
    libc::SYS_open_tree,
    libc::SYS_pivot_root,
    libc::SYS_renameat2,
    libc::SYS_sendmsg,
    libc::SYS_setns,
    libc::SYS_symlinkat,
    libc::SYS_umount2,
    libc::SYS_unlinkat,
    libc::SYS_unshare,
    libc::SYS_utimensat,
];

/// Runs a command that each of these calls kills.
fn harmless(mut command: Command, bundle: &Bundle) -> Output {
    command.current_dir(bundle.path());
    for call in MAKING {
        let kill = filter::of_call(call, &[], libc::SECCOMP_RET_KILL_PROCESS);
        sys_testing::command::under_filter(&mut command, kill);
    }
    finish(command).unwrap()
}

/// Returns the files below a directory, with their times.
fn files(dir: &Path) -> BTreeMap<PathBuf, (std::time::SystemTime, u64)> {
    let mut all = BTreeMap::new();
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        let meta = entry.metadata().unwrap();
        all.insert(entry.path(), (meta.modified().unwrap(), meta.len()));
        if meta.is_dir() {
            all.append(&mut files(&entry.path()));
        }
    }
    all
}

/// A bundle for which a creation makes as much as possible before its clone.
fn lavish() -> Bundle {
    let bundle = docker(&["exit", "0"]).with(with_user_namespace).unwrap();
    let source = bundle.path().join("volume").display().to_string();
    let map = json!([{ "containerID": 0, "hostID": 7, "size": 9 }]);
    bundle
        .with(|config| {
            config["process"]["terminal"] = json!(true);
            push(
                config,
                json!({ "destination": "/mapped", "type": "bind", "source": source, "options": ["bind"],
                        "uidMappings": map, "gidMappings": map }),
            );
        })
        .unwrap()
}

#[test]
fn nothing_is_made() {
    let _alone = host::alone();
    let runtime = runtime();
    let bundle = lavish();
    let before = (HostSnapshot::take().unwrap(), files(bundle.path()));
    let file = |name: &str| bundle.path().join(name).display().to_string();
    let (pid, socket, console) = (file("pid"), file("pidfd.sock"), file("console.sock"));
    let flags = ["--pid-file", &pid, "--pidfd-socket", &socket, "--console-socket", &console];
    for (verb, more) in [("create", &[][..]), ("run", &["--detach"])] {
        let args = [&[verb, "--dry-run", "--format", "json"], &flags[..], more, &[ID]].concat();
        let mut command = runtime.command(&args);
        command.env("NOTIFY_SOCKET", file("notify.sock"));
        let output = harmless(command, &bundle).ok().unwrap();
        let plan = Plan(serde_json::from_str(&output.stdout).unwrap());
        let notify =
            plan.details("Mount", "mount").find(|mount| mount["destination"] == "/run/notify").unwrap();
        assert_eq!(notify["source"], runtime.root().join(ID).join("notify").to_str().unwrap());
        let mapped = plan.details("Mount", "mount").find(|mount| mount["destination"] == "/mapped").unwrap();
        assert_eq!(mapped["id_map"], json!(["uid 0 7 9", "gid 0 7 9"]));
        let announced: Vec<_> = plan.details("Announce", "path").collect();
        assert_eq!(announced, [socket.as_str(), &pid]);
        let text = plan.only("Console", "descriptors")[0]["source"].as_str().unwrap().to_owned();
        assert!(text.contains(&console), "{text}");
    }
    assert_eq!(files(bundle.path()), before.1);
    before.0.check(&runtime).unwrap();
    assert_eq!(before.0, HostSnapshot::take().unwrap());
}

#[test]
fn a_state_directory_is_not_made() {
    let _alone = host::alone();
    let runtime = runtime();
    let bundle = Bundle::new(&["exit", "0"]).unwrap();
    let user = bundle.path().join("xdg");
    let mut command = Command::new(runtime.program());
    command.args(["--root", user.to_str().unwrap(), "run", "--dry-run", ID]);
    let output = harmless(command, &bundle).ok().unwrap();
    assert!(output.stdout.contains("Nothing was made."), "{output}");
    assert!(!user.exists());
}

/// Otherwise the other tests would prove nothing.
#[test]
fn a_creation_does_not_survive_the_filters() {
    let _alone = host::alone();
    let runtime = runtime();
    let output = harmless(runtime.command(&["create", ID]), &docker(&["exit", "0"]));
    assert_eq!(output.status.signal(), Some(libc::SIGSYS), "{output}");
    let _left = runtime.run(&["delete", "--force", ID]).unwrap();
}

/// Returns the message of a failure, without its time.
fn message(runtime: &Runtime, bundle: &Bundle, args: &[&str]) -> String {
    let output = runtime.run_in(bundle, args).unwrap().failed().unwrap();
    let stderr = output.stderr.lines();
    stderr.map(|line| line.split_once("level=").map_or(line, |(_, rest)| rest)).collect::<Vec<_>>().join("\n")
}

#[test]
fn an_error_is_that_of_a_creation() {
    let _alone = host::alone();
    type Change = fn(&mut Value);
    let changes: [(&str, Change); 9] = [
        ("process.args", |config| config["process"]["args"] = json!([])),
        ("linux.namespaces[0]", |config| config["linux"]["namespaces"] = json!([{ "type": "bogus" }])),
        ("root.path", |config| config["root"]["path"] = json!("missing")),
        ("mounts[", |config| {
            push(config, json!({ "destination": "/x", "source": "/nonexistent", "options": ["bind"] }));
        }),
        ("linux.maskedPaths", |config| {
            config["linux"]["namespaces"].as_array_mut().unwrap().retain(|one| one["type"] != "mount");
        }),
        ("process.apparmorProfile", |config| config["process"]["apparmorProfile"] = json!("none-such")),
        ("linux.seccomp", |config| {
            config["linux"]["seccomp"] = json!({ "defaultAction": "SCMP_ACT_BOGUS" });
        }),
        ("cannot allocate tty", |config| config["process"]["terminal"] = json!(true)),
        ("linux.resources.unified", |config| {
            config["linux"]["resources"]["unified"] = json!({ "../x": "1" });
        }),
    ];
    let runtime = runtime();
    for (words, change) in changes {
        let bundle = Bundle::new(&["exit", "0"]).unwrap().with(change).unwrap();
        let of_create = message(&runtime, &bundle, &["create", ID]);
        let of_dry_run = message(&runtime, &bundle, &["create", "--dry-run", ID]);
        assert_eq!(of_create, of_dry_run);
        let field = words.trim_end_matches("[0]").trim_end_matches('[');
        assert!(
            of_create.contains(field) || words == "root.path" && of_create.contains("rootfs"),
            "{of_create}"
        );
    }
    // A state directory that others can change.
    let open = |mode: u32| {
        std::fs::set_permissions(runtime.root(), std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
    };
    let bundle = Bundle::new(&["sleep"]).unwrap();
    open(0o777);
    let refused = message(&runtime, &bundle, &["create", ID]);
    assert_eq!(refused, message(&runtime, &bundle, &["create", "--dry-run", ID]));
    assert!(refused.contains("can be changed by others"), "{refused}");
    open(0o700);
    // An id that is taken.
    runtime.run_in(&bundle, &["create", ID]).unwrap().ok().unwrap();
    let again = message(&runtime, &bundle, &["create", ID]);
    assert_eq!(again, message(&runtime, &bundle, &["create", "--dry-run", ID]));
    runtime.run(&["delete", "--force", ID]).unwrap().ok().unwrap();
    assert!(again.contains("container with given ID already exists"), "{again}");
}

#[test]
fn flags_that_make_no_sense_together_are_refused() {
    let _alone = host::alone();
    let runtime = runtime();
    let bundle = Bundle::new(&["exit", "0"]).unwrap();
    let fails = |args: &[&str], words: &str| {
        drop(runtime.run_in(&bundle, args).unwrap().failed_with(1, words).unwrap());
    };
    fails(&["create", "--format", "json", ID], "--format: is for --dry-run alone");
    fails(&["run", "--format", "json", ID], "--format: is for --dry-run alone");
    fails(&["run", "--dry-run", "--format", "yaml", ID], "invalid format option");
    fails(&["run", "--dry-run", "--console-socket", "/x", ID], "cannot use console socket");
    fails(&["create", "--dry-run", "--console-socket", "/x", ID], "cannot use console socket");
    fails(&["create", "--dry-run"], "requires exactly 1 argument(s)");
    fails(&["create", "--dry-run", "--preserve-fds", "100", ID], "unable to stat preserved-fd");
}
