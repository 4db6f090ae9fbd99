// SPDX-License-Identifier: Apache-2.0
//! The channel between the parent and the child: a pair of SOCK_SEQPACKET sockets.
//!
//! ```text
//!  parent                                       child
//!    |   <- Cloned(pid) ----------------------   |   only from a stage, which clones the init in a new pid
//!    |                                           |   namespace: the pid is init's, whose parent we are
//!    |                                           |   (CLONE_PARENT); and whose next reply may be here before
//!    |   -- the program file --------------->   |   at any time before it is waited for (`SealExe`)
//!    |   <- Namespaces -----------------------   |   only if existing namespaces are joined, by no stage
//!    |   -- Go ------------------------------>   |   only if the plan says so (id maps, systemd)
//!    |   -- Go ------------------------------>   |   only without hooks and if the child did not wait for it
//!    |                                           |   before: the device filter is there
//!    |   <- Namespaces -----------------------   |   only if network devices go into a namespace that the child
//!    |   -- Go ------------------------------>   |   makes: a new user namespace's
//!    |   <- NeedMount(i) ---------------------   |   only for the mounts beyond those that the parent has
//!    |   -- the mount ----------------------->   |   cloned before
//!    |   <- Barrier --------------------------   |   only if there are hooks for the parent to run
//!    |   -- Go ------------------------------>   |
//!    |   <- Cloned(pid) ----------------------   |   only if an existing pid namespace is joined: by the process
//!    |                                           |   with this pid, the last thing that its maker does
//!    |   <- Listener(n) ----------------------   |   only if the filter notifies: it is loaded next, and its
//!    |      (pidfd_getfd, agent)                 |   listener will be descriptor n of the child,
//!    |   -- Go ------------------------------>   |   which closes it now
//!    |   <- Ready ----------------------------   |   the container is made, the program was found
//!    |      (limits, record, pid file)           |
//!    |   -- Go ------------------------------>   |   from now on init lives without us
//!    |   <- end of file ----------------------   |   execve, which closes the child's end; or the end of it;
//!    |                                           |   or before it `Failed`, if the program cannot be executed.
//!    |                                           |   (Behind a fifo there is no parent any more: see `answer`)
//! ```
//!
//! Instead of any message the child may send `Failed`, and then exits; in the same message stands
//! what the kernel has said about it, if it has said more than a number. End of
//! file before `Ready` means that it was killed. End of file for the child, or the
//! end of the parent's process, means that the parent was killed: it exits, and
//! nothing is left but a record.
//!
//! A process in an existing pid namespace may be taken by another one there, and with it
//! the child's end. So `Cloned` counts only if the kernel says that the process which we
//! have cloned ourselves has sent it, and that one is outside of all such namespaces.

use crate::boundary::step::{Call, Failure, Step};
use crate::error::Context;
use crate::watch::Watch;
use nix::sys::socket::SockType;
use runtime_sys::{Errno, Result, fd, process, socket};
use std::cell::{Cell, OnceCell, RefCell};
use std::ffi::CStr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::OnceLock;

/// What the child says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reply {
    /// The init has this pid.
    Cloned(i32),
    /// The parent is to clone the tree of this mount and send it.
    NeedMount(u32),
    /// The process is in its namespaces; said for the second time, in those as well that it
    /// makes as root of its user namespace.
    Namespaces,
    /// The parent is to run its hooks.
    Barrier,
    /// Once the filter is loaded, its listener has this number in the child. Said
    /// before, because then every call of the child may wait for the agent.
    Listener(i32),
    /// All is done.
    Ready,
    /// Something failed, and the child exits.
    Failed(Failure),
}

/// First bytes of messages that are not failures; steps come before them.
const NAMESPACES: u8 = 250;
const NEED_MOUNT: u8 = 251;
const LISTENER: u8 = 252;
const CLONED: u8 = 253;
const BARRIER: u8 = 254;
const READY: u8 = 255;

/// The size of a reply on the wire: step or kind, call, errno, and item, pid or descriptor. Behind
/// a failure follow up to [`WORDS_MAX`] bytes of the kernel's words.
pub(crate) const WIRE_LEN: usize = 8;

/// How many of the kernel's words are passed on, in bytes.
pub(crate) const WORDS_MAX: usize = 255;

