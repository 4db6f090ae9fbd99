// SPDX-License-Identifier: Apache-2.0
//! The parent's side of the clone: before it, around it, and until the child is ready.

pub(crate) mod agent;
pub(crate) mod execution;
pub(crate) mod explain;
pub(crate) mod hooks;
pub(crate) mod ids;
pub(crate) mod network;
pub(crate) mod outside;
pub(crate) mod peer;
pub(crate) mod reap;
pub(crate) mod self_exe;

use crate::boundary::channel::{self, ParentEnd, Reply};
use crate::boundary::plan::{Plan, What};
use crate::boundary::step::{Failure, Step, index};
use crate::boundary::tree::Cloner;
use crate::child::First;
use crate::child::helpers::{Idle, Room, RouteOpener, TreeCloner};
use crate::error::{Context, Error, ErrorKind, Result};
use crate::marks::{Mark, Traced};
use crate::path::proc;
use crate::values::IdRange;
use crate::watch::Watch;
use nix::sys::socket::SockType;
use runtime_sys::process::ExitStatus;
use runtime_sys::{Errno, clone, fd, process, signal, socket};
use std::collections::VecDeque;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

/// A process between its clone and its release. Dropped, it is killed and reaped.
#[derive(Debug)]
pub(crate) struct Child {
    pub(crate) pid: i32,
    guard: Guard,
    channel: ParentEnd,
    /// What a process has said before its pid was known.
    early: VecDeque<Reply>,
    /// It will clone the process that takes its place, and end.
    is_replaced: bool,
    /// The process whose place it has taken, which ends meanwhile.
    predecessor: Option<Guard>,
    /// The listener of its filter has been fetched: there is one.
    has_listener: bool,
    trees: TreeCloning,
}

/// How the trees that a helper clones get to the init.
#[derive(Debug)]
enum TreeCloning {
    /// There is no helper, or it has sent them all.
    Done,
    /// The helper's socket, and the init's, which is the init's alone if the helper is to
    /// see its end.
    Prepared { helper: OwnedFd, init: OwnedFd },
    /// The helper, and the process in whose mount namespace it works, if that is not the
    /// init's.
    Started { helper: Box<Child>, _room: Option<Box<Child>> },
}

/// What comes of listening to a process that clones its successor.
#[derive(Debug)]
enum Heard {
    /// It says this; `None`: it has ended.
    Said(Option<Reply>),
    /// The process is the successor now.
    Replaced,
}

/// A process that lives without us. The pidfd stays good for waiting for it.
#[derive(Debug)]
pub(crate) struct Running {
    pub(crate) pid: i32,
    pub(crate) pidfd: OwnedFd,
    /// Ends when the program is executed, or the process has ended before that.
    channel: ParentEnd,
}

/// What a child is waiting for.
#[derive(Debug)]
pub(crate) enum Progress {
    /// For the tree of this mount: [`Child::send_tree`].
    NeedMount(usize),
    /// That the parent has moved network devices.
    Namespaces,
    /// That the parent has run its hooks.
    Barrier,
    /// For nothing, or for the agent of its filter, who needs this listener.
    Listener(OwnedFd),
    /// That the parent has written everything down.
    Ready,
}

/// Kills and reaps a child, unless it is taken away before.
#[derive(Debug)]
struct Guard(Option<OwnedFd>);

impl Guard {
    fn pidfd(&self) -> BorrowedFd<'_> {
        // Only `disarm`, which takes the guard, leaves it empty.
        self.0.as_ref().map_or(runtime_sys::fd::CWD, AsFd::as_fd)
    }

    fn disarm(mut self) -> Option<OwnedFd> {
        self.0.take()
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        let Some(pidfd) = self.0.take() else { return };
        reap::end(pidfd);
    }
}

