// SPDX-License-Identifier: Apache-2.0
//! Terminals (ioctl_tty(2)).

use nix::Result;
use nix::errno::Errno;
use std::os::fd::{AsFd, AsRawFd};

/// `int ioctl(int fd, TIOCSTI, const char *byte)`: types a character into a terminal. EIO: it is a
/// terminal of another session, or the kernel allows it to no process.
pub fn type_into(terminal: impl AsFd, byte: u8) -> Result<()> {
    // SAFETY: the kernel reads one byte.
    Errno::result(unsafe { libc::ioctl(terminal.as_fd().as_raw_fd(), libc::TIOCSTI, &raw const byte) })
        .map(drop)
}

/// `int ioctl(int fd, FIONREAD, int *bytes)`: returns the number of bytes to read.
pub fn waiting(terminal: impl AsFd) -> Result<i32> {
    let mut bytes = 0;
    // SAFETY: the kernel writes an integer to `bytes`.
    Errno::result(unsafe { libc::ioctl(terminal.as_fd().as_raw_fd(), libc::FIONREAD, &raw mut bytes) })?;
    Ok(bytes)
}

/// `int ioctl(int fd, TIOCGPTN, unsigned *number)`: returns the number of the terminal with this
/// master.
pub fn number(master: impl AsFd) -> Result<u32> {
    let mut number: libc::c_uint = 0;
    // SAFETY: the kernel writes an integer to `number`.
    Errno::result(unsafe { libc::ioctl(master.as_fd().as_raw_fd(), libc::TIOCGPTN, &raw mut number) })?;
    Ok(number)
}
