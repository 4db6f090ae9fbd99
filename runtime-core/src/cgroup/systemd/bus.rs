// SPDX-License-Identifier: Apache-2.0
//! A connection to systemd over D-Bus, with a deadline on everything.

use super::manager::{Manager, addresses, show};
use super::message::{self, Message, MessageKind, PREFIX};
use super::wire::Value;
use crate::error::{Context, Error, ErrorKind, Result};
use runtime_sys::{Errno, fd, socket};
use std::collections::VecDeque;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::{Duration, Instant};

/// The timeout for one call to systemd, or for one job.
const PATIENCE: Duration = Duration::from_secs(30);

/// The maximum length of a message, in bytes. Those that we wait for are much shorter.
const LENGTH_MAX: usize = 1 << 20;
/// The maximum length of a signal, in bytes. JobRemoved signals are much shorter.
const SIGNAL_MAX: usize = 4096;
/// The number of signals that are kept until their job is known. systemd announces the end of
/// a job after its answer to the call that has started the job. So earlier signals are those
/// of other jobs, or come from any user of the host.
const SIGNALS_KEPT: usize = 64;

const SYSTEMD: &str = "org.freedesktop.systemd1";
const OBJECT: &str = "/org/freedesktop/systemd1";
const MANAGER: &str = "org.freedesktop.systemd1.Manager";

/// The failure of a call.
#[derive(Debug)]
pub(super) enum BusFailure {
    /// An answer that is an error of this name.
    Refused { name: String, text: String },
    /// No answer.
    Broken(Error),
}

impl BusFailure {
    /// Returns whether systemd has answered with this error.
    pub(super) fn is(&self, short: &str) -> bool {
        matches!(self, BusFailure::Refused { name, .. } if name.rsplit('.').next() == Some(short))
    }

    /// Returns true if there was no answer, or only an error of the bus in place of systemd's.
    pub(super) fn is_silence(&self) -> bool {
        let of_bus = ["Disconnected", "NameHasNoOwner", "NoReply", "ServiceUnknown", "TimedOut"];
        match self {
            BusFailure::Refused { name, .. } => {
                let short = name.strip_prefix("org.freedesktop.DBus.Error.");
                short.is_some_and(|short| of_bus.contains(&short) || short.starts_with("Spawn."))
            }
            BusFailure::Broken(_) => true,
        }
    }

    /// Converts the failure to an error of doing `what`.
    pub(super) fn into_error(self, what: impl std::fmt::Display) -> Error {
        match self {
            BusFailure::Refused { name, text } => {
                Error::new(ErrorKind::Setup, format!("systemd: {what}: {text} ({name})"))
            }
            BusFailure::Broken(error) => error.wrap_as(ErrorKind::Setup, format!("systemd: {what}")),
        }
    }
}

impl From<Error> for BusFailure {
    fn from(error: Error) -> Self {
        BusFailure::Broken(error)
    }
}

pub(super) type Answer<T> = std::result::Result<T, BusFailure>;

/// A connection to a manager.
#[derive(Debug)]
pub(super) struct Bus {
    socket: OwnedFd,
    serial: u32,
    /// Received bytes that are not a whole message yet.
    input: Vec<u8>,
    /// Signals that came before [`Bus::job`] waited for them.
    signals: VecDeque<Message>,
    patience: Duration,
    /// Our unique name on the bus.
    name: String,
}

impl Bus {
    /// Connects to a manager.
    pub(super) fn connect(manager: Manager) -> Result<Self> {
        Self::connect_or_hint(manager, PATIENCE)
    }

    /// Connects to a manager, for a question whose answer is not worth a long wait.
    pub(super) fn connect_briefly(manager: Manager) -> Result<Self> {
        Self::connect_or_hint(manager, PATIENCE / 10)
    }

    fn connect_or_hint(manager: Manager, patience: Duration) -> Result<Self> {
        let hint = match manager {
            Manager::System => "is this host run by systemd?",
            Manager::User => {
                "containers of a user need a systemd of that user and its bus: \
                 dbus-user-session, and a login or `loginctl enable-linger`"
            }
        };
        Self::connect_within(manager, patience)
            .map_err(|error| error.wrap_as(ErrorKind::Setup, "connecting to systemd").with_hint(hint))
    }

