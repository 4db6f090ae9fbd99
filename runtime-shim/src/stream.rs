// SPDX-License-Identifier: Apache-2.0
//! The standard streams of a process, and what containerd reads and writes: fifos, files, programs.
//!
//! The first process of a container gets the fifo itself: nothing is copied, and what the process writes
//! needs no shim. The shim keeps the other end open, so that a restart of containerd is no end of the
//! stream. The output of an exec is copied: its end has to come with Delete, even if a child of the
//! process still has the stream open.

use crate::logger::{Logger, unescape};
use crate::status::{Code, Result, Status};
use runtime_core::{Stdio, Terminal};
use runtime_sys::{fd, text, tty};
use std::cell::RefCell;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, fchown};
use std::rc::Rc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::unix::pipe;
use tokio::task::{JoinHandle, spawn_blocking, spawn_local};
use tokio::time::timeout;

/// The names of the streams, as containerd gives them. An empty name is no stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Names {
    pub(crate) stdin: String,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    pub(crate) terminal: bool,
}

/// The process that the streams are for.
pub(crate) struct Owner {
    pub(crate) id: String,
    pub(crate) namespace: String,
    /// The owner and the group of pipes (the options IoUid and IoGid).
    pub(crate) ids: (u32, u32),
    /// A security module confines the process: it may not get a fifo of the host.
    pub(crate) confined: bool,
    pub(crate) is_exec: bool,
}

/// The ends that the process gets.
#[derive(Default)]
pub(crate) struct Theirs {
    pub(crate) stdin: Stdio,
    pub(crate) stdout: Stdio,
    pub(crate) stderr: Stdio,
}

/// The ends of the streams of a process that the shim keeps.
#[derive(Default)]
pub(crate) struct Streams {
    /// The writing end of the fifo of standard input, until CloseIO.
    stdin: Option<OwnedFd>,
    /// The reading ends of the fifos of output.
    readers: Vec<OwnedFd>,
    /// The tasks that copy, and end when the process and its children have closed the stream.
    copies: Vec<JoinHandle<()>>,
    /// The task that copies standard input.
    input: Option<JoinHandle<()>>,
    logger: Option<Logger>,
    /// The terminal, until it hangs up.
    terminal: Rc<RefCell<Option<OwnedFd>>>,
    /// The source of the input of the terminal, and the destination of its output.
    console: Option<(Option<pipe::Receiver>, Option<Sink>)>,
}

/// The time for the output to arrive after the end of a process. Its children may still write. It is half
/// of the time that the CRI has for the exit of a process.
const DRAIN: Duration = Duration::from_secs(5);
const PIECE: usize = 8192;

impl Streams {
    /// Opens the streams, unless `cancelled` comes first: a program may be slow to be ready, and a file
    /// system may hang. What is opened after that is closed again.
    pub(crate) async fn open_unless(
        cancelled: impl Future<Output = ()>,
        names: Names,
        owner: Owner,
    ) -> Result<(Self, Theirs)> {
        let mut opening = spawn_local(async move { Self::open(&names, &owner).await });
        tokio::select! {
            biased;
            () = cancelled => {
                spawn_local(async move {
                    if let Ok(Ok((streams, theirs))) = opening.await {
                        drop(theirs);
                        streams.close();
                    }
                });
                Err(Status::new(Code::Cancelled, "cancelled while the standard streams were opened"))
            }
            opened = &mut opening => {
                opened.unwrap_or_else(|panic| Err(Status::new(Code::Unknown, panic.to_string())))
            }
        }
    }

    /// Opens the streams.
    pub(crate) async fn open(names: &Names, owner: &Owner) -> Result<(Self, Theirs)> {
        let mut streams = Streams::default();
        let mut theirs = Theirs { stdin: Stdio::Null, stdout: Stdio::Null, stderr: Stdio::Null };
        match streams.open_all(names, owner, &mut theirs).await {
            Ok(()) => Ok((streams, theirs)),
            Err(error) => {
                drop(theirs);
                streams.close();
                Err(error)
            }
        }
    }

