// SPDX-License-Identifier: Apache-2.0
//! A restore that fails, as an embedder sees it, with a program in place of CRIU. The tests with CRIU are in
//! conformance/engines/checkpoint.bats.
#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

use conformance::Bundle;
use runtime_core::{ContainerId, Runtime, Stdio};
use runtime_sys::socket;
use serde_json::json;
use std::fs;
use std::os::unix::fs::PermissionsExt;

/// The variable that makes a test the program in place of CRIU.
const PLAYS: &str = "TEST_PLAYS_CRIU";

/// Answers the question for the version, makes a process as CRIU does, and fails.
#[test]
fn program_in_place_of_criu() {
    if std::env::var_os(PLAYS).is_none() {
        return;
    }
    let socket = std::io::stdin();
    let mut buffer = [0; 4096];
    let mut answer = |bytes: &[u8]| {
        socket::recv_fd(&socket, &mut buffer).unwrap();
        socket::send(&socket, bytes).unwrap();
    };
    // type: VERSION success: true version { major_number: 4 minor_number: 1 }
    answer(b"\x08\x0a\x10\x01\x52\x04\x08\x04\x10\x01");
    sys_testing::process::clone_sibling().unwrap();
    // type: RESTORE success: false
    answer(b"\x08\x02\x10\x00");
}

/// CRIU makes the first process as a child of its caller, and can fail before it announces it.
#[test]
fn a_process_that_criu_has_not_announced_is_no_zombie() {
    let dir = tempfile::tempdir().unwrap();
    let program = dir.path().join("criu");
    let own = std::env::current_exe().unwrap();
    let call = format!("{} --exact program_in_place_of_criu <&$2", own.display());
    let script = format!("#!/bin/bash\n{PLAYS}=yes exec {call}\n");
    fs::write(&program, script).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    fs::write(dir.path().join("descriptors.json"), r#"["","",""]"#).unwrap();
    let id = format!("restore-{}", std::process::id());
    let bundle = Bundle::new(&["sleep"]).unwrap();
    let bundle = bundle.with(|config| config["linux"]["cgroupsPath"] = json!(format!("/{id}"))).unwrap();
    let runtime = Runtime::new(dir.path().join("state"));
    let builder = runtime.restore(ContainerId::new(&id).unwrap(), bundle.path(), dir.path());
    let builder = builder.criu(&program).stdin(Stdio::Null).stdout(Stdio::Null).stderr(Stdio::Null);
    let error = builder.restore().unwrap_err();
    assert!(error.report().starts_with("criu failed: type RESTORE"), "{}", error.report());
    assert_eq!(fs::read_to_string("/proc/thread-self/children").unwrap(), "");
}
