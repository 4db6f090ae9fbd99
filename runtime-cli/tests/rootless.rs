// SPDX-License-Identifier: Apache-2.0
//! Containers of an unprivileged user: each privileged operation is done by the child, as root of
//! its new user namespace, or left out, or refused by its name.
#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

use conformance::{Bundle, Output, Report, host};
use serde_json::json;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

const USER: u32 = 4321;

/// A directory of the user, with the runtime and its state.
struct Home(tempfile::TempDir);

impl Home {
    fn new() -> Self {
        let dir = tempfile::Builder::new().prefix("home-").tempdir().unwrap();
        std::fs::set_permissions(dir.path(), PermissionsExt::from_mode(0o777)).unwrap();
        std::fs::copy(conformance::bundle::beside("runtime-cli"), dir.path().join("runtime")).unwrap();
        Home(dir)
    }

    fn run(&self, bundle: &Bundle, args: &[&str]) -> Output {
        self.run_by(&[], bundle, args)
    }

    /// Runs the runtime by `by`, a program that executes it.
    fn run_by(&self, by: &[&str], bundle: &Bundle, args: &[&str]) -> Output {
        self.run_with(&[], by, bundle, args)
    }

    /// Runs the runtime with further options of setpriv(1).
    fn run_with(&self, options: &[&str], by: &[&str], bundle: &Bundle, args: &[&str]) -> Output {
        let mut command = Command::new("setpriv");
        command.args([format!("--reuid={USER}"), format!("--regid={USER}"), "--clear-groups".to_owned()]);
        command
            .args(options)
            .args(by)
            .arg(self.0.path().join("runtime"))
            .args(args)
            .current_dir(bundle.path());
        // Without --root the state is in the user's runtime directory, even if USER is "root"
        // (docs/decisions/state-root.md).
        command.env("XDG_RUNTIME_DIR", self.0.path()).env("USER", "user").stdin(Stdio::null());
        conformance::runtime::finish(command).unwrap()
    }
}

/// Makes a bundle as `spec --rootless` does.
fn bundle(program: &[&str]) -> Bundle {
    Bundle::new(program)
        .unwrap()
        .with(|config| {
            let id = |host: u32| json!([{ "containerID": 0, "hostID": host, "size": 1 }]);
            config["linux"]["uidMappings"] = id(USER);
            config["linux"]["gidMappings"] = id(USER);
            config["linux"]["resources"] = json!(null);
            let namespaces = config["linux"]["namespaces"].as_array_mut().unwrap();
            namespaces.retain(|namespace| namespace["type"] != "network");
            namespaces.push(json!({ "type": "user" }));
            let mounts = config["mounts"].as_array_mut().unwrap();
            mounts.retain(|mount| !mount["destination"].as_str().unwrap().starts_with("/sys"));
            for mount in mounts {
                // The group 5 is not mapped.
                let options = mount["options"].as_array().cloned().unwrap_or_default();
                mount["options"] = options.into_iter().filter(|option| option != "gid=5").collect();
            }
        })
        .unwrap()
}

#[test]
fn a_user_can_run_a_container() {
    let _alone = host::alone();
    let home = Home::new();
    let output = home.run(&bundle(&["report"]), &["run", "c"]).ok().unwrap();
    let report: Report = serde_json::from_str(&output.stdout).unwrap();
    assert_eq!((report.pid, report.uids[0], report.gids[0]), (1, 0, 0));
    assert_eq!(report.dev["null"].kind, "char 1:3", "a mount of the host's, which it could not make");
    assert!(report.mount("/").unwrap().options.contains(&"ro".to_owned()));
    assert_eq!(std::fs::read_dir(home.0.path().join("runc")).unwrap().count(), 0);
}

#[test]
fn a_dry_run_of_a_user_makes_nothing() {
    let _alone = host::alone();
    let home = Home::new();
    let output = home.run(&bundle(&["exit", "0"]), &["run", "--dry-run", "c"]).ok().unwrap();
    for words in ["write \"0 4321 1\" to /proc/PID/uid_map", "or go without one", "mount /dev/null, c 1:3"] {
        assert!(output.stdout.contains(words), "{words}: {output}");
    }
    assert!(!home.0.path().join("runc").exists());
}

/// newuidmap(1) is a program of the host, like a hook, so it gets none of the caller's descriptors.
#[test]
fn the_program_that_maps_ids_gets_no_descriptors_of_the_caller() {
    let _alone = host::alone();
    let home = Home::new();
    let (program, seen) = (home.0.path().join("newuidmap"), home.0.path().join("seen"));
    // It fails, and the runtime writes the map of one id itself.
    std::fs::write(&program, format!("#!/bin/sh\nls /proc/self/fd >{}\nexit 1\n", seen.display())).unwrap();
    std::fs::set_permissions(&program, PermissionsExt::from_mode(0o755)).unwrap();
    let script = format!("PATH={}:$PATH; exec 7</etc/passwd; exec \"$@\"", home.0.path().display());
    home.run_by(&["sh", "-c", &script, "sh"], &bundle(&["exit", "0"]), &["run", "c"]).ok().unwrap();
    let open = std::fs::read_to_string(seen).unwrap();
    assert!(open.lines().any(|fd| fd == "2") && open.lines().all(|fd| fd != "7"), "{open}");
}

