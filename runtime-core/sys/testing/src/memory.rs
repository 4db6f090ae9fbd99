// SPDX-License-Identifier: Apache-2.0
//! Memory that processes share.

use nix::Result;
use nix::errno::Errno;
use nix::sys::mman::{MapFlags, ProtFlags, mmap, mmap_anonymous};
use std::fs::File;
use std::num::NonZeroUsize;
use std::ptr::null;
use std::sync::atomic::{AtomicI64, AtomicU32};

const READ_WRITE: ProtFlags = ProtFlags::PROT_READ.union(ProtFlags::PROT_WRITE);

/// Maps integers that begin a file. The file gets the size that they need. Every process that maps
/// the file shares them. They are never unmapped.
pub fn in_file<const N: usize>(file: &File) -> std::io::Result<&'static [AtomicI64; N]> {
    let size = NonZeroUsize::new(size_of::<[AtomicI64; N]>()).ok_or(Errno::EINVAL)?;
    file.set_len(size.get() as u64)?;
    // SAFETY: a new mapping, at an address that the kernel chooses.
    let map = unsafe { mmap(None, size, READ_WRITE, MapFlags::MAP_SHARED, file, 0) }?;
    // SAFETY: the mapping is page-aligned, has the size of the array, and is never unmapped.
    // Atomic integers accept every value.
    Ok(unsafe { map.cast().as_ref() })
}

/// Maps a zero that the calling process shares with all children cloned from now on. It is never
/// unmapped.
pub fn word() -> Result<&'static AtomicU32> {
    let page = NonZeroUsize::new(4096).ok_or(Errno::EINVAL)?;
    // SAFETY: a new mapping, at an address that the kernel chooses.
    let map = unsafe { mmap_anonymous(None, page, READ_WRITE, MapFlags::MAP_SHARED) }?;
    // SAFETY: the mapping is page-aligned, larger than the integer, and never unmapped. Atomic
    // integers accept every value.
    Ok(unsafe { map.cast().as_ref() })
}

/// `long futex(uint32_t *word, FUTEX_WAIT, uint32_t value, NULL)`: waits for [`wake`], unless the
/// word has another value.
pub fn wait(word: &AtomicU32, value: u32) {
    let no_limit = null::<libc::timespec>();
    // SAFETY: the kernel reads the word during the call, in which it is borrowed.
    unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), libc::FUTEX_WAIT, value, no_limit) };
}

/// `long futex(uint32_t *word, FUTEX_WAKE, 1)`: wakes one process that waits for the word.
pub fn wake(word: &AtomicU32) -> Result<()> {
    // SAFETY: the kernel uses the address of the word only to find those who wait.
    Errno::result(unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), libc::FUTEX_WAKE, 1) }).map(drop)
}
