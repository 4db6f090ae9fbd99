// SPDX-License-Identifier: Apache-2.0
//! State that another user can change (docs/decisions/state-root.md): a record names processes to
//! kill, files to remove and programs to run, so it must belong to the caller or root.
#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

use conformance::runtime::finish;
use conformance::{Output, Runtime};
use serde_json::json;
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;
use std::time::{Duration, Instant};

const OTHER: u32 = 65534;

/// A state directory with a forged record: a stopped container whose poststop hook makes a file.
struct Forged {
    runtime: Runtime,
    mark: std::path::PathBuf,
}

impl Forged {
    fn new() -> Self {
        let runtime = Runtime::new(&conformance::bundle::beside("runtime-cli")).unwrap();
        let mark = runtime.root().with_extension("mark");
        let entry = runtime.root().join("c");
        fs::create_dir(&entry).unwrap();
        fs::set_permissions(&entry, PermissionsExt::from_mode(0o711)).unwrap();
        let record = json!({
            "version": 2, "id": "c", "phase": "created", "init_process_pid": i32::MAX,
            "init_process_start": 1, "created": "2026-01-01T00:00:00Z", "bundle": "/", "rootfs": "/",
            "annotations": {}, "cgroup_paths": {}, "cgroup": { "driver": "none" }, "namespace_paths": {},
            "shared_pid_namespace": true, "no_new_keyring": false, "inherited": { "process": {} },
            "poststop": [{ "path": "/bin/touch", "args": ["touch", mark], "env": null, "timeout": null }],
        });
        let file = entry.join("state.json");
        fs::write(&file, record.to_string()).unwrap();
        fs::set_permissions(&file, PermissionsExt::from_mode(0o600)).unwrap();
        Forged { runtime, mark }
    }

    fn root(&self) -> &Path {
        self.runtime.root()
    }

    fn run(&self, args: &[&str]) -> Output {
        let begin = Instant::now();
        let output = finish(self.runtime.command(args)).unwrap();
        assert!(begin.elapsed() < Duration::from_secs(10), "{output}");
        output
    }

    /// Checks that every command refuses the record, and changes nothing.
    fn is_refused(&self, why: &str) {
        for args in [
            &["state", "c"][..],
            &["start", "c"],
            &["kill", "c", "KILL"],
            &["exec", "c", "true"],
            &["ps", "c"],
            &["update", "--pids-limit", "3", "c"],
            &["events", "--stats", "c"],
            &["delete", "c"],
            &["delete", "--force", "c"],
        ] {
            let output = self.run(args).failed().unwrap();
            assert!(output.stderr.contains(why), "{output}");
            assert!(output.stderr.contains("it must belong to the caller"), "{output}");
        }
        let list = self.run(&["list"]);
        assert!(!list.stdout.contains("stopped") && list.stderr.contains(why), "{list}");
        assert!(self.root().join("c/state.json").is_file());
        assert!(!self.mark.exists(), "the hook of a record that other users may have written was run");
    }
}

impl Drop for Forged {
    fn drop(&mut self) {
        let _gone = fs::remove_file(&self.mark);
    }
}

#[test]
fn the_callers_own_records_are_trusted() {
    for mode in [0o700, 0o711, 0o755, 0o1777] {
        let forged = Forged::new();
        fs::set_permissions(forged.root(), PermissionsExt::from_mode(mode)).unwrap();
        assert!(forged.run(&["list"]).ok().unwrap().stdout.contains("stopped"));
        forged.run(&["delete", "c"]).ok().unwrap();
        assert!(forged.mark.exists(), "the record is as this version writes it");
    }
}

#[test]
fn the_state_directory_of_another_user_is_refused() {
    let forged = Forged::new();
    chown(forged.root(), Some(OTHER), None).unwrap();
    forged.is_refused("belongs to user 65534");
    let bundle = conformance::Bundle::new(&["exit", "0"]).unwrap();
    let output = forged.runtime.run_in(&bundle, &["run", "new"]).unwrap().failed().unwrap();
    assert!(output.stderr.contains("belongs to user 65534"), "{output}");
    assert!(!forged.root().join("new").exists());
}

#[test]
fn a_state_directory_that_others_may_write_to_is_refused() {
    for (mode, group) in [(0o777, 0), (0o702, 0), (0o770, OTHER)] {
        let forged = Forged::new();
        chown(forged.root(), None, Some(group)).unwrap();
        fs::set_permissions(forged.root(), PermissionsExt::from_mode(mode)).unwrap();
        forged.is_refused("can be changed by others");
    }
}

#[test]
fn a_container_or_a_record_of_another_user_is_refused() {
    for (name, mode) in
        [("c", None), ("c/state.json", None), ("c", Some(0o777)), ("c/state.json", Some(0o666))]
    {
        let forged = Forged::new();
        // Writable for all users, like /tmp.
        fs::set_permissions(forged.root(), PermissionsExt::from_mode(0o1777)).unwrap();
        let path = forged.root().join(name);
        match mode {
            None => chown(&path, Some(OTHER), None).unwrap(),
            Some(mode) => fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap(),
        }
        forged.is_refused(if mode.is_none() { "belongs to user 65534" } else { "can be changed by others" });
    }
}

#[test]
fn special_files_do_not_block() {
    let forged = Forged::new();
    let record = forged.root().join("c/state.json");
    fs::remove_file(&record).unwrap();
    nix::unistd::mkfifo(&record, nix::sys::stat::Mode::S_IRUSR).unwrap();
    let list = forged.run(&["list"]);
    assert!(list.stderr.contains("state.json of container c: not a regular file"), "{list}");
    forged.run(&["state", "c"]).failed_with(1, "not a regular file").unwrap();
    fs::remove_file(&record).unwrap();
    fs::write(&record, "").unwrap();
    fs::File::options().write(true).open(&record).unwrap().set_len(1 << 40).unwrap();
    forged.run(&["state", "c"]).failed_with(1, "larger than 64 MiB").unwrap();
    forged.run(&["delete", "--force", "c"]).ok().unwrap();
    assert!(!forged.root().join("c").exists());
}
