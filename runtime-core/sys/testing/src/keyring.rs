// SPDX-License-Identifier: Apache-2.0
//! The session keyring (keyctl(2)).

use nix::Result;
use nix::errno::Errno;

/// `long keyctl(KEYCTL_GET_KEYRING_ID, KEY_SPEC_SESSION_KEYRING, 0)`: returns the serial number of
/// the session keyring.
pub fn session() -> Result<i32> {
    let key = libc::KEY_SPEC_SESSION_KEYRING;
    // SAFETY: integers only, so the kernel gets no pointer.
    let serial = unsafe { libc::syscall(libc::SYS_keyctl, libc::KEYCTL_GET_KEYRING_ID, key, 0) };
    Errno::result(serial).map(|serial| serial as i32)
}
