// SPDX-License-Identifier: Apache-2.0
//! The caller for whom a report is made.

use nix::unistd::{getegid, geteuid};
use runtime_sys::cred;
use serde::Serialize;

/// The user for whom a [`Report`](super::Report) is made.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Caller {
    /// The effective user id.
    pub uid: u32,
    /// The effective group id.
    pub gid: u32,
    /// True if the user id is 0.
    pub is_root: bool,
    /// True if the user namespace is the host's first one. `None` without /proc.
    pub in_initial_user_namespace: Option<bool>,
    /// True if the caller may mount, and make namespaces, without a user namespace
    /// (CAP_SYS_ADMIN).
    pub may_admin: bool,
}

impl Caller {
    pub(super) fn new() -> Self {
        let (uid, gid) = (geteuid(), getegid());
        let effective = cred::cap_get().map_or(0, |sets| sets.effective);
        Caller {
            uid: uid.as_raw(),
            gid: gid.as_raw(),
            is_root: uid.is_root(),
            in_initial_user_namespace: crate::userns::is_initial_user_namespace().ok(),
            may_admin: effective & 1 << cred::CAP_SYS_ADMIN != 0,
        }
    }
}
