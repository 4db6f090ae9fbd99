// SPDX-License-Identifier: Apache-2.0
//! Unix sockets: the channel to the child, and descriptors as messages.

use super::{Result, check, check_int, new_fd};
use nix::errno::Errno;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::ptr;
use std::time::Duration;

/// `int socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, int sv[2])`
pub(crate) fn pair(kind: i32) -> Result<(OwnedFd, OwnedFd)> {
    let mut fds = [0; 2];
    // SAFETY: `fds` has room for two descriptors.
    check_int(unsafe { libc::socketpair(libc::AF_UNIX, kind | libc::SOCK_CLOEXEC, 0, fds.as_mut_ptr()) })?;
    Ok((new_fd(fds[0].into())?, new_fd(fds[1].into())?))
}

/// `int socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | flags, 0)`
pub(crate) fn stream(flags: i32) -> Result<OwnedFd> {
    let kind = libc::SOCK_STREAM | libc::SOCK_CLOEXEC | flags;
    // SAFETY: plain integers.
    new_fd(libc::c_long::from(unsafe { libc::socket(libc::AF_UNIX, kind, 0) }))
}

/// `int connect(int fd, const struct sockaddr_un *address, socklen_t length)`, to a path
/// of any length or, with a leading NUL, to an abstract name. Parent only (heap).
///
/// Errors: EAGAIN (the socket does not wait, and the other end takes no more
/// connections), ENAMETOOLONG (an abstract name of more than 107 bytes).
pub(crate) fn connect(socket: impl AsFd, address: &[u8]) -> Result<()> {
    // SAFETY: a sockaddr_un of zeros is an empty address.
    let mut name: libc::sockaddr_un = unsafe { std::mem::zeroed() };
    name.sun_family = libc::AF_UNIX as libc::sa_family_t;
    let file;
    let link;
    let mut bytes = address;
    let is_abstract = address.first() == Some(&0);
    // One byte is left for the terminating NUL.
    if bytes.len() >= name.sun_path.len() {
        if is_abstract {
            return Err(Errno::ENAMETOOLONG);
        }
        let path = std::ffi::CString::new(address).map_err(|_nul| Errno::EINVAL)?;
        file = super::fd::open_follow(super::fd::CWD, &path, libc::O_PATH, 0)?;
        link = format!("/proc/self/fd/{}", file.as_raw_fd());
        bytes = link.as_bytes();
    }
    for (to, from) in name.sun_path.iter_mut().zip(bytes) {
        *to = *from as libc::c_char;
    }
    // An abstract name is as long as the length says; a path may be shorter.
    let length = match is_abstract {
        true => std::mem::offset_of!(libc::sockaddr_un, sun_path) + bytes.len(),
        false => size_of::<libc::sockaddr_un>(),
    };
    // SAFETY: `name` is a whole sockaddr_un, and `length` not above its size.
    check_int(unsafe {
        libc::connect(socket.as_fd().as_raw_fd(), (&raw const name).cast(), length as libc::socklen_t)
    })
    .map(drop)
}

/// A connection to `address`, as [`connect`] takes it. If the other end takes no more
/// connections, EAGAIN comes after `patience`.
pub(crate) fn connect_within(address: &[u8], patience: Duration) -> Result<OwnedFd> {
    let socket = stream(0)?;
    let time = libc::timeval { tv_sec: patience.as_secs() as _, tv_usec: patience.subsec_micros() as _ };
    // SAFETY: `time` is a whole timeval.
    check_int(unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_SNDTIMEO,
            (&raw const time).cast(),
            size_of::<libc::timeval>() as libc::socklen_t,
        )
    })?;
    connect(&socket, address)?;
    Ok(socket)
}

/// Room for one control message with one descriptor, aligned as cmsghdr wants it.
#[repr(C, align(8))]
struct OneFd([u8; 24]);

