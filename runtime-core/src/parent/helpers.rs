// SPDX-License-Identifier: Apache-2.0
//! The processes that the parent clones for one task beside the container's process.

use super::cloned::Cloned;
use super::{explain, ids};
use crate::boundary::channel;
use crate::boundary::plan::{Mount, MountKind, Plan};
use crate::boundary::reply::Reply;
use crate::boundary::step::{Call, Step, StepFailure};
use crate::boundary::tree::Tree;
use crate::child::helpers::{Finish, MntnsHolder, RestoredFinisher, RouteOpener, TreeCloner, UsernsHolder};
use crate::child::rootfs_maker::{Place, RootfsMaker};
use crate::error::{Context, Error, ErrorKind, Result};
use crate::path::{proc, show};
use crate::values::IdRange;
use runtime_sys::Errno;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

/// The state of the helper that clones trees in the init's mount namespace, with rights that the
/// init does not have ([`Cloner::Helper`](crate::boundary::tree::Cloner::Helper)).
#[derive(Debug)]
pub(super) enum TreeCloning {
    /// There is no helper, or it has sent all trees.
    Done,
    /// The helper is not started yet. The fields are its socket and the init's. The parent closes
    /// both before it waits for the helper: while the parent has the init's socket open, the helper
    /// does not notice that the init has ended.
    Prepared { helper: OwnedFd, init: OwnedFd },
    /// The helper, and the process in whose mount namespace it works, if that is not the init's.
    Started { helper: Box<Cloned>, _mntns_holder: Option<Box<Cloned>> },
}

impl TreeCloning {
    /// Starts the helper, if there is to be one. `owners`: see [`TreeCloner`].
    pub(super) fn start(&mut self, plan: &Plan, owners: &[(u32, u32)]) -> Result<()> {
        let TreeCloning::Prepared { helper: socket, init } = self else { return Ok(()) };
        let uses_mntns_holder =
            plan.container.as_ref().is_some_and(|container| container.rootfs.uses_mntns_holder());
        let mntns_holder = if uses_mntns_holder { Some(Box::new(mntns_holder(init, plan)?)) } else { None };
        let (parent, child) = channel::channel()?;
        let mut holds = plan.helpers_descriptors();
        holds.extend(child.descriptors());
        holds.push(socket.as_raw_fd());
        let cloner = TreeCloner { plan, owners, socket, channel: &child, holds: &mut holds };
        let helper = Box::new(Cloned::new(0, None, cloner, parent)?);
        *self = TreeCloning::Started { helper, _mntns_holder: mntns_holder };
        Ok(())
    }
}

/// Clones a process into a mount namespace that has the host's mounts, locked.
fn mntns_holder(to_helper: &OwnedFd, plan: &Plan) -> Result<Cloned> {
    let (parent, child) = channel::channel()?;
    let holder = MntnsHolder { hides: !ids::is_rootless()?, to_helper, channel: &child };
    let holder = Cloned::new(libc::CLONE_NEWUSER | libc::CLONE_NEWNS, None, holder, parent)?;
    drop(child);
    match holder.channel.receive().context(|| "recv")? {
        Some(Reply::Ready) => Ok(holder),
        other => Err(holder.failed(other, plan)),
    }
}

/// Opens a socket of rtnetlink(7) in the network namespace of `init`, a pidfd.
pub(super) fn route_socket(init: BorrowedFd<'_>, plan: &Plan) -> Result<OwnedFd> {
    open_route(init, |helper, reply| helper.failed(reply, plan))
}

/// Opens a socket of rtnetlink(7) in the network namespace of `init`, a pidfd of a process that CRIU
/// restores.
pub(crate) fn restored_route_socket(init: BorrowedFd<'_>) -> Result<OwnedFd> {
    open_route(init, |_, reply| match reply {
        Some(Reply::Failed(failure)) => not_entered(Error::os(failure.errno, failure.call.name())),
        _ => has_ended(),
    })
}

fn open_route(
    init: BorrowedFd<'_>,
    explain: impl FnOnce(&Cloned, Option<Reply>) -> Error,
) -> Result<OwnedFd> {
    let (parent, child) = channel::channel()?;
    let opener = RouteOpener { init, channel: &child };
    let helper = Cloned::new(0, None, opener, parent)?;
    drop(child);
    match helper.channel.receive_with_fd().context(|| "recv")? {
        (Some(Reply::Ready), Some(socket)) => Ok(socket),
        (reply, _) => Err(explain(&helper, reply)),
    }
}

