// SPDX-License-Identifier: Apache-2.0
//! The process of the shim: its events, its resources, its end, its death.

use crate::calls::{FAILED_PRECONDITION, end, has_process_of, status};
use crate::containerd::{Container, Containerd, until};
use crate::proto::common::{Any, Empty};
use crate::proto::options;
use crate::proto::task::CreateTaskRequest;
use crate::{containerd, proto};
use prost::Message;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

#[test]
fn events_are_kept_while_containerd_is_away() {
    let containerd = Containerd::new();
    let container = Container::new(&["exit", "7"]);
    let id = container.id.as_str();
    let shim = containerd.start(id, &container.bundle());
    containerd.go_away();
    shim.create(&container.request()).unwrap();
    shim.start(id, "").unwrap();
    assert_eq!(shim.wait(id, "").unwrap().exit_status, 7);
    containerd.take_events();
    assert_eq!(containerd.topics(id, 3), ["create", "start", "exit"]);
    shim.delete(id, "").unwrap();
    shim.shut_down();
}

#[test]
fn what_a_killed_shim_leaves_is_deleted() {
    let containerd = Containerd::new();
    let container = Container::new(&["sleep"]);
    let id = container.id.as_str();
    let shim = containerd.start(id, &container.bundle());
    let root = container.beside("root");
    let options =
        Any::of("containerd.runc.v1.Options", &options::Runc { root: root.clone(), ..Default::default() });
    let created = shim.create(&CreateTaskRequest { options: Some(options), ..container.request() }).unwrap();
    shim.start(id, "").unwrap();
    let shim_pid = nix::unistd::Pid::from_raw(shim.pid().try_into().unwrap());
    nix::sys::signal::kill(shim_pid, nix::sys::signal::Signal::SIGKILL).unwrap();
    until(|| UnixStream::connect(&shim.socket).is_err());
    assert!(Path::new(&format!("/proc/{}", created.pid)).exists(), "the container goes on");
    let output = containerd.command(id, &container.bundle(), "delete");
    assert!(output.status.success(), "{output:?}");
    let deleted = proto::task::DeleteResponse::decode(output.stdout.as_slice()).unwrap();
    assert_eq!((deleted.pid, deleted.exit_status), (created.pid, 137));
    until(|| !Path::new(&format!("/proc/{}", created.pid)).exists());
    assert!(!shim.socket.exists());
    assert_eq!(std::fs::read_dir(Path::new(&root).join(containerd::NAMESPACE)).unwrap().count(), 0);
    // Once more, with nothing left: containerd may call it twice.
    assert!(containerd.command(id, &container.bundle(), "delete").status.success());
    // The socket is where `start` was told to have it.
    let elsewhere = container.beside("socket");
    drop(std::os::unix::net::UnixListener::bind(&elsewhere).unwrap());
    std::fs::write(container.bundle().join("address"), format!("unix://{elsewhere}")).unwrap();
    assert!(containerd.command(id, &container.bundle(), "delete").status.success());
    assert!(!Path::new(&elsewhere).exists());
    // A new shim can take the place.
    let shim = containerd.start(id, &container.bundle());
    shim.shut_down();
    // A directory in it is an error, which leaves no address.
    std::fs::create_dir(&shim.socket).unwrap();
    let output = containerd.command(id, &container.bundle(), "start");
    std::fs::remove_dir(&shim.socket).unwrap();
    assert!(!output.status.success() && !container.bundle().join("address").exists(), "{output:?}");
}

#[test]
fn a_shim_whose_container_another_program_has_deleted_ends() {
    let containerd = Containerd::new();
    let container = Container::new(&["sleep"]);
    let id = container.id.as_str();
    let shim = containerd.start(id, &container.bundle());
    shim.create(&container.request()).unwrap();
    shim.start(id, "").unwrap();
    let pid = shim.pid();
    // As a containerd that cannot reach the shim.
    assert!(containerd.command(id, &container.bundle(), "delete").status.success());
    until(|| !Path::new(&format!("/proc/{pid}/exe")).exists());
    assert!(!shim.socket.exists());
    assert_eq!(containerd.topics(id, 3), ["create", "start", "exit"]);
}

#[test]
fn a_shim_that_is_killed_while_it_creates_leaves_nothing_after_delete() {
    let containerd = Containerd::new();
    for moment in 0..40 {
        let container = Container::new(&["sleep"]);
        let id = container.id.as_str();
        let shim = containerd.start(id, &container.bundle());
        let pid = nix::unistd::Pid::from_raw(shim.pid().try_into().unwrap());
        let root = container.beside("root");
        let options = Any::of(
            "containerd.runc.v1.Options",
            &options::Runc { root: root.clone(), ..Default::default() },
        );
        let request = CreateTaskRequest { options: Some(options), ..container.request() };
        let mut call = UnixStream::connect(&shim.socket).unwrap();
        containerd::send(&mut call, "Create", &request);
        std::thread::sleep(Duration::from_micros(moment * 500));
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).unwrap();
        until(|| UnixStream::connect(&shim.socket).is_err());
        let output = containerd.command(id, &container.bundle(), "delete");
        assert!(output.status.success(), "{moment}: {output:?}");
        let records = Path::new(&root).join(containerd::NAMESPACE);
        assert_eq!(std::fs::read_dir(records).map_or(0, Iterator::count), 0, "{moment}");
        assert!(!shim.socket.exists(), "{moment}");
        until(|| !has_process_of(id));
    }
}

