// SPDX-License-Identifier: Apache-2.0
//! The shim, as containerd drives it: its commands, calls over ttrpc, fifos, events. No containerd is
//! needed.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::disallowed_methods)]

mod calls;
mod containerd;
#[allow(dead_code)]
#[path = "../../src/proto/mod.rs"]
mod proto;
mod restore;

use calls::{
    ALREADY_EXISTS, CANCELLED, FAILED_PRECONDITION, INVALID_ARGUMENT, NOT_FOUND, UNIMPLEMENTED, UNKNOWN,
    code, end, exec_request, kill, status,
};
use containerd::{Container, Containerd, read_until, reader, until, write_frame};
use prost::Message;
use proto::common::{Any, Empty, ProcessStatus};
use proto::task::{
    CheckpointTaskRequest, CloseIoRequest, CreateTaskRequest, ExecProcessRequest, PidsResponse,
    ResizePtyRequest, StateResponse, StatsResponse, UpdateTaskRequest,
};
use proto::{metrics, options};
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
fn the_output_of_an_exec_ends_with_delete_though_a_child_of_it_goes_on() {
    let containerd = Containerd::new();
    let container = Container::new(&["sleep"]);
    let id = container.id.as_str();
    let shim = containerd.start(id, &container.bundle());
    shim.create(&container.request()).unwrap();
    shim.start(id, "").unwrap();
    let stdout = container.fifo("out");
    let mut output = reader(&stdout);
    let request = ExecProcessRequest { stdout, ..exec_request(id, "x", &["leave", "/child"]) };
    let _added: Empty = shim.call("Exec", &request).unwrap();
    shim.start(id, "x").unwrap();
    assert_eq!(shim.wait(id, "x").unwrap().exit_status, 0);
    let begin = Instant::now();
    shim.delete(id, "x").unwrap();
    // The CRI gives up after ten seconds.
    assert!(begin.elapsed() < Duration::from_secs(8), "{:?}", begin.elapsed());
    until(|| matches!(std::io::Read::read(&mut output, &mut [0]), Ok(0)));
    let pids: PidsResponse = shim.of_task("Pids", id).unwrap();
    assert_eq!(pids.processes.len(), 2, "the child has ended");
    end(&shim, id);
}

#[test]
fn a_terminal_has_the_size_that_was_asked_for_and_hangs_up() {
    let containerd = Containerd::new();
    let container = Container::new(&["sleep"]);
    let id = container.id.as_str();
    let shim = containerd.start(id, &container.bundle());
    shim.create(&container.request()).unwrap();
    shim.start(id, "").unwrap();

    let fifos = ["in", "out"].map(|name| container.fifo(name));
    let mut output = reader(&fifos[1]);
    let [stdin, stdout] = fifos.clone();
    let request =
        ExecProcessRequest { terminal: true, stdin, stdout, ..exec_request(id, "tty", &["echo-stdin"]) };
    let _added: Empty = shim.call("Exec", &request).unwrap();
    let size =
        |width, height| ResizePtyRequest { id: id.to_owned(), exec_id: "tty".to_owned(), width, height };
    let _early: Empty = shim.call("ResizePty", &size(91, 31)).unwrap();
    let pid = shim.start(id, "tty").unwrap().pid;
    let terminal = std::fs::File::open(format!("/proc/{pid}/root/dev/pts/0")).unwrap();
    let size_of_it = || {
        let size = runtime_sys::tty::size(&terminal).unwrap();
        (size.1, size.0)
    };
    assert_eq!(size_of_it(), (91, 31));
    let _resized: Empty = shim.call("ResizePty", &size(100, 40)).unwrap();
    assert_eq!(size_of_it(), (100, 40));
    let mut input = OpenOptions::new().write(true).open(&fifos[0]).unwrap();
    input.write_all(b"typed\n").unwrap();
    read_until(&mut output, "typed");
    drop((input, terminal));
    let request = CloseIoRequest { id: id.to_owned(), exec_id: "tty".to_owned(), stdin: true };
    let _closed: Empty = shim.call("CloseIO", &request).unwrap();
    assert_eq!(shim.wait(id, "tty").unwrap().exit_status, 128 + 1, "SIGHUP");
    shim.delete(id, "tty").unwrap();
    let without = ResizePtyRequest { id: id.to_owned(), width: 1, height: 1, ..ResizePtyRequest::default() };
    assert_eq!(code(shim.call::<Empty>("ResizePty", &without)), FAILED_PRECONDITION);
    end(&shim, id);
}

