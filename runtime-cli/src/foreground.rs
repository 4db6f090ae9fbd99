// SPDX-License-Identifier: Apache-2.0
//! The foreground of a container: its terminal or pipes, and its signals, until it ends.

use crate::failure::Failure;
use crate::notify::Proxy;
use crate::relay::{End, Pump};
use crate::signals::Signals;
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::termios::{self, OutputFlags, SetArg, Termios};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use runtime_core::{ExitStatus, Process, Stdio, Terminal};
use std::fs::{File, OpenOptions};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

/// The descriptors for the container's process, and one that cancels its start when it becomes
/// readable.
#[derive(Debug)]
pub(crate) struct ChildIo {
    pub(crate) stdio: [Stdio; 3],
    pub(crate) terminal: bool,
    pub(crate) cancel: OwnedFd,
}

/// This program's ends of the terminal or the pipes, before the process runs.
#[derive(Debug)]
pub(crate) struct Foreground {
    signals: Signals,
    io: Io,
}

#[derive(Debug)]
enum Io {
    Terminal { host: HostTerminal },
    Pipes { input: Option<Pump>, outputs: Vec<Pump> },
}

impl Foreground {
    /// Prepares for a process with or without a terminal. All signals to this program are read
    /// from a descriptor from now on.
    pub(crate) fn new(terminal: bool, subreaper: bool) -> Result<(Self, ChildIo), Failure> {
        let mut child = ChildIo { stdio: Default::default(), terminal, cancel: Signals::ending()? };
        let io =
            if terminal { Io::Terminal { host: HostTerminal::find()? } } else { pipes(&mut child.stdio)? };
        if subreaper {
            nix::sys::prctl::set_child_subreaper(true).map_err(|e| os("prctl(SET_CHILD_SUBREAPER)", e))?;
        }
        Ok((Foreground { signals: Signals::of_thread()?, io }, child))
    }

    /// Takes over `terminal`, the process's, if there is to be one. To be called when the process is
    /// ready, before its program runs.
    pub(crate) fn begin(self, terminal: Option<Terminal>) -> Result<Session, Failure> {
        let (input, outputs, terminal) = match self.io {
            Io::Pipes { input, outputs } => (input, outputs, None),
            Io::Terminal { host } => {
                let Some(master) = terminal else {
                    return Err(Failure::new("the process has no terminal"));
                };
                set_up(&master)?;
                let ours = || {
                    let copy = master.as_fd().try_clone_to_owned();
                    copy.map(End::Owned).map_err(|e| io("dup", &e))
                };
                let input = Pump::new(End::Standard(stdin()), ours()?);
                let output = Pump::from_terminal(ours()?, unhurried(stdout()));
                let raw = host.into_raw()?;
                // Not every terminal has a size.
                runtime_sys::ignore(master.copy_size(&raw.tty));
                (Some(input), vec![output], Some((raw, master)))
            }
        };
        Ok(Session { signals: self.signals, input, outputs, terminal, proxy: None })
    }
}

/// A foreground process that runs.
#[derive(Debug)]
pub(crate) struct Session {
    signals: Signals,
    input: Option<Pump>,
    outputs: Vec<Pump>,
    terminal: Option<(RawTerminal, Terminal)>,
    proxy: Option<Proxy>,
}

/// A watch on a process that was sent a signal to end, but may be stopped or traced.
#[derive(Debug)]
struct HaltWatch {
    next: Instant,
    left: u32,
    /// True after SIGKILL was sent.
    killed: bool,
}

impl HaltWatch {
    const PAUSE: Duration = Duration::from_millis(100);
    const CHECKS: u32 = 20;
    const PATIENCE: Duration = Self::PAUSE.saturating_mul(Self::CHECKS);

    fn begin() -> Self {
        HaltWatch { next: Instant::now() + Self::PAUSE, left: Self::CHECKS, killed: false }
    }

    fn timeout(halt_watch: Option<&Self>) -> PollTimeout {
        let left = |halt_watch: &Self| halt_watch.next.saturating_duration_since(Instant::now());
        halt_watch
            .map_or(PollTimeout::NONE, |halt_watch| left(halt_watch).try_into().unwrap_or(PollTimeout::ZERO))
    }

