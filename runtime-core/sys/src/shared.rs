// SPDX-License-Identifier: Apache-2.0
//! Memory that a process and its children write to together.

use super::{Result, check};
use nix::sys::time::TimeSpec;
use nix::time::{ClockId, clock_gettime};
use std::ptr;
use std::sync::atomic::AtomicU64;

/// How many words fit.
pub const WORDS: usize = 16 << 10;

/// Zeros that every process cloned from now on shares. Never unmapped.
pub fn words() -> Result<&'static [AtomicU64; WORDS]> {
    let address = anonymous(size_of::<[AtomicU64; WORDS]>(), libc::MAP_SHARED)?;
    let address = ptr::with_exposed_provenance::<[AtomicU64; WORDS]>(address);
    // SAFETY: page-aligned, of that size, zeros, which are valid atomics; nobody
    // ever unmaps it, and whoever else writes to it does so by this type.
    Ok(unsafe { &*address })
}

/// `int clock_gettime(CLOCK_MONOTONIC, struct timespec *tp)`, in nanoseconds.
/// Without a system call, and so allowed by every filter.
pub fn now() -> u64 {
    // Cannot fail for this clock.
    let time = clock_gettime(ClockId::CLOCK_MONOTONIC).unwrap_or(TimeSpec::new(0, 0));
    time.tv_sec() as u64 * 1_000_000_000 + time.tv_nsec() as u64
}

/// `void *mmap(NULL, size_t length, PROT_READ | PROT_WRITE, MAP_ANONYMOUS | flags, -1, 0)`: the
/// address of so many zeros, or more. By a raw call: musl's waits for threads that have a lock.
pub(crate) fn anonymous(length: usize, flags: libc::c_int) -> Result<usize> {
    let (protection, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_ANONYMOUS | flags);
    // SAFETY: a new mapping at an address of the kernel's choice.
    let address = unsafe { libc::syscall(libc::SYS_mmap, 0usize, length, protection, flags, -1, 0usize) };
    check(address).map(|address| address as usize)
}
