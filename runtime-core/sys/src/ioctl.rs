// SPDX-License-Identifier: Apache-2.0
//! ioctl(2). nix's macros make an unsafe function of each request; here a request and the
//! type of its argument are one constant, and the two functions that take it are safe.

use super::{Result, check_int};
use std::marker::PhantomData;
use std::os::fd::{AsFd, AsRawFd};

/// A request whose argument is a number, or nothing.
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

/// `int ioctl(int fd, unsigned long request, int argument)`: what it returns.
pub(crate) fn number(fd: impl AsFd, request: Number, argument: libc::c_int) -> Result<libc::c_int> {
    // SAFETY: every request of the enumeration takes an integer or nothing.
    check_int(unsafe { libc::ioctl(fd.as_fd().as_raw_fd(), request as libc::c_ulong as _, argument) })
}

/// A request whose argument points to a `T`, which the kernel reads, writes, or both.
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

/// Reads and writes `struct ifreq` of netdevice(7), whose other half is a union.
#[repr(C, align(8))]
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Request {
    pub(crate) name: [u8; libc::IFNAMSIZ],
    /// An index has 4 bytes, flags have 2.
    pub(crate) value: [u8; 24],
}

const _: () = assert!(size_of::<Request>() == size_of::<libc::ifreq>());

/// `TIOCSPTLCK` of ioctl_tty(2): locks (1) or unlocks (0) the other side of a pty.
pub(crate) const PTY_LOCK: Pointer<libc::c_int> = Pointer::new(libc::TIOCSPTLCK as _);
/// `TIOCGWINSZ` of ioctl_tty(2): the window size.
pub(crate) const GET_SIZE: Pointer<libc::winsize> = Pointer::new(libc::TIOCGWINSZ as _);
/// `TIOCSWINSZ` of ioctl_tty(2): sets the window size.
pub(crate) const SET_SIZE: Pointer<libc::winsize> = Pointer::new(libc::TIOCSWINSZ as _);
/// `SIOCGIFINDEX` of netdevice(7): the index of the interface of a name.
pub(crate) const INTERFACE_INDEX: Pointer<Request> = Pointer::new(libc::SIOCGIFINDEX as _);
/// `SIOCGIFNAME` of netdevice(7): the name of the interface of an index.
pub(crate) const INTERFACE_NAME: Pointer<Request> = Pointer::new(libc::SIOCGIFNAME as _);
/// `SIOCGIFFLAGS` of netdevice(7): the IFF_* flags of an interface.
pub(crate) const INTERFACE_FLAGS: Pointer<Request> = Pointer::new(libc::SIOCGIFFLAGS as _);
/// `SIOCSIFFLAGS` of netdevice(7): sets the IFF_* flags of an interface.
pub(crate) const SET_INTERFACE_FLAGS: Pointer<Request> = Pointer::new(libc::SIOCSIFFLAGS as _);

/// `int ioctl(int fd, unsigned long request, T *argument)`
pub(crate) fn pointer<T>(fd: impl AsFd, request: Pointer<T>, argument: &mut T) -> Result<()> {
    let fd = fd.as_fd().as_raw_fd();
    // SAFETY: the constants above pair each request with the type that it reads or writes.
    check_int(unsafe { libc::ioctl(fd, request.request as _, std::ptr::from_mut(argument)) }).map(drop)
}