    async fn open_all(&mut self, names: &Names, owner: &Owner, theirs: &mut Theirs) -> Result<()> {
        let (scheme, _) = names.stdout.split_once("://").unwrap_or(("fifo", ""));
        let logger = match scheme {
            "binary" | "binary-v2" => {
                let strict = scheme == "binary-v2";
                let (logger, inputs) =
                    Logger::start(&names.stdout, &owner.id, &owner.namespace, strict).await?;
                self.logger = Some(logger);
                Some(inputs)
            }
            _ => None,
        };
        if names.terminal {
            let input = match names.stdin.as_str() {
                "" => None,
                name => {
                    let (read, write) = open_input(name, libc::O_NONBLOCK)?;
                    self.stdin = Some(write);
                    Some(receiver(read)?)
                }
            };
            let output = match logger {
                Some(inputs) => Some(Sink::Pipe(sender(inputs.stdout)?)),
                None if names.stdout.is_empty() => None,
                None => Some(Sink::open(&names.stdout).await?),
            };
            self.console = Some((input, output));
            return Ok(());
        }
        if !names.stdin.is_empty() {
            let flags = if owner.confined { libc::O_NONBLOCK } else { 0 };
            let (mut read, write) = open_input(&names.stdin, flags)?;
            self.stdin = Some(write);
            if owner.confined {
                let (pipe, to) = fd::pipe().map_err(|errno| Status::io(&errno.into(), "pipe2"))?;
                self.input = Some(spawn_local(copy_input(receiver(read)?, sender(to)?)));
                read = pipe;
            }
            own(&read, owner)?;
            theirs.stdin = read.into();
        }
        if let Some(inputs) = logger {
            own(&inputs.stdout, owner)?;
            own(&inputs.stderr, owner)?;
            (theirs.stdout, theirs.stderr) = (inputs.stdout.into(), inputs.stderr.into());
            return Ok(());
        }
        // Both streams go to a file that is named once.
        let stderr = if scheme == "file" && !names.stderr.is_empty() { &names.stdout } else { &names.stderr };
        for (name, stream) in [(&names.stdout, &mut theirs.stdout), (stderr, &mut theirs.stderr)] {
            if !name.is_empty() {
                *stream = self.open_output(name, owner).await?.into();
            }
        }
        Ok(())
    }

    async fn open_output(&mut self, name: &str, owner: &Owner) -> Result<OwnedFd> {
        let theirs = match Place::of(name)? {
            Place::Fifo(path) if !owner.confined && !owner.is_exec => {
                // With a reader, even if it is the shim alone, the second call does not wait.
                self.readers.push(open(&path, libc::O_RDONLY | libc::O_NONBLOCK)?);
                open(&path, libc::O_WRONLY)?
            }
            // A process may read and change its standard output, but not the log on the host. And Delete
            // has to close the output of an exec, which a child of the process may have, too.
            place => {
                let sink = Sink::of(place).await?;
                let (read, write) = fd::pipe().map_err(|errno| Status::io(&errno.into(), "pipe2"))?;
                self.copies.push(spawn_local(copy(receiver(read)?, sink)));
                write
            }
        };
        own(&theirs, owner)?;
        Ok(theirs)
    }