    fn connect_within(manager: Manager, patience: Duration) -> Result<Self> {
        let mut last = Error::new(ErrorKind::Unsupported, "there is no address of a bus");
        for address in addresses(manager)? {
            match socket::connect_within(&address, patience) {
                Ok(socket) => return Self::greet(socket, patience, true),
                Err(errno) => {
                    last = Error::os(errno, format!("connect {}", show(&address)));
                    if !matches!(errno, Errno::ENOENT | Errno::ECONNREFUSED) {
                        return Err(last);
                    }
                }
            }
        }
        // systemd itself listens on a socket, for early boot and for hosts without a bus.
        let private = Path::new("/run/systemd/private").as_os_str().as_bytes();
        match manager {
            Manager::System => match socket::connect_within(private, patience) {
                Ok(socket) => Self::greet(socket, patience, false),
                Err(_) => Err(last),
            },
            Manager::User => Err(last),
        }
    }

    /// Authenticates, and asks a bus for systemd's JobRemoved signals.
    fn greet(socket: OwnedFd, patience: Duration, is_bus: bool) -> Result<Self> {
        fd::set_nonblocking(&socket).context(|| "fcntl")?;
        let mut bus = Bus::new(socket, patience);
        bus.authenticate().context(|| "D-Bus authentication")?;
        if is_bus {
            let hello = bus.ask_bus("Hello", Vec::new());
            let hello = hello.map_err(|failure| failure.into_error("Hello"))?;
            bus.name = hello.body.first().and_then(Value::as_str).unwrap_or_default().to_owned();
            let wanted = format!(
                "type='signal',sender='{SYSTEMD}',path='{OBJECT}',interface='{MANAGER}',member='JobRemoved'"
            );
            let added = bus.ask_bus("AddMatch", vec![Value::Str(wanted)]);
            added.map_err(|failure| failure.into_error("AddMatch"))?;
        }
        Ok(bus)
    }

    fn new(socket: OwnedFd, patience: Duration) -> Self {
        Bus { socket, serial: 0, input: Vec::new(), signals: VecDeque::new(), patience, name: String::new() }
    }

    /// Authenticates by the peer credentials of the socket (D-Bus Specification, "EXTERNAL").
    /// No uid is sent, because ours may be a different one in the server's user namespace.
    fn authenticate(&mut self) -> Result<()> {
        let end = Instant::now() + self.patience;
        self.write_all(b"\0AUTH EXTERNAL\r\nDATA\r\nBEGIN\r\n", end)?;
        for expected in ["DATA", "OK "] {
            let line = loop {
                if let Some(at) = self.input.windows(2).position(|pair| pair == b"\r\n") {
                    let line: Vec<u8> = self.input.drain(..at + 2).collect();
                    break String::from_utf8_lossy(line.trim_ascii_end()).into_owned();
                }
                if self.input.len() > 4096 {
                    return Err(Error::new(ErrorKind::System, "the answer is too long"));
                }
                self.read_some(end)?;
            };
            if !(line == expected || line.starts_with("OK ") && expected == "OK ") {
                return Err(Error::new(ErrorKind::System, format!("{line:?}")));
            }
        }
        Ok(())
    }

    fn wait(&self, events: i16, end: Instant) -> Result<()> {
        let left = end.saturating_duration_since(Instant::now());
        let ready = if left.is_zero() {
            0
        } else {
            fd::poll(&self.socket, events, left.as_millis() as i32 + 1).context(|| "poll")?
        };
        match ready {
            0 => Err(self.unanswered()),
            _ => Ok(()),
        }
    }

    fn unanswered(&self) -> Error {
        Error::new(ErrorKind::System, format!("no answer within {:?}", self.patience))
    }

    fn write_all(&self, mut bytes: &[u8], end: Instant) -> Result<()> {
        while !bytes.is_empty() {
            match socket::send(&self.socket, bytes) {
                Ok(n) => bytes = bytes.get(n..).unwrap_or_default(),
                Err(Errno::EAGAIN) => self.wait(libc::POLLOUT, end)?,
                Err(errno) => return Err(Error::os(errno, "send")),
            }
        }
        Ok(())
    }

    fn read_some(&mut self, end: Instant) -> Result<()> {
        // `wait` is not called if there is always something to read.
        if Instant::now() >= end {
            return Err(self.unanswered());
        }
        let mut buffer = [0; 4096];
        loop {
            match fd::read(&self.socket, &mut buffer) {
                Ok(0) => return Err(Error::new(ErrorKind::System, "the connection was closed")),
                Ok(n) => {
                    self.input.extend(buffer.get(..n).unwrap_or_default());
                    return Ok(());
                }
                Err(Errno::EAGAIN) => self.wait(libc::POLLIN, end)?,
                Err(errno) => return Err(Error::os(errno, "read")),
            }
        }
    }

