// SPDX-License-Identifier: Apache-2.0
//! Unix sockets: the channel to the child, and descriptors as messages.
//!
//! Messages are not nix's: its `sendmsg` makes the control message on the heap, and its
//! `recvmsg` gives descriptors as a list there, neither of which the child may.

use super::fd::again;
use super::{Result, check, new_fd};
use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockType, UnixAddr, setsockopt, socket, socketpair, sockopt,
};
use nix::sys::time::TimeVal;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::time::Duration;

/// `int socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, int sv[2])`
pub fn pair(kind: SockType) -> Result<(OwnedFd, OwnedFd)> {
    socketpair(AddressFamily::Unix, kind, None, SockFlag::SOCK_CLOEXEC)
}

/// `int socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | flags, 0)`
pub fn stream(flags: SockFlag) -> Result<OwnedFd> {
    socket(AddressFamily::Unix, SockType::Stream, flags | SockFlag::SOCK_CLOEXEC, None)
}

/// `int connect(int fd, const struct sockaddr_un *address, socklen_t length)`, to a path
/// of any length or, with a leading NUL, to an abstract name. Parent only (heap).
///
/// Errors: EAGAIN (the socket does not wait, and the other end takes no more
/// connections), ENAMETOOLONG (an abstract name of more than 107 bytes).
pub fn connect(socket: impl AsFd, address: &[u8]) -> Result<()> {
    let socket = socket.as_fd().as_raw_fd();
    if let [0, name @ ..] = address {
        return nix::sys::socket::connect(socket, &UnixAddr::new_abstract(name)?);
    }
    // sun_path of unix(7), of which one byte is left for the terminating NUL.
    if address.len() < 108 {
        return nix::sys::socket::connect(socket, &UnixAddr::new(address)?);
    }
    let path = std::ffi::CString::new(address).map_err(|_nul| Errno::EINVAL)?;
    let file = super::fd::open_follow(super::fd::CWD, &path, libc::O_PATH, 0)?;
    let link = format!("/proc/self/fd/{}", file.as_raw_fd());
    nix::sys::socket::connect(socket, &UnixAddr::new(link.as_bytes())?)
}

/// A connection to `address`, as [`connect`] takes it. If the other end takes no more
/// connections, EAGAIN comes after `patience`.
pub fn connect_within(address: &[u8], patience: Duration) -> Result<OwnedFd> {
    let socket = stream(SockFlag::empty())?;
    let time = TimeVal::new(patience.as_secs() as _, patience.subsec_micros().into());
    setsockopt(&socket, sockopt::SendTimeout, &time)?;
    connect(&socket, address)?;
    Ok(socket)
}

/// A control message (cmsg(3)) with one `T`, laid out as the kernel has it: C libraries
/// declare the length differently, but in the same place.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
struct Control<T> {
    /// Of the header and `T`, without padding behind it.
    length: usize,
    level: libc::c_int,
    kind: libc::c_int,
    data: T,
}

impl<T> Control<T> {
    /// CMSG_LEN of cmsg(3): without the padding behind `data`, which has room for another
    /// descriptor.
    const LENGTH: usize = std::mem::offset_of!(Self, data) + size_of::<T>();

    fn new(kind: libc::c_int, data: T) -> Self {
        Control { length: Self::LENGTH, level: libc::SOL_SOCKET, kind, data }
    }

    /// The data, if the kernel has put a whole message of that kind in this place.
    fn of_kind(self, kind: libc::c_int) -> Option<T> {
        let is_whole = self.length == Self::LENGTH;
        (is_whole && self.level == libc::SOL_SOCKET && self.kind == kind).then_some(self.data)
    }
}

/// What a control message holds.
///
/// # Safety
///
/// Any bytes are a value of it: the kernel writes them.
unsafe trait Data: Copy {}

// SAFETY: an integer.
unsafe impl Data for RawFd {}
// SAFETY: three integers.
unsafe impl Data for libc::ucred {}