    /// Connects the terminal of the process, which has started.
    pub(crate) fn connect(&mut self, terminal: Option<Terminal>, size: Option<(u16, u16)>) -> Result<()> {
        let (Some(terminal), Some((input, output))) = (terminal, self.console.take()) else { return Ok(()) };
        if let Some((rows, columns)) = size {
            terminal.resize(rows, columns)?;
        }
        let copy_of_it = fd::duplicate(&terminal).map_err(|errno| Status::io(&errno.into(), "dup"))?;
        *self.terminal.borrow_mut() = Some(copy_of_it);
        let held = Rc::clone(&self.terminal);
        let terminal = terminal.into_async()?;
        self.copies.push(spawn_local(async move {
            let (from, mut to) = tokio::io::split(terminal);
            let typed = async {
                match input {
                    Some(mut input) => runtime_sys::ignore(tokio::io::copy(&mut input, &mut to).await),
                    None => std::future::pending().await,
                }
            };
            // The end of the input is a hangup, as of a modem: the shell in the container ends.
            tokio::select! {
                () = copy(from, output.unwrap_or(Sink::Nothing)) => {}
                () = typed => {}
            }
            held.borrow_mut().take();
        }));
        Ok(())
    }

    /// Sets the size of the terminal, in rows and columns. Does nothing if it has hung up.
    pub(crate) fn resize(&self, (rows, columns): (u16, u16)) -> Result<()> {
        match self.terminal.borrow().as_ref() {
            Some(terminal) => tty::set_size(terminal, rows, columns)
                .map_err(|errno| Status::io(&errno.into(), "ioctl(TIOCSWINSZ)")),
            None => Ok(()),
        }
    }

    /// Closes standard input: the process sees its end when containerd has closed it, too.
    pub(crate) fn close_stdin(&mut self) {
        self.stdin = None;
    }

    /// Waits until the output of the process, which has ended, has been copied. Children of the process
    /// that still have the streams open do not delay this for ever.
    pub(crate) async fn drain(&mut self) {
        let all = async {
            while let Some(copy) = self.copies.last_mut() {
                // It is never aborted before, and a panic ends the shim.
                runtime_sys::ignore(copy.await);
                self.copies.pop();
            }
        };
        if timeout(DRAIN, all).await.is_err() {
            crate::log::warn(format_args!("a process has ended {DRAIN:?} ago, and its output goes on"));
        }
    }

    /// Closes the streams. A program that takes the output gets the time to end.
    pub(crate) fn close(mut self) {
        for copy in self.copies.iter().chain(&self.input) {
            copy.abort();
        }
        if let Some(logger) = self.logger.take() {
            spawn_local(logger.end());
        }
    }
}

/// The file that a name of containerd stands for.
enum Place {
    Fifo(String),
    File(String),
}

impl Place {
    fn of(name: &str) -> Result<Self> {
        let invalid = |why: &str| Status::new(Code::InvalidArgument, format!("{name}: {why}"));
        let Some((scheme, rest)) = name.split_once("://") else {
            return Ok(if is_fifo(name)? {
                Place::Fifo(name.to_owned())
            } else {
                Place::File(name.to_owned())
            });
        };
        let path = unescape(rest.split('?').next().unwrap_or_default(), false);
        let path =
            path.filter(|path| path.starts_with('/')).ok_or_else(|| invalid("expected an absolute path"))?;
        match scheme {
            "fifo" => Ok(Place::Fifo(path)),
            "file" => Ok(Place::File(path)),
            "binary" | "binary-v2" => {
                Err(invalid("only standard output can name a program, for both streams"))
            }
            _ => Err(invalid("unknown STDIO scheme: expected fifo, file, binary or binary-v2")),
        }
    }
}

fn c_path(path: &str) -> Result<std::ffi::CString> {
    text::c_str(path).map_err(|errno| Status::io(&errno.into(), format_args!("open {path:?}")))
}

fn open(path: &str, flags: i32) -> Result<OwnedFd> {
    let file = fd::open_follow(fd::CWD, &c_path(path)?, flags, 0);
    file.map_err(|errno| Status::io(&errno.into(), format_args!("open {path}")))
}

fn is_fifo(path: &str) -> Result<bool> {
    match fd::stat_at(fd::CWD, &c_path(path)?, 0) {
        Ok(stat) => Ok(stat.st_mode & libc::S_IFMT == libc::S_IFIFO),
        Err(errno) => Err(Status::io(&errno.into(), format_args!("stat {path}"))),
    }
}

