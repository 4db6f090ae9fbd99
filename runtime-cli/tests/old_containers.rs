// SPDX-License-Identifier: Apache-2.0
//! Containers of an older program, as it left them on the disk: the record, the fifo of a container
//! that is not started, and an init. After an upgrade they can be used, or at least be deleted.
#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

use conformance::host::{self, HostSnapshot};
use conformance::{Bundle, Runtime};
use nix::sys::stat::Mode;
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The records of both formats, written by programs of their time.
const RECORDS: [(u32, &str); 2] = [
    (1, include_str!("../../runtime-core/src/state/record-1.json")),
    (2, include_str!("../../runtime-core/src/state/record-2.json")),
];

/// An older program's container, with an init that this program has started.
struct Old {
    runtime: Runtime,
    id: String,
    bundle: Bundle,
    cgroup: PathBuf,
    /// Starts init, and ends with it.
    parent: Parent,
    record: Value,
    before: HostSnapshot,
}

/// Ends a process, and init with it, when a test fails.
struct Parent(Child);

impl Drop for Parent {
    fn drop(&mut self) {
        // It may have ended.
        let _killed = self.0.kill();
        let _reaped = self.0.wait();
    }
}

impl Old {
    /// Makes the container. `words` is the program of its init, behind `unshare`.
    fn new(version: u32, record: &str, words: impl FnOnce(&PathBuf) -> Vec<String>) -> Self {
        let runtime = Runtime::new(&conformance::bundle::beside("runtime-cli")).unwrap();
        let before = HostSnapshot::take().unwrap();
        let bundle = Bundle::new(&["sleep"]).unwrap();
        let id = format!("old-{version}-{}", std::process::id());
        let directory = runtime.root().join(&id);
        fs::DirBuilder::new().mode(0o711).create(&directory).unwrap();
        let cgroup = host::hierarchy().join(&id);
        fs::create_dir(&cgroup).unwrap();
        let mut unshare = Command::new("unshare");
        unshare.args(["--mount", "--uts", "--ipc", "--pid", "--fork", "--kill-child"]);
        let parent = unshare
            .args(words(&directory))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let pid = only_child(parent.id());
        fs::write(cgroup.join("cgroup.procs"), pid.to_string()).unwrap();
        let mut record: Value = serde_json::from_str(record).unwrap();
        assert_eq!(record["version"], version);
        record["id"] = json!(id);
        record["init_process_pid"] = json!(pid);
        record["init_process_start"] = json!(start_of(pid));
        record["bundle"] = json!(bundle.path());
        record["rootfs"] = json!(bundle.rootfs(""));
        record["cgroup_paths"][""] = json!(cgroup);
        record["namespace_paths"] = ["ipc", "mnt", "pid", "uts"]
            .map(|name| {
                let key =
                    if name == "mnt" { "NEWNS".to_owned() } else { format!("NEW{}", name.to_uppercase()) };
                (key, json!(format!("/proc/{pid}/ns/{name}")))
            })
            .into_iter()
            .collect();
        // The container has no filter, whose program would be in a file of its own.
        record.as_object_mut().unwrap().remove("seccomp");
        let old = Old { runtime, id, bundle, cgroup, parent: Parent(parent), record, before };
        old.write_record();
        old
    }

    /// Makes a container whose init has executed its program.
    fn running(version: u32, record: &str) -> Self {
        // Its root is the host's, in a mount namespace of its own.
        let words = |_: &PathBuf| ["sleep", "1000"].map(str::to_owned).into();
        Old::new(version, record, words)
    }

    /// Makes a container whose init waits for `start`.
    fn created(version: u32, record: &str) -> Self {
        let words = |directory: &PathBuf| {
            let fifo = directory.join("exec.fifo");
            nix::unistd::mkfifo(&fifo, Mode::S_IRUSR | Mode::S_IWUSR).unwrap();
            let script = r#"exec 3<>"$0"; head -c 1 <&3 >/dev/null; exec 3<&-; exec sleep 1000"#;
            ["sh", "-c", script, fifo.to_str().unwrap()].map(str::to_owned).into()
        };
        Old::new(version, record, words)
    }

