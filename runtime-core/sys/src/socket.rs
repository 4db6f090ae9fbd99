// SPDX-License-Identifier: Apache-2.0
//! Unix sockets: the channel to the child, and messages with descriptors.
//!
//! nix's `sendmsg` makes the control message on the heap, and its `recvmsg` returns descriptors
//! in a list on the heap. The child may use neither, so messages are made here.

use super::fd::again;
use super::result::{Result, check, new_fd};
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

/// `int connect(int fd, const struct sockaddr_un *address, socklen_t length)`: connects to a
/// path of any length or, with a leading NUL, to an abstract name. Parent only (heap).
///
/// Errors: EAGAIN (the socket is non-blocking, and the listener's backlog is full),
/// ENAMETOOLONG (the abstract name has more than 107 bytes).
pub fn connect(socket: impl AsFd, address: &[u8]) -> Result<()> {
    let socket = socket.as_fd().as_raw_fd();
    if let [0, name @ ..] = address {
        return nix::sys::socket::connect(socket, &UnixAddr::new_abstract(name)?);
    }
    // sun_path of unix(7) has 108 bytes, one of which is for the terminating NUL.
    if address.len() < 108 {
        return nix::sys::socket::connect(socket, &UnixAddr::new(address)?);
    }
    let path = std::ffi::CString::new(address).map_err(|_nul| Errno::EINVAL)?;
    let file = super::fd::open_follow(super::fd::CWD, &path, libc::O_PATH, 0)?;
    let link = format!("/proc/self/fd/{}", file.as_raw_fd());
    nix::sys::socket::connect(socket, &UnixAddr::new(link.as_bytes())?)
}

/// Opens a connection to an address of [`connect`]. EAGAIN: the listener's backlog was full
/// for the time of `patience`. Parent only (heap).
pub fn connect_within(address: &[u8], patience: Duration) -> Result<OwnedFd> {
    let socket = stream(SockFlag::empty())?;
    let time = TimeVal::new(patience.as_secs() as _, patience.subsec_micros().into());
    setsockopt(&socket, sockopt::SendTimeout, &time)?;
    connect(&socket, address)?;
    Ok(socket)
}

/// A control message (cmsg(3)) with one `T`, in the kernel's layout. C libraries declare the
/// length with different types, but in the same place.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
struct Control<T> {
    /// The length of the header and `T`, without the padding behind `T`.
    length: usize,
    level: libc::c_int,
    kind: libc::c_int,
    data: T,
}

impl<T> Control<T> {
    /// CMSG_LEN of cmsg(3). It leaves out the padding behind `data`, because the kernel would
    /// use that for another descriptor.
    const LENGTH: usize = std::mem::offset_of!(Self, data) + size_of::<T>();

    fn new(kind: libc::c_int, data: T) -> Self {
        Control { length: Self::LENGTH, level: libc::SOL_SOCKET, kind, data }
    }

    /// Returns the data, if the kernel has written a whole message of that kind.
    fn of_kind(self, kind: libc::c_int) -> Option<T> {
        let is_whole = self.length == Self::LENGTH;
        (is_whole && self.level == libc::SOL_SOCKET && self.kind == kind).then_some(self.data)
    }
}

/// The data of a control message.
///
/// # Safety
///
/// Any bytes must be a valid value of the type, because the kernel writes them.
unsafe trait Data: Copy {}

// SAFETY: any bytes are a valid integer.
unsafe impl Data for RawFd {}
// SAFETY: the struct has three integers and no padding.
unsafe impl Data for libc::ucred {}

/// Returns a `struct msghdr` with one piece of payload and `control`. It points to both.
fn header<T>(payload: &mut libc::iovec, control: &mut Control<T>) -> libc::msghdr {
    // SAFETY: zeros are a valid msghdr: null pointers and lengths of 0. (It cannot be written as a
    // struct: some C libraries have named padding in it.)
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_iov = payload;
    message.msg_iovlen = 1;
    message.msg_control = std::ptr::from_mut(control).cast();
    message.msg_controllen = Control::<T>::LENGTH as _;
    message
}

/// `ssize_t sendmsg(int fd, const struct msghdr *msg, MSG_NOSIGNAL)`: sends `payload`
/// with one SCM_RIGHTS message that carries one descriptor.
pub fn send_fd(socket: impl AsFd, payload: &[u8], fd: impl AsFd) -> Result<usize> {
    let mut control = Control::new(libc::SCM_RIGHTS, fd.as_fd().as_raw_fd());
    let mut payload = libc::iovec { iov_base: payload.as_ptr().cast_mut().cast(), iov_len: payload.len() };
    let message = header(&mut payload, &mut control);
    // SAFETY: `payload` and `control` outlive the call and have the lengths in the message. The
    // kernel only reads them, so it may have a mutable pointer to the payload.
    let sent = unsafe { libc::sendmsg(socket.as_fd().as_raw_fd(), &raw const message, libc::MSG_NOSIGNAL) };
    check(sent as libc::c_long).map(|n| n as usize)
}