/// Clones the child that will carry out `plan`, in `cgroup` if one is given.
///
/// The calling thread blocks its signals meanwhile, so that no handler of the
/// program runs in the child, and has them back when this returns.
pub(crate) fn spawn(plan: &mut Plan, cgroup: Option<BorrowedFd<'_>>) -> Result<Child> {
    let (parent, child) = channel::channel()?;
    let is_replaced = plan.has_stage() || plan.process.enters_pid;
    if is_replaced || plan.tells_of_joins() {
        parent.name_senders().context(|| "setsockopt(SO_PASSCRED)")?;
    }
    let flags = if plan.joins.is_empty() { plan.clone_flags } else { 0 };
    let helper = match plan.tree_helper() {
        Some(helper) => {
            let (ours, inits) = socket::pair(SockType::SeqPacket).context(|| "socketpair")?;
            // Descriptors on the way count (RLIMIT_NOFILE of the user, unix(7)): a few will do.
            socket::shrink_send_buffer(&ours).context(|| "setsockopt(SO_SNDBUF)")?;
            helper.socket = Some(inits);
            Some(ours)
        }
        None => None,
    };
    let mut holds = plan.descriptors();
    holds.extend(child.descriptors());
    let ignored = signal::Ignored::by_caller();
    let first = First { plan, holds: &mut holds, channel: &child, ignored };
    let blocked = signal::Blocked::all();
    let cloned = clone::clone3(flags, false, cgroup, first);
    drop(blocked);
    drop(child);
    let inits = plan.tree_helper().and_then(|helper| helper.socket.take());
    let (pid, pidfd) = cloned.map_err(explain::clone).traced(Mark::Clone)?;
    let mut child = Child::new(pid, pidfd, parent);
    child.is_replaced = is_replaced;
    if let (Some(helper), Some(init)) = (helper, inits) {
        child.trees = TreeCloning::Prepared { helper, init };
    }
    let program = self_exe::copy()?;
    child.channel.send_program(program.as_ref()).context(|| "sending the program file: sendmsg")?;
    Ok(child)
}

/// A user namespace with these mappings, in which nobody lives: for a mount.
pub(crate) fn user_namespace(uid: &[IdRange], gid: &[IdRange]) -> Result<OwnedFd> {
    let (parent, child) = channel::channel()?;
    let idle = Idle { hides: !ids::is_rootless()?, channel: &child };
    let idle = clone_helper(libc::CLONE_NEWUSER, parent, idle)?;
    drop(child);
    let namespace = match idle.channel.receive_with_fd().context(|| "recv")? {
        (Some(Reply::Ready), Some(namespace)) => namespace,
        (Some(Reply::Failed(failure)), _) => return Err(Error::os(failure.errno, failure.call.name())),
        _ => return Err(Error::new(ErrorKind::Setup, "the process in it has ended")),
    };
    let proc = proc::host()?;
    ids::write_maps(&proc, idle.pid, uid, gid)?;
    Ok(namespace)
}

/// A process in a mount namespace that has the host's mounts, locked.
fn room(to_helper: &OwnedFd, plan: &Plan) -> Result<Child> {
    let (parent, child) = channel::channel()?;
    let room = Room { to_helper, channel: &child };
    let room = clone_helper(libc::CLONE_NEWUSER | libc::CLONE_NEWNS, parent, room)?;
    drop(child);
    match room.channel.receive().context(|| "recv")? {
        Some(Reply::Ready) => Ok(room),
        other => Err(room.failed(other, plan)),
    }
}

/// Clones a process that helps, in the caller's cgroup.
fn clone_helper(namespaces: i32, channel: ParentEnd, helper: impl clone::Child) -> Result<Child> {
    let blocked = signal::Blocked::all();
    let cloned = clone::clone3(namespaces, false, None, helper);
    drop(blocked);
    let (pid, pidfd) = cloned.map_err(explain::clone)?;
    Ok(Child::new(pid, pidfd, channel))
}

impl Child {
    fn new(pid: i32, pidfd: OwnedFd, channel: ParentEnd) -> Self {
        let (guard, early, trees) = (Guard(Some(pidfd)), VecDeque::new(), TreeCloning::Done);
        Child {
            pid,
            guard,
            channel,
            early,
            is_replaced: false,
            predecessor: None,
            has_listener: false,
            trees,
        }
    }

