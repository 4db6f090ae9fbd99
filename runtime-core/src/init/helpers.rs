// SPDX-License-Identifier: Apache-2.0
//! Processes besides the init, for what takes a process of its own.

use super::mounts::clone_inside;
use super::plan::{Plan, What};
use super::step::{Call, During, Failure, InStep, Step, index};
use crate::launch::channel::{ChildEnd, Reply};
use crate::path::root::Root;
use crate::sys::clone::Child;
use crate::sys::signal::Ignored;
use crate::sys::{self, Errno, socket};
use std::convert::Infallible;
use std::os::fd::{BorrowedFd, RawFd};

/// Makes an id-mapped mount for an init that may not: its source is in the init's
/// mount namespace, and who may map its ids is on the host.
pub(crate) struct Mapper<'a> {
    pub(crate) plan: &'a Plan,
    /// Which of the mounts.
    pub(crate) item: usize,
    pub(crate) init: BorrowedFd<'a>,
    /// Where the init waits for the mount.
    pub(crate) to_init: BorrowedFd<'a>,
    pub(crate) channel: &'a ChildEnd,
    /// Closed first, as in [`First`](super::First).
    pub(crate) parent_end: RawFd,
}

impl Child for Mapper<'_> {
    fn run(self) -> ! {
        // EBADF at worst: then it is closed.
        sys::ignore(sys::fd::close_range(self.parent_end, self.parent_end, 0));
        sys::signal::reset_in_child(Ignored::ALL);
        super::give_up(self.make(), self.channel)
    }
}

impl Mapper<'_> {
    fn make(&self) -> Result<Infallible, Failure> {
        sys::ns::setns(self.init, libc::CLONE_NEWNS).during(Call::Setns).item(Step::Mount, self.item)?;
        let rootfs = self.plan.container.as_ref().map(|container| &container.rootfs);
        let mount = rootfs.and_then(|rootfs| rootfs.mounts.get(self.item));
        let root = rootfs.and_then(|rootfs| rootfs.tree.cloned());
        let (Some(root), Some(What::Inside(inside))) = (root, mount.map(|mount| &mount.what)) else {
            return Err(Failure {
                step: Step::Mount,
                item: index(self.item),
                call: Call::Open,
                errno: Errno::EINVAL,
            });
        };
        // The descriptor is on the mount that the init has attached by now.
        let tree = clone_inside(Root::new(root), inside).item(Step::Mount, self.item)?;
        socket::send_fd(self.to_init, b"m", &tree).during(Call::SendFd).item(Step::Mount, self.item)?;
        self.channel.send(Reply::Ready).during(Call::Write).item(Step::Mount, self.item)?;
        sys::exec::exit(0)
    }
}

/// Opens a socket in the network namespace of the init, and sends it to the parent.
pub(crate) struct RouteOpener<'a> {
    pub(crate) init: BorrowedFd<'a>,
    pub(crate) channel: &'a ChildEnd,
    /// Closed first, as in [`First`](super::First).
    pub(crate) parent_end: RawFd,
}

impl Child for RouteOpener<'_> {
    fn run(self) -> ! {
        // EBADF at worst: then it is closed.
        sys::ignore(sys::fd::close_range(self.parent_end, self.parent_end, 0));
        sys::signal::reset_in_child(Ignored::ALL);
        super::give_up(self.open(), self.channel)
    }
}

impl RouteOpener<'_> {
    fn open(&self) -> Result<Infallible, Failure> {
        sys::ns::setns(self.init, libc::CLONE_NEWNET).during(Call::Setns).step(Step::Join)?;
        let socket = sys::net::route_socket().during(Call::Socket).step(Step::Join)?;
        self.channel.send_with(Reply::Ready, &socket).during(Call::SendFd).step(Step::Join)?;
        sys::exec::exit(0)
    }
}

/// A process that does nothing but be in its user namespace, of which it sends a
/// descriptor, until the parent has written the maps.
pub(crate) struct Idle<'a> {
    /// Whether it hides itself, as in [`Plan::hide`].
    pub(crate) hides: bool,
    pub(crate) channel: &'a ChildEnd,
    /// Closed first, as in [`First`](super::First).
    pub(crate) parent_end: RawFd,
}

impl Child for Idle<'_> {
    fn run(self) -> ! {
        if let Err(failure) = self.show() {
            super::give_up(Err(failure), self.channel);
        }
        // It is killed, or the parent is.
        sys::ignore(self.channel.wait_go());
        sys::exec::exit(0)
    }
}

impl Idle<'_> {
    fn show(&self) -> Result<(), Failure> {
        if self.hides {
            super::hide()?;
        }
        // EBADF at worst: then it is closed.
        sys::ignore(sys::fd::close_range(self.parent_end, self.parent_end, 0));
        let open = || sys::fd::open_follow(sys::fd::CWD, c"/proc/self/ns/user", libc::O_RDONLY, 0);
        let namespace = open().during(Call::Open).step(Step::Join)?;
        self.channel.send_with(Reply::Ready, &namespace).during(Call::SendFd).step(Step::Join)
    }
}
