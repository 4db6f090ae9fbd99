// SPDX-License-Identifier: Apache-2.0
//! A proxy for sd_notify(3): it tells the service manager that the container is ready. systemd
//! accepts messages from this program, but not from processes in containers.
//!
//! Only readiness is passed on. Other messages would be about the manager's service, not about
//! the container.

use crate::failure::{Failure, io_text};
use crate::log::Log;
use nix::fcntl::{OFlag, open};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};
use nix::sys::stat::Mode;
use runtime_core::Container;
use runtime_core::spec::Status;
use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::io::{ErrorKind, IoSlice, Read};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::{Path, PathBuf};

/// The size of the longest message that is read.
const MESSAGE_MAX: usize = 4096;
/// The interval between two checks of the container's status.
const TICK_MS: u16 = 100;
/// The longest wait for the manager to read a message.
const PATIENCE_MS: u16 = 30_000;

/// Returns the address of the manager, `None` without a manager.
pub(crate) fn address() -> Option<OsString> {
    std::env::var_os("NOTIFY_SOCKET").filter(|address| !address.is_empty())
}

/// A proxy between a container and the manager.
#[derive(Debug)]
pub(crate) struct Proxy {
    container: UnixDatagram,
    manager: UnixDatagram,
    /// Messages that are not yet sent, because the manager's queue was full.
    left: VecDeque<String>,
}

impl Proxy {
    /// Listens for the container's messages, if there is a manager. To be called before the
    /// container's program starts, so that no message is lost. If NOTIFY_SOCKET cannot be used,
    /// logs a warning, and the container starts without a proxy.
    pub(crate) fn listen(container: &Container, log: &Log) -> Option<Self> {
        let address = address()?;
        let warn = |what: &str, path: &OsStr, error: &std::io::Error| {
            log.warning(&format!("{what} {}: {}", path.display(), io_text(error)));
        };
        let manager = connect(&address).inspect_err(|error| warn("dial unixgram", &address, error)).ok()?;
        let path = container.notify_socket();
        let failed = |error: &std::io::Error| {
            let what = match error.kind() {
                ErrorKind::NotFound => {
                    "NOTIFY_SOCKET was not set when the container was created: listen unixgram"
                }
                _ => "listen unixgram",
            };
            warn(what, path.as_os_str(), error);
        };
        let container = bind(&path).inspect_err(failed).ok()?;
        Some(Proxy { container, manager, left: VecDeque::new() })
    }

    /// Waits until the container is ready or has ended. If it is ready, tells the manager so, and
    /// that `pid` is the main process. Logs a warning if the manager cannot be told.
    pub(crate) fn wait(mut self, container: &Container, pid: i32, log: &Log) -> Result<(), Failure> {
        loop {
            let mut fds = [PollFd::new(self.container.as_fd(), PollFlags::POLLIN)];
            match poll(&mut fds, PollTimeout::from(TICK_MS)) {
                Ok(0) | Err(nix::Error::EINTR) if container.state()?.status == Status::Stopped => {
                    return Ok(());
                }
                Ok(0) | Err(nix::Error::EINTR) => {}
                Err(errno) => return Err(Failure::io("poll", &errno.into())),
                Ok(_) if self.take() => {
                    // systemd looks up the process that sent a message, so this program must
                    // not end before the message is read.
                    let told = self.tell(pid).and_then(|()| self.barrier());
                    return told.or_else(|failure| {
                        log.warning(&failure.text);
                        Ok(())
                    });
                }
                Ok(_) => {}
            }
        }
    }

    /// Returns the descriptor and the event to wait for before [`pass_on`](Self::pass_on).
    pub(crate) fn interest(&self) -> (BorrowedFd<'_>, PollFlags) {
        if self.left.is_empty() {
            (self.container.as_fd(), PollFlags::POLLIN)
        } else {
            (self.manager.as_fd(), PollFlags::POLLOUT)
        }
    }

    /// Passes on the readiness of a foreground container. Returns true when the manager has been
    /// told. Later messages are not passed on, so that a container cannot keep the manager busy.
    pub(crate) fn pass_on(&mut self) -> Result<bool, Failure> {
        if self.left.is_empty() {
            if !self.take() {
                return Ok(false);
            }
            self.left = readiness(std::process::id() as i32);
        }
        self.send()
    }

    /// Reads one message. Returns true if the message says that the container is ready.
    fn take(&self) -> bool {
        let mut message = [0; MESSAGE_MAX];
        let length = self.container.recv(&mut message).unwrap_or(0);
        is_ready(message.get(..length).unwrap_or_default())
    }

