// SPDX-License-Identifier: Apache-2.0
//! seccomp(2): system call filters.

use super::{Result, check, new_fd};
use nix::errno::Errno;
use seccomp::Instruction;
use std::os::fd::OwnedFd;

const SECCOMP_SET_MODE_FILTER: u32 = 1;

/// `struct sock_fprog`.
#[repr(C)]
struct Fprog {
    len: u16,
    filter: *const Instruction,
}

/// `int seccomp(SECCOMP_SET_MODE_FILTER, flags, const struct sock_fprog *args)`:
/// from now on the filter judges every call of the calling thread, for good.
/// Child only. Without SECCOMP_FILTER_FLAG_NEW_LISTENER: see [`load_listening`].
///
/// EACCES: neither CAP_SYS_ADMIN nor no_new_privs. EINVAL: a flag or instruction
/// that the kernel does not know. ENOMEM: too long together with those that are
/// in force already. EBUSY: one of those has a listener.
pub fn load(program: &[Instruction], flags: u32) -> Result<()> {
    set(program, flags).map(drop)
}

/// As [`load`], with SECCOMP_FILTER_FLAG_NEW_LISTENER among the flags: the filter's listener,
/// which is the lowest free descriptor, close-on-exec. To close it is a call that the filter
/// judges.
pub fn load_listening(program: &[Instruction], flags: u32) -> Result<OwnedFd> {
    new_fd(set(program, flags)?)
}

fn set(program: &[Instruction], flags: u32) -> Result<libc::c_long> {
    // The kernel's own limit, BPF_MAXINSNS, is lower.
    let Ok(len) = u16::try_from(program.len()) else { return Err(Errno::EINVAL) };
    set_mode_filter(Some(&Fprog { len, filter: program.as_ptr() }), flags)
}

/// Whether the kernel knows the flags. It looks at them first, so that without a
/// program EFAULT says yes. EINVAL: it does not.
pub fn check_flags(flags: u32) -> Result<()> {
    match set_mode_filter(None, flags) {
        Err(Errno::EFAULT) => Ok(()),
        Err(errno) => Err(errno),
        Ok(_) => Err(Errno::EINVAL),
    }
}

fn set_mode_filter(program: Option<&Fprog>, flags: u32) -> Result<libc::c_long> {
    let program = program.map_or(std::ptr::null(), std::ptr::from_ref);
    // SAFETY: a whole sock_fprog of instructions that outlive the call, laid out as struct
    // sock_filter; or null, from which the kernel refuses to read.
    check(unsafe { libc::syscall(libc::SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, program) })
}
