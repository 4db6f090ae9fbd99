// SPDX-License-Identifier: Apache-2.0
//! Several containers in one shim.

use crate::calls::{INVALID_ARGUMENT, NOT_FOUND, code, end, exec_request, has_process_of, kill, status};
use crate::containerd::{Container, Containerd, until};
use crate::proto::common::{Any, Empty, ProcessStatus};
use crate::proto::metrics;
use crate::proto::task::{
    CreateTaskRequest, ExecProcessRequest, StateResponse, StatsResponse, UpdateTaskRequest,
};
use prost::Message;

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
