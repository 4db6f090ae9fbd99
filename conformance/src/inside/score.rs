// SPDX-License-Identifier: Apache-2.0
//! Counters that an attack and its judge share: a mapped file, which outlives every process that
//! counts.

use crate::ensure;
use crate::result::{Doing, Result};
use std::fs::File;
use std::path::Path;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

/// Counters in a mapped file.
#[derive(Debug)]
pub struct Score {
    /// 0 until the attack can begin, then 1, or a negative errno if it never can.
    pub ready: &'static AtomicI64,
    /// The number of times that the attacker was in the position to succeed.
    pub near: &'static AtomicI64,
    /// The number of successes.
    pub successes: &'static AtomicI64,
    /// Numbers that the processes of one attacker exchange.
    pub slots: &'static [AtomicI64; 16],
}

impl Score {
    /// Makes the file, or opens an existing one.
    pub fn open(path: &Path) -> Result<Self> {
        let name = path.display().to_string();
        let file =
            File::options().read(true).write(true).create(true).truncate(false).open(path).doing(&name)?;
        let [ready, near, successes, slots @ ..] = sys_testing::memory::in_file::<19>(&file).doing(&name)?;
        Ok(Score { ready, near, successes, slots })
    }

    /// Waits until the attacker is ready.
    pub fn await_ready(&self) -> Result {
        let end = Instant::now() + Duration::from_secs(20);
        loop {
            match self.ready.load(Ordering::SeqCst) {
                0 => {}
                1 => return Ok(()),
                error => {
                    let errno = nix::errno::Errno::from_raw((-error) as i32);
                    return Err(format!("the attacker cannot begin: {errno}"));
                }
            }
            ensure!(Instant::now() < end, "the attacker does not begin");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Reports that the attack can begin.
    pub fn set_ready(&self) {
        self.ready.store(1, Ordering::SeqCst);
    }

    /// Counts a moment in which the attack could have succeeded.
    pub fn count_near(&self) {
        self.near.fetch_add(1, Ordering::SeqCst);
    }

    /// Counts a success.
    pub fn count_success(&self) {
        self.successes.fetch_add(1, Ordering::SeqCst);
    }
}
