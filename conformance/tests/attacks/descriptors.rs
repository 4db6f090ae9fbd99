// SPDX-License-Identifier: Apache-2.0
//! Attacks through descriptors and directories that the runtime, or its caller, has open.

use crate::arena::{Arena, Attack, Contained, attacker};
use conformance::attack::Count;
use conformance::{Doing, Result};
use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;
use serde_json::{Value, json};
use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

pub(crate) const ATTACKS: &[Attack] = &[
    Attack {
        name: "a working directory of the host",
        stands_for: "CVE-2024-21626: process.cwd is /proc/self/fd/N, and a descriptor of the host is left open",
        run: working_directories,
    },
    Attack {
        name: "descriptors that were left open",
        stands_for: "CVE-2016-8649, CVE-2024-21626: the program, a process of exec and a startContainer hook \
                     look for descriptors of the host",
        run: left_open,
    },
    Attack {
        name: "trace exec",
        stands_for: "CVE-2016-9962: a process in a container takes the descriptors of a new process of exec",
        run: |arena| watch(arena, &[]),
    },
    Attack {
        name: "trace exec, with CAP_SYS_PTRACE",
        stands_for: "CVE-2016-9962: a process in a container that may trace others takes the descriptors of a \
                     new process of exec",
        run: |arena| watch(arena, &["CAP_SYS_PTRACE"]),
    },
];

/// Opens descriptors that a careless caller would leak to the runtime.
fn leaks(arena: &Arena) -> Result<[OwnedFd; 3]> {
    let leak = |path: &Path, flags| open(path, flags, Mode::empty()).doing("open");
    Ok([
        leak(Path::new("/"), OFlag::O_DIRECTORY)?,
        leak(&arena.outside().join("secret"), OFlag::O_RDWR)?,
        leak(Path::new("/proc"), OFlag::O_PATH)?,
    ])
}

/// Returns the path of the secret without its slash, and its identity.
pub(crate) fn secret(arena: &Arena) -> Result<(String, String)> {
    let path = arena.outside().join("secret");
    let text = path.to_string_lossy().trim_start_matches('/').to_owned();
    Ok((text, identity_of(&path)?))
}

/// Returns a text that identifies a file.
pub(crate) fn identity_of(path: &Path) -> Result<String> {
    let meta = fs::metadata(path).doing("stat")?;
    Ok(format!("{}:{}", meta.dev(), meta.ino()))
}

fn victim<'a>(arena: &'a Arena, change: impl FnOnce(&mut Value)) -> Result<Contained<'a>> {
    let (path, id) = secret(arena)?;
    arena.container("victim", &["descriptors", "own", &path, &id], change)
}

fn working_directories(arena: &Arena) -> Result<Count> {
    let _leaks = leaks(arena)?;
    let mut count = Count::default();
    let (path, id) = secret(arena)?;
    let host = arena.container("host", &["secrets", "sleep"], |_| ())?;
    host.start()?;
    let mut refused = 0;
    for n in 3..24 {
        let cwd = format!("/proc/self/fd/{n}");
        let victim = victim(arena, |config| config["process"]["cwd"] = json!(cwd))?;
        refused += u64::from(!victim.run()?.status.success());
        let words = attacker(&["descriptors", "own", &path, &id]);
        let args = [&["exec", "--cwd", &cwd, "host"], words.as_slice()].concat();
        refused += u64::from(!arena.runtime.run(&args)?.status.success());
        count.tries += 2;
        count = victim.tally(count);
    }
    host.stop()?;
    // A refusal is what the attack provokes.
    count.near += refused;
    Ok(host.tally(count))
}

fn left_open(arena: &Arena) -> Result<Count> {
    let _leaks = leaks(arena)?;
    let (path, id) = secret(arena)?;
    let victim = victim(arena, |config| {
        let args = attacker(&["descriptors", "own", &path, &id]);
        config["hooks"] = json!({ "startContainer": [{ "path": "/attacker", "args": args }] });
    })?;
    victim.run()?.ok()?;
    let host = arena.container("host", &["secrets", "sleep"], |_| ())?;
    host.start()?;
    arena
        .runtime
        .run(&[&["exec", "host"], attacker(&["descriptors", "own", &path, &id]).as_slice()].concat())?
        .ok()?;
    host.stop()?;
    Ok(host.tally(victim.tally(Count { tries: 3, ..Count::default() })))
}

fn watch(arena: &Arena, capabilities: &[&str]) -> Result<Count> {
    let _leaks = leaks(arena)?;
    let (path, id) = secret(arena)?;
    let attacker = arena.container("attacker", &["descriptors", "watch", &path, &id], |config| {
        for set in ["bounding", "effective", "permitted"] {
            if let Some(list) = config["process"]["capabilities"][set].as_array_mut() {
                list.extend(capabilities.iter().map(|name| json!(name)));
            }
        }
    })?;
    attacker.start()?;
    let mut count = Count::default();
    for _ in 0..arena.tries {
        arena.runtime.run(&["exec", "attacker", "/probe", "exit", "0"])?;
        count.tries += 1;
    }
    attacker.stop()?;
    Ok(attacker.tally(count))
}
