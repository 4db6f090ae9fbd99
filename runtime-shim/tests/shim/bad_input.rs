// SPDX-License-Identifier: Apache-2.0
//! Bad input: frames, calls, configurations.

use crate::calls::{
    ALREADY_EXISTS, FAILED_PRECONDITION, INVALID_ARGUMENT, NOT_FOUND, UNIMPLEMENTED, UNKNOWN, code, end,
    exec_request,
};
use crate::containerd::{Container, Containerd, write_frame};
use crate::proto::common::{Any, Empty};
use crate::proto::options;
use crate::proto::task::{CheckpointTaskRequest, CreateTaskRequest, ExecProcessRequest};
use crate::{containerd, proto};
use prost::Message;
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::path::Path;

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
