// SPDX-License-Identifier: Apache-2.0
//! Network interfaces, of the network namespace that a socket was opened in.

use super::{Errno, Result, check_int, new_fd};
use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

fn socket(domain: i32, kind: i32, protocol: i32) -> Result<OwnedFd> {
    // SAFETY: plain integers.
    let fd = unsafe { libc::socket(domain, kind | libc::SOCK_CLOEXEC, protocol) };
    new_fd(check_int(fd)?.into())
}

/// `int socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE)`: a socket of rtnetlink(7). It is connected
/// to the kernel, so that nobody else can send to it: in a network namespace of others,
/// CAP_NET_ADMIN would be enough to answer in the kernel's place (netlink(7)).
pub(crate) fn route_socket() -> Result<OwnedFd> {
    let socket = socket(libc::AF_NETLINK, libc::SOCK_RAW, libc::NETLINK_ROUTE)?;
    // SAFETY: a sockaddr_nl of zeros is the kernel's, but for the family.
    let mut kernel: libc::sockaddr_nl = unsafe { std::mem::zeroed() };
    kernel.nl_family = libc::AF_NETLINK as libc::sa_family_t;
    let length = size_of::<libc::sockaddr_nl>() as libc::socklen_t;
    // SAFETY: `kernel` is a whole sockaddr_nl, and lives until the call is over.
    check_int(unsafe { libc::connect(socket.as_raw_fd(), (&raw const kernel).cast(), length) })?;
    Ok(socket)
}

/// A request of netdevice(7) about an interface. ENODEV: no name is that long.
fn request(name: &CStr) -> Result<libc::ifreq> {
    // SAFETY: an ifreq of zeros is an empty request.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    // One byte is left for the terminating NUL.
    if name.count_bytes() >= request.ifr_name.len() {
        return Err(Errno::ENODEV);
    }
    for (to, from) in request.ifr_name.iter_mut().zip(name.to_bytes()) {
        *to = *from as libc::c_char;
    }
    Ok(request)
}

/// `int ioctl(int fd, SIOCGIFINDEX, struct ifreq *)`. ENODEV: there is none of that name.
pub(crate) fn interface_index(socket: impl AsFd, name: &CStr) -> Result<u32> {
    let mut request = request(name)?;
    let socket = socket.as_fd().as_raw_fd();
    // SAFETY: SIOCGIFINDEX reads and writes an ifreq.
    check_int(unsafe { libc::ioctl(socket, libc::SIOCGIFINDEX as _, &raw mut request) })?;
    // SAFETY: SIOCGIFINDEX has filled this member.
    Ok(unsafe { request.ifr_ifru.ifru_ifindex } as u32)
}

/// `int ioctl(int fd, SIOCGIFNAME, struct ifreq *)`. ENODEV: there is none of that index.
/// Parent only (heap).
pub(crate) fn interface_name(socket: impl AsFd, index: u32) -> Result<CString> {
    // SAFETY: an ifreq of zeros is an empty request.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    request.ifr_ifru.ifru_ifindex = index as i32;
    let socket = socket.as_fd().as_raw_fd();
    // SAFETY: SIOCGIFNAME reads and writes an ifreq.
    check_int(unsafe { libc::ioctl(socket, libc::SIOCGIFNAME as _, &raw mut request) })?;
    let name: Vec<u8> = request.ifr_name.iter().map(|c| *c as u8).take_while(|c| *c != 0).collect();
    Ok(CString::new(name).unwrap_or_default())
}

/// `int ioctl(int fd, SIOCGIFFLAGS, struct ifreq *)`: IFF_UP.
pub(crate) fn interface_is_up(socket: impl AsFd, name: &CStr) -> Result<bool> {
    let mut request = request(name)?;
    let socket = socket.as_fd().as_raw_fd();
    // SAFETY: SIOCGIFFLAGS reads and writes an ifreq.
    check_int(unsafe { libc::ioctl(socket, libc::SIOCGIFFLAGS as _, &raw mut request) })?;
    // SAFETY: SIOCGIFFLAGS has filled this member.
    Ok(i32::from(unsafe { request.ifr_ifru.ifru_flags }) & libc::IFF_UP != 0)
}

/// Brings `lo` up, as `ip link set lo up` does (SIOCSIFFLAGS of netdevice(7)).
pub(crate) fn loopback_up() -> Result<()> {
    let socket = socket(libc::AF_INET, libc::SOCK_DGRAM, 0)?;
    let mut request = request(c"lo")?;
    // A new namespace's lo has no flag but IFF_LOOPBACK, which cannot be changed,
    // so there is nothing to read and preserve.
    request.ifr_ifru.ifru_flags = libc::IFF_UP as libc::c_short;
    // SAFETY: SIOCSIFFLAGS reads an ifreq.
    check_int(unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS as _, &raw const request) })
        .map(drop)
}
