// SPDX-License-Identifier: Apache-2.0
//! Names for the numbers of instructions, from linux/bpf_common.h and linux/filter.h.

// Classes.
pub(crate) const LD: u16 = 0x00;
pub(crate) const LDX: u16 = 0x01;
pub(crate) const ST: u16 = 0x02;
pub(crate) const STX: u16 = 0x03;
pub(crate) const ALU: u16 = 0x04;
pub(crate) const JMP: u16 = 0x05;
pub(crate) const RET: u16 = 0x06;
pub(crate) const MISC: u16 = 0x07;

// Addressing modes of loads; all of them load words (size 0).
pub(crate) const IMM: u16 = 0x00;
pub(crate) const ABS: u16 = 0x20;
pub(crate) const MEM: u16 = 0x60;
pub(crate) const LEN: u16 = 0x80;

// Operations.
pub(crate) const ADD: u16 = 0x00;
pub(crate) const SUB: u16 = 0x10;
pub(crate) const MUL: u16 = 0x20;
pub(crate) const DIV: u16 = 0x30;
pub(crate) const OR: u16 = 0x40;
pub(crate) const AND: u16 = 0x50;
pub(crate) const LSH: u16 = 0x60;
pub(crate) const RSH: u16 = 0x70;
pub(crate) const NEG: u16 = 0x80;
pub(crate) const XOR: u16 = 0xa0;

// Jumps.
pub(crate) const JA: u16 = 0x00;
pub(crate) const JEQ: u16 = 0x10;
pub(crate) const JGT: u16 = 0x20;
pub(crate) const JGE: u16 = 0x30;
pub(crate) const JSET: u16 = 0x40;

// Operands: the constant, the index register; for RET also the accumulator.
pub(crate) const K: u16 = 0x00;
pub(crate) const X: u16 = 0x08;
pub(crate) const A: u16 = 0x10;

// Moves between accumulator and index register.
pub(crate) const TAX: u16 = 0x00;
pub(crate) const TXA: u16 = 0x80;

/// Words of scratch memory.
pub(crate) const MEMORY: usize = 16;

// Offsets in `struct seccomp_data`.
pub(crate) const NR: u32 = 0;
pub(crate) const ARCH: u32 = 4;

/// Returns the offset of the low half of an argument, on little-endian machines.
pub(crate) const fn low(argument: u8) -> u32 {
    16 + 8 * argument as u32
}

/// Returns the offset of the high half.
pub(crate) const fn high(argument: u8) -> u32 {
    low(argument) + 4
}
