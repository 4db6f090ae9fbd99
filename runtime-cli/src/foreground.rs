// SPDX-License-Identifier: Apache-2.0
//! Being a container's terminal, its pipes and its signals until it ends.

use crate::cmd::Failure;
use crate::output::io_text;
use crate::relay::{End, Pump};
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::SigSet;
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::termios::{self, OutputFlags, SetArg, Termios};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use runtime_core::{ExitStatus, Process, console};
use std::fs::{File, OpenOptions};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// What the container's process is given.
#[derive(Debug, Default)]
pub(crate) struct Given {
    pub(crate) stdio: [Option<OwnedFd>; 3],
    pub(crate) console: Option<OwnedFd>,
}

/// Our side of it.
#[derive(Debug)]
pub(crate) struct Foreground {
    signals: SignalFd,
    io: Io,
}

#[derive(Debug)]
enum Io {
    Terminal { socket: OwnedFd, host: HostTerminal },
    Pipes(Vec<Pump>),
}

impl Foreground {
    /// Prepares for a process with or without a terminal. From here on all
    /// signals of this program come by a descriptor.
    pub(crate) fn new(terminal: bool, subreaper: bool) -> Result<(Self, Given), Failure> {
        let mut given = Given::default();
        let io = if terminal {
            let host = HostTerminal::find()?;
            let (ours, theirs) = console::socket_pair()?;
            given.console = Some(theirs);
            Io::Terminal { socket: ours, host }
        } else {
            Io::Pipes(pipes(&mut given.stdio)?)
        };
        if subreaper {
            nix::sys::prctl::set_child_subreaper(true).map_err(|e| os("prctl(SET_CHILD_SUBREAPER)", e))?;
        }
        let all = SigSet::all();
        all.thread_block().map_err(|e| os("sigprocmask", e))?;
        let signals = SignalFd::with_flags(&all, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)
            .map_err(|e| os("signalfd", e))?;
        Ok((Foreground { signals, io }, given))
    }

    /// When the process is ready, and before its program runs: takes the terminal.
    pub(crate) fn begin(self) -> Result<Session, Failure> {
        let (pumps, terminal) = match self.io {
            Io::Pipes(pumps) => (pumps, None),
            Io::Terminal { socket, host } => {
                let master = receive_master(&socket)?;
                let ends = [
                    (End::Standard(stdin()), End::Owned(master.try_clone().map_err(|e| io("dup", &e))?)),
                    (End::Owned(master.try_clone().map_err(|e| io("dup", &e))?), End::Standard(stdout())),
                ];
                let raw = host.into_raw()?;
                // Not every terminal has a size.
                let _resized = console::copy_size(&raw.tty, &master);
                (ends.map(|(from, to)| Pump::new(from, to)).into(), Some((raw, master)))
            }
        };
        Ok(Session { signals: self.signals, pumps, terminal })
    }
}

/// A process that is being served.
#[derive(Debug)]
pub(crate) struct Session {
    signals: SignalFd,
    pumps: Vec<Pump>,
    terminal: Option<(RawTerminal, OwnedFd)>,
}

impl Session {
    /// Serves the process until it has ended: how.
    pub(crate) fn supervise(mut self, process: &Process) -> Result<ExitStatus, Failure> {
        loop {
            let ended = wait_and_copy(
                &mut self.pumps,
                Some((self.signals.as_fd(), process.as_fd())),
                PollTimeout::NONE,
            )?;
            while let Some(info) = self.signals.read_signal().map_err(|e| os("read signalfd", e))? {
                match info.ssi_signo as i32 {
                    nix::libc::SIGWINCH => self.resize(),
                    nix::libc::SIGCHLD => reap_orphans(process.pid()),
                    nix::libc::SIGURG => {}
                    // It may have ended meanwhile; then there is nothing to forward to.
                    signal => drop(process.signal(signal)?),
                }
            }
            if ended {
                break;
            }
        }
        let status = process.wait()?;
        // What it has written before its end is still to come.
        while wait_and_copy(&mut self.pumps, None, PollTimeout::ZERO)? {}
        Ok(status)
    }

    fn resize(&self) {
        if let Some((raw, master)) = &self.terminal {
            // Not every terminal has a size.
            let _resized = console::copy_size(&raw.tty, master);
        }
    }
}

fn stdin() -> BorrowedFd<'static> {
    // std keeps the three standard descriptors open for the whole life of a program.
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
    Failure::new(format!("{what}: {}", io_text(error)))
}

