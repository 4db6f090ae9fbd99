// SPDX-License-Identifier: Apache-2.0
//! Notifications of a system call filter (seccomp_unotify(2)).

use nix::Result;
use nix::errno::Errno;
use std::os::fd::{AsFd, AsRawFd};

/// A system call that waits for an answer.
#[derive(Clone, Copy, Debug)]
pub struct Call {
    id: u64,
    /// The number of the system call.
    pub number: i32,
    /// The thread that makes it, by its id in the pid namespace of the receiver.
    pub thread: u32,
}

/// `int ioctl(int listener, SECCOMP_IOCTL_NOTIF_RECV, struct seccomp_notif *)`: receives the next
/// system call. ENOENT: its process was killed meanwhile.
pub fn receive(listener: impl AsFd) -> Result<Call> {
    // SAFETY: zeros are a valid seccomp_notif, and the kernel demands them.
    let mut call: libc::seccomp_notif = unsafe { std::mem::zeroed() };
    let listener = listener.as_fd().as_raw_fd();
    // SAFETY: the kernel fills the whole struct, for which any bytes are valid.
    Errno::result(unsafe { libc::ioctl(listener, libc::SECCOMP_IOCTL_NOTIF_RECV, &raw mut call) })?;
    Ok(Call { id: call.id, number: call.data.nr, thread: call.pid })
}

/// `int ioctl(int listener, SECCOMP_IOCTL_NOTIF_SEND, struct seccomp_notif_resp *)`: lets the call
/// fail with an error, or lets the kernel carry it out. ENOENT: its process was killed meanwhile.
pub fn answer(listener: impl AsFd, call: Call, error: Option<Errno>) -> Result<()> {
    let response = libc::seccomp_notif_resp {
        id: call.id,
        val: 0,
        error: error.map_or(0, |error| -(error as i32)),
        flags: if error.is_some() { 0 } else { libc::SECCOMP_USER_NOTIF_FLAG_CONTINUE as u32 },
    };
    let listener = listener.as_fd().as_raw_fd();
    // SAFETY: the kernel only reads the struct, which is whole.
    Errno::result(unsafe { libc::ioctl(listener, libc::SECCOMP_IOCTL_NOTIF_SEND, &raw const response) })
        .map(drop)
}
