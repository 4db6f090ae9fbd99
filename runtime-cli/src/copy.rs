// SPDX-License-Identifier: Apache-2.0
//! Copying some bytes, in the place of musl's memcpy(3) and memmove(3).
//!
//! musl's are one `rep movsq` whatever the length, which takes the processor tens of
//! cycles to begin, and most of what this program copies is a word of a configuration:
//! 1,300 copies in a `run` (docs/decisions/musl.md).
//!
//! A compiler that took the loops for memcpy would let it call itself without end; the
//! program would not get as far as `main` then, and no test of it would pass.
#![allow(unsafe_code, clippy::multiple_unsafe_ops_per_block)] // Definitions of functions of C's.

use std::arch::x86_64::{__m128i, _mm_loadu_si128, _mm_storeu_si128};
use std::ffi::c_void;

/// From here on the processor's own loop is the faster one.
const LONG: usize = 512;

const PIECE: usize = size_of::<__m128i>();

/// `void *memcpy(void *to, const void *from, size_t length)`
///
/// # Safety
///
/// `length` bytes at `from` may be read, as many at `to` written, and they do not overlap.
#[cfg_attr(not(test), unsafe(no_mangle))]
unsafe extern "C" fn memcpy(to: *mut c_void, from: *const c_void, length: usize) -> *mut c_void {
    if length < LONG {
        // SAFETY: the caller's.
        unsafe { forwards(to.cast(), from.cast(), length) };
    } else {
        // SAFETY: the caller's; the direction flag is clear (the calling convention).
        unsafe {
            std::arch::asm!(
                "rep movsb",
                inout("rcx") length => _, inout("rdi") to => _, inout("rsi") from => _,
                options(nostack, preserves_flags)
            );
        }
    }
    to
}

/// `void *memmove(void *to, const void *from, size_t length)`
///
/// # Safety
///
/// As of [`memcpy`], but they may overlap.
#[cfg_attr(not(test), unsafe(no_mangle))]
unsafe extern "C" fn memmove(to: *mut c_void, from: *const c_void, length: usize) -> *mut c_void {
    // `to` is before `from`, or behind the last byte.
    if to.addr().wrapping_sub(from.addr()) >= length {
        // SAFETY: the caller's.
        unsafe { forwards(to.cast(), from.cast(), length) };
    } else {
        // SAFETY: the caller's.
        unsafe { backwards(to.cast(), from.cast(), length) };
    }
    to
}

/// Copies from the first byte to the last. Each piece is read before any byte of
/// it can have been written, if `to` is before `from`.
///
/// # Safety
///
/// As of [`memcpy`], but `to` may be before `from` and overlap it.
unsafe fn forwards(to: *mut u8, from: *const u8, length: usize) {
    // SAFETY: every piece lies between the first byte and the last one, of both sides.
    unsafe {
        if length < PIECE {
            return short(to, from, length);
        }
        let last = load(from, length - PIECE);
        let mut at = 0;
        while at + PIECE < length {
            store(to, at, load(from, at));
            at += PIECE;
        }
        store(to, length - PIECE, last);
    }
}

/// Copies from the last byte to the first, for a `to` behind `from`.
///
/// # Safety
///
/// As of [`memcpy`], but `to` may be behind `from` and overlap it.
unsafe fn backwards(to: *mut u8, from: *const u8, length: usize) {
    // SAFETY: every piece lies between the first byte and the last one, of both sides.
    unsafe {
        if length < PIECE {
            return short(to, from, length);
        }
        let first = load(from, 0);
        let mut at = length;
        while at > PIECE {
            at -= PIECE;
            store(to, at, load(from, at));
        }
        store(to, 0, first);
    }
}

/// Copies less than a piece: everything is read before anything is written.
///
/// # Safety
///
/// As of [`memcpy`], but they may overlap.
unsafe fn short(to: *mut u8, from: *const u8, length: usize) {
    // SAFETY: the first and the last bytes, which may be the same.
    unsafe {
        match length {
            8.. => ends::<u64>(to, from, length),
            4.. => ends::<u32>(to, from, length),
            2.. => ends::<u16>(to, from, length),
            1 => to.write(from.read()),
            0 => {}
        }
    }
}

/// Copies the first and the last `T` of `length` bytes, which are not more than two.
///
/// # Safety
///
/// As of [`short`], with at least one `T`.
unsafe fn ends<T>(to: *mut u8, from: *const u8, length: usize) {
    let at = length - size_of::<T>();
    // SAFETY: the caller's.
    unsafe {
        let (first, last) = (from.cast::<T>().read_unaligned(), from.add(at).cast::<T>().read_unaligned());
        to.cast::<T>().write_unaligned(first);
        to.add(at).cast::<T>().write_unaligned(last);
    }
}

/// # Safety
///
/// A piece at `at` may be read.
#[inline]
unsafe fn load(from: *const u8, at: usize) -> __m128i {
    // SAFETY: the caller's; of any alignment.
    unsafe { _mm_loadu_si128(from.add(at).cast()) }
}

/// # Safety
///
/// A piece at `at` may be written.
#[inline]
unsafe fn store(to: *mut u8, at: usize, piece: __m128i) {
    // SAFETY: the caller's; of any alignment.
    unsafe { _mm_storeu_si128(to.add(at).cast(), piece) };
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers() -> Vec<u8> {
        (0..1300).map(|n| (n % 251) as u8 + 1).collect()
    }

    #[test]
    fn copies_these_bytes_and_no_others() {
        let from = numbers();
        for length in 0..600 {
            for shift in 0..17 {
                let mut to = vec![0; 700];
                let target = to[shift..].as_mut_ptr().cast();
                // SAFETY: both have 700 bytes and more, of which less are copied.
                let result = unsafe { memcpy(target, from[17 - shift..].as_ptr().cast(), length) };
                assert_eq!(result, target);
                assert_eq!(to[shift..shift + length], from[17 - shift..17 - shift + length]);
                assert!(to[..shift].iter().chain(&to[shift + length..]).all(|byte| *byte == 0));
            }
        }
    }

    #[test]
    fn moves_bytes_that_overlap() {
        for length in 0..300 {
            for (to, from) in (0..40).flat_map(|n| [(600 + n, 600), (600, 600 + n), (600 - n, 600 + n)]) {
                let mut ours = numbers();
                let base = ours.as_mut_ptr();
                // SAFETY: all of it is in the vector.
                let result = unsafe { memmove(base.add(to).cast(), base.add(from).cast(), length) };
                assert_eq!(result.cast(), base.wrapping_add(to));
                let mut expected = numbers();
                expected.copy_within(from..from + length, to);
                assert_eq!(ours, expected, "{length} bytes from {from} to {to}");
            }
        }
    }
}