    /// Waits until the child is in the namespaces that it joins, if the parent's next steps depend
    /// on them: until then its id maps and its network are the host's. Others in those
    /// namespaces may keep it from going on, so this ends when `cancel` becomes readable.
    pub(crate) fn await_joins(&mut self, plan: &Plan, cancel: Option<BorrowedFd<'_>>) -> Result<()> {
        if plan.has_stage() {
            if let Heard::Said(reply) = self.hear(cancel).traced(Mark::AwaitStage)? {
                return Err(self.failed(reply, plan));
            }
            drop(self.predecessor.take());
        }
        if plan.tells_of_joins() {
            match self.hear(cancel).traced(Mark::AwaitStage)? {
                Heard::Said(Some(Reply::Namespaces)) => {}
                Heard::Said(other) => return Err(self.failed(other, plan)),
                Heard::Replaced => return Err(self.failed(None, plan)),
            }
        }
        Ok(())
    }

    /// The next word of a process that will clone the one which takes its place, our child
    /// as well, unless that comes first.
    fn hear(&mut self, cancel: Option<BorrowedFd<'_>>) -> Result<Heard> {
        loop {
            let [channel, ended] =
                [self.channel.as_fd(), self.guard.pidfd()].map(|fd| Some((fd, libc::POLLIN)));
            let [_, cancel] = Watch::cancel(cancel).entries();
            let news = match fd::poll_many([channel, ended, cancel], -1).context(|| "poll")? {
                [0, 0, cancel] => Watch::check([0, cancel]).map(|()| false)?,
                // What it has said before its end may have come between the two.
                [0, _, _] => fd::poll(&self.channel, libc::POLLIN, 0).context(|| "poll")? != 0,
                _ => true,
            };
            // A killed one does not leave us waiting for more, whoever has its end of the channel.
            let said = if news { self.channel.receive_from().context(|| "recv")? } else { None };
            match said {
                Some((Reply::Cloned(pid), sender)) if sender == self.pid => {
                    self.replace(pid)?;
                    return Ok(Heard::Replaced);
                }
                // The new process runs since the clone: what it says may come before
                // what the other says about it.
                Some((reply, sender)) if sender != self.pid => self.push_early(reply)?,
                Some((reply, _)) => return Ok(Heard::Said(Some(reply))),
                None => return Ok(Heard::Said(self.early.pop_front())),
            }
        }
    }

    /// Keeps what a process has said that is not known yet. It may be in the hands of others,
    /// and an honest one waits for an answer after two words.
    fn push_early(&mut self, reply: Reply) -> Result<()> {
        const EARLY_MAX: usize = 4;
        if self.early.len() >= EARLY_MAX {
            return Err(Error::new(ErrorKind::Setup, "the child says more than it has to say"));
        }
        self.early.push_back(reply);
        Ok(())
    }

    /// From a process that has said all that it will to the one that it has cloned.
    fn replace(&mut self, pid: i32) -> Result<()> {
        // It is our child, so the pid stays its own until we have waited for it.
        let pidfd = process::pidfd_open(pid).context(|| "pidfd_open")?;
        let cloned = Guard(Some(pidfd));
        self.predecessor = Some(std::mem::replace(&mut self.guard, cloned));
        self.pid = pid;
        self.is_replaced = false;
        Ok(())
    }