/// `ssize_t recvmsg(int fd, struct msghdr *msg, MSG_CMSG_CLOEXEC | flags)`: tries again after
/// EINTR. Returns the number of bytes of payload (0: end of file), and the data of the control
/// message, if one of that kind came.
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
        // SAFETY: `payload` and `control` outlive the call, are borrowed exclusively, and have the
        // lengths in the message. Any bytes are a valid `T`, by the contract of `Data`.
        let n =
            unsafe { libc::recvmsg(socket.as_raw_fd(), &raw mut message, flags | libc::MSG_CMSG_CLOEXEC) };
        check(n as libc::c_long)
    })?;
    Ok((n as usize, control.of_kind(kind)))
}

/// `ssize_t recvmsg(int fd, struct msghdr *msg, MSG_CMSG_CLOEXEC)`: returns the number
/// of bytes of payload (0: end of file), and the descriptor, if one came.
pub fn recv_fd(socket: impl AsFd, payload: &mut [u8]) -> Result<(usize, Option<OwnedFd>)> {
    recv_fd_with(socket.as_fd(), payload, 0)
}

/// Receives a message as [`recv_fd`] does, but does not wait (MSG_DONTWAIT). EAGAIN: none has come.
pub fn try_recv_fd(socket: impl AsFd, payload: &mut [u8]) -> Result<(usize, Option<OwnedFd>)> {
    recv_fd_with(socket.as_fd(), payload, libc::MSG_DONTWAIT)
}

fn recv_fd_with(
    socket: BorrowedFd<'_>,
    payload: &mut [u8],
    flags: libc::c_int,
) -> Result<(usize, Option<OwnedFd>)> {
    let (n, number): (_, Option<RawFd>) = receive(socket, payload, flags, libc::SCM_RIGHTS, -1)?;
    // The kernel has made this descriptor for the message, so it has no other owner.
    Ok((n, number.map(|number| new_fd(number.into())).transpose()?))
}

/// `int setsockopt(int fd, SOL_SOCKET, SO_SNDBUF, 1)`: sets the send buffer to the kernel's
/// minimum, which holds about six messages with a descriptor.
pub fn shrink_send_buffer(socket: impl AsFd) -> Result<()> {
    setsockopt(&socket, sockopt::SndBuf, &1)
}

/// Makes the kernel add the sender's credentials to each message to this socket (SO_PASSCRED),
/// for [`recv_from`].
pub fn name_senders(socket: impl AsFd) -> Result<()> {
    setsockopt(&socket, sockopt::PassCred, &true)
}

/// `ssize_t recvmsg(int fd, struct msghdr *msg, MSG_CMSG_CLOEXEC)`: receives a message with
/// SCM_CREDENTIALS. Returns the number of bytes of payload (0: end of file), and the sender's
/// pid, 0 without credentials. A sender can give another process's pid only with
/// CAP_SYS_ADMIN, and only that of a process in its pid namespace (unix(7)). Descriptors in
/// the message are dropped.
pub fn recv_from(socket: impl AsFd, payload: &mut [u8]) -> Result<(usize, i32)> {
    let nobody = libc::ucred { pid: 0, uid: 0, gid: 0 };
    let (n, sender) = receive(socket.as_fd(), payload, 0, libc::SCM_CREDENTIALS, nobody)?;
    Ok((n, sender.map_or(0, |sender| sender.pid)))
}

/// `ssize_t send(int fd, const void *buf, size_t len, MSG_NOSIGNAL)`: fails with EPIPE,
/// without SIGPIPE, if the other end is closed.
pub fn send(socket: impl AsFd, payload: &[u8]) -> Result<usize> {
    nix::sys::socket::send(socket.as_fd().as_raw_fd(), payload, MsgFlags::MSG_NOSIGNAL)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fd;
    use nix::sys::socket::{ControlMessage, sendmsg};

    /// Sends two descriptors in one message.
    fn send_two(socket: impl AsFd, fds: [RawFd; 2]) {
        let payload = [std::io::IoSlice::new(b"x")];
        let rights = [ControlMessage::ScmRights(&fds)];
        let socket = socket.as_fd().as_raw_fd();
        let sent = sendmsg::<()>(socket, &payload, &rights, MsgFlags::empty(), None);
        assert_eq!(sent, Ok(1));
    }

    #[test]
    fn a_path_of_any_length_can_be_connected_to() {
        let dir = tempfile::tempdir().unwrap();
        let deep = dir.path().join("d".repeat(100));
        std::fs::create_dir(&deep).unwrap();
        let path = deep.join("n".repeat(200));
        let parent = fd::open_follow(fd::CWD, &crate::c_path(&deep), libc::O_PATH, 0).unwrap();
        // bind(2) has the same limit, so the socket is made with a short name and renamed.
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
        // The pipe has ended, so no copy of its write end is open.
        assert_eq!(fd::poll(&reader, libc::POLLIN, 5000).unwrap() & libc::POLLHUP, libc::POLLHUP);
    }
}
