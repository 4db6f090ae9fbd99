// SPDX-License-Identifier: Apache-2.0
//! A container and its execs, from Create to Delete.

use crate::calls::{
    ALREADY_EXISTS, FAILED_PRECONDITION, NOT_FOUND, code, end, exec_request, has_process_of, kill, status,
};
use crate::containerd::{Container, Containerd, read_until, reader, until};
use crate::proto::common::{Empty, ProcessStatus};
use crate::proto::options;
use crate::proto::task::{
    CloseIoRequest, CreateTaskRequest, ExecProcessRequest, PidsResponse, StateResponse,
};
use crate::{containerd, proto};
use prost::Message;
use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

fn host_sees_mount(path: &Path) -> bool {
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    mounts.contains(path.to_str().unwrap())
}

#[test]
fn a_container_lives_and_leaves_nothing() {
    let containerd = Containerd::new();
    let container = Container::new(&["print", "hello"]);
    let id = container.id.as_str();
    let shim = containerd.start(id, &container.bundle());
    let stdout = container.fifo("stdout");
    let mut output = reader(&stdout);

    let created = shim.create(&CreateTaskRequest { stdout, ..container.request() }).unwrap();
    let state: StateResponse = shim.of_process("State", id, "").unwrap();
    assert_eq!((state.status, state.pid), (ProcessStatus::Created as i32, created.pid));
    assert!(!host_sees_mount(&container.bundle()), "the root file system is mounted on the host");
    // The process is a child of the shim: no runtime process was between the two.
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", created.pid)).unwrap();
    let parent = stat.rsplit(')').next().unwrap().split(' ').nth(2).unwrap().to_owned();
    assert_eq!(parent, shim.pid().to_string());

    assert_eq!(shim.start(id, "").unwrap().pid, created.pid);
    let exit = shim.wait(id, "").unwrap();
    assert_eq!(exit.exit_status, 0);
    assert!(exit.exited_at.is_some());
    assert_eq!(read_until(&mut output, "hello").trim(), "hello");
    assert_eq!(status(&shim, id, ""), ProcessStatus::Stopped as i32);
    let deleted = shim.delete(id, "").unwrap();
    assert_eq!((deleted.pid, deleted.exit_status), (created.pid, 0));
    assert_eq!(code(shim.wait(id, "")), NOT_FOUND);
    assert_eq!(containerd.topics(id, 4), ["create", "start", "exit", "delete"]);
    shim.shut_down();
}

#[test]
fn the_exit_of_the_first_process_comes_after_those_of_all_others() {
    let containerd = Containerd::new();
    let container = Container::new(&["sleep"]);
    let id = container.id.as_str();
    let shim = containerd.start(id, &container.bundle());
    shim.create(&container.request()).unwrap();
    shim.start(id, "").unwrap();

    let fifos = ["in", "out"].map(|name| container.fifo(name));
    let mut output = reader(&fifos[1]);
    let [stdin, stdout] = fifos.clone();
    let request = ExecProcessRequest { stdin, stdout, ..exec_request(id, "one", &["echo-stdin"]) };
    let _added: Empty = shim.call("Exec", &request).unwrap();
    assert_eq!(code(shim.call::<Empty>("Exec", &request)), ALREADY_EXISTS);
    assert_eq!(status(&shim, id, "one"), ProcessStatus::Created as i32);
    let pid = shim.start(id, "one").unwrap().pid;
    assert_eq!(code(shim.start(id, "one")), FAILED_PRECONDITION);
    let pids: PidsResponse = shim.of_task("Pids", id).unwrap();
    let info = pids.processes.iter().find(|process| process.pid == pid).unwrap().info.clone().unwrap();
    let details = options::ProcessDetails::decode(info.value.as_slice()).unwrap();
    assert_eq!(
        (info.type_url.as_str(), details.exec_id.as_str()),
        ("containerd.runc.v1.ProcessDetails", "one")
    );

    let mut input = OpenOptions::new().write(true).open(&fifos[0]).unwrap();
    input.write_all(b"typed").unwrap();
    drop(input);
    // The shim keeps the fifo open, so that a restart of containerd is not the end of the input.
    std::thread::sleep(Duration::from_millis(100));
    assert_eq!(status(&shim, id, "one"), ProcessStatus::Running as i32);
    let request = CloseIoRequest { id: id.to_owned(), exec_id: "one".to_owned(), stdin: true };
    let _closed: Empty = shim.call("CloseIO", &request).unwrap();
    assert_eq!(shim.wait(id, "one").unwrap().exit_status, 0);
    read_until(&mut output, "typed");
    assert_eq!(shim.delete(id, "one").unwrap().pid, pid);

    for exec_id in ["two", "three"] {
        let _added: Empty = shim.call("Exec", &exec_request(id, exec_id, &["sleep"])).unwrap();
        shim.start(id, exec_id).unwrap();
    }
    kill(&shim, id, "two", libc::SIGTERM).unwrap();
    assert_eq!(shim.wait(id, "two").unwrap().exit_status, 128 + 15);
    kill(&shim, id, "", libc::SIGKILL).unwrap();
    assert_eq!(shim.wait(id, "").unwrap().exit_status, 137);
    assert_eq!(code(kill(&shim, id, "", libc::SIGKILL)), NOT_FOUND);
    let _added: Empty = shim.call("Exec", &exec_request(id, "late", &["sleep"])).unwrap();
    assert_eq!(code(shim.start(id, "late")), FAILED_PRECONDITION);
    shim.delete(id, "").unwrap();
    let topics = containerd.topics(id, 14);
    assert_eq!(topics[..2], ["create", "start"]);
    assert_eq!(topics[2..5], ["exec-added", "exec-started", "exit"]);
    assert_eq!(topics[5..9], ["exec-added", "exec-started", "exec-added", "exec-started"]);
    // Of two, three and the first process.
    assert_eq!(topics[9..12], ["exit", "exit", "exit"]);
    assert_eq!(topics[12..], ["exec-added", "delete"]);
    shim.shut_down();
}

