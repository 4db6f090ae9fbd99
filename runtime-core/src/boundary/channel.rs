// SPDX-License-Identifier: Apache-2.0
//! The channel between the parent and the child: a pair of SOCK_SEQPACKET sockets.
//!
//! ```text
//!  parent                                       child
//!    |   <- Cloned(pid) ----------------------   |   only from a stage, which clones the init in a new pid
//!    |                                           |   namespace. The init with this pid is the parent's child
//!    |                                           |   (CLONE_PARENT); its next reply may overtake this one
//!    |   -- the program file --------------->   |   at any time before the child waits for it (`SealExe`)
//!    |   <- Namespaces -----------------------   |   only if the child is no stage and joins namespaces
//!    |   -- Go ------------------------------>   |   only if the plan says so (id maps, systemd)
//!    |   -- Go ------------------------------>   |   the device filter is attached; only if no other Go of
//!    |                                           |   this list (systemd, devices, hooks) is sent after that
//!    |   <- Namespaces -----------------------   |   only if the parent moves network devices: the child is
//!    |   -- Go ------------------------------>   |   now in all its namespaces
//!    |   <- NeedMount(i) ---------------------   |   only for the mounts beyond those that the parent has
//!    |   -- the mount ----------------------->   |   cloned before
//!    |   <- Barrier --------------------------   |   only if there are hooks for the parent to run
//!    |   -- Go ------------------------------>   |
//!    |   <- Cloned(pid) ----------------------   |   only if an existing pid namespace is joined: the child
//!    |                                           |   clones the process with this pid into it, and exits
//!    |   <- Listener(n) ----------------------   |   only if the filter notifies: the child loads it next,
//!    |      (pidfd_getfd, agent)                 |   and the listener will be its descriptor n
//!    |   -- Go ------------------------------>   |   the child closes the listener
//!    |   <- Ready ----------------------------   |   the container is made, the program was found
//!    |      (limits, record, pid file)           |
//!    |   -- Go ------------------------------>   |   from now on the init does not need the parent
//!    |   <- end of file ----------------------   |   execve closes the child's end, or the child has exited.
//!    |                                           |   If the program is not executed, `Failed` comes first.
//!    |                                           |   (With a fifo there is no parent by then: see `answer`)
//! ```
//!
//! The child may send `Failed` instead of any message, and then exits. The message includes the
//! kernel's own text about the failure, if there is more than an error number. End of file before
//! `Ready` means that the child was killed. If the child sees the end of file, or the end of the
//! parent's process, the parent was killed. Then the child exits, and only a record is left.
//!
//! Another process in an existing pid namespace can take over a process there, and with it the
//! child's end. So the parent accepts `Cloned` only from the process that it has cloned itself, which
//! is outside of all such namespaces. The kernel names the sender of each message.

use super::reply::{MESSAGE_MAX, Reply, WIRE_LEN};
use super::step::StepFailure;
use crate::error::Context;
use crate::watch::Watch;
use nix::sys::socket::SockType;
use runtime_sys::{Errno, Result, fd, process, socket};
use std::cell::{Cell, OnceCell, RefCell};
use std::ffi::CStr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::OnceLock;

/// The parent's end of the channel.
#[derive(Debug)]
pub(crate) struct ParentEnd {
    socket: OwnedFd,
    words: OnceLock<String>,
}

impl AsFd for ParentEnd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// The child's end of the channel. Its methods do not allocate.
#[derive(Debug)]
pub(crate) struct ChildEnd {
    socket: OwnedFd,
    /// The pidfd of the parent. The end of file may not come when the parent ends: a process cloned
    /// by another thread of the parent has a copy of the parent's end of the socket, and waits for
    /// an end of file itself.
    parent: OwnedFd,
    /// The number of Go messages that came while the child waited for another message.
    early: Cell<u32>,
    /// The program file that the parent has sent, or `None` if the parent has sent that there is
    /// none to change to.
    program: OnceCell<Option<OwnedFd>>,
    /// The kernel's last message, for a failure that follows.
    words: RefCell<KernelText>,
}

/// A text that needs no heap.
#[derive(Debug)]
struct KernelText {
    bytes: [u8; MESSAGE_MAX],
    len: usize,
}

impl KernelText {
    const NONE: Self = KernelText { bytes: [0; MESSAGE_MAX], len: 0 };