    /// Returns the next message that could be of interest. Over the bus every user of the host
    /// can send us signals with any content. Messages that are too long for systemd, or that
    /// cannot be decoded, are not systemd's and are skipped.
    fn receive(&mut self, end: Instant) -> Result<Message> {
        loop {
            let Some(prefix) = self.input.get(..PREFIX) else {
                self.read_some(end)?;
                continue;
            };
            let length = message::length(prefix)
                .ok_or_else(|| Error::new(ErrorKind::System, "the answer is not a D-Bus message"))?;
            let longest = if message::is_signal(prefix) { SIGNAL_MAX } else { LENGTH_MAX };
            if length > longest {
                self.skip(length, end)?;
                continue;
            }
            while self.input.len() < length {
                self.read_some(end)?;
            }
            let bytes: Vec<u8> = self.input.drain(..length).collect();
            if let Some(message) = message::decode(&bytes) {
                return Ok(message);
            }
        }
    }

    fn skip(&mut self, mut left: usize, end: Instant) -> Result<()> {
        loop {
            let here = left.min(self.input.len());
            self.input.drain(..here);
            left -= here;
            if left == 0 {
                return Ok(());
            }
            self.read_some(end)?;
        }
    }

    /// Makes a call, and waits for its answer.
    fn ask(&mut self, mut message: Message) -> Answer<Message> {
        let end = Instant::now() + self.patience;
        self.serial += 1;
        message.serial = self.serial;
        let bytes = message.encode();
        if bytes.len() > LENGTH_MAX {
            return Err(Error::new(ErrorKind::Setup, "the call is too long for a D-Bus message").into());
        }
        self.write_all(&bytes, end)?;
        loop {
            let answer = self.receive(end)?;
            match answer.kind {
                MessageKind::Return if answer.reply_serial == message.serial => return Ok(answer),
                MessageKind::Error if answer.reply_serial == message.serial => {
                    let text = answer.body.first().and_then(Value::as_str).unwrap_or_default().to_owned();
                    return Err(BusFailure::Refused { name: answer.error_name, text });
                }
                MessageKind::Signal if answer.member == "JobRemoved" => self.keep(answer),
                _ => {}
            }
        }
    }

    /// Keeps a signal. Drops the oldest one if there are too many.
    fn keep(&mut self, signal: Message) {
        if self.signals.len() >= SIGNALS_KEPT {
            self.signals.pop_front();
        }
        self.signals.push_back(signal);
    }

    /// Calls a method of the bus itself.
    fn ask_bus(&mut self, member: &str, body: Vec<Value>) -> Answer<Message> {
        let (name, path) = ("org.freedesktop.DBus", "/org/freedesktop/DBus");
        self.ask(Message::call(name, path, name, member, body))
    }

    /// Asks the bus for our uid.
    pub(super) fn own_uid(&mut self) -> Answer<u32> {
        let own = Value::str(&self.name.clone());
        match self.ask_bus("GetConnectionUnixUser", vec![own])?.body.first() {
            Some(Value::Uint32(uid)) => Ok(*uid),
            _ => Err(Error::new(ErrorKind::System, "the answer has no user id").into()),
        }
    }

    /// Calls a method of the manager.
    pub(super) fn call(&mut self, member: &str, body: Vec<Value>) -> Answer<Vec<Value>> {
        Ok(self.ask(Message::call(SYSTEMD, OBJECT, MANAGER, member, body))?.body)
    }

    /// Reads a string property of the manager.
    pub(super) fn property(&mut self, name: &str) -> Answer<String> {
        let body = vec![Value::str(MANAGER), Value::str(name)];
        let call = Message::call(SYSTEMD, OBJECT, "org.freedesktop.DBus.Properties", "Get", body);
        let answer = self.ask(call)?;
        Ok(answer.body.first().and_then(Value::as_str).unwrap_or_default().to_owned())
    }

