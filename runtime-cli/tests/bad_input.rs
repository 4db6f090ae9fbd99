// SPDX-License-Identifier: Apache-2.0
//! Bad input: one clear error, the exit status that callers expect, and nothing left.
#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

mod common;

use common::Host;
use conformance::Bundle;
use conformance::runtime::finish;
use serde_json::{Value, json};
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

impl Host {
    /// Checks that create and run fail with status 1 and this text, and leave nothing.
    fn refuses(&self, bundle: &Bundle, text: &str) {
        for (verb, prefix) in [("create", "runc create failed: "), ("run", "runc run failed: ")] {
            let output = self.runtime.run_in(bundle, &[verb, "bad"]).unwrap().failed_with(1, text).unwrap();
            assert!(output.stderr.contains(&format!("level=error msg=\"{prefix}")), "{output}");
            assert_eq!(output.stderr.lines().count(), 1, "{output}");
            assert_eq!(output.stdout, "", "{output}");
            self.run(&["state", "bad"]).failed_with(1, "container does not exist").unwrap();
        }
        self.before.check(&self.runtime).unwrap();
    }

    fn refuses_config(&self, change: impl FnOnce(&mut Value), text: &str) {
        self.refuses(&Bundle::new(&["exit", "0"]).unwrap().with(change).unwrap(), text);
    }
}

#[test]
fn a_config_json_that_is_missing_broken_or_wrong_is_an_error() {
    let host = Host::new(false);
    let bundle = Bundle::new(&["exit", "0"]).unwrap();
    let config = bundle.path().join("config.json");
    std::fs::remove_file(&config).unwrap();
    host.refuses(&bundle, "JSON specification file config.json not found");
    let whole = bundle.config.to_string();
    for (text, error) in [
        ("", "EOF while parsing a value at line 1 column 0"),
        ("null", "config cannot be null"),
        ("[]", "expected a JSON object"),
        (&whole[..whole.len() / 2], "EOF while parsing"),
        (&(whole.clone() + "}"), "trailing characters"),
    ] {
        std::fs::write(&config, text).unwrap();
        host.refuses(&bundle, error);
    }
    std::fs::write(&config, b"{\n\"hostname\": \"a\xff\"}").unwrap();
    host.refuses(&bundle, "hostname: not UTF-8 at line 2 column 15");
    std::fs::remove_file(&config).unwrap();
    std::fs::create_dir(&config).unwrap();
    host.refuses(&bundle, "config.json: is a directory");
    host.refuses_config(
        |c| c["process"]["user"]["uid"] = json!("root"),
        "process.user.uid: invalid type: string",
    );
    host.refuses_config(|c| c["mounts"][2]["options"] = json!({}), "mounts[2].options: invalid type: object");
    host.refuses_config(|c| c["process"]["args"] = json!([]), "process.args: args must not be empty");
    host.refuses_config(|c| c["process"]["cwd"] = json!("x"), "process.cwd: Cwd must be an absolute path");
    host.refuses_config(
        |c| drop(c.as_object_mut().unwrap().remove("process")),
        "process property must not be empty",
    );
    host.refuses_config(|c| c["ociVersion"] = json!("one"), "ociVersion: \\\"one\\\" is not a version");
    host.refuses_config(
        |c| c["linux"]["namespaces"][0]["type"] = json!("bogus"),
        "linux.namespaces[0].type: no such namespace type: \\\"bogus\\\" (known: cgroup, ipc, mount",
    );
    host.done();
}

#[test]
fn a_missing_rootfs_is_an_error() {
    let host = Host::new(false);
    host.refuses_config(|c| c["root"]["path"] = json!("nope"), "/nope: no such file or directory");
    host.refuses_config(|c| c["root"]["path"] = json!("config.json"), "/config.json: not a directory");
    host.done();
}

#[test]
fn a_file_system_that_refuses_an_option_is_quoted() {
    let host = Host::new(false);
    let mount =
        |option| json!({"destination": "/x", "type": "tmpfs", "source": "tmpfs", "options": [option]});
    for (option, words) in
        [("size=many", "tmpfs: Bad value for 'size'"), ("nonsense=1", "tmpfs: Unknown parameter 'nonsense'")]
    {
        host.refuses_config(|c| c["mounts"].as_array_mut().unwrap().push(mount(option)), words);
    }
    host.done();
}

