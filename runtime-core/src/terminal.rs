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
                Err(Error::new(ErrorKind::Setup, "receiving the terminal: no descriptor was sent"))
            }
            Err(errno) => Err(errno).context(|| "receiving the terminal"),
        }
    }

    /// Sets the window size, in characters. The foreground process group gets SIGWINCH if this
    /// changes the size. Errors: those of TIOCSWINSZ (ioctl_tty(2)).
    pub fn resize(&self, rows: u16, columns: u16) -> Result<()> {
        tty::set_size(&self.0, rows, columns).context(|| "ioctl(TIOCSWINSZ)")
    }

    /// Returns the window size: rows and columns, in characters. Errors: those of TIOCGWINSZ
    /// (ioctl_tty(2)).
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

#[cfg(feature = "tokio")]
pub use asynchronous::AsyncTerminal;

#[cfg(feature = "tokio")]
mod asynchronous {
    use super::Terminal;
    use crate::error::{Context, Error, Result};
    use runtime_sys::async_fd::Watched;
    use runtime_sys::fd;
    use std::io;
    use std::pin::Pin;
    use std::task::{self, Poll};
    use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};

    /// A [`Terminal`] that is read and written in the event loop of tokio.
    #[derive(Debug)]
    pub struct AsyncTerminal {
        terminal: Terminal,
        watched: Watched,
    }

    impl Terminal {
        /// Registers the terminal with tokio, and sets O_NONBLOCK. Errors: those of fcntl(2), dup(2)
        /// and epoll_ctl(2).
        ///
        /// # Panics
        ///
        /// Outside of a tokio runtime with I/O.
        pub fn into_async(self) -> Result<AsyncTerminal> {
            fd::set_nonblocking(&self.0).context(|| "fcntl(F_SETFL)")?;
            let copy = self.0.try_clone().map_err(|error| Error::io(&error, "dup"))?;
            let watched = Watched::new(copy, Interest::READABLE | Interest::WRITABLE);
            let watched = watched.map_err(|error| Error::io(&error, "epoll_ctl"))?;
            Ok(AsyncTerminal { terminal: self, watched })
        }
    }

    impl AsyncTerminal {
        /// Returns the terminal, for its window size.
        pub fn get(&self) -> &Terminal {
            &self.terminal
        }
    }

    impl AsyncRead for AsyncTerminal {
        fn poll_read(
            self: Pin<&mut Self>,
            context: &mut task::Context<'_>,
            buf: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            let this = self.get_mut();
            let piece = buf.initialize_unfilled();
            let read = this.watched.poll_read(context, |_| io::Read::read(&mut &this.terminal, piece));
            read.map_ok(|length| buf.advance(length))
        }
    }

    impl AsyncWrite for AsyncTerminal {
        fn poll_write(
            self: Pin<&mut Self>,
            context: &mut task::Context<'_>,
            buf: &[u8],
        ) -> Poll<io::Result<usize>> {
            let this = self.get_mut();
            this.watched.poll_write(context, |_| io::Write::write(&mut &this.terminal, buf))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut task::Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut task::Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }
}
