// SPDX-License-Identifier: Apache-2.0
//! Checkpoint and restore, with a program in place of CRIU. The tests with CRIU are in
//! conformance/engines/checkpoint.bats.

use crate::containerd::{Container, Containerd};
use crate::proto::common::{Any, ProcessStatus};
use crate::proto::options;
use crate::proto::task::CreateTaskRequest;
use crate::{ALREADY_EXISTS, NOT_FOUND, code, end, kill, status};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

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

/// The script of a CRIU that does not answer.
const SILENT: &str = "#!/bin/sh\nexec sleep 1000\n";

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
    shim.delete(id, "").unwrap();
    other.start(id, "").unwrap();
    assert_eq!(status(&other, id, ""), ProcessStatus::Running as i32);
    assert_eq!(code(shim.create(&from_checkpoint(&first, SILENT))), ALREADY_EXISTS);
    assert_eq!(status(&other, id, ""), ProcessStatus::Running as i32);
    end(&other, id);
    shim.shut_down();
}
