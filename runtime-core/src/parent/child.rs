// SPDX-License-Identifier: Apache-2.0
//! The container's process between its clone and its release.

use super::cloned::{Cloned, Guard};
use super::helpers::{self, TreeCloning};
use super::{attributes, execution, explain, reap, self_exe};
use crate::boundary::channel::{self, ParentEnd};
use crate::boundary::plan::{MountKind, Plan};
use crate::boundary::reply::Reply;
use crate::boundary::step::{Step, StepFailure, index};
use crate::boundary::tree::Cloner;
use crate::child::FirstChild;
use crate::error::{Context, Error, ErrorKind, Result};
use crate::marks::{Mark, Traced};
use crate::path::{self, proc};
use crate::watch::Watch;
use nix::sys::socket::SockType;
use runtime_sys::{Errno, fd, process, signal, socket};
use std::collections::VecDeque;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// A process between its clone and its release. Dropping kills and reaps it.
#[derive(Debug)]
pub(crate) struct Child {
    process: Cloned,
    /// Replies that came from a process before its pid was known.
    early: VecDeque<Reply>,
    /// True if the process will clone its successor, and exit.
    is_replaced: bool,
    /// The process that has cloned this one, and is exiting.
    predecessor: Option<Guard>,
    /// True if the listener of the filter has been fetched: there is only one.
    has_listener: bool,
    trees: TreeCloning,
}

/// The result of listening to a process that clones its successor.
#[derive(Debug)]
enum Heard {
    /// A reply of the process; `None` if it has ended.
    Said(Option<Reply>),
    /// The process is replaced by its successor.
    Replaced,
}

/// A process that does not need the parent any more. The pidfd can still be used to wait for it.
#[derive(Debug)]
pub(crate) struct Running {
    pub(crate) pid: i32,
    pub(crate) pidfd: OwnedFd,
    /// The channel. It ends when the program is executed, or when the process ends before that.
    /// `None`: CRIU has restored the process.
    channel: Option<ParentEnd>,
}

/// The event that a child waits for.
#[derive(Debug)]
pub(crate) enum Progress {
    /// The tree of this mount: [`Child::send_tree`].
    NeedMount(usize),
    /// The parent has moved network devices.
    Namespaces,
    /// The parent has run its hooks.
    Barrier,
    /// The parent has handed this listener to the filter's agent, for whose answer a call of the
    /// child may be waiting.
    Listener(OwnedFd),
    /// The parent has written everything down.
    Ready,
}

impl Child {
    /// Clones the child that will carry out `plan`, in `cgroup` if one is given.
    pub(crate) fn spawn(plan: &mut Plan, cgroup: Option<BorrowedFd<'_>>) -> Result<Self> {
        let (parent, child) = channel::channel()?;
        let is_replaced = plan.has_stage() || plan.process.enters_pid;
        if is_replaced || plan.tells_of_joins() {
            parent.name_senders().context(|| "setsockopt(SO_PASSCRED)")?;
        }
        let flags = if plan.joins.is_empty() { plan.clone_flags } else { 0 };
        let helper = match plan.tree_helper() {
            Some(helper) => {
                let (ours, inits) = socket::pair(SockType::SeqPacket).context(|| "socketpair")?;
                // Descriptors in flight count (RLIMIT_NOFILE of the user, unix(7)), so the queue is
                // kept short.
                socket::shrink_send_buffer(&ours).context(|| "setsockopt(SO_SNDBUF)")?;
                helper.socket = Some(inits);
                Some(ours)
            }
            None => None,
        };
        let mut holds = plan.descriptors();
        holds.extend(child.descriptors());
        let ignored = signal::Ignored::by_caller();
        let first = FirstChild { plan, holds: &mut holds, channel: &child, ignored };
        let cloned = Cloned::new(flags, cgroup, first, parent).traced(Mark::Clone);
        drop(child);
        let inits = plan.tree_helper().and_then(|helper| helper.socket.take());
        let trees = match (helper, inits) {
            (Some(helper), Some(init)) => TreeCloning::Prepared { helper, init },
            _ => TreeCloning::Done,
        };
        let child = Child {
            process: cloned?,
            early: VecDeque::new(),
            is_replaced,
            predecessor: None,
            has_listener: false,
            trees,
        };
        let program = self_exe::copy()?;
        // The child waits for the program file before it joins any namespace.
        if let Some(score) = plan.process.inherited_oom_score {
            attributes::set_oom_score(score, &proc::host()?, child.pid()).map_err(explain::start_failed)?;
        }
        child
            .process
            .channel
            .send_program(program.as_ref())
            .context(|| "sending the program file: sendmsg")?;
        Ok(child)
    }

