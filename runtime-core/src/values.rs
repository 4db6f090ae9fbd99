// SPDX-License-Identifier: Apache-2.0
//! Validated values in the kernel's representation. The strings of config.json are turned into
//! these values, which the child and its parent then set.

/// The five capability sets. Bit n is capability n.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Capabilities {
    pub(crate) bounding: u64,
    pub(crate) effective: u64,
    pub(crate) permitted: u64,
    pub(crate) inheritable: u64,
    pub(crate) ambient: u64,
}

/// A memory policy (set_mempolicy(2)), validated except for which nodes the host has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MemoryPolicy {
    /// MPOL_* with MPOL_F_* flags.
    pub(crate) mode: i32,
    /// The node mask. Bit n % 64 of word n / 64 is node n.
    pub(crate) nodes: Vec<u64>,
}

/// A resource limit (getrlimit(2)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rlimit {
    pub(crate) resource: u32,
    pub(crate) soft: u64,
    pub(crate) hard: u64,
}

/// Lists resources by name with their numbers. C libraries differ in the type of the numbers.
macro_rules! rlimits {
    ($($name:ident)*) => { &[$((stringify!($name), libc::$name as u32)),*] };
}

pub(crate) const RLIMITS: &[(&str, u32)] = rlimits! {
    RLIMIT_AS RLIMIT_CORE RLIMIT_CPU RLIMIT_DATA RLIMIT_FSIZE
    RLIMIT_LOCKS RLIMIT_MEMLOCK RLIMIT_MSGQUEUE RLIMIT_NICE RLIMIT_NOFILE
    RLIMIT_NPROC RLIMIT_RSS RLIMIT_RTPRIO RLIMIT_RTTIME RLIMIT_SIGPENDING
    RLIMIT_STACK
};

/// Returns the name of a resource, for messages.
pub(crate) fn rlimit_name(resource: u32) -> &'static str {
    RLIMITS.iter().find(|(_, r)| *r == resource).map_or("RLIMIT_?", |(name, _)| name)
}

/// The deadline policy of sched(7), the only one with a bandwidth.
pub(crate) const SCHED_DEADLINE: u32 = 6;

/// A range of ids of a user namespace (user_namespaces(7)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct IdRange {
    /// The first id in the namespace.
    pub(crate) inside: u32,
    /// The first id outside of the namespace.
    pub(crate) outside: u32,
    /// The number of ids.
    pub(crate) size: u32,
}
