// SPDX-License-Identifier: Apache-2.0
//! Flags of seccomp(2) that a config may ask for.

/// A flag for `seccomp(SECCOMP_SET_MODE_FILTER, flags, ...)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Flag {
    /// Log every action but Allow.
    Log,
    /// Do not turn on the mitigation of speculative store bypass.
    SpecAllow,
    /// Apply the filter to all threads. Accepted and ignored: a container's first process has one.
    Tsync,
    /// Once the agent has received a notification, only a fatal signal interrupts the call.
    WaitKillableRecv,
}

/// `SECCOMP_FILTER_FLAG_NEW_LISTENER`: not for configs, it follows from a notifying rule.
pub(crate) const NEW_LISTENER: u32 = 1 << 3;

impl Flag {
    /// All of them, in the order of their names.
    pub const ALL: [Flag; 4] = [Flag::Log, Flag::SpecAllow, Flag::Tsync, Flag::WaitKillableRecv];

    /// Its name in config.json.
    pub const fn name(self) -> &'static str {
        match self {
            Flag::Log => "SECCOMP_FILTER_FLAG_LOG",
            Flag::SpecAllow => "SECCOMP_FILTER_FLAG_SPEC_ALLOW",
            Flag::Tsync => "SECCOMP_FILTER_FLAG_TSYNC",
            Flag::WaitKillableRecv => "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV",
        }
    }

    /// What it adds to the second argument of seccomp(2).
    ///
    /// Which of these bits the running kernel knows, only the kernel can say.
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