    pub(crate) fn pid(&self) -> i32 {
        self.process.pid
    }

    /// Returns the pidfd of the process.
    pub(crate) fn pidfd(&self) -> BorrowedFd<'_> {
        self.process.pidfd()
    }

    /// Waits until the child is in the namespaces that it joins, if the parent's next steps depend
    /// on them: until then its id maps and its network are the host's. Other processes in those
    /// namespaces may keep the child from going on, so the wait ends when `cancel` becomes
    /// readable.
    pub(crate) fn await_joins(&mut self, plan: &Plan, cancel: Option<BorrowedFd<'_>>) -> Result<()> {
        if plan.has_stage() {
            if let Heard::Said(reply) = self.hear(cancel).traced(Mark::AwaitStage)? {
                return Err(self.process.failed(reply, plan));
            }
            drop(self.predecessor.take());
        }
        if plan.tells_of_joins() {
            match self.hear(cancel).traced(Mark::AwaitStage)? {
                Heard::Said(Some(Reply::Namespaces)) => {}
                Heard::Said(other) => return Err(self.process.failed(other, plan)),
                Heard::Replaced => return Err(self.process.failed(None, plan)),
            }
        }
        Ok(())
    }

    /// Waits for the next reply of a process that will clone its successor, or until it is replaced
    /// by the successor, which is a child of the parent as well.
    fn hear(&mut self, cancel: Option<BorrowedFd<'_>>) -> Result<Heard> {
        loop {
            let [channel, ended] =
                [self.process.channel.as_fd(), self.pidfd()].map(|fd| Some((fd, libc::POLLIN)));
            let [_, cancel] = Watch::cancel(cancel).entries();
            let news = match fd::poll_many([channel, ended, cancel], -1).context(|| "poll")? {
                [0, 0, cancel] => Watch::check([0, cancel]).map(|()| false)?,
                // A reply that was sent before the end may have arrived between the two checks.
                [0, _, _] => fd::poll(&self.process.channel, libc::POLLIN, 0).context(|| "poll")? != 0,
                _ => true,
            };
            // Does not wait for more from a process that was killed, even if another process has
            // its end of the channel.
            let said = if news { self.process.channel.receive_from().context(|| "recv")? } else { None };
            match said {
                Some((Reply::Cloned(pid), sender)) if sender == self.process.pid => {
                    self.replace(pid)?;
                    return Ok(Heard::Replaced);
                }
                // The new process runs since the clone, so its replies may come before the reply
                // that names it.
                Some((reply, sender)) if sender != self.process.pid => self.push_early(reply)?,
                Some((reply, _)) => return Ok(Heard::Said(Some(reply))),
                None => return Ok(Heard::Said(self.early.pop_front())),
            }
        }
    }

    /// Keeps a reply from a process whose pid is not known yet. The child waits for an answer after
    /// at most two replies. A process that sends more has been taken over by another one.
    fn push_early(&mut self, reply: Reply) -> Result<()> {
        const EARLY_MAX: usize = 4;
        if self.early.len() >= EARLY_MAX {
            return Err(Error::new(ErrorKind::Setup, "the child sends too many messages"));
        }
        self.early.push_back(reply);
        Ok(())
    }

    /// Replaces a process that will send nothing more by the process that it has cloned.
    fn replace(&mut self, pid: i32) -> Result<()> {
        // The process is a child of the parent, so its pid is not reused before it has been waited
        // for.
        let pidfd = process::pidfd_open(pid).context(|| "pidfd_open")?;
        self.predecessor = Some(std::mem::replace(&mut self.process.guard, Guard::new(pidfd)));
        self.process.pid = pid;
        self.is_replaced = false;
        Ok(())
    }

    fn next(&mut self) -> Result<Option<Reply>> {
        match self.early.pop_front() {
            None => self.process.channel.receive().context(|| "recv"),
            early => Ok(early),
        }
    }

    /// Waits until the child has come to its next stop, or until `cancel` becomes readable: another
    /// process of the container may keep the child from getting there.
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
        // Other processes of an existing pid namespace may have taken over a process in it, and may
        // send for it.
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
                // The predecessor still counts among the processes of the cgroup.
                drop(self.predecessor.take());
                Ok(Progress::Ready)
            }
            other => Err(self.process.failed(other, plan)),
        }
    }

    /// Fetches the listener of the filter that the child is about to load. The listener will have
    /// the number `fd` in the child. The child cannot report that the listener exists: under the
    /// filter, the system call of the report may wait for the agent. So this function polls.
    fn listener(&mut self, fd: i32, plan: &Plan, cancel: Option<BorrowedFd<'_>>) -> Result<OwnedFd> {
        const PAUSE_MS: i32 = 1;
        loop {
            // The channel is checked before the descriptor, because a reply of the child may come
            // right after the filter is loaded.
            let news = !self.early.is_empty() || self.process.channel.is_readable(PAUSE_MS, cancel)?;
            match process::pidfd_getfd(self.pidfd(), fd) {
                Ok(listener) => {
                    check_listener(&listener)?;
                    return Ok(listener);
                }
                Err(Errno::EBADF) if !news => {}
                Err(Errno::EBADF | Errno::ESRCH) => {
                    let reply = self.next()?;
                    return Err(self.process.failed(reply, plan));
                }
                Err(errno) => {
                    let error = Error::os(errno, "fetching the seccomp listener: pidfd_getfd");
                    return Err(match errno {
                        Errno::EPERM => error.with_hint("fetching a listener requires CAP_SYS_PTRACE"),
                        _ => error,
                    });
                }
            }
        }
    }

    /// Waits until the child has sent a reply. A failure of the tree helper is the one to report:
    /// the child would only report that it waits for a tree in vain.
    fn await_word(&mut self, plan: &Plan, cancel: Option<BorrowedFd<'_>>) -> Result<()> {
        while let TreeCloning::Started { helper, .. } = &mut self.trees
            && self.early.is_empty()
        {
            let [_, cancel] = Watch::cancel(cancel).entries();
            let [ours, helpers] =
                [&self.process.channel, &helper.channel].map(|end| Some((end.as_fd(), libc::POLLIN)));
            match fd::poll_many([ours, helpers, cancel], -1).context(|| "poll")? {
                [0, 0, cancel] => Watch::check([0, cancel])?,
                [_, 0, _] => return Ok(()),
                _ => match helper.channel.receive().context(|| "recv")? {
                    Some(Reply::Ready) => self.trees = TreeCloning::Done,
                    // The init reports the reason.
                    Some(Reply::Failed(failure)) if failure.lost_peer() => self.trees = TreeCloning::Done,
                    other => return Err(helper.failed(other, plan)),
                },
            }
        }
        if cancel.is_some() && self.early.is_empty() && !self.is_replaced {
            self.process.channel.is_readable(-1, cancel)?;
        }
        Ok(())
    }

    /// Clones the tree of the mount with index `item`, and sends it to the child, which waits for
    /// it.
    pub(crate) fn send_tree(&self, plan: &Plan, item: usize) -> Result<()> {
        let mounts = plan.container.as_ref().map(|container| &container.rootfs.mounts);
        let later = match mounts.and_then(|mounts| mounts.get(item)).map(|mount| &mount.what) {
            Some(MountKind::Tree { tree, .. }) => tree.for_cloner(Cloner::Parent),
            _ => None,
        };
        let later =
            later.ok_or_else(|| Error::new(ErrorKind::Setup, "the child asks for an unknown tree"))?;
        let tree = later.clone_tree().map_err(|(call, errno)| {
            let failure = StepFailure { step: Step::Mount, item: index(item), call, errno };
            explain::failure(failure, None, plan)
        })?;
        self.process.channel.send_mount(&tree).context(|| "sendmsg")
    }

    /// Starts the helper that clones trees for the child, if there is to be one. `owners`: the
    /// owner on the host of each device node.
    pub(crate) fn start_tree_cloner(&mut self, plan: &Plan, owners: &[(u32, u32)]) -> Result<()> {
        self.trees.start(plan, owners)
    }

    /// Opens a socket of rtnetlink(7) in the child's network namespace.
    pub(crate) fn route_socket(&self, plan: &Plan) -> Result<OwnedFd> {
        helpers::route_socket(self.pidfd(), plan)
    }

    /// Lets the child go on.
    pub(crate) fn go(&self) -> Result<()> {
        self.process.channel.go().context(|| "send")
    }

    /// Lets the child go on for good. From now on it does not need the parent.
    pub(crate) fn release(self) -> Result<Running> {
        self.go().traced(Mark::Release)?;
        let Cloned { pid, guard, channel } = self.process;
        match guard.disarm() {
            Some(pidfd) => Ok(Running { pid, pidfd, channel: Some(channel) }),
            None => Err(Error::new(ErrorKind::Setup, "the child was released twice")),
        }
    }

    /// Returns true if the child was killed with SIGKILL, for example by the OOM killer.
    pub(crate) fn is_killed(&self) -> bool {
        self.process.is_killed()
    }

    /// Waits for the end of a child that will send nothing more, and makes the error for it.
    pub(crate) fn ended(&self) -> Error {
        self.process.ended()
    }
}