#[test]
fn containers_of_a_pod_have_one_shim_and_are_watched_paused_and_limited() {
    let containerd = Containerd::new();
    let pod = |config: &mut serde_json::Value| {
        config["annotations"] =
            serde_json::json!({ "io.kubernetes.cri.sandbox-id": format!("pod-{}", std::process::id()) });
    };
    let (first, second) = (Container::with(&["sleep"], pod), Container::with(&["sleep"], pod));
    let (one, two) = (first.id.as_str(), second.id.as_str());
    let shim = containerd.start(one, &first.bundle());
    assert_eq!(containerd.start(two, &second.bundle()).socket, shim.socket);
    // containerd before version 2 reads this file after a restart.
    let address = std::fs::read_to_string(second.bundle().join("address")).unwrap();
    assert_eq!(address, format!("unix://{}", shim.socket.display()));
    for (container, id) in [(&first, one), (&second, two)] {
        shim.create(&container.request()).unwrap();
        shim.start(id, "").unwrap();
    }
    let _paused: Empty = shim.of_task("Pause", one).unwrap();
    assert_eq!(status(&shim, one, ""), ProcessStatus::Paused as i32);
    assert_eq!(status(&shim, two, ""), ProcessStatus::Running as i32);
    let _resumed: Empty = shim.of_task("Resume", one).unwrap();
    assert_eq!(status(&shim, one, ""), ProcessStatus::Running as i32);

    let stats: StatsResponse = shim.of_task("Stats", one).unwrap();
    let stats = stats.stats.unwrap();
    assert_eq!(stats.type_url, "io.containerd.cgroups.v2.Metrics");
    assert!(metrics::Metrics::decode(stats.value.as_slice()).unwrap().cpu.is_some());
    let update = |json: &str| UpdateTaskRequest {
        id: one.to_owned(),
        resources: Some(Any { type_url: String::new(), value: json.as_bytes().to_vec() }),
    };
    let _updated: Empty = shim.call("Update", &update("{}")).unwrap();
    assert_eq!(code(shim.call::<Empty>("Update", &update("[1"))), INVALID_ARGUMENT);

    // One is deleted, and the shim stays for the other.
    kill(&shim, one, "", libc::SIGKILL).unwrap();
    shim.wait(one, "").unwrap();
    // containerd looks for OOM kills in it.
    let last: StatsResponse = shim.of_task("Stats", one).unwrap();
    assert!(metrics::Metrics::decode(last.stats.unwrap().value.as_slice()).unwrap().cpu.is_some());
    shim.delete(one, "").unwrap();
    let _not_yet: Empty = shim.of_task("Shutdown", one).unwrap();
    assert_eq!(status(&shim, two, ""), ProcessStatus::Running as i32);
    assert_eq!(containerd.topics(one, 6), ["create", "start", "paused", "resumed", "exit", "delete"]);
    end(&shim, two);
}

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
fn a_fifo_without_a_reader_stops_nothing_but_its_writer() {
    let containerd = Containerd::new();
    // More than a pipe holds.
    let container = Container::new(&["flood", "200000"]);
    let id = container.id.as_str();
    let shim = containerd.start(id, &container.bundle());
    let stdout = container.fifo("stdout");
    shim.create(&CreateTaskRequest { stdout: stdout.clone(), ..container.request() }).unwrap();
    shim.start(id, "").unwrap();
    let begin = Instant::now();
    assert_eq!(status(&shim, id, ""), ProcessStatus::Running as i32);
    kill(&shim, id, "", libc::SIGKILL).unwrap();
    shim.wait(id, "").unwrap();
    shim.delete(id, "").unwrap();
    assert!(begin.elapsed() < Duration::from_secs(5));
    shim.shut_down();

    // The same with a terminal, which the shim copies.
    let container = Container::new(&["flood", "200000"]);
    let id = container.id.as_str();
    let shim = containerd.start(id, &container.bundle());
    let stdout = container.fifo("stdout");
    shim.create(&CreateTaskRequest { stdout, terminal: true, ..container.request() }).unwrap();
    shim.start(id, "").unwrap();
    std::thread::sleep(Duration::from_millis(100));
    assert_eq!(status(&shim, id, ""), ProcessStatus::Running as i32);
    kill(&shim, id, "", libc::SIGKILL).unwrap();
    shim.wait(id, "").unwrap();
    shim.delete(id, "").unwrap();
    shim.shut_down();
}