    fn get(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }

    /// Stores the words in `parts`, cut to [`MESSAGE_MAX`] bytes.
    fn set<const N: usize>(&mut self, parts: [&[u8]; N]) {
        self.len = 0;
        for (byte, word) in self.bytes.iter_mut().zip(parts.into_iter().flatten()) {
            *byte = *word;
            self.len += 1;
        }
    }
}

/// A message from the parent.
enum Word {
    Go,
    Mount(OwnedFd),
    Program(Option<OwnedFd>),
}

const GO: u8 = b'g';
const MOUNT: u8 = b'm';
const PROGRAM: u8 = b'p';

/// Makes a channel. The calling process is the parent.
pub(crate) fn channel() -> crate::error::Result<(ParentEnd, ChildEnd)> {
    let (ours, socket) = socket::pair(SockType::SeqPacket).context(|| "socketpair")?;
    let parent = process::pidfd_open(std::process::id() as i32).context(|| "pidfd_open")?;
    let child = ChildEnd {
        socket,
        parent,
        early: Cell::new(0),
        program: OnceCell::new(),
        words: RefCell::new(KernelText::NONE),
    };
    Ok((ParentEnd { socket: ours, words: OnceLock::new() }, child))
}

impl ParentEnd {
    /// Waits for the next reply; `None` at the end of file. EBADMSG for anything else.
    pub(crate) fn receive(&self) -> Result<Option<Reply>> {
        self.next_reply(|buf| Ok((fd::read(&self.socket, buf)?, ())))
            .map(|reply| reply.map(|(reply, ())| reply))
    }

    /// Asks the kernel to name the sender of each message, for
    /// [`receive_from`](Self::receive_from).
    pub(crate) fn name_senders(&self) -> Result<()> {
        socket::name_senders(&self.socket)
    }

    /// Waits for the next reply like [`receive`](Self::receive), and returns the pid of its sender
    /// too.
    pub(crate) fn receive_from(&self) -> Result<Option<(Reply, i32)>> {
        self.next_reply(|buf| socket::recv_from(&self.socket, buf))
    }

    /// Receives the next reply with `receive`. Returns the reply, and the second value of
    /// `receive`.
    ///
    /// Only one read blocks, and the caller may have polled for it: a second blocking read could
    /// wait for ever for a process that another process has taken over.
    fn next_reply<T>(
        &self,
        mut receive: impl FnMut(&mut [u8]) -> Result<(usize, T)>,
    ) -> Result<Option<(Reply, T)>> {
        let mut bytes = [0; WIRE_LEN + MESSAGE_MAX];
        let (n, more) = loop {
            match receive(&mut bytes) {
                // The child ended with an unread Go in its queue. The kernel reports that once,
                // before the messages of the child (sock_error in __skb_try_recv_datagram).
                Err(Errno::ECONNRESET) => {}
                other => break other?,
            }
        };
        if n == 0 {
            return Ok(None);
        }
        let (reply, words) =
            bytes.get(..n).and_then(|message| message.split_first_chunk()).ok_or(Errno::EBADMSG)?;
        let reply = Reply::decode(*reply).ok_or(Errno::EBADMSG)?;
        if !words.is_empty() {
            // A child that has failed sends nothing more, so there is no second message.
            runtime_sys::ignore(self.words.set(String::from_utf8_lossy(words).into_owned()));
        }
        Ok(Some((reply, more)))
    }

    /// Waits until there is a reply or the end of file, for at most `limit_ms` milliseconds (-1: no
    /// limit). Returns false after that time. Fails if `cancel` becomes readable.
    pub(crate) fn is_readable(
        &self,
        limit_ms: i32,
        cancel: Option<BorrowedFd<'_>>,
    ) -> crate::error::Result<bool> {
        let [process, cancel] = Watch::cancel(cancel).entries();
        let [reply, process, cancel] =
            fd::poll_many([Some((self.as_fd(), libc::POLLIN)), process, cancel], limit_ms)
                .context(|| "poll")?;
        match reply {
            0 => Watch::check([process, cancel]).map(|()| false),
            _ => Ok(true),
        }
    }

    /// Returns the kernel's message about the received failure, if there is one.
    pub(crate) fn kernel_message(&self) -> Option<&str> {
        self.words.get().map(String::as_str)
    }