/// The header of a message with descriptors, of so many bytes with them.
fn scm_rights(length: u32) -> libc::cmsghdr {
    // SAFETY: a cmsghdr of zeros is one. Some C libraries' have padding, with a name.
    let mut header: libc::cmsghdr = unsafe { std::mem::zeroed() };
    header.cmsg_len = length as _;
    header.cmsg_level = libc::SOL_SOCKET;
    header.cmsg_type = libc::SCM_RIGHTS;
    header
}

/// `ssize_t sendmsg(int fd, const struct msghdr *msg, MSG_NOSIGNAL)` of `payload`
/// with exactly one SCM_RIGHTS message that carries exactly one descriptor.
pub(crate) fn send_fd(socket: impl AsFd, payload: &[u8], fd: impl AsFd) -> Result<usize> {
    let mut control = OneFd([0; 24]);
    let mut iov = libc::iovec { iov_base: payload.as_ptr().cast_mut().cast(), iov_len: payload.len() };
    // SAFETY: a msghdr of zeros has no parts.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_iov = &raw mut iov;
    message.msg_iovlen = 1;
    message.msg_control = control.0.as_mut_ptr().cast();
    // SAFETY: CMSG_SPACE only computes.
    message.msg_controllen = unsafe { libc::CMSG_SPACE(size_of::<RawFd>() as u32) } as _;
    // SAFETY: the control buffer has room for one header, so this is not null.
    let header = unsafe { libc::CMSG_FIRSTHDR(&raw const message) };
    // SAFETY: CMSG_LEN only computes.
    let length = unsafe { libc::CMSG_LEN(size_of::<RawFd>() as u32) };
    // SAFETY: header points into `control`, which is aligned and large enough.
    unsafe { header.write(scm_rights(length)) };
    // SAFETY: as above; CMSG_DATA is the place right behind the header.
    let data = unsafe { libc::CMSG_DATA(header) };
    // SAFETY: 24 bytes hold a 16 byte header and the descriptor.
    unsafe { data.cast::<RawFd>().write_unaligned(fd.as_fd().as_raw_fd()) };
    // SAFETY: all parts of the message outlive the call.
    let sent = unsafe { libc::sendmsg(socket.as_fd().as_raw_fd(), &raw const message, libc::MSG_NOSIGNAL) };
    check(sent as libc::c_long).map(|n| n as usize)
}

/// `ssize_t recvmsg(int fd, struct msghdr *message, MSG_CMSG_CLOEXEC)`, again after EINTR.
///
/// # Safety
///
/// The buffers that `message` points to are valid, and as long as it says.
unsafe fn receive_message(
    socket: BorrowedFd<'_>,
    message: &mut libc::msghdr,
    flags: libc::c_int,
) -> Result<usize> {
    loop {
        // SAFETY: the caller's promise.
        let n = unsafe { libc::recvmsg(socket.as_raw_fd(), message, flags | libc::MSG_CMSG_CLOEXEC) };
        match check(n as libc::c_long) {
            Err(Errno::EINTR) => {}
            other => return other.map(|n| n as usize),
        }
    }
}

/// `ssize_t recvmsg(int fd, struct msghdr *msg, MSG_CMSG_CLOEXEC)`: how many
/// bytes of payload came (0: end of file), and the descriptor, if one came too.
pub(crate) fn recv_fd(socket: impl AsFd, payload: &mut [u8]) -> Result<(usize, Option<OwnedFd>)> {
    recv_fd_with(socket.as_fd(), payload, 0)
}

/// As [`recv_fd`]: EAGAIN if there is nothing yet (MSG_DONTWAIT).
pub(crate) fn try_recv_fd(socket: impl AsFd, payload: &mut [u8]) -> Result<(usize, Option<OwnedFd>)> {
    recv_fd_with(socket.as_fd(), payload, libc::MSG_DONTWAIT)
}