impl Reply {
    pub(crate) fn encode(self) -> [u8; WIRE_LEN] {
        let pack = |kind: u8, call: u8, errno: u16, value: [u8; 4]| {
            let [e0, e1] = errno.to_ne_bytes();
            let [v0, v1, v2, v3] = value;
            [kind, call, e0, e1, v0, v1, v2, v3]
        };
        let plain = |kind: u8, value: [u8; 4]| pack(kind, 0, 0, value);
        match self {
            Reply::Cloned(pid) => plain(CLONED, pid.to_ne_bytes()),
            Reply::NeedMount(item) => plain(NEED_MOUNT, item.to_ne_bytes()),
            Reply::Namespaces => plain(NAMESPACES, [0; 4]),
            Reply::Barrier => plain(BARRIER, [0; 4]),
            Reply::Listener(fd) => plain(LISTENER, fd.to_ne_bytes()),
            Reply::Ready => plain(READY, [0; 4]),
            // The kernel's error numbers end at 4095 (MAX_ERRNO).
            Reply::Failed(f) => pack(f.step as u8, f.call as u8, f.errno as u16, f.item.to_ne_bytes()),
        }
    }

    /// `None` if the bytes are not a reply.
    pub(crate) fn decode(bytes: [u8; WIRE_LEN]) -> Option<Self> {
        let [kind, call, e0, e1, v0, v1, v2, v3] = bytes;
        let value = [v0, v1, v2, v3];
        Some(match kind {
            CLONED => Reply::Cloned(i32::from_ne_bytes(value)),
            NEED_MOUNT => Reply::NeedMount(u32::from_ne_bytes(value)),
            NAMESPACES => Reply::Namespaces,
            BARRIER => Reply::Barrier,
            LISTENER => Reply::Listener(i32::from_ne_bytes(value)),
            READY => Reply::Ready,
            step => Reply::Failed(Failure {
                step: Step::from_byte(step)?,
                call: Call::from_byte(call)?,
                item: u32::from_ne_bytes(value),
                errno: Errno::from_raw(u16::from_ne_bytes([e0, e1]).into()),
            }),
        })
    }
}

/// The parent's end.
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

/// The child's end. Nothing here touches the heap.
#[derive(Debug)]
pub(crate) struct ChildEnd {
    socket: OwnedFd,
    /// The parent's process. Its end of the socket may outlive it: what another of its
    /// threads clones has a copy of it, and is waiting in turn for its own end of file.
    parent: OwnedFd,
    /// How often Go has come while something else was waited for.
    early: Cell<u32>,
    /// What has come of the program file.
    program: OnceCell<Option<OwnedFd>>,
    /// What the kernel has said last, for a failure that follows.
    words: RefCell<Words>,
}

/// Some text without heap.
#[derive(Debug)]
struct Words {
    bytes: [u8; WORDS_MAX],
    len: usize,
}

impl Words {
    const NONE: Self = Words { bytes: [0; WORDS_MAX], len: 0 };

    fn get(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }

    /// Cuts what is too long.
    fn set(&mut self, words: &[u8]) {
        self.len = words.len().min(WORDS_MAX);
        for (byte, word) in self.bytes.iter_mut().zip(words) {
            *byte = *word;
        }
    }
}

/// One message of the parent's.
enum Word {
    Go,
    Mount(OwnedFd),
    Program(Option<OwnedFd>),
}

const GO: u8 = b'g';
const MOUNT: u8 = b'm';
const PROGRAM: u8 = b'p';

/// Makes a channel.
pub(crate) fn channel() -> crate::error::Result<(ParentEnd, ChildEnd)> {
    let (ours, socket) = socket::pair(SockType::SeqPacket).context(|| "socketpair")?;
    let parent = process::pidfd_open(std::process::id() as i32).context(|| "pidfd_open")?;
    let child = ChildEnd {
        socket,
        parent,
        early: Cell::new(0),
        program: OnceCell::new(),
        words: RefCell::new(Words::NONE),
    };
    Ok((ParentEnd { socket: ours, words: OnceLock::new() }, child))
}

impl ParentEnd {
    /// Waits for the next reply, `None` at the end of file. EBADMSG for anything else.
    pub(crate) fn receive(&self) -> Result<Option<Reply>> {
        self.next_reply(|buf| Ok((fd::read(&self.socket, buf)?, ())))
            .map(|reply| reply.map(|(reply, ())| reply))
    }

    /// Has the kernel say who sends what, for [`receive_from`](Self::receive_from).
    pub(crate) fn name_senders(&self) -> Result<()> {
        socket::name_senders(&self.socket)
    }

    /// As [`receive`](Self::receive), with the pid of the sender.
    pub(crate) fn receive_from(&self) -> Result<Option<(Reply, i32)>> {
        self.next_reply(|buf| socket::recv_from(&self.socket, buf))
    }