/// The advice is about config.json, whose author made the mistake, and not about the image or the host.
#[test]
fn a_hint_names_the_place_of_the_mistake() {
    let host = Host::new(false);
    let device = |path: &str, minor: i64| json!({ "path": path, "type": "c", "major": 1, "minor": minor });
    host.refuses_config(
        |c| c["linux"]["devices"] = json!([device("/dev/twice", 3), device("/dev/twice", 5)]),
        "making device /dev/twice: check of the existing file: file exists; hint: another entry of linux.devices",
    );
    host.refuses_config(
        |c| c["linux"]["devices"] = json!([device("/dev/null", 5)]),
        "reopening /dev/null inside the container: check of the existing file: no such device; hint: linux.devices",
    );
    let bundle = Bundle::new(&["exit", "0"]).unwrap();
    let rootfs = bundle.rootfs("");
    let itself = json!({ "destination": "/tmp", "source": rootfs, "type": "bind", "options": ["rbind"] });
    let mut bundle = bundle.with(|c| c["mounts"].as_array_mut().unwrap().push(itself.clone())).unwrap();
    host.refuses(&bundle, "check of the source: operation not permitted; hint: the source is in the rootfs");
    // The advice of the hint works.
    let mounts = bundle.config["mounts"].as_array_mut().unwrap();
    mounts.pop();
    mounts.insert(0, itself);
    bundle.save().unwrap();
    host.runtime.run_in(&bundle, &["run", "good"]).unwrap().ok().unwrap();
}

#[test]
fn invalid_bundles_are_errors() {
    let host = Host::new(false);
    let file = tempfile::NamedTempFile::new().unwrap();
    for (bundle, error) in [
        ("/nonexistent", "chdir /nonexistent: no such file or directory"),
        (file.path().to_str().unwrap(), ": not a directory"),
    ] {
        host.run(&["create", "--bundle", bundle, "bad"]).failed_with(1, error).unwrap();
        host.run(&["spec", "--bundle", bundle]).failed_with(1, error).unwrap();
    }
    host.done();
}

#[test]
fn malformed_ids_are_errors() {
    let host = Host::new(false);
    let bundle = Bundle::new(&["sleep"]).unwrap();
    for (id, error) in [
        ("", "container id cannot be empty"),
        ("..", "invalid container ID format"),
        ("a/b", "invalid container ID format"),
    ] {
        for verb in ["create", "state", "start", "delete", "kill"] {
            host.runtime.run_in(&bundle, &[verb, id]).unwrap().failed_with(1, error).unwrap();
        }
    }
    host.runtime.run_in(&bundle, &["create", "taken"]).unwrap().ok().unwrap();
    host.runtime
        .run_in(&bundle, &["create", "taken"])
        .unwrap()
        .failed_with(1, "runc create failed: container with given ID already exists")
        .unwrap();
    for verb in ["state", "start", "delete"] {
        host.run(&[verb, "nobody"]).failed_with(1, "msg=\"container does not exist; hint: ").unwrap();
    }
    host.run(&["delete", "--force", "nobody"]).ok().unwrap();
    host.run(&["kill", "taken", "BADSIG"]).failed_with(1, "unknown signal \\\"BADSIG\\\"").unwrap();
    host.run(&["kill", "nobody", "BADSIG"]).failed_with(1, "container does not exist").unwrap();
    host.run(&["delete", "taken"]).ok().unwrap();
    host.done();
}

#[test]
fn wrong_documents_of_update_and_exec_are_errors() {
    let host = Host::new(false);
    let bundle = Bundle::new(&["sleep"]).unwrap();
    host.runtime.run_in(&bundle, &["create", "c"]).unwrap().ok().unwrap();
    let file = tempfile::NamedTempFile::new().unwrap();
    let path = file.path().to_str().unwrap();
    for text in ["{\"args\"", "{\"memory\": {\"limit\": \"much\"}, \"args\": 1}"] {
        std::fs::write(path, text).unwrap();
        host.run(&["update", "--resources", path, "c"]).failed_with(1, &format!("msg=\"{path}: ")).unwrap();
        host.run(&["exec", "--process", path, "c"])
            .failed_with(255, &format!("msg=\"exec failed: {path}: "))
            .unwrap();
    }
    host.run(&["delete", "c"]).ok().unwrap();
    host.done();
}

