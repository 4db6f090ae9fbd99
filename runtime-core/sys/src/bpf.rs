// SPDX-License-Identifier: Apache-2.0
//! The commands of bpf(2) that a cgroup device filter needs.

use super::result::{Result, check, done, new_fd};
use nix::errno::Errno;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

const BPF_PROG_LOAD: i32 = 5;
const BPF_PROG_ATTACH: i32 = 8;
const BPF_PROG_DETACH: i32 = 9;
const BPF_PROG_GET_FD_BY_ID: i32 = 13;
const BPF_PROG_QUERY: i32 = 16;

const BPF_PROG_TYPE_CGROUP_DEVICE: u32 = 15;
const BPF_CGROUP_DEVICE: u32 = 6;
const BPF_F_ALLOW_MULTI: u32 = 1 << 1;
const BPF_F_REPLACE: u32 = 1 << 2;

/// A `union bpf_attr` that is larger than any kernel's. For BPF_PROG_QUERY, Linux 6.17
/// to 7.1 write past the end of a shorter one (docs/kernel-features.md). The kernel
/// wants the part that it does not know to be zero.
#[repr(C, align(8))]
struct Attr([u8; 256]);

impl Attr {
    fn new() -> Self {
        Attr([0; 256])
    }

    fn u32(mut self, offset: usize, value: u32) -> Self {
        if let Some(field) = self.0.get_mut(offset..offset + 4) {
            field.copy_from_slice(&value.to_ne_bytes());
        }
        self
    }

    fn u64(mut self, offset: usize, value: u64) -> Self {
        if let Some(field) = self.0.get_mut(offset..offset + 8) {
            field.copy_from_slice(&value.to_ne_bytes());
        }
        self
    }

    fn call(&mut self, command: i32) -> libc::c_long {
        // SAFETY: the array is larger than the kernel's union, so even a kernel that ignores
        // the length stays within it. The pointers in it lead to buffers that the callers
        // below hold during the call, and each buffer's length stands beside its pointer.
        unsafe { libc::syscall(libc::SYS_bpf, command, self.0.as_mut_ptr(), self.0.len()) }
    }
}

/// One eBPF instruction, `struct bpf_insn`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // The names are the kernel's.
pub struct Insn {
    pub code: u8,
    /// Destination register in the low half, source register in the high half.
    pub registers: u8,
    pub offset: i16,
    pub immediate: i32,
}

/// Loads a BPF_PROG_TYPE_CGROUP_DEVICE program. Needs CAP_BPF and
/// CAP_NET_ADMIN, or CAP_SYS_ADMIN. EACCES: the verifier refused the program.
/// RLIMIT_MEMLOCK does not matter: kernels since 5.11 charge the program's memory
/// to the cgroup.
pub fn load_device_filter(program: &[Insn]) -> Result<OwnedFd> {
    let license = c"Apache-2.0";
    let mut attr = Attr::new()
        .u32(0, BPF_PROG_TYPE_CGROUP_DEVICE)
        .u32(4, program.len() as u32)
        .u64(8, program.as_ptr().addr() as u64)
        .u64(16, license.as_ptr().addr() as u64);
    let mut tries = 0;
    loop {
        // EAGAIN: the verifier was interrupted by a signal.
        match new_fd(attr.call(BPF_PROG_LOAD)) {
            Err(Errno::EAGAIN) if tries < 5 => tries += 1,
            other => return other,
        }
    }
}

/// Attaches a device filter to a cgroup that may have others (BPF_F_ALLOW_MULTI).
/// The filter replaces `replaced`, if one is given. E2BIG: the cgroup has 64 filters
/// already.
pub fn attach_device_filter(cgroup: impl AsFd, program: impl AsFd, replaced: Option<&OwnedFd>) -> Result<()> {
    let flags = if replaced.is_some() { BPF_F_ALLOW_MULTI | BPF_F_REPLACE } else { BPF_F_ALLOW_MULTI };
    let mut attr = Attr::new()
        .u32(0, cgroup.as_fd().as_raw_fd() as u32)
        .u32(4, program.as_fd().as_raw_fd() as u32)
        .u32(8, BPF_CGROUP_DEVICE)
        .u32(12, flags);
    if let Some(replaced) = replaced {
        attr = attr.u32(16, replaced.as_raw_fd() as u32);
    }
    done(attr.call(BPF_PROG_ATTACH))
}

/// Detaches one device filter from a cgroup.
pub fn detach_device_filter(cgroup: impl AsFd, program: impl AsFd) -> Result<()> {
    done(
        Attr::new()
            .u32(0, cgroup.as_fd().as_raw_fd() as u32)
            .u32(4, program.as_fd().as_raw_fd() as u32)
            .u32(8, BPF_CGROUP_DEVICE)
            .call(BPF_PROG_DETACH),
    )
}

/// The ids of one cgroup's filters. The kernel allows 64.
type Ids = [u32; 64];

fn query(cgroup: impl AsFd, ids: &mut Ids) -> Attr {
    Attr::new()
        .u32(0, cgroup.as_fd().as_raw_fd() as u32)
        .u32(4, BPF_CGROUP_DEVICE)
        .u64(16, ids.as_mut_ptr().expose_provenance() as u64)
        .u32(24, ids.len() as u32)
}

/// Opens the device filters that are attached to the cgroup itself, not to an ancestor.
/// Parent only (heap).
pub fn device_filters(cgroup: impl AsFd) -> Result<Vec<OwnedFd>> {
    let mut ids: Ids = [0; 64];
    let mut attr = query(cgroup, &mut ids);
    check(attr.call(BPF_PROG_QUERY))?;
    let count = attr.0.get(24..28).and_then(|b| b.try_into().ok()).map_or(0, u32::from_ne_bytes);
    ids.iter()
        .take(count as usize)
        .map(|id| new_fd(Attr::new().u32(0, *id).call(BPF_PROG_GET_FD_BY_ID)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fd;

    /// Checks against a fault of Linux 6.17 to 7.1: they write 8 bytes at offset 56,
    /// even if the attribute is shorter, as in runc 1.5.2. The result of the call is
    /// ignored, because it fails without privileges.
    #[test]
    fn the_kernel_writes_nothing_after_a_query() {
        #[repr(C)]
        struct Guarded {
            attr: Attr,
            canary: [u64; 64],
        }
        const CANARY: u64 = 0x5a5a_5a5a_5a5a_5a5a;
        let open = |path| fd::open(fd::CWD, path, libc::O_RDONLY | libc::O_DIRECTORY, 0);
        let cgroup = open(c"/sys/fs/cgroup/unified").or_else(|_| open(c"/sys/fs/cgroup")).unwrap();
        let mut ids = [0; 64];
        let mut guarded = Guarded { attr: query(&cgroup, &mut ids), canary: [CANARY; 64] };
        let _result = guarded.attr.call(BPF_PROG_QUERY);
        assert!(guarded.canary.iter().all(|word| *word == CANARY));
    }
}
