// SPDX-License-Identifier: Apache-2.0
//! Descriptors that tokio waits for.

use super::result::Result;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags};
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::task::{Context, Poll, ready};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// A descriptor that is registered with the runtime of tokio that the calling task runs in.
#[derive(Debug)]
pub struct Watched {
    fd: AsyncFd<OwnedFd>,
    interest: Interest,
}

impl Watched {
    /// Registers a descriptor to be waited for until it is readable, writable or both. Errors:
    /// EPERM: epoll(7) does not take files of this kind; ENOSPC, ENOMEM.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime, or in one that has I/O disabled.
    pub fn new(fd: OwnedFd, interest: Interest) -> io::Result<Self> {
        // SAFETY: the `AsyncFd` owns the descriptor, which is always the same number, and no method
        // of this type gives it away or lets it be replaced. So it stays open, and the same file.
        let fd = unsafe { AsyncFd::register_with_interest(fd, interest) }?;
        Ok(Watched { fd, interest })
    }

    /// Registers the descriptor anew. tokio never forgets a hangup, but the other side of a pipe or
    /// of a terminal may be opened again. Without this, a read that then finds nothing would be
    /// repeated without a pause (tokio#4549).
    fn renew(&mut self) -> io::Result<()> {
        *self = Watched::new(self.fd.get_ref().try_clone()?, self.interest)?;
        Ok(())
    }

    /// Waits until the descriptor is ready for `interest`. May return too early, for a wait that has
    /// been given up.
    pub async fn ready(&mut self, interest: Interest) -> io::Result<()> {
        self.fd.ready(interest).await?.clear_ready();
        Ok(())
    }

    /// Calls `read` each time that the descriptor is readable, until it returns an error other than
    /// [`io::ErrorKind::WouldBlock`], or a value.
    pub fn poll_read<T>(
        &mut self,
        context: &mut Context<'_>,
        mut read: impl FnMut(&OwnedFd) -> io::Result<T>,
    ) -> Poll<io::Result<T>> {
        loop {
            let mut guard = ready!(self.fd.poll_read_ready(context))?;
            let hung_up = guard.ready().is_read_closed();
            if let Ok(result) = guard.try_io(|fd| read(fd.get_ref())) {
                return Poll::Ready(result);
            }
            if hung_up {
                self.renew()?;
            }
        }
    }

    /// Does for writing what [`poll_read`](Self::poll_read) does for reading.
    pub fn poll_write<T>(
        &mut self,
        context: &mut Context<'_>,
        mut write: impl FnMut(&OwnedFd) -> io::Result<T>,
    ) -> Poll<io::Result<T>> {
        loop {
            let mut guard = ready!(self.fd.poll_write_ready(context))?;
            let hung_up = guard.ready().is_write_closed();
            if let Ok(result) = guard.try_io(|fd| write(fd.get_ref())) {
                return Poll::Ready(result);
            }
            if hung_up {
                self.renew()?;
            }
        }
    }
}

/// Returns a descriptor that poll(2) finds readable when one of the two is: an instance of epoll(7).
/// EPERM: epoll does not take files of this kind.
pub fn either_readable(one: BorrowedFd<'_>, other: BorrowedFd<'_>) -> Result<OwnedFd> {
    let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
    for fd in [one, other] {
        epoll.add(fd, EpollEvent::new(EpollFlags::EPOLLIN, 0))?;
    }
    Ok(epoll.0)
}