impl Running {
    /// Returns a child that CRIU has restored.
    pub(crate) fn restored(pid: i32, pidfd: OwnedFd) -> Self {
        Running { pid, pidfd, channel: None }
    }

    /// Kills the process.
    pub(crate) fn end(self) {
        reap::end(self.pidfd);
    }

    /// Waits until the program has been executed, or init has ended instead. Fails if the program
    /// could not be executed, or if `cancel` becomes readable. Only for a process that does not
    /// wait for a `start`.
    pub(crate) fn await_exec(&self, cancel: Option<BorrowedFd<'_>>) -> Result<()> {
        self.channel.as_ref().map_or(Ok(()), |channel| execution::by_channel(channel, self.pid, cancel))
    }
}

/// Returns an error if a descriptor is not the listener of a filter. A process of the container that
/// has taken over the child may name another descriptor, which would reach the agent.
fn check_listener(listener: &OwnedFd) -> Result<()> {
    // The name that the kernel gives to listeners (kernel/seccomp.c), since 5.0. Links to other
    // kinds of file cannot have it: the path of a file begins with a slash.
    const NAME: &str = "anon_inode:seccomp notify";
    let name = path::of_fd(listener).context(|| "readlink /proc/self/fd")?;
    if name.as_os_str() == NAME {
        return Ok(());
    }
    let text = format!("the process in the container names {} as the listener of its filter", name.display());
    Err(Error::new(ErrorKind::Setup, text))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// That a listener is accepted is shown by the conformance cases with an agent.
    #[test]
    fn only_a_listener_reaches_the_agent() {
        let (one, _other) = socket::pair(SockType::SeqPacket).unwrap();
        let file = tempfile::tempfile().unwrap().into();
        for fd in [one, file] {
            assert!(check_listener(&fd).unwrap_err().to_string().contains("as the listener of its filter"));
        }
    }
}