/// Runs a program that execve(2) refuses. Standard error has the one line that runc prints, and the
/// log has the hint.
fn not_executed(host: &Host, bundle: &Bundle, program: &str, error: &str, hint: &str) {
    let log = bundle.path().join("log");
    let output = host.runtime.run_in(bundle, &["--log", log.to_str().unwrap(), "run", "bad"]).unwrap();
    assert_eq!(output.status.code(), Some(255), "{output}");
    assert_eq!(output.stderr, format!("exec {program}: {error}\n"));
    let logged = std::fs::read_to_string(&log).unwrap();
    assert!(logged.contains(&format!("exec {program}: {error}; hint: {hint}")), "{logged}");
}

#[test]
fn programs_that_cannot_be_executed_are_errors() {
    let host = Host::new(false);
    let args = |value: Value| move |config: &mut Value| config["process"]["args"] = value;
    let init = "unable to start container process: error during container init: ";
    host.refuses_config(
        args(json!(["nope"])),
        &format!("{init}exec: \\\"nope\\\": executable file not found in $PATH"),
    );
    host.refuses_config(
        args(json!(["/x"])),
        &format!("{init}exec: \\\"/x\\\": stat /x: no such file or directory"),
    );
    host.refuses_config(args(json!(["/proc"])), &format!("{init}exec: \\\"/proc\\\": is a directory"));
    host.refuses_config(
        args(json!(["/etc/passwd"])),
        &format!("{init}exec: \\\"/etc/passwd\\\": permission denied"),
    );
    host.refuses_config(
        args(json!(["/probe/x"])),
        &format!("{init}exec: \\\"/probe/x\\\": stat /probe/x: not a directory"),
    );
    // The container reports what only execve(2) can detect, and its exit status is execve's.
    let bundle = Bundle::new(&[]).unwrap().with(args(json!(["/script"]))).unwrap();
    for (text, error) in [("#!/nonexistent\n", "no such file or directory"), ("garbage", "exec format error")]
    {
        std::fs::write(bundle.rootfs("script"), text).unwrap();
        std::fs::set_permissions(bundle.rootfs("script"), PermissionsExt::from_mode(0o755)).unwrap();
        not_executed(&host, &bundle, "/script", error, "");
    }
    host.done();
}

#[test]
fn a_program_with_a_capability_beyond_the_bounding_set_is_not_executed() {
    let host = Host::new(false);
    let bundle = Bundle::new(&[]).unwrap().with(|c| c["process"]["args"] = json!(["/clock"])).unwrap();
    let program = bundle.rootfs("clock");
    std::fs::copy(bundle.rootfs("probe"), &program).unwrap();
    // VFS_CAP_REVISION_2 and VFS_CAP_FLAGS_EFFECTIVE, with CAP_SYS_TIME permitted (capabilities(7)).
    let capability: Vec<u8> =
        [0x0200_0001_u32, 1 << 25, 0, 0, 0].into_iter().flat_map(u32::to_le_bytes).collect();
    let file = std::fs::File::open(&program).unwrap();
    runtime_sys::fd::set_xattr(&file, c"security.capability", &capability).unwrap();
    let hint = "the file may have a capability that process.capabilities.bounding lacks";
    not_executed(&host, &bundle, "/clock", "operation not permitted", hint);
    host.done();
}