    /// Receives the next reply by `receive`, and returns what that returns besides.
    ///
    /// There is one blocking read, for which the caller may have polled: a second one could
    /// wait for ever for a process that others have taken over.
    fn next_reply<T>(
        &self,
        mut receive: impl FnMut(&mut [u8]) -> Result<(usize, T)>,
    ) -> Result<Option<(Reply, T)>> {
        let mut bytes = [0; WIRE_LEN + WORDS_MAX];
        let (n, more) = loop {
            match receive(&mut bytes) {
                // The child ended with an unread Go in its queue. The kernel says that once, and
                // before what the child has said (sock_error in __skb_try_recv_datagram).
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
            // A child that has failed says no more, so no second failure has words.
            _ = self.words.set(String::from_utf8_lossy(words).into_owned());
        }
        Ok(Some((reply, more)))
    }

    /// Waits until there is a reply, or the end of file, at most `limit_ms` (-1: no limit):
    /// whether there is. Fails if `cancel` becomes readable.
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

    /// Returns what the kernel has said about the failure that was received, if it has.
    pub(crate) fn words(&self) -> Option<&str> {
        self.words.get().map(String::as_str)
    }

    /// As [`receive`](Self::receive), with the descriptor that came with the reply.
    pub(crate) fn receive_with_fd(&self) -> Result<(Option<Reply>, Option<OwnedFd>)> {
        let mut bytes = [0; WIRE_LEN];
        match socket::recv_fd(&self.socket, &mut bytes)? {
            (0, _) => Ok((None, None)),
            (WIRE_LEN, fd) => Ok((Some(Reply::decode(bytes).ok_or(Errno::EBADMSG)?), fd)),
            _ => Err(Errno::EBADMSG),
        }
    }

    /// Lets the child go on. EPIPE if it is gone, in which case `receive` says why.
    pub(crate) fn go(&self) -> Result<()> {
        ignoring_its_end(socket::send(&self.socket, &[GO]))
    }

    /// Sends the tree of the mount that the child has asked for. It says why it is gone, if
    /// it is.
    pub(crate) fn send_mount(&self, tree: impl AsFd) -> Result<()> {
        ignoring_its_end(socket::send_fd(&self.socket, &[MOUNT], tree))
    }

    /// Sends the program file that the child shall run from, or that it need not change, as
    /// [`send_mount`](Self::send_mount).
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
    /// What the child has open for the channel.
    pub(crate) fn descriptors(&self) -> [RawFd; 2] {
        [&self.socket, &self.parent].map(AsRawFd::as_raw_fd)
    }

    /// Closes the parent's pidfd. From then on there is only [`wait_alone`](Self::wait_alone).
    pub(crate) fn close_parent(&self) -> Result<()> {
        let parent = self.parent.as_raw_fd();
        fd::close_range(parent, parent, 0)
    }

    /// Sends a reply, a failure with the words that were kept. By write(2), because a system call
    /// filter may be in force, and what a program most likely may do is write.
    pub(crate) fn send(&self, reply: Reply) -> Result<()> {
        let sent = match reply {
            Reply::Failed(_) => fd::write_parts(&self.socket, [&reply.encode(), self.words.borrow().get()]),
            _ => fd::write(&self.socket, &reply.encode()),
        };
        sent.map(drop)
    }

    /// Keeps what the kernel has said about a failure that will be sent, up to [`WORDS_MAX`]
    /// bytes of it.
    pub(crate) fn keep_words(&self, words: &[u8]) {
        self.words.borrow_mut().set(words);
    }

    /// Sends a reply and a descriptor.
    pub(crate) fn send_with(&self, reply: Reply, fd: impl AsFd) -> Result<()> {
        socket::send_fd(&self.socket, &reply.encode(), fd).map(drop)
    }

    /// Waits for a mount from the parent. EPIPE if it is gone.
    pub(crate) fn receive_mount(&self) -> Result<OwnedFd> {
        loop {
            match self.next_word()? {
                Word::Mount(mount) => return Ok(mount),
                other => self.keep(other)?,
            }
        }
    }

    /// Waits for the parent to send the program file, or that there is none to change to.
    /// EPIPE if it is gone.
    pub(crate) fn receive_program(&self) -> Result<Option<BorrowedFd<'_>>> {
        loop {
            match self.program.get() {
                Some(program) => return Ok(program.as_ref().map(AsFd::as_fd)),
                None => self.keep(self.next_word()?)?,
            }
        }
    }

    /// Waits for the parent. EPIPE if it is gone.
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
            // Most often the parent is ahead.
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

    /// Keeps what was not waited for. A mount is sent only to who waits for one.
    fn keep(&self, word: Word) -> Result<()> {
        match word {
            Word::Go => self.early.set(self.early.get() + 1),
            Word::Program(file) => self.program.set(file).map_err(|_second| Errno::EBADMSG)?,
            Word::Mount(_) => return Err(Errno::EBADMSG),
        }
        Ok(())
    }

