// SPDX-License-Identifier: Apache-2.0
//! Checkpoint and restore, with a program in place of CRIU. The tests with CRIU are in
//! conformance/engines/checkpoint.bats.

use crate::calls::{
    ALREADY_EXISTS, CANCELLED, FAILED_PRECONDITION, INVALID_ARGUMENT, NOT_FOUND, UNIMPLEMENTED, code, end,
    exec_request, has_process_of, kill, status,
};
use crate::containerd::{Container, Containerd, Shim, read_frame, send, until, write_frame};
use crate::proto::common::{Any, Empty, ProcessStatus};
use crate::proto::options;
use crate::proto::rpc::{Request, Response};
use crate::proto::task::{
    CheckpointTaskRequest, CreateTaskRequest, ExecProcessRequest, PidsResponse, ProcessRequest,
    StatsResponse, UpdateTaskRequest,
};
use crate::{containerd, proto};
use prost::Message;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

/// Returns the options that name a program in place of CRIU, a script.
fn with_criu(container: &Container, script: &str) -> Any {
    let criu = container.beside("criu");
    std::fs::write(&criu, script).unwrap();
    std::fs::set_permissions(&criu, PermissionsExt::from_mode(0o755)).unwrap();
    let config_body = format!("CriuPath = {criu:?}\n").into_bytes();
    let generic = options::Generic { config_body, ..options::Generic::default() };
    Any::of("runtimeoptions.v1.Options", &generic)
}