#[test]
fn records_that_are_torn_or_foreign_are_errors() {
    let host = Host::new(false);
    let root = host.runtime.root();
    let bundle = Bundle::new(&["exit", "0"]).unwrap();
    for (id, record) in [("torn", "{\"version\":1,"), ("foreign", "{\"id\":\"x\"}"), ("empty", "")] {
        std::fs::create_dir(root.join(id)).unwrap();
        std::fs::write(root.join(id).join("state.json"), record).unwrap();
        for verb in ["state", "start", "kill", "delete"] {
            host.run(&[verb, id]).failed_with(1, &format!("load container {id}: state.json: ")).unwrap();
        }
        host.runtime.run_in(&bundle, &["create", id]).unwrap().failed_with(1, "already exists").unwrap();
    }
    // A create that was interrupted before its first write, and entries that are no containers.
    std::fs::create_dir(root.join("bare")).unwrap();
    std::fs::write(root.join("file"), "").unwrap();
    std::os::unix::fs::symlink("bare", root.join("link")).unwrap();
    host.run(&["state", "bare"]).failed_with(1, "container does not exist").unwrap();
    host.run(&["state", "file"]).failed_with(1, "container does not exist").unwrap();
    host.run(&["state", "link"]).failed_with(1, "container does not exist").unwrap();
    let list = host.run(&["list", "-q"]).ok().unwrap();
    assert_eq!(list.stdout, "");
    assert_eq!(list.stderr.lines().count(), 4, "{list}");
    for id in ["torn", "foreign", "empty", "bare"] {
        let deleted = host.run(&["delete", "--force", id]).ok().unwrap();
        assert_eq!(
            deleted.stderr.contains("names neither a process nor a cgroup"),
            id != "bare",
            "{deleted}"
        );
    }
    std::fs::remove_file(root.join("file")).unwrap();
    std::fs::remove_file(root.join("link")).unwrap();
    host.done();
}

#[test]
fn wrong_arguments_are_errors() {
    let host = Host::new(false);
    let plain = |args: &[&str]| {
        finish({
            let mut command = Command::new(host.runtime.program());
            command.args(args);
            command
        })
        .unwrap()
    };
    let unknown = plain(&["foo", "-h"]).failed_with(3, "No help topic for 'foo'").unwrap();
    assert_eq!(unknown.stdout, "");
    let flag = plain(&["create", "--bogus", "x"])
        .failed_with(1, "Incorrect Usage: flag provided but not defined: -bogus")
        .unwrap();
    assert!(flag.stdout.starts_with("NAME:\n   runtime-cli create - "), "{flag}");
    plain(&["create", "--bundle"]).failed_with(1, "flag needs an argument: --bundle").unwrap();
    let count = plain(&["kill"]).failed_with(1, "\\\"kill\\\" requires a minimum of 1 argument(s)").unwrap();
    assert!(count.stdout.starts_with("Incorrect Usage.\n"), "{count}");
    plain(&["--log-format", "xml", "list"]).failed_with(1, "invalid log-format: xml").unwrap();
    plain(&["--root", "/", "list"]).failed_with(1, "Option --root argument should not be set to /").unwrap();
    plain(&["--root", "", "list"]).failed_with(1, "Option --root argument should not be empty").unwrap();
    plain(&["--root", "/nonexistent", "list"])
        .failed_with(1, "open /nonexistent: no such file or directory")
        .unwrap();
    plain(&["list", "--format", "xml"]).failed_with(1, "invalid format option").unwrap();
    // Podman and CRI-O detect support for checkpoints by these commands.
    assert!(plain(&["checkpoint", "--help"]).ok().unwrap().stdout.contains("--leave-running"));
    plain(&["restore", "--lsm-mount-context"])
        .failed_with(1, "flag needs an argument: --lsm-mount-context")
        .unwrap();
    assert!(plain(&[]).ok().unwrap().stdout.contains("COMMANDS:"));
    host.done();
}

