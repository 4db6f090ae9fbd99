// SPDX-License-Identifier: Apache-2.0
//! The part of containerd in these tests: bundles, the program's commands, calls, events, fifos.

use crate::proto::common::{Empty, Mount};
use crate::proto::events::{Envelope, ForwardRequest};
use crate::proto::rpc::{Request, Response};
use crate::proto::task::{
    CreateTaskRequest, CreateTaskResponse, DeleteResponse, ProcessRequest, StartResponse, TaskRequest,
    WaitResponse,
};
use conformance::Bundle;
use prost::Message;
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

pub(crate) const NAMESPACE: &str = "shim-test";

/// The error of a call: a code of gRPC and a text.
pub(crate) type Answer<T> = Result<T, (i32, String)>;

/// A containerd that takes events. Its containers have names that no other test has.
pub(crate) struct Containerd {
    dir: tempfile::TempDir,
    events: Arc<Mutex<Vec<Envelope>>>,
    /// The group of the shims.
    pub(crate) group: u32,
}

impl Containerd {
    pub(crate) fn new() -> Self {
        let containerd = Containerd { dir: tempfile::tempdir().unwrap(), events: Arc::default(), group: 0 };
        containerd.take_events();
        containerd
    }

    fn address(&self) -> PathBuf {
        self.dir.path().join("c.sock")
    }

    fn ttrpc_address(&self) -> PathBuf {
        self.dir.path().join("c.sock.ttrpc")
    }

    /// Takes events from now on.
    pub(crate) fn take_events(&self) {
        let listener = UnixListener::bind(self.ttrpc_address()).unwrap();
        let events = Arc::clone(&self.events);
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let Ok(mut client) = client else { return };
                let events = Arc::clone(&events);
                std::thread::spawn(move || {
                    while let Some((stream, request)) = read_frame(&mut client) {
                        let request = Request::decode(request.as_slice()).unwrap();
                        assert_eq!(request.service, "containerd.services.events.ttrpc.v1.Events");
                        let event = ForwardRequest::decode(request.payload.as_slice()).unwrap();
                        events.lock().unwrap().push(event.envelope.unwrap());
                        write_frame(&mut client, stream, 2, &Response::default());
                    }
                });
            }
        });
    }

    /// Takes no new connection for events, as while containerd restarts.
    pub(crate) fn go_away(&self) {
        std::fs::remove_file(self.ttrpc_address()).unwrap();
    }

    /// Returns the topics of the events of a container, when there are as many.
    pub(crate) fn topics(&self, id: &str, count: usize) -> Vec<String> {
        let mut topics = Vec::new();
        until(|| {
            let events = self.events.lock().unwrap();
            let of_it = events.iter().filter(|envelope| names(envelope, id));
            topics = of_it.map(|envelope| envelope.topic.trim_start_matches("/tasks/").to_owned()).collect();
            topics.len() >= count
        });
        topics
    }

    /// Runs the program, in the bundle of a container.
    pub(crate) fn command(&self, id: &str, bundle: &Path, action: &str) -> Output {
        let mut command = Command::new(conformance::bundle::beside("containerd-shim-runtime-core-v2"));
        command.args(["-namespace", NAMESPACE, "-publish-binary", "/bin/false", "-id", id, "-address"]);
        command.arg(self.address()).arg(action).current_dir(bundle).gid(self.group);
        command.env("TTRPC_ADDRESS", self.ttrpc_address()).stdin(Stdio::null()).output().unwrap()
    }

    /// Starts the shim of a container.
    pub(crate) fn start(&self, id: &str, bundle: &Path) -> Shim {
        let output = self.command(id, bundle, "start");
        let address = String::from_utf8(output.stdout).unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        let path = address.strip_prefix("unix://").unwrap_or_else(|| panic!("start: {address}{error}"));
        Shim { socket: PathBuf::from(path) }
    }
}

/// The strings of an event are in it as they are.
fn names(envelope: &Envelope, id: &str) -> bool {
    let value = &envelope.event.as_ref().unwrap().value;
    value.windows(id.len()).any(|part| part == id.as_bytes())
}

