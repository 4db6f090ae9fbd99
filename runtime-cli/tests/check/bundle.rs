// SPDX-License-Identifier: Apache-2.0
//! Bundles with one fault each: `check` names the fault, and the container cannot be run.

use crate::support::{Answer, answer, here, runtime};
use conformance::change::push;
use conformance::{Bundle, host};
use serde_json::{Value, json};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

fn bundle(change: impl FnOnce(&mut Value)) -> Bundle {
    let cgroup = format!("/check-{}", std::process::id());
    Bundle::new(&["exit", "0"])
        .unwrap()
        .with(|config| config["linux"]["cgroupsPath"] = json!(cgroup))
        .unwrap()
        .with(change)
        .unwrap()
}

fn check(bundle: &Path) -> Answer {
    here(&["--bundle", bundle.to_str().unwrap()])
}

fn findings(answer: &Answer) -> &Vec<Value> {
    answer.json["bundle"]["findings"].as_array().unwrap()
}

/// Fails unless `check` finds an error with these words about this property, and nothing else, and
/// the container cannot be run.
fn fails(bundle: &Bundle, field: &str, words: &str) {
    says(bundle, "error", field, words);
    let _alone = host::alone();
    let runtime = runtime();
    let output = runtime.run_in(bundle, &["run", "c"]).unwrap();
    drop(runtime.run(&["delete", "--force", "c"]));
    assert!(!output.status.success(), "{words}: it can be run");
}

/// Fails unless `check` finds a warning, and the container can be run.
fn warns(bundle: &Bundle, field: &str, words: &str) {
    says(bundle, "warning", field, words);
    works(bundle);
}

fn says(bundle: &Bundle, severity: &str, field: &str, words: &str) {
    let answer = check(bundle.path());
    let [finding] = &findings(&answer)[..] else { panic!("{words}: {:?}", findings(&answer)) };
    assert_eq!(finding["severity"], severity, "{finding}");
    assert!(finding["text"].as_str().unwrap().contains(words), "must say {words:?}: {finding}");
    if !field.is_empty() {
        assert_eq!(finding["field"], field, "{finding}");
        assert!(finding["text"].as_str().unwrap().starts_with(field), "{finding}");
    }
    assert_eq!(answer.status, if severity == "error" { 4 } else { 2 });
}

fn works(bundle: &Bundle) {
    let _alone = host::alone();
    let runtime = runtime();
    let output = runtime.run_in(bundle, &["run", "c"]).unwrap();
    drop(runtime.run(&["delete", "--force", "c"]));
    output.ok().unwrap();
}

#[test]
fn a_bundle_without_faults_has_status_0() {
    let bundle = bundle(|config| {
        push(config, json!({ "destination": "/mnt", "source": "/etc", "options": ["rbind", "ro"] }));
        config["process"]["args"] = json!(["probe", "exit", "0"]);
        config["process"]["env"] = json!(["PATH=/bin:/"]);
        config["hooks"] = json!({ "poststop": [{ "path": "/bin/true" }] });
    });
    let answer = check(bundle.path());
    assert!(findings(&answer).is_empty(), "{:?}", findings(&answer));
    assert_eq!((answer.status, answer.json["fitness"].as_str()), (0, Some("works")));
    works(&bundle);
    let _alone = host::alone();
    let plain = runtime().run(&["check", "--bundle", bundle.path().to_str().unwrap()]).unwrap().ok().unwrap();
    assert_eq!(plain.stdout, "Nothing was found that keeps this bundle from working here.\n");
}

#[test]
fn the_path_of_a_bundle_may_have_any_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(std::ffi::OsStr::from_bytes(b"\xff"));
    fs::create_dir(&path).unwrap();
    let mut command = runtime().command(&["check", "--format", "json", "--bundle"]);
    command.arg(path);
    let answer = answer(command);
    assert!(answer.json["bundle"]["path"].as_str().unwrap().ends_with("\u{fffd}"), "{}", answer.json);
}

