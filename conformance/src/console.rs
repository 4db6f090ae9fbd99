// SPDX-License-Identifier: Apache-2.0
//! The other side of `--console-socket`.

use crate::{Doing, Result};
use nix::cmsg_space;
use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg};
use std::io::IoSliceMut;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
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
        let mut name = [0; 4096];
        let mut space = cmsg_space!([i32; 1]);
        let mut buffers = [IoSliceMut::new(&mut name)];
        let message =
            recvmsg::<()>(stream.as_raw_fd(), &mut buffers, Some(&mut space), MsgFlags::MSG_CMSG_CLOEXEC)
                .doing("recvmsg")?;
        for part in message.cmsgs().doing("recvmsg")? {
            if let ControlMessageOwned::ScmRights(fds) = part
                && let [fd] = fds.as_slice()
            {
                #[allow(unsafe_code)]
                // SAFETY: the kernel has just given us this descriptor, and nobody else knows it.
                return Ok(unsafe { OwnedFd::from_raw_fd(*fd) });
            }
        }
        Err("no descriptor came with the message".to_owned())
    }
}
