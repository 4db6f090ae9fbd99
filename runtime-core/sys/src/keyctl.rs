// SPDX-License-Identifier: Apache-2.0
//! The session keyring (keyctl(2)).

use super::result::{Result, check, done};
use std::ffi::CStr;

/// `long keyctl(KEYCTL_JOIN_SESSION_KEYRING, const char *name)`: joins the session keyring
/// of that name, or makes it. Makes an anonymous keyring without a name. Returns the
/// keyring's serial number.
/// ENOSYS: the kernel has no key management. EDQUOT: the user's quota of keys is used up.
pub fn join_session(name: Option<&CStr>) -> Result<i32> {
    let name = name.map_or(std::ptr::null(), CStr::as_ptr);
    // SAFETY: `name` is a C string, borrowed during the call, or null, which the kernel allows here.
    check(unsafe { libc::syscall(libc::SYS_keyctl, libc::KEYCTL_JOIN_SESSION_KEYRING, name) })
        .map(|serial| serial as i32)
}

/// `long keyctl(KEYCTL_DESCRIBE, key_serial_t key, char *buffer, size_t length)`: returns
/// the owner of a key, as a uid of the caller's user namespace.
/// EACCES: the caller has no view permission on the key.
pub fn owner(key: i32) -> Result<Option<u32>> {
    let mut text = [0u8; 512];
    // SAFETY: the pointer and the length are those of `text`, which the kernel only writes.
    let length = check(unsafe {
        libc::syscall(libc::SYS_keyctl, libc::KEYCTL_DESCRIBE, key, text.as_mut_ptr(), text.len())
    })?;
    // A longer description is not of a container's keyring: a container id has at most 255 bytes.
    Ok(text.get(..length as usize).and_then(described_owner))
}

/// Returns the second field of `type;uid;gid;permissions;description`.
fn described_owner(text: &[u8]) -> Option<u32> {
    let uid = text.split(|byte| *byte == b';').nth(1)?;
    std::str::from_utf8(uid).ok()?.parse().ok()
}

/// `long keyctl(KEYCTL_SETPERM, key_serial_t key, key_perm_t perm)`
pub fn set_permissions(keyring: i32, permissions: u32) -> Result<()> {
    // SAFETY: integers only, so the kernel gets no pointer.
    done(unsafe { libc::syscall(libc::SYS_keyctl, libc::KEYCTL_SETPERM, keyring, permissions) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_owner_is_read_from_the_description() {
        assert_eq!(described_owner(b"keyring;1000;100;3f130008;_ses.a;b\0"), Some(1000));
        assert_eq!(described_owner(b"keyring;-1;-1;3f130008;_ses.a\0"), None);
        assert_eq!(described_owner(b"keyring"), None);
    }
}
