// SPDX-License-Identifier: Apache-2.0
//! The place of the state without --root (docs/decisions/state-root.md).
#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

/// Waits in a user namespace until all ids are mapped to themselves, then executes a command.
const IN_USER_NAMESPACE: &[&str] = &["unshare", "--user", "sh", "-c", "read go; exec \"$@\"", "sh"];

fn own_user_namespace() -> Option<std::path::PathBuf> {
    std::fs::read_link("/proc/self/ns/user").ok()
}

/// Runs `list`. Returns the permissions of $XDG_RUNTIME_DIR/runc, if it was made.
fn made(before: &[&str], user: Option<&str>) -> Option<u32> {
    let dir = tempfile::tempdir().unwrap();
    std::fs::set_permissions(dir.path(), PermissionsExt::from_mode(0o777)).unwrap();
    let program = conformance::bundle::beside("runtime-cli");
    let mut command = Command::new(before[0]);
    command.args(&before[1..]).arg(program).args(["list", "--quiet"]).env("XDG_RUNTIME_DIR", dir.path());
    match user {
        Some(user) => command.env("USER", user),
        None => command.env_remove("USER"),
    };
    let mut child = command.stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    if before == IN_USER_NAMESPACE {
        let proc = format!("/proc/{}", child.id());
        let is_there = || std::fs::read_link(format!("{proc}/ns/user")).ok() != own_user_namespace();
        while !is_there() {
            std::thread::sleep(std::time::Duration::from_millis(2));
        }
        for map in ["uid_map", "gid_map"] {
            std::fs::write(format!("{proc}/{map}"), "0 0 4294967295").unwrap();
        }
    }
    drop(child.stdin.take());
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    mode(&dir.path().join("runc"))
}

fn mode(path: &Path) -> Option<u32> {
    std::fs::metadata(path).ok().map(|meta| meta.permissions().mode() & 0o7777)
}

#[test]
fn users_have_a_root_of_their_own() {
    let nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];
    // The sticky bit protects it from tools that clean up.
    assert_eq!(made(&nobody, Some("nobody")), Some(0o1700));
    assert_eq!(made(&nobody, Some("root")), Some(0o1700), "USER is for root of a user namespace only");
}

#[test]
fn root_is_root_only_in_the_first_user_namespace() {
    assert_eq!(made(&["env"], Some("root")), None);
    assert_eq!(made(&["env"], None), None);
    let fake_root = ["unshare", "--user", "--map-root-user"];
    assert_eq!(made(&fake_root, Some("somebody")), Some(0o1700));
    assert_eq!(made(&fake_root, None), Some(0o1700));
    assert_eq!(made(&fake_root, Some("root")), None);
    // Like PrivateUsers=full of systemd, which maps all ids to themselves.
    assert_eq!(made(IN_USER_NAMESPACE, None), Some(0o1700));
    assert_eq!(made(IN_USER_NAMESPACE, Some("root")), None);
}