#[test]
fn output_goes_to_a_file_and_to_a_program() {
    let containerd = Containerd::new();
    let container = Container::new(&["print", "to a file"]);
    let id = container.id.as_str();
    // The shim inherits it.
    let umask = nix::sys::stat::umask(nix::sys::stat::Mode::empty());
    let shim = containerd.start(id, &container.bundle());
    nix::sys::stat::umask(umask);
    let log = container.beside("logs/log");
    let stdout = format!("file://{log}");
    shim.create(&CreateTaskRequest { stderr: stdout.clone(), stdout, ..container.request() }).unwrap();
    shim.start(id, "").unwrap();
    shim.wait(id, "").unwrap();
    shim.delete(id, "").unwrap();
    assert_eq!(std::fs::read_to_string(&log).unwrap().trim(), "to a file");
    let mode = |path: &Path| std::os::unix::fs::MetadataExt::mode(&std::fs::metadata(path).unwrap()) & 0o777;
    assert_eq!((mode(Path::new(&log).parent().unwrap()), mode(Path::new(&log))), (0o755, 0o644));
    shim.shut_down();

    let container = Container::new(&["print", "to a program"]);
    let id = container.id.as_str();
    let shim = containerd.start(id, &container.bundle());
    let (script, log) = (container.beside("logger"), container.beside("log"));
    let text =
        "#!/bin/sh\nexec >$2\necho \"$1 $CONTAINER_ID $CONTAINER_NAMESPACE\"\nexec 5>&-\ncat <&3\necho end\n";
    std::fs::write(&script, text).unwrap();
    std::fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let stdout = format!("binary://{script}?to={log}");
    shim.create(&CreateTaskRequest { stdout, ..container.request() }).unwrap();
    shim.start(id, "").unwrap();
    shim.wait(id, "").unwrap();
    shim.delete(id, "").unwrap();
    let expected = format!("to {id} {}\nto a program\nend\n", containerd::NAMESPACE);
    until(|| std::fs::read_to_string(&log).unwrap() == expected);
    shim.shut_down();
}

