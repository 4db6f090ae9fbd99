// SPDX-License-Identifier: Apache-2.0
//! Copies between descriptors. A slow copy does not delay the others.

use nix::errno::Errno;
use nix::poll::PollFlags;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// One end of a copy: a descriptor that is closed when the copy ends, or a standard descriptor.
#[derive(Debug)]
pub(crate) enum End {
    Owned(OwnedFd),
    Standard(BorrowedFd<'static>),
}

impl AsFd for End {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            End::Owned(fd) => fd.as_fd(),
            End::Standard(fd) => *fd,
        }
    }
}

/// One direction of a copy. Reads and writes only after poll(2) has reported the descriptor
/// ready. A write to a blocking pipe then does not block, because it has at most PIPE_BUF bytes,
/// unless another process has written to the pipe in between. The terminals and pipes that this
/// program opens for writing are non-blocking.
#[derive(Debug)]
pub(crate) struct Pump {
    from: Option<End>,
    to: Option<End>,
    /// True for a copy that goes on reading when the output is gone: a copy from a terminal. A
    /// writer on a terminal gets no EPIPE, and would block if nothing read its output.
    discards: bool,
    buffer: Box<[u8; Self::CHUNK]>,
    held: std::ops::Range<usize>,
}

impl Pump {
    /// The size of the buffer: PIPE_BUF of pipe(7).
    const CHUNK: usize = 4096;

    pub(crate) fn new(from: End, to: End) -> Self {
        Pump {
            from: Some(from),
            to: Some(to),
            discards: false,
            buffer: Box::new([0; Self::CHUNK]),
            held: 0..0,
        }
    }

    /// Returns a copy from a terminal.
    pub(crate) fn from_terminal(from: End, to: End) -> Self {
        Pump { discards: true, ..Pump::new(from, to) }
    }

    /// Returns true if the buffer has bytes that are not yet written.
    pub(crate) fn is_holding(&self) -> bool {
        !self.held.is_empty()
    }

    /// Returns the descriptor and the event to wait for, `None` at the end of the copy.
    pub(crate) fn interest(&self) -> Option<(BorrowedFd<'_>, PollFlags)> {
        if self.held.is_empty() {
            self.from.as_ref().map(|from| (from.as_fd(), PollFlags::POLLIN))
        } else {
            self.to.as_ref().map(|to| (to.as_fd(), PollFlags::POLLOUT))
        }
    }

    /// Reads or writes once, after [`interest`](Self::interest) is ready. Returns the number of
    /// bytes that were read.
    pub(crate) fn step(&mut self) -> usize {
        if self.held.is_empty() {
            self.read();
            self.held.len()
        } else {
            self.write();
            0
        }
    }

    fn read(&mut self) {
        let Some(from) = &self.from else { return };
        match nix::unistd::read(from, self.buffer.as_mut_slice()) {
            Err(Errno::EAGAIN | Errno::EINTR) => {}
            // EIO: the other side of a terminal is closed.
            Ok(0) | Err(_) => {
                self.from = None;
                // The output is closed, so that its reader sees the end too.
                self.to = None;
            }
            Ok(n) if self.to.is_some() => self.held = 0..n,
            Ok(_) => {}
        }
    }

    fn write(&mut self) {
        let (Some(to), Some(held)) = (&self.to, self.buffer.get(self.held.clone())) else { return };
        match nix::unistd::write(to, held) {
            Ok(n) => self.held.start += n,
            Err(Errno::EAGAIN | Errno::EINTR) => {}
            Err(_) => {
                self.to = None;
                self.held = 0..0;
                if !self.discards {
                    // The input is closed, so that its writer gets EPIPE.
                    self.from = None;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pipe() -> (OwnedFd, OwnedFd) {
        nix::unistd::pipe().unwrap()
    }

    #[test]
    fn copies_to_the_end_and_closes() {
        let (from, input) = pipe();
        let (output, to) = pipe();
        nix::unistd::write(&input, &[7; 5000]).unwrap();
        drop(input);
        let mut pump = Pump::new(End::Owned(from), End::Owned(to));
        let mut steps = 0;
        while pump.interest().is_some() {
            pump.step();
            steps += 1;
        }
        assert_eq!(steps, 5, "two reads, two writes, the end");
        let mut all = Vec::new();
        std::io::Read::read_to_end(&mut std::fs::File::from(output), &mut all).unwrap();
        assert_eq!(all, [7; 5000]);
    }

    #[test]
    fn a_writer_notices_the_end_of_the_reader() {
        let (from, input) = pipe();
        let (output, to) = pipe();
        drop(output);
        let mut pump = Pump::new(End::Owned(from), End::Owned(to));
        nix::unistd::write(&input, b"x").unwrap();
        pump.step();
        assert!(pump.is_holding());
        pump.step();
        assert!(pump.interest().is_none() && !pump.is_holding());
        assert_eq!(nix::unistd::write(&input, b"x"), Err(Errno::EPIPE));
    }

    #[test]
    fn a_terminal_is_read_even_without_a_reader() {
        let (from, input) = pipe();
        let (output, to) = pipe();
        drop(output);
        let mut pump = Pump::from_terminal(End::Owned(from), End::Owned(to));
        nix::unistd::write(&input, b"x").unwrap();
        pump.step();
        pump.step();
        for _ in 0..3 {
            nix::unistd::write(&input, b"x").unwrap();
            pump.step();
        }
        assert!(pump.interest().is_some());
        drop(input);
        pump.step();
        assert!(pump.interest().is_none());
    }
}
