// SPDX-License-Identifier: Apache-2.0
//! Memory that a process and its children write to together.

use super::{Result, check};
use nix::sys::time::TimeSpec;
use nix::time::{ClockId, clock_gettime};
use std::ptr;
use std::sync::atomic::AtomicU64;

/// How many words fit.
pub(crate) const WORDS: usize = 16 << 10;

/// `void *mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0)`:
/// zeros, which every process cloned from now on shares. Never unmapped.
pub(crate) fn words() -> Result<&'static [AtomicU64; WORDS]> {
    let (protection, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED | libc::MAP_ANONYMOUS);
    // SAFETY: a new mapping at an address of the kernel's choice.
    let address = unsafe {
        let length = size_of::<[AtomicU64; WORDS]>();
        libc::syscall(libc::SYS_mmap, 0usize, length, protection, flags, -1, 0usize)
    };
    let address = ptr::with_exposed_provenance::<[AtomicU64; WORDS]>(check(address)? as usize);
    // SAFETY: page-aligned, of that size, zeros, which are valid atomics; nobody
    // ever unmaps it, and whoever else writes to it does so by this type.
    Ok(unsafe { &*address })
}

/// `int clock_gettime(CLOCK_MONOTONIC, struct timespec *tp)`, in nanoseconds.
/// Without a system call, and so allowed by every filter.
pub(crate) fn now() -> u64 {
    // Cannot fail for this clock.
    let time = clock_gettime(ClockId::CLOCK_MONOTONIC).unwrap_or(TimeSpec::new(0, 0));
    time.tv_sec() as u64 * 1_000_000_000 + time.tv_nsec() as u64
}
