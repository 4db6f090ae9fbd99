// SPDX-License-Identifier: Apache-2.0
//! The processes of the library in a new user namespace. It belongs to root of the host, so each process
//! of this user has all capabilities over a process there that does not hide itself.

use crate::support::{alone, end, own_id};
use conformance::Bundle;
use runtime_core::Runtime;
use runtime_core::host::Fitness;
use serde_json::json;
use std::collections::BTreeSet;
use std::os::fd::OwnedFd;
use std::process::Command;
use std::sync::mpsc::channel;
use std::time::Duration;
use sys_testing::{filter, notification};

/// Calls `act` with the id of each thread that is about to make the system call `number`, among the calling
/// thread and the processes that it starts.
pub(crate) fn before_each(number: i64, mut act: impl FnMut(u32) + Send + 'static) {
    let (to_watcher, listeners) = channel();
    // Started before the filter is loaded, so that the watcher is not among the watched.
    std::thread::spawn(move || {
        let listener: OwnedFd = listeners.recv().unwrap();
        loop {
            let Ok(call) = notification::receive(&listener) else { continue };
            act(call.thread);
            // ENOENT: the process was killed meanwhile.
            runtime_sys::ignore(notification::answer(&listener, call, None));
        }
    });
    let filter = filter::of_call(number, &[], libc::SECCOMP_RET_USER_NOTIF);
    let flags = libc::SECCOMP_FILTER_FLAG_NEW_LISTENER as u32;
    to_watcher.send(runtime_sys::seccomp::load_listening(&filter, flags).unwrap()).unwrap();
}

/// Lets the system call `number`, with `first` as its first argument if given, fail with EPERM in the
/// calling thread and in the processes that it starts.
pub(crate) fn refuse(number: i64, first: Option<u32>) {
    let first: Vec<_> = first.map(|value| (0, value)).into_iter().collect();
    let filter = filter::of_call(number, &first, libc::SECCOMP_RET_ERRNO | libc::EPERM as u32);
    runtime_sys::seccomp::load(&filter, 0).unwrap();
}

/// Returns true for a process in another user namespace than this one.
pub(crate) fn is_in_other_user_namespace(pid: u32) -> bool {
    let namespace = |process: &str| std::fs::read_link(format!("/proc/{process}/ns/user"));
    namespace(&pid.to_string()).is_ok_and(|other| other != namespace("self").unwrap())
}

fn children() -> BTreeSet<u32> {
    let threads = std::fs::read_dir("/proc/self/task").unwrap();
    let of = |thread: std::io::Result<std::fs::DirEntry>| {
        // A thread may end meanwhile.
        std::fs::read_to_string(thread.unwrap().path().join("children")).unwrap_or_default()
    };
    threads
        .flat_map(|thread| of(thread).split_whitespace().map(|pid| pid.parse().unwrap()).collect::<Vec<_>>())
        .collect()
}

/// Returns true if root without capabilities cannot follow a link in the process's /proc. `None` if the
/// process has ended.
fn is_hidden(pid: u32) -> Option<bool> {
    let mut look = Command::new("setpriv");
    look.args(["--bounding-set=-all", "--inh-caps=-all", "readlink", "-v"]).arg(format!("/proc/{pid}/cwd"));
    let output = look.output().unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    (!error.contains("No such file")).then(|| error.contains("Permission denied"))
}

/// Calls `make`. Returns the processes that it starts in other user namespaces, and whether each is hidden.
pub(crate) fn inspect<T>(make: impl FnOnce() -> T) -> (T, Vec<(u32, bool)>) {
    let before = children();
    let (to_test, seen) = channel();
    before_each(libc::SYS_open_tree, move |_| {
        for pid in children().difference(&before).filter(|pid| is_in_other_user_namespace(**pid)) {
            // Without `protect_program` a process is dumpable for the first microseconds of its life.
            let looks = (0..20).map(|_| {
                std::thread::sleep(Duration::from_millis(5));
                is_hidden(*pid)
            });
            let found: Option<Vec<bool>> = looks.take_while(|hidden| *hidden != Some(true)).collect();
            if let Some(visible) = found {
                to_test.send((*pid, visible.len() < 20)).unwrap();
            }
        }
    });
    (make(), seen.try_iter().collect())
}

/// A process holds a copy of the caller's mount namespace in a new user namespace, while the trees for a
/// joined mount namespace are cloned.
#[test]
fn the_holder_of_a_mount_namespace_is_hidden() {
    let _alone = alone();
    let root = tempfile::tempdir().unwrap();
    let runtime = Runtime::new(root.path());
    let maps = json!([{ "containerID": 0, "hostID": 100_000, "size": 100 }]);
    let first = Bundle::new(&["sleep"])
        .unwrap()
        .with(|config| {
            let linux = &mut config["linux"];
            linux["namespaces"].as_array_mut().unwrap().push(json!({ "type": "user" }));
            (linux["uidMappings"], linux["gidMappings"]) = (maps.clone(), maps);
        })
        .unwrap();
    let first_init = runtime.builder(own_id("first"), first.path()).run().unwrap();
    let second = Bundle::new(&["sleep"])
        .unwrap()
        .with(|config| {
            let namespaces = config["linux"]["namespaces"].as_array_mut().unwrap();
            namespaces.retain(|namespace| namespace["type"] != "mount");
            for (kind, file) in [("mount", "mnt"), ("user", "user")] {
                let path = format!("/proc/{}/ns/{file}", first_init.pid());
                namespaces.push(json!({ "type": kind, "path": path }));
            }
        })
        .unwrap();
    let (second_init, seen) = inspect(|| {
        runtime.builder(own_id("second"), second.path()).create().unwrap_or_else(|e| panic!("{e:?}"))
    });
    end(second_init);
    end(first_init);
    assert!(!seen.is_empty() && seen.iter().all(|(_, hidden)| *hidden), "{seen:?}");
}

/// `Runtime::check` tries the features of the host in processes of its own.
#[test]
fn the_processes_of_a_check_are_hidden() {
    let _alone = alone();
    let root = tempfile::tempdir().unwrap();
    let (to_test, seen) = channel();
    before_each(libc::SYS_unshare, move |pid| {
        if is_in_other_user_namespace(pid) {
            to_test.send((pid, is_hidden(pid) == Some(true))).unwrap();
        }
    });
    let report = Runtime::new(root.path()).check();
    let seen: Vec<_> = seen.try_iter().collect();
    assert!(seen.len() > 5 && seen.iter().all(|(_, hidden)| *hidden), "{seen:?}");
    assert_eq!(report.row("namespace.uts").unwrap().fitness, Fitness::Works);
}

/// The command `check` hides its program first, so that its processes are hidden from their birth: even
/// before the call with which they hide themselves.
#[test]
fn the_processes_of_the_command_check_are_hidden_from_their_birth() {
    let _alone = alone();
    let root = tempfile::tempdir().unwrap();
    let (to_test, seen) = channel();
    before_each(libc::SYS_prctl, move |pid| {
        if is_in_other_user_namespace(pid) {
            to_test.send((pid, is_hidden(pid) == Some(true))).unwrap();
        }
    });
    let mut command = Command::new(conformance::bundle::beside("runtime-cli"));
    let output = command.arg("--root").arg(root.path()).arg("check").output().unwrap();
    assert!(output.stderr.is_empty(), "{output:?}");
    let seen: Vec<_> = seen.try_iter().collect();
    assert!(seen.len() > 1 && seen.iter().all(|(_, hidden)| *hidden), "{seen:?}");
}
