// SPDX-License-Identifier: Apache-2.0
//! The fallbacks for older kernels: a filter around the test returns the errors of an older kernel.
#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

use conformance::{Bundle, Report};
use runtime_core::{ContainerId, DeleteOptions, Runtime};
use serde_json::json;
use std::io::Read;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;
use sys_testing::{filter, notification};

/// Lets fsconfig(2) with this command fail with EINVAL, in the calling thread and in the threads
/// that it starts.
fn refuse_fsconfig(command: u32) {
    let answer = libc::SECCOMP_RET_ERRNO | libc::EINVAL as u32;
    let filter = filter::of_call(libc::SYS_fsconfig, &[(1, command)], answer);
    runtime_sys::seccomp::load(&filter, 0).unwrap();
}

/// A process in another pid namespace that opens a file system context.
#[derive(Debug, PartialEq)]
struct Opener {
    /// The number of its system call filters.
    filters: u32,
    session: i32,
    terminal: i32,
}

/// Watches fsopen(2) in the calling thread and in the processes that it starts. Returns a channel on
/// which each [`Opener`] comes while it waits in the call.
fn watch_fsopen() -> Receiver<Opener> {
    let (to_watcher, listeners) = channel();
    let (to_test, openers) = channel();
    // Started before the filter is loaded, so that the watcher is not among the watched.
    std::thread::spawn(move || {
        let listener: std::os::fd::OwnedFd = listeners.recv().unwrap();
        while let Ok(call) = notification::receive(&listener) {
            let file = |name: &str| std::fs::read_to_string(format!("/proc/{}/{name}", call.thread)).unwrap();
            let status = file("status");
            let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).unwrap().trim();
            if field("NSpid:").contains('\t') {
                let stat = file("stat");
                let numbers: Vec<i32> =
                    stat.rsplit(')').next().unwrap().split(' ').filter_map(|n| n.parse().ok()).collect();
                let filters = field("Seccomp_filters:").parse().unwrap();
                // The fields from the parent's pid on, proc_pid_stat(5).
                to_test.send(Opener { filters, session: numbers[2], terminal: numbers[3] }).unwrap();
            }
            notification::answer(&listener, call, None).unwrap();
        }
    });
    let filter = filter::of_call(libc::SYS_fsopen, &[], libc::SECCOMP_RET_USER_NOTIF);
    let flags = libc::SECCOMP_FILTER_FLAG_NEW_LISTENER as u32;
    to_watcher.send(runtime_sys::seccomp::load_listening(&filter, flags).unwrap()).unwrap();
    openers
}

/// KERNEL(6.18): procfs has no option `pidns`.
#[test]
fn a_joined_pid_namespace_has_its_procfs() {
    procfs_of_joined(&["pid"]);
}

/// After joining the user namespace, the init has no rights over its own pid namespace.
#[test]
fn a_pid_namespace_joined_with_its_user_namespace_has_its_procfs() {
    procfs_of_joined(&["pid", "user"]);
}

/// A container joins these namespaces of another, and mounts a procfs.
fn procfs_of_joined(kinds: &[&str]) {
    const FSCONFIG_SET_FD: u32 = 5;
    let root = tempfile::tempdir().unwrap();
    let runtime = Runtime::new(root.path());
    let mut first = Bundle::new(&["sleep"]).unwrap();
    let maps = json!([{ "containerID": 0, "hostID": 100_000, "size": 100 }]);
    if kinds.contains(&"user") {
        first = first
            .with(|config| {
                let linux = &mut config["linux"];
                linux["namespaces"].as_array_mut().unwrap().push(json!({ "type": "user" }));
                (linux["uidMappings"], linux["gidMappings"]) = (maps.clone(), maps);
            })
            .unwrap();
    }
    let id = |text: &str| ContainerId::new(&format!("{text}-{}", kinds.join("-"))).unwrap();
    let created = runtime.builder(id("first"), first.path()).run().unwrap();
    let second = Bundle::new(&["report"])
        .unwrap()
        .with(|config| {
            let namespaces = config["linux"]["namespaces"].as_array_mut().unwrap();
            namespaces.retain(|namespace| !kinds.contains(&namespace["type"].as_str().unwrap()));
            for kind in kinds {
                let path = format!("/proc/{}/ns/{kind}", created.pid());
                namespaces.push(json!({ "type": kind, "path": path }));
            }
        })
        .unwrap();
    refuse_fsconfig(FSCONFIG_SET_FD);
    let openers = watch_fsopen();
    let (mut reader, writer) = std::io::pipe().unwrap();
    let joined = runtime
        .builder(id("second"), second.path())
        .stdout(writer)
        .run()
        .unwrap_or_else(|error| panic!("{}", error.report()));
    assert_eq!(joined.wait().unwrap().code(), 0);
    let mut text = String::new();
    reader.read_to_string(&mut text).unwrap();
    let report: Report = serde_json::from_str(&text).unwrap();
    assert!(report.processes.contains(&1) && report.processes.contains(&report.pid), "{report:?}");
    // The opener of the procfs was 2. No other helper may be in the namespace, where it could be taken
    // over with all descriptors of the init.
    assert_eq!(report.pid, 3);
    // It has the caller's network and other namespaces. Its own filter keeps a process that has
    // taken it over from using them. It has left the session of the caller's terminal.
    let opener = openers.recv_timeout(Duration::from_secs(10)).unwrap();
    assert_eq!(opener.filters, 3, "the test's own two, and one more: {opener:?}");
    assert_eq!(opener.terminal, 0);
    assert_ne!(opener.session, nix::unistd::getsid(None).unwrap().as_raw());
    for name in ["second", "first"] {
        runtime.container(id(name)).delete(DeleteOptions::new().force(true)).unwrap();
    }
    created.wait().unwrap();
}