fn recv_fd_with(
    socket: BorrowedFd<'_>,
    payload: &mut [u8],
    flags: libc::c_int,
) -> Result<(usize, Option<OwnedFd>)> {
    let mut control = OneFd([0; 24]);
    let mut iov = libc::iovec { iov_base: payload.as_mut_ptr().cast(), iov_len: payload.len() };
    // SAFETY: a msghdr of zeros has no parts.
    let mut message: libc::msghdr = unsafe { MaybeUninit::zeroed().assume_init() };
    message.msg_iov = &raw mut iov;
    message.msg_iovlen = 1;
    message.msg_control = control.0.as_mut_ptr().cast();
    // Not the whole buffer, which is rounded up and would hold two.
    // SAFETY: CMSG_LEN only computes.
    message.msg_controllen = unsafe { libc::CMSG_LEN(size_of::<RawFd>() as u32) } as _;
    // SAFETY: all parts of the message live on in this function.
    let n = unsafe { receive_message(socket, &mut message, flags) }?;
    // SAFETY: the kernel has filled the message; the result is null or points into `control`.
    let header = unsafe { libc::CMSG_FIRSTHDR(&raw const message) };
    if ptr::eq(header, ptr::null()) {
        return Ok((n, None));
    }
    // SAFETY: not null, so it is a header that the kernel wrote.
    let kind = unsafe { header.read() };
    if kind.cmsg_level != libc::SOL_SOCKET || kind.cmsg_type != libc::SCM_RIGHTS {
        return Ok((n, None));
    }
    // SAFETY: SCM_RIGHTS carries at least one descriptor; there was room for no more.
    let data = unsafe { libc::CMSG_DATA(header) };
    // SAFETY: as above.
    let fd = unsafe { data.cast::<RawFd>().read_unaligned() };
    // SAFETY: the kernel has made this descriptor for us with the message.
    Ok((n, Some(unsafe { OwnedFd::from_raw_fd(fd) })))
}

/// `int setsockopt(int fd, SOL_SOCKET, SO_SNDBUF, 1)`: the smallest buffer that the kernel
/// gives, which holds about six messages with a descriptor.
pub(crate) fn shrink_send_buffer(socket: impl AsFd) -> Result<()> {
    set_option(socket, libc::SO_SNDBUF)
}

/// Lets the kernel say who has sent each message to this socket (SO_PASSCRED), for
/// [`recv_from`].
pub(crate) fn name_senders(socket: impl AsFd) -> Result<()> {
    set_option(socket, libc::SO_PASSCRED)
}

/// Sets an option of the socket to 1.
fn set_option(socket: impl AsFd, option: i32) -> Result<()> {
    let one: i32 = 1;
    // SAFETY: `one` is a whole int.
    check_int(unsafe {
        libc::setsockopt(
            socket.as_fd().as_raw_fd(),
            libc::SOL_SOCKET,
            option,
            (&raw const one).cast(),
            size_of::<i32>() as libc::socklen_t,
        )
    })
    .map(drop)
}

/// Room for one control message with the sender's ids, aligned as cmsghdr wants it.
#[repr(C, align(8))]
struct OneSender([u8; 32]);

/// `ssize_t recvmsg(int fd, struct msghdr *msg, 0)` with SCM_CREDENTIALS: how many bytes
/// of payload came (0: end of file), and the pid of the process that has sent them. No
/// process can name another one, unless it has CAP_SYS_ADMIN and sees that one in its
/// pid namespace (unix(7)). Descriptors that come along are dropped.
pub(crate) fn recv_from(socket: impl AsFd, payload: &mut [u8]) -> Result<(usize, i32)> {
    let mut control = OneSender([0; 32]);
    let mut iov = libc::iovec { iov_base: payload.as_mut_ptr().cast(), iov_len: payload.len() };
    // SAFETY: a msghdr of zeros has no parts.
    let mut message: libc::msghdr = unsafe { MaybeUninit::zeroed().assume_init() };
    message.msg_iov = &raw mut iov;
    message.msg_iovlen = 1;
    message.msg_control = control.0.as_mut_ptr().cast();
    // Not the whole buffer, which is rounded up.
    // SAFETY: CMSG_LEN only computes.
    message.msg_controllen = unsafe { libc::CMSG_LEN(size_of::<libc::ucred>() as u32) } as _;
    // SAFETY: all parts of the message live on in this function.
    let n = unsafe { receive_message(socket.as_fd(), &mut message, 0) }?;
    // SAFETY: the kernel has filled the message; the result is null or points into `control`.
    let header = unsafe { libc::CMSG_FIRSTHDR(&raw const message) };
    if ptr::eq(header, ptr::null()) {
        return Ok((n, 0));
    }
    // SAFETY: not null, so it is a header that the kernel wrote.
    let kind = unsafe { header.read() };
    if kind.cmsg_level != libc::SOL_SOCKET || kind.cmsg_type != libc::SCM_CREDENTIALS {
        return Ok((n, 0));
    }
    // SAFETY: SCM_CREDENTIALS carries a whole ucred.
    let data = unsafe { libc::CMSG_DATA(header) };
    // SAFETY: as above.
    let sender = unsafe { data.cast::<libc::ucred>().read_unaligned() };
    Ok((n, sender.pid))
}