    /// Checks the process if the next check is due. Kills the process if it was halted (stopped or
    /// traced) at every check. Returns true as long as more checks are needed. Fails if the killed
    /// process does not end: a tracer can stop a process at its exit, where a second SIGKILL does
    /// not reach the process (PTRACE_O_TRACEEXIT).
    fn check(&mut self, process: &Process) -> Result<bool, Failure> {
        if Instant::now() < self.next {
            return Ok(true);
        }
        if !self.killed && !process.is_halted()? {
            return Ok(false);
        }
        *self = HaltWatch { next: Instant::now() + Self::PAUSE, left: self.left - 1, ..*self };
        match (self.left, self.killed) {
            (0, true) => return Err(endless(process)),
            (0, false) => {
                process.signal(nix::libc::SIGKILL)?;
                *self = HaltWatch { killed: true, ..Self::begin() };
            }
            _ => {}
        }
        Ok(true)
    }
}

fn endless(process: &Process) -> Failure {
    let pid = process.pid();
    Failure::new(format!("process {pid} was killed and does not end: another process may be tracing it"))
}

/// Kills a process whose terminal or pipes cannot be served any more. Fails if the process does
/// not end soon.
pub(crate) fn end(process: &Process) -> Result<(), Failure> {
    process.signal(nix::libc::SIGKILL)?;
    let mut fds = [PollFd::new(process.as_fd(), PollFlags::POLLIN)];
    match poll(&mut fds, HaltWatch::PATIENCE.try_into().unwrap_or(PollTimeout::ZERO)) {
        Ok(1..) => Ok(process.wait().map(drop)?),
        // A signal interrupted the wait, or the time is over: the process may never end.
        _ => Err(endless(process)),
    }
}

/// The limit of the bytes that are read after the end of the process. A pipe or terminal holds
/// less.
const UNREAD_MAX: usize = 1 << 20;

impl Session {
    /// Returns the session with a proxy for the container's notifications.
    pub(crate) fn notify(self, proxy: Option<Proxy>) -> Self {
        Session { proxy, ..self }
    }

    /// Serves the process until it has ended, and returns its status.
    ///
    /// A signal such as SIGTERM must be able to end the process, unless the process itself
    /// ignores the signal. Another process of the container may have stopped the process, or
    /// trace it. Then the process does not get the signal, and is killed.
    pub(crate) fn supervise(mut self, process: &Process) -> Result<ExitStatus, Failure> {
        let mut halt_watch: Option<HaltWatch> = None;
        loop {
            let mut pumps: Vec<&mut Pump> = self.input.iter_mut().chain(&mut self.outputs).collect();
            let end = (process.as_fd(), PollFlags::POLLIN);
            let notifications = self.proxy.as_ref().map_or(end, Proxy::interest);
            let others = [(self.signals.as_fd(), PollFlags::POLLIN), end, notifications];
            let timeout = HaltWatch::timeout(halt_watch.as_ref());
            let ([_, ended, notified], _) = wait_and_copy(&mut pumps, others, timeout)?;
            if notified && self.proxy.as_mut().is_some_and(|proxy| proxy.pass_on().unwrap_or(true)) {
                // If the manager is gone, the proxy is dropped too, and the container goes on.
                self.proxy = None;
            }
            while let Some(signal) = self.signals.next()? {
                match signal {
                    nix::libc::SIGWINCH => self.resize(),
                    nix::libc::SIGCHLD => reap_orphans(process.pid()),
                    nix::libc::SIGURG => {}
                    // The process may have ended meanwhile. Then this does nothing.
                    signal => {
                        process.signal(signal)?;
                        if is_ending(signal) {
                            halt_watch = halt_watch.or_else(|| Some(HaltWatch::begin()));
                        }
                    }
                }
            }
            if ended {
                break;
            }
            if let Some(watch) = &mut halt_watch
                && !watch.check(process)?
            {
                halt_watch = None;
            }
        }
        let status = process.wait()?;
        // The copy of input stops: what is not read yet is left for the next reader.
        self.input = None;
        self.flush()?;
        Ok(status)
    }

    /// Passes on the output that the process wrote before its end, and waits until that output is
    /// read. Does not wait for output of other processes with the same descriptors. A signal such
    /// as SIGTERM ends the wait, because there may be no reader.
    fn flush(&mut self) -> Result<(), Failure> {
        let mut read = 0;
        while read <= UNREAD_MAX {
            let holding = self.outputs.iter().any(Pump::is_holding);
            let timeout = if holding { PollTimeout::NONE } else { PollTimeout::ZERO };
            let mut pumps: Vec<&mut Pump> = self.outputs.iter_mut().collect();
            let (_, copied) =
                wait_and_copy(&mut pumps, [(self.signals.as_fd(), PollFlags::POLLIN)], timeout)?;
            while let Some(signal) = self.signals.next()? {
                if is_ending(signal) {
                    return Ok(());
                }
            }
            match copied {
                Some(bytes) => read += bytes,
                None if holding => {}
                None => return Ok(()),
            }
        }
        Ok(())
    }

