// SPDX-License-Identifier: Apache-2.0
//! Network interfaces, of the network namespace that a socket was opened in.

use super::ioctl::{self, INTERFACE_FLAGS, INTERFACE_INDEX, INTERFACE_NAME, SET_INTERFACE_FLAGS};
use super::{Errno, Result};
use nix::sys::socket::{AddressFamily, NetlinkAddr, SockFlag, SockProtocol, SockType, connect, socket};
use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

/// `int socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE)`: a socket of rtnetlink(7). It is connected
/// to the kernel, so that nobody else can send to it: in a network namespace of others,
/// CAP_NET_ADMIN would be enough to answer in the kernel's place (netlink(7)).
pub(crate) fn route_socket() -> Result<OwnedFd> {
    let (family, kind) = (AddressFamily::Netlink, SockType::Raw);
    let socket = socket(family, kind, SockFlag::SOCK_CLOEXEC, SockProtocol::NetlinkRoute)?;
    // The kernel has port 0.
    connect(socket.as_raw_fd(), &NetlinkAddr::new(0, 0))?;
    Ok(socket)
}

/// A request of netdevice(7) about no interface yet.
fn empty_request() -> libc::ifreq {
    // SAFETY: an ifreq of zeros is an empty request.
    unsafe { std::mem::zeroed() }
}

/// A request of netdevice(7) about an interface. ENODEV: no name is that long.
fn request(name: &CStr) -> Result<libc::ifreq> {
    let mut request = empty_request();
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
    ioctl::pointer(socket, INTERFACE_INDEX, &mut request)?;
    // SAFETY: SIOCGIFINDEX has filled this member.
    Ok(unsafe { request.ifr_ifru.ifru_ifindex } as u32)
}

/// `int ioctl(int fd, SIOCGIFNAME, struct ifreq *)`. ENODEV: there is none of that index.
/// Parent only (heap).
pub(crate) fn interface_name(socket: impl AsFd, index: u32) -> Result<CString> {
    let mut request = empty_request();
    request.ifr_ifru.ifru_ifindex = index as i32;
    ioctl::pointer(socket, INTERFACE_NAME, &mut request)?;
    let name: Vec<u8> = request.ifr_name.iter().map(|c| *c as u8).take_while(|c| *c != 0).collect();
    Ok(CString::new(name).unwrap_or_default())
}

/// `int ioctl(int fd, SIOCGIFFLAGS, struct ifreq *)`: IFF_UP.
pub(crate) fn interface_is_up(socket: impl AsFd, name: &CStr) -> Result<bool> {
    let mut request = request(name)?;
    ioctl::pointer(socket, INTERFACE_FLAGS, &mut request)?;
    // SAFETY: SIOCGIFFLAGS has filled this member.
    Ok(i32::from(unsafe { request.ifr_ifru.ifru_flags }) & libc::IFF_UP != 0)
}

/// Brings `lo` up, as `ip link set lo up` does (SIOCSIFFLAGS of netdevice(7)).
pub(crate) fn loopback_up() -> Result<()> {
    let socket = socket(AddressFamily::Inet, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None)?;
    let mut request = request(c"lo")?;
    // A new namespace's lo has no flag but IFF_LOOPBACK, which cannot be changed,
    // so there is nothing to read and preserve.
    request.ifr_ifru.ifru_flags = libc::IFF_UP as libc::c_short;
    ioctl::pointer(socket, SET_INTERFACE_FLAGS, &mut request)
}