/// Podman's way: the runtime is root of a user namespace, and the container has none of its own.
#[test]
fn a_container_runs_in_the_user_namespace_of_its_engine() {
    let _alone = host::alone();
    let home = Home::new();
    let bundle = bundle(&["report"]).with(|config| {
        let linux = config["linux"].as_object_mut().unwrap();
        linux.remove("uidMappings");
        linux.remove("gidMappings");
        let namespaces = linux["namespaces"].as_array_mut().unwrap();
        namespaces.retain(|namespace| namespace["type"] != "user");
        linux.insert("devices".to_owned(), json!([{ "path": "/dev/fifo", "type": "p" }]));
    });
    let unshare = ["unshare", "--user", "--map-root-user", "--mount"];
    let output = home.run_by(&unshare, &bundle.unwrap(), &["run", "c"]).ok().unwrap();
    let report: Report = serde_json::from_str(&output.stdout).unwrap();
    assert_eq!((report.pid, report.uids[0], report.gids[0]), (1, 0, 0));
    assert_eq!(report.dev["null"].kind, "char 1:3", "a mount of the host's");
    assert_eq!(report.dev["fifo"].kind, "fifo", "made");
}

/// Without root, but with root's capabilities, in the user namespace of the host.
#[test]
fn a_process_without_sets_of_capabilities_keeps_those_of_its_caller() {
    let _alone = host::alone();
    let home = Home::new();
    let bundle = bundle(&["report"]).with(|config| {
        config["process"]["user"] = json!({ "uid": USER, "gid": USER });
        config["process"].as_object_mut().unwrap().remove("capabilities");
        let linux = config["linux"].as_object_mut().unwrap();
        linux.remove("uidMappings");
        linux.remove("gidMappings");
        let namespaces = linux["namespaces"].as_array_mut().unwrap();
        namespaces.retain(|namespace| namespace["type"] != "user");
    });
    // The capabilities that a container needs: this process may not have all.
    let caps =
        "+chown,+dac_override,+fowner,+setgid,+setuid,+net_admin,+sys_chroot,+sys_ptrace,+sys_admin,+mknod";
    let options = [&*format!("--inh-caps={caps}"), &format!("--ambient-caps={caps}")];
    let output = home.run_with(&options, &[], &bundle.unwrap(), &["run", "c"]).ok().unwrap();
    let report: Report = serde_json::from_str(&output.stdout).unwrap();
    assert_eq!(report.uids, [USER; 4]);
    let set = |name: &str| report.capabilities[name].as_str();
    assert_eq!((set("CapEff"), set("CapAmb")), ("00000000082c10cb", "00000000082c10cb"));
}

/// The user has all capabilities in its own user namespace, also if root maps the ids.
#[test]
fn a_container_runs_in_an_existing_user_namespace_of_the_user() {
    let _alone = host::alone();
    let home = Home::new();
    let mut holder = Command::new("setpriv");
    holder.args([format!("--reuid={USER}"), format!("--regid={USER}"), "--clear-groups".to_owned()]);
    holder.args(["unshare", "--user", "--map-root-user", "sh", "-c", "echo; exec sleep 1000"]);
    let mut holder = holder.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
    // Waits until the ids are mapped.
    holder.stdout.as_mut().unwrap().read_exact(&mut [0]).unwrap();
    let path = format!("/proc/{}/ns/user", holder.id());
    let bundle = bundle(&["sleep"]).with(|config| {
        let linux = config["linux"].as_object_mut().unwrap();
        linux.remove("uidMappings");
        linux.remove("gidMappings");
        let namespaces = linux["namespaces"].as_array_mut().unwrap();
        namespaces.retain(|namespace| namespace["type"] != "user");
        namespaces.push(json!({ "type": "user", "path": path }));
    });
    let bundle = bundle.unwrap();
    let run = |args: &[&str]| home.run(&bundle, args);
    let created = run(&["create", "c"]).ok();
    // The process is not dumpable before its execve(2), and the user has no more rights in the user
    // namespace than its other processes. runc and crun fail in the same way.
    let refused = run(&["exec", "c", "/probe", "report"]).failed();
    let started = run(&["start", "c"]).ok();
    let executed = run(&["exec", "c", "/probe", "report"]).ok();
    let deleted = run(&["delete", "--force", "c"]).ok();
    holder.kill().unwrap();
    holder.wait().unwrap();
    for result in [created, started, deleted] {
        result.unwrap();
    }
    assert!(refused.unwrap().stderr.contains("permission denied"));
    let report: Report = serde_json::from_str(&executed.unwrap().stdout).unwrap();
    assert_eq!((report.uids[0], report.gids[0]), (0, 0));
    assert_eq!(report.dev["null"].kind, "char 1:3");
    assert_eq!(std::fs::read_dir(home.0.path().join("runc")).unwrap().count(), 0);
}

