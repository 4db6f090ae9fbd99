// SPDX-License-Identifier: Apache-2.0
//! Sets of system calls.

use super::syscall::{COUNT, Syscall};
use std::fmt;

const BITS: usize = u64::BITS as usize;

/// A set of the calls in the tables: a bit for each row.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct Calls([u64; COUNT.div_ceil(BITS)]);

impl Calls {
    pub(crate) fn insert(&mut self, call: Syscall) {
        let row = usize::from(call.0);
        self.0[row / BITS] |= 1 << (row % BITS);
    }

    /// Returns the calls in the order of their names.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Syscall> + use<'_> {
        self.0.iter().enumerate().flat_map(|(at, &word)| {
            let rest = |word: &u64| Some(word & (word - 1)).filter(|rest| *rest != 0);
            let words = std::iter::successors(Some(word).filter(|word| *word != 0), rest);
            words.map(move |word| Syscall((at * BITS) as u16 + word.trailing_zeros() as u16))
        })
    }
}

impl fmt::Debug for Calls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_has_what_was_inserted_once_and_sorted() {
        let mut calls = Calls::default();
        assert_eq!(calls.iter().next(), None);
        for row in [COUNT as u16 - 1, 64, 0, 63, 64] {
            calls.insert(Syscall(row));
        }
        assert!(calls.iter().eq([0, 63, 64, COUNT as u16 - 1].map(Syscall)));
        Syscall::all().for_each(|call| calls.insert(call));
        assert!(calls.iter().eq(Syscall::all()));
    }
}
