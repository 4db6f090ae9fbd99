// SPDX-License-Identifier: Apache-2.0
//! Attacks by a user of the host on the runtime's files.

use crate::arena::{Arena, Attack, USER};
use conformance::attack::Count;
use conformance::runtime::finish;
use conformance::{Bundle, Doing, Output, Result, bundle};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use serde_json::json;
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;
use std::process::Command;
use std::time::Duration;
use sys_testing::process::sleeper;

pub(crate) const ATTACKS: &[Attack] = &[
    Attack {
        name: "a state directory of another user",
        stands_for: "Root uses a state directory that a user has prepared: a record whose hooks would run as root",
        run: foreign_root,
    },
    Attack {
        name: "open the state of root's containers",
        stands_for: "A user of the host reads the record of a container, starts it, or talks to its sockets",
        run: open,
    },
    Attack {
        name: "the pid file becomes a link",
        stands_for: "CVE-2025-24965 and similar ones: a file that root writes in a directory of a user is \
                     exchanged with a link to a file of the host",
        run: pid_file,
    },
    Attack {
        name: "a reused pid",
        stands_for: "A process that has got the pid of a container's init is signalled, paused, or joined \
                     instead of it",
        run: used_again,
    },
];

/// Runs a command of the runtime with another state directory than the arena's.
fn with_root(arena: &Arena, root: &Path, bundle: &Bundle, args: &[&str]) -> Result<Output> {
    let mut command = Command::new(arena.runtime.program());
    command.arg("--root").arg(root).args(args).current_dir(bundle.path());
    finish(command)
}

fn foreign_root(arena: &Arena) -> Result<Count> {
    let root = arena.volume("root")?;
    let marker = arena.outside().join("marker");
    let bundle = Bundle::new(&["sleep"])?.with(|config| {
        let touch = json!([bundle::probe(), "write", marker, "x"]);
        config["hooks"] = json!({ "poststop": [{ "path": touch[0], "args": touch }] });
    })?;
    with_root(arena, &root, &bundle, &["create", "victim"])?.ok()?;
    let give = |owner: u32| -> Result {
        for entry in walk(&root) {
            std::os::unix::fs::lchown(&entry, Some(owner), Some(owner)).doing("chown")?;
        }
        Ok(())
    };
    give(USER)?;
    let _either = with_root(arena, &root, &bundle, &["delete", "--force", "victim"])?;
    let mut count = Count::default();
    count.count(marker.exists().then(|| "root has run a user's hook".to_owned()));
    give(0)?;
    with_root(arena, &root, &bundle, &["delete", "--force", "victim"])?.ok()?;
    let _removed = fs::remove_file(marker);
    Ok(count)
}

/// Returns the directory and everything below it.
fn walk(dir: &Path) -> Vec<std::path::PathBuf> {
    let mut all = vec![dir.to_owned()];
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => all.extend(walk(&entry.path())),
            _ => all.push(entry.path()),
        }
    }
    all
}

fn open(arena: &Arena) -> Result<Count> {
    // A directory that all users may enter, like /run.
    let root = arena.volume("run")?.join("runtime");
    let bundle = Bundle::new(&["exit", "0"])?.with(|config| {
        config["linux"]["seccomp"] = json!({ "defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
            { "names": ["reboot"], "action": "SCMP_ACT_ERRNO" }] });
    })?;
    let user = arena.user("user", &["state", "open", &root.join("victim").to_string_lossy()])?;
    let mut count = Count::default();
    for _ in 0..arena.tries {
        for args in [&["create", "victim"] as &[&str], &["start", "victim"], &["delete", "--force", "victim"]]
        {
            with_root(arena, &root, &bundle, args)?.ok()?;
        }
        count.tries += 1;
    }
    Ok(user.tally(count))
}

fn pid_file(arena: &Arena) -> Result<Count> {
    let directory = arena.volume("users")?;
    chown(&directory, Some(USER), Some(USER)).doing("chown")?;
    let (file, secret) = (directory.join("pid"), arena.outside().join("secret"));
    fs::set_permissions(&secret, PermissionsExt::from_mode(0o600)).doing("chmod")?;
    let words = ["state", "pid-file", &file.to_string_lossy(), &secret.to_string_lossy()];
    let user = arena.user("user", &words)?;
    let bundle = Bundle::new(&["exit", "0"])?;
    let mut count = Count::default();
    for _ in 0..arena.tries {
        // It may fail, but must not write to the secret.
        let _either = arena.runtime.run_in(&bundle, &["create", "--pid-file", words[2], "victim"])?;
        arena.runtime.run(&["delete", "--force", "victim"])?.ok()?;
        count.tries += 1;
    }
    fs::set_permissions(&secret, PermissionsExt::from_mode(0o644)).doing("chmod")?;
    Ok(user.tally(count))
}

/// Gives the pid of an ended container's first process to another process, and checks the effect of
/// commands on that process.
fn used_again(arena: &Arena) -> Result<Count> {
    let mut count = Count::default();
    let commands: [&[&str]; 7] = [
        &["kill", "victim", "TERM"],
        &["kill", "victim", "KILL"],
        &["pause", "victim"],
        &["exec", "victim", "/probe", "exit", "0"],
        &["start", "victim"],
        &["delete", "victim"],
        &["delete", "--force", "victim"],
    ];
    for command in commands {
        let bundle = Bundle::new(&["sleep"])?;
        arena.runtime.run_in(&bundle, &["run", "--detach", "victim"])?.ok()?;
        let pid = arena.runtime.state("victim")?["pid"].as_i64().ok_or("no pid")? as i32;
        // The second process must have another start time.
        std::thread::sleep(Duration::from_millis(30));
        kill(Pid::from_raw(pid), Signal::SIGKILL).doing("kill")?;
        while !matches!(waitpid(Pid::from_raw(pid), None), Ok(WaitStatus::Signaled(..))) {
            std::thread::sleep(Duration::from_millis(1));
        }
        let bystander = sleeper(pid).doing("clone3")?;
        let output = arena.runtime.run(command)?;
        let flags = WaitPidFlag::WNOHANG | WaitPidFlag::WUNTRACED;
        let status = waitpid(bystander, Some(flags)).doing("wait")?;
        let harmed = match status {
            WaitStatus::StillAlive if command[0] == "exec" && output.status.success() => Some("joined"),
            WaitStatus::StillAlive => None,
            _ => Some("harmed"),
        };
        count.count(harmed.map(|how| format!("{}: another process was {how}", command.join(" "))));
        if matches!(status, WaitStatus::StillAlive | WaitStatus::Stopped(..)) {
            kill(bystander, Signal::SIGKILL).doing("kill")?;
            waitpid(bystander, None).doing("wait")?;
        }
        arena.runtime.run(&["delete", "--force", "victim"])?.ok()?;
    }
    Ok(count)
}
