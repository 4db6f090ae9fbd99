// SPDX-License-Identifier: Apache-2.0
//! Pseudoterminals, controlling terminals and window sizes.

use super::ioctl::{self, GET_SIZE, Number, PTY_LOCK, SET_SIZE};
use super::result::{Result, new_fd};
use std::os::fd::{AsFd, OwnedFd};

/// Unlocks the other side of the pty with this master (TIOCSPTLCK). nix's `unlockpt` accepts
/// only a master that nix has opened.
pub fn unlock(master: impl AsFd) -> Result<()> {
    ioctl::pointer(master, PTY_LOCK, &mut 0)
}

/// Opens the other side of the pty with this master, without a path (TIOCGPTPEER, since 4.13).
pub fn peer(master: impl AsFd) -> Result<OwnedFd> {
    let flags = libc::O_RDWR | libc::O_NOCTTY | libc::O_CLOEXEC;
    new_fd(ioctl::number(master, Number::PtyPeer, flags)?.into())
}

/// Makes the terminal the controlling terminal of the caller's session, whose leader the caller
/// must be (TIOCSCTTY). EPERM: the terminal is another session's controlling terminal.
pub fn set_controlling(tty: impl AsFd) -> Result<()> {
    ioctl::number(tty, Number::ControllingTerminal, 0).map(drop)
}

/// Sets the window size in characters (TIOCSWINSZ).
pub fn set_size(tty: impl AsFd, rows: u16, columns: u16) -> Result<()> {
    let mut size = libc::winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    ioctl::pointer(tty, SET_SIZE, &mut size)
}

/// Returns the window size in characters: rows and columns (TIOCGWINSZ).
pub fn size(tty: impl AsFd) -> Result<(u16, u16)> {
    let mut size = libc::winsize { ws_row: 0, ws_col: 0, ws_xpixel: 0, ws_ypixel: 0 };
    ioctl::pointer(tty, GET_SIZE, &mut size)?;
    Ok((size.ws_row, size.ws_col))
}

/// Copies the window size of one terminal to another.
pub fn copy_size(from: impl AsFd, to: impl AsFd) -> Result<()> {
    let mut size = libc::winsize { ws_row: 0, ws_col: 0, ws_xpixel: 0, ws_ypixel: 0 };
    ioctl::pointer(from, GET_SIZE, &mut size)?;
    ioctl::pointer(to, SET_SIZE, &mut size)
}
