// SPDX-License-Identifier: Apache-2.0
//! A seccomp agent: receives listeners, answers notifications, and records both.

use crate::ensure;
use crate::result::{Doing, Result};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use serde_json::Value;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use sys_testing::descriptor::receive;
use sys_testing::notification;

/// The record of one connection.
#[derive(Clone, Debug, Default)]
pub struct Connection {
    /// The payload if it is one JSON document, else null.
    pub document: Value,
    /// The number of descriptors that came with each message.
    pub descriptors: Vec<usize>,
    /// The bytes behind the document.
    pub rest: Vec<u8>,
    /// True once the runtime has closed the connection.
    pub closed: bool,
    /// The numbers of the notified system calls so far.
    pub calls: Vec<i32>,
}

/// A running agent, until it is dropped.
#[derive(Debug)]
pub struct Agent {
    _dir: Option<tempfile::TempDir>,
    path: PathBuf,
    connections: Arc<Mutex<Vec<Connection>>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// The answer to a notification.
#[derive(Clone, Copy, Debug)]
enum Behaviour {
    Denies(&'static [i64]),
    Deserts,
}

/// The interval in which a thread checks whether to end.
const TICK_MS: u8 = 20;

impl Agent {
    /// Starts an agent that denies the calls of `denied` with ENOMEDIUM, which no kernel returns
    /// for them, and allows all others.
    pub fn start(denied: &'static [i64]) -> Result<Self> {
        Self::anew(Behaviour::Denies(denied))
    }

    /// Starts an agent that closes a listener at its first notification, without an answer.
    pub fn deserting() -> Result<Self> {
        Self::anew(Behaviour::Deserts)
    }

    /// Starts a [`deserting`](Self::deserting) agent on the socket of another one, which keeps its
    /// listeners.
    pub fn replacing(other: &Agent) -> Result<Self> {
        std::fs::remove_file(&other.path).doing("unlink")?;
        Self::behaving(Behaviour::Deserts, other.path.clone(), None)
    }

    fn anew(behaviour: Behaviour) -> Result<Self> {
        let dir = tempfile::Builder::new().prefix("agent-").tempdir().doing("temporary directory")?;
        Self::behaving(behaviour, dir.path().join("socket"), Some(dir))
    }

    fn behaving(behaviour: Behaviour, path: PathBuf, dir: Option<tempfile::TempDir>) -> Result<Self> {
        let socket = UnixListener::bind(&path).doing("bind")?;
        let connections = Arc::new(Mutex::new(Vec::new()));
        let stop = Arc::new(AtomicBool::new(false));
        let thread = std::thread::spawn({
            let (connections, stop) = (connections.clone(), stop.clone());
            move || accept(&socket, behaviour, &connections, &stop)
        });
        Ok(Agent { _dir: dir, path, connections, stop, thread: Some(thread) })
    }

    /// Returns the path of the socket.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Waits for `count` connections that are closed, and returns them. A runtime may exit before
    /// its message has been read.
    pub fn connections(&self, count: usize) -> Result<Vec<Connection>> {
        let end = Instant::now() + Duration::from_secs(5);
        loop {
            let connections = lock(&self.connections).clone();
            if connections.len() == count && connections.iter().all(|connection| connection.closed) {
                return Ok(connections);
            }
            ensure!(Instant::now() < end, "not {count} closed connections, but {connections:?}");
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // A panic of the thread has been printed.
            let _joined = thread.join();
        }
    }
}

fn lock(connections: &Mutex<Vec<Connection>>) -> std::sync::MutexGuard<'_, Vec<Connection>> {
    connections.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Waits for input. Returns false when it is time to end.
fn await_input(fd: &impl AsFd, stop: &AtomicBool) -> bool {
    while !stop.load(Ordering::Relaxed) {
        let mut fds = [PollFd::new(fd.as_fd(), PollFlags::POLLIN)];
        match poll(&mut fds, PollTimeout::from(TICK_MS)) {
            Ok(0) | Err(nix::Error::EINTR) => {}
            Ok(_) => return fds[0].revents().is_some_and(|events| events.contains(PollFlags::POLLIN)),
            Err(_) => return false,
        }
    }
    false
}

type Connections = Mutex<Vec<Connection>>;

/// A connection in the list, for the threads that serve it.
struct ConnectionEntry<'a> {
    connections: &'a Connections,
    index: usize,
}

impl<'a> ConnectionEntry<'a> {
    fn new(connections: &'a Connections, connection: Connection) -> Self {
        let mut list = lock(connections);
        list.push(connection);
        ConnectionEntry { connections, index: list.len() - 1 }
    }

    fn change(&self, change: impl FnOnce(&mut Connection)) {
        if let Some(connection) = lock(self.connections).get_mut(self.index) {
            change(connection);
        }
    }
}

fn accept(socket: &UnixListener, behaviour: Behaviour, connections: &Connections, stop: &AtomicBool) {
    std::thread::scope(|scope| {
        while await_input(socket, stop) {
            let Ok((stream, _)) = socket.accept() else { return };
            scope.spawn(move || serve(&stream, behaviour, connections, stop));
        }
    });
}

/// Receives the document and the listener of one connection, answers for it, and records the end of
/// the connection.
fn serve(stream: &UnixStream, behaviour: Behaviour, connections: &Connections, stop: &AtomicBool) {
    let (mut connection, mut payload, mut listener) = (Connection::default(), Vec::new(), None);
    while connection.document.is_null() {
        if !await_input(stream, stop) {
            return;
        }
        let Ok((bytes, mut fds)) = receive(stream) else { return };
        if bytes.is_empty() {
            break;
        }
        connection.descriptors.push(fds.len());
        payload.extend(bytes);
        listener = listener.or(fds.pop());
        connection.document = serde_json::from_slice(&payload).unwrap_or_default();
    }
    let entry = ConnectionEntry::new(connections, connection);
    std::thread::scope(|scope| {
        if let Some(listener) = listener {
            let entry = &entry;
            scope.spawn(move || answer(&listener, behaviour, stop, entry));
        }
        while await_input(stream, stop) {
            let Ok((bytes, fds)) = receive(stream) else { return };
            if bytes.is_empty() {
                return entry.change(|connection| connection.closed = true);
            }
            entry.change(|connection| {
                connection.descriptors.push(fds.len());
                connection.rest.extend(&bytes);
            });
        }
    });
}

/// Answers until no process with the filter is left.
fn answer(listener: &OwnedFd, behaviour: Behaviour, stop: &AtomicBool, entry: &ConnectionEntry<'_>) {
    while await_input(listener, stop) {
        // It fails for a caller that was killed meanwhile.
        let Ok(call) = notification::receive(listener) else { continue };
        entry.change(|connection| connection.calls.push(call.number));
        let deny = match behaviour {
            Behaviour::Denies(denied) => denied.contains(&i64::from(call.number)),
            Behaviour::Deserts => return,
        };
        // It fails for a caller that was killed meanwhile.
        let _answered = notification::answer(listener, call, deny.then_some(Errno::ENOMEDIUM));
    }
}