    /// Sends the messages that the manager has room for. Returns true if none is left.
    fn send(&mut self) -> Result<bool, Failure> {
        while let Some(line) = self.left.front() {
            match self.manager.send(line.as_bytes()) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                sent => sent.map_err(|error| Failure::io("write to NOTIFY_SOCKET", &error))?,
            };
            self.left.pop_front();
        }
        Ok(true)
    }

    fn tell(&mut self, pid: i32) -> Result<(), Failure> {
        self.left = readiness(pid);
        while !self.send()? {
            self.await_room()?;
        }
        Ok(())
    }

    /// Waits until the manager has room for a message.
    fn await_room(&self) -> Result<(), Failure> {
        let mut fds = [PollFd::new(self.manager.as_fd(), PollFlags::POLLOUT)];
        match poll(&mut fds, PollTimeout::from(PATIENCE_MS)) {
            Ok(0) => Err(Failure::io("write to NOTIFY_SOCKET", &ErrorKind::TimedOut.into())),
            Ok(_) | Err(nix::Error::EINTR) => Ok(()),
            Err(errno) => Err(Failure::io("poll", &errno.into())),
        }
    }

    /// Waits until the manager has read all messages: then it closes the descriptor that the
    /// message BARRIER=1 carries (sd_notify_barrier(3)). The wait has a limit, because a manager
    /// may not know that message.
    fn barrier(&self) -> Result<(), Failure> {
        let fail = |error: std::io::Error| Failure::io("BARRIER=1 to NOTIFY_SOCKET", &error);
        let (mut ours, theirs) = std::io::pipe().map_err(fail)?;
        let theirs = OwnedFd::from(theirs);
        let rights = [theirs.as_raw_fd()];
        let (message, control) = ([IoSlice::new(b"BARRIER=1")], [ControlMessage::ScmRights(&rights)]);
        let send =
            || sendmsg::<()>(self.manager.as_raw_fd(), &message, &control, MsgFlags::MSG_NOSIGNAL, None);
        while let Err(errno) = send() {
            match errno {
                nix::Error::EAGAIN => self.await_room()?,
                other => return Err(fail(other.into())),
            }
        }
        drop(theirs);
        let mut fds = [PollFd::new(ours.as_fd(), PollFlags::POLLIN)];
        match poll(&mut fds, PollTimeout::from(PATIENCE_MS)) {
            Ok(0) | Err(nix::Error::EINTR) => Ok(()),
            Err(errno) => Err(fail(errno.into())),
            Ok(_) => match ours.read(&mut [0]).map_err(fail)? {
                0 => Ok(()),
                _ => Err(Failure::new("unexpected read from synchronization pipe")),
            },
        }
    }
}

/// Returns the messages for the manager about a container that is ready.
fn readiness(pid: i32) -> VecDeque<String> {
    ["READY=1\n".to_owned(), format!("MAINPID={pid}\n")].into()
}

/// Returns true if one of the message's lines is `READY=1`.
fn is_ready(message: &[u8]) -> bool {
    message.split(|byte| *byte == b'\n').any(|line| line == b"READY=1")
}

/// Connects to the manager. An address that begins with @ is abstract (unix(7)).
fn connect(address: &OsStr) -> std::io::Result<UnixDatagram> {
    let socket = UnixDatagram::unbound()?;
    match address.as_bytes() {
        [b'@', name @ ..] => socket.connect_addr(&SocketAddr::from_abstract_name(name)?)?,
        path if path.len() < ADDRESS_MAX => socket.connect(address)?,
        _ => {
            let file = open_path(Path::new(address), OFlag::empty())?;
            socket.connect(format!("/proc/self/fd/{}", file.as_raw_fd()))?;
        }
    }
    // Non-blocking, for a manager whose queue is full.
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// Opens with O_PATH. With musl, std's OpenOptions drops O_PATH, because musl's O_ACCMODE
/// includes it.
fn open_path(path: &Path, flags: OFlag) -> std::io::Result<OwnedFd> {
    Ok(open(path, OFlag::O_PATH | OFlag::O_CLOEXEC | flags, Mode::empty())?)
}

/// The size of the longest address, with its NUL (unix(7)).
const ADDRESS_MAX: usize = 108;

/// Binds the socket of the container. Every user in the container may write to it. The address is
/// below /proc/self/fd/N, a descriptor of the directory, because the path may be too long for one.
fn bind(path: &Path) -> std::io::Result<UnixDatagram> {
    let directory = path.parent().unwrap_or(path);
    let directory = open_path(directory, OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW)?;
    let directory = PathBuf::from(format!("/proc/self/fd/{}", directory.as_raw_fd()));
    let path = directory.join(path.file_name().unwrap_or_default());
    // A `start` that failed after this point has left its socket.
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    // The umask gives the socket its mode. chmod(2) would follow a symbolic link that a container
    // has put in the place of the socket.
    let umask = nix::sys::stat::umask(Mode::empty());
    let socket = UnixDatagram::bind(&path);
    nix::sys::stat::umask(umask);
    let socket = socket?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readiness_is_a_line_of_its_own() {
        for message in ["READY=1", "READY=1\n", "STATUS=here\nREADY=1\nMAINPID=7"] {
            assert!(is_ready(message.as_bytes()), "{message}");
        }
        for message in ["", "READY=0", "READY=12", "STATUS=READY=1", "XREADY=1", "WATCHDOG=1"] {
            assert!(!is_ready(message.as_bytes()), "{message}");
        }
    }
}
