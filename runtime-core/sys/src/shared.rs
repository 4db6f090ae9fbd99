// SPDX-License-Identifier: Apache-2.0
//! Memory that a process shares with its children.

use super::result::{Result, check};
use nix::sys::time::TimeSpec;
use nix::time::{ClockId, clock_gettime};
use std::ptr;
use std::sync::atomic::AtomicU64;

/// The number of words in the shared memory.
pub const WORDS: usize = 16 << 10;

/// Maps zeros that the calling process shares with all children cloned from now on. The memory
/// is never unmapped.
pub fn words() -> Result<&'static [AtomicU64; WORDS]> {
    let address = anonymous(size_of::<[AtomicU64; WORDS]>(), libc::MAP_SHARED)?;
    let address = ptr::with_exposed_provenance::<[AtomicU64; WORDS]>(address);
    // SAFETY: the mapping is page-aligned, has the size of the array, and holds zeros, which are
    // valid atomics. It is never unmapped, so it is valid for 'static. The children write to it
    // only through this type.
    Ok(unsafe { &*address })
}

/// `int clock_gettime(CLOCK_MONOTONIC, struct timespec *tp)`: returns the time in nanoseconds.
/// The vDSO makes no system call (vdso(7)), so no seccomp filter can refuse it.
pub fn now() -> u64 {
    // The call cannot fail for this clock.
    let time = clock_gettime(ClockId::CLOCK_MONOTONIC).unwrap_or(TimeSpec::new(0, 0));
    time.tv_sec() as u64 * 1_000_000_000 + time.tv_nsec() as u64
}

/// `void *mmap(NULL, size_t length, PROT_READ | PROT_WRITE, MAP_ANONYMOUS | flags, -1, 0)`: maps
/// at least `length` zeros, and returns their address. A raw call, because musl's mmap may wait
/// for threads that the child of a clone does not have.
pub(crate) fn anonymous(length: usize, flags: libc::c_int) -> Result<usize> {
    let (protection, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_ANONYMOUS | flags);
    // SAFETY: without MAP_FIXED the kernel chooses an address that is not in use, so no existing
    // memory changes.
    let address = unsafe { libc::syscall(libc::SYS_mmap, 0usize, length, protection, flags, -1, 0usize) };
    check(address).map(|address| address as usize)
}
