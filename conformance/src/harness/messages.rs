// SPDX-License-Identifier: Apache-2.0
//! Messages of a Unix socket, with the descriptors that come with them (SCM_RIGHTS).

use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg};
use std::io::IoSliceMut;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;

/// Receives one message of at most 8 KiB and 8 descriptors. No bytes mean the end.
pub fn receive(stream: &UnixStream) -> nix::Result<(Vec<u8>, Vec<OwnedFd>)> {
    let mut bytes = vec![0; 8192];
    let mut iov = [IoSliceMut::new(&mut bytes)];
    let mut control = nix::cmsg_space!([RawFd; 8]);
    let flags = MsgFlags::MSG_CMSG_CLOEXEC;
    let message = recvmsg::<()>(stream.as_raw_fd(), &mut iov, Some(&mut control), flags)?;
    let mut descriptors = Vec::new();
    for part in message.cmsgs()? {
        let ControlMessageOwned::ScmRights(fds) = part else { continue };
        // SAFETY: the kernel has made these descriptors for us with the message.
        #[allow(unsafe_code)]
        descriptors.extend(fds.into_iter().map(|fd| unsafe { OwnedFd::from_raw_fd(fd) }));
    }
    let length = message.bytes;
    bytes.truncate(length);
    Ok((bytes, descriptors))
}
