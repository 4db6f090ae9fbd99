// SPDX-License-Identifier: Apache-2.0
//! Attacks on the end of a container.

use crate::arena::{Arena, Attack, Contained, attacker};
use conformance::attack::Count;
use conformance::{Doing, Result, ensure, host};
use serde_json::{Value, json};
use std::fs;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

pub(crate) const ATTACKS: &[Attack] = &[
    Attack {
        name: "fork while the container is killed",
        stands_for: "Processes of a container without its own pid namespace fork and exit faster than they are \
                     listed and killed",
        run: multiply,
    },
    Attack {
        name: "cgroups that grow while they are removed",
        stands_for: "A container with write access to its cgroup makes cgroups in it, and moves processes, while \
                     it is deleted",
        run: nest,
    },
    Attack {
        name: "exec while the container is deleted",
        stands_for: "A process of exec that starts while its container is deleted survives outside of it",
        run: exec_and_delete,
    },
    Attack {
        name: "start while the container is deleted",
        stands_for: "A program that starts while its container is deleted survives outside of it",
        run: start_and_delete,
    },
    Attack {
        name: "outlive a hook",
        stands_for: "A hook is ended after its timeout, and its children survive with their descriptors of the \
                     host",
        run: outlive,
    },
];

fn without_pid_namespace(config: &mut Value) {
    if let Some(list) = config["linux"]["namespaces"].as_array_mut() {
        list.retain(|namespace| namespace["type"] != "pid");
    }
    // A container cannot mount a procfs of another pid namespace, but bind one.
    if let Some(mounts) = config["mounts"].as_array_mut() {
        for mount in mounts.iter_mut().filter(|mount| mount["destination"] == "/proc") {
            *mount =
                json!({ "destination": "/proc", "type": "bind", "source": "/proc", "options": ["rbind"] });
        }
    }
}

/// Returns the processes of the host with this argument.
fn processes_with(argument: &str) -> Vec<i32> {
    let has = |pid: &i32| {
        let text = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        text.split(|byte| *byte == 0).any(|arg| arg == argument.as_bytes())
    };
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let own = std::process::id() as i32;
    entries
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|pid| *pid != own && has(pid))
        .collect()
}

/// Returns the processes that still exist after a moment, in which this program reaps orphans.
fn survivors(argument: &str) -> Vec<i32> {
    let end = Instant::now() + Duration::from_millis(300);
    loop {
        host::reap();
        let found = processes_with(argument);
        if found.is_empty() || Instant::now() > end {
            return found;
        }
    }
}

/// Deletes the container. Returns evidence if it or a process of it survives.
fn delete(arena: &Arena, attacker: &Contained<'_>, mark: &str) -> Result<Option<String>> {
    let start = Instant::now();
    let deleted = arena.runtime.run(&["delete", "--force", attacker.id])?;
    let left = survivors(mark);
    // They must not outlive the attack.
    for pid in &left {
        let _killed =
            nix::sys::signal::kill(nix::unistd::Pid::from_raw(*pid), nix::sys::signal::Signal::SIGKILL);
    }
    Ok(match (deleted.status.success(), left.is_empty(), start.elapsed()) {
        (false, ..) => Some(format!("it cannot be deleted: {deleted}")),
        (true, false, _) => Some("processes of a deleted container live on".to_owned()),
        (true, true, time) => (time > Duration::from_secs(20)).then(|| format!("deleting takes {time:?}")),
    })
}

fn multiply(arena: &Arena) -> Result<Count> {
    let container = arena.container("attacker", &["endings", "multiply"], without_pid_namespace)?;
    let mut count = Count::default();
    for _ in 0..arena.tries {
        container.start()?;
        count.tries += 1;
        if let Some(evidence) = delete(arena, &container, "multiply")? {
            count.success(evidence);
            // A container that still exists would keep its name.
            container.stop()?;
        }
        container.score.ready.store(0, std::sync::atomic::Ordering::SeqCst);
    }
    Ok(container.tally(count))
}

