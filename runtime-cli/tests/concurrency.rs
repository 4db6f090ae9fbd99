// SPDX-License-Identifier: Apache-2.0
//! Two commands on one container, or on one cgroup, at the same time: no foreign process is killed,
//! and no container loses its record.
#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

use conformance::host::{self, HostSnapshot};
use conformance::{Bundle, Runtime, runtime::wait};
use nix::fcntl::{Flock, FlockArg};
use serde_json::json;
use std::fs::{self, File};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

fn runtime() -> Runtime {
    Runtime::new(&conformance::bundle::beside("runtime-cli")).unwrap()
}

/// A process outside all containers, killed when it is dropped.
struct Bystander(Child);

impl Bystander {
    fn new() -> Self {
        Bystander(Command::new("sleep").arg("1000").spawn().unwrap())
    }

    fn pid(&self) -> i64 {
        self.0.id().into()
    }
}

impl Drop for Bystander {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

fn is_alive(pid: i64) -> bool {
    conformance::host::process_status(pid, "State").is_some_and(|state| !state.starts_with(['Z', 'X']))
}

fn in_cgroup(path: &str) -> Bundle {
    Bundle::new(&["sleep"]).unwrap().with(|c| c["linux"]["cgroupsPath"] = json!(path)).unwrap()
}

#[test]
fn a_cgroup_in_use_is_refused_and_left_alone() {
    let _alone = host::alone();
    let before = HostSnapshot::take().unwrap();
    let runtime = runtime();
    let name = format!("in-use-{}", std::process::id());
    let cgroup = host::hierarchy().join(&name);
    fs::create_dir(&cgroup).unwrap();
    let bystander = Bystander::new();
    fs::write(cgroup.join("cgroup.procs"), bystander.pid().to_string()).unwrap();
    let bundle = in_cgroup(&format!("/{name}"));
    runtime.run_in(&bundle, &["create", "c"]).unwrap().failed_with(1, "cgroup is not empty").unwrap();
    runtime.run(&["delete", "--force", "c"]).unwrap().ok().unwrap();
    assert!(is_alive(bystander.pid()), "the runtime has killed a process that is not the container's");
    drop(bystander);
    fs::remove_dir(&cgroup).unwrap();
    before.check(&runtime).unwrap();
}

#[test]
fn two_containers_do_not_share_a_cgroup() {
    let _alone = host::alone();
    let before = HostSnapshot::take().unwrap();
    let runtime = runtime();
    let bundle = in_cgroup(&format!("/shared-{}/c", std::process::id()));
    runtime.run_in(&bundle, &["create", "first"]).unwrap().ok().unwrap();
    runtime.run_in(&bundle, &["create", "second"]).unwrap().failed_with(1, "cgroup is not empty").unwrap();
    assert_eq!(runtime.status("first").unwrap(), "created");

    // The second container uses the cgroup of the first, which has stopped. Deleting the first must
    // not kill the second.
    runtime.run(&["kill", "first", "KILL"]).unwrap().ok().unwrap();
    runtime.await_status("first", "stopped").unwrap();
    runtime.run_in(&bundle, &["create", "second"]).unwrap().ok().unwrap();
    runtime.run(&["delete", "first"]).unwrap().failed_with(1, "has processes in it").unwrap();
    assert_eq!(runtime.status("second").unwrap(), "created");
    runtime.run(&["delete", "second"]).unwrap().ok().unwrap();
    runtime.run(&["delete", "first"]).unwrap().ok().unwrap();
    before.check(&runtime).unwrap();
}

/// `delete` comes when `create` has its directory and its lock, but has not yet written its record.
#[test]
fn delete_waits_for_a_creation_that_has_just_begun() {
    let _alone = host::alone();
    let before = HostSnapshot::take().unwrap();
    let runtime = runtime();
    let bundle = in_cgroup(&format!("/late-record-{}", std::process::id()));
    runtime.run_in(&bundle, &["create", "c"]).unwrap().ok().unwrap();
    let pid = runtime.state("c").unwrap()["pid"].as_i64().unwrap();

    let dir = runtime.root().join("c");
    let record = dir.join("state.json");
    let hidden = runtime.root().join("record");
    let lock = Flock::lock(File::open(&dir).unwrap(), FlockArg::LockExclusive).unwrap();
    fs::rename(&record, &hidden).unwrap();
    let mut delete = runtime.command(&["delete", "c"]).spawn().unwrap();
    // By now `delete` has tried the lock several times.
    std::thread::sleep(Duration::from_millis(300));
    assert!(delete.try_wait().unwrap().is_none(), "delete does not wait");
    fs::rename(&hidden, &record).unwrap();
    drop(lock);
    delete.wait().unwrap();
    assert!(record.exists() || !is_alive(pid), "the record is gone, and process {pid} lives");
    runtime.run(&["delete", "--force", "c"]).unwrap().ok().unwrap();
    before.check(&runtime).unwrap();
}

/// The hook does not end by itself, and is not in the container's cgroup.
#[test]
fn delete_does_not_wait_for_the_hooks_of_a_creation() {
    let _alone = host::alone();
    let before = HostSnapshot::take().unwrap();
    let runtime = runtime();
    let bundle = in_cgroup(&format!("/hanging-hook-{}", std::process::id()));
    let mark = bundle.path().join("mark");
    let script = format!("touch {}; exec sleep 1000", mark.display());
    let hook = json!({ "path": "/bin/sh", "args": ["sh", "-c", script], "env": ["PATH=/usr/bin:/bin"] });
    let bundle = bundle.with(|c| c["hooks"] = json!({ "createRuntime": [hook] })).unwrap();
    let mut create = runtime.command(&["create", "c"]);
    let create = create.current_dir(bundle.path()).stderr(Stdio::piped()).spawn().unwrap();
    while !mark.exists() {
        std::thread::sleep(Duration::from_millis(5));
    }
    runtime.run(&["delete", "--force", "c"]).unwrap().ok().unwrap();
    let create = create.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&create.stderr);
    assert!(said.contains("the container's init has ended meanwhile"), "{said}");
    before.check(&runtime).unwrap();
}

