// SPDX-License-Identifier: Apache-2.0
//! The session keyring (keyctl(2)).

use super::{Result, check, done};
use std::ffi::CStr;

/// `long keyctl(KEYCTL_JOIN_SESSION_KEYRING, const char *name)`: joins the
/// keyring of that name, or makes it. The keyring's serial number.
/// ENOSYS: the kernel has no key management. EDQUOT: the user's quota of keys.
pub(crate) fn join_session(name: &CStr) -> Result<i32> {
    // SAFETY: `name` is a C string.
    check(unsafe { libc::syscall(libc::SYS_keyctl, libc::KEYCTL_JOIN_SESSION_KEYRING, name.as_ptr()) })
        .map(|serial| serial as i32)
}

/// `long keyctl(KEYCTL_SETPERM, key_serial_t key, key_perm_t perm)`
pub(crate) fn set_permissions(keyring: i32, permissions: u32) -> Result<()> {
    // SAFETY: plain integers.
    done(unsafe { libc::syscall(libc::SYS_keyctl, libc::KEYCTL_SETPERM, keyring, permissions) })
}
