// SPDX-License-Identifier: Apache-2.0
//! Attacks on processes that join the pid namespace of a container that may trace others.

use crate::arena::{Arena, Attack, Contained};
use conformance::attack::Count;
use conformance::{Bundle, Doing, Result, ensure};
use nix::pty::openpty;
use serde_json::{Value, json};
use std::process::Command;
use std::sync::atomic::Ordering::SeqCst;

pub(crate) const ATTACKS: &[Attack] = &[
    Attack {
        name: "take over a process of exec",
        stands_for: "CVE-2016-9962: a container with CAP_SYS_PTRACE takes over a process of exec that still has \
                     the host's capabilities and directories, that has no system call filter yet, that is \
                     still in the session of the caller's terminal, or that has the caller's OOM score",
        run: exec,
    },
    Attack {
        name: "take over the init of another container",
        stands_for: "A container with CAP_SYS_PTRACE takes over the init of a container that joins its pid \
                     namespace, while the init has all capabilities, the host's unmasked procfs and cgroups",
        run: create,
    },
];

/// The capabilities of the programs of both containers.
const CAPABILITIES: [&str; 2] = ["CAP_KILL", "CAP_SYS_PTRACE"];
const MASK: u64 = 1 << 5 | 1 << 19;

/// Adds the capabilities, an OOM score, and a system call filter that needs no capability to be
/// loaded.
fn confine(config: &mut Value) {
    for set in ["bounding", "effective", "permitted"] {
        config["process"]["capabilities"][set] = json!(CAPABILITIES);
    }
    config["process"]["noNewPrivileges"] = json!(true);
    config["process"]["oomScoreAdj"] = json!(500);
    let rule = json!({ "names": ["keyctl"], "action": "SCMP_ACT_ERRNO" });
    config["linux"]["seccomp"] = json!({ "defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule] });
}

fn attacker(arena: &Arena) -> Result<Contained<'_>> {
    let secret = arena.outside().join("secret").display().to_string();
    arena.container("attacker", &["joined", "take", &format!("{MASK:x}")], |config| {
        confine(config);
        config["process"]["env"] = json!([format!("SECRET={secret}")]);
    })
}

fn exec(arena: &Arena) -> Result<Count> {
    let attacker = attacker(arena)?;
    attacker.start()?;
    let mut count = Count::default();
    while wants_more(arena, &attacker, &count) {
        count.tries += 1;
        let mut command = arena.runtime.command(&["exec", attacker.id, "/probe", "exit", "0"]);
        if !goes_on(&attacker, run_on_terminal(&mut command))? {
            break;
        }
    }
    finish(&attacker, count)
}

fn create(arena: &Arena) -> Result<Count> {
    let attacker = attacker(arena)?;
    attacker.start()?;
    let path = format!("/proc/{}/ns/pid", arena.runtime.state(attacker.id)?["pid"]);
    let bundle = Bundle::new(&["exit", "0"])?.with(|config| {
        confine(config);
        let namespaces = config["linux"]["namespaces"].as_array_mut();
        for namespace in namespaces.into_iter().flatten().filter(|namespace| namespace["type"] == "pid") {
            namespace["path"] = json!(path);
        }
    })?;
    let mut count = Count::default();
    while wants_more(arena, &attacker, &count) {
        count.tries += 1;
        let mut command = arena.runtime.command(&["run", "victim"]);
        if !goes_on(&attacker, run_on_terminal(command.current_dir(bundle.path())))? {
            break;
        }
    }
    finish(&attacker, count)
}

/// Runs a command of a caller that has a terminal.
fn run_on_terminal(command: &mut Command) -> Result {
    let terminal = openpty(None, None).doing("openpty")?;
    sys_testing::command::with_terminal(command, terminal.slave);
    let output = command.output().doing("the runtime")?;
    ensure!(output.status.success(), "{}: {}", output.status, String::from_utf8_lossy(&output.stderr));
    Ok(())
}

/// Accepts a runtime that gives up because it was stopped.
fn goes_on(attacker: &Contained<'_>, result: Result) -> Result<bool> {
    match result {
        Ok(()) => Ok(true),
        Err(_) if attacker.score.successes.load(SeqCst) > 0 => Ok(false),
        Err(error) => Err(error),
    }
}

/// Returns true while tries are left. A slow attacker gets some more.
fn wants_more(arena: &Arena, attacker: &Contained<'_>, count: &Count) -> bool {
    let tries = u64::from(arena.tries);
    count.tries < tries || count.tries < 10 * tries && attacker.score.near.load(SeqCst) == 0
}

/// Adds the findings of the attacker.
fn finish(attacker: &Contained<'_>, mut count: Count) -> Result<Count> {
    let stopped = attacker.stop();
    if attacker.score.successes.load(SeqCst) == 0 {
        stopped?;
    }
    let kinds = [
        "capabilities",
        "descriptors of the host's files",
        "descriptors of its procfs",
        "cgroups",
        "no filter",
        "the caller's terminal",
        "the caller's OOM score",
    ];
    for (kind, found) in kinds.iter().zip(attacker.score.slots) {
        let found = found.load(SeqCst);
        if found != 0 {
            count.evidence.push(format!("{kind}: {found:x}"));
        }
    }
    Ok(attacker.tally(count))
}
