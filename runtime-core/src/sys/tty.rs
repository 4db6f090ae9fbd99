// SPDX-License-Identifier: Apache-2.0
//! Pseudoterminals and terminal modes.

use super::{Result, check_int, new_fd};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

/// `int isatty(int fd)`
pub(crate) fn is_terminal(fd: impl AsFd) -> bool {
    // SAFETY: isatty only asks (TCGETS).
    unsafe { libc::isatty(fd.as_fd().as_raw_fd()) == 1 }
}

/// Unlocks the other side of the pty whose master this is (TIOCSPTLCK).
pub(crate) fn unlock(master: impl AsFd) -> Result<()> {
    let unlock: libc::c_int = 0;
    // SAFETY: TIOCSPTLCK reads an int.
    check_int(unsafe { libc::ioctl(master.as_fd().as_raw_fd(), libc::TIOCSPTLCK, &raw const unlock) })
        .map(drop)
}

/// Opens the other side of a master without any path (TIOCGPTPEER, since 4.13).
pub(crate) fn peer(master: impl AsFd) -> Result<OwnedFd> {
    let flags = libc::O_RDWR | libc::O_NOCTTY | libc::O_CLOEXEC;
    // SAFETY: TIOCGPTPEER takes open flags and returns a new descriptor.
    new_fd(libc::c_long::from(unsafe { libc::ioctl(master.as_fd().as_raw_fd(), libc::TIOCGPTPEER, flags) }))
}

/// Makes the terminal the controlling one of the calling session's leader (TIOCSCTTY).
pub(crate) fn set_controlling(tty: impl AsFd) -> Result<()> {
    // SAFETY: TIOCSCTTY takes an int; 0 does not steal it from another session.
    check_int(unsafe { libc::ioctl(tty.as_fd().as_raw_fd(), libc::TIOCSCTTY, 0) }).map(drop)
}

/// Sets the window size in characters (TIOCSWINSZ).
pub(crate) fn set_size(tty: impl AsFd, rows: u16, columns: u16) -> Result<()> {
    let size = libc::winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: TIOCSWINSZ reads a winsize.
    check_int(unsafe { libc::ioctl(tty.as_fd().as_raw_fd(), libc::TIOCSWINSZ, &raw const size) }).map(drop)
}

/// Copies the window size of one terminal to another.
pub(crate) fn copy_size(from: impl AsFd, to: impl AsFd) -> Result<()> {
    let mut size = MaybeUninit::<libc::winsize>::zeroed();
    // SAFETY: TIOCGWINSZ writes a winsize.
    check_int(unsafe { libc::ioctl(from.as_fd().as_raw_fd(), libc::TIOCGWINSZ, size.as_mut_ptr()) })?;
    // SAFETY: TIOCSWINSZ reads the winsize that was just filled.
    check_int(unsafe { libc::ioctl(to.as_fd().as_raw_fd(), libc::TIOCSWINSZ, size.as_ptr()) }).map(drop)
}