    /// Waits for the next reply like [`receive`](Self::receive), and returns the descriptor that
    /// came with it too.
    pub(crate) fn receive_with_fd(&self) -> Result<(Option<Reply>, Option<OwnedFd>)> {
        Ok(match self.next_reply(|buf| socket::recv_fd(&self.socket, buf))? {
            Some((reply, fd)) => (Some(reply), fd),
            None => (None, None),
        })
    }

    /// Lets the child go on. Succeeds even if the child is gone: [`receive`](Self::receive) then
    /// returns the reason.
    pub(crate) fn go(&self) -> Result<()> {
        ignoring_its_end(socket::send(&self.socket, &[GO]))
    }

    /// Sends the tree of the mount that the child has asked for. Succeeds even if the child is
    /// gone: [`receive`](Self::receive) then returns the reason.
    pub(crate) fn send_mount(&self, tree: impl AsFd) -> Result<()> {
        ignoring_its_end(socket::send_fd(&self.socket, &[MOUNT], tree))
    }

    /// Sends the program file that the child is to run from. `None` tells the child that it need
    /// not change its program file. Succeeds even if the child is gone.
    pub(crate) fn send_program(&self, file: Option<impl AsFd>) -> Result<()> {
        ignoring_its_end(match file {
            Some(file) => socket::send_fd(&self.socket, &[PROGRAM], file),
            None => socket::send(&self.socket, &[PROGRAM]),
        })
    }
}

fn ignoring_its_end(sent: Result<usize>) -> Result<()> {
    match sent {
        Err(Errno::EPIPE | Errno::ECONNRESET) | Ok(_) => Ok(()),
        Err(errno) => Err(errno),
    }
}

impl ChildEnd {
    /// Returns the descriptors that the child has open for the channel.
    pub(crate) fn descriptors(&self) -> [RawFd; 2] {
        [&self.socket, &self.parent].map(AsRawFd::as_raw_fd)
    }

    /// Closes the parent's pidfd. After that only [`wait_alone`](Self::wait_alone) may be called to
    /// wait.
    pub(crate) fn close_parent(&self) -> Result<()> {
        let parent = self.parent.as_raw_fd();
        fd::close_range(parent, parent, 0)
    }

    /// Sends a reply; a failure is followed by the kept message of the kernel. Uses write(2),
    /// because a system call filter may be in force, and write is the call that it most likely
    /// allows.
    pub(crate) fn send(&self, reply: Reply) -> Result<()> {
        let sent = match reply {
            Reply::Failed(_) => fd::write_parts(&self.socket, [&reply.encode(), self.words.borrow().get()]),
            _ => fd::write(&self.socket, &reply.encode()),
        };
        sent.map(drop)
    }

    /// Keeps up to [`MESSAGE_MAX`] bytes of the kernel's message about a failure that will be sent.
    pub(crate) fn keep_kernel_message(&self, words: &[u8]) {
        self.words.borrow_mut().set([words]);
    }

    /// Sends that `program` cannot be executed, and the reason: see [`NotExecuted`].
    pub(crate) fn send_not_executed(
        &self,
        failure: StepFailure,
        reason: &[u8],
        program: &CStr,
    ) -> Result<()> {
        self.words.borrow_mut().set([reason, b"\0", program.to_bytes()]);
        self.send(Reply::Failed(failure))
    }

    /// Sends a reply and a descriptor.
    pub(crate) fn send_with(&self, reply: Reply, fd: impl AsFd) -> Result<()> {
        socket::send_fd(&self.socket, &reply.encode(), fd).map(drop)
    }

    /// Waits for a mount from the parent. EPIPE if the parent is gone.
    pub(crate) fn receive_mount(&self) -> Result<OwnedFd> {
        loop {
            match self.next_word()? {
                Word::Mount(mount) => return Ok(mount),
                other => self.keep(other)?,
            }
        }
    }

