// SPDX-License-Identifier: Apache-2.0
//! Attacks on processes that join the pid namespace of a container that may trace others.

use crate::arena::{Arena, Attack, Contained};
use conformance::attack::Count;
use conformance::{Bundle, Output, Result};
use serde_json::{Value, json};
use std::sync::atomic::Ordering::SeqCst;

pub(crate) const ATTACKS: &[Attack] = &[
    Attack {
        name: "take over a process of exec",
        stands_for: "CVE-2016-9962: a container with CAP_SYS_PTRACE takes over a process of exec that still has \
                     the host's capabilities and directories",
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

fn with_capabilities(config: &mut Value) {
    for set in ["bounding", "effective", "permitted"] {
        config["process"]["capabilities"][set] = json!(CAPABILITIES);
    }
}

fn attacker(arena: &Arena) -> Result<Contained<'_>> {
    let secret = arena.outside().join("secret").display().to_string();
    arena.container("attacker", &["joined", "take", &format!("{MASK:x}")], |config| {
        with_capabilities(config);
        config["process"]["env"] = json!([format!("SECRET={secret}")]);
    })
}

fn exec(arena: &Arena) -> Result<Count> {
    let attacker = attacker(arena)?;
    attacker.start()?;
    let mut count = Count::default();
    while wants_more(arena, &attacker, &count) {
        count.tries += 1;
        let executed = arena.runtime.run(&["exec", attacker.id, "/probe", "exit", "0"]).and_then(Output::ok);
        if !goes_on(&attacker, executed)? {
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
        with_capabilities(config);
        let namespaces = config["linux"]["namespaces"].as_array_mut();
        for namespace in namespaces.into_iter().flatten().filter(|namespace| namespace["type"] == "pid") {
            namespace["path"] = json!(path);
        }
    })?;
    let mut count = Count::default();
    while wants_more(arena, &attacker, &count) {
        count.tries += 1;
        let run = arena.runtime.run_in(&bundle, &["run", "victim"]).and_then(Output::ok);
        if !goes_on(&attacker, run)? {
            break;
        }
    }
    finish(&attacker, count)
}

/// Accepts a runtime that gives up because it was stopped.
fn goes_on(attacker: &Contained<'_>, result: Result<Output>) -> Result<bool> {
    match result {
        Ok(_) => Ok(true),
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
    let kinds = ["capabilities", "descriptors of the host's files", "descriptors of its procfs", "cgroups"];
    for (kind, found) in kinds.iter().zip(attacker.score.slots) {
        let found = found.load(SeqCst);
        if found != 0 {
            count.evidence.push(format!("{kind}: {found:x}"));
        }
    }
    Ok(attacker.tally(count))
}
