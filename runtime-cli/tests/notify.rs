// SPDX-License-Identifier: Apache-2.0
//! Readiness of containers, for a service manager (sd_notify(3)).
#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

use conformance::{Bundle, Runtime, host, runtime};
use runtime_sys::socket::recv_fd;
use std::os::fd::OwnedFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::process::Command;
use std::time::Duration;

/// A service manager with its socket.
struct Manager {
    socket: UnixDatagram,
    address: String,
    _dir: Option<tempfile::TempDir>,
}

impl Manager {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        Self::listening(socket, path.to_str().unwrap().to_owned(), Some(dir))
    }

    fn with_abstract_address() -> Self {
        let name = format!("notify-{}", std::process::id());
        let socket = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
        Self::listening(socket, format!("@{name}"), None)
    }

    fn listening(socket: UnixDatagram, address: String, _dir: Option<tempfile::TempDir>) -> Self {
        socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        Manager { socket, address, _dir }
    }

    /// Makes a command with the environment of a service.
    fn command(&self, runtime: &Runtime, bundle: &Bundle, args: &[&str]) -> Command {
        let mut command = runtime.command(args);
        command.env("NOTIFY_SOCKET", &self.address).current_dir(bundle.path());
        command
    }

    /// Receives a message, and the descriptor that came with it.
    fn receive(&self) -> (String, Option<OwnedFd>) {
        let mut bytes = [0; 4096];
        let (length, descriptor) = recv_fd(&self.socket, &mut bytes).unwrap();
        (String::from_utf8_lossy(&bytes[..length]).into_owned(), descriptor)
    }

    /// Checks the message about a container that is ready.
    fn expect_ready(&self, pid: &str) {
        assert_eq!(self.receive().0, "READY=1\n");
        assert_eq!(self.receive().0, format!("MAINPID={pid}\n"));
    }

    fn expect_nothing(&self) {
        self.socket.set_nonblocking(true).unwrap();
        assert_eq!(self.socket.recv(&mut [0; 1]).unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
        self.socket.set_nonblocking(false).unwrap();
    }
}

fn runtime() -> Runtime {
    Runtime::from_env().unwrap()
}

fn pid(runtime: &Runtime, id: &str) -> String {
    runtime.state(id).unwrap()["pid"].to_string()
}

fn id(name: &str) -> String {
    format!("notify-{name}-{}", std::process::id())
}

#[test]
fn start_waits_until_the_container_is_ready() {
    let _alone = host::alone();
    for manager in [Manager::new(), Manager::with_abstract_address()] {
        let (runtime, id) = (runtime(), id("start"));
        let bundle = Bundle::new(&["notify", "STATUS=soon", "notify", "READY=1", "sleep"]).unwrap();
        runtime::finish(manager.command(&runtime, &bundle, &["create", &id])).unwrap().ok().unwrap();
        manager.expect_nothing();
        let mut start = manager.command(&runtime, &bundle, &["start", &id]).spawn().unwrap();
        manager.expect_ready(&pid(&runtime, &id));
        let (message, barrier) = manager.receive();
        assert_eq!(message, "BARRIER=1");
        std::thread::sleep(Duration::from_millis(200));
        assert!(start.try_wait().unwrap().is_none(), "start does not wait for the manager");
        drop(barrier.unwrap());
        assert!(runtime::wait(&mut start).unwrap().success());
        runtime.run(&["delete", "--force", &id]).unwrap().ok().unwrap();
    }
}

/// Otherwise a container could send any number of messages to the host's manager.
#[test]
fn readiness_is_forwarded_once() {
    let _alone = host::alone();
    let (manager, runtime, id) = (Manager::new(), runtime(), id("once"));
    let ready: Vec<_> = ["notify", "READY=1"].repeat(5);
    let bundle = Bundle::new(&[ready, vec!["exit", "0"]].concat()).unwrap();
    // The container may get an error for its further messages.
    let _either = runtime::finish(manager.command(&runtime, &bundle, &["run", &id])).unwrap();
    assert_eq!(manager.receive().0, "READY=1\n");
    assert!(manager.receive().0.starts_with("MAINPID="));
    manager.expect_nothing();
}