#[test]
fn a_full_disk_loses_output_and_stops_nothing() {
    let containerd = Containerd::new();
    let container = Container::new(&["flood", "200000"]);
    let id = container.id.as_str();
    let shim = containerd.start(id, &container.bundle());
    let disk = container.beside("disk");
    std::fs::create_dir(&disk).unwrap();
    let mounted =
        std::process::Command::new("mount").args(["-t", "tmpfs", "-o", "size=16k", "tmpfs", &disk]).status();
    assert!(mounted.unwrap().success());
    let stdout = format!("file://{disk}/log");
    shim.create(&CreateTaskRequest { stdout, ..container.request() }).unwrap();
    shim.start(id, "").unwrap();
    assert_eq!(shim.wait(id, "").unwrap().exit_status, 0);
    shim.delete(id, "").unwrap();
    assert_eq!(std::fs::metadata(Path::new(&disk).join("log")).unwrap().len(), 16 << 10);
    shim.shut_down();
    assert!(std::process::Command::new("umount").arg(&disk).status().unwrap().success());
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

/// Returns true if a process is in a cgroup that is named by the id.
fn has_process_of(id: &str) -> bool {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let mut cgroups = processes.filter_map(|entry| std::fs::read_to_string(entry.path().join("cgroup")).ok());
    cgroups.any(|cgroup| cgroup.contains(id))
}

/// The tests with CRIU are in conformance/engines/checkpoint.bats.
#[test]
fn a_task_from_a_checkpoint_is_made_by_start() {
    let containerd = Containerd::new();
    let container = Container::new(&["sleep"]);
    let id = container.id.as_str();
    let shim = containerd.start(id, &container.bundle());
    let images = container.beside("images");
    // In place of CRIU, a program that does not answer.
    let criu = container.beside("criu");
    std::fs::write(&criu, "#!/bin/sh\nexec sleep 1000\n").unwrap();
    std::fs::set_permissions(&criu, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let generic = options::Generic {
        config_body: format!("CriuPath = {criu:?}\n").into_bytes(),
        ..options::Generic::default()
    };
    let request = || CreateTaskRequest {
        checkpoint: images.clone(),
        options: Some(Any::of("runtimeoptions.v1.Options", &generic)),
        ..container.request()
    };
    // Deleted without a start.
    assert_eq!(shim.create(&request()).unwrap().pid, 0);
    assert_eq!(status(&shim, id, ""), ProcessStatus::Created as i32);
    assert_eq!(code(kill(&shim, id, "", libc::SIGKILL)), NOT_FOUND);
    assert_eq!(shim.delete(id, "").unwrap().pid, 0);
    // There are no images.
    shim.create(&request()).unwrap();
    let (_, text) = shim.start(id, "").unwrap_err();
    assert!(text.starts_with("OCI runtime restore failed: image directory"), "{text}");
    assert_eq!(shim.wait(id, "").unwrap().exit_status, 255);
    shim.delete(id, "").unwrap();
    // It is killed while it waits for CRIU.
    std::fs::create_dir(&images).unwrap();
    std::fs::write(Path::new(&images).join("descriptors.json"), r#"["","",""]"#).unwrap();
    shim.create(&request()).unwrap();
    let begun = Instant::now();
    let mut start = UnixStream::connect(&shim.socket).unwrap();
    containerd::send(
        &mut start,
        "Start",
        &proto::task::ProcessRequest { id: id.to_owned(), ..Default::default() },
    );
    until(|| kill(&shim, id, "", libc::SIGKILL).is_ok());
    let (_, answer) = containerd::read_frame(&mut start).unwrap();
    let answer = proto::rpc::Response::decode(answer.as_slice()).unwrap().status.unwrap();
    assert_eq!(answer.code, CANCELLED, "{}", answer.message);
    assert!(begun.elapsed() < Duration::from_secs(8), "CRIU had its whole time");
    shim.delete(id, "").unwrap();
    assert!(!has_process_of(id));
    shim.shut_down();
}

#[test]
fn bad_input_is_an_error_and_everything_else_goes_on() {
    let containerd = Containerd::new();
    let container = Container::new(&["sleep"]);
    let id = container.id.as_str();
    let shim = containerd.start(id, &container.bundle());
    shim.create(&container.request()).unwrap();
    shim.start(id, "").unwrap();

    // Frames: not a message, too long, of another type, cut off.
    let call = |payload: Vec<u8>| shim.call_service::<Empty>("containerd.task.v2.Task", "State", payload);
    assert_eq!(code(call(vec![0xff; 3])), INVALID_ARGUMENT);
    assert_eq!(code(call(vec![0; 5 << 20])), 8, "RESOURCE_EXHAUSTED");
    let mut raw = UnixStream::connect(&shim.socket).unwrap();
    write_frame(&mut raw, 1, 3, &Empty {});
    let (_, answer) = containerd::read_frame(&mut raw).unwrap();
    assert_eq!(
        proto::rpc::Response::decode(answer.as_slice()).unwrap().status.unwrap().code,
        INVALID_ARGUMENT
    );
    raw.write_all(&[0, 0]).unwrap();
    drop(raw);
    // Calls that wait, without end, until one is refused.
    let mut many = UnixStream::connect(&shim.socket).unwrap();
    for _ in 0..4200 {
        let request = proto::task::ProcessRequest { id: id.to_owned(), exec_id: String::new() };
        containerd::send(&mut many, "Wait", &request);
    }
    let (_, answer) = containerd::read_frame(&mut many).unwrap();
    assert_eq!(
        proto::rpc::Response::decode(answer.as_slice()).unwrap().status.unwrap().code,
        8,
        "RESOURCE_EXHAUSTED"
    );
    drop(many);
    assert_eq!(
        code(shim.call_service::<Empty>("containerd.runtime.sandbox.v1.Sandbox", "X", vec![])),
        UNIMPLEMENTED
    );
    let checkpoint = |options: Option<Any>| {
        let request = CheckpointTaskRequest { id: id.to_owned(), path: container.beside("images"), options };
        code(shim.call::<Empty>("Checkpoint", &request))
    };
    let unknown = Any { type_url: "x.CheckpointOptions".to_owned(), value: Vec::new() };
    assert_eq!(checkpoint(Some(unknown)), INVALID_ARGUMENT);
    let with = |wrong| checkpoint(Some(Any::of("containerd.runc.v1.CheckpointOptions", &wrong)));
    let cgroups_mode = "some".to_owned();
    assert_eq!(with(options::Checkpoint { cgroups_mode, ..Default::default() }), INVALID_ARGUMENT);
    let empty_namespaces = vec!["ipc".to_owned()];
    assert_eq!(with(options::Checkpoint { empty_namespaces, ..Default::default() }), UNIMPLEMENTED);
    assert!(!Path::new(&container.beside("images")).exists());

    // Calls.
    assert_eq!(code(shim.create(&container.request())), ALREADY_EXISTS);
    assert_eq!(code(shim.delete(id, "")), FAILED_PRECONDITION);
    assert_eq!(code(shim.wait(id, "none")), NOT_FOUND);
    assert_eq!(code(shim.wait("none", "")), NOT_FOUND);
    assert_eq!(code(shim.call::<Empty>("Exec", &exec_request(id, "", &[]))), INVALID_ARGUMENT);
    let request = ExecProcessRequest { spec: None, ..exec_request(id, "x", &[]) };
    assert_eq!(code(shim.call::<Empty>("Exec", &request)), INVALID_ARGUMENT);
    let missing = ExecProcessRequest {
        spec: Some(Any { type_url: String::new(), value: br#"{"args":["/none"],"cwd":"/"}"#.to_vec() }),
        ..exec_request(id, "missing", &[])
    };
    let _added: Empty = shim.call("Exec", &missing).unwrap();
    let (_, text) = shim.start(id, "missing").unwrap_err();
    assert!(text.starts_with("OCI runtime exec failed: ") && text.contains("/none"), "{text}");
    shim.delete(id, "missing").unwrap();

    // Containers. Each can be created afterwards.
    let other = Container::new(&["sleep"]);
    let request = || CreateTaskRequest { ..other.request() };
    let bad = |request: CreateTaskRequest| shim.create(&request).unwrap_err();
    assert_eq!(bad(CreateTaskRequest { id: "../x".to_owned(), ..request() }).0, INVALID_ARGUMENT);
    let unknown = Some(Any { type_url: "x.Options".to_owned(), value: Vec::new() });
    assert_eq!(bad(CreateTaskRequest { options: unknown, ..request() }).0, INVALID_ARGUMENT);
    assert_eq!(bad(CreateTaskRequest { stdout: other.beside("none/fifo"), ..request() }).0, UNKNOWN);
    let fifo = format!("file://{}", other.fifo("log"));
    assert_eq!(bad(CreateTaskRequest { stdout: fifo, ..request() }).0, INVALID_ARGUMENT);
    assert_eq!(bad(CreateTaskRequest { stdout: "smb://host/x".to_owned(), ..request() }).0, INVALID_ARGUMENT);
    assert_eq!(bad(CreateTaskRequest { stdout: "binary:///none".to_owned(), ..request() }).0, UNKNOWN);
    let mut wrong = request();
    wrong.rootfs[0].options.push("nonsense".to_owned());
    let (_, text) = bad(wrong);
    assert!(text.contains("overlay") || text.contains("rootfs_mounts[0]"), "{text}");
    std::fs::rename(other.bundle().join("config.json"), other.beside("aside")).unwrap();
    assert_eq!(bad(request()).0, INVALID_ARGUMENT);
    std::fs::rename(other.beside("aside"), other.bundle().join("config.json")).unwrap();
    shim.create(&request()).unwrap();
    // Deleted without a start.
    assert_eq!(shim.delete(&other.id, "").unwrap().exit_status, 137);
    end(&shim, id);

    // The program itself.
    std::fs::remove_file(container.bundle().join("config.json")).unwrap();
    let output = containerd.command(id, &container.bundle(), "start");
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("config.json"), "{output:?}");
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
fn delete_does_not_wait_for_a_logger_that_is_not_ready() {
    let containerd = Containerd::new();
    let container = Container::new(&["sleep"]);
    let id = container.id.as_str();
    let shim = containerd.start(id, &container.bundle());
    let (script, mark) = (container.beside("logger"), container.beside("mark"));
    std::fs::write(&script, format!("#!/bin/sh\necho >{mark}\nexec sleep 60\n")).unwrap();
    std::fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let mut call = UnixStream::connect(&shim.socket).unwrap();
    let stdout = format!("binary://{script}");
    containerd::send(&mut call, "Create", &CreateTaskRequest { stdout, ..container.request() });
    until(|| Path::new(&mark).exists());
    let begin = Instant::now();
    assert_eq!(code(shim.delete(id, "")), NOT_FOUND);
    let (_, answer) = containerd::read_frame(&mut call).unwrap();
    assert_eq!(proto::rpc::Response::decode(answer.as_slice()).unwrap().status.unwrap().code, CANCELLED);
    // The logger has ten seconds to be ready.
    assert!(begin.elapsed() < Duration::from_secs(5), "{:?}", begin.elapsed());
    shim.create(&container.request()).unwrap();
    shim.delete(id, "").unwrap();
    let children = format!("/proc/{0}/task/{0}/children", shim.pid());
    until(|| std::fs::read_to_string(&children).unwrap().is_empty());
    shim.shut_down();
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
fn the_logger_of_an_exec_that_was_not_deleted_is_waited_for() {
    let containerd = Containerd::new();
    let container = Container::new(&["sleep"]);
    let id = container.id.as_str();
    let shim = containerd.start(id, &container.bundle());
    shim.create(&container.request()).unwrap();
    shim.start(id, "").unwrap();
    let script = container.beside("logger");
    std::fs::write(&script, "#!/bin/sh\nexec 5>&-\nexec cat <&3 >/dev/null\n").unwrap();
    std::fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let request =
        ExecProcessRequest { stdout: format!("binary://{script}"), ..exec_request(id, "x", &["exit", "0"]) };
    let _added: Empty = shim.call("Exec", &request).unwrap();
    shim.start(id, "x").unwrap();
    shim.wait(id, "x").unwrap();
    kill(&shim, id, "", libc::SIGKILL).unwrap();
    shim.wait(id, "").unwrap();
    shim.delete(id, "").unwrap();
    let children = format!("/proc/{0}/task/{0}/children", shim.pid());
    until(|| std::fs::read_to_string(&children).unwrap().is_empty());
    shim.shut_down();
}

#[test]
fn a_container_of_a_pod_that_another_program_has_deleted_leaves_no_logger() {
    let containerd = Containerd::new();
    let pod = |config: &mut serde_json::Value| {
        let name = format!("forgotten-{}", std::process::id());
        config["annotations"] = serde_json::json!({ "io.kubernetes.cri.sandbox-id": name });
    };
    let (first, second) = (Container::with(&["sleep"], pod), Container::with(&["sleep"], pod));
    let (one, two) = (first.id.as_str(), second.id.as_str());
    let shim = containerd.start(one, &first.bundle());
    assert_eq!(containerd.start(two, &second.bundle()).socket, shim.socket);
    let mut pid = 0;
    for (container, id) in [(&first, one), (&second, two)] {
        shim.create(&container.request()).unwrap();
        pid = shim.start(id, "").unwrap().pid;
    }
    let script = first.beside("logger");
    std::fs::write(
        &script,
        "#!/bin/sh
exec 5>&-
exec cat <&3 >/dev/null
",
    )
    .unwrap();
    std::fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let request =
        ExecProcessRequest { stdout: format!("binary://{script}"), ..exec_request(one, "x", &["exit", "0"]) };
    let _added: Empty = shim.call("Exec", &request).unwrap();
    shim.start(one, "x").unwrap();
    shim.wait(one, "x").unwrap();
    assert!(containerd.command(one, &first.bundle(), "delete").status.success());
    let threads = format!("/proc/{}/task", shim.pid());
    let children = || {
        let threads = std::fs::read_dir(&threads).unwrap();
        // A thread of the pool may end meanwhile.
        let read = threads.map(|thread| std::fs::read_to_string(thread.unwrap().path().join("children")));
        read.map(Result::unwrap_or_default).collect::<String>()
    };
    // That of the second container is left.
    until(|| children().trim() == pid.to_string());
    end(&shim, two);
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
fn a_container_for_which_there_are_no_descriptors_leaves_nothing_and_stops_nothing() {
    const CONTAINERS: usize = 12;
    let containerd = Containerd::new();
    let pod = |config: &mut serde_json::Value| {
        config["annotations"] =
            serde_json::json!({ "io.kubernetes.cri.sandbox-id": format!("few-{}", std::process::id()) });
    };
    let containers: Vec<_> = (0..CONTAINERS).map(|_| Container::with(&["sleep"], pod)).collect();
    let start = |container: &Container| containerd.start(&container.id, &container.bundle());
    let shim = start(&containers[0]);
    let pid = nix::unistd::Pid::from_raw(shim.pid().try_into().unwrap());
    let open = std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count();
    // The creation of one container takes about 25 for a moment.
    let limit = u64::try_from(open + 45).unwrap();
    let limited = std::process::Command::new("prlimit")
        .args([format!("--pid={pid}"), format!("--nofile={limit}:")])
        .status();
    assert!(limited.unwrap().success());
    let request = |container: &Container| CreateTaskRequest {
        stdout: container.fifo("stdout"),
        stderr: container.fifo("stderr"),
        ..container.request()
    };
    let mut made = Vec::new();
    let mut refused = None;
    for container in &containers {
        start(container);
        match shim.create(&request(container)) {
            Ok(_) => made.push(container),
            Err((_, text)) => {
                assert!(text.to_lowercase().contains("too many open files"), "{text}");
                refused = Some(container);
                break;
            }
        }
    }
    let refused = refused.expect("a container without descriptors");
    assert!(!made.is_empty());
    assert!(!has_process_of(&refused.id));
    assert_eq!(code(shim.of_process::<StateResponse>("State", &refused.id, "")), NOT_FOUND);
    for container in &made {
        shim.start(&container.id, "").unwrap();
        assert_eq!(status(&shim, &container.id, ""), ProcessStatus::Running as i32);
    }
    kill(&shim, &made[0].id, "", libc::SIGKILL).unwrap();
    shim.wait(&made[0].id, "").unwrap();
    shim.delete(&made[0].id, "").unwrap();
    let again = CreateTaskRequest {
        stdout: refused.beside("stdout"),
        stderr: refused.beside("stderr"),
        ..refused.request()
    };
    shim.create(&again).unwrap();
    shim.delete(&refused.id, "").unwrap();
    for container in &made[1..] {
        kill(&shim, &container.id, "", libc::SIGKILL).unwrap();
        shim.wait(&container.id, "").unwrap();
        shim.delete(&container.id, "").unwrap();
    }
    shim.shut_down();
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
