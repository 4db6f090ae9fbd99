// SPDX-License-Identifier: Apache-2.0
//! The caller's side of a container's terminal.

use crate::error::{Context, Error, ErrorKind, Result};
use nix::sys::socket::SockType;
use runtime_sys::{Errno, fd, socket, tty};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// The master of a container's pseudoterminal (pty(7)).
///
/// The container's process has opened it in the container's own devpts, and has sent it here. The
/// terminal hangs up when this value is dropped: the process gets SIGHUP.
///
/// Reading returns 0 bytes after the last process with the terminal has closed it. Reading and
/// writing block, unless the caller sets O_NONBLOCK.
#[derive(Debug)]
pub struct Terminal(OwnedFd);

impl Terminal {
    /// Makes a connected pair of sockets: the process sends the master to the first, for
    /// [`receive`](Self::receive) from the second.
    pub(crate) fn sockets() -> Result<(OwnedFd, OwnedFd)> {
        socket::pair(SockType::Stream).context(|| "socketpair")
    }

    /// Receives the master of a process that is ready, and has sent it: one message with a name and
    /// exactly one descriptor, as runc sends it. Does not wait.
    pub(crate) fn receive(from: &OwnedFd) -> Result<Self> {
        let mut name = [0; 4096];
        match socket::try_recv_fd(from, &mut name) {
            Ok((1.., Some(master))) => Ok(Terminal(master)),
            Ok(_) | Err(Errno::EAGAIN) => {
                Err(Error::new(ErrorKind::Setup, "receiving the terminal: no descriptor came"))
            }
            Err(errno) => Err(errno).context(|| "receiving the terminal"),
        }
    }

    /// Sets the window size, in characters. The foreground process group gets SIGWINCH if this
    /// changes the size.
    pub fn resize(&self, rows: u16, columns: u16) -> Result<()> {
        tty::set_size(&self.0, rows, columns).context(|| "ioctl(TIOCSWINSZ)")
    }

    /// Returns the window size: rows and columns, in characters.
    pub fn size(&self) -> Result<(u16, u16)> {
        tty::size(&self.0).context(|| "ioctl(TIOCGWINSZ)")
    }

    /// Sets the window size to that of the terminal `from`. ENOTTY: `from` is no terminal.
    pub fn copy_size(&self, from: impl AsFd) -> Result<()> {
        tty::copy_size(from, &self.0).context(|| "ioctl(TIOCSWINSZ)")
    }
}

impl Read for &Terminal {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match fd::read(&self.0, buf) {
            // The other side of the terminal is closed.
            Err(Errno::EIO) => Ok(0),
            other => Ok(other?),
        }
    }
}

impl Read for Terminal {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        (&*self).read(buf)
    }
}

impl Write for &Terminal {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        Ok(fd::write(&self.0, buf)?)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Write for Terminal {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        (&*self).write(buf)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl AsFd for Terminal {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl From<Terminal> for OwnedFd {
    fn from(terminal: Terminal) -> Self {
        terminal.0
    }
}
