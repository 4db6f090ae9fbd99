// SPDX-License-Identifier: Apache-2.0
//! The loopback interface of the calling process's network namespace.

use super::{Result, check_int, new_fd};
use std::os::fd::AsRawFd;

/// Brings `lo` up, as `ip link set lo up` does (SIOCSIFFLAGS of netdevice(7)).
pub(crate) fn loopback_up() -> Result<()> {
    // SAFETY: plain integers.
    let socket = new_fd(libc::c_long::from(unsafe {
        libc::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0)
    }))?;
    // SAFETY: an ifreq of zeros is an empty request.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    request.ifr_name[0] = b'l' as libc::c_char;
    request.ifr_name[1] = b'o' as libc::c_char;
    // A new namespace's lo has no flag but IFF_LOOPBACK, which cannot be changed,
    // so there is nothing to read and preserve.
    request.ifr_ifru.ifru_flags = libc::IFF_UP as libc::c_short;
    // SAFETY: SIOCSIFFLAGS reads an ifreq.
    check_int(unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS as _, &raw const request) })
        .map(drop)
}