/// Opens the file of a log, which is made if it is missing, as are its directories. A fifo is refused:
/// its reader could delay the end of the container.
fn open_file(path: &str) -> Result<OwnedFd> {
    if let Some((dir, _)) = path.rsplit_once('/') {
        // The umask is inherited from containerd: none makes it writable for others.
        let made = std::fs::DirBuilder::new().recursive(true).mode(0o755).create(dir);
        made.map_err(|error| Status::io(&error, format_args!("mkdir {dir}")))?;
    }
    let invalid =
        || Status::new(Code::InvalidArgument, format!("{path}: expected a regular file, or fifo://"));
    let flags = libc::O_WRONLY | libc::O_APPEND | libc::O_CREAT | libc::O_NOCTTY | libc::O_NONBLOCK;
    let file = fd::open_follow(fd::CWD, &c_path(path)?, flags, 0o644).map_err(|errno| match errno {
        // A fifo without a reader, or a socket.
        runtime_sys::Errno::ENXIO => invalid(),
        _ => Status::io(&errno.into(), format_args!("open {path}")),
    })?;
    let stat = fd::stat_at(&file, c"", libc::AT_EMPTY_PATH)
        .map_err(|errno| Status::io(&errno.into(), format_args!("stat {path}")))?;
    // /dev/null is a character device.
    if matches!(stat.st_mode & libc::S_IFMT, libc::S_IFREG | libc::S_IFCHR) {
        Ok(file)
    } else {
        Err(invalid())
    }
}

/// Opens the fifo of standard input: for the process, with `flags`, and to keep it open.
fn open_input(name: &str, flags: i32) -> Result<(OwnedFd, OwnedFd)> {
    let path = match Place::of(name)? {
        Place::Fifo(path) => path,
        Place::File(path) => {
            return Err(Status::new(
                Code::InvalidArgument,
                format!("{path}: standard input has to be a fifo"),
            ));
        }
    };
    // In this order no call waits for containerd.
    let first = open(&path, libc::O_RDONLY | libc::O_NONBLOCK)?;
    let write = open(&path, libc::O_WRONLY | libc::O_NONBLOCK)?;
    let read = open(&path, libc::O_RDONLY | flags)?;
    drop(first);
    Ok((read, write))
}

fn own(file: impl AsFd, owner: &Owner) -> Result<()> {
    let (uid, gid) = owner.ids;
    if owner.ids == (0, 0) {
        return Ok(());
    }
    fchown(file, Some(uid), Some(gid)).map_err(|error| Status::io(&error, "fchown of a standard stream"))
}

fn receiver(read: OwnedFd) -> Result<pipe::Receiver> {
    pipe::Receiver::from_owned_fd(read).map_err(|error| Status::io(&error, "a pipe to read"))
}

fn sender(write: OwnedFd) -> Result<pipe::Sender> {
    pipe::Sender::from_owned_fd(write).map_err(|error| Status::io(&error, "a pipe to write"))
}

/// A destination to which the shim copies output.
enum Sink {
    Pipe(pipe::Sender),
    File(OwnedFd),
    Nothing,
}

impl Sink {
    async fn open(name: &str) -> Result<Self> {
        Self::of(Place::of(name)?).await
    }

    async fn of(place: Place) -> Result<Self> {
        match place {
            Place::Fifo(path) => {
                // Open for reading too: without containerd the fifo fills, and its end stays.
                let fifo = pipe::OpenOptions::new().read_write(true).open_sender(&path);
                Ok(Sink::Pipe(fifo.map_err(|error| Status::io(&error, format_args!("open {path}")))?))
            }
            // A file system may be slow, or hang.
            Place::File(path) => match spawn_blocking(move || open_file(&path)).await {
                Ok(file) => Ok(Sink::File(file?)),
                Err(panic) => Err(Status::new(Code::Unknown, panic.to_string())),
            },
        }
    }

