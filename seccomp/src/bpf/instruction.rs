// SPDX-License-Identifier: Apache-2.0
//! The instructions of a program, and the data that it reads.

use super::op;

/// One instruction, laid out as the kernel's `struct sock_filter`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Instruction {
    /// Operation and addressing mode.
    pub code: u16,
    /// Instructions to skip if a comparison holds.
    pub jt: u8,
    /// Instructions to skip if it does not.
    pub jf: u8,
    /// Operand.
    pub k: u32,
}

/// `BPF_MAXINSNS`, the kernel's limit.
pub const MAX_INSTRUCTIONS: usize = 4096;

/// A call as a filter sees it: the kernel's `struct seccomp_data`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct SeccompData {
    /// The number of the call.
    pub nr: u32,
    /// The ABI of the call, an `AUDIT_ARCH_*` value.
    pub arch: u32,
    /// The address of the call's instruction.
    pub instruction_pointer: u64,
    /// The registers with its arguments.
    pub args: [u64; 6],
}

/// The size of `struct seccomp_data`.
pub(crate) const DATA_SIZE: u32 = 64;

impl SeccompData {
    /// Returns the 32-bit word at an offset on a little-endian machine, as all of
    /// [`Arch::ALL`](crate::Arch::ALL) are.
    pub(crate) fn word(&self, offset: u32) -> u32 {
        let half = |value: u64| if offset.is_multiple_of(8) { value as u32 } else { (value >> 32) as u32 };
        match offset {
            op::NR => self.nr,
            op::ARCH => self.arch,
            8 | 12 => half(self.instruction_pointer),
            _ => half(self.args[(offset as usize - 16) / 8]),
        }
    }
}
