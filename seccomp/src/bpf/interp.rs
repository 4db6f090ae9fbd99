// SPDX-License-Identifier: Apache-2.0
//! An interpreter for filters.

use super::instruction::{DATA_SIZE, Instruction, SeccompData};
use super::op::{
    A, ABS, ADD, ALU, AND, DIV, IMM, JA, JEQ, JGE, JGT, JMP, K, LD, LDX, LEN, LSH, MEM, MEMORY, MUL, NEG, OR,
    RET, RSH, ST, STX, SUB, TXA, X,
};
use super::program::Program;

/// Runs the filter on a call. Compare the result with [`Action::ret`](crate::Action::ret).
///
/// It always ends, because a [`Program`] has been checked: each step goes forward.
pub fn interp(program: &Program, data: &SeccompData) -> u32 {
    let (mut a, mut x, mut memory) = (0_u32, 0_u32, [0_u32; MEMORY]);
    let mut at = 0;
    loop {
        let Instruction { code, jt, jf, k } = program.instructions()[at];
        at += 1;
        // The operand of an operation or comparison.
        let operand = if code & 0x08 == X { x } else { k };
        match (code & 0x07, code & !0x07) {
            (LD, ABS) => a = data.word(k),
            (LD, LEN) => a = DATA_SIZE,
            (LD, IMM) => a = k,
            (LD, MEM) => a = memory[k as usize],
            (LDX, LEN) => x = DATA_SIZE,
            (LDX, IMM) => x = k,
            (LDX, MEM) => x = memory[k as usize],
            (ST, _) => memory[k as usize] = a,
            (STX, _) => memory[k as usize] = x,
            (RET, A) => return a,
            (RET, K) => return k,
            (JMP, JA) => at += k as usize,
            (JMP, operation) => {
                let holds = match operation & !X {
                    JEQ => a == operand,
                    JGT => a > operand,
                    JGE => a >= operand,
                    _ => a & operand != 0,
                };
                at += usize::from(if holds { jt } else { jf });
            }
            (ALU, operation) => {
                a = match operation & 0xf0 {
                    ADD => a.wrapping_add(operand),
                    SUB => a.wrapping_sub(operand),
                    MUL => a.wrapping_mul(operand),
                    // A division by an index register of zero ends the filter with 0.
                    DIV => match a.checked_div(operand) {
                        Some(quotient) => quotient,
                        None => return 0,
                    },
                    OR => a | operand,
                    AND => a & operand,
                    // The kernel shifts by the low five bits.
                    LSH => a.wrapping_shl(operand),
                    RSH => a.wrapping_shr(operand),
                    NEG => a.wrapping_neg(),
                    _ => a ^ operand,
                }
            }
            (_, TXA) => a = x,
            _ => x = a,
        }
    }
}
