// SPDX-License-Identifier: Apache-2.0
//! The user namespace of the calling process.

use crate::error::{Error, Result};
use crate::path::proc::NOT_MOUNTED;
use runtime_sys::{Errno, ns};

/// Returns whether the calling process is in the initial user namespace, where root is the
/// host's root. The id maps cannot tell: another user namespace may also map every id to
/// itself (`PrivateUsers=full` of systemd). Errors: /proc is not mounted.
pub fn is_initial_user_namespace() -> Result<bool> {
    ns::is_initial_user_namespace().map_err(|errno| {
        let error = Error::os(errno, "stat /proc/self/ns/user");
        if errno == Errno::ENOENT { error.with_hint(NOT_MOUNTED) } else { error }
    })
}