/// Takes these steps in the namespaces of `init`, a pidfd of a process that CRIU has restored and that
/// does not run yet.
pub(crate) fn finish_restored(init: BorrowedFd<'_>, steps: &Finish) -> Result<()> {
    let proc = proc::host()?;
    let (parent, child) = channel::channel()?;
    let finisher = RestoredFinisher { init, steps, proc: &proc, channel: &child };
    let helper = Cloned::new(0, None, finisher, parent)?;
    drop(child);
    match helper.channel.receive().context(|| "recv")? {
        Some(Reply::Ready) => Ok(()),
        Some(Reply::Failed(failure)) => Err(unfinished(failure, steps)),
        _ => Err(has_ended()),
    }
}

fn has_ended() -> Error {
    Error::new(ErrorKind::Setup, "the process in the restored namespaces has ended")
}

fn not_entered(error: Error) -> Error {
    error.wrap_as(ErrorKind::Setup, "entering the restored namespaces")
}

fn unfinished(failure: StepFailure, steps: &Finish) -> Error {
    let error = Error::os(failure.errno, failure.call.name());
    match failure.step {
        Step::Mount => {
            let at = format!("mounts[{}]", failure.item);
            let error = match failure.call {
                Call::CheckSource => error.with_hint(
                    "the restored container does not have this bind mount, or it is a mount of another file",
                ),
                Call::MountSetattr if failure.errno == Errno::EBUSY => {
                    error.with_hint("a restored process writes to a file on this read-only mount")
                }
                _ => error,
            };
            error.wrap_as(ErrorKind::Setup, format!("{at}: the restored mount")).at(&at)
        }
        Step::Sysctl => {
            let sysctl = steps.sysctls.get(failure.item as usize);
            let name = sysctl.map(|sysctl| show(&sysctl.path).to_string()).unwrap_or_default();
            error.wrap_as(ErrorKind::Setup, format!("linux.sysctl: /proc/{name}")).at("linux.sysctl")
        }
        Step::ReadonlyRootfs => error.wrap_as(ErrorKind::Setup, "error setting rootfs as readonly"),
        Step::Loopback => error.wrap_as(ErrorKind::Setup, explain::LOOPBACK),
        _ => not_entered(error),
    }
}

/// Makes a user namespace with these mappings and without processes, for a mount.
pub(crate) fn user_namespace(uid: &[IdRange], gid: &[IdRange]) -> Result<OwnedFd> {
    let (parent, child) = channel::channel()?;
    let holder = UsernsHolder { hides: !ids::is_rootless()?, channel: &child };
    let holder = Cloned::new(libc::CLONE_NEWUSER, None, holder, parent)?;
    drop(child);
    let namespace = match holder.channel.receive_with_fd().context(|| "recv")? {
        (Some(Reply::Ready), Some(namespace)) => namespace,
        (Some(Reply::Failed(failure)), _) => return Err(Error::os(failure.errno, failure.call.name())),
        _ => return Err(Error::new(ErrorKind::Setup, "the process in the namespace has ended")),
    };
    let proc = proc::host()?;
    ids::write_maps(&proc, holder.pid, uid, gid)?;
    Ok(namespace)
}

/// Makes the root file system of `mounts` in a process of its own: a detached tree, which is gone
/// with its last descriptor. `origins` has for each mount the index of the caller's mount that it is for.
/// Fails if `cancel` becomes readable meanwhile: a file system may wait for the network or for a program.
pub(crate) fn make_rootfs(
    place: &Place<'_>,
    mounts: &mut [Mount],
    origins: &[usize],
    cancel: Option<BorrowedFd<'_>>,
) -> Result<OwnedFd> {
    let (parent, child) = channel::channel()?;
    let proc = proc::host()?;
    let mut holds: Vec<RawFd> = child.descriptors().into();
    holds.extend([place.dir.as_raw_fd(), proc.as_fd().as_raw_fd()]);
    holds.extend(mounts.iter().filter_map(|mount| match &mount.what {
        MountKind::Tree { tree: Tree::Cloned(tree), .. } => Some(tree.as_raw_fd()),
        _ => None,
    }));
    let hides = !ids::is_rootless()?;
    let maker =
        RootfsMaker { hides, place, mounts: &mut *mounts, proc: &proc, channel: &child, holds: &mut holds };
    let maker = Cloned::new(0, None, maker, parent)?;
    drop(child);
    maker.channel.is_readable(-1, cancel)?;
    match maker.channel.receive_with_fd().context(|| "recv")? {
        (Some(Reply::Ready), Some(tree)) => Ok(tree),
        (Some(Reply::Failed(failure)), _) => {
            Err(explain::rootfs_maker(failure, maker.channel.kernel_message(), mounts, origins))
        }
        _ => Err(maker.ended()),
    }
}
