// SPDX-License-Identifier: Apache-2.0
//! Loads with which the probe measures its limits.

use crate::ensure;
use crate::result::{Doing, Result};
use nix::fcntl::{FallocateFlags, OFlag, fallocate};
use nix::sys::resource::{UsageWho, getrusage};
use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Allocates and touches memory. Returns the number of mebibytes.
pub fn allocate(mebibytes: usize) -> usize {
    let mut all = Vec::new();
    for i in 0..mebibytes {
        // Not zero, or the kernel would share one page.
        all.push(vec![i as u8 | 1; 1 << 20]);
    }
    all.iter().filter(|part| part.last() != Some(&0)).count()
}

/// Computes for this long. Returns the CPU time in milliseconds.
pub fn burn(time: Duration) -> Result<u64> {
    let end = Instant::now() + time;
    let mut x = 1u64;
    while Instant::now() < end {
        for _ in 0..1000 {
            x = std::hint::black_box(x.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1));
        }
    }
    let usage = getrusage(UsageWho::RUSAGE_SELF).doing("getrusage")?;
    let milliseconds = |time: nix::sys::time::TimeVal| time.tv_sec() * 1000 + time.tv_usec() / 1000;
    Ok((milliseconds(usage.user_time()) + milliseconds(usage.system_time())) as u64)
}

/// Starts processes, all at the same time. Returns how many could be started.
pub fn spawn(count: usize) -> usize {
    let mut children = Vec::new();
    for _ in 0..count {
        // Each ends when its standard input is closed.
        match Command::new("/proc/self/exe").arg("echo-stdin").stdin(Stdio::piped()).spawn() {
            Ok(child) => children.push(child),
            Err(_) => break,
        }
    }
    let started = children.len();
    for mut child in children {
        drop(child.stdin.take());
        let _status = child.wait();
    }
    started
}

/// Reads from a device past the page cache. Returns the time in milliseconds.
pub fn read_direct(path: &str, bytes: usize) -> Result<u128> {
    const BLOCK: usize = 64 << 10;
    let file = OpenOptions::new().read(true).custom_flags(OFlag::O_DIRECT.bits()).open(path).doing("open")?;
    let memory = vec![0u8; 2 * BLOCK];
    let start = memory.as_ptr().align_offset(4096);
    let mut memory = memory;
    let begin = Instant::now();
    let mut done = 0;
    while done < bytes {
        let block = memory.get_mut(start..start + BLOCK).ok_or("alignment")?;
        let n = nix::unistd::read(&file, block).doing("read")?;
        ensure!(n > 0, "the device ends after {done} bytes");
        done += n;
    }
    Ok(begin.elapsed().as_millis())
}

/// Allocates huge pages of 2 MiB in a hugetlbfs. Returns how many there were.
pub fn huge_pages(directory: &str, count: i64) -> Result<i64> {
    const SIZE: i64 = 2 << 20;
    let file = File::create(format!("{directory}/pages")).doing("create")?;
    for i in 0..count {
        if fallocate(&file, FallocateFlags::empty(), i * SIZE, SIZE).is_err() {
            return Ok(i);
        }
    }
    Ok(count)
}
