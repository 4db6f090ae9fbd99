// SPDX-License-Identifier: Apache-2.0
//! Containers and properties of this process, for the other files.

use conformance::Bundle;
use runtime_core::{ContainerId, DeleteOptions, Process, Runtime};
use serde_json::json;
use std::path::Path;

/// Serialises the tests, which watch the process.
pub(crate) fn alone() -> std::sync::MutexGuard<'static, ()> {
    static ALONE: std::sync::Mutex<()> = std::sync::Mutex::new(());
    ALONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

pub(crate) fn fds() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

/// Returns a new id for this process.
pub(crate) fn own_id(name: &str) -> ContainerId {
    ContainerId::new(&format!("{name}-{}", std::process::id())).unwrap()
}

/// A process that runs a shell script of the host's shell: the container has the host's root directory, read-only.
pub(crate) fn script(text: &str) -> runtime_core::spec::Process {
    runtime_core::spec::Process {
        args: ["/bin/sh", "-c", text].map(str::to_owned).to_vec(),
        cwd: "/".into(),
        env: vec!["PATH=/usr/bin:/bin".into()],
        ..Default::default()
    }
}

/// Makes a container with the host's files, which sleeps.
pub(crate) fn shell_container(runtime: &Runtime, name: &str) -> (Bundle, Process) {
    let bundle = Bundle::new(&["sleep"]).unwrap();
    let bind =
        |dir: &str| json!({ "destination": dir, "source": dir, "type": "bind", "options": ["rbind", "ro"] });
    let host = ["/bin", "/usr", "/lib", "/lib64"].into_iter().filter(|dir| Path::new(dir).is_dir()).map(bind);
    let host: Vec<_> = host.collect();
    let bundle = bundle.with(|config| config["mounts"].as_array_mut().unwrap().extend(host)).unwrap();
    let init = runtime.builder(own_id(name), bundle.path()).run().unwrap_or_else(|e| panic!("{e:?}"));
    (bundle, init)
}

pub(crate) fn end(init: Process) {
    init.container().delete(DeleteOptions::new().force(true)).unwrap();
    init.wait().unwrap();
}

/// Returns an unused id, which is also the cgroup's name.
pub(crate) fn id_of(place: &Path) -> ContainerId {
    let name = place.display().to_string();
    ContainerId::new(&name.trim_start_matches('/').replace(['/', '.'], "_")).unwrap()
}

/// Returns the number of children of this process, zombies too.
pub(crate) fn children() -> usize {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    let of = |task: std::io::Result<std::fs::DirEntry>| {
        // A thread may end meanwhile.
        let list = std::fs::read_to_string(task.unwrap().path().join("children")).unwrap_or_default();
        list.split_ascii_whitespace().count()
    };
    tasks.map(of).sum()
}
