// SPDX-License-Identifier: Apache-2.0
//! The other side of `--console-socket`.

use super::messages::receive;
use crate::{Doing, Result};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

/// A socket that a runtime sends the master of a terminal to.
#[derive(Debug)]
pub struct ConsoleSocket {
    dir: tempfile::TempDir,
    listener: UnixListener,
}

impl ConsoleSocket {
    /// Makes it, and listens.
    pub fn new() -> Result<Self> {
        let dir = tempfile::tempdir().doing("temporary directory")?;
        let listener = UnixListener::bind(dir.path().join("tty.sock")).doing("bind")?;
        listener.set_nonblocking(true).doing("fcntl")?;
        Ok(ConsoleSocket { dir, listener })
    }

    /// For the flag.
    pub fn path(&self) -> PathBuf {
        Path::join(self.dir.path(), "tty.sock")
    }

    /// The master, if a runtime has connected and sent it.
    pub fn receive(&self) -> Result<OwnedFd> {
        let (stream, _) = self.listener.accept().doing("accept")?;
        stream.set_nonblocking(false).doing("fcntl")?;
        let (_, descriptors) = receive(&stream).doing("recvmsg")?;
        descriptors.into_iter().next().ok_or_else(|| "no descriptor came with the message".to_owned())
    }
}
