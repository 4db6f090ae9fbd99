// SPDX-License-Identifier: Apache-2.0
//! ioctl(2). Here a constant holds a request and the type of its argument, and the two functions
//! that take such a constant are safe. nix's macros make an unsafe function for each request.

use super::result::{Result, check_int};
use std::marker::PhantomData;
use std::os::fd::{AsFd, AsRawFd};

/// A request that takes a number, or no argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Number {
    /// `NS_GET_USERNS` of ioctl_nsfs(2): a descriptor of the owning user namespace.
    NamespaceOwner = 0xb701,
    /// `NS_GET_NSTYPE` of ioctl_nsfs(2): a CLONE_NEW* flag.
    NamespaceType = 0xb703,
    /// `TIOCGPTPEER` of ioctl_tty(2), since 4.13: takes open flags, returns a descriptor.
    PtyPeer = libc::TIOCGPTPEER as isize,
    /// `TIOCSCTTY` of ioctl_tty(2): takes 1 to steal the terminal, else 0.
    ControllingTerminal = libc::TIOCSCTTY as isize,
}

/// `int ioctl(int fd, unsigned long request, int argument)`: makes a request whose result is its
/// return value.
pub(crate) fn number(fd: impl AsFd, request: Number, argument: libc::c_int) -> Result<libc::c_int> {
    // SAFETY: every request of the enumeration takes an integer or nothing, so the kernel gets no
    // pointer.
    check_int(unsafe { libc::ioctl(fd.as_fd().as_raw_fd(), request as libc::c_ulong as _, argument) })
}

/// A request whose argument points to a `T`. The kernel reads it, writes it, or both.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pointer<T> {
    request: libc::c_ulong,
    argument: PhantomData<fn(T)>,
}

impl<T> Pointer<T> {
    const fn new(request: libc::c_ulong) -> Self {
        Pointer { request, argument: PhantomData }
    }
}

/// A `struct ifreq` of netdevice(7). Its second half is a union.
#[repr(C, align(8))]
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Request {
    pub(crate) name: [u8; libc::IFNAMSIZ],
    /// The union. An interface index has 4 bytes, flags have 2.
    pub(crate) value: [u8; 24],
}

const _: () = assert!(size_of::<Request>() == size_of::<libc::ifreq>());

/// A `struct pidfd_info` of include/uapi/linux/pidfd.h, of PIDFD_INFO_SIZE_VER0 bytes.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct PidfdInfo {
    /// PIDFD_INFO_*: the fields that the caller asks for, then those that the kernel has written.
    pub(crate) mask: u64,
    pub(crate) cgroup: u64,
    pub(crate) pids: [u32; 3],
    pub(crate) ids: [u32; 8],
    /// The exit status in the format of wait(2).
    pub(crate) exit_code: i32,
}

const _: () = assert!(size_of::<PidfdInfo>() == size_of::<libc::pidfd_info>());

/// `TIOCSPTLCK` of ioctl_tty(2): locks (1) or unlocks (0) the other side of a pty.
pub(crate) const PTY_LOCK: Pointer<libc::c_int> = Pointer::new(libc::TIOCSPTLCK as _);
/// `TIOCGWINSZ` of ioctl_tty(2): the window size.
pub(crate) const GET_SIZE: Pointer<libc::winsize> = Pointer::new(libc::TIOCGWINSZ as _);
/// `TIOCSWINSZ` of ioctl_tty(2): sets the window size.
pub(crate) const SET_SIZE: Pointer<libc::winsize> = Pointer::new(libc::TIOCSWINSZ as _);
/// `SIOCGIFINDEX` of netdevice(7): the index of the interface with a name.
pub(crate) const INTERFACE_INDEX: Pointer<Request> = Pointer::new(libc::SIOCGIFINDEX as _);
/// `SIOCGIFNAME` of netdevice(7): the name of the interface with an index.
pub(crate) const INTERFACE_NAME: Pointer<Request> = Pointer::new(libc::SIOCGIFNAME as _);
/// `SIOCGIFFLAGS` of netdevice(7): the IFF_* flags of an interface.
pub(crate) const INTERFACE_FLAGS: Pointer<Request> = Pointer::new(libc::SIOCGIFFLAGS as _);
/// `SIOCSIFFLAGS` of netdevice(7): sets the IFF_* flags of an interface.
pub(crate) const SET_INTERFACE_FLAGS: Pointer<Request> = Pointer::new(libc::SIOCSIFFLAGS as _);

/// `PIDFD_GET_INFO` of include/uapi/linux/pidfd.h, since 6.13.
pub(crate) const PIDFD_INFO: Pointer<PidfdInfo> = Pointer::new(libc::PIDFD_GET_INFO as _);

/// `int ioctl(int fd, unsigned long request, T *argument)`: makes a request whose result is in
/// `argument`.
pub(crate) fn pointer<T>(fd: impl AsFd, request: Pointer<T>, argument: &mut T) -> Result<()> {
    let fd = fd.as_fd().as_raw_fd();
    // SAFETY: only the constants above make a `Pointer`, and each pairs its request with the type
    // that the kernel reads or writes. `argument` is a whole `T`, borrowed exclusively.
    check_int(unsafe { libc::ioctl(fd, request.request as _, std::ptr::from_mut(argument)) }).map(drop)
}
