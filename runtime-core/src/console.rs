// SPDX-License-Identifier: Apache-2.0
//! The caller's side of a container's terminal.
//!
//! With `process.terminal`, the container's process opens a pseudoterminal in the container's
//! own devpts and sends the master through the socket given to
//! [`ContainerBuilder::console`](crate::ContainerBuilder::console). The process that holds the master is the terminal.

use crate::error::{Context, Error, ErrorKind, Result};
use nix::sys::socket::SockType;
use runtime_sys::{socket, tty};
use std::os::fd::{AsFd, OwnedFd};

/// Makes a connected pair of sockets: one for [`ContainerBuilder::console`](crate::ContainerBuilder::console),
/// one to [`receive`] from.
pub fn socket_pair() -> Result<(OwnedFd, OwnedFd)> {
    socket::pair(SockType::Stream).context(|| "socketpair")
}

/// Receives the master of a terminal: one message with a name and exactly one descriptor,
/// as runc sends it.
pub fn receive(socket: impl AsFd) -> Result<OwnedFd> {
    let mut name = [0; 4096];
    match socket::recv_fd(socket, &mut name).context(|| "receiving the terminal")? {
        (1.., Some(master)) => Ok(master),
        _ => Err(Error::new(ErrorKind::Setup, "receiving the terminal: no descriptor came")),
    }
}

/// Gives the terminal `to` the window size of the terminal `from`.
pub fn copy_size(from: impl AsFd, to: impl AsFd) -> Result<()> {
    tty::copy_size(from, to).context(|| "ioctl(TIOCSWINSZ)")
}
