// SPDX-License-Identifier: Apache-2.0
//! Attacks on secrets of the caller, or of one container.

use crate::arena::{Arena, Attack, attacker};
use conformance::attack::Count;
use conformance::{Doing, Result};
use std::fs;
use std::os::unix::fs::symlink;
use std::sync::atomic::Ordering::SeqCst;

pub(crate) const ATTACKS: &[Attack] = &[
    Attack {
        name: "read the arguments of exec",
        stands_for: "A process in a container reads `exec --env TOKEN=...` in /proc/PID/cmdline of a new process \
                     of exec",
        run: arguments,
    },
    Attack {
        name: "a keyring of the container's name",
        stands_for: "A user of the host makes a keyring `_ses.ID`, which a container of root then joins",
        run: keyring,
    },
    Attack {
        name: "a passwd file that is not a regular file",
        stands_for: "The image's /etc/passwd leads to a file of procfs, which the runtime reads with its rights",
        run: home,
    },
];

fn arguments(arena: &Arena) -> Result<Count> {
    const TOKEN: &str = "a-token-of-the-callers";
    // Without its beginning: the attacker's own arguments are no success.
    let attacker = arena.container("attacker", &["secrets", "arguments", &TOKEN[2..]], |_| ())?;
    attacker.start()?;
    let mut count = Count::default();
    for _ in 0..arena.tries {
        arena.runtime.run(&[
            "exec",
            "--env",
            &format!("TOKEN={TOKEN}"),
            "attacker",
            "/probe",
            "exit",
            "0",
        ])?;
        count.tries += 1;
    }
    attacker.stop()?;
    Ok(attacker.tally(count))
}

fn keyring(arena: &Arena) -> Result<Count> {
    let victim = arena.container("victim", &["secrets", "keyring"], |_| ())?;
    // All containers of all users of this host share the names of keyrings.
    let trap = arena.user("keyring", &["secrets", "keyring-trap", "_ses.victim"])?;
    let mut count = Count::default();
    victim.run()?.ok()?;
    let joined = victim.score.slots[0].load(SeqCst) == trap.score.slots[0].load(SeqCst);
    count.count(joined.then(|| "the victim has the attacker's keyring".to_owned()));
    Ok(count)
}

fn home(arena: &Arena) -> Result<Count> {
    const LINE: &str = "\nroot:x:0:0::/stolen:/\n";
    let victim = arena.container("victim", &["secrets", "sleep", LINE], |_| ())?;
    let passwd = victim.bundle.rootfs("etc/passwd");
    fs::remove_file(&passwd).doing("unlink")?;
    symlink("/proc/1/cmdline", &passwd).doing("symlink")?;
    victim.start()?;
    let args = [&["exec", "victim"], attacker(&["secrets", "home", "/stolen"]).as_slice()].concat();
    arena.runtime.run(&args)?.ok()?;
    victim.stop()?;
    Ok(victim.tally(Count { tries: 1, ..Count::default() }))
}
