// SPDX-License-Identifier: Apache-2.0
//! Attacks on the runtime's program file.

use crate::Attack;
use crate::arena::Arena;
use conformance::attack::Count;
use conformance::{Doing, Result, payload};
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
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
    let attacker = arena.container("attacker", &["program", "overwrite", "10", "3"], |_| ())?;
    let rootfs = |name: &str| attacker.bundle.rootfs(name);
    symlink("/proc/self/exe", rootfs("x")).doing("symlink")?;
    // The interpreter of a program that is not static is the image's.
    fs::create_dir(rootfs("lib64")).doing("mkdir")?;
    let interpreter = rootfs("lib64/ld-linux-x86-64.so.2");
    fs::write(&interpreter, payload::waits()).doing("write")?;
    fs::set_permissions(&interpreter, PermissionsExt::from_mode(0o755)).doing("chmod")?;
    attacker.start()?;
    let mut count = Count::default();
    while count.tries < u64::from(arena.tries) && attacker.score.successes.load(SeqCst) == 0 {
        count.tries += 1;
        // It fails if the program is overwritten meanwhile.
        attacker.exec_briefly(&["/x", "--version"])?;
        let end = Instant::now() + Duration::from_secs(6);
        while attacker.score.slots[CLEARED].load(SeqCst) == 1 && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    arena.repair()?;
    attacker.stop()?;
    Ok(attacker.tally(count))
}
