// SPDX-License-Identifier: Apache-2.0
//! CRIU (criu.org), which writes processes into files and makes them again. It is a program of the
//! host. `criu swrk FD` takes requests in protocol buffers on a SOCK_SEQPACKET socket
//! (images/rpc.proto of CRIU), and tells its caller on the way what it is about to do:
//!
//! ```text
//!  VERSION (keep_open)       ──▶
//!                            ◀── VERSION
//!  FEATURE_CHECK (keep_open) ──▶                  } only for --pre-dump and --lazy-pages
//!                            ◀── FEATURE_CHECK    }
//!  DUMP, PRE_DUMP or RESTORE ──▶
//!                            ◀── NOTIFY "setup-namespaces", "post-restore", ...   } any number
//!  NOTIFY success            ──▶                                                  }
//!                            ◀── DUMP, PRE_DUMP or RESTORE
//! ```

mod wire;

pub(crate) use wire::Message;

use crate::error::{Context, Error, ErrorKind, Result};
use crate::parent::reap;
use crate::path::proc::PidFile;
use crate::watch::Watch;
use nix::sys::socket::SockType;
use runtime_sys::process::{Engine, ExitStatus, pidfd_open, start_engine};
use runtime_sys::{Errno, fd, socket};
use std::ffi::{CString, OsStr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use wire::fields;

/// The program that is looked for in PATH.
pub(crate) const PROGRAM: &str = "criu";

/// The oldest version that is used: 3.16 is the first with the freezer of cgroup v2, external pid
/// namespaces, and labels that differ from those of the images.
const OLDEST: Version = Version { major: 3, minor: 16 };

/// The largest message of CRIU, in bytes. Its answers have a few hundred.
const MESSAGE_MAX: usize = 64 << 10;

/// The time in which CRIU answers a question.
const ANSWER_TIME: Duration = Duration::from_secs(10);

/// The time in which CRIU ends after its last answer.
const END_TIME: Duration = Duration::from_secs(10);

/// The time in which a dump has to end by itself, from its cancellation on.
const CANCEL_TIME: Duration = Duration::from_secs(10);

/// The field numbers of `criu_opts` in rpc.proto.
pub(crate) mod option {
    pub(crate) const IMAGES_DIR_FD: u32 = 1;
    pub(crate) const PID: u32 = 2;
    pub(crate) const LEAVE_RUNNING: u32 = 3;
    pub(crate) const EXT_UNIX_SK: u32 = 4;
    pub(crate) const TCP_ESTABLISHED: u32 = 5;
    pub(crate) const EVASIVE_DEVICES: u32 = 6;
    pub(crate) const SHELL_JOB: u32 = 7;
    pub(crate) const FILE_LOCKS: u32 = 8;
    pub(crate) const LOG_LEVEL: u32 = 9;
    pub(crate) const LOG_FILE: u32 = 10;
    pub(crate) const PAGE_SERVER: u32 = 11;
    pub(crate) const NOTIFY_SCRIPTS: u32 = 12;
    pub(crate) const ROOT: u32 = 13;
    pub(crate) const PARENT_IMG: u32 = 14;
    pub(crate) const TRACK_MEM: u32 = 15;
    pub(crate) const AUTO_DEDUP: u32 = 16;
    pub(crate) const WORK_DIR_FD: u32 = 17;
    pub(crate) const LINK_REMAP: u32 = 18;
    pub(crate) const EXT_MNT: u32 = 23;
    pub(crate) const MANAGE_CGROUPS: u32 = 24;
    pub(crate) const CG_ROOT: u32 = 25;
    pub(crate) const RST_SIBLING: u32 = 26;
    pub(crate) const INHERIT_FD: u32 = 27;
    pub(crate) const MANAGE_CGROUPS_MODE: u32 = 34;
    pub(crate) const EXTERNAL: u32 = 37;
    pub(crate) const EMPTY_NS: u32 = 38;
    pub(crate) const JOIN_NS: u32 = 39;
    pub(crate) const FREEZE_CGROUP: u32 = 44;
    pub(crate) const TCP_SKIP_IN_FLIGHT: u32 = 46;
    pub(crate) const LAZY_PAGES: u32 = 48;
    pub(crate) const ORPHAN_PTS_MASTER: u32 = 50;
    pub(crate) const CONFIG_FILE: u32 = 51;
    pub(crate) const LSM_PROFILE: u32 = 53;
    pub(crate) const LSM_MOUNT_CONTEXT: u32 = 63;
}

/// A request, `criu_req_type` of rpc.proto.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RequestKind {
    Dump = 1,
    Restore = 2,
    PreDump = 4,
    Notify = 6,
    FeatureCheck = 9,
    Version = 10,
}

