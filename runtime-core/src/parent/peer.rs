// SPDX-License-Identifier: Apache-2.0
//! Programs that receive a part of the container through a socket of theirs: a terminal, a pidfd,
//! or the listener of a filter. Each may be slow, stuck or hostile, and the caller holds the
//! container's lock.

use crate::error::{Context, Error, Result};
use crate::watch::Watch;
use nix::sys::socket::SockFlag;
use runtime_sys::{Errno, fd, socket};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::{Duration, Instant};

/// The time that a peer may take to accept a connection and to read the message.
const PATIENCE: Duration = Duration::from_secs(10);
/// The pauses between attempts to connect to a peer whose backlog is full, in milliseconds. (A
/// blocking connect(2) waits for room, but cannot wait for other events as well.)
const PAUSES_MS: std::ops::RangeInclusive<i32> = 1..=50;

/// A connection to a peer.
#[derive(Debug)]
pub(crate) struct Peer<'a> {
    socket: OwnedFd,
    end: Instant,
    watch: Watch<'a>,
}

impl<'a> Peer<'a> {
    /// Connects to the AF_UNIX SOCK_STREAM socket at `path`.
    pub(crate) fn connect(path: &Path, watch: Watch<'a>) -> Result<Self> {
        let connect = || {
            let socket = socket::stream(SockFlag::SOCK_NONBLOCK).context(|| "socket")?;
            let peer = Peer { socket, end: Instant::now() + PATIENCE, watch };
            let mut pause_ms = *PAUSES_MS.start();
            loop {
                match socket::connect(&peer.socket, path.as_os_str().as_bytes()) {
                    Err(Errno::EAGAIN) => peer.wait("connect", None, pause_ms)?,
                    Err(errno @ (Errno::ENOENT | Errno::ECONNREFUSED)) => {
                        return Err(
                            Error::os(errno, "connect").with_hint("no program listens there: start it first")
                        );
                    }
                    other => return other.context(|| "connect").map(|()| peer),
                }
                pause_ms = (2 * pause_ms).min(*PAUSES_MS.end());
            }
        };
        connect().context(|| format!("dial unix {}", path.display()))
    }

    /// Sends all of `payload`, and `fd` with the first byte.
    pub(crate) fn send(&self, payload: &[u8], fd: impl AsFd) -> Result<()> {
        let sent = self.send_part(|| socket::send_fd(&self.socket, payload, &fd))?;
        let mut left = payload.get(sent..).unwrap_or_default();
        while !left.is_empty() {
            let sent = self.send_part(|| socket::send(&self.socket, left))?;
            left = left.get(sent..).unwrap_or_default();
        }
        Ok(())
    }

    fn send_part(&self, mut send: impl FnMut() -> runtime_sys::Result<usize>) -> Result<usize> {
        loop {
            match send() {
                Err(Errno::EAGAIN) => self.wait("send", Some(self.socket.as_fd()), i32::MAX)?,
                Err(Errno::EINTR) => {}
                other => return other.context(|| "send"),
            }
        }
    }

    /// Waits until there is room to write, for at most `at_most_ms`.
    fn wait(&self, call: &str, room: Option<BorrowedFd<'_>>, at_most_ms: i32) -> Result<()> {
        let left = self.end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            let hint = format!("the program that listens there has not reacted for {PATIENCE:?}");
            return Err(Error::os(Errno::ETIMEDOUT, call).with_hint(hint));
        }
        let wait_ms = i32::try_from(left.as_millis()).unwrap_or(i32::MAX).saturating_add(1).min(at_most_ms);
        let [process, cancel] = self.watch.entries();
        let [_, process, cancel] =
            fd::poll_many([room.map(|room| (room, libc::POLLOUT)), process, cancel], wait_ms)
                .context(|| "poll")?;
        Watch::check([process, cancel])
    }

    /// Returns the connection, which is non-blocking.
    pub(crate) fn into_socket(self) -> OwnedFd {
        self.socket
    }
}