    /// Waits until the parent has sent the program file. `None` if the parent has said that there
    /// is none to change to. EPIPE if the parent is gone.
    pub(crate) fn receive_program(&self) -> Result<Option<BorrowedFd<'_>>> {
        loop {
            match self.program.get() {
                Some(program) => return Ok(program.as_ref().map(AsFd::as_fd)),
                None => self.keep(self.next_word()?)?,
            }
        }
    }

    /// Waits for a Go from the parent. EPIPE if the parent is gone.
    pub(crate) fn wait_go(&self) -> Result<()> {
        if let Some(left) = self.early.get().checked_sub(1) {
            self.early.set(left);
            return Ok(());
        }
        loop {
            match self.next_word()? {
                Word::Go => return Ok(()),
                other => self.keep(other)?,
            }
        }
    }

    fn next_word(&self) -> Result<Word> {
        let mut kind = [0];
        let received = match socket::try_recv_fd(&self.socket, &mut kind) {
            Err(Errno::EAGAIN) => {
                self.await_parent()?;
                socket::recv_fd(&self.socket, &mut kind)?
            }
            // Usually the parent's message is already here.
            other => other?,
        };
        match (received, kind) {
            ((0, _), _) => Err(Errno::EPIPE),
            ((_, None), [GO]) => Ok(Word::Go),
            ((_, Some(tree)), [MOUNT]) => Ok(Word::Mount(tree)),
            ((_, file), [PROGRAM]) => Ok(Word::Program(file)),
            _ => Err(Errno::EBADMSG),
        }
    }

    /// Keeps a message that came while the child waited for another. EBADMSG for a mount: the
    /// parent sends one only to a child that waits for it.
    fn keep(&self, word: Word) -> Result<()> {
        match word {
            Word::Go => self.early.set(self.early.get() + 1),
            Word::Program(file) => self.program.set(file).map_err(|_second| Errno::EBADMSG)?,
            Word::Mount(_) => return Err(Errno::EBADMSG),
        }
        Ok(())
    }

    /// Waits for a Go like [`wait_go`](Self::wait_go), in a process that has closed all other
    /// descriptors, the parent's pidfd too. The end of file tells this process that the parent has
    /// ended. It comes although other children have copies of the parent's end: each of them exits
    /// with the parent, or closes its copies before it waits here.
    pub(crate) fn wait_alone(&self) -> Result<()> {
        let mut byte = [0];
        match fd::read(&self.socket, &mut byte)? {
            0 => Err(Errno::EPIPE),
            _ => Ok(()),
        }
    }

    /// Waits until there is a message to read. EPIPE if the parent has ended.
    fn await_parent(&self) -> Result<()> {
        let both = [Some((self.socket.as_fd(), libc::POLLIN)), Some((self.parent.as_fd(), libc::POLLIN))];
        match fd::poll_many(both, -1)? {
            [0, _] => Err(Errno::EPIPE),
            _ => Ok(()),
        }
    }
}

/// The message to an init that waits at the fifo of `start`.
pub(crate) const START: &[u8] = b"0";

/// A program that cannot be executed. A message about it has the failure, the reason as
/// [`Reason`](crate::path::executable::Reason) writes it, a NUL, and the program's path.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct NotExecuted<'a> {
    pub(crate) failure: StepFailure,
    pub(crate) reason: &'a [u8],
    pub(crate) program: &'a [u8],
}

impl<'a> NotExecuted<'a> {
    /// Decodes what follows the failure in a message.
    pub(crate) fn new(failure: StepFailure, words: &'a [u8]) -> Self {
        let nul = words.iter().position(|byte| *byte == 0);
        let (reason, program) = match nul.and_then(|nul| words.split_at_checked(nul)) {
            Some((reason, program)) => (reason, program.get(1..).unwrap_or_default()),
            None => (&[][..], words),
        };
        NotExecuted { failure, reason, program }
    }
}

/// Writes into the fifo of `start` that `program` cannot be executed, for the process that waits
/// for the execve. Does not allocate.
pub(crate) fn send_answer(
    fifo: impl AsFd,
    failure: StepFailure,
    reason: &[u8],
    program: &CStr,
) -> Result<()> {
    fd::write_parts(fifo, [&Reply::Failed(failure).encode(), reason, b"\0", program.to_bytes()]).map(drop)
}

/// Decodes what the init has written to the fifo by the time it closes its end. `None` if there is no
/// failure.
pub(crate) fn answer(bytes: &[u8]) -> Option<NotExecuted<'_>> {
    let (reply, words) = bytes.split_first_chunk()?;
    match Reply::decode(*reply)? {
        Reply::Failed(failure) => Some(NotExecuted::new(failure, words)),
        _ => None,
    }
}

