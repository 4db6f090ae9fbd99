// SPDX-License-Identifier: Apache-2.0
//! A program as text, one instruction on a line, with line numbers as jump targets.

use super::instruction::Instruction;
use super::op::{
    A, ABS, ADD, ALU, AND, DIV, IMM, JA, JEQ, JGE, JGT, JMP, LD, LDX, LEN, LSH, MEM, MUL, NEG, OR, RET, RSH,
    ST, STX, SUB, TXA, X,
};
use super::program::Program;
use std::fmt;

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, instruction) in self.instructions().iter().enumerate() {
            write!(f, "{at:>4}  ")?;
            line(f, at, *instruction)?;
            writeln!(f)?;
        }
        Ok(())
    }
}

fn line(f: &mut fmt::Formatter<'_>, at: usize, instruction: Instruction) -> fmt::Result {
    let Instruction { code, jt, jf, k } = instruction;
    let operand = if code & 0x08 == X { "x".to_owned() } else { format!("{k:#x}") };
    let load = if code & 0x07 == LD { "ld" } else { "ldx" };
    match (code & 0x07, code & !0x07) {
        (LD, ABS) => write!(f, "ld   {}", word(k)),
        (LD | LDX, LEN) => write!(f, "{load:<4} len"),
        (LD | LDX, IMM) => write!(f, "{load:<4} {k:#x}"),
        (LD | LDX, MEM) => write!(f, "{load:<4} m[{k}]"),
        (ST, _) => write!(f, "st   m[{k}]"),
        (STX, _) => write!(f, "stx  m[{k}]"),
        (RET, A) => write!(f, "ret  a"),
        (RET, _) => write!(f, "ret  {k:#x}"),
        (JMP, JA) => write!(f, "ja   {}", at + 1 + k as usize),
        (JMP, operation) => {
            let name = match operation & !X {
                JEQ => "jeq",
                JGT => "jgt",
                JGE => "jge",
                _ => "jset",
            };
            let to = |skip: u8| at + 1 + usize::from(skip);
            write!(f, "{name:<4} {operand}, {}, {}", to(jt), to(jf))
        }
        (ALU, operation) => {
            let name = match operation & 0xf0 {
                ADD => "add",
                SUB => "sub",
                MUL => "mul",
                DIV => "div",
                OR => "or",
                AND => "and",
                LSH => "lsh",
                RSH => "rsh",
                NEG => return write!(f, "neg"),
                _ => "xor",
            };
            write!(f, "{name:<4} {operand}")
        }
        (_, TXA) => write!(f, "txa"),
        _ => write!(f, "tax"),
    }
}

/// Returns the name of a word of `struct seccomp_data`.
fn word(offset: u32) -> String {
    let half = if offset.is_multiple_of(8) { "low" } else { "high" };
    match offset {
        super::op::NR => "nr".to_owned(),
        super::op::ARCH => "arch".to_owned(),
        8 | 12 => format!("ip.{half}"),
        _ => format!("arg{}.{half}", (offset - 16) / 8),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_reads_like_a_program() {
        let instruction = |code, jt, jf, k| Instruction { code, jt, jf, k };
        let program = Program::new(vec![
            instruction(0x20, 0, 0, 4),
            instruction(0x15, 1, 0, 0xc000_003e),
            instruction(0x05, 0, 0, 4),
            instruction(0x20, 0, 0, 36),
            instruction(0x54, 0, 0, 0xff),
            instruction(0x2d, 0, 1, 0),
            instruction(0x16, 0, 0, 0),
            instruction(0x06, 0, 0, 0x7fff_0000),
        ]);
        let text = "   0  ld   arch\n   1  jeq  0xc000003e, 3, 2\n   2  ja   7\n   3  ld   arg2.high\n   4  and  0xff\n   \
                    5  jgt  x, 6, 7\n   6  ret  a\n   7  ret  0x7fff0000\n";
        assert_eq!(program.unwrap().to_string(), text);
    }
}