impl RequestKind {
    /// Returns the name in rpc.proto, for errors.
    fn name(self) -> &'static str {
        match self {
            RequestKind::Dump => "DUMP",
            RequestKind::Restore => "RESTORE",
            RequestKind::PreDump => "PRE_DUMP",
            RequestKind::Notify => "NOTIFY",
            RequestKind::FeatureCheck => "FEATURE_CHECK",
            RequestKind::Version => "VERSION",
        }
    }
}

/// A feature of the kernel that CRIU can check: its field number in `criu_features`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Feature {
    MemTrack = 1,
    LazyPages = 2,
}

impl Feature {
    fn name(self) -> &'static str {
        match self {
            Feature::MemTrack => "mem_track (CONFIG_MEM_SOFT_DIRTY)",
            Feature::LazyPages => "lazy_pages (userfaultfd)",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Version {
    major: i32,
    minor: i32,
}

impl std::fmt::Display for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// An announcement of CRIU, which waits until its caller has reacted.
#[derive(Debug)]
pub(crate) struct Notice {
    /// The name of the action-script for it: "post-restore", for example.
    pub(crate) script: String,
    /// The pid of the first process, in the caller's pid namespace; 0 if there is none yet.
    pub(crate) pid: i32,
    /// The descriptor that came with it: the master of a terminal.
    pub(crate) fd: Option<OwnedFd>,
}

/// An answer of CRIU, `criu_resp` of rpc.proto.
#[derive(Debug, Default, PartialEq, Eq)]
struct Answer {
    kind: i32,
    is_success: bool,
    script: String,
    pid: i32,
    errno: i32,
    message: String,
    version: Option<(i32, i32)>,
    /// The checked features that the kernel has.
    features: Vec<u32>,
}

impl Answer {
    /// Parses an answer; `None` if it is malformed.
    fn parse(bytes: &[u8]) -> Option<Self> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let mut answer = Answer::default();
        for (field, value) in fields(bytes)? {
            match field {
                1 => answer.kind = value.int(),
                2 => answer.is_success = value.int() != 0,
                // criu_restore_resp
                4 => answer.pid = fields(value.bytes())?.iter().find(|(field, _)| *field == 1)?.1.int(),
                // criu_notify
                5 => {
                    for (field, value) in fields(value.bytes())? {
                        match field {
                            1 => answer.script = text(value.bytes()),
                            2 => answer.pid = value.int(),
                            _ => {}
                        }
                    }
                }
                7 => answer.errno = value.int(),
                // criu_features
                8 => {
                    let features = fields(value.bytes())?;
                    answer.features =
                        features.iter().filter(|(_, has)| has.int() != 0).map(|(field, _)| *field).collect();
                }
                9 => answer.message = text(value.bytes()),
                // criu_version
                10 => {
                    let (mut major, mut minor) = (0, 0);
                    for (field, value) in fields(value.bytes())? {
                        match field {
                            1 => major = value.int(),
                            2 => minor += value.int(),
                            // A build between two releases has what the next one will have.
                            3 if !value.bytes().is_empty() => minor += 1,
                            _ => {}
                        }
                    }
                    answer.version = Some((major, minor));
                }
                _ => {}
            }
        }
        Some(answer)
    }
}

/// The descriptors and the root that a CRIU for a restore has from its start on.
#[derive(Debug)]
pub(crate) struct Restorer<'a> {
    pub(crate) work_dir: BorrowedFd<'a>,
    /// Descriptors that the requests name.
    pub(crate) inherited: Vec<OwnedFd>,
    /// The root file system, and the path at which it is mounted in a mount namespace of CRIU's own:
    /// CRIU wants a mount point whose parent is not covered by another mount.
    pub(crate) tree: OwnedFd,
    pub(crate) mount_point: CString,
}

