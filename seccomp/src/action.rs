// SPDX-License-Identifier: Apache-2.0
//! The kernel's reactions to a system call.

/// The verdict about one system call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// End the whole process, as if by SIGSYS.
    KillProcess,
    /// End the calling thread, as if by SIGSYS. `SCMP_ACT_KILL` is another name of it.
    KillThread,
    /// Do not make the call, send SIGSYS.
    Trap,
    /// Do not make the call, let it return this error number.
    Errno(u16),
    /// Ask the process's tracer, with this number; without a tracer the call fails with ENOSYS.
    Trace(u16),
    /// Ask the holder of the filter's listener.
    Notify,
    /// Make the call, and log it.
    Log,
    /// Make the call.
    Allow,
}

pub(crate) const EPERM: u16 = 1;
pub(crate) const ENOSYS: u16 = 38;

/// The largest error number: the kernel returns this one instead of a larger one.
const MAX_ERRNO: u16 = 4095;

/// Each name in config.json, and its action without a number.
const ACTIONS: [(&str, Action); 9] = [
    ("SCMP_ACT_ALLOW", Action::Allow),
    ("SCMP_ACT_ERRNO", Action::Errno(EPERM)),
    ("SCMP_ACT_KILL", Action::KillThread),
    ("SCMP_ACT_KILL_PROCESS", Action::KillProcess),
    ("SCMP_ACT_KILL_THREAD", Action::KillThread),
    ("SCMP_ACT_LOG", Action::Log),
    ("SCMP_ACT_NOTIFY", Action::Notify),
    ("SCMP_ACT_TRACE", Action::Trace(EPERM)),
    ("SCMP_ACT_TRAP", Action::Trap),
];

impl Action {
    /// Returns all names of actions in config.json, sorted.
    pub fn names() -> impl Iterator<Item = &'static str> {
        ACTIONS.iter().map(|(name, _)| *name)
    }

    /// Returns the filter's return value for it: a `SECCOMP_RET_*` value with its data.
    pub const fn ret(self) -> u32 {
        match self {
            Action::KillProcess => 0x8000_0000,
            Action::KillThread => 0x0000_0000,
            Action::Trap => 0x0003_0000,
            Action::Errno(errno) => 0x0005_0000 | errno as u32,
            Action::Trace(message) => 0x7ff0_0000 | message as u32,
            Action::Notify => 0x7fc0_0000,
            Action::Log => 0x7ffc_0000,
            Action::Allow => 0x7fff_0000,
        }
    }

    pub(crate) fn from_name(name: &str) -> Option<Action> {
        ACTIONS.iter().find(|(known, _)| *known == name).map(|(_, action)| *action)
    }

    /// Returns the same action with the number of `errnoRet`, or the reason why it cannot have one.
    pub(crate) fn with_errno(self, errno: u32) -> Result<Action, String> {
        let number = |max: u16| match u16::try_from(errno) {
            Ok(number) if number <= max => Ok(number),
            _ => Err(format!("{errno} is too large, the kernel takes at most {max}")),
        };
        match self {
            Action::Errno(_) => number(MAX_ERRNO).map(Action::Errno),
            Action::Trace(_) => number(u16::MAX).map(Action::Trace),
            _ => Err("the action takes no errno, only SCMP_ACT_ERRNO and SCMP_ACT_TRACE do".to_owned()),
        }
    }

    /// Returns true if a call with this default action may succeed.
    ///
    /// Then the policy need not return ENOSYS for calls newer than itself: the kernel, the tracer
    /// or the agent answers.
    pub(crate) const fn is_open(self) -> bool {
        matches!(self, Action::Allow | Action::Log | Action::Trace(_) | Action::Notify)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_sorted_and_known() {
        assert!(Action::names().is_sorted());
        assert!(Action::names().all(|name| Action::from_name(name).is_some()));
        assert_eq!(Action::from_name("SCMP_ACT_allow"), None);
    }

    #[test]
    fn errno_fits_the_action_and_the_kernel() {
        assert_eq!(Action::Errno(EPERM).with_errno(0), Ok(Action::Errno(0)));
        assert_eq!(Action::Errno(EPERM).with_errno(4095), Ok(Action::Errno(4095)));
        assert!(Action::Errno(EPERM).with_errno(4096).is_err());
        assert_eq!(Action::Trace(EPERM).with_errno(65535), Ok(Action::Trace(65535)));
        // Truncated to 16 bits this would be 0: the call would seem to succeed.
        assert!(Action::Errno(EPERM).with_errno(65536).is_err());
        assert!(Action::Trace(EPERM).with_errno(65536).is_err());
        for action in [Action::Allow, Action::Log, Action::Notify, Action::Trap, Action::KillProcess] {
            assert!(action.with_errno(1).is_err(), "{action:?}");
        }
    }
}
