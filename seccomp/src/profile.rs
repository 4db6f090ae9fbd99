// SPDX-License-Identifier: Apache-2.0
//! What config.json says, as it says it.

/// `linux.seccomp`: a mirror of the spec's object, without behaviour.
///
/// It borrows, so that it can be laid over whatever structures the caller parsed
/// the JSON into. [`Policy::new`](crate::Policy::new) judges it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Profile<'a> {
    /// `defaultAction`: for calls that no rule is about.
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
    /// `names`: the calls it is about.
    pub names: Vec<&'a str>,
    /// `action`: what happens to them.
    pub action: &'a str,
    /// `errnoRet`: absent means EPERM.
    pub errno_ret: Option<u32>,
    /// `args`: under which conditions; all must hold, but see the
    /// [crate's documentation](crate#terminology) about repeated indices.
    pub args: Vec<Arg<'a>>,
}

/// One entry of `args`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Arg<'a> {
    /// `index`: which argument, from 0 to 5.
    pub index: u32,
    /// `value`: what it is compared with, or the mask.
    pub value: u64,
    /// `valueTwo`: what the masked argument is compared with.
    pub value_two: u64,
    /// `op`: how it is compared.
    pub op: &'a str,
}