/// The process of CRIU.
#[derive(Debug)]
pub(crate) struct Criu {
    pub(crate) pid: i32,
    /// Taken when the process has been reaped.
    pidfd: Option<OwnedFd>,
    /// Taken when nothing more is asked.
    socket: Option<OwnedFd>,
    version: Version,
}

impl Criu {
    /// Starts the program, with these as standard input, output and error, and checks its version.
    /// Gives up when `cancel` becomes readable.
    ///
    /// Errors: [`ErrorKind::Unsupported`]: there is no such program, or it is too old.
    pub(crate) fn start(
        program: Option<&OsStr>,
        stdio: [Stdio; 3],
        restores: Option<Restorer<'_>>,
        cancel: Option<BorrowedFd<'_>>,
    ) -> Result<Self> {
        let (ours, theirs) = socket::pair(SockType::SeqPacket).context(|| "socketpair")?;
        let program = program.unwrap_or(OsStr::new(PROGRAM));
        let mut command = Command::new(program);
        command.arg("swrk").arg(theirs.as_raw_fd().to_string());
        let [stdin, stdout, stderr] = stdio;
        command.stdin(stdin).stdout(stdout).stderr(stderr);
        let mut engine = Engine { inherited: vec![theirs], mount: None, apart: restores.is_none() };
        if let Some(Restorer { work_dir, inherited, tree, mount_point }) = restores {
            command.current_dir(format!("/proc/self/fd/{}", work_dir.as_raw_fd()));
            engine.inherited.extend(inherited);
            engine.mount = Some((tree, mount_point));
        }
        start_engine(&mut command, engine);
        let child = command.spawn().map_err(|error| match error.raw_os_error() {
            Some(libc::ENOENT) => {
                let text = format!("exec: {program:?}: executable file not found in $PATH");
                Error::new(ErrorKind::Unsupported, text)
                    .with_hint(format!("checkpoint and restore need CRIU {OLDEST} or newer (criu.org)"))
            }
            _ => Error::io(&error, format!("fork/exec {}", program.display())),
        })?;
        // The child has not been waited for, so the pid is not reused.
        let pid = child.id() as i32;
        let pidfd = pidfd_open(pid).context(|| "pidfd_open")?;
        // The command has the other end of the socket.
        drop(command);
        let mut criu = Criu { pid, pidfd: Some(pidfd), socket: Some(ours), version: OLDEST };
        criu.check_version(cancel)?;
        Ok(criu)
    }

    /// Returns the version of the program in PATH. Errors: see [`start`](Self::start).
    pub(crate) fn find_version() -> Result<String> {
        let none = || [Stdio::null(), Stdio::null(), Stdio::null()];
        Criu::start(None, none(), None, None).map(|criu| criu.version.to_string())
    }

    /// Opens the working directory of a CRIU that restores. CRIU mounts there, so the directory has to
    /// be one of its own mount namespace.
    pub(crate) fn work_dir(&self) -> Result<OwnedFd> {
        let file = PidFile::new(self.pid, "cwd");
        let flags = libc::O_RDONLY | libc::O_DIRECTORY;
        let open = |path: CString| fd::open_follow(fd::CWD, &path, flags, 0);
        file.absolute().and_then(open).context(|| format!("open {file}"))
    }