    fn write_record(&self) {
        let file = self.runtime.root().join(&self.id).join("state.json");
        fs::write(&file, self.record.to_string()).unwrap();
        fs::set_permissions(file, fs::Permissions::from_mode(0o600)).unwrap();
    }

    fn status(&self) -> String {
        self.runtime.state(&self.id).unwrap()["status"].as_str().unwrap().to_owned()
    }

    /// Kills and deletes the container, and checks that nothing is left.
    fn end(mut self) {
        self.runtime.run(&["kill", &self.id, "KILL"]).unwrap().ok().unwrap();
        self.parent.0.wait().unwrap();
        assert_eq!(self.status(), "stopped");
        self.runtime.run(&["delete", &self.id]).unwrap().ok().unwrap();
        assert!(!self.cgroup.exists());
        drop(self.bundle);
        self.before.check(&self.runtime).unwrap();
    }
}

fn await_until<T>(mut found: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + Duration::from_secs(10);
    loop {
        match found() {
            Some(found) => return found,
            None => assert!(Instant::now() < end, "it does not happen"),
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn only_child(parent: u32) -> i32 {
    let path = format!("/proc/{parent}/task/{parent}/children");
    await_until(|| fs::read_to_string(&path).unwrap().trim().parse().ok())
}

/// Returns field 22 of /proc/PID/stat (proc(5)).
fn start_of(pid: i32) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    stat.rsplit_once(')').unwrap().1.split_ascii_whitespace().nth(19).unwrap().parse().unwrap()
}

#[test]
fn a_running_container_of_each_format_can_be_used_and_deleted() {
    let _alone = host::alone();
    for (version, record) in RECORDS {
        let old = Old::running(version, record);
        await_until(|| {
            fs::read_to_string(format!("/proc/{}/comm", old.record["init_process_pid"]))
                .ok()
                .filter(|comm| comm == "sleep\n")
        });
        assert_eq!(old.status(), "running");
        let exec = old.runtime.run(&["exec", &old.id, "/bin/sh", "-c", "exit 7"]).unwrap();
        match version {
            // It lacks the process that exec takes its defaults from.
            1 => assert!(exec.stderr.contains("older version"), "{exec}"),
            _ => assert_eq!(exec.status.code(), Some(7), "{exec}"),
        }
        old.runtime.run(&["pause", &old.id]).unwrap().ok().unwrap();
        assert_eq!(old.status(), "paused");
        old.runtime.run(&["resume", &old.id]).unwrap().ok().unwrap();
        old.end();
    }
}

#[test]
fn a_created_container_of_each_format_can_be_started() {
    let _alone = host::alone();
    for (version, mut record) in RECORDS.map(|(version, record)| (version, record.to_owned())) {
        // Its hooks would want the namespaces of a whole container.
        let mut value: Value = serde_json::from_str(&record).unwrap();
        value.as_object_mut().unwrap().remove("start_container");
        record.replace_range(.., &value.to_string());
        let old = Old::created(version, &record);
        await_until(|| (old.status() == "created").then_some(()));
        old.runtime.run(&["start", &old.id]).unwrap().ok().unwrap();
        await_until(|| (old.status() == "running").then_some(()));
        old.end();
    }
}

/// A path with a NUL byte reached the kernel as an empty one, which is a cgroup that is gone.
#[test]
fn a_nul_in_the_path_of_the_cgroup_is_an_error_of_delete() {
    let _alone = host::alone();
    let (version, record) = RECORDS[1];
    let mut old = Old::running(version, record);
    let path = old.record["cgroup_paths"][""].clone();
    old.record["cgroup_paths"][""] = json!(format!("{}\0/x", path.as_str().unwrap()));
    old.write_record();
    let deleted = old.runtime.run(&["delete", "--force", &old.id]).unwrap().failed().unwrap();
    assert!(deleted.stderr.contains(r"\0/x"), "{deleted}");
    assert!(old.cgroup.exists());
    old.record["cgroup_paths"][""] = path;
    old.write_record();
    old.runtime.run(&["delete", "--force", &old.id]).unwrap().ok().unwrap();
    old.parent.0.wait().unwrap();
}