    fn resize(&self) {
        if let Some((raw, master)) = &self.terminal {
            // Not every terminal has a size.
            runtime_sys::ignore(master.copy_size(&raw.tty));
        }
    }
}

/// Returns true for the signals that ask a program to end.
fn is_ending(signal: i32) -> bool {
    use nix::libc::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};
    matches!(signal, SIGHUP | SIGINT | SIGQUIT | SIGTERM)
}

fn stdin() -> BorrowedFd<'static> {
    // The standard library never closes the three standard descriptors.
    static STDIN: std::sync::LazyLock<std::io::Stdin> = std::sync::LazyLock::new(std::io::stdin);
    STDIN.as_fd()
}

fn stdout() -> BorrowedFd<'static> {
    static STDOUT: std::sync::LazyLock<std::io::Stdout> = std::sync::LazyLock::new(std::io::stdout);
    STDOUT.as_fd()
}

fn stderr() -> BorrowedFd<'static> {
    static STDERR: std::sync::LazyLock<std::io::Stderr> = std::sync::LazyLock::new(std::io::stderr);
    STDERR.as_fd()
}

fn os(what: &str, errno: Errno) -> Failure {
    io(what, &std::io::Error::from(errno))
}

fn io(what: &str, error: &std::io::Error) -> Failure {
    Failure::io(what, error)
}