#[test]
fn delete_ends_a_creation_and_a_shutdown_that_came_too_early_is_remembered() {
    let containerd = Containerd::new();
    let hook = |config: &mut serde_json::Value| {
        config["hooks"] =
            serde_json::json!({ "createRuntime": [{ "path": "/bin/sleep", "args": ["sleep", "60"] }] });
    };
    let container = Container::with(&["sleep"], hook);
    let id = container.id.as_str();
    let shim = containerd.start(id, &container.bundle());
    let pid = shim.pid();
    let begin = Instant::now();
    let mut call = UnixStream::connect(&shim.socket).unwrap();
    containerd::send(&mut call, "Create", &container.request());
    until(|| has_process_of(id));
    let _not_yet: Empty = shim.of_task("Shutdown", id).unwrap();
    assert_eq!(code(shim.delete(id, "")), NOT_FOUND);
    let (_, answer) = containerd::read_frame(&mut call).unwrap();
    assert_ne!(proto::rpc::Response::decode(answer.as_slice()).unwrap().status.unwrap().code, 0);
    until(|| !Path::new(&format!("/proc/{pid}/exe")).exists());
    assert!(begin.elapsed() < Duration::from_secs(30));
    assert!(!shim.socket.exists() && !has_process_of(id));
}

#[test]
fn nothing_starts_while_its_container_is_being_deleted() {
    let containerd = Containerd::new();
    let directory = tempfile::tempdir().unwrap();
    let mark = directory.path().join("mark");
    let container = Container::with(&["sleep"], |config| {
        let script = format!("echo > {}; exec sleep 3", mark.display());
        let hook = serde_json::json!({ "path": "/bin/sh", "args": ["sh", "-c", script] });
        config["hooks"] = serde_json::json!({ "poststop": [hook] });
    });
    let id = container.id.as_str();
    let shim = containerd.start(id, &container.bundle());
    shim.create(&container.request()).unwrap();
    let _added: Empty = shim.call("Exec", &exec_request(id, "x", &["sleep"])).unwrap();
    let mut call = UnixStream::connect(&shim.socket).unwrap();
    let request = proto::task::ProcessRequest { id: id.to_owned(), exec_id: String::new() };
    containerd::send(&mut call, "Delete", &request);
    until(|| mark.exists());
    for exec_id in ["", "x"] {
        let (code, text) = shim.start(id, exec_id).unwrap_err();
        assert!(code == FAILED_PRECONDITION && text.ends_with("is being deleted"), "{code} {text}");
    }
    let (_, answer) = containerd::read_frame(&mut call).unwrap();
    assert!(proto::rpc::Response::decode(answer.as_slice()).unwrap().status.is_none_or(|it| it.code == 0));
    shim.shut_down();
}

#[test]
fn a_container_that_ends_while_it_is_paused_keeps_no_exec() {
    let containerd = Containerd::new();
    // The child of the exec is frozen on its way in at some of these moments.
    for moment in 0..20 {
        let container = Container::new(&["sleep"]);
        let id = container.id.as_str();
        let shim = containerd.start(id, &container.bundle());
        let init = shim.create(&container.request()).unwrap().pid;
        shim.start(id, "").unwrap();
        let _added: Empty = shim.call("Exec", &exec_request(id, "x", &["sleep"])).unwrap();
        let mut call = UnixStream::connect(&shim.socket).unwrap();
        let request = proto::task::ProcessRequest { id: id.to_owned(), exec_id: "x".to_owned() };
        containerd::send(&mut call, "Start", &request);
        std::thread::sleep(Duration::from_micros(moment * 200));
        let _paused: Empty = shim.of_task("Pause", id).unwrap();
        // Not by Kill, which thaws.
        let init = nix::unistd::Pid::from_raw(init.try_into().unwrap());
        nix::sys::signal::kill(init, nix::sys::signal::Signal::SIGKILL).unwrap();
        call.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
        if containerd::read_frame(&mut call).is_none() {
            // A frozen child that is in the pid namespace already keeps init from its end.
            assert!(Path::new(&format!("/proc/{init}")).exists(), "{moment}: Start of the exec does not end");
            kill(&shim, id, "", libc::SIGKILL).unwrap();
            assert!(containerd::read_frame(&mut call).is_some(), "{moment}: Start of the exec does not end");
        }
        assert_eq!(shim.wait(id, "").unwrap().exit_status, 137);
        shim.delete(id, "").unwrap();
        shim.shut_down();
    }
}

#[test]
fn a_process_gets_no_parent_death_signal_while_its_shim_lives() {
    let containerd = Containerd::new();
    let container = Container::new(&["sleep-until-parent-ends"]);
    let id = container.id.as_str();
    let shim = containerd.start(id, &container.bundle());
    shim.create(&container.request()).unwrap();
    shim.start(id, "").unwrap();
    let _added: Empty = shim.call("Exec", &exec_request(id, "one", &["sleep-until-parent-ends"])).unwrap();
    shim.start(id, "one").unwrap();
    // An idle thread of the pool ends after a second.
    std::thread::sleep(Duration::from_secs(2));
    for exec in ["one", ""] {
        assert_eq!(status(&shim, id, exec), ProcessStatus::Running as i32, "{exec}");
    }
    end(&shim, id);
}
