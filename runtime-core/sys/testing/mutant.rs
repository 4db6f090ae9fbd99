// SPDX-License-Identifier: Apache-2.0
//! Selects the mutant. `make mutants` copies this module into the `runtime-sys` of the library under
//! judgement. It is in no other program.
//!
//! A file that every process maps shared has the number of the mutant in its first four bytes. One
//! byte for each mutant follows, which is set when the mutant's expression is reached. The mapping
//! is made before `main`: the container's init inherits it, and has neither a heap nor a path to
//! the file.
#![allow(unsafe_code, clippy::all)]

use core::ops::{BitXor, Not};
use core::sync::atomic::{AtomicPtr, Ordering};

/// The size of the file.
const SIZE: usize = 1 << 16;

static MAP: AtomicPtr<u8> = AtomicPtr::new(core::ptr::null_mut());

#[used]
#[unsafe(link_section = ".init_array")]
static MAP_FILE: extern "C" fn() = map_file;

extern "C" fn map_file() {
    let path = concat!(env!("MUTANTS_FILE"), "\0");
    // SAFETY: the path ends in a NUL byte; the mapping is never unmapped.
    unsafe {
        let fd = libc::open(path.as_ptr().cast(), libc::O_RDWR | libc::O_CLOEXEC);
        if fd < 0 {
            return;
        }
        let access = libc::PROT_READ | libc::PROT_WRITE;
        let map = libc::mmap(core::ptr::null_mut(), SIZE, access, libc::MAP_SHARED, fd, 0);
        libc::close(fd);
        if map != libc::MAP_FAILED {
            MAP.store(map.cast(), Ordering::Relaxed);
        }
    }
}

/// Returns true if mutant `n` is the selected one, and records that it was reached.
pub fn on(n: u32) -> bool {
    let map = MAP.load(Ordering::Relaxed);
    if map.is_null() || n as usize + 4 >= SIZE {
        return false;
    }
    // SAFETY: both are inside the page-aligned mapping.
    unsafe {
        map.add(n as usize + 4).write_volatile(1);
        map.cast::<u32>().read_volatile() == n
    }
}

/// Returns `value`, or 0 in mutant `n`.
pub fn zero<T: Copy + BitXor<Output = T>>(n: u32, value: T) -> T {
    if on(n) { value ^ value } else { value }
}

/// Returns `value`, or all ones in mutant `n`.
pub fn ones<T: Copy + BitXor<Output = T> + Not<Output = T>>(n: u32, value: T) -> T {
    if on(n) { !(value ^ value) } else { value }
}

/// Returns true if mutant `n` is selected and `left` equals `right`.
pub fn same<L: PartialEq<R>, R>(n: u32, left: &L, right: &R) -> bool {
    on(n) && left == right
}