#[test]
fn a_detached_run_waits_and_a_foreground_one_stays() {
    let _alone = host::alone();
    let (manager, runtime, id) = (Manager::new(), runtime(), id("run"));
    let bundle = Bundle::new(&["notify", "READY=1", "sleep"]).unwrap();
    let mut run = manager.command(&runtime, &bundle, &["run", "--detach", &id]).spawn().unwrap();
    assert_eq!(manager.receive().0, "READY=1\n");
    assert_eq!(manager.receive().0, format!("MAINPID={}\n", pid(&runtime, &id)));
    drop(manager.receive());
    assert!(runtime::wait(&mut run).unwrap().success());
    runtime.run(&["delete", "--force", &id]).unwrap().ok().unwrap();

    let bundle = Bundle::new(&["notify", "READY=1", "exit", "7"]).unwrap();
    let mut run = manager.command(&runtime, &bundle, &["run", &id]).spawn().unwrap();
    manager.expect_ready(&run.id().to_string());
    assert_eq!(runtime::wait(&mut run).unwrap().code(), Some(7));
    manager.expect_nothing();
}

#[test]
fn a_container_that_is_never_ready_blocks_no_other_command() {
    let _alone = host::alone();
    let (manager, runtime, id) = (Manager::new(), runtime(), id("never"));
    let bundle = Bundle::new(&["exit", "0"]).unwrap();
    runtime::finish(manager.command(&runtime, &bundle, &["create", &id])).unwrap().ok().unwrap();
    runtime::finish(manager.command(&runtime, &bundle, &["start", &id])).unwrap().ok().unwrap();
    runtime.run(&["delete", &id]).unwrap().ok().unwrap();
    runtime::finish(manager.command(&runtime, &bundle, &["run", &id])).unwrap().ok().unwrap();
    manager.expect_nothing();
}

/// A stale variable, as in a shell of a service, does not keep a container from starting.
#[test]
fn a_missing_manager_is_a_warning() {
    let _alone = host::alone();
    let (manager, runtime, id) = (Manager::new(), runtime(), id("wrong"));
    let bundle = Bundle::new(&["sleep"]).unwrap();
    runtime.run_in(&bundle, &["create", &id]).unwrap().ok().unwrap();
    let warns = |mut command: Command, words: &str| {
        command.current_dir(bundle.path());
        let output = runtime::finish(command).unwrap().ok().unwrap();
        assert!(output.stderr.contains("level=warning") && output.stderr.contains(words), "{output}");
        assert_eq!(runtime.status(&id).unwrap(), "running");
        runtime.run(&["delete", "--force", &id]).unwrap().ok().unwrap();
    };
    let nowhere = |args: &[&str]| {
        let mut command = runtime.command(args);
        command.env("NOTIFY_SOCKET", "/nonexistent/notify");
        command
    };
    warns(
        manager.command(&runtime, &bundle, &["start", &id]),
        "NOTIFY_SOCKET was not set when the container was created",
    );
    let no_such = "dial unixgram /nonexistent/notify: no such file or directory";
    runtime.run_in(&bundle, &["create", &id]).unwrap().ok().unwrap();
    warns(nowhere(&["start", &id]), no_such);
    warns(nowhere(&["run", "--detach", &id]), no_such);
}

/// Socket addresses have at most 107 bytes; paths may be longer.
#[test]
fn paths_that_are_longer_than_an_address_work() {
    let _alone = host::alone();
    let (runtime, id) = (runtime(), id("long"));
    let long = format!("{}/{}", runtime.root().display(), "d".repeat(120));
    std::fs::create_dir(&long).unwrap();
    let socket = UnixDatagram::bind(runtime.root().join("s")).unwrap();
    let address = format!("{long}/{}", "n".repeat(120));
    std::fs::rename(runtime.root().join("s"), &address).unwrap();
    let manager = Manager::listening(socket, address, None);
    let bundle = Bundle::new(&["notify", "READY=1", "exit", "7"]).unwrap();
    let mut run = Command::new(runtime.program());
    run.args(["--root", &long, "run", &id]).current_dir(bundle.path());
    let mut run = run.env("NOTIFY_SOCKET", &manager.address).spawn().unwrap();
    manager.expect_ready(&run.id().to_string());
    assert_eq!(runtime::wait(&mut run).unwrap().code(), Some(7));
}

/// A manager that does not read blocks neither the container's output nor signals.
#[test]
fn a_manager_that_does_not_read_does_not_block_a_run() {
    let _alone = host::alone();
    let (manager, runtime, id) = (Manager::new(), runtime(), id("deaf"));
    let full = UnixDatagram::unbound().unwrap();
    full.connect(&manager.address).unwrap();
    full.set_nonblocking(true).unwrap();
    while full.send(b"STATUS=busy").is_ok() {}
    let bundle = Bundle::new(&["notify", "READY=1", "after", "500", "exit", "7"]).unwrap();
    let mut run = manager.command(&runtime, &bundle, &["run", &id]).spawn().unwrap();
    assert_eq!(runtime::wait(&mut run).unwrap().code(), Some(7));
}