fn nest(arena: &Arena) -> Result<Count> {
    let container = arena.container("attacker", &["endings", "nest", "/sys/fs/cgroup"], |config| {
        if let Some(mounts) = config["mounts"].as_array_mut() {
            for mount in mounts.iter_mut().filter(|mount| mount["destination"] == "/sys/fs/cgroup") {
                mount["options"] = json!(["nosuid", "noexec", "nodev", "relatime", "rw"]);
            }
        }
    })?;
    let mut count = Count::default();
    for _ in 0..arena.tries {
        container.start()?;
        let pid = arena.runtime.state(container.id)?["pid"].as_i64().ok_or("no pid")?;
        let cgroup = host::cgroup_of(pid)?;
        std::thread::sleep(Duration::from_millis(2));
        count.tries += 1;
        if let Some(evidence) = delete(arena, &container, "nest")? {
            count.success(evidence);
            container.stop()?;
        }
        if cgroup.exists() {
            count.success("the cgroup of a deleted container is left".to_owned());
        }
        container.score.ready.store(0, std::sync::atomic::Ordering::SeqCst);
    }
    Ok(container.tally(count))
}

fn in_background(arena: &Arena, args: &[&str]) -> Result<Child> {
    let mut command = arena.runtime.command(args);
    command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().doing("a command in the background")
}

/// Runs a command and `delete --force` at about the same time, in both orders. A command that fails
/// has met the delete.
fn beside_delete(
    arena: &Arena,
    n: u32,
    container: &Contained<'_>,
    args: &[&str],
    pause: Duration,
    count: &mut Count,
) -> Result {
    // The second begins somewhere in the first milliseconds of the first.
    let delete = ["delete", "--force", container.id];
    let (first, second) = if n.is_multiple_of(2) { (args, &delete[..]) } else { (&delete[..], args) };
    let mut first = in_background(arena, first)?;
    std::thread::sleep(pause * (n % 50));
    let second = arena.runtime.run(second)?.status.success();
    let first = conformance::runtime::wait(&mut first)?.success();
    let (done, deleted) = if n.is_multiple_of(2) { (first, second) } else { (second, first) };
    let met = !done;
    ensure!(deleted, "the container was not deleted");
    let left = survivors("survivor");
    for pid in &left {
        let _killed =
            nix::sys::signal::kill(nix::unistd::Pid::from_raw(*pid), nix::sys::signal::Signal::SIGKILL);
    }
    count.tries += 1;
    count.near += u64::from(met);
    if !left.is_empty() {
        count.success("a process of a deleted container lives on".to_owned());
    }
    Ok(())
}

fn exec_and_delete(arena: &Arena) -> Result<Count> {
    let container = arena.container("attacker", &["secrets", "sleep"], without_pid_namespace)?;
    let mut count = Count::default();
    for n in 0..arena.tries {
        container.start()?;
        let words = attacker(&["secrets", "sleep", "survivor"]);
        let args = [&["exec", "--detach", "attacker"], words.as_slice()].concat();
        beside_delete(arena, n, &container, &args, Duration::from_micros(100), &mut count)?;
        container.score.ready.store(0, std::sync::atomic::Ordering::SeqCst);
    }
    Ok(count)
}

fn start_and_delete(arena: &Arena) -> Result<Count> {
    let container = arena.container("attacker", &["secrets", "sleep", "survivor"], without_pid_namespace)?;
    let mut count = Count::default();
    for n in 0..arena.tries {
        arena.runtime.run_in(&container.bundle, &["create", container.id])?.ok()?;
        beside_delete(arena, n, &container, &["start", container.id], Duration::from_micros(20), &mut count)?;
    }
    Ok(count)
}

fn outlive(arena: &Arena) -> Result<Count> {
    let mut count = Count::default();
    for kind in ["prestart", "createRuntime", "createContainer", "poststart"] {
        let container = arena.container("attacker", &["endings", "outlive"], |_| ())?;
        // A hook in the container's namespaces finds the host's files at their paths, too.
        let score = container.score_path().to_string_lossy().into_owned();
        let words = ["attacker", &score, "endings", "outlive"];
        let hook = json!({ "path": conformance::bundle::beside("attacker"), "args": words, "timeout": 1 });
        let container = container.with(|config| {
            config["process"]["args"] = json!(attacker(&["paths", "reads", "/none"]));
            config["hooks"] = json!({ kind: [hook] });
        })?;
        // It may fail, or only warn.
        container.run()?;
        count.tries += 1;
        let lives = || container.score.slots[0].load(std::sync::atomic::Ordering::SeqCst);
        let before = lives();
        std::thread::sleep(Duration::from_millis(200));
        if lives() > before {
            count.success(format!("a child of a {kind} hook goes on"));
        }
        count = container.tally(count);
        for pid in processes_with(&score) {
            let _killed =
                nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL);
        }
        host::reap();
    }
    Ok(count)
}
