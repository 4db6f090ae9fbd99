// SPDX-License-Identifier: Apache-2.0
//! Flags of seccomp(2) for config.json.

/// A flag for `seccomp(SECCOMP_SET_MODE_FILTER, flags, ...)`.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Flag {
    /// Log every action but Allow.
    Log,
    /// Do not turn on the mitigation of speculative store bypass.
    SpecAllow,
    /// Apply the filter to all threads. Ignored: a container's first process has one thread.
    Tsync,
    /// Once the agent has received a notification, only a fatal signal interrupts the call. Needs
    /// Linux 5.19.
    WaitKillableRecv,
}

/// `SECCOMP_FILTER_FLAG_NEW_LISTENER`, which a notifying rule implies; not for config.json.
pub(crate) const NEW_LISTENER: u32 = 1 << 3;

impl Flag {
    /// All flags, in the order of their names.
    pub const ALL: [Flag; 4] = [Flag::Log, Flag::SpecAllow, Flag::Tsync, Flag::WaitKillableRecv];

    /// Returns its name in config.json.
    pub const fn name(self) -> &'static str {
        match self {
            Flag::Log => "SECCOMP_FILTER_FLAG_LOG",
            Flag::SpecAllow => "SECCOMP_FILTER_FLAG_SPEC_ALLOW",
            Flag::Tsync => "SECCOMP_FILTER_FLAG_TSYNC",
            Flag::WaitKillableRecv => "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV",
        }
    }

    /// Returns its bit in the second argument of seccomp(2).
    ///
    /// Only the running kernel knows which of these bits it supports.
    pub const fn bit(self) -> u32 {
        match self {
            Flag::Log => 1 << 1,
            Flag::SpecAllow => 1 << 2,
            Flag::Tsync => 0,
            Flag::WaitKillableRecv => 1 << 5,
        }
    }

    pub(crate) fn from_name(name: &str) -> Option<Flag> {
        Flag::ALL.into_iter().find(|flag| flag.name() == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_sorted_and_known() {
        assert!(Flag::ALL.map(Flag::name).is_sorted());
        for flag in Flag::ALL {
            assert_eq!(Flag::from_name(flag.name()), Some(flag));
        }
        assert_eq!(Flag::from_name("SECCOMP_FILTER_FLAG_NEW_LISTENER"), None);
    }
}
