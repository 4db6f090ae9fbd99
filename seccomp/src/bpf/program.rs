// SPDX-License-Identifier: Apache-2.0
//! A program that the kernel would accept.

use super::check::{InvalidProgram, check};
use super::instruction::Instruction;

/// A program that the kernel would accept as a filter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program(pub(super) Vec<Instruction>);

impl Program {
    /// Checks instructions as seccomp(2) does. Errors: the kernel would refuse the program.
    pub fn new(instructions: Vec<Instruction>) -> Result<Program, InvalidProgram> {
        check(&instructions)?;
        Ok(Program(instructions))
    }

    /// Wraps the compiler's output, which tests hold to the same rules.
    pub(crate) fn trusted(instructions: Vec<Instruction>) -> Program {
        debug_assert_eq!(check(&instructions), Ok(()));
        Program(instructions)
    }

    /// Returns the instructions for seccomp(2): at least one and at most [`MAX_INSTRUCTIONS`](super::MAX_INSTRUCTIONS).
    pub fn instructions(&self) -> &[Instruction] {
        &self.0
    }
}