#[test]
fn faults_of_the_document_have_the_librarys_words() {
    fails(&bundle(|config| config["process"]["cwd"] = json!("x")), "process.cwd", "must be an absolute path");
    fails(&bundle(|config| config["linux"]["rootfsPropagation"] = json!("x")), "linux.rootfsPropagation", "");
    warns(&bundle(|config| config["hostnam"] = json!("x")), "", "hostname");
    let bundle = bundle(|_| ());
    fs::write(bundle.path().join("config.json"), "{ \"ociVersion\": 3 }").unwrap();
    fails(&bundle, "", "line 1");
    fs::remove_file(bundle.path().join("config.json")).unwrap();
    fails(&bundle, "", "config.json not found");
}

#[test]
fn a_hostile_bundle_does_not_block() {
    let begin = Instant::now();
    let fifo = |path: &Path| nix::unistd::mkfifo(path, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let config = bundle(|_| ());
    fs::remove_file(config.path().join("config.json")).unwrap();
    fifo(&config.path().join("config.json"));
    fails(&config, "", "not a regular file");
    let large = bundle(|_| ());
    fs::File::create(large.path().join("config.json")).unwrap().set_len(1 << 40).unwrap();
    fails(&large, "", "larger than 16 MiB");
    let program = bundle(|config| config["process"]["args"] = json!(["/fifo"]));
    fifo(&program.rootfs("fifo"));
    fails(&program, "process.args[0]", "is no regular file");
    let huge = bundle(|config| config["process"]["args"] = json!(["/huge"]));
    fs::File::create(huge.rootfs("huge")).unwrap().set_len(1 << 40).unwrap();
    fs::set_permissions(huge.rootfs("huge"), PermissionsExt::from_mode(0o755)).unwrap();
    fails(&huge, "process.args[0]", "exec format error");
    assert!(begin.elapsed() < Duration::from_secs(60));
}

#[test]
fn a_program_that_cannot_be_executed_is_named() {
    let with = |args: Value, name: &str, content: &[u8]| {
        let bundle = bundle(|config| config["process"]["args"] = args);
        if !name.is_empty() {
            fs::write(bundle.rootfs(name), content).unwrap();
            fs::set_permissions(bundle.rootfs(name), PermissionsExt::from_mode(0o755)).unwrap();
        }
        bundle
    };
    let at = "process.args[0]";
    fails(&with(json!(["/none"]), "", b""), at, "/none: no such file");
    fails(&with(json!(["none"]), "", b""), at, "in no directory of PATH");
    fails(&with(json!(["/etc"]), "", b""), at, "is a directory");
    fails(&with(json!(["/script"]), "script", b"#!/bin/none\n"), at, "interpreter /bin/none: no such file");
    let denied = with(json!(["/script"]), "script", b"#!/probe\n");
    fs::set_permissions(denied.rootfs("script"), PermissionsExt::from_mode(0o644)).unwrap();
    fails(&denied, at, "permission denied");
    let mut foreign = fs::read(denied.rootfs("probe")).unwrap();
    foreign[18] = 22;
    foreign[19] = 0;
    fails(&with(json!(["/foreign"]), "foreign", &foreign), at, "for another processor: s390x");
    // A relative interpreter is searched in the working directory.
    let relative = with(json!(["/script"]), "script", b"#!bin/none\n");
    let relative = relative.with(|config| config["process"]["cwd"] = json!("/etc")).unwrap();
    fails(&relative, at, "interpreter /etc/bin/none: no such file");
    // The host's program of this name is none of the container.
    let outside = with(json!(["/out"]), "", b"");
    std::os::unix::fs::symlink("../../../../../../../../bin/sh", outside.rootfs("out")).unwrap();
    fails(&outside, at, "/out: no such file");
}

/// Emulators are those of binfmt_misc, which is not mounted for the question.
#[test]
fn a_directory_in_place_of_binfmt_misc_has_no_emulators() {
    if !Path::new("/proc/sys/fs/binfmt_misc").exists() {
        return;
    }
    let bundle = bundle(|config| config["process"]["args"] = json!(["/text"]));
    fs::write(bundle.rootfs("text"), "echo").unwrap();
    fs::set_permissions(bundle.rootfs("text"), PermissionsExt::from_mode(0o755)).unwrap();
    let runtime = runtime();
    let script = "mount -t tmpfs x /proc/sys/fs/binfmt_misc; : >/proc/sys/fs/binfmt_misc/qemu
         \"$RUNTIME\" --root \"$STATE\" check --format json --bundle $BUNDLE";
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation", "private", "sh", "-uc", script]);
    command.env("RUNTIME", runtime.program()).env("STATE", runtime.root()).env("BUNDLE", bundle.path());
    let answer = answer(command);
    let text = findings(&answer)[0]["text"].as_str().unwrap();
    assert!(text.contains("exec format error"), "{text}");
}

#[test]
fn a_program_that_a_mount_may_bring_is_a_warning() {
    let bundle = bundle(|config| {
        config["process"]["args"] = json!(["/mnt/probe", "exit", "0"]);
        let dir = conformance::bundle::probe().parent().unwrap().to_owned();
        push(config, json!({ "destination": "/mnt", "source": dir, "options": ["bind", "ro"] }));
    });
    warns(&bundle, "process.args[0]", "a mount or a hook may bring it");
}

#[test]
fn a_rootfs_that_cannot_be_used_is_named() {
    fails(&bundle(|config| config["root"]["path"] = json!("none")), "root.path", "/none: no such file");
    let may_gain = bundle(|config| config["process"]["noNewPrivileges"] = json!(false));
    let bundle = bundle(|_| ());
    let check = |bundle: &Bundle, options: &str| {
        let runtime = runtime();
        let script = format!(
            "mount --bind $BUNDLE/rootfs $BUNDLE/rootfs; mount -o remount,bind,{options} $BUNDLE/rootfs
             \"$RUNTIME\" --root \"$STATE\" check --format json --bundle $BUNDLE"
        );
        let mut command = Command::new("unshare");
        command.args(["--mount", "--propagation", "private", "sh", "-uc", &script]);
        command.env("RUNTIME", runtime.program()).env("STATE", runtime.root()).env("BUNDLE", bundle.path());
        answer(command)
    };
    let answer = check(&bundle, "noexec");
    assert!(findings(&answer)[0]["text"].as_str().unwrap().contains("noexec"), "{:?}", findings(&answer));
    assert_eq!(answer.status, 4);
    assert_eq!(check(&bundle, "nosuid").status, 0, "the process has no_new_privs");
    let answer = check(&may_gain, "nosuid");
    assert!(findings(&answer)[0]["text"].as_str().unwrap().contains("nosuid"), "{:?}", findings(&answer));
    assert_eq!((findings(&answer).len(), answer.status), (1, 2));
}

#[test]
fn what_the_host_lacks_is_named_with_its_property() {
    let with = |change: fn(&mut Value)| bundle(change);
    fails(
        &with(|config| {
            push(config, json!({ "destination": "/mnt", "source": "/none", "options": ["bind"] }));
        }),
        "mounts[7].source",
        "/none: no such file",
    );
    let hook = |config: &mut Value| {
        config["hooks"] = json!({ "createRuntime": [{ "path": "/none" }, { "path": "/etc" }] });
    };
    let answer = check(bundle(hook).path());
    let fields: Vec<_> = findings(&answer).iter().map(|finding| finding["field"].as_str().unwrap()).collect();
    assert_eq!(fields, ["hooks.createRuntime[0].path", "hooks.createRuntime[1].path"]);
    fails(
        &with(|config| config["linux"]["namespaces"][0]["path"] = json!("/proc/1/ns/none")),
        "linux.namespaces[0].path",
        "no such file",
    );
    fails(
        &with(|config| {
            let namespaces = config["linux"]["namespaces"].as_array_mut().unwrap();
            namespaces.retain(|namespace| namespace["type"] != "network");
            namespaces.push(json!({ "type": "network", "path": "/proc/self/stat" }));
        }),
        "linux.namespaces",
        "not a namespace file",
    );
    fails(
        &with(|config| config["linux"]["netDevices"] = json!({ "none0": {} })),
        "linux.netDevices.none0",
        "no such interface",
    );
    fails(
        &with(|config| config["linux"]["sysctl"] = json!({ "net.none": "1" })),
        "linux.sysctl.net.none",
        "",
    );
    says(
        &with(|config| config["linux"]["sysctl"] = json!({ "net.ipv4.conf.eth99.forwarding": "1" })),
        "warning",
        "linux.sysctl.net.ipv4.conf.eth99.forwarding",
        "the host has no",
    );
    let listener = |config: &mut Value| {
        config["linux"]["seccomp"] = json!({
            "defaultAction": "SCMP_ACT_ALLOW", "listenerPath": "/none/agent",
            "syscalls": [{ "names": ["acct"], "action": "SCMP_ACT_NOTIFY" }],
        });
    };
    fails(&with(listener), "linux.seccomp.listenerPath", "/none/agent: no such file");
    if !Path::new("/sys/module/apparmor").exists() {
        fails(
            &with(|config| config["process"]["apparmorProfile"] = json!("x")),
            "process.apparmorProfile",
            "AppArmor",
        );
    }
    if !Path::new("/sys/fs/selinux/enforce").exists() {
        fails(
            &with(|config| config["process"]["selinuxLabel"] = json!("x")),
            "process.selinuxLabel",
            "SELinux",
        );
        fails(&with(|config| config["linux"]["mountLabel"] = json!("x")), "linux.mountLabel", "SELinux");
    }
    if !Path::new("/sys/fs/resctrl/schemata").exists() {
        fails(
            &with(|config| config["linux"]["intelRdt"] = json!({ "closID": "x" })),
            "linux.intelRdt",
            "resctrl",
        );
    }
    let missing = |name: &str| !host::controllers().iter().any(|one| one == name);
    if missing("rdma") {
        let limit = |config: &mut Value| {
            config["linux"]["resources"]["rdma"] = json!({ "mlx5_0": { "hcaHandles": 3 } });
        };
        fails(&bundle(limit), "linux.resources.rdma.\"mlx5_0\"", "\"rdma\" is not available");
    }
    if missing("memory") {
        let limit = |config: &mut Value| config["linux"]["resources"]["memory"] = json!({ "limit": 1 << 30 });
        fails(&bundle(limit), "linux.resources.memory.limit", "\"memory\" is not available");
    }
}

#[test]
fn ids_need_a_file_system_that_maps_them() {
    let dir = tempfile::tempdir().unwrap();
    let map = json!([{ "containerID": 0, "hostID": 1000, "size": 10 }]);
    let mount = json!({
        "destination": "/mnt", "source": dir.path(), "options": ["bind"], "uidMappings": map, "gidMappings": map,
    });
    let bundle = bundle(|config| push(config, mount));
    works(&bundle);
    assert_eq!(check(bundle.path()).status, 0);
    let ramfs = Command::new("mount").args(["-t", "ramfs", "x"]).arg(dir.path()).status().unwrap();
    assert!(ramfs.success());
    fails(&bundle, "mounts[7].uidMappings", "without id-mapped mounts");
    // A link in the rootfs leads to another file of the rootfs than of the host.
    let inside = Bundle::new(&["exit", "0"]).unwrap();
    std::os::unix::fs::symlink(dir.path(), inside.rootfs("link")).unwrap();
    fs::create_dir_all(inside.rootfs(dir.path().strip_prefix("/").unwrap().to_str().unwrap())).unwrap();
    let source = inside.rootfs("link");
    let inside = inside.with(|config| {
        push(config, json!({
            "destination": "/mnt", "source": source, "options": ["bind"], "uidMappings": map, "gidMappings": map,
        }));
    });
    assert_eq!(check(inside.unwrap().path()).status, 0);
    assert!(Command::new("umount").arg(dir.path()).status().unwrap().success());
}

/// A user, and a configuration for root.
#[test]
fn a_user_is_told_what_only_root_may() {
    let by_user = |bundle: &Bundle, make: &str| {
        let runtime = runtime();
        let script = format!(
            "mount -t tmpfs x /mnt; cp \"$RUNTIME\" /mnt/runtime; chmod 711 $BUNDLE; {make}
             setpriv --reuid=4321 --regid=4321 --clear-groups \
                 /mnt/runtime --root /tmp/none check --format json --bundle $BUNDLE"
        );
        let mut command = Command::new("unshare");
        command.args(["--mount", "--propagation", "private", "sh", "-uc", &script]);
        command.env("RUNTIME", runtime.program()).env("BUNDLE", bundle.path());
        answer(command)
    };
    let texts = |answer: &Answer| {
        let text = |finding: &Value| finding["text"].as_str().unwrap().to_owned();
        findings(answer).iter().map(text).collect::<Vec<_>>().join("\n")
    };
    let plain = bundle(|_| ());
    let answer = by_user(&plain, "");
    assert!(texts(&answer).contains("an ordinary user needs a user namespace"), "{}", texts(&answer));
    assert_eq!(answer.status, 4);
    let rootless = |map: Value| {
        Bundle::new(&["exit", "0"])
            .unwrap()
            .with(|config| {
                config["linux"]["namespaces"].as_array_mut().unwrap().push(json!({ "type": "user" }));
                config["linux"]["uidMappings"] = map.clone();
                config["linux"]["gidMappings"] = map;
                config["linux"]["resources"] = json!(null);
            })
            .unwrap()
    };
    let own = rootless(json!([{ "containerID": 0, "hostID": 4321, "size": 1 }]));
    let answer = by_user(&own, "");
    assert_eq!((texts(&answer), answer.status), (String::new(), 0));
    let many = rootless(json!([
        { "containerID": 0, "hostID": 4321, "size": 1 }, { "containerID": 1, "hostID": 100_000, "size": 1000 },
    ]));
    let ranges = "echo 4321:100000:RANGE >/mnt/range; for f in subuid subgid; do mount --bind /mnt/range /etc/$f; done";
    // A directory on the network may know the name, and so other ranges.
    let nameless = texts(&by_user(&many, &ranges.replace("RANGE", "999")));
    let ids = "linux.uidMappings: the ids 100000 to 100999";
    assert!(nameless.contains(&format!("{ids} may not be the user's")), "{nameless}");
    let named = "mount -t tmpfs x /srv; echo 'name:x:4321:4321::/:' >/srv/passwd; mount --bind /srv/passwd /etc/passwd; ";
    let with_name = |ranges: &str| texts(&by_user(&many, &format!("{named}{ranges}")));
    let short = with_name(&ranges.replace("RANGE", "999"));
    assert!(short.contains(&format!("{ids} are not the user's")), "{short}");
    let enough = with_name(&ranges.replace("RANGE", "1000"));
    assert!(!enough.contains("the user's"), "{enough}");
    let adjacent = "printf '4321:100000:400\\n4321:100400:600\\n' >/mnt/range; for f in subuid subgid; do mount --bind /mnt/range /etc/$f; done";
    assert!(!with_name(adjacent).contains("the user's"), "{}", with_name(adjacent));
}

#[test]
fn a_limit_above_the_callers_needs_a_capability() {
    let bundle = bundle(|config| {
        config["process"]["rlimits"] = json!([{ "type": "RLIMIT_NOFILE", "soft": 600, "hard": 600 }]);
    });
    let runtime = runtime();
    let with = |limit: &str| {
        let mut command = Command::new("prlimit");
        command.arg(limit).args(["setpriv", "--bounding-set=-sys_resource", "--inh-caps=-sys_resource"]);
        command.arg(runtime.program()).args(["check", "--format", "json", "--bundle"]).arg(bundle.path());
        answer(command)
    };
    let answer = with("--nofile=512:512");
    assert!(
        findings(&answer)[0]["text"].as_str().unwrap().contains("RLIMIT_NOFILE"),
        "{:?}",
        findings(&answer)
    );
    assert_eq!((answer.status, with("--nofile=600:600").status), (4, 0));
}
