// SPDX-License-Identifier: Apache-2.0
//! Checked values in the kernel's terms: config.json's words become these, and the child
//! and its parent set them.

/// The five sets, bit n for capability n.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Capabilities {
    pub(crate) bounding: u64,
    pub(crate) effective: u64,
    pub(crate) permitted: u64,
    pub(crate) inheritable: u64,
    pub(crate) ambient: u64,
}

/// A policy, checked as far as that can be done without the host's nodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MemoryPolicy {
    /// MPOL_* and MPOL_F_*.
    pub(crate) mode: i32,
    /// Bit n of word n/64 for node n.
    pub(crate) nodes: Vec<u64>,
}

/// One limit of getrlimit(2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rlimit {
    pub(crate) resource: u32,
    pub(crate) soft: u64,
    pub(crate) hard: u64,
}

/// Numbers of resources by name. C libraries do not agree on their type.
macro_rules! rlimits {
    ($($name:ident)*) => { &[$((stringify!($name), libc::$name as u32)),*] };
}

pub(crate) const RLIMITS: &[(&str, u32)] = rlimits! {
    RLIMIT_AS RLIMIT_CORE RLIMIT_CPU RLIMIT_DATA RLIMIT_FSIZE
    RLIMIT_LOCKS RLIMIT_MEMLOCK RLIMIT_MSGQUEUE RLIMIT_NICE RLIMIT_NOFILE
    RLIMIT_NPROC RLIMIT_RSS RLIMIT_RTPRIO RLIMIT_RTTIME RLIMIT_SIGPENDING
    RLIMIT_STACK
};

/// The name of a resource, for messages.
pub(crate) fn rlimit_name(resource: u32) -> &'static str {
    RLIMITS.iter().find(|(_, r)| *r == resource).map_or("RLIMIT_?", |(name, _)| name)
}

/// The policy of sched(7) that has a bandwidth.
pub(crate) const SCHED_DEADLINE: u32 = 6;

/// A range of ids of a user namespace (user_namespaces(7)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct IdRange {
    /// The first id in the namespace.
    pub(crate) inside: u32,
    /// The first id outside of it.
    pub(crate) outside: u32,
    /// How many ids.
    pub(crate) size: u32,
}