#[test]
fn a_shim_that_ends_creates_nothing() {
    let containerd = Containerd::new();
    containerd.go_away();
    let container = Container::new(&["sleep"]);
    let id = container.id.as_str();
    let shim = containerd.start(id, &container.bundle());
    let pid = shim.pid();
    shim.create(&container.request()).unwrap();
    shim.delete(id, "").unwrap();
    // It waits for somebody who takes the events.
    let mut late = UnixStream::connect(&shim.socket).unwrap();
    let _ends: Empty = shim.of_task("Shutdown", id).unwrap();
    assert!(!shim.socket.exists(), "`start` would return its address");
    containerd::send(&mut late, "Create", &container.request());
    let (_, answer) = containerd::read_frame(&mut late).unwrap();
    let status = proto::rpc::Response::decode(answer.as_slice()).unwrap().status.unwrap();
    assert_eq!(status.code, FAILED_PRECONDITION, "{}", status.message);
    containerd.take_events();
    until(|| !Path::new(&format!("/proc/{pid}/exe")).exists());
}

#[test]
fn a_task_keeps_no_descriptor_after_delete() {
    let containerd = Containerd::new();
    let container = Container::new(&["sleep"]);
    let id = container.id.as_str();
    let shim = containerd.start(id, &container.bundle());
    let descriptors = format!("/proc/{}/fd", shim.pid());
    let count = || std::fs::read_dir(&descriptors).unwrap().count();
    // With the connection for events.
    for _ in 0..2 {
        shim.create(&container.request()).unwrap();
        shim.delete(id, "").unwrap();
    }
    std::thread::sleep(Duration::from_secs(6));
    let before = count();
    shim.create(&container.request()).unwrap();
    shim.delete(id, "").unwrap();
    let deleted = Instant::now();
    until(|| count() <= before);
    assert!(deleted.elapsed() < Duration::from_secs(3), "{:?}", deleted.elapsed());
    shim.shut_down();
}

#[test]
fn an_idle_shim_has_two_threads_and_is_not_dumpable() {
    use std::os::unix::fs::MetadataExt;
    let mut containerd = Containerd::new();
    containerd.group = 12345;
    let container = Container::new(&["sleep"]);
    let id = container.id.as_str();
    let shim = containerd.start(id, &container.bundle());
    shim.create(&container.request()).unwrap();
    shim.start(id, "").unwrap();
    let pid = shim.pid();
    // One serves, and one has made the container.
    until(|| std::fs::read_dir(format!("/proc/{pid}/task")).unwrap().count() == 2);
    // The files of an undumpable process belong to root (proc_pid(5)).
    assert_eq!(std::fs::metadata(format!("/proc/{pid}/status")).unwrap().gid(), 0);
    assert!(std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap().contains("Gid:\t12345"));
    // The kernel kills it before its parent, which has started the program.
    let score = |pid: &str| -> i32 {
        std::fs::read_to_string(format!("/proc/{pid}/oom_score_adj")).unwrap().trim().parse().unwrap()
    };
    assert_eq!(score(&pid.to_string()), (score("self") + 1).min(1000));
    end(&shim, id);
}

#[test]
fn a_shim_that_was_stopped_leaves_a_later_container_with_the_same_id_alone() {
    let containerd = Containerd::new();
    let pod = |name: &str| {
        let name = format!("{name}-{}", std::process::id());
        Container::with(&["sleep"], move |config| {
            config["annotations"] = serde_json::json!({ "io.kubernetes.cri.sandbox-id": name });
        })
    };
    let (first, mut second) = (pod("stopped"), pod("later"));
    let bundle = second.bundle();
    second.id.clone_from(&first.id);
    std::fs::rename(bundle, second.bundle()).unwrap();
    let id = first.id.as_str();
    let shim = containerd.start(id, &first.bundle());
    shim.create(&first.request()).unwrap();
    shim.start(id, "").unwrap();
    let pid = nix::unistd::Pid::from_raw(shim.pid().try_into().unwrap());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGSTOP).unwrap();
    // As a containerd that cannot reach the shim.
    assert!(containerd.command(id, &first.bundle(), "delete").status.success());
    let other = containerd.start(id, &second.bundle());
    other.create(&second.request()).unwrap();
    other.start(id, "").unwrap();
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGCONT).unwrap();
    until(|| !Path::new(&format!("/proc/{pid}/exe")).exists());
    assert_eq!(status(&other, id, ""), proto::common::ProcessStatus::Running as i32);
    end(&other, id);
}