#[test]
fn the_number_of_sockets_that_a_service_manager_passes_is_checked() {
    let host = Host::new(false);
    let bundle = Bundle::new(&["exit", "0"]).unwrap();
    let run = |number: &str| {
        let script = format!(
            "LISTEN_PID=$$ LISTEN_FDS={number} exec {} --root {} run --preserve-fds 65000 --bundle {} bad",
            host.runtime.program().display(),
            host.runtime.root().display(),
            bundle.path().display(),
        );
        finish({
            let mut command = Command::new("sh");
            command.args(["-c", &script]);
            command
        })
        .unwrap()
    };
    run("many").failed_with(1, r#"LISTEN_FDS: expected 0 to 65535, got \"many\""#).unwrap();
    run("70000").failed_with(1, r#"LISTEN_FDS: expected 0 to 65535, got \"70000\""#).unwrap();
    run("1000").failed_with(1, "--preserve-fds: 65000 and LISTEN_FDS=1000 are more than 65535").unwrap();
    host.done();
}

#[test]
fn wrong_terminals_and_sockets_are_errors() {
    let host = Host::new(false);
    let terminal =
        Bundle::new(&["exit", "0"]).unwrap().with(|c| c["process"]["terminal"] = json!(true)).unwrap();
    let refuse = |args: &[&str], text: &str, bundle: &Bundle| {
        host.runtime.run_in(bundle, args).unwrap().failed_with(1, text).unwrap();
    };
    let detached = "cannot allocate tty if runc will detach without setting console socket";
    refuse(&["create", "bad"], detached, &terminal);
    refuse(&["run", "--detach", "bad"], detached, &terminal);
    refuse(
        &["create", "--console-socket", "/nonexistent", "bad"],
        "dial unix /nonexistent: connect: no such file",
        &terminal,
    );
    let plain = Bundle::new(&["exit", "0"]).unwrap();
    let socket = plain.path().join("socket");
    let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    let unused = "cannot use console socket if runc will not detach or allocate tty";
    refuse(&["create", "--console-socket", socket.to_str().unwrap(), "bad"], unused, &plain);
    refuse(&["run", "--console-socket", socket.to_str().unwrap(), "bad"], unused, &terminal);
    refuse(&["create", "--pidfd-socket", "/nonexistent", "bad"], "/nonexistent", &plain);
    refuse(
        &["create", "--pid-file", "/nonexistent/pid", "bad"],
        "write /nonexistent/pid: no such file",
        &plain,
    );
    refuse(&["create", "--preserve-fds", "65536", "bad"], "--preserve-fds: expected 0 to 65535", &plain);
    refuse(&["create", "--preserve-fds", "2", "bad"], "unable to stat preserved-fd 0 (of 2)", &plain);
    host.done();
}

#[test]
fn unsupported_features_are_refused_by_name() {
    let host = Host::new(false);
    host.refuses_config(
        |c| c["linux"]["resources"]["network"] = json!({ "classID": 1 }),
        "linux.resources.network",
    );
    host.done();
}

/// Properties of the scope that the runtime sets: a foreign process in `PIDs` would be moved into
/// the scope, and killed with it.
#[test]
fn properties_of_the_scope_that_are_the_runtimes_are_refused() {
    let host = Host::new(true);
    for (name, value) in [("PIDs", "[uint32 1]"), ("Slice", "'x.slice'"), ("Delegate", "false")] {
        let key = format!("org.systemd.property.{name}");
        host.refuses_config(
            |c| c["annotations"] = json!({ key.as_str(): value }),
            &format!("annotations.\\\"{key}\\\": is set by the runtime itself"),
        );
    }
    host.done();
}

#[test]
fn the_log_has_one_object_for_an_error_and_standard_error_the_text() {
    let host = Host::new(false);
    let log = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(log.path(), "kept\n").unwrap();
    let log_path = log.path().to_str().unwrap();
    let mut command = Command::new(host.runtime.program());
    command.args([
        "--root",
        host.runtime.root().to_str().unwrap(),
        "--log",
        log_path,
        "--log-format",
        "json",
        "state",
        "nobody",
    ]);
    let output = finish(command).unwrap().failed_with(1, "").unwrap();
    let message = format!(
        "container does not exist; hint: {} has no \"nobody\"; --root names another directory",
        host.runtime.root().display()
    );
    assert_eq!(output.stderr, format!("{message}\n"));
    let text = std::fs::read_to_string(log.path()).unwrap();
    let object = text.strip_prefix("kept\n").unwrap();
    let object: Value = serde_json::from_str(object).unwrap();
    assert_eq!((&object["level"], &object["msg"]), (&json!("error"), &json!(message)));
    assert!(object["time"].as_str().unwrap().ends_with('Z'));
    host.done();
}