    fn check_version(&mut self, cancel: Option<BorrowedFd<'_>>) -> Result<()> {
        let answer = self.ask(RequestKind::Version, cancel, |request| request.flag(4, true))?;
        match answer.version {
            Some((major, minor)) if Version { major, minor } >= OLDEST => {
                self.version = Version { major, minor };
                Ok(())
            }
            version => {
                let (major, minor) = version.unwrap_or_default();
                let found = Version { major, minor };
                let text = format!("CRIU version {found} must be {OLDEST} or higher");
                Err(Error::new(ErrorKind::Unsupported, text))
            }
        }
    }

    /// Fails if the kernel, or CRIU, lacks a feature.
    pub(crate) fn check_feature(&mut self, feature: Feature, cancel: Option<BorrowedFd<'_>>) -> Result<()> {
        let answer = self.ask(RequestKind::FeatureCheck, cancel, |request| {
            let mut features = Message::default();
            features.flag(feature as u32, true);
            request.flag(4, true);
            request.message(5, &features);
        })?;
        if answer.features.contains(&(feature as u32)) {
            return Ok(());
        }
        let text = format!("criu is missing features: {}", feature.name());
        Err(Error::new(ErrorKind::Unsupported, text))
    }

    /// Asks a question that CRIU answers at once. If it does not, it is killed: it has begun nothing.
    fn ask(
        &mut self,
        kind: RequestKind,
        cancel: Option<BorrowedFd<'_>>,
        fill: impl FnOnce(&mut Message),
    ) -> Result<Answer> {
        let mut request = Message::default();
        request.number(1, kind as i64);
        fill(&mut request);
        self.send(&request)?;
        let (answer, _) = match self.receive(cancel, Some(Instant::now() + ANSWER_TIME)) {
            Ok(received) => received,
            Err(error) => {
                self.kill();
                return Err(error);
            }
        };
        if answer.is_success { Ok(answer) } else { Err(failed(kind, &answer)) }
    }

    /// Makes a request, and calls `react` for each announcement of CRIU. If `react` fails, CRIU
    /// undoes what it has done, and the error is that of `react`. Returns the pid in the answer to a
    /// restore.
    ///
    /// When `cancel` becomes readable, the request is cancelled. A dump is made to fail at the next
    /// announcement, so that CRIU brings the processes, and the sockets that it has put into repair
    /// mode, back to what they were. A dump that has not ended after [`CANCEL_TIME`] is killed, and one that
    /// was complete when it was cancelled is a success. A restore is killed at once, also if it is complete.
    pub(crate) fn request(
        &mut self,
        kind: RequestKind,
        options: &Message,
        mut cancel: Option<BorrowedFd<'_>>,
        mut react: impl FnMut(Notice) -> Result<()>,
    ) -> Result<i32> {
        let mut request = Message::default();
        request.number(1, kind as i64);
        request.message(2, options);
        self.send(&request)?;
        let mut refused = None;
        // True if the next announcement is answered with a failure.
        let mut fails = false;
        let mut deadline = None;
        loop {
            let (answer, fd) = match self.receive(cancel, deadline) {
                Ok(received) => received,
                Err(error) if error.kind() == ErrorKind::Cancelled && kind != RequestKind::Restore => {
                    fails = refused.is_none();
                    refused = refused.or(Some(error));
                    (cancel, deadline) = (None, Some(Instant::now() + CANCEL_TIME));
                    continue;
                }
                Err(error) => {
                    self.kill();
                    return Err(refused.unwrap_or(error));
                }
            };
            if answer.kind != RequestKind::Notify as i32 {
                // The end of the connection ends a loop of pre-dumps.
                drop(self.socket.take());
                // Nothing was made to fail if the cancellation came after the last announcement.
                if let Some(error) = refused
                    && !(fails && answer.is_success)
                {
                    return Err(error);
                }
                if answer.kind != kind as i32 || !answer.is_success {
                    return Err(failed(kind, &answer));
                }
                let cancel = if kind == RequestKind::Restore { cancel } else { None };
                let status = self.wait(cancel)?;
                // After a pre-dump CRIU waits for the next request, and fails without one.
                if status != ExitStatus::Exited(0) && kind != RequestKind::PreDump {
                    return Err(Error::new(ErrorKind::System, format!("criu failed: {status}")));
                }
                return Ok(answer.pid);
            }
            if refused.is_none() {
                refused = react(Notice { script: answer.script, pid: answer.pid, fd }).err();
                fails = refused.is_some();
            }
            let mut reply = Message::default();
            reply.number(1, RequestKind::Notify as i64);
            // CRIU then announces each step that it undoes, too. These must not fail.
            reply.number(3, (!std::mem::take(&mut fails)).into());
            // A failure means that CRIU has ended, which the next receive reports.
            drop(self.send(&reply));
        }
    }