    /// The pidfd of the process.
    pub(crate) fn pidfd(&self) -> BorrowedFd<'_> {
        self.guard.pidfd()
    }

    fn next(&mut self) -> Result<Option<Reply>> {
        match self.early.pop_front() {
            None => self.channel.receive().context(|| "recv"),
            early => Ok(early),
        }
    }

    /// Waits until the child has come to its next stop, which another process of the
    /// container may keep it from, or until `cancel` becomes readable.
    pub(crate) fn progress(&mut self, plan: &Plan, cancel: Option<BorrowedFd<'_>>) -> Result<Progress> {
        let reply = loop {
            self.await_word(plan, cancel)?;
            if !self.is_replaced {
                break self.next();
            }
            if let Heard::Said(reply) = self.hear(cancel)? {
                break Ok(reply);
            }
        };
        // Whoever shares an existing pid namespace may speak for a process in it.
        let is_inside = plan.process.enters_pid && !self.is_replaced;
        match reply.traced(Mark::AwaitChild)? {
            Some(Reply::Namespaces) if !is_inside => Ok(Progress::Namespaces),
            Some(Reply::Barrier) if !is_inside => Ok(Progress::Barrier),
            Some(Reply::NeedMount(item)) if !is_inside => Ok(Progress::NeedMount(item as usize)),
            Some(Reply::Listener(fd))
                if !self.has_listener && plan.process.filter.as_ref().is_some_and(|f| f.notifies) =>
            {
                self.has_listener = true;
                self.listener(fd, plan, cancel).map(Progress::Listener)
            }
            Some(Reply::Ready) => {
                // It counts among the processes of the cgroup.
                drop(self.predecessor.take());
                Ok(Progress::Ready)
            }
            other => Err(self.failed(other, plan)),
        }
    }

    /// Fetches the listener of the filter that the child is about to load: it will
    /// have the number `fd`. The child cannot say when it is there, because that
    /// may be a call that waits for the agent; nor can anything else, so we look.
    fn listener(&mut self, fd: i32, plan: &Plan, cancel: Option<BorrowedFd<'_>>) -> Result<OwnedFd> {
        const PAUSE_MS: i32 = 1;
        loop {
            // In this order: what the child says may follow right upon the filter.
            let news = !self.early.is_empty() || self.channel.is_readable(PAUSE_MS, cancel)?;
            match process::pidfd_getfd(self.pidfd(), fd) {
                Ok(listener) => return Ok(listener),
                Err(Errno::EBADF) if !news => {}
                Err(Errno::EBADF | Errno::ESRCH) => {
                    let reply = self.next()?;
                    return Err(self.failed(reply, plan));
                }
                Err(errno) => {
                    let error = Error::os(errno, "fetching the seccomp listener: pidfd_getfd");
                    return Err(match errno {
                        Errno::EPERM => error.with_hint("it takes CAP_SYS_PTRACE to hand over a listener"),
                        _ => error,
                    });
                }
            }
        }
    }

    /// Starts the helper that clones trees in the child's mount namespace, with rights
    /// that the child does not have, if there is to be one ([`Cloner::Helper`]).
    /// `owners`: see [`TreeCloner`].
    pub(crate) fn start_tree_cloner(&mut self, plan: &Plan, owners: &[(u32, u32)]) -> Result<()> {
        let TreeCloning::Prepared { helper: socket, init } = &self.trees else { return Ok(()) };
        let has_room = plan.container.as_ref().is_some_and(|container| container.rootfs.has_room());
        let room = if has_room { Some(Box::new(room(init, plan)?)) } else { None };
        let (parent, child) = channel::channel()?;
        let mut holds = plan.helpers_descriptors();
        holds.extend(child.descriptors());
        holds.push(socket.as_raw_fd());
        let cloner = TreeCloner { plan, owners, socket, channel: &child, holds: &mut holds };
        let helper = Box::new(clone_helper(0, parent, cloner)?);
        self.trees = TreeCloning::Started { helper, _room: room };
        Ok(())
    }

    /// Waits until the child has said something. If the tree helper fails, that is what has gone
    /// wrong, and the child will say no more than that it waits for a tree in vain.
    fn await_word(&mut self, plan: &Plan, cancel: Option<BorrowedFd<'_>>) -> Result<()> {
        while let TreeCloning::Started { helper, .. } = &mut self.trees
            && self.early.is_empty()
        {
            let [_, cancel] = Watch::cancel(cancel).entries();
            let [ours, helpers] =
                [&self.channel, &helper.channel].map(|end| Some((end.as_fd(), libc::POLLIN)));
            match fd::poll_many([ours, helpers, cancel], -1).context(|| "poll")? {
                [0, 0, cancel] => Watch::check([0, cancel])?,
                [_, 0, _] => return Ok(()),
                _ => match helper.channel.receive().context(|| "recv")? {
                    Some(Reply::Ready) => self.trees = TreeCloning::Done,
                    // The init says why.
                    Some(Reply::Failed(failure)) if failure.lost_peer() => self.trees = TreeCloning::Done,
                    other => return Err(helper.failed(other, plan)),
                },
            }
        }
        if cancel.is_some() && self.early.is_empty() && !self.is_replaced {
            self.channel.is_readable(-1, cancel)?;
        }
        Ok(())
    }

    /// Clones the tree of mount number `item`, whose turn has come, and sends it.
    pub(crate) fn send_tree(&self, plan: &Plan, item: usize) -> Result<()> {
        let mounts = plan.container.as_ref().map(|container| &container.rootfs.mounts);
        let later = match mounts.and_then(|mounts| mounts.get(item)).map(|mount| &mount.what) {
            Some(What::Tree { tree, .. }) => tree.for_cloner(Cloner::Parent),
            _ => None,
        };
        let later =
            later.ok_or_else(|| Error::new(ErrorKind::Setup, "the child asks for an unknown tree"))?;
        let tree = later.clone_tree().map_err(|(call, errno)| {
            let failure = Failure { step: Step::Mount, item: index(item), call, errno };
            explain::failure(failure, None, plan)
        })?;
        self.channel.send_mount(&tree).context(|| "sendmsg")
    }

    /// A socket of rtnetlink(7) in the child's network namespace.
    pub(crate) fn route_socket(&self, plan: &Plan) -> Result<OwnedFd> {
        let (parent, child) = channel::channel()?;
        let opener = RouteOpener { init: self.pidfd(), channel: &child };
        let helper = clone_helper(0, parent, opener)?;
        drop(child);
        match helper.channel.receive_with_fd().context(|| "recv")? {
            (Some(Reply::Ready), Some(socket)) => Ok(socket),
            (reply, _) => Err(helper.failed(reply, plan)),
        }
    }

    /// Lets the child go on.
    pub(crate) fn go(&self) -> Result<()> {
        self.channel.go().context(|| "send")
    }

    /// Lets the child go on for good: from now on it lives without us.
    pub(crate) fn release(self) -> Result<Running> {
        self.go().traced(Mark::Release)?;
        match self.guard.disarm() {
            Some(pidfd) => Ok(Running { pid: self.pid, pidfd, channel: self.channel }),
            None => Err(Error::new(ErrorKind::Setup, "the child was released twice")),
        }
    }

    /// Whether it has been killed, as for memory.
    pub(crate) fn is_killed(&self) -> bool {
        let ended = fd::poll(self.guard.pidfd(), libc::POLLIN, 0).is_ok_and(|events| events != 0);
        let status = || reap::peek(self.pid, self.guard.pidfd());
        ended && status() == Ok(ExitStatus::Signaled(libc::SIGKILL))
    }

    /// What a reply that was not expected means.
    fn failed(&self, reply: Option<Reply>, plan: &Plan) -> Error {
        match reply {
            Some(Reply::Failed(failure)) => explain::failure(failure, self.channel.words(), plan),
            Some(other) => Error::new(ErrorKind::Setup, format!("unexpected {other:?} from the child")),
            None => self.ended(),
        }
    }

    /// Waits for the end of a child from which no more is to be expected.
    pub(crate) fn ended(&self) -> Error {
        let words = match reap::peek(self.pid, self.guard.pidfd()) {
            Ok(status) => format!("the child ended without a word: {status}"),
            Err(_) => "the child closed its end of the channel".to_owned(),
        };
        Error::new(ErrorKind::Setup, words)
    }
}

impl Running {
    /// Kills the process.
    pub(crate) fn end(self) {
        reap::end(self.pidfd);
    }

    /// Waits until the program has been executed, or init has ended instead, or `cancel`
    /// becomes readable. Only for a process that does not wait for a `start`.
    pub(crate) fn await_exec(&self, cancel: Option<BorrowedFd<'_>>) -> Result<()> {
        execution::by_channel(&self.channel, self.pid, cancel)
    }
}
