// SPDX-License-Identifier: Apache-2.0
//! Attacks on the runtime's memory in a process that joins the pid namespace of a container that
//! may trace others.

use crate::arena::{Arena, Attack};
use conformance::attack::Count;
use conformance::{Doing, Result};
use serde_json::json;
use std::process::Stdio;
use std::sync::atomic::Ordering::SeqCst;

pub(crate) const ATTACKS: &[Attack] = &[Attack {
    name: "find the environment of the runtime",
    stands_for: "CVE-2016-9962 and similar ones: a container with CAP_SYS_PTRACE reads the memory of a \
                     process of exec, which is a copy of the runtime's memory, with the runtime's environment",
    run: environment,
}];

fn environment(arena: &Arena) -> Result<Count> {
    const SECRET: &str = "a token of the host";
    let backwards: String = SECRET.chars().rev().collect();
    let attacker = arena.container("attacker", &["memory", "look-for", &backwards], |config| {
        for set in ["bounding", "effective", "permitted"] {
            config["process"]["capabilities"][set] = json!(["CAP_KILL", "CAP_SYS_PTRACE"]);
        }
    })?;
    attacker.start()?;
    let mut count = Count::default();
    let tries = u64::from(arena.tries.min(30));
    while count.tries < tries || count.tries < 10 * tries && attacker.score.near.load(SeqCst) == 0 {
        count.tries += 1;
        let mut exec = arena.runtime.command(&["exec", attacker.id, "/probe", "exit", "0"]);
        exec.env("TOKEN", SECRET).stdout(Stdio::null()).stderr(Stdio::null());
        arena.briefly(&mut exec).doing("exec")?;
    }
    attacker.stop()?;
    let mut count = attacker.tally(count);
    if count.successes > 0 {
        count.evidence.push("the environment of the runtime".to_owned());
    }
    Ok(count)
}
