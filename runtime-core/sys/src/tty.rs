// SPDX-License-Identifier: Apache-2.0
//! Pseudoterminals and terminal modes.

use super::ioctl::{self, GET_SIZE, Number, PTY_LOCK, SET_SIZE};
use super::{Result, new_fd};
use std::os::fd::{AsFd, OwnedFd};

/// Unlocks the other side of the pty whose master this is (TIOCSPTLCK). nix's `unlockpt`
/// wants a master that it has opened itself.
pub fn unlock(master: impl AsFd) -> Result<()> {
    ioctl::pointer(master, PTY_LOCK, &mut 0)
}

/// Opens the other side of a master without any path (TIOCGPTPEER, since 4.13).
pub fn peer(master: impl AsFd) -> Result<OwnedFd> {
    let flags = libc::O_RDWR | libc::O_NOCTTY | libc::O_CLOEXEC;
    new_fd(ioctl::number(master, Number::PtyPeer, flags)?.into())
}

/// Makes the terminal the controlling one of the calling session's leader (TIOCSCTTY),
/// unless it is another session's.
pub fn set_controlling(tty: impl AsFd) -> Result<()> {
    ioctl::number(tty, Number::ControllingTerminal, 0).map(drop)
}

/// Sets the window size in characters (TIOCSWINSZ).
pub fn set_size(tty: impl AsFd, rows: u16, columns: u16) -> Result<()> {
    let mut size = libc::winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    ioctl::pointer(tty, SET_SIZE, &mut size)
}

/// Copies the window size of one terminal to another.
pub fn copy_size(from: impl AsFd, to: impl AsFd) -> Result<()> {
    let mut size = libc::winsize { ws_row: 0, ws_col: 0, ws_xpixel: 0, ws_ypixel: 0 };
    ioctl::pointer(from, GET_SIZE, &mut size)?;
    ioctl::pointer(to, SET_SIZE, &mut size)
}