/// Waits for anything to do, and copies what can be copied. With a process:
/// whether it has ended. Without: whether anything was copied.
fn wait_and_copy(
    pumps: &mut [Pump],
    process: Option<(BorrowedFd<'_>, BorrowedFd<'_>)>,
    timeout: PollTimeout,
) -> Result<bool, Failure> {
    let mut fds: Vec<PollFd<'_>> = Vec::with_capacity(5);
    if let Some((signals, pidfd)) = process {
        fds.extend([PollFd::new(pidfd, PollFlags::POLLIN), PollFd::new(signals, PollFlags::POLLIN)]);
    }
    let first = fds.len();
    let active: Vec<bool> = pumps.iter().map(|pump| pump.interest().is_some()).collect();
    fds.extend(pumps.iter().filter_map(|pump| pump.interest().map(|(fd, events)| PollFd::new(fd, events))));
    match poll(&mut fds, timeout) {
        Err(Errno::EINTR) => return Ok(false),
        other => other.map_err(|e| os("poll", e))?,
    };
    let ready: Vec<bool> = fds.iter().map(|fd| fd.any().unwrap_or(true)).collect();
    drop(fds);
    let mut of_pumps = ready.get(first..).unwrap_or_default().iter();
    let mut copied = false;
    for (pump, _) in pumps.iter_mut().zip(active).filter(|(_, active)| *active) {
        if of_pumps.next() == Some(&true) {
            pump.step();
            copied = true;
        }
    }
    match process {
        Some(_) => Ok(ready.first() == Some(&true)),
        None => Ok(copied),
    }
}

/// Pipes between our standard descriptors and the container's, so that the
/// container's user owns what /dev/stdout leads to, and nobody in the container
/// can reach into our terminal. /dev/null is passed as it is.
fn pipes(stdio: &mut [Option<OwnedFd>; 3]) -> Result<Vec<Pump>, Failure> {
    let mut pumps = Vec::new();
    let hosts = [stdin(), stdout(), stderr()];
    for (n, (given, host)) in stdio.iter_mut().zip(hosts).enumerate() {
        if is_dev_null(host) {
            continue;
        }
        let (read, write) = nix::unistd::pipe2(OFlag::O_CLOEXEC).map_err(|e| os("pipe", e))?;
        if n == 0 {
            *given = Some(read);
            set_nonblocking(&write)?;
            pumps.push(Pump::new(End::Standard(host), End::Owned(write)));
        } else {
            *given = Some(write);
            pumps.push(Pump::new(End::Owned(read), End::Standard(host)));
        }
    }
    Ok(pumps)
}

fn set_nonblocking(fd: &OwnedFd) -> Result<(), Failure> {
    fcntl(fd, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).map(drop).map_err(|e| os("fcntl", e))
}

fn is_dev_null(fd: BorrowedFd<'_>) -> bool {
    nix::sys::stat::fstat(fd).is_ok_and(|st| {
        st.st_mode & nix::libc::S_IFMT == nix::libc::S_IFCHR && st.st_rdev == nix::libc::makedev(1, 3)
    })
}

/// The master of the container's terminal, without ONLCR as runc has it: what
/// the container writes is what comes out.
fn receive_master(socket: &OwnedFd) -> Result<OwnedFd, Failure> {
    let master = console::receive(socket)?;
    let mut modes = termios::tcgetattr(&master).map_err(|e| os("tcgetattr", e))?;
    modes.output_flags.remove(OutputFlags::ONLCR);
    termios::tcsetattr(&master, SetArg::TCSANOW, &modes).map_err(|e| os("tcsetattr", e))?;
    Ok(master)
}

/// Ends the orphans that a subreaper gets; the container's own process is left
/// for whoever waits for it.
fn reap_orphans(own: i32) {
    let peek = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
    while let Ok(WaitStatus::Exited(pid, _) | WaitStatus::Signaled(pid, ..)) = waitid(Id::All, peek) {
        if pid.as_raw() == own {
            return;
        }
        let _reaped = waitid(Id::Pid(pid), WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG);
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
        opened.map(HostTerminal).map_err(|e| io("open /dev/tty", &e))
    }

    /// From now on every key is the container's business.
    fn into_raw(self) -> Result<RawTerminal, Failure> {
        let before = termios::tcgetattr(&self.0).map_err(|e| os("tcgetattr", e))?;
        let mut raw = before.clone();
        termios::cfmakeraw(&mut raw);
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
        // If it is gone, there is nothing to restore.
        let _restored = termios::tcsetattr(&self.tty, SetArg::TCSANOW, &self.before);
    }
}