/// `struct msghdr` of one piece of payload and `control`.
fn header<T>(payload: &mut libc::iovec, control: &mut Control<T>) -> libc::msghdr {
    // SAFETY: a msghdr of zeros has no parts. Some C libraries' have padding, with a name.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_iov = payload;
    message.msg_iovlen = 1;
    message.msg_control = std::ptr::from_mut(control).cast();
    message.msg_controllen = Control::<T>::LENGTH as _;
    message
}

/// `ssize_t sendmsg(int fd, const struct msghdr *msg, MSG_NOSIGNAL)` of `payload`
/// with exactly one SCM_RIGHTS message that carries exactly one descriptor.
pub fn send_fd(socket: impl AsFd, payload: &[u8], fd: impl AsFd) -> Result<usize> {
    let mut control = Control::new(libc::SCM_RIGHTS, fd.as_fd().as_raw_fd());
    let mut payload = libc::iovec { iov_base: payload.as_ptr().cast_mut().cast(), iov_len: payload.len() };
    let message = header(&mut payload, &mut control);
    // SAFETY: all parts of the message outlive the call, which only reads them.
    let sent = unsafe { libc::sendmsg(socket.as_fd().as_raw_fd(), &raw const message, libc::MSG_NOSIGNAL) };
    check(sent as libc::c_long).map(|n| n as usize)
}

/// `ssize_t recvmsg(int fd, struct msghdr *msg, MSG_CMSG_CLOEXEC | flags)`, again after EINTR:
/// how many bytes of payload came (0: end of file), and what the one control message of that
/// kind held, if it came too.
fn receive<T: Data>(
    socket: BorrowedFd<'_>,
    payload: &mut [u8],
    flags: libc::c_int,
    kind: libc::c_int,
    nothing: T,
) -> Result<(usize, Option<T>)> {
    let mut control = Control { length: 0, level: 0, kind: 0, data: nothing };
    let mut payload = libc::iovec { iov_base: payload.as_mut_ptr().cast(), iov_len: payload.len() };
    let mut message = header(&mut payload, &mut control);
    let n = again(|| {
        // SAFETY: all parts of the message live on in this function, and have the lengths given.
        let n =
            unsafe { libc::recvmsg(socket.as_raw_fd(), &raw mut message, flags | libc::MSG_CMSG_CLOEXEC) };
        check(n as libc::c_long)
    })?;
    Ok((n as usize, control.of_kind(kind)))
}

/// `ssize_t recvmsg(int fd, struct msghdr *msg, MSG_CMSG_CLOEXEC)`: how many
/// bytes of payload came (0: end of file), and the descriptor, if one came too.
pub fn recv_fd(socket: impl AsFd, payload: &mut [u8]) -> Result<(usize, Option<OwnedFd>)> {
    recv_fd_with(socket.as_fd(), payload, 0)
}

/// As [`recv_fd`]: EAGAIN if there is nothing yet (MSG_DONTWAIT).
pub fn try_recv_fd(socket: impl AsFd, payload: &mut [u8]) -> Result<(usize, Option<OwnedFd>)> {
    recv_fd_with(socket.as_fd(), payload, libc::MSG_DONTWAIT)
}

fn recv_fd_with(
    socket: BorrowedFd<'_>,
    payload: &mut [u8],
    flags: libc::c_int,
) -> Result<(usize, Option<OwnedFd>)> {
    let (n, number): (_, Option<RawFd>) = receive(socket, payload, flags, libc::SCM_RIGHTS, -1)?;
    // The kernel has made this descriptor with the message.
    Ok((n, number.map(|number| new_fd(number.into())).transpose()?))
}

/// `int setsockopt(int fd, SOL_SOCKET, SO_SNDBUF, 1)`: the smallest buffer that the kernel
/// gives, which holds about six messages with a descriptor.
pub fn shrink_send_buffer(socket: impl AsFd) -> Result<()> {
    setsockopt(&socket, sockopt::SndBuf, &1)
}

