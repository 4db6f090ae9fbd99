// SPDX-License-Identifier: Apache-2.0
//! A mirror of the object in config.json.

/// `linux.seccomp`: a mirror of the spec's object, without behaviour.
///
/// It borrows, so that it can refer to any structure that the caller parsed the JSON into.
/// [`Policy::new`](crate::Policy::new) checks it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Profile<'a> {
    /// `defaultAction`: the action for calls without a rule.
    pub default_action: &'a str,
    /// `defaultErrnoRet`: absent means EPERM.
    pub default_errno_ret: Option<u32>,
    /// `architectures`: the native one is implied.
    pub architectures: Vec<&'a str>,
    /// `flags`: absent means `SECCOMP_FILTER_FLAG_SPEC_ALLOW`, empty means none.
    pub flags: Option<Vec<&'a str>>,
    /// `listenerPath`: empty means absent.
    pub listener_path: &'a str,
    /// `listenerMetadata`: empty means absent.
    pub listener_metadata: &'a str,
    /// `syscalls`: the rules.
    pub syscalls: Vec<SyscallRule<'a>>,
}

/// One entry of `syscalls`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SyscallRule<'a> {
    /// `names`: the calls of the rule.
    pub names: Vec<&'a str>,
    /// `action`: the action for them.
    pub action: &'a str,
    /// `errnoRet`: absent means EPERM.
    pub errno_ret: Option<u32>,
    /// `args`: the conditions. All must hold, but see the [crate's
    /// documentation](crate#terminology) about repeated indices.
    pub args: Vec<Arg<'a>>,
}

/// One entry of `args`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Arg<'a> {
    /// `index`: the number of the argument, from 0 to 5.
    pub index: u32,
    /// `value`: the value to compare with, or the mask.
    pub value: u64,
    /// `valueTwo`: the value for the masked argument.
    pub value_two: u64,
    /// `op`: the comparison.
    pub op: &'a str,
}