/// Waits for the descriptors of `pumps` and `others`, and runs the pumps that are ready. Returns
/// which of `others` are ready and the number of bytes read, `None` if no pump was ready.
fn wait_and_copy<const N: usize>(
    pumps: &mut [&mut Pump],
    others: [(BorrowedFd<'_>, PollFlags); N],
    timeout: PollTimeout,
) -> Result<([bool; N], Option<usize>), Failure> {
    let mut fds: Vec<PollFd<'_>> = others.map(|(fd, events)| PollFd::new(fd, events)).into();
    let active: Vec<bool> = pumps.iter().map(|pump| pump.interest().is_some()).collect();
    fds.extend(pumps.iter().filter_map(|pump| pump.interest().map(|(fd, events)| PollFd::new(fd, events))));
    match poll(&mut fds, timeout) {
        Err(Errno::EINTR) => return Ok(([false; N], None)),
        other => other.map_err(|e| os("poll", e))?,
    };
    let ready: Vec<bool> = fds.iter().map(|fd| fd.any().unwrap_or(true)).collect();
    drop(fds);
    let mut ready = ready.into_iter();
    let others = others.map(|_| ready.next().unwrap_or(false));
    let mut copied = None;
    for (pump, _) in pumps.iter_mut().zip(active).filter(|(_, active)| *active) {
        if ready.next() == Some(true) {
            copied = Some(copied.unwrap_or(0) + pump.step());
        }
    }
    Ok((others, copied))
}

/// Makes pipes between the standard descriptors of this program and the container's. With pipes,
/// the container's user owns the file behind /dev/stdout, and the container has no access to the
/// terminal of this program. /dev/null is passed on without a pipe.
fn pipes(stdio: &mut [Stdio; 3]) -> Result<Io, Failure> {
    let (mut input, mut outputs) = (None, Vec::new());
    let hosts = [stdin(), stdout(), stderr()];
    for (n, (given, host)) in stdio.iter_mut().zip(hosts).enumerate() {
        if is_dev_null(host) {
            continue;
        }
        let (read, write) = nix::unistd::pipe2(OFlag::O_CLOEXEC).map_err(|e| os("pipe", e))?;
        if n == 0 {
            *given = read.into();
            set_nonblocking(&write)?;
            input = Some(Pump::new(End::Standard(host), End::Owned(write)));
        } else {
            *given = write.into();
            outputs.push(Pump::new(End::Owned(read), End::Standard(host)));
        }
    }
    Ok(Io::Pipes { input, outputs })
}

/// Fails if a process with a terminal cannot be in the foreground here.
pub(crate) fn check_terminal() -> Result<(), Failure> {
    HostTerminal::find().map(drop)
}

/// Returns the streams that [`pipes`] would make for a process without a terminal.
pub(crate) fn planned_streams() -> [Stdio; 3] {
    [stdin(), stdout(), stderr()].map(|host| if is_dev_null(host) { Stdio::Inherit } else { Stdio::Piped })
}

/// Opens the terminal behind `fd` once more, as non-blocking. On a blocking terminal, a write of
/// more than one byte may block even after poll(2), and nothing may ever read the terminal.
/// O_NONBLOCK is not set on `fd` itself, because other processes share its flags.
fn unhurried(fd: BorrowedFd<'static>) -> End {
    use std::os::fd::AsRawFd;
    use std::os::unix::fs::OpenOptionsExt;
    if nix::unistd::isatty(fd) != Ok(true) {
        return End::Standard(fd);
    }
    let path = format!("/proc/self/fd/{}", fd.as_raw_fd());
    let flags = nix::libc::O_NONBLOCK | nix::libc::O_NOCTTY;
    match OpenOptions::new().write(true).custom_flags(flags).open(path) {
        Ok(own) => End::Owned(own.into()),
        // The terminal may belong to another user, as after su(1).
        Err(_) => End::Standard(fd),
    }
}

fn set_nonblocking(fd: impl AsFd) -> Result<(), Failure> {
    fcntl(fd, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).map(drop).map_err(|e| os("fcntl", e))
}

fn is_dev_null(fd: BorrowedFd<'_>) -> bool {
    nix::sys::stat::fstat(fd).is_ok_and(|st| {
        st.st_mode & nix::libc::S_IFMT == nix::libc::S_IFCHR && st.st_rdev == nix::libc::makedev(1, 3)
    })
}

/// Sets up the master of the container's terminal. Clears ONLCR, as runc does, so that the output
/// is what the container wrote. Makes the master non-blocking: otherwise a write of more than one
/// byte could block even after poll(2), while the container waits for its own output to be read.
fn set_up(master: &Terminal) -> Result<(), Failure> {
    set_nonblocking(master)?;
    let mut modes = termios::tcgetattr(master).map_err(|e| os("tcgetattr", e))?;
    modes.output_flags.remove(OutputFlags::ONLCR);
    termios::tcsetattr(master, SetArg::TCSANOW, &modes).map_err(|e| os("tcsetattr", e))
}

/// Reaps the orphans that this process has got as a subreaper. Leaves the container's own process
/// alone, because `wait` reads its status.
fn reap_orphans(own: i32) {
    let peek = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
    while let Ok(WaitStatus::Exited(pid, _) | WaitStatus::Signaled(pid, ..)) = waitid(Id::All, peek) {
        if pid.as_raw() == own {
            return;
        }
        // ECHILD: it has been reaped meanwhile.
        runtime_sys::ignore(waitid(Id::Pid(pid), WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG));
    }
}

/// The terminal that this program was started from.
#[derive(Debug)]
struct HostTerminal(File);

impl HostTerminal {
    fn find() -> Result<Self, Failure> {
        for fd in [stderr(), stdout(), stdin()] {
            if nix::unistd::isatty(fd) == Ok(true) {
                return fd.try_clone_to_owned().map(|fd| HostTerminal(fd.into())).map_err(|e| io("dup", &e));
            }
        }
        let opened = OpenOptions::new().read(true).write(true).open("/dev/tty");
        opened.map(HostTerminal).map_err(|e| {
            let Failure { text, .. } = io("open /dev/tty", &e);
            Failure::new(format!(
                "{text}; hint: process.terminal (or --tty) needs a terminal here: leave it out, or use --detach and \
                 --console-socket"
            ))
        })
    }

    /// Switches to raw mode: every key goes to the container.
    fn into_raw(self) -> Result<RawTerminal, Failure> {
        let before = termios::tcgetattr(&self.0).map_err(|e| os("tcgetattr", e))?;
        let mut raw = before.clone();
        termios::cfmakeraw(&mut raw);
        // This terminal turns LF into CR LF, because the container's does not
        // (see `set_up`).
        raw.output_flags |= OutputFlags::OPOST;
        termios::tcsetattr(&self.0, SetArg::TCSANOW, &raw).map_err(|e| os("tcsetattr", e))?;
        Ok(RawTerminal { tty: self.0, before })
    }
}

/// A terminal in raw mode, until it is dropped.
#[derive(Debug)]
struct RawTerminal {
    tty: File,
    before: Termios,
}

impl Drop for RawTerminal {
    fn drop(&mut self) {
        // A failure is ignored: the terminal is gone then.
        runtime_sys::ignore(termios::tcsetattr(&self.tty, SetArg::TCSANOW, &self.before));
    }
}