impl AsFd for ChildEnd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::boundary::step::{Call, Step};

    const FAILED: Reply =
        Reply::Failed(StepFailure { step: Step::Mount, item: 3, call: Call::Fsconfig, errno: Errno::EINVAL });

    #[test]
    fn a_failure_has_the_kernels_text() {
        // One is as long as a reply, and one is longer than there is room.
        for words in ["seven c.".to_owned(), "x".repeat(MESSAGE_MAX + 1)] {
            let (parent, child) = channel().unwrap();
            child.keep_kernel_message(b"of something that went right in the end, at a second try");
            child.keep_kernel_message(words.as_bytes());
            child.send(Reply::Ready).unwrap();
            assert_eq!(parent.receive().unwrap(), Some(Reply::Ready));
            assert_eq!(parent.kernel_message(), None);
            child.send(FAILED).unwrap();
            assert_eq!(parent.receive().unwrap(), Some(FAILED));
            assert_eq!(parent.kernel_message(), words.get(..words.len().min(MESSAGE_MAX)));
        }
    }

    #[test]
    fn an_invalid_message_is_an_error() {
        let (parent, child) = channel().unwrap();
        for message in [&b"1"[..], &[Step::ALL.len() as u8; WIRE_LEN]] {
            fd::write(&child, message).unwrap();
            assert_eq!(parent.receive().unwrap_err(), Errno::EBADMSG);
        }
    }

    #[test]
    fn messages_of_a_child_that_ends_with_an_unread_go_are_received() {
        let (parent, child) = channel().unwrap();
        child.keep_kernel_message(b"why");
        child.send(FAILED).unwrap();
        parent.go().unwrap();
        drop(child);
        assert_eq!(parent.receive().unwrap(), Some(FAILED));
        assert_eq!(parent.kernel_message(), Some("why"));
        assert_eq!(parent.receive().unwrap(), None);
    }

    #[test]
    fn messages_that_arrive_early_are_kept() {
        let (parent, child) = channel().unwrap();
        parent.send_program(Some(std::io::stdin())).unwrap();
        parent.go().unwrap();
        parent.send_mount(std::io::stdin()).unwrap();
        child.receive_mount().unwrap();
        child.wait_go().unwrap();
        assert!(child.receive_program().unwrap().is_some());
        assert!(child.receive_program().unwrap().is_some());
        drop(parent);
        assert_eq!(child.wait_go().unwrap_err(), Errno::EPIPE);
    }

    #[test]
    fn an_answer_in_the_fifo_is_decoded() {
        let failure = StepFailure { step: Step::Exec, item: 0, call: Call::Execve, errno: Errno::ENOEXEC };
        let (read, write) = fd::pipe().unwrap();
        for reason in [&b""[..], b"#/bin/y"] {
            send_answer(&write, failure, reason, c"/bin/x").unwrap();
            let mut bytes = [0; 64];
            let length = fd::read(&read, &mut bytes).unwrap();
            assert_eq!(answer(&bytes[..length]), Some(NotExecuted { failure, reason, program: b"/bin/x" }));
        }
        for none in [&b""[..], b"0", &Reply::Ready.encode(), &[1; WIRE_LEN - 1]] {
            assert_eq!(answer(none), None);
        }
    }

    #[test]
    fn the_kernel_names_the_sender() {
        let (parent, child) = channel().unwrap();
        parent.name_senders().unwrap();
        child.send_with(Reply::Cloned(7), std::io::stdin()).unwrap();
        assert_eq!(parent.receive_from().unwrap(), Some((Reply::Cloned(7), std::process::id() as i32)));
        drop(child);
        assert_eq!(parent.receive_from().unwrap(), None);
    }

    #[test]
    fn both_ends_notice_the_end_of_the_other() {
        let (parent, child) = channel().unwrap();
        child.send(Reply::Ready).unwrap();
        parent.go().unwrap();
        child.wait_go().unwrap();
        assert_eq!(parent.receive().unwrap(), Some(Reply::Ready));
        drop(child);
        assert_eq!(parent.receive().unwrap(), None);
        parent.go().unwrap();

        let (parent, child) = channel().unwrap();
        drop(parent);
        assert_eq!(child.wait_go().unwrap_err(), Errno::EPIPE);
    }
}
