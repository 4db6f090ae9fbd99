// SPDX-License-Identifier: Apache-2.0
//! System calls by their numbers.

use nix::Result;
use nix::errno::Errno;
use std::os::fd::{AsFd, AsRawFd};

/// `long syscall(long number, ...)`: returns the error as a number, because a filter may return one
/// that no `Errno` has.
///
/// The caller promises: the call fails, or it neither changes memory of this process nor closes a
/// descriptor that has an owner.
pub fn call(number: i64, arguments: [i64; 6]) -> std::result::Result<i64, i32> {
    let [a, b, c, d, e, f] = arguments;
    // SAFETY: the caller's promise.
    let result = unsafe { libc::syscall(number, a, b, c, d, e, f) };
    if result == -1 { Err(Errno::last_raw()) } else { Ok(result) }
}

/// Makes a system call by the entry of 32-bit programs, `int 0x80`. Returns its result, or the
/// negative error number.
///
/// The caller promises: as for [`call`].
#[cfg(target_arch = "x86_64")]
pub fn call_i386(number: u32, first: u32) -> i32 {
    let result: i32;
    // SAFETY: the caller's promise, and the registers that the entry changes are named. rbx cannot
    // be an operand, so it is exchanged.
    unsafe {
        std::arch::asm!("xchg rbx, {first:r}", "int 0x80", "xchg rbx, {first:r}",
            first = inout(reg) u64::from(first) => _, inlateout("eax") number as i32 => result,
            in("ecx") 0, in("edx") 0, in("esi") 0, in("edi") 0,
            lateout("r8") _, lateout("r9") _, lateout("r10") _, lateout("r11") _, options(nostack));
    }
    result
}

/// The bytes behind the attribute of [`query_device_filters`] before the call.
pub const CANARY: u8 = 0xa5;

/// `int bpf(BPF_PROG_QUERY, union bpf_attr *attr, 256)`: asks for the number of a cgroup's device
/// filters. Returns the bytes behind the attribute, too, which the kernel must not change.
pub fn query_device_filters(cgroup: impl AsFd) -> (Result<()>, [u8; 64]) {
    const BPF_PROG_QUERY: i32 = 16;
    const BPF_CGROUP_DEVICE: u32 = 6;
    #[repr(C, align(8))]
    struct Attr {
        cgroup: i32,
        kind: u32,
        rest: [u8; 248],
        canary: [u8; 64],
    }
    let cgroup = cgroup.as_fd().as_raw_fd();
    let mut attr = Attr { cgroup, kind: BPF_CGROUP_DEVICE, rest: [0; 248], canary: [CANARY; 64] };
    // SAFETY: the first 256 bytes are more than any kernel's attribute. All bytes of the struct are
    // plain integers.
    let result = unsafe { libc::syscall(libc::SYS_bpf, BPF_PROG_QUERY, &raw mut attr, 256) };
    (Errno::result(result).map(drop), attr.canary)
}
