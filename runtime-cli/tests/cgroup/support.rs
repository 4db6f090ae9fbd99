// SPDX-License-Identifier: Apache-2.0
//! Helpers of all tests here.

use crate::common::Host;
use conformance::{Bundle, Output};
use serde_json::Value;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::time::Duration;

/// Returns the host, with systemd's cgroups if SYSTEMD_CGROUP is set.
pub(crate) fn host() -> Host {
    Host::new(std::env::var_os("SYSTEMD_CGROUP").is_some())
}

impl Host {
    pub(crate) fn ok(&self, args: &[&str]) -> Output {
        self.run(args).ok().unwrap()
    }

    pub(crate) fn fails(&self, args: &[&str], text: &str) {
        let output = self.run(args).failed().unwrap();
        assert!(output.stderr.contains(text), "must say {text:?}: {output}");
        assert_eq!(output.stderr.lines().filter(|line| line.contains("level=error")).count(), 1, "{output}");
    }

    /// Checks that create fails with this text, and leaves nothing.
    pub(crate) fn refuses(&self, change: impl FnOnce(&mut Value), text: &str) {
        let bundle = Bundle::new(&["exit", "0"]).unwrap().with(change).unwrap();
        let output = self.runtime.run_in(&bundle, &["create", "bad"]).unwrap().failed_with(1, text).unwrap();
        assert_eq!(output.stderr.lines().count(), 1, "{output}");
        self.before.check(&self.runtime).unwrap();
    }

    /// Starts a container that sleeps, and returns its cgroup.
    pub(crate) fn start(&self, bundle: &Bundle, id: &str) -> PathBuf {
        self.runtime.run_in(bundle, &["run", "--detach", id]).unwrap().ok().unwrap();
        self.cgroup(id)
    }

    pub(crate) fn cgroup(&self, id: &str) -> PathBuf {
        conformance::host::cgroup_of(self.runtime.state(id).unwrap()["pid"].as_i64().unwrap()).unwrap()
    }

    /// Runs `update --resources` with a file of this text.
    pub(crate) fn update(&self, id: &str, text: &str) -> Output {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), text).unwrap();
        self.run(&["update", "--resources", file.path().to_str().unwrap(), id])
    }

    pub(crate) fn record(&self, id: &str) -> String {
        fs::read_to_string(self.runtime.root().join(id).join("state.json")).unwrap()
    }
}

pub(crate) fn sleeping() -> Bundle {
    Bundle::new(&["sleep"]).unwrap()
}

pub(crate) fn resources(limits: Value) -> impl FnOnce(&mut Value) {
    move |config| {
        for (key, value) in limits.as_object().unwrap() {
            config["linux"]["resources"][key] = value.clone();
        }
    }
}

pub(crate) fn read(cgroup: &Path, file: &str) -> String {
    fs::read_to_string(cgroup.join(file)).unwrap().trim().to_owned()
}

pub(crate) fn processes(cgroup: &Path) -> Vec<String> {
    read(cgroup, "cgroup.procs").lines().map(str::to_owned).collect()
}

/// Returns true if cgroup2 has a controller here, and prints a line if not.
pub(crate) fn has(controller: &str) -> bool {
    let has = conformance::host::controllers().iter().any(|one| one == controller);
    if !has {
        // The test harness would capture the output of a macro.
        let line = format!("not judged: cgroup2 has no controller {controller} here\n");
        std::io::stderr().write_all(line.as_bytes()).unwrap();
    }
    has
}

/// Starts a process in the container. Its runtime is a child of this program and reaps it.
pub(crate) fn exec(host: &Host, args: &[&str], cgroup: &Path) -> Child {
    let before = processes(cgroup);
    let child = host.runtime.command(&[&["exec"], args, &["c", "/probe", "sleep"]].concat()).spawn().unwrap();
    // Waits until the process has executed the probe.
    let runs = |pid: &String| {
        !before.contains(pid) && fs::read(format!("/proc/{pid}/comm")).is_ok_and(|comm| comm == b"probe\n")
    };
    while !processes(cgroup).iter().any(runs) {
        std::thread::sleep(Duration::from_millis(2));
    }
    child
}