/// `ssize_t send(int fd, const void *buf, size_t len, MSG_NOSIGNAL)`: EPIPE, not
/// SIGPIPE, if the other end is closed.
pub(crate) fn send(socket: impl AsFd, payload: &[u8]) -> Result<usize> {
    // SAFETY: the payload is valid for reads of its length.
    let sent = unsafe {
        libc::send(socket.as_fd().as_raw_fd(), payload.as_ptr().cast(), payload.len(), libc::MSG_NOSIGNAL)
    };
    check(sent as libc::c_long).map(|n| n as usize)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::fd;

    /// As [`send_fd`], with two descriptors in one message.
    fn send_two(socket: impl AsFd, fds: [RawFd; 2]) {
        let mut control = OneFd([0; 24]);
        let mut iov = libc::iovec { iov_base: c"x".as_ptr().cast_mut().cast(), iov_len: 1 };
        // SAFETY: a msghdr of zeros has no parts.
        let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
        message.msg_iov = &raw mut iov;
        message.msg_iovlen = 1;
        message.msg_control = control.0.as_mut_ptr().cast();
        message.msg_controllen = control.0.len() as _;
        // SAFETY: the buffer is aligned and has room for the header ...
        unsafe { control.0.as_mut_ptr().cast::<libc::cmsghdr>().write(scm_rights(24)) };
        // SAFETY: ... of 16 bytes ...
        let data = unsafe { control.0.as_mut_ptr().add(16) };
        // SAFETY: ... and for two descriptors.
        unsafe { data.cast::<[RawFd; 2]>().write(fds) };
        // SAFETY: all parts of the message outlive the call.
        let sent = unsafe { libc::sendmsg(socket.as_fd().as_raw_fd(), &raw const message, 0) };
        assert_eq!(sent, 1);
    }

    #[test]
    fn a_path_of_any_length() {
        let dir = tempfile::tempdir().unwrap();
        let deep = dir.path().join("d".repeat(100));
        std::fs::create_dir(&deep).unwrap();
        let path = deep.join("n".repeat(200));
        let parent = fd::open_follow(fd::CWD, &crate::path::c_path(&deep), libc::O_PATH, 0).unwrap();
        // bind(2) has the same limit, and makes the file: by a short name, then.
        let short = format!("/proc/self/fd/{}/s", parent.as_raw_fd());
        let listener = std::os::unix::net::UnixListener::bind(short).unwrap();
        std::fs::rename(deep.join("s"), &path).unwrap();
        let socket = stream(0).unwrap();
        connect(&socket, path.as_os_str().as_encoded_bytes()).unwrap();
        listener.accept().unwrap();
        let missing = deep.join("m".repeat(200));
        assert_eq!(connect(stream(0).unwrap(), missing.as_os_str().as_encoded_bytes()), Err(Errno::ENOENT));
    }

    #[test]
    fn one_descriptor_is_taken_and_no_other_comes() {
        let (ours, theirs) = pair(libc::SOCK_STREAM).unwrap();
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
