// SPDX-License-Identifier: Apache-2.0
//! Descriptors that tokio waits for.

use std::io;
use std::os::fd::OwnedFd;
use std::task::{Context, Poll, ready};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// A descriptor that is registered with the runtime of tokio that the calling task runs in.
#[derive(Debug)]
pub struct Watched(AsyncFd<OwnedFd>);

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
        Ok(Watched(unsafe { AsyncFd::register_with_interest(fd, interest) }?))
    }

    /// Returns the descriptor.
    pub fn get(&self) -> &OwnedFd {
        self.0.get_ref()
    }

    /// Waits until the descriptor is ready for `interest`. May return too early, for a wait that has
    /// been given up.
    pub async fn ready(&self, interest: Interest) -> io::Result<()> {
        self.0.ready(interest).await?.clear_ready();
        Ok(())
    }

    /// Calls `read` each time that the descriptor is readable, until it returns an error other than
    /// [`io::ErrorKind::WouldBlock`], or a value.
    pub fn poll_read<T>(
        &self,
        context: &mut Context<'_>,
        mut read: impl FnMut(&OwnedFd) -> io::Result<T>,
    ) -> Poll<io::Result<T>> {
        loop {
            let mut guard = ready!(self.0.poll_read_ready(context))?;
            if let Ok(result) = guard.try_io(|fd| read(fd.get_ref())) {
                return Poll::Ready(result);
            }
        }
    }

    /// Does for writing what [`poll_read`](Self::poll_read) does for reading.
    pub fn poll_write<T>(
        &self,
        context: &mut Context<'_>,
        mut write: impl FnMut(&OwnedFd) -> io::Result<T>,
    ) -> Poll<io::Result<T>> {
        loop {
            let mut guard = ready!(self.0.poll_write_ready(context))?;
            if let Ok(result) = guard.try_io(|fd| write(fd.get_ref())) {
                return Poll::Ready(result);
            }
        }
    }
}
