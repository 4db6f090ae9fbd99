// SPDX-License-Identifier: Apache-2.0
//! libseccomp, by the few functions that the tests and the benchmark of the filter compiler call.
//! **Never part of the product.**
//!
//! Not the `libseccomp` crate, which links the shared library: the workspace links its tests
//! statically (see .cargo/config.toml). The verbatim name finds the archive in the linker's search
//! path; Debian's libseccomp-dev has it. Only a program that depends on this crate needs the archive.
#![allow(unsafe_code)]

use std::ffi::{CStr, c_char, c_int, c_void};
use std::os::fd::{AsFd, AsRawFd};

#[link(name = "libseccomp.a", modifiers = "+verbatim")]
unsafe extern "C" {
    fn seccomp_version() -> *const Version;
    fn seccomp_init(def_action: u32) -> *mut c_void;
    fn seccomp_release(ctx: *mut c_void);
    fn seccomp_arch_add(ctx: *mut c_void, arch: u32) -> c_int;
    fn seccomp_arch_remove(ctx: *mut c_void, arch: u32) -> c_int;
    fn seccomp_attr_set(ctx: *mut c_void, attr: c_int, value: u32) -> c_int;
    fn seccomp_syscall_resolve_name(name: *const c_char) -> c_int;
    fn seccomp_syscall_resolve_name_arch(arch: u32, name: *const c_char) -> c_int;
    fn seccomp_rule_add_array(
        ctx: *mut c_void,
        action: u32,
        syscall: c_int,
        arg_cnt: u32,
        args: *const ArgCmp,
    ) -> c_int;
    fn seccomp_export_bpf(ctx: *mut c_void, fd: c_int) -> c_int;
}

unsafe extern "C" {
    /// No longer in POSIX, but in the C library.
    fn ualarm(micros: u32, interval: u32) -> u32;
}

#[repr(C)]
struct Version {
    major: u32,
    minor: u32,
    micro: u32,
}

/// `struct scmp_arg_cmp`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs)] // The names are the library's.
pub struct ArgCmp {
    pub arg: u32,
    pub op: u32,
    pub datum_a: u64,
    pub datum_b: u64,
}

/// `SCMP_FLTATR_CTL_OPTIMIZE`.
const OPTIMIZE: c_int = 8;

/// `__NR_SCMP_ERROR`: no architecture has the call.
const NO_CALL: c_int = -1;

/// libseccomp's refusal: a negative error number.
pub type Refused = c_int;

/// Returns the library's version.
pub fn version() -> (u32, u32, u32) {
    // SAFETY: the function takes nothing.
    let version = unsafe { seccomp_version() };
    // SAFETY: the pointer is to a constant of the library, which is never written.
    let Version { major, minor, micro } = unsafe { version.read() };
    (major, minor, micro)
}

/// Returns the number of a call on the ABI `SCMP_ARCH_*`, negative for calls that only other ABIs
/// have.
pub fn resolve_on(arch: u32, name: &CStr) -> Option<i32> {
    // SAFETY: the name is a C string, borrowed during the call.
    let number = unsafe { seccomp_syscall_resolve_name_arch(arch, name.as_ptr()) };
    (number != NO_CALL).then_some(number)
}

/// Returns the number of a call on this machine, negative for calls that only other ABIs have.
pub fn resolve(name: &CStr) -> Option<i32> {
    // SAFETY: the name is a C string, borrowed during the call.
    let number = unsafe { seccomp_syscall_resolve_name(name.as_ptr()) };
    (number != NO_CALL).then_some(number)
}

/// Ends the process by SIGALRM after a number of microseconds.
pub fn end_after(micros: u32) {
    // SAFETY: the function takes integers.
    unsafe { ualarm(micros, 0) };
}

/// A filter of libseccomp.
#[derive(Debug)]
pub struct Filter(*mut c_void);

impl Filter {
    /// Makes a filter for the ABI of this machine, with this default action (`SCMP_ACT_*`).
    pub fn new(default: u32) -> Option<Self> {
        // SAFETY: the function takes an integer.
        let filter = unsafe { seccomp_init(default) };
        (!filter.is_null()).then_some(Filter(filter))
    }

    /// Adds an ABI (`SCMP_ARCH_*`).
    pub fn add_arch(&mut self, arch: u32) -> Result<(), Refused> {
        // SAFETY: the filter is alive until it is dropped.
        ok(unsafe { seccomp_arch_add(self.0, arch) })
    }

    /// Removes an ABI.
    pub fn remove_arch(&mut self, arch: u32) -> Result<(), Refused> {
        // SAFETY: the filter is alive until it is dropped.
        ok(unsafe { seccomp_arch_remove(self.0, arch) })
    }

    /// Asks for a binary tree instead of a chain of comparisons.
    pub fn optimize(&mut self) -> Result<(), Refused> {
        // SAFETY: the filter is alive until it is dropped.
        ok(unsafe { seccomp_attr_set(self.0, OPTIMIZE, 2) })
    }

    /// Adds a rule for a call.
    pub fn add(&mut self, action: u32, call: i32, arguments: &[ArgCmp]) -> Result<(), Refused> {
        let count = arguments.len() as u32;
        // SAFETY: the filter is alive until it is dropped. The pointer and the length are those of
        // one slice, which the library only reads.
        ok(unsafe { seccomp_rule_add_array(self.0, action, call, count, arguments.as_ptr()) })
    }

    /// Writes the program, as instructions of the kernel.
    pub fn export(&self, file: impl AsFd) -> Result<(), Refused> {
        // SAFETY: the filter is alive until it is dropped. The descriptor is borrowed during the
        // call, and stays the caller's.
        ok(unsafe { seccomp_export_bpf(self.0, file.as_fd().as_raw_fd()) })
    }
}

impl Drop for Filter {
    fn drop(&mut self) {
        // SAFETY: the filter is alive, and nothing uses it afterwards.
        unsafe { seccomp_release(self.0) }
    }
}

fn ok(answer: c_int) -> Result<(), Refused> {
    if answer < 0 { Err(answer) } else { Ok(()) }
}