/// Lets the kernel say who has sent each message to this socket (SO_PASSCRED), for
/// [`recv_from`].
pub fn name_senders(socket: impl AsFd) -> Result<()> {
    setsockopt(&socket, sockopt::PassCred, &true)
}

/// `ssize_t recvmsg(int fd, struct msghdr *msg, 0)` with SCM_CREDENTIALS: how many bytes
/// of payload came (0: end of file), and the pid of the process that has sent them. No
/// process can name another one, unless it has CAP_SYS_ADMIN and sees that one in its
/// pid namespace (unix(7)). Descriptors that come along are dropped.
pub fn recv_from(socket: impl AsFd, payload: &mut [u8]) -> Result<(usize, i32)> {
    let nobody = libc::ucred { pid: 0, uid: 0, gid: 0 };
    let (n, sender) = receive(socket.as_fd(), payload, 0, libc::SCM_CREDENTIALS, nobody)?;
    Ok((n, sender.map_or(0, |sender| sender.pid)))
}

/// `ssize_t send(int fd, const void *buf, size_t len, MSG_NOSIGNAL)`: EPIPE, not
/// SIGPIPE, if the other end is closed.
pub fn send(socket: impl AsFd, payload: &[u8]) -> Result<usize> {
    nix::sys::socket::send(socket.as_fd().as_raw_fd(), payload, MsgFlags::MSG_NOSIGNAL)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fd;
    use nix::sys::socket::{ControlMessage, sendmsg};

    /// As [`send_fd`], with two descriptors in one message.
    fn send_two(socket: impl AsFd, fds: [RawFd; 2]) {
        let payload = [std::io::IoSlice::new(b"x")];
        let rights = [ControlMessage::ScmRights(&fds)];
        let socket = socket.as_fd().as_raw_fd();
        let sent = sendmsg::<()>(socket, &payload, &rights, MsgFlags::empty(), None);
        assert_eq!(sent, Ok(1));
    }

    #[test]
    fn a_path_of_any_length() {
        let dir = tempfile::tempdir().unwrap();
        let deep = dir.path().join("d".repeat(100));
        std::fs::create_dir(&deep).unwrap();
        let path = deep.join("n".repeat(200));
        let parent = fd::open_follow(fd::CWD, &crate::c_path(&deep), libc::O_PATH, 0).unwrap();
        // bind(2) has the same limit, and makes the file: by a short name, then.
        let short = format!("/proc/self/fd/{}/s", parent.as_raw_fd());
        let listener = std::os::unix::net::UnixListener::bind(short).unwrap();
        std::fs::rename(deep.join("s"), &path).unwrap();
        let socket = stream(SockFlag::empty()).unwrap();
        connect(&socket, path.as_os_str().as_encoded_bytes()).unwrap();
        listener.accept().unwrap();
        let missing = deep.join("m".repeat(200));
        assert_eq!(
            connect(stream(SockFlag::empty()).unwrap(), missing.as_os_str().as_encoded_bytes()),
            Err(Errno::ENOENT)
        );
    }

    #[test]
    fn one_descriptor_is_taken_and_no_other_comes() {
        let (ours, theirs) = pair(SockType::Stream).unwrap();
        let (reader, writer) = fd::pipe().unwrap();
        send_two(&theirs, [writer.as_raw_fd(), writer.as_raw_fd()]);
        drop(writer);
        let (n, received) = recv_fd(&ours, &mut [0; 8]).unwrap();
        assert_eq!(n, 1);
        drop(received.unwrap());
        // With the last copy of the writing end comes the end of the pipe.
        assert_eq!(fd::poll(&reader, libc::POLLIN, 5000).unwrap() & libc::POLLHUP, libc::POLLHUP);
    }
}