/// Waits until a condition holds.
pub(crate) fn until(mut condition: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(20);
    while !condition() {
        assert!(Instant::now() < end, "waited for 20 s");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A running shim.
#[derive(Clone)]
pub(crate) struct Shim {
    pub(crate) socket: PathBuf,
}

impl Shim {
    /// Makes a call on a connection of its own.
    pub(crate) fn call<T: Message + Default>(&self, method: &str, message: &impl Message) -> Answer<T> {
        self.call_service("containerd.task.v3.Task", method, message.encode_to_vec())
    }

    pub(crate) fn call_service<T: Message + Default>(
        &self,
        service: &str,
        method: &str,
        payload: Vec<u8>,
    ) -> Answer<T> {
        let mut stream = UnixStream::connect(&self.socket).unwrap();
        let request =
            Request { service: service.to_owned(), method: method.to_owned(), payload, timeout_nano: 0 };
        write_frame(&mut stream, 1, 1, &request);
        let (_, response) = read_frame(&mut stream).expect("the shim has ended");
        let response = Response::decode(response.as_slice()).unwrap();
        match response.status {
            Some(status) if status.code != 0 => Err((status.code, status.message)),
            _ => Ok(T::decode(response.payload.as_slice()).unwrap()),
        }
    }

    pub(crate) fn create(&self, request: &CreateTaskRequest) -> Answer<CreateTaskResponse> {
        self.call("Create", request)
    }

    pub(crate) fn of_process<T: Message + Default>(
        &self,
        method: &str,
        id: &str,
        exec_id: &str,
    ) -> Answer<T> {
        self.call(method, &ProcessRequest { id: id.to_owned(), exec_id: exec_id.to_owned() })
    }

    pub(crate) fn start(&self, id: &str, exec_id: &str) -> Answer<StartResponse> {
        self.of_process("Start", id, exec_id)
    }

    pub(crate) fn wait(&self, id: &str, exec_id: &str) -> Answer<WaitResponse> {
        self.of_process("Wait", id, exec_id)
    }

    pub(crate) fn delete(&self, id: &str, exec_id: &str) -> Answer<DeleteResponse> {
        self.of_process("Delete", id, exec_id)
    }

    pub(crate) fn of_task<T: Message + Default>(&self, method: &str, id: &str) -> Answer<T> {
        self.call(method, &TaskRequest { id: id.to_owned() })
    }

    pub(crate) fn pid(&self) -> u32 {
        let answer: crate::proto::task::ConnectResponse = self.of_task("Connect", "").unwrap();
        answer.shim_pid
    }

    /// Ends the shim, which has no task, and checks that it leaves nothing.
    pub(crate) fn shut_down(&self) {
        let pid = self.pid();
        let _answer: Empty = self.of_task("Shutdown", "").unwrap();
        until(|| !Path::new(&format!("/proc/{pid}/exe")).exists());
        assert!(!self.socket.exists(), "the socket is left");
    }
}

/// Begins a call.
pub(crate) fn send(to: &mut UnixStream, method: &str, message: &impl Message) {
    let request = Request {
        service: "containerd.task.v2.Task".to_owned(),
        method: method.to_owned(),
        payload: message.encode_to_vec(),
        timeout_nano: 0,
    };
    write_frame(to, 1, 1, &request);
}

pub(crate) fn write_frame(to: &mut UnixStream, stream: u32, kind: u8, message: &impl Message) {
    let message = message.encode_to_vec();
    let mut frame = u32::try_from(message.len()).unwrap().to_be_bytes().to_vec();
    frame.extend_from_slice(&stream.to_be_bytes());
    frame.extend_from_slice(&[kind, 0]);
    frame.extend_from_slice(&message);
    to.write_all(&frame).unwrap();
}

pub(crate) fn read_frame(from: &mut UnixStream) -> Option<(u32, Vec<u8>)> {
    let mut header = [0; 10];
    from.read_exact(&mut header).ok()?;
    let number = |part: &[u8]| u32::from_be_bytes(part.try_into().unwrap());
    let mut message = vec![0; number(&header[..4]) as usize];
    from.read_exact(&mut message).ok()?;
    Some((number(&header[4..8]), message))
}

/// A container that is to be created: its bundle, as containerd makes it, and its fifos.
pub(crate) struct Container {
    pub(crate) id: String,
    /// The directory of the bundles. containerd names each bundle by the id.
    dir: tempfile::TempDir,
    /// The files of the image.
    image: Bundle,
}

impl Container {
    /// Makes a container whose program is `probe` with these arguments.
    pub(crate) fn new(probe_args: &[&str]) -> Self {
        Self::with(probe_args, |_| {})
    }

    pub(crate) fn with(probe_args: &[&str], change: impl FnOnce(&mut serde_json::Value)) -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let id = format!("shim-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let mut image = Bundle::new(probe_args).unwrap();
        image.config["root"]["readonly"] = false.into();
        change(&mut image.config);
        image.save().unwrap();
        let dir = tempfile::tempdir().unwrap();
        let container = Container { id, dir, image };
        std::fs::create_dir(container.bundle()).unwrap();
        std::fs::copy(container.image.path().join("config.json"), container.bundle().join("config.json"))
            .unwrap();
        for name in ["upper", "work"] {
            std::fs::create_dir(container.dir.path().join(name)).unwrap();
        }
        container
    }

    pub(crate) fn bundle(&self) -> PathBuf {
        self.dir.path().join(&self.id)
    }

    /// Returns a path beside the bundle.
    pub(crate) fn beside(&self, name: &str) -> String {
        self.dir.path().join(name).display().to_string()
    }

    /// Makes a fifo.
    pub(crate) fn fifo(&self, name: &str) -> String {
        let path = self.beside(name);
        nix::unistd::mkfifo(path.as_str(), nix::sys::stat::Mode::from_bits_retain(0o700)).unwrap();
        path
    }

    /// Returns the request that creates the container, with an overlay as its root file system.
    pub(crate) fn request(&self) -> CreateTaskRequest {
        let options = [
            format!("lowerdir={}", self.image.rootfs("").display()),
            format!("upperdir={}", self.beside("upper")),
            format!("workdir={}", self.beside("work")),
        ];
        let overlay = Mount {
            kind: "overlay".to_owned(),
            source: "overlay".to_owned(),
            options: options.to_vec(),
            ..Mount::default()
        };
        CreateTaskRequest {
            id: self.id.clone(),
            bundle: self.bundle().display().to_string(),
            rootfs: vec![overlay],
            ..CreateTaskRequest::default()
        }
    }
}

/// Opens a fifo as containerd does for output.
pub(crate) fn reader(path: &str) -> File {
    OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path).unwrap()
}

/// Reads until a text has come.
pub(crate) fn read_until(from: &mut File, text: &str) -> String {
    let mut read = Vec::new();
    until(|| {
        let mut piece = [0; 4096];
        if let Ok(length) = from.read(&mut piece) {
            read.extend_from_slice(&piece[..length]);
        }
        String::from_utf8_lossy(&read).contains(text)
    });
    String::from_utf8(read).unwrap()
}