    fn send(&self, message: &Message) -> Result<()> {
        match self.socket.as_ref().map(|socket| socket::send(socket, message.as_bytes())) {
            None | Some(Err(Errno::EPIPE)) => Err(ended()),
            Some(sent) => sent.map(drop).context(|| "sending to criu: send").map_err(|error| {
                // The size that net.core.wmem_default allows.
                match error.errno() == Some(Errno::EMSGSIZE as i32) {
                    true => error.with_hint("the container has too many mounts for one message"),
                    false => error,
                }
            }),
        }
    }

    /// Waits for the next message of CRIU, until `deadline` if there is one.
    fn receive(
        &self,
        cancel: Option<BorrowedFd<'_>>,
        deadline: Option<Instant>,
    ) -> Result<(Answer, Option<OwnedFd>)> {
        let Some(socket) = &self.socket else { return Err(ended()) };
        let [_, cancel] = Watch::cancel(cancel).entries();
        let timeout_ms = deadline.map_or(-1, |end| {
            i32::try_from(end.saturating_duration_since(Instant::now()).as_millis()).unwrap_or(i32::MAX)
        });
        // The children of a CRIU that was killed have the other end of the socket, too.
        let process = self.pidfd.as_ref().map(|pidfd| (pidfd.as_fd(), libc::POLLIN));
        // The kernel looks at them in this order. If the process has ended at the first look, the socket
        // has all of its messages at the second.
        let news = [process, Some((socket.as_fd(), libc::POLLIN)), cancel];
        let [has_ended, news, cancelled] = fd::poll_many(news, timeout_ms).context(|| "poll")?;
        if news == 0 {
            Watch::check([0, cancelled])?;
            if has_ended != 0 {
                return Err(ended());
            }
            return Err(Error::new(ErrorKind::System, "criu does not answer in time"));
        }
        let mut buffer = vec![0; MESSAGE_MAX];
        let (length, fd) = match socket::recv_fd(socket, &mut buffer) {
            Ok((0, _)) | Err(Errno::ECONNRESET) => return Err(ended()),
            received => received.context(|| "receiving from criu: recvmsg")?,
        };
        let answer = buffer.get(..length).filter(|_| length < MESSAGE_MAX).and_then(Answer::parse);
        let bad = || Error::new(ErrorKind::System, "criu has sent a message that cannot be read");
        Ok((answer.ok_or_else(bad)?, fd))
    }

    /// Waits until the process, which has answered, has ended. Fails if `cancel` is readable then, or before.
    fn wait(&mut self, cancel: Option<BorrowedFd<'_>>) -> Result<ExitStatus> {
        let Some(pidfd) = &self.pidfd else { return Ok(ExitStatus::Exited(0)) };
        let [_, cancel] = Watch::cancel(cancel).entries();
        let news = [Some((pidfd.as_fd(), libc::POLLIN)), cancel];
        let [ended, cancelled] = fd::poll_many(news, END_TIME.as_millis() as i32).context(|| "poll")?;
        let in_time = match Watch::check([0, cancelled]) {
            Ok(()) if ended == 0 => Err(Error::new(ErrorKind::System, "criu does not end after its answer")),
            in_time => in_time,
        };
        if let Err(error) = in_time {
            self.kill();
            return Err(error);
        }
        match self.pidfd.take() {
            Some(pidfd) => reap::reap(self.pid, pidfd).context(|| "waitid"),
            None => Ok(ExitStatus::Exited(0)),
        }
    }

