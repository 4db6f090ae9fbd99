// SPDX-License-Identifier: Apache-2.0
//! The receiver of `--console-socket`.

use crate::result::{Doing, Result};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use sys_testing::descriptor::receive;

/// A socket to which a runtime sends the master of a terminal.
#[derive(Debug)]
pub struct ConsoleSocket {
    dir: tempfile::TempDir,
    listener: UnixListener,
}

impl ConsoleSocket {
    /// Listens on a new socket.
    pub fn new() -> Result<Self> {
        let dir = tempfile::tempdir().doing("temporary directory")?;
        let listener = UnixListener::bind(dir.path().join("tty.sock")).doing("bind")?;
        listener.set_nonblocking(true).doing("fcntl")?;
        Ok(ConsoleSocket { dir, listener })
    }

    /// Returns the path, for the flag.
    pub fn path(&self) -> PathBuf {
        Path::join(self.dir.path(), "tty.sock")
    }

    /// Returns the master, if a runtime has connected and sent it.
    pub fn receive(&self) -> Result<OwnedFd> {
        let (stream, _) = self.listener.accept().doing("accept")?;
        stream.set_nonblocking(false).doing("fcntl")?;
        let (_, descriptors) = receive(&stream).doing("recvmsg")?;
        descriptors.into_iter().next().ok_or_else(|| "no descriptor came with the message".to_owned())
    }
}