/// A record from before an upgrade or a downgrade of the runtime.
#[test]
fn a_record_of_another_version_still_names_what_to_remove() {
    let _alone = host::alone();
    let before = HostSnapshot::take().unwrap();
    let runtime = runtime();
    let bundle = in_cgroup(&format!("/other-version-{}", std::process::id()));
    runtime.run_in(&bundle, &["run", "--detach", "c"]).unwrap().ok().unwrap();
    let record = runtime.root().join("c/state.json");
    let text = fs::read_to_string(&record).unwrap();
    fs::write(&record, text.replace("\"version\":2", "\"version\":999")).unwrap();
    runtime.run(&["delete", "c"]).unwrap().failed_with(1, "version 999").unwrap();
    runtime.run(&["delete", "--force", "c"]).unwrap().ok().unwrap();
    before.check(&runtime).unwrap();
}

#[test]
fn run_deletes_no_other_container_of_the_same_name() {
    let _alone = host::alone();
    let before = HostSnapshot::take().unwrap();
    let runtime = runtime();
    let bundle = in_cgroup(&format!("/same-name-{}", std::process::id()));
    let mut run = runtime.command(&["run", "c"]).current_dir(bundle.path()).spawn().unwrap();
    let end = Instant::now() + Duration::from_secs(30);
    while !runtime.status("c").is_ok_and(|status| status == "running") {
        assert!(Instant::now() < end, "it does not run");
        std::thread::sleep(Duration::from_millis(5));
    }
    let pid = nix::unistd::Pid::from_raw(run.id().cast_signed());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGSTOP).unwrap();
    runtime.run(&["delete", "--force", "c"]).unwrap().ok().unwrap();
    runtime.run_in(&bundle, &["create", "c"]).unwrap().ok().unwrap();
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGCONT).unwrap();
    let status = wait(&mut run).unwrap();
    assert_eq!(status.code(), Some(128 + 9));
    assert_eq!(runtime.status("c").unwrap(), "created");
    runtime.run(&["delete", "--force", "c"]).unwrap().ok().unwrap();
    before.check(&runtime).unwrap();
}