    fn kill(&mut self) {
        if let Some(pidfd) = self.pidfd.take() {
            reap::end(pidfd);
        }
    }
}

impl Drop for Criu {
    /// Lets the process end, which sees the end of its socket and undoes what it was doing.
    fn drop(&mut self) {
        const PATIENCE_MS: i32 = 10_000;
        drop(self.socket.take());
        let Some(pidfd) = &self.pidfd else { return };
        runtime_sys::ignore(fd::poll(pidfd, libc::POLLIN, PATIENCE_MS));
        self.kill();
    }
}

fn ended() -> Error {
    Error::new(ErrorKind::System, "criu has ended without an answer")
}

fn failed(kind: RequestKind, answer: &Answer) -> Error {
    // Programs match on runc's words.
    let text = format!("criu failed: type {} errno {}", kind.name(), answer.errno);
    match answer.message.trim() {
        "" => Error::new(ErrorKind::System, text),
        message => Error::new(ErrorKind::System, message).wrap(text),
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods)]
mod tests {
    use super::*;

    /// The bytes are those that protoc writes for rpc.proto.
    #[test]
    fn answers_are_read() {
        let notice = Answer::parse(b"\x08\x06\x10\x01\x2a\x11\x0a\x0cpost-restore\x10\xe7\x24").unwrap();
        assert_eq!((notice.kind, notice.is_success), (RequestKind::Notify as i32, true));
        assert_eq!((notice.script.as_str(), notice.pid), ("post-restore", 4711));
        // type: VERSION success: true version { major_number: 3 minor_number: 15 gitid: "v3" sublevel: 1 }
        let version = b"\x08\x0a\x10\x01\x52\x0a\x08\x03\x10\x0f\x1a\x02v3\x20\x01";
        assert_eq!(Answer::parse(version).unwrap().version, Some((3, 16)));
        // type: RESTORE success: false cr_errno: 17 cr_errmsg: "x"
        let failure = Answer::parse(b"\x08\x02\x10\x00\x38\x11\x4a\x01x").unwrap();
        assert_eq!(failed(RequestKind::Restore, &failure).report(), "criu failed: type RESTORE errno 17: x");
        // type: FEATURE_CHECK success: true features { mem_track: true lazy_pages: false }
        let features = Answer::parse(b"\x08\x09\x10\x01\x42\x04\x08\x01\x10\x00").unwrap().features;
        assert_eq!(features, [Feature::MemTrack as u32]);
        assert_eq!(Answer::parse(b"\x08\x06\x2a\x05\x0a"), None);
    }

    #[test]
    fn a_program_that_is_missing_or_no_criu() {
        let start = |program: &str| {
            let stdio = [Stdio::null(), Stdio::null(), Stdio::null()];
            Criu::start(Some(OsStr::new(program)), stdio, None, None).unwrap_err()
        };
        let missing = start("no-such-criu");
        assert_eq!(missing.kind(), ErrorKind::Unsupported);
        assert_eq!(
            missing.report(),
            "exec: \"no-such-criu\": executable file not found in $PATH; hint: checkpoint and restore need \
             CRIU 3.16 or newer (criu.org)"
        );
        assert_eq!(start("/bin/true").report(), "criu has ended without an answer");
    }

    /// Makes a program that never ends, and the other end of its socket.
    // `Criu::kill` waits for it.
    #[allow(clippy::zombie_processes)]
    fn silent() -> (Criu, OwnedFd) {
        let child = Command::new("/bin/sleep").arg("1000").spawn().unwrap();
        let (ours, theirs) = socket::pair(SockType::SeqPacket).unwrap();
        let pid = child.id() as i32;
        (Criu { pid, pidfd: Some(pidfd_open(pid).unwrap()), socket: Some(ours), version: OLDEST }, theirs)
    }

