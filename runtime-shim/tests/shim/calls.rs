// SPDX-License-Identifier: Apache-2.0
//! Calls that many tests make, and the codes of their errors.

use crate::containerd::{Answer, Shim};
use crate::proto::common::{Any, Empty};
use crate::proto::task::{ExecProcessRequest, KillRequest, StateResponse};

// The codes of gRPC that containerd tells apart.
pub(crate) const INVALID_ARGUMENT: i32 = 3;
pub(crate) const CANCELLED: i32 = 1;
pub(crate) const UNKNOWN: i32 = 2;
pub(crate) const NOT_FOUND: i32 = 5;
pub(crate) const ALREADY_EXISTS: i32 = 6;
pub(crate) const FAILED_PRECONDITION: i32 = 9;
pub(crate) const UNIMPLEMENTED: i32 = 12;

pub(crate) fn code<T>(answer: Answer<T>) -> i32 {
    answer.err().expect("the call must fail").0
}

pub(crate) fn status(shim: &Shim, id: &str, exec_id: &str) -> i32 {
    let state: StateResponse = shim.of_process("State", id, exec_id).unwrap();
    state.status
}

pub(crate) fn kill(shim: &Shim, id: &str, exec_id: &str, signal: i32) -> Answer<Empty> {
    let signal = u32::try_from(signal).unwrap();
    shim.call("Kill", &KillRequest { id: id.to_owned(), exec_id: exec_id.to_owned(), signal, all: false })
}

pub(crate) fn exec_request(id: &str, exec_id: &str, probe_args: &[&str]) -> ExecProcessRequest {
    let args: Vec<_> = ["/probe"].iter().chain(probe_args).collect();
    let program = serde_json::json!({ "args": args, "cwd": "/", "user": { "uid": 0, "gid": 0 } });
    ExecProcessRequest {
        id: id.to_owned(),
        exec_id: exec_id.to_owned(),
        spec: Some(Any {
            type_url: "types.containerd.io/opencontainers/runtime-spec/1/Process".to_owned(),
            value: program.to_string().into_bytes(),
        }),
        ..ExecProcessRequest::default()
    }
}

/// Ends a container that runs, and its shim.
pub(crate) fn end(shim: &Shim, id: &str) {
    kill(shim, id, "", libc::SIGKILL).unwrap();
    assert_eq!(shim.wait(id, "").unwrap().exit_status, 137);
    shim.delete(id, "").unwrap();
    shim.shut_down();
}

/// Returns true if a process is in a cgroup that is named by the id.
pub(crate) fn has_process_of(id: &str) -> bool {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let mut cgroups = processes.filter_map(|entry| std::fs::read_to_string(entry.path().join("cgroup")).ok());
    cgroups.any(|cgroup| cgroup.contains(id))
}
