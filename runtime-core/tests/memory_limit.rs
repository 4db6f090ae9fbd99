// SPDX-License-Identifier: Apache-2.0
//! The OOM killer, as an embedder sees it. CI runs this in the virtual machine, whose cgroup2 has the
//! memory controller.
#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

#[allow(dead_code)] // Its main function.
#[path = "../examples/memory_limit.rs"]
mod example;

use conformance::Bundle;
use runtime_core::stats::Metrics;
use runtime_core::{ContainerId, Event, ExitStatus, Runtime};
use serde_json::json;
use std::io::Write;
use std::time::Duration;

const LIMIT: u64 = 16 << 20;

/// Returns true if cgroup2 has the memory controller here, and prints a line if not.
fn has_memory() -> bool {
    let has = conformance::host::controllers().iter().any(|controller| controller == "memory");
    if !has {
        // The test harness would capture the output of a macro.
        std::io::stderr().write_all(b"not judged: cgroup2 has no controller memory here\n").unwrap();
    }
    has
}

#[test]
fn the_example_tells_of_the_kill() {
    let bundle = Bundle::new(&[]).unwrap();
    std::fs::create_dir(bundle.rootfs("bin")).unwrap();
    for name in ["busybox", "sh", "tail"] {
        let busybox = ["/bin/busybox", "/usr/bin/busybox"].iter().find(|path| std::fs::exists(path).unwrap());
        std::fs::copy(busybox.unwrap(), bundle.rootfs(&format!("bin/{name}"))).unwrap();
    }
    let told = example::run(bundle.path().to_str().unwrap());
    if has_memory() {
        assert!(told.unwrap().contains("was OOM-killed: memory.max of the container is 16777216"));
    } else {
        let report = told.unwrap_err().report();
        assert!(report.contains("linux.resources.memory"), "{report}");
    }
}

#[test]
fn a_kill_is_an_event_and_is_counted() {
    if !has_memory() {
        return;
    }
    let root = tempfile::tempdir().unwrap();
    let runtime = Runtime::new(root.path());
    let limits = json!({ "limit": LIMIT, "swap": LIMIT });
    let bundle = Bundle::new(&["allocate", "64"])
        .unwrap()
        .with(|config| config["linux"]["resources"]["memory"] = limits)
        .unwrap();
    let id = ContainerId::new(&format!("oom-{}", std::process::id())).unwrap();
    let init = runtime.builder(id, bundle.path()).create().unwrap();
    let container = init.container();
    let before: Metrics = container.metrics().unwrap();
    let memory = before.memory.unwrap();
    assert_eq!((memory.max, memory.events["oom_kill"]), (LIMIT, 0));
    assert!(memory.current > 0 && memory.current < LIMIT, "{}", memory.current);
    let mut events = container.events(Duration::from_secs(1000)).unwrap();
    container.start().unwrap();
    assert_eq!(events.next().unwrap().unwrap(), Event::OutOfMemory);
    let status = init.wait().unwrap();
    assert_eq!(status, ExitStatus::Signaled(9));
    assert!(init.oom_killed(status).unwrap().to_string().contains("memory.max of the container is 16777216"));
    assert!(events.next().is_none());
    init.delete().unwrap();
}