    #[test]
    fn a_program_that_does_not_answer() {
        let (mut criu, _theirs) = silent();
        let error = criu.receive(None, Some(Instant::now())).unwrap_err();
        assert_eq!(error.report(), "criu does not answer in time");
        // Without its other end, a pipe is readable.
        let event = fd::pipe().unwrap().0;
        let error = criu.check_version(Some(event.as_fd())).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Cancelled);
        assert!(criu.pidfd.is_none(), "it still runs");
    }

    /// The children of CRIU have its end of the socket.
    #[test]
    fn a_program_that_is_killed_while_another_has_its_socket() {
        let (criu, theirs) = silent();
        socket::send(&theirs, b"\x08\x06\x10\x01").unwrap();
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(criu.pid), nix::sys::signal::Signal::SIGKILL)
            .unwrap();
        // A message that it has sent before is still read.
        let deadline = || Some(Instant::now() + Duration::from_secs(30));
        assert_eq!(criu.receive(None, deadline()).unwrap().0.kind, RequestKind::Notify as i32);
        let error = criu.receive(None, deadline()).unwrap_err();
        assert_eq!(error.report(), "criu has ended without an answer");
    }

    /// Answers a request with success after a while, and calls `then`.
    fn succeed(theirs: OwnedFd, kind: RequestKind, then: impl FnOnce() + Send + 'static) {
        std::thread::spawn(move || {
            socket::recv_fd(&theirs, &mut [0; 64]).unwrap();
            std::thread::sleep(Duration::from_millis(200));
            // type: KIND success: true
            socket::send(&theirs, &[8, kind as u8, 0x10, 1]).unwrap();
            then();
        });
    }

    #[test]
    fn a_restore_that_is_cancelled_after_the_answer() {
        let (mut criu, theirs) = silent();
        let (event, cancel) = fd::pipe().unwrap();
        succeed(theirs, RequestKind::Restore, move || drop(cancel));
        let restored =
            criu.request(RequestKind::Restore, &Message::default(), Some(event.as_fd()), |_| Ok(()));
        assert_eq!(restored.unwrap_err().kind(), ErrorKind::Cancelled);
        assert!(criu.pidfd.is_none(), "it still runs");
    }

    /// Its processes are gone, so it would be wrong to say that they go on.
    #[test]
    fn a_dump_that_is_complete_when_it_is_cancelled() {
        let (mut criu, theirs) = silent();
        let event = fd::pipe().unwrap().0;
        let program = nix::unistd::Pid::from_raw(criu.pid);
        succeed(theirs, RequestKind::Dump, move || {
            nix::sys::signal::kill(program, nix::sys::signal::Signal::SIGKILL).unwrap();
        });
        let dumped = criu.request(RequestKind::Dump, &Message::default(), Some(event.as_fd()), |_| Ok(()));
        // That of the program in place of CRIU, which does not end by itself.
        assert_eq!(dumped.unwrap_err().report(), "criu failed: signal: killed");
    }

    /// CRIU is told to fail once, and then to go on with what it undoes.
    #[test]
    fn a_dump_that_is_cancelled() {
        let (mut criu, theirs) = silent();
        let event = fd::pipe().unwrap().0;
        let peer = std::thread::spawn(move || {
            let mut buffer = [0; 64];
            let mut receive = || {
                let (length, _) = socket::recv_fd(&theirs, &mut buffer).unwrap();
                buffer.get(..length).unwrap().to_vec()
            };
            // type: DUMP opts {}
            assert_eq!(receive(), b"\x08\x01\x12\x00");
            for notify_success in [0, 1] {
                // Later than the cancellation.
                std::thread::sleep(Duration::from_millis(200));
                socket::send(&theirs, b"\x08\x06\x10\x01").unwrap();
                assert_eq!(receive(), [8, 6, 0x18, notify_success]);
            }
            // type: DUMP success: false
            socket::send(&theirs, b"\x08\x01\x10\x00").unwrap();
        });
        let options = Message::default();
        let dumped = criu.request(RequestKind::Dump, &options, Some(event.as_fd()), |_| {
            panic!("the caller is not told of what is undone")
        });
        assert_eq!(dumped.unwrap_err().kind(), ErrorKind::Cancelled);
        peer.join().unwrap();
        criu.kill();
    }
}
