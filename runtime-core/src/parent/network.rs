// SPDX-License-Identifier: Apache-2.0
//! A container's new network namespace. A thread makes it while its caller goes on, because the
//! kernel takes longer to make it than all the others together.

use super::explain;
use crate::error::{Error, ErrorKind, Result};
use crate::marks::{Handle, Mark, Traced, Track};
use runtime_sys::{fd, net, ns, signal};
use std::os::fd::OwnedFd;
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::thread::{Builder, JoinHandle};

/// A network namespace that a thread is making. Dropping this value waits for the thread and
/// discards the namespace.
#[derive(Debug)]
pub(crate) struct NewNetwork {
    made: Receiver<OwnedFd>,
    thread: Option<JoinHandle<Result<()>>>,
}

impl NewNetwork {
    /// Starts the thread; `None` if no thread can be started.
    pub(crate) fn begin() -> Option<Self> {
        /// The size in bytes. A debug build needs about 6 KiB.
        const STACK: usize = 32 << 10;
        let (sender, made) = mpsc::sync_channel(1);
        let trace = Handle::of_thread();
        // The thread inherits the signal mask: no handler of the program may run in it.
        let blocked = signal::Blocked::all();
        let thread = Builder::new().stack_size(STACK).spawn(move || {
            trace.enter(Track::Network);
            make(&sender)
        });
        drop(blocked);
        Some(NewNetwork { made, thread: Some(thread.ok()?) })
    }

    /// Waits until the namespace exists. Its loopback interface may not be up yet.
    pub(crate) fn namespace(&mut self) -> Result<OwnedFd> {
        let made = match self.made.recv() {
            Ok(namespace) => Ok(namespace),
            Err(_) => Err(self.join().err().unwrap_or_else(vanished)),
        };
        made.traced(Mark::AwaitNetwork)
    }

    /// Waits until the loopback interface of the namespace is up.
    pub(crate) fn finish(mut self) -> Result<()> {
        self.join()
    }

    fn join(&mut self) -> Result<()> {
        match self.thread.take() {
            Some(thread) => thread.join().unwrap_or_else(|_| Err(vanished())),
            None => Ok(()),
        }
    }
}

impl Drop for NewNetwork {
    fn drop(&mut self) {
        // The thread must not outlive the error that made it useless.
        runtime_sys::ignore(self.join());
    }
}

fn vanished() -> Error {
    Error::new(ErrorKind::Setup, "the thread that makes the network namespace has panicked")
}

/// Makes the namespace, sends it, and brings lo up in it. The namespaces of a thread are its own
/// (unshare(2)), and end with the thread unless a descriptor or a process keeps them.
fn make(made: &SyncSender<OwnedFd>) -> Result<()> {
    let make = || -> runtime_sys::Result<OwnedFd> {
        ns::unshare(libc::CLONE_NEWNET)?;
        fd::open_follow(fd::CWD, c"/proc/thread-self/ns/net", libc::O_RDONLY, 0)
    };
    let namespace = make().map_err(|errno| explain::namespaces(errno, "unshare")).traced(Mark::Network)?;
    if made.send(namespace).is_err() {
        // The receiver is gone: the namespace is not needed any more.
        return Ok(());
    }
    let up = net::loopback_up().map_err(|errno| Error::os(errno, "ioctl").wrap(explain::LOOPBACK));
    up.traced(Mark::Loopback)
}
