// SPDX-License-Identifier: Apache-2.0
//! The standard streams of a container's process.

use crate::error::{Context, Result};
use runtime_sys::fd;
use std::fs::File;
use std::io::{PipeReader, PipeWriter};
use std::os::fd::{AsFd, OwnedFd};

/// The source of standard input, or the destination of standard output or error.
#[non_exhaustive]
#[derive(Debug, Default)]
pub enum Stdio {
    /// The stream of the calling process.
    #[default]
    Inherit,
    /// /dev/null.
    Null,
    /// A new pipe (pipe(7)). The other end is in [`Process`](crate::Process).
    Piped,
    /// This descriptor.
    Fd(OwnedFd),
}

impl From<OwnedFd> for Stdio {
    fn from(fd: OwnedFd) -> Self {
        Stdio::Fd(fd)
    }
}

impl From<File> for Stdio {
    fn from(file: File) -> Self {
        Stdio::Fd(file.into())
    }
}

impl From<PipeReader> for Stdio {
    fn from(pipe: PipeReader) -> Self {
        Stdio::Fd(pipe.into())
    }
}

impl From<PipeWriter> for Stdio {
    fn from(pipe: PipeWriter) -> Self {
        Stdio::Fd(pipe.into())
    }
}

impl Stdio {
    /// Returns the descriptor for a stream that the process reads, `None` for the caller's.
    /// Returns the caller's end of a pipe in `ours`.
    pub(crate) fn into_input(self, ours: &mut Option<PipeWriter>) -> Result<Option<OwnedFd>> {
        if !matches!(self, Stdio::Piped) {
            return self.into_fd();
        }
        let (read, write) = pipe()?;
        *ours = Some(write.into());
        Ok(Some(read))
    }

    /// Returns the descriptor for a stream that the process writes, `None` for the caller's.
    /// Returns the caller's end of a pipe in `ours`.
    pub(crate) fn into_output(self, ours: &mut Option<PipeReader>) -> Result<Option<OwnedFd>> {
        if !matches!(self, Stdio::Piped) {
            return self.into_fd();
        }
        let (read, write) = pipe()?;
        *ours = Some(read.into());
        Ok(Some(write))
    }

    fn into_fd(self) -> Result<Option<OwnedFd>> {
        Ok(match self {
            Stdio::Inherit | Stdio::Piped => None,
            Stdio::Null => {
                let null = fd::open(fd::CWD, c"/dev/null", libc::O_RDWR, 0);
                Some(null.context(|| "open /dev/null")?)
            }
            Stdio::Fd(fd) => Some(fd),
        })
    }
}

fn pipe() -> Result<(OwnedFd, OwnedFd)> {
    fd::pipe().context(|| "pipe2")
}

/// One output stream that is being collected.
#[derive(Debug)]
pub(crate) struct Collected {
    pipe: Option<PipeReader>,
    pub(crate) bytes: Vec<u8>,
    pub(crate) is_truncated: bool,
    limit: usize,
}

impl Collected {
    /// Begins to collect up to `limit` bytes of `pipe`. More bytes are read and dropped, so that
    /// their writer can go on.
    pub(crate) fn of(pipe: Option<PipeReader>, limit: usize) -> Result<Self> {
        if let Some(pipe) = &pipe {
            // Each end of a pipe has flags of its own, so the container's process sees no change.
            fd::set_nonblocking(pipe).context(|| "fcntl(F_SETFL)")?;
        }
        Ok(Collected { pipe, bytes: Vec::new(), is_truncated: false, limit })
    }

    /// Returns the entry for poll(2), `None` at the end of the stream.
    pub(crate) fn interest(&self) -> Option<(std::os::fd::BorrowedFd<'_>, i16)> {
        self.pipe.as_ref().map(|pipe| (pipe.as_fd(), libc::POLLIN))
    }

    /// Reads once. Returns false if nothing is there to read now, or ever.
    pub(crate) fn read(&mut self) -> Result<bool> {
        let Some(pipe) = &self.pipe else { return Ok(false) };
        let mut piece = [0; 8192];
        match fd::read(pipe, &mut piece) {
            Ok(0) => {
                self.pipe = None;
                Ok(false)
            }
            Ok(length) => {
                let room = self.limit.saturating_sub(self.bytes.len()).min(length);
                self.bytes.extend_from_slice(piece.get(..room).unwrap_or_default());
                self.is_truncated |= room < length;
                Ok(true)
            }
            Err(runtime_sys::Errno::EAGAIN) => Ok(false),
            Err(errno) => Err(errno).context(|| "reading a pipe"),
        }
    }
}