    /// As [`wait_go`](Self::wait_go), for a process that has closed all other descriptors:
    /// the parent's pidfd too, and what might keep somebody else waiting. The end of
    /// file comes, because whoever of ours has a copy of the parent's end ends with the
    /// parent, or is as far as this.
    pub(crate) fn wait_alone(&self) -> Result<()> {
        let mut byte = [0];
        match fd::read(&self.socket, &mut byte)? {
            0 => Err(Errno::EPIPE),
            _ => Ok(()),
        }
    }

    /// Waits until there is something to read, or nobody left to write it.
    fn await_parent(&self) -> Result<()> {
        let both = [Some((self.socket.as_fd(), libc::POLLIN)), Some((self.parent.as_fd(), libc::POLLIN))];
        match fd::poll_many(both, -1)? {
            [0, _] => Err(Errno::EPIPE),
            _ => Ok(()),
        }
    }
}

/// Writes into the fifo of start that `program` cannot be executed, for who waits for
/// that to happen. Nothing here touches the heap.
pub(crate) fn send_answer(fifo: impl AsFd, failure: Failure, program: &CStr) -> Result<()> {
    fd::write_parts(fifo, [&Reply::Failed(failure).encode(), program.to_bytes()]).map(drop)
}

/// Reads what init has left in the fifo, after it has closed its end: why which program
/// was not executed, if one was not.
pub(crate) fn answer(bytes: &[u8]) -> Option<(Failure, &[u8])> {
    let (reply, program) = bytes.split_first_chunk()?;
    match Reply::decode(*reply)? {
        Reply::Failed(failure) => Some((failure, program)),
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

    #[test]
    fn replies_survive_the_wire() {
        let failure = Failure { step: Step::Mount, item: 70_000, call: Call::Fsopen, errno: Errno::ENODEV };
        for reply in [
            Reply::Cloned(70_000),
            Reply::NeedMount(70_000),
            Reply::Namespaces,
            Reply::Barrier,
            Reply::Listener(7),
            Reply::Ready,
            Reply::Failed(failure),
        ] {
            assert_eq!(Reply::decode(reply.encode()), Some(reply));
        }
        assert_eq!(Reply::decode([Step::ALL.len() as u8, 0, 0, 0, 0, 0, 0, 0]), None);
        assert_eq!(Reply::decode([0, Call::ALL.len() as u8, 0, 0, 0, 0, 0, 0]), None);
        assert!(Step::ALL.len() < usize::from(NAMESPACES));
    }

    const FAILED: Reply =
        Reply::Failed(Failure { step: Step::Mount, item: 3, call: Call::Fsconfig, errno: Errno::EINVAL });

    #[test]
    fn words_come_with_the_failure() {
        // As long as a reply, and longer than there is room.
        for words in ["seven c.".to_owned(), "x".repeat(WORDS_MAX + 1)] {
            let (parent, child) = channel().unwrap();
            child.keep_words(b"of something that went right in the end, at a second try");
            child.keep_words(words.as_bytes());
            child.send(Reply::Ready).unwrap();
            assert_eq!(parent.receive().unwrap(), Some(Reply::Ready));
            assert_eq!(parent.words(), None);
            child.send(FAILED).unwrap();
            assert_eq!(parent.receive().unwrap(), Some(FAILED));
            assert_eq!(parent.words(), words.get(..words.len().min(WORDS_MAX)));
        }
    }

    #[test]
    fn a_message_that_is_no_reply() {
        let (parent, child) = channel().unwrap();
        for message in [&b"1"[..], &[Step::ALL.len() as u8; WIRE_LEN]] {
            fd::write(&child, message).unwrap();
            assert_eq!(parent.receive().unwrap_err(), Errno::EBADMSG);
        }
    }

    #[test]
    fn what_a_child_says_before_it_ends_with_an_unread_go() {
        let (parent, child) = channel().unwrap();
        child.keep_words(b"why");
        child.send(FAILED).unwrap();
        parent.go().unwrap();
        drop(child);
        assert_eq!(parent.receive().unwrap(), Some(FAILED));
        assert_eq!(parent.words(), Some("why"));
        assert_eq!(parent.receive().unwrap(), None);
    }

    #[test]
    fn words_that_come_before_they_are_waited_for() {
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
    fn an_answer_in_the_fifo() {
        let failure = Failure { step: Step::Exec, item: 0, call: Call::Execve, errno: Errno::ENOEXEC };
        let (read, write) = fd::pipe().unwrap();
        send_answer(write, failure, c"/bin/x").unwrap();
        let mut bytes = [0; 64];
        let length = fd::read(read, &mut bytes).unwrap();
        assert_eq!(answer(&bytes[..length]), Some((failure, b"/bin/x".as_slice())));
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
    fn both_ends_see_the_other_go() {
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
