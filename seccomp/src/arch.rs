// SPDX-License-Identifier: Apache-2.0
//! The system call ABIs of filters.

/// An ABI: the numbers of system calls, and the way in which arguments are passed.
///
/// The spec calls this an architecture. One kernel serves several of them: an x86_64 kernel also
/// serves x86 (`int 0x80`) and, if it was built for it, x32.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Arch {
    /// 64-bit ARM.
    Aarch64,
    /// 32-bit ARM (EABI).
    Arm,
    /// 64-bit LoongArch.
    Loongarch64,
    /// 64-bit PowerPC, little endian.
    Ppc64le,
    /// 64-bit RISC-V.
    Riscv64,
    /// x86_64 with 32-bit pointers: the same entry, numbers with bit 30 set.
    X32,
    /// 32-bit x86.
    X86,
    /// 64-bit x86.
    X86_64,
}

/// Bit 30 of a system call number, which marks x32. No x86_64 call has a number from here up.
pub(crate) const X32_BIT: u32 = 0x4000_0000;

/// The first of 32-bit ARM's private calls (`set_tls`, `cacheflush`, ...), far above the others.
pub(crate) const ARM_PRIVATE: u32 = 0x000f_0000;

impl Arch {
    /// All ABIs, in the order of their names.
    pub const ALL: [Arch; 8] = [
        Arch::Aarch64,
        Arch::Arm,
        Arch::Loongarch64,
        Arch::Ppc64le,
        Arch::Riscv64,
        Arch::X32,
        Arch::X86,
        Arch::X86_64,
    ];

    /// The ABI that this library was compiled for, if it is one of these.
    ///
    /// Runtimes pass it to [`Policy::new`](crate::Policy::new).
    pub const NATIVE: Option<Arch> = if cfg!(all(target_arch = "x86_64", target_pointer_width = "64")) {
        Some(Arch::X86_64)
    } else if cfg!(target_arch = "x86_64") {
        Some(Arch::X32)
    } else if cfg!(target_arch = "x86") {
        Some(Arch::X86)
    } else if cfg!(target_arch = "aarch64") {
        Some(Arch::Aarch64)
    } else if cfg!(target_arch = "arm") {
        Some(Arch::Arm)
    } else if cfg!(target_arch = "riscv64") {
        Some(Arch::Riscv64)
    } else if cfg!(target_arch = "loongarch64") {
        Some(Arch::Loongarch64)
    } else if cfg!(all(target_arch = "powerpc64", target_endian = "little")) {
        Some(Arch::Ppc64le)
    } else {
        None
    };

    /// Returns its name in config.json.
    pub const fn name(self) -> &'static str {
        match self {
            Arch::Aarch64 => "SCMP_ARCH_AARCH64",
            Arch::Arm => "SCMP_ARCH_ARM",
            Arch::Loongarch64 => "SCMP_ARCH_LOONGARCH64",
            Arch::Ppc64le => "SCMP_ARCH_PPC64LE",
            Arch::Riscv64 => "SCMP_ARCH_RISCV64",
            Arch::X32 => "SCMP_ARCH_X32",
            Arch::X86 => "SCMP_ARCH_X86",
            Arch::X86_64 => "SCMP_ARCH_X86_64",
        }
    }

    /// Returns the `AUDIT_ARCH_*` value by which the kernel names the ABI of a call.
    ///
    /// x86_64 and x32 share one value; only the number of the call differs.
    pub const fn audit(self) -> u32 {
        match self {
            Arch::Aarch64 => 0xc000_00b7,
            Arch::Arm => 0x4000_0028,
            Arch::Loongarch64 => 0xc000_0102,
            Arch::Ppc64le => 0xc000_0015,
            Arch::Riscv64 => 0xc000_00f3,
            Arch::X86 => 0x4000_0003,
            Arch::X32 | Arch::X86_64 => 0xc000_003e,
        }
    }

    /// Returns the largest argument of a call.
    ///
    /// 32-bit ABIs pass 32 bits: the upper half of the register is not part of the argument, so
    /// neither it nor the upper half of a rule's value is compared.
    pub(crate) const fn max_argument(self) -> u64 {
        match self {
            Arch::Arm | Arch::X32 | Arch::X86 => u32::MAX as u64,
            _ => u64::MAX,
        }
    }

    /// Returns the call numbers of this ABI among those with the same `audit` value.
    pub(crate) const fn numbers(self) -> std::ops::RangeInclusive<u32> {
        match self {
            Arch::X86_64 => 0..=X32_BIT - 1,
            Arch::X32 => X32_BIT..=u32::MAX,
            _ => 0..=u32::MAX,
        }
    }

    /// Returns true if both numbers are in the same range. A profile that names a number is
    /// assumed to know all lower numbers of its range.
    ///
    /// Only 32-bit ARM has two ranges: a profile that names `set_tls` (0xf0005) does not know all
    /// lower numbers.
    pub(crate) fn same_range(self, a: u32, b: u32) -> bool {
        self != Arch::Arm || (a < ARM_PRIVATE) == (b < ARM_PRIVATE)
    }

    /// Returns the multiplexers socketcall(2) and ipc(2), if the ABI has them beside direct calls.
    pub(crate) const fn multiplexers(self) -> Option<Multiplexers> {
        match self {
            Arch::Ppc64le | Arch::X86 => Some(Multiplexers { socketcall: 102, ipc: 117 }),
            _ => None,
        }
    }

    pub(crate) fn from_name(name: &str) -> Option<Arch> {
        Arch::ALL.into_iter().find(|arch| arch.name() == name)
    }
}

/// The numbers of the two calls that carry many others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Multiplexers {
    pub(crate) socketcall: u32,
    pub(crate) ipc: u32,
}