/// Returns the request that creates a container from a checkpoint, whose images it makes.
fn from_checkpoint(container: &Container, script: &str) -> CreateTaskRequest {
    let images = container.beside("images");
    std::fs::create_dir_all(&images).unwrap();
    std::fs::write(Path::new(&images).join("descriptors.json"), r#"["","",""]"#).unwrap();
    CreateTaskRequest {
        checkpoint: images,
        options: Some(with_criu(container, script)),
        ..container.request()
    }
}

fn begin_start(shim: &Shim, id: &str) -> UnixStream {
    let mut call = UnixStream::connect(&shim.socket).unwrap();
    send(&mut call, "Start", &ProcessRequest { id: id.to_owned(), exec_id: String::new() });
    call
}

/// Returns the code of the answer to a call.
fn code_of(call: &mut UnixStream) -> i32 {
    call.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let (_, answer) = read_frame(call).expect("no answer in 20 s");
    Response::decode(answer.as_slice()).unwrap().status.map_or(0, |status| status.code)
}

/// Returns true if a thread of the shim has a child, which is CRIU before the processes exist.
fn has_child(shim: &Shim) -> bool {
    let threads = std::fs::read_dir(format!("/proc/{}/task", shim.pid())).unwrap().flatten();
    let mut children =
        threads.filter_map(|thread| std::fs::read_to_string(thread.path().join("children")).ok());
    children.any(|children| !children.is_empty())
}

/// The script of a CRIU that does not answer.
const SILENT: &str = "#!/bin/sh\nexec sleep 1000\n";

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
fn a_task_from_a_checkpoint_leaves_the_container_of_another_program_alone() {
    let containerd = Containerd::new();
    let pod = |name: &str| {
        let name = format!("{name}-{}", std::process::id());
        Container::with(&["sleep"], move |config| {
            config["annotations"] = serde_json::json!({ "io.kubernetes.cri.sandbox-id": name });
        })
    };
    // Each in a shim of its own.
    let (first, mut second) = (pod("restored"), pod("taken"));
    let bundle = second.bundle();
    second.id.clone_from(&first.id);
    std::fs::rename(bundle, second.bundle()).unwrap();
    let id = first.id.as_str();
    let (shim, other) = (containerd.start(id, &first.bundle()), containerd.start(id, &second.bundle()));
    assert_ne!(shim.socket, other.socket);
    shim.create(&from_checkpoint(&first, SILENT)).unwrap();
    other.create(&second.request()).unwrap();
    assert_eq!(code(kill(&shim, id, "", libc::SIGKILL)), NOT_FOUND);
    assert_eq!(code(shim.of_task::<PidsResponse>("Pids", id)), FAILED_PRECONDITION);
    assert_eq!(code(shim.of_task::<StatsResponse>("Stats", id)), FAILED_PRECONDITION);
    shim.delete(id, "").unwrap();
    other.start(id, "").unwrap();
    assert_eq!(status(&other, id, ""), ProcessStatus::Running as i32);
    assert_eq!(code(shim.create(&from_checkpoint(&first, SILENT))), ALREADY_EXISTS);
    assert_eq!(status(&other, id, ""), ProcessStatus::Running as i32);
    end(&other, id);
    shim.shut_down();
}

#[test]
fn delete_cancels_the_start_of_a_restore() {
    let containerd = Containerd::new();
    let container = Container::new(&["sleep"]);
    let id = container.id.as_str();
    let shim = containerd.start(id, &container.bundle());
    shim.create(&from_checkpoint(&container, SILENT)).unwrap();
    let begun = Instant::now();
    let mut start = begin_start(&shim, id);
    until(|| has_child(&shim));
    shim.delete(id, "").unwrap();
    assert_eq!(code_of(&mut start), CANCELLED);
    assert!(begun.elapsed() < Duration::from_secs(8), "CRIU had its whole time");
    assert!(!has_child(&shim));
    shim.shut_down();
}

/// The variable that makes a test the program in place of CRIU.
const PLAYS: &str = "TEST_PLAYS_CRIU";

/// Answers the question for the version. Then it does not answer a request; or it asks its caller after a while
/// whether to go on, and fails if not; or it answers that it has restored a process, and does not end.
#[test]
fn program_in_place_of_criu() {
    let Ok(part) = std::env::var(PLAYS) else { return };
    let socket = std::io::stdin();
    let mut buffer = [0; 65536];
    let mut receive = || {
        let (length, _) = runtime_sys::socket::recv_fd(&socket, &mut buffer).unwrap();
        buffer[..length].to_vec()
    };
    let answer = |bytes: &[u8]| runtime_sys::socket::send(&socket, bytes).map(drop).unwrap();
    receive();
    // type: VERSION success: true version { major_number: 4 minor_number: 1 }
    answer(b"\x08\x0a\x10\x01\x52\x04\x08\x04\x10\x01");
    receive();
    if part == "fails" {
        std::thread::sleep(Duration::from_millis(500));
        // type: NOTIFY success: true
        answer(b"\x08\x06\x10\x01");
        // type: NOTIFY notify_success: false, if the checkpoint was cancelled
        receive();
        // type: DUMP success: false
        return answer(b"\x08\x01\x10\x00");
    }
    if part == "restores" {
        // type: RESTORE success: true restore { pid: 1 }
        answer(b"\x08\x02\x10\x01\x22\x02\x08\x01");
        std::fs::write("answered", "").unwrap();
    }
    std::thread::sleep(Duration::from_secs(1000));
}

/// Returns the script of a CRIU that plays a part.
fn playing(part: &str) -> String {
    let own = std::env::current_exe().unwrap();
    let call = format!("{} --exact restore::program_in_place_of_criu <&$2", own.display());
    format!("#!/bin/bash\n{PLAYS}={part} exec {call}\n")
}

fn checkpoint_of(container: &Container) -> CheckpointTaskRequest {
    let path = container.beside("checkpoint");
    CheckpointTaskRequest { id: container.id.clone(), path, options: None }
}

#[test]
fn a_checkpoint_that_hangs_delays_nothing_and_ends_with_its_container() {
    let containerd = Containerd::new();
    let container = Container::new(&["sleep"]);
    let id = container.id.as_str();
    let shim = containerd.start(id, &container.bundle());
    let options = Some(with_criu(&container, &playing("hangs")));
    shim.create(&CreateTaskRequest { options, ..container.request() }).unwrap();
    shim.start(id, "").unwrap();
    let request = checkpoint_of(&container);
    let mut call = UnixStream::connect(&shim.socket).unwrap();
    send(&mut call, "Checkpoint", &request);
    until(|| Path::new(&request.path).join("descriptors.json").exists());
    let begun = Instant::now();
    assert_eq!(code(shim.call::<Empty>("Checkpoint", &request)), FAILED_PRECONDITION);
    for method in ["Pause", "Resume"] {
        assert_eq!(code(shim.of_task::<Empty>(method, id)), FAILED_PRECONDITION);
    }
    let resources = Some(Any { type_url: String::new(), value: b"{}".to_vec() });
    let update = UpdateTaskRequest { id: id.to_owned(), resources };
    assert_eq!(code(shim.call::<Empty>("Update", &update)), FAILED_PRECONDITION);
    assert_eq!(status(&shim, id, ""), ProcessStatus::Running as i32);
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    // CRIU has ten seconds to undo what it has done.
    end(&shim, id);
    assert_eq!(code_of(&mut call), CANCELLED);
}

#[test]
fn a_checkpoint_is_cancelled_when_the_time_of_its_call_is_over() {
    let containerd = Containerd::new();
    let container = Container::new(&["sleep"]);
    let id = container.id.as_str();
    let shim = containerd.start(id, &container.bundle());
    let options = Some(with_criu(&container, &playing("fails")));
    shim.create(&CreateTaskRequest { options, ..container.request() }).unwrap();
    shim.start(id, "").unwrap();
    let mut call = UnixStream::connect(&shim.socket).unwrap();
    let request = Request {
        service: "containerd.task.v2.Task".to_owned(),
        method: "Checkpoint".to_owned(),
        payload: checkpoint_of(&container).encode_to_vec(),
        timeout_nano: 100_000_000,
    };
    write_frame(&mut call, 1, 1, &request);
    assert_eq!(code_of(&mut call), CANCELLED);
    let _paused: Empty = shim.of_task("Pause", id).unwrap();
    let _resumed: Empty = shim.of_task("Resume", id).unwrap();
    end(&shim, id);
}

#[test]
fn a_restore_is_cancelled_after_the_answer_of_criu() {
    let containerd = Containerd::new();
    let container = Container::new(&["sleep"]);
    let id = container.id.as_str();
    let shim = containerd.start(id, &container.bundle());
    shim.create(&from_checkpoint(&container, &playing("restores"))).unwrap();
    let mut start = begin_start(&shim, id);
    until(|| container.bundle().join("criu-work/answered").exists());
    let begun = Instant::now();
    kill(&shim, id, "", libc::SIGKILL).unwrap();
    assert_eq!(code_of(&mut start), CANCELLED);
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    shim.delete(id, "").unwrap();
    shim.shut_down();
}

/// The client of containerd 1 sends a type whose paths have other numbers.
#[test]
fn the_paths_of_a_checkpoint_are_read_from_both_types_of_options() {
    let containerd = Containerd::new();
    let container = Container::new(&["sleep"]);
    let id = container.id.as_str();
    let shim = containerd.start(id, &container.bundle());
    let options = Some(with_criu(&container, &playing("fails")));
    shim.create(&CreateTaskRequest { options, ..container.request() }).unwrap();
    shim.start(id, "").unwrap();
    let [linux, runc] = ["linux", "runc"].map(|name| container.beside(name));
    let linux = options::LinuxCheckpoint { work_path: linux, ..Default::default() };
    let runc = options::Checkpoint { work_path: runc, ..Default::default() };
    let image_path = container.beside("other");
    let lost = options::LinuxCheckpoint { image_path: image_path.clone(), ..linux.clone() };
    let also_lost = options::Checkpoint { image_path: image_path.clone(), ..runc.clone() };
    let (linux_name, runc_name) =
        ("containerd.linux.runc.CheckpointOptions", "containerd.runc.v1.CheckpointOptions");
    for options in [Any::of(linux_name, &lost), Any::of(runc_name, &also_lost)] {
        let request = CheckpointTaskRequest { options: Some(options), ..checkpoint_of(&container) };
        let (code, text) = shim.call::<Empty>("Checkpoint", &request).unwrap_err();
        assert!(code == INVALID_ARGUMENT && text.contains(&image_path), "{code} {text}");
    }
    for (path, options) in
        [(&linux.work_path, Any::of(linux_name, &linux)), (&runc.work_path, Any::of(runc_name, &runc))]
    {
        let request = CheckpointTaskRequest { options: Some(options), ..checkpoint_of(&container) };
        let (_, text) = shim.call::<Empty>("Checkpoint", &request).unwrap_err();
        assert!(text.starts_with("OCI runtime checkpoint failed: criu failed: type DUMP"), "{text}");
        assert!(Path::new(path).is_dir());
    }
    assert!(!Path::new(&image_path).exists());
    end(&shim, id);
}

/// For a runtime that it does not know, containerd 1 names the checkpoint in the options alone.
#[test]
fn the_images_of_the_options_are_restored_by_the_criu_of_the_options() {
    let containerd = Containerd::new();
    let container = Container::new(&["sleep"]);
    let id = container.id.as_str();
    let shim = containerd.start(id, &container.bundle());
    let images = from_checkpoint(&container, SILENT).checkpoint;
    let runc = options::Runc {
        criu_image_path: images.clone(),
        criu_path: "/no/criu".to_owned(),
        ..Default::default()
    };
    let linux = options::Linux { criu_image_path: images, ..Default::default() };
    for (options, criu) in [
        (Any::of("containerd.runc.v1.Options", &runc), "/no/criu"),
        (Any::of("containerd.linux.runc.CreateOptions", &linux), "criu"),
    ] {
        let request = CreateTaskRequest { options: Some(options), ..container.request() };
        assert_eq!(shim.create(&request).unwrap().pid, 0, "a new container was made");
        let (_, text) = shim.start(id, "").unwrap_err();
        assert!(text.starts_with("OCI runtime restore failed: "), "{text}");
        // A CRIU that is there does not take the images.
        assert!(text.contains(criu), "{text}");
        shim.delete(id, "").unwrap();
    }
    shim.shut_down();
}

#[test]
fn a_checkpoint_with_changes_of_the_root_is_refused() {
    let containerd = Containerd::new();
    let container = Container::new(&["sleep"]);
    let id = container.id.as_str();
    let shim = containerd.start(id, &container.bundle());
    let diff = container.beside("rootfs-diff.tar");
    std::fs::write(&diff, "").unwrap();
    let (code, text) = shim.create(&from_checkpoint(&container, SILENT)).unwrap_err();
    assert!(code == UNIMPLEMENTED && text.contains(&diff), "{code} {text}");
    assert!(!container.bundle().join("rootfs").exists());
    std::fs::remove_file(diff).unwrap();
    shim.create(&from_checkpoint(&container, SILENT)).unwrap();
    shim.delete(id, "").unwrap();
    shim.shut_down();
}

#[test]
fn an_exec_before_the_start_of_a_restore_leaves_no_logger() {
    let containerd = Containerd::new();
    let container = Container::new(&["sleep"]);
    let id = container.id.as_str();
    let shim = containerd.start(id, &container.bundle());
    shim.create(&from_checkpoint(&container, SILENT)).unwrap();
    let script = container.beside("logger");
    std::fs::write(&script, "#!/bin/sh\nexec 5>&-\nexec sleep 1000\n").unwrap();
    std::fs::set_permissions(&script, PermissionsExt::from_mode(0o755)).unwrap();
    let stdout = format!("binary://{script}");
    let request = ExecProcessRequest { stdout, ..exec_request(id, "x", &["sleep"]) };
    let _added: Empty = shim.call("Exec", &request).unwrap();
    assert_eq!(code(shim.start(id, "x")), FAILED_PRECONDITION);
    assert!(!has_child(&shim));
    shim.delete(id, "x").unwrap();
    shim.delete(id, "").unwrap();
    shim.shut_down();
}
