// SPDX-License-Identifier: Apache-2.0
//! A test of one argument of a call.

use crate::arch::Arch;

/// A comparison of an argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operator {
    /// Equal.
    Eq,
    /// Greater or equal.
    Ge,
    /// Greater.
    Gt,
    /// Less or equal.
    Le,
    /// Less.
    Lt,
    /// Equal in the bits of a mask: `value` is the mask, `valueTwo` the value.
    MaskedEq,
    /// Not equal.
    Ne,
}

impl Operator {
    /// All operators, in the order of their names.
    pub const ALL: [Operator; 7] = [
        Operator::Eq,
        Operator::Ge,
        Operator::Gt,
        Operator::Le,
        Operator::Lt,
        Operator::MaskedEq,
        Operator::Ne,
    ];

    /// Returns its name in config.json.
    pub const fn name(self) -> &'static str {
        match self {
            Operator::Eq => "SCMP_CMP_EQ",
            Operator::Ge => "SCMP_CMP_GE",
            Operator::Gt => "SCMP_CMP_GT",
            Operator::Le => "SCMP_CMP_LE",
            Operator::Lt => "SCMP_CMP_LT",
            Operator::MaskedEq => "SCMP_CMP_MASKED_EQ",
            Operator::Ne => "SCMP_CMP_NE",
        }
    }

    pub(crate) fn from_name(name: &str) -> Option<Operator> {
        Operator::ALL.into_iter().find(|operator| operator.name() == name)
    }
}

/// A test of one argument, unsigned like all comparisons of a filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Condition {
    pub(crate) argument: u8,
    pub(crate) operator: Operator,
    pub(crate) value: u64,
    /// The bits that `MaskedEq` compares; `value` has no others.
    pub(crate) mask: u64,
}

impl Condition {
    /// Makes a condition from `value` and `valueTwo` of config.json.
    pub(crate) fn new(argument: u8, operator: Operator, value: u64, value_two: u64) -> Condition {
        match operator {
            // Like libseccomp, ignores bits of valueTwo outside the mask.
            Operator::MaskedEq => Condition { argument, operator, value: value_two & value, mask: value },
            _ => Condition { argument, operator, value, mask: u64::MAX },
        }
    }

    /// Returns the condition for programs of this ABI, `None` if it always holds.
    pub(crate) fn on(self, arch: Arch) -> Option<Condition> {
        let max = arch.max_argument();
        let mask = self.mask & max;
        (mask != 0).then_some(Condition { value: self.value & max, mask, ..self })
    }

    pub(crate) fn holds(self, argument: u64) -> bool {
        let argument = argument & self.mask;
        match self.operator {
            Operator::Eq | Operator::MaskedEq => argument == self.value,
            Operator::Ge => argument >= self.value,
            Operator::Gt => argument > self.value,
            Operator::Le => argument <= self.value,
            Operator::Lt => argument < self.value,
            Operator::Ne => argument != self.value,
        }
    }

    /// Returns its rank among the conditions of rules that compete for a call: the least decides.
    ///
    /// This is the order in which libseccomp tests the arguments: later arguments first, then
    /// equality before "less" before "greater", and the narrower one first among the same kind.
    pub(crate) fn rank(self) -> impl Ord + use<> {
        let (kind, value) = match self.operator {
            Operator::Eq | Operator::Ne | Operator::MaskedEq => (0, !self.value),
            Operator::Le | Operator::Lt => (1, self.value),
            Operator::Ge | Operator::Gt => (2, !self.value),
        };
        (std::cmp::Reverse(self.argument), kind, value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_sorted_and_known() {
        assert!(Operator::ALL.map(Operator::name).is_sorted());
        for operator in Operator::ALL {
            assert_eq!(Operator::from_name(operator.name()), Some(operator));
        }
        assert_eq!(Operator::from_name("SCMP_CMP_eq"), None);
    }

    #[test]
    fn comparisons_are_unsigned_and_64_bits_wide() {
        let holds = |operator, value, argument| Condition::new(0, operator, value, 0).holds(argument);
        assert!(holds(Operator::Gt, 1, u64::MAX));
        assert!(!holds(Operator::Eq, 5, 0x1_0000_0005));
        assert!(holds(Operator::Lt, 0x1_0000_0000, 0xffff_ffff));
        assert!(!holds(Operator::Lt, 0, 0));
        assert!(holds(Operator::Le, 0, 0));
        assert!(holds(Operator::Ge, 0, 0));
        assert!(holds(Operator::Ne, 0, 1));
    }

    #[test]
    fn a_mask_applies_to_both_sides() {
        let masked = Condition::new(0, Operator::MaskedEq, 0xf0, 0x1a5);
        assert!(masked.holds(0xa0) && masked.holds(0xffff_0000_0000_00af) && !masked.holds(0xb0));
    }

    #[test]
    fn a_32_bit_abi_compares_the_low_half() {
        let wide = Condition::new(0, Operator::Eq, 0x1_0000_0005, 0);
        assert!(!wide.holds(5));
        assert!(wide.on(Arch::X86).unwrap().holds(0x7_0000_0005));
        assert!(wide.on(Arch::X32).unwrap().holds(5));
        assert!(!wide.on(Arch::Riscv64).unwrap().holds(5));
        // No bits to compare: always true.
        assert_eq!(Condition::new(0, Operator::MaskedEq, 0xf_0000_0000, 0).on(Arch::Arm), None);
        assert_eq!(Condition::new(0, Operator::MaskedEq, 0, 1).on(Arch::X86_64), None);
    }
}
