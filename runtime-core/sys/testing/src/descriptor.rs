// SPDX-License-Identifier: Apache-2.0
//! Files and descriptors.

use nix::NixPath;
use nix::Result;
use nix::errno::Errno;
use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg};
use std::io::IoSliceMut;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};

/// Receives one message of at most 8 KiB and 8 descriptors. No bytes mean the end.
pub fn receive(socket: impl AsFd) -> Result<(Vec<u8>, Vec<OwnedFd>)> {
    let mut bytes = vec![0; 8192];
    let mut iov = [IoSliceMut::new(&mut bytes)];
    let mut control = nix::cmsg_space!([RawFd; 8]);
    let socket = socket.as_fd().as_raw_fd();
    let message = recvmsg::<()>(socket, &mut iov, Some(&mut control), MsgFlags::MSG_CMSG_CLOEXEC)?;
    let mut descriptors = Vec::new();
    for part in message.cmsgs()? {
        let ControlMessageOwned::ScmRights(fds) = part else { continue };
        // SAFETY: the kernel has made these descriptors for the message, so they have no other owner.
        descriptors.extend(fds.into_iter().map(|fd| unsafe { OwnedFd::from_raw_fd(fd) }));
    }
    let length = message.bytes;
    bytes.truncate(length);
    Ok((bytes, descriptors))
}

/// `int renameat2(AT_FDCWD, const char *from, AT_FDCWD, const char *to, unsigned flags)`. nix has it
/// for glibc alone.
pub fn rename(from: &str, to: &str, flags: u32) -> Result<()> {
    let at = libc::AT_FDCWD;
    let call = from.with_nix_path(|from| {
        to.with_nix_path(|to| {
            // SAFETY: both paths are C strings, and the kernel only reads them.
            unsafe { libc::syscall(libc::SYS_renameat2, at, from.as_ptr(), at, to.as_ptr(), flags) }
        })
    })??;
    Errno::result(call).map(drop)
}

/// `int mount_setattr(int fd, "", AT_EMPTY_PATH, ...)`: clears MOUNT_ATTR_RDONLY of the mount that a
/// descriptor is on, which another process with the same descriptor table may have opened.
pub fn make_mount_writable(fd: RawFd) -> Result<()> {
    let attributes =
        libc::mount_attr { attr_set: 0, attr_clr: libc::MOUNT_ATTR_RDONLY, propagation: 0, userns_fd: 0 };
    let size = size_of_val(&attributes);
    // SAFETY: the path is a C string. `attributes` is a whole struct mount_attr, of the size that is
    // passed, and the kernel only reads it.
    let result = unsafe {
        let (path, flags) = (c"".as_ptr(), libc::AT_EMPTY_PATH);
        libc::syscall(libc::SYS_mount_setattr, fd, path, flags, &raw const attributes, size)
    };
    Errno::result(result).map(drop)
}
