// SPDX-License-Identifier: Apache-2.0
//! seccomp(2): system call filters.

use super::result::{Result, check, new_fd};
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
/// loads a filter, which then checks every system call of the calling thread and
/// cannot be removed. Child only. [`load_listening`] is for
/// SECCOMP_FILTER_FLAG_NEW_LISTENER.
///
/// EACCES: the caller has neither CAP_SYS_ADMIN nor no_new_privs. EINVAL: the kernel
/// does not know a flag or an instruction. ENOMEM: the filters of the thread would be
/// too long together.
pub fn load(program: &[Instruction], flags: u32) -> Result<()> {
    set(program, flags).map(drop)
}

/// Loads a filter as [`load`] does, with SECCOMP_FILTER_FLAG_NEW_LISTENER among the flags.
/// Returns the filter's listener, which is the lowest free descriptor, close-on-exec. The
/// filter checks the close(2) of the listener too. EBUSY: another filter of the
/// thread has a listener already.
pub fn load_listening(program: &[Instruction], flags: u32) -> Result<OwnedFd> {
    new_fd(set(program, flags)?)
}

fn set(program: &[Instruction], flags: u32) -> Result<libc::c_long> {
    // The kernel's limit, BPF_MAXINSNS, is lower than that of a u16.
    let Ok(len) = u16::try_from(program.len()) else { return Err(Errno::EINVAL) };
    set_mode_filter(Some(&Fprog { len, filter: program.as_ptr() }), flags)
}

/// Checks that the kernel knows the flags. The kernel checks the flags before it reads the
/// program, so EFAULT for a null program means that it knows them. EINVAL: it does not.
pub fn check_flags(flags: u32) -> Result<()> {
    match set_mode_filter(None, flags) {
        Err(Errno::EFAULT) => Ok(()),
        Err(errno) => Err(errno),
        Ok(_) => Err(Errno::EINVAL),
    }
}

fn set_mode_filter(program: Option<&Fprog>, flags: u32) -> Result<libc::c_long> {
    let program = program.map_or(std::ptr::null(), std::ptr::from_ref);
    // SAFETY: `program` is a whole sock_fprog, whose pointer and length are those of one slice,
    // borrowed during the call; an `Instruction` has the layout of struct sock_filter. Or it is
    // null, which the kernel refuses with EFAULT.
    check(unsafe { libc::syscall(libc::SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, program) })
}