    /// Calls a method that starts a job, and waits for the end of the job. Returns its result:
    /// `done` on success.
    pub(super) fn job(&mut self, member: &str, body: Vec<Value>) -> Answer<String> {
        let answer = self.ask(Message::call(SYSTEMD, OBJECT, MANAGER, member, body))?;
        let Some(Value::Path(job)) = answer.body.into_iter().next() else {
            return Err(Error::new(ErrorKind::System, "the answer names no job").into());
        };
        let end = Instant::now() + self.patience;
        loop {
            let signal = match self.signals.pop_front() {
                Some(signal) => signal,
                None => self.receive(end)?,
            };
            // The bus delivers signals of any sender. Only those of the manager count.
            if signal.kind != MessageKind::Signal
                || signal.member != "JobRemoved"
                || signal.sender != answer.sender
            {
                continue;
            }
            if let [_, Value::Path(path), _, Value::Str(result)] = signal.body.as_slice()
                && *path == job
            {
                return Ok(result.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Starts a manager that follows `script`, and returns a connection to it.
    fn talk(script: impl FnOnce(&mut Bus) + Send + 'static) -> Bus {
        let (ours, theirs) = socket::pair(nix::sys::socket::SockType::Stream).unwrap();
        fd::set_nonblocking(&ours).unwrap();
        fd::set_nonblocking(&theirs).unwrap();
        let mut manager = Bus::new(theirs, Duration::from_secs(5));
        std::thread::Builder::new().spawn(move || script(&mut manager)).unwrap();
        Bus::new(ours, Duration::from_secs(5))
    }

    fn impatient(mut bus: Bus) -> Bus {
        bus.patience = Duration::from_millis(300);
        bus
    }

    fn answer(manager: &mut Bus, kind: MessageKind, body: Vec<Value>) {
        let end = Instant::now() + Duration::from_secs(5);
        let call = manager.receive(end).unwrap();
        let mut answer = Message::call("", "", "", "", body);
        (answer.kind, answer.reply_serial, answer.serial) = (kind, call.serial, 1);
        answer.sender = ":1.0".to_owned();
        if kind == MessageKind::Error {
            answer.error_name = "org.freedesktop.systemd1.UnitExists".to_owned();
        }
        manager.write_all(&answer.encode(), end).unwrap();
    }

    fn job_removed(manager: &Bus, sender: &str, job: &str, result: &str) {
        let body =
            vec![Value::Uint32(1), Value::Path(job.to_owned()), Value::str("x.scope"), Value::str(result)];
        let mut signal = Message::call("", OBJECT, MANAGER, "JobRemoved", body);
        (signal.kind, signal.serial, signal.sender) = (MessageKind::Signal, 2, sender.to_owned());
        manager.write_all(&signal.encode(), Instant::now() + Duration::from_secs(5)).unwrap();
    }

    #[test]
    fn jobs_are_matched_by_path_and_sender() {
        let mut bus = talk(|manager| {
            job_removed(manager, ":1.0", "/job/6", "canceled");
            answer(manager, MessageKind::Return, vec![Value::Path("/job/7".into())]);
            job_removed(manager, ":1.9", "/job/7", "forged");
            job_removed(manager, ":1.0", "/job/8", "failed");
            job_removed(manager, ":1.0", "/job/7", "done");
        });
        assert_eq!(bus.job("StartTransientUnit", Vec::new()).unwrap(), "done");
    }

    /// Any user of the host may send such messages.
    #[test]
    fn messages_of_others_are_ignored() {
        let mut bus = talk(|manager| {
            let end = Instant::now() + PATIENCE;
            let mut odd = Message::call("", "/x", "a.b", "JobRemoved", vec![Value::Uint32(0)]);
            (odd.kind, odd.serial, odd.sender) = (MessageKind::Signal, 9, ":1.9".to_owned());
            let readable = odd.encode();
            // A file descriptor, a type that we do not know.
            let at = readable.windows(4).position(|bytes| bytes == b"\x01u\0\0").unwrap();
            let mut odd_bytes = readable.clone();
            odd_bytes[at + 1] = b'h';
            assert!(message::decode(&readable).is_some() && message::decode(&odd_bytes).is_none());
            manager.write_all(&odd_bytes, end).unwrap();
            for length in [SIGNAL_MAX, 2 * LENGTH_MAX] {
                odd.body = vec![Value::Str("x".repeat(length))];
                manager.write_all(&odd.encode(), end).unwrap();
            }
            answer(manager, MessageKind::Return, vec![Value::Path("/job/7".into())]);
            manager.write_all(&odd_bytes, end).unwrap();
            job_removed(manager, ":1.0", "/job/7", "done");
        });
        assert_eq!(bus.job("StartTransientUnit", Vec::new()).unwrap(), "done");
        assert!(bus.signals.is_empty());
    }

    #[test]
    fn endless_signals_use_no_memory() {
        let mut bus = talk(|manager| {
            for n in 0..10_000 {
                job_removed(manager, ":1.9", &format!("/job/{n}"), "forged");
            }
            answer(manager, MessageKind::Return, vec![Value::Path("/job/7".into())]);
            job_removed(manager, ":1.0", "/job/7", "done");
        });
        bus.patience = Duration::from_secs(30);
        let answered = bus.call("StartTransientUnit", Vec::new()).unwrap();
        assert_eq!(answered, [Value::Path("/job/7".into())]);
        assert_eq!(bus.signals.len(), SIGNALS_KEPT);
    }

    #[test]
    fn a_flood_of_messages_ends_at_the_deadline() {
        let flood = |manager: &mut Bus| {
            let mut signal = Message::call("", "/x", "a.b", "C", Vec::new());
            (signal.kind, signal.serial) = (MessageKind::Signal, 9);
            let bytes = signal.encode().repeat(100);
            let end = Instant::now() + Duration::from_secs(3);
            while Instant::now() < end && manager.write_all(&bytes, end).is_ok() {}
        };
        let begin = Instant::now();
        let report = impatient(talk(flood)).call("Hello", Vec::new()).unwrap_err().into_error("x").report();
        assert_eq!(report, "systemd: x: no answer within 300ms");
        assert!(begin.elapsed() < Duration::from_secs(2));
    }

    #[test]
    fn silence_is_told_from_an_answer() {
        let refused =
            |name: &str| BusFailure::Refused { name: name.to_owned(), text: String::new() }.is_silence();
        assert!(refused("org.freedesktop.DBus.Error.ServiceUnknown"));
        assert!(refused("org.freedesktop.DBus.Error.Spawn.ChildExited"));
        assert!(!refused("org.freedesktop.DBus.Error.AccessDenied"));
        assert!(!refused("org.freedesktop.systemd1.NoReply"));
        assert!(BusFailure::Broken(Error::new(ErrorKind::System, "x")).is_silence());
    }

    #[test]
    fn errors_have_a_name_and_a_text() {
        let mut bus = talk(|manager| {
            answer(manager, MessageKind::Error, vec![Value::str("Unit x.scope already exists.")]);
        });
        let failure = bus.call("StartTransientUnit", Vec::new()).unwrap_err();
        assert!(failure.is("UnitExists") && !failure.is("Exists"));
        assert_eq!(
            failure.into_error("starting x.scope").report(),
            "systemd: starting x.scope: Unit x.scope already exists. (org.freedesktop.systemd1.UnitExists)"
        );
    }

    #[test]
    fn a_missing_answer_is_an_error_at_the_deadline() {
        let begin = Instant::now();
        let silent = |manager: &mut Bus| {
            let _call = manager.receive(Instant::now() + Duration::from_secs(5));
            std::thread::park_timeout(Duration::from_secs(2));
        };
        let error = |failure: BusFailure| failure.into_error("Hello").report();
        let mut bus = impatient(talk(silent));
        assert_eq!(
            error(bus.call("Hello", Vec::new()).unwrap_err()),
            "systemd: Hello: no answer within 300ms"
        );
        let mut bus =
            talk(|manager| answer(manager, MessageKind::Return, vec![Value::Path("/job/7".into())]));
        let report = error(bus.job("StartUnit", Vec::new()).unwrap_err());
        assert_eq!(report, "systemd: Hello: the connection was closed");
        let mut bus = impatient(talk(silent));
        assert_eq!(bus.authenticate().unwrap_err().report(), "no answer within 300ms");
        assert!(begin.elapsed() < Duration::from_secs(5));
    }

    #[test]
    fn an_invalid_message_is_an_error() {
        let mut bus = talk(|manager| {
            manager.write_all(&[b'x'; 100], Instant::now() + PATIENCE).unwrap();
            std::thread::park_timeout(Duration::from_secs(1));
        });
        let report = bus.call("Hello", Vec::new()).unwrap_err().into_error("Hello").report();
        assert_eq!(report, "systemd: Hello: the answer is not a D-Bus message");
        let mut bus = talk(|manager| {
            manager.write_all(b"DATA\r\nREJECTED EXTERNAL\r\n", Instant::now() + PATIENCE).unwrap();
            std::thread::park_timeout(Duration::from_secs(1));
        });
        assert_eq!(bus.authenticate().unwrap_err().report(), "\"REJECTED EXTERNAL\"");
        let mut bus = talk(|manager| {
            manager.write_all(&[b'x'; 10_000], Instant::now() + PATIENCE).unwrap();
            std::thread::park_timeout(Duration::from_secs(1));
        });
        assert_eq!(bus.authenticate().unwrap_err().report(), "the answer is too long");
    }
}