/// Joining the namespaces of a process takes the right to trace it.
#[test]
fn hooks_of_every_kind_run_and_exec_works_before_start() {
    let _alone = host::alone();
    let home = Home::new();
    let log = home.0.path().join("log");
    let hook = |kind: &str| {
        let script = format!("echo {kind} >> {}", log.display());
        json!([{ "path": "/bin/sh", "args": ["sh", "-c", script], "env": ["PATH=/bin:/usr/bin"] }])
    };
    let bundle = bundle(&["sleep"]).with(|config| {
        let kinds = ["prestart", "createRuntime", "createContainer", "poststart", "poststop"];
        config["hooks"] = kinds.iter().map(|kind| ((*kind).to_owned(), hook(kind))).collect();
        config["hooks"]["startContainer"] =
            json!([{ "path": "/probe", "args": ["probe", "write", "/dev/shm/hook", "x"] }]);
    });
    let bundle = bundle.unwrap();
    home.run(&bundle, &["create", "c"]).ok().unwrap();
    home.run(&bundle, &["exec", "c", "/probe", "exit", "0"]).ok().unwrap();
    home.run(&bundle, &["start", "c"]).ok().unwrap();
    home.run(&bundle, &["exec", "c", "/probe", "cat", "/dev/shm/hook"]).ok().unwrap();
    home.run(&bundle, &["delete", "--force", "c"]).ok().unwrap();
    let log = std::fs::read_to_string(log).unwrap();
    assert_eq!(
        log.split_whitespace().collect::<Vec<_>>(),
        ["prestart", "createRuntime", "createContainer", "poststart", "poststop"]
    );
}

#[test]
fn the_whole_life_cycle_works_without_a_cgroup() {
    let _alone = host::alone();
    let home = Home::new();
    let bundle = bundle(&["sleep"]);
    home.run(&bundle, &["run", "--detach", "c"]).ok().unwrap();
    let output = home.run(&bundle, &["exec", "c", "/probe", "report"]).ok().unwrap();
    let report: Report = serde_json::from_str(&output.stdout).unwrap();
    assert_eq!((report.uids[0], report.processes.contains(&1)), (0, true));
    // Verbs that need a cgroup say so.
    for verb in ["pause", "ps"] {
        home.run(&bundle, &[verb, "c"]).failed_with(1, "no cgroup of its own").unwrap();
    }
    home.run(&bundle, &["delete", "--force", "c"]).ok().unwrap();
    home.run(&bundle, &["state", "c"]).failed_with(1, "does not exist").unwrap();
}

#[test]
fn privileged_requests_are_refused_by_name() {
    let _alone = host::alone();
    let home = Home::new();
    let refused = |change: &dyn Fn(&mut serde_json::Value), text: &str| {
        let bundle = bundle(&["exit", "0"]).with(|config| change(config)).unwrap();
        home.run(&bundle, &["run", "c"]).failed_with(1, text).unwrap();
        home.run(&bundle, &["state", "c"]).failed_with(1, "does not exist").unwrap();
    };
    refused(
        &|config| config["linux"]["resources"] = json!({ "unified": { "cgroup.max.depth": "3" } }),
        "rootless needs no limits + no cgrouppath when no permission is granted for cgroups",
    );
    refused(&|config| config["linux"]["cgroupsPath"] = json!("/of/mine"), "rootless needs no limits");
    refused(
        &|config| config["process"]["user"]["additionalGids"] = json!([0]),
        "process.user.additionalGids: setting groups",
    );
    let output = home.run(&bundle(&["exit", "0"]), &["--rootless", "false", "run", "c"]);
    output.failed_with(1, "unable to apply cgroup configuration: mkdir").unwrap();
    let output = home.run(&bundle(&["exit", "0"]), &["--rootless", "maybe", "run", "c"]);
    output.failed_with(1, "strconv.ParseBool: parsing").unwrap();
}

/// CVE-2023-25809: without a cgroup namespace the user's cgroups on the host are visible, and root
/// of the container is this user.
#[test]
fn cgroups_of_the_host_are_read_only() {
    let _alone = host::alone();
    let home = Home::new();
    let cgroups = json!({
        "destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup",
        "options": ["nosuid", "noexec", "nodev", "relatime", "ro"]
    });
    let sys = json!({
        "destination": "/sys", "type": "none", "source": "/sys",
        "options": ["rbind", "nosuid", "noexec", "nodev", "ro"]
    });
    let bundle = bundle(&["report"])
        .with(|config| {
            config["linux"]["namespaces"].as_array_mut().unwrap().retain(|n| n["type"] != "cgroup");
            config["mounts"].as_array_mut().unwrap().extend([sys, cgroups]);
        })
        .unwrap();
    let output = home.run(&bundle, &["run", "c"]).ok().unwrap();
    let report: Report = serde_json::from_str(&output.stdout).unwrap();
    // A path leads to the last mount at a place and to the mounts on it.
    let at = report.mounts.iter().rposition(|mount| mount.target == "/sys/fs/cgroup").unwrap();
    let seen = report.mounts[at..].iter().filter(|mount| mount.target.starts_with("/sys/fs/cgroup"));
    for mount in seen {
        assert!(mount.options.contains(&"ro".to_owned()), "{mount:?}");
    }
}
