// SPDX-License-Identifier: Apache-2.0
//! The kernel's rules for a filter.
//!
//! They are `bpf_check_classic` and `check_load_and_stores` in net/core/filter.c and
//! `seccomp_check_filter` in kernel/seccomp.c. A program that passes always ends with a verdict:
//! jumps only go forward, and the last instruction returns.

use super::instruction::{DATA_SIZE, Instruction, MAX_INSTRUCTIONS};
use super::op::{
    A, ABS, ADD, ALU, AND, DIV, IMM, JA, JEQ, JGE, JGT, JMP, JSET, K, LD, LDX, LEN, LSH, MEM, MEMORY, MISC,
    MUL, NEG, OR, RET, RSH, ST, STX, SUB, TAX, TXA, X, XOR,
};

/// The kernel's reason to refuse a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", text(*.at, *.fault))]
pub struct InvalidProgram {
    /// The index of the wrong instruction; for the length, the number of instructions.
    pub at: usize,
    /// The fault of the instruction.
    pub fault: Fault,
}

/// A fault of an instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The program is empty or longer than [`MAX_INSTRUCTIONS`].
    Length,
    /// The instruction does not exist, or is not allowed in a filter.
    Code,
    /// A load from outside of `struct seccomp_data`, or not of an aligned word.
    Load,
    /// A division by zero, or a shift by more than 31.
    Operand,
    /// A scratch word that does not exist.
    Memory,
    /// A load of a scratch word that no path has stored.
    Uninitialised,
    /// A jump out of the program.
    Jump,
    /// The last instruction does not return.
    NoReturn,
}

pub(super) fn check(program: &[Instruction]) -> Result<(), InvalidProgram> {
    let len = program.len();
    let Some(last) = program.last().filter(|_| len <= MAX_INSTRUCTIONS) else {
        return Err(InvalidProgram { at: len, fault: Fault::Length });
    };
    for (at, instruction) in program.iter().enumerate() {
        one(instruction, len - at - 1).map_err(|fault| InvalidProgram { at, fault })?;
    }
    if last.code & 0x07 != RET {
        return Err(InvalidProgram { at: len - 1, fault: Fault::NoReturn });
    }
    scratch_memory(program)
}

/// Checks an instruction that is followed by `after` others.
fn one(instruction: &Instruction, after: usize) -> Result<(), Fault> {
    let Instruction { code, jt, jf, k } = *instruction;
    let ok = |condition: bool, fault| if condition { Ok(()) } else { Err(fault) };
    ok(code <= 0xff, Fault::Code)?;
    match (code & 0x07, code & !0x07) {
        (LD, ABS) => ok(k < DATA_SIZE && k.is_multiple_of(4), Fault::Load),
        (LD | LDX, MEM) | (ST | STX, 0) => ok((k as usize) < MEMORY, Fault::Memory),
        (LD | LDX, LEN | IMM) | (MISC, TAX | TXA) => Ok(()),
        (RET, operand) => ok(matches!(operand, K | A), Fault::Code),
        (ALU, operation) => match (operation & 0xf0, operation & 0x08) {
            (DIV, K) => ok(k != 0, Fault::Operand),
            (LSH | RSH, K) => ok(k < 32, Fault::Operand),
            (NEG, operand) => ok(operand == K, Fault::Code),
            (ADD | SUB | MUL | OR | AND | XOR | DIV | LSH | RSH, _) => Ok(()),
            _ => Err(Fault::Code),
        },
        (JMP, JA) => ok((k as usize) < after, Fault::Jump),
        (JMP, operation) => {
            let known = matches!(operation & !X, JEQ | JGT | JGE | JSET);
            ok(known, Fault::Code)?;
            ok(usize::from(jt) < after && usize::from(jf) < after, Fault::Jump)
        }
        _ => Err(Fault::Code),
    }
}

/// Checks that no path reads a scratch word before it writes it.
fn scratch_memory(program: &[Instruction]) -> Result<(), InvalidProgram> {
    // The words that all jumps to an instruction, of those seen so far, have written.
    let mut written_before = vec![u16::MAX; program.len()];
    // The words that the path to the current instruction has written; none behind a jump.
    let mut written = 0;
    for (at, &Instruction { code, jt, jf, k }) in program.iter().enumerate() {
        written &= written_before[at];
        match (code & 0x07, code & !0x07) {
            (ST | STX, _) => written |= 1 << k,
            (LD | LDX, MEM) if written & 1 << k == 0 => {
                return Err(InvalidProgram { at, fault: Fault::Uninitialised });
            }
            (JMP, JA) => {
                written_before[at + 1 + k as usize] &= written;
                written = u16::MAX;
            }
            (JMP, _) => {
                written_before[at + 1 + usize::from(jt)] &= written;
                written_before[at + 1 + usize::from(jf)] &= written;
                written = u16::MAX;
            }
            _ => (),
        }
    }
    Ok(())
}

fn text(at: usize, fault: Fault) -> String {
    let what = match fault {
        Fault::Length => return format!("{at} instructions; 1 to {MAX_INSTRUCTIONS} are allowed"),
        Fault::Code => "not an instruction for filters",
        Fault::Load => "loads no aligned word of the call's data",
        Fault::Operand => "divides by zero or shifts too far",
        Fault::Memory => "uses a scratch word that does not exist",
        Fault::Uninitialised => "loads a scratch word that may never have been stored",
        Fault::Jump => "jumps out of the program",
        Fault::NoReturn => "is the last instruction, but does not return",
    };
    format!("instruction {at}: {what}")
}
