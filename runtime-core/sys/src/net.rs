// SPDX-License-Identifier: Apache-2.0
//! Network interfaces of the network namespace that a socket was opened in.

use super::ioctl::{self, INTERFACE_FLAGS, INTERFACE_INDEX, INTERFACE_NAME, Request, SET_INTERFACE_FLAGS};
use super::result::Result;
use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, NetlinkAddr, SockFlag, SockProtocol, SockType, connect, socket};
use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

/// `int socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE)`: opens a socket of rtnetlink(7) that is
/// connected to the kernel, so that no other process can send to it. Otherwise a process with
/// CAP_NET_ADMIN in the network namespace could answer in the kernel's place (netlink(7)).
pub fn route_socket() -> Result<OwnedFd> {
    let (family, kind) = (AddressFamily::Netlink, SockType::Raw);
    let socket = socket(family, kind, SockFlag::SOCK_CLOEXEC, SockProtocol::NetlinkRoute)?;
    // Port 0 is the kernel.
    connect(socket.as_raw_fd(), &NetlinkAddr::new(0, 0))?;
    Ok(socket)
}

impl Request {
    /// Makes a request about the interface `name`. ENODEV: the name is longer than any can be.
    fn about(name: &CStr) -> Result<Self> {
        let mut request = Request::default();
        let name = name.to_bytes_with_nul();
        request.name.get_mut(..name.len()).ok_or(Errno::ENODEV)?.copy_from_slice(name);
        Ok(request)
    }

    fn index(&self) -> u32 {
        let [a, b, c, d, ..] = self.value;
        u32::from_ne_bytes([a, b, c, d])
    }

    fn flags(&self) -> u16 {
        let [a, b, ..] = self.value;
        u16::from_ne_bytes([a, b])
    }

    fn set(&mut self, value: &[u8]) {
        for (to, from) in self.value.iter_mut().zip(value) {
            *to = *from;
        }
    }
}

/// `int ioctl(int fd, SIOCGIFINDEX, struct ifreq *)`: returns the index of an interface.
/// ENODEV: no interface has that name.
pub fn interface_index(socket: impl AsFd, name: &CStr) -> Result<u32> {
    let mut request = Request::about(name)?;
    ioctl::pointer(socket, INTERFACE_INDEX, &mut request)?;
    Ok(request.index())
}

/// `int ioctl(int fd, SIOCGIFNAME, struct ifreq *)`: returns the name of an interface.
/// ENODEV: no interface has that index. Parent only (heap).
pub fn interface_name(socket: impl AsFd, index: u32) -> Result<CString> {
    let mut request = Request::default();
    request.set(&index.to_ne_bytes());
    ioctl::pointer(socket, INTERFACE_NAME, &mut request)?;
    // The kernel ends the name with a NUL.
    CStr::from_bytes_until_nul(&request.name).map(CStr::to_owned).map_err(|_none| Errno::EINVAL)
}

/// `int ioctl(int fd, SIOCGIFFLAGS, struct ifreq *)`: returns whether an interface has IFF_UP.
pub fn interface_is_up(socket: impl AsFd, name: &CStr) -> Result<bool> {
    let mut request = Request::about(name)?;
    ioctl::pointer(socket, INTERFACE_FLAGS, &mut request)?;
    Ok(request.flags() & UP != 0)
}

/// Brings `lo` up, as `ip link set lo up` does (SIOCSIFFLAGS of netdevice(7)).
pub fn loopback_up() -> Result<()> {
    let socket = socket(AddressFamily::Inet, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None)?;
    let mut request = Request::about(c"lo")?;
    // The lo of a new namespace has only IFF_LOOPBACK, which cannot be changed.
    // So no flags have to be read and preserved.
    request.set(&UP.to_ne_bytes());
    ioctl::pointer(socket, SET_INTERFACE_FLAGS, &mut request)
}

/// IFF_UP among the flags of a request.
const UP: u16 = libc::IFF_UP as u16;