    async fn write(&mut self, piece: &[u8]) -> io::Result<()> {
        match self {
            Sink::Pipe(pipe) => pipe.write_all(piece).await,
            Sink::File(file) => {
                // A disk may be slow, and nothing else waits for it.
                let (file, piece) = (file.try_clone()?, piece.to_vec());
                let written = spawn_blocking(move || fd::write_all(file, &piece)).await;
                Ok(written.map_err(io::Error::other)??)
            }
            Sink::Nothing => Ok(()),
        }
    }
}

/// Copies the input of a process until its end, or that of the process.
async fn copy_input(mut from: pipe::Receiver, mut to: pipe::Sender) {
    // The process does not read it.
    runtime_sys::ignore(tokio::io::copy(&mut from, &mut to).await);
}

/// Copies until the end of `from`. If it cannot be written, it is read and dropped: a full disk does
/// not stop the container.
async fn copy(mut from: impl AsyncRead + Unpin, mut to: Sink) {
    let mut piece = vec![0; PIECE];
    let mut warned = false;
    loop {
        let length = match from.read(&mut piece).await {
            Ok(0) => return,
            Ok(length) => length,
            Err(error) => return crate::log::warn(format_args!("reading the output of a process: {error}")),
        };
        let written = to.write(piece.get(..length).unwrap_or_default()).await;
        if let Err(error) = written {
            if !warned {
                crate::log::warn(format_args!("output of a process is lost: {error}"));
            }
            warned = true;
            if matches!(to, Sink::Pipe(_)) {
                to = Sink::Nothing;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsRawFd;

    fn place_of(stdio: &Stdio) -> std::path::PathBuf {
        let Stdio::Fd(file) = stdio else { panic!("{stdio:?}") };
        std::fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd())).unwrap()
    }

    #[test]
    fn a_confined_process_gets_no_fifo_of_the_host() {
        let directory = tempfile::tempdir().unwrap();
        let fifo = |name: &str| {
            let path = directory.path().join(name).to_str().unwrap().to_owned();
            fd::mknod(fd::CWD, &c_path(&path).unwrap(), libc::S_IFIFO | 0o600, 0).unwrap();
            path
        };
        let names = Names { stdin: fifo("in"), stdout: fifo("out"), ..Names::default() };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        tokio::task::LocalSet::new().block_on(&runtime, async {
            for (confined, is_exec) in [(true, false), (false, false), (false, true)] {
                let owner =
                    Owner { id: "c".to_owned(), namespace: "n".to_owned(), ids: (0, 0), confined, is_exec };
                let (mut streams, theirs) = Streams::open(&names, &owner).await.unwrap();
                assert_eq!(place_of(&theirs.stdin).to_str() != Some(&names.stdin), confined);
                assert_eq!(place_of(&theirs.stdout).to_str() != Some(&names.stdout), confined || is_exec);
                let (Stdio::Fd(stdin), Stdio::Fd(stdout)) = (theirs.stdin, theirs.stdout) else { panic!() };

                let reader = open(&names.stdout, libc::O_RDONLY | libc::O_NONBLOCK).unwrap();
                fd::write_all(&stdout, b"text").unwrap();
                let mut text = [0; 4];
                let read = async { receiver(reader).unwrap().read_exact(&mut text).await };
                timeout(DRAIN, read).await.unwrap().unwrap();
                assert_eq!(&text, b"text");

                // The end of the input comes through, too.
                let writer = open(&names.stdin, libc::O_WRONLY | libc::O_NONBLOCK).unwrap();
                fd::write_all(&writer, b"typed").unwrap();
                drop(writer);
                streams.close_stdin();
                let mut typed = String::new();
                let read = async { receiver(stdin).unwrap().read_to_string(&mut typed).await };
                timeout(DRAIN, read).await.unwrap().unwrap();
                assert_eq!(typed, "typed");
                streams.close();
            }
        });
    }
}
