// SPDX-License-Identifier: Apache-2.0
//! Attacks by excess privileges of a process.

use crate::arena::{Arena, Attack, attacker};
use conformance::attack::Count;
use conformance::change::with_user_namespace;
use conformance::{Doing, Result};
use nix::pty::openpty;
use serde_json::Value;
use std::process::Command;
use sys_testing::terminal::waiting;

pub(crate) const ATTACKS: &[Attack] = &[
    Attack {
        name: "the caller's groups",
        stands_for: "CVE-2014-8989 and similar ones: the container's processes keep the groups of the runtime's \
                     caller",
        run: groups,
    },
    Attack {
        name: "inheritable capabilities",
        stands_for: "CVE-2022-24769, CVE-2022-27650, CVE-2022-29162, CVE-2025-27612: a process has inheritable \
                     or ambient capabilities that config.json does not give it",
        run: inherited,
    },
    Attack {
        name: "type into the caller's terminal",
        stands_for: "CVE-2016-10124, CVE-2016-2779 and similar ones: TIOCSTI puts a command into the terminal of \
                     the runtime's caller",
        run: type_ahead,
    },
];

/// Runs a container, and a process in another one, each with and without a user namespace, by
/// commands that `prepare` changes.
fn everywhere(
    arena: &Arena,
    words: &[&str],
    flags: &[&str],
    prepare: impl Fn(&mut Command),
) -> Result<Count> {
    let mut count = Count::default();
    let none: fn(&mut Value) = |_| ();
    for change in [none, with_user_namespace] {
        let victim = arena.container("victim", words, change)?;
        let mut run = arena.runtime.command(&["run", "victim"]);
        prepare(run.current_dir(victim.bundle.path()));
        victim.open_score()?;
        run.status().doing("run")?;
        let host = arena.container("host", &["secrets", "sleep"], change)?;
        host.open_score()?;
        host.start()?;
        let mut exec = arena.runtime.command(&[&["exec"], flags, &["host"], &attacker(words)].concat());
        prepare(&mut exec);
        exec.status().doing("exec")?;
        host.stop()?;
        count.tries += 2;
        count = host.tally(victim.tally(count));
    }
    Ok(count)
}

fn groups(arena: &Arena) -> Result<Count> {
    everywhere(arena, &["privileges", "groups"], &[], with_groups)
}

/// Gives supplementary groups to the caller of the runtime.
pub(crate) fn with_groups(command: &mut Command) {
    sys_testing::command::with_groups(command, [4, 27, 999]);
}

fn inherited(arena: &Arena) -> Result<Count> {
    everywhere(arena, &["privileges", "inherited"], &["--cap", "CAP_NET_RAW"], |_| ())
}

fn type_ahead(arena: &Arena) -> Result<Count> {
    let terminal = openpty(None, None).doing("openpty")?;
    let stdio = || terminal.slave.try_clone().unwrap_or_else(|error| unreachable!("dup: {error}"));
    let mut count = everywhere(arena, &["privileges", "type"], &[], |command| {
        command.stdin(stdio()).stdout(stdio()).stderr(stdio());
        sys_testing::command::with_terminal(command, stdio());
    })?;
    if waiting(&terminal.slave).doing("ioctl")? > 0 {
        count.success("a command was typed into the caller's terminal".to_owned());
    }
    Ok(count)
}
