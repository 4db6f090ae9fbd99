// SPDX-License-Identifier: Apache-2.0
//! The process that makes a root file system of the mounts that the caller gives.

use super::helpers::close_others;
use super::mounts::attach_below;
use super::process::hide;
use super::report::report_and_exit;
use super::rootfs::cut_off;
use crate::boundary::channel::ChildEnd;
use crate::boundary::plan::Mount;
use crate::boundary::reply::Reply;
use crate::boundary::step::{Call, During, InStep, Step, StepFailure, StepResult};
use crate::boundary::tree::Suppliers;
use crate::path::proc::Proc;
use nix::unistd::fchdir;
use runtime_sys::clone::ChildMain;
use runtime_sys::fd;
use runtime_sys::mount::{self, Depth};
use runtime_sys::ns::unshare;
use runtime_sys::signal::Ignored;
use std::convert::Infallible;
use std::os::fd::{OwnedFd, RawFd};

/// The place where the mounts are made.
#[derive(Debug)]
pub(crate) struct Place<'a> {
    /// The absolute path of the rootfs.
    pub(crate) path: &'a str,
    /// The directory at the path of the rootfs.
    pub(crate) dir: &'a OwnedFd,
    /// False if the caller is certainly not in a chroot.
    pub(crate) may_be_chrooted: bool,
    /// True if a less privileged user namespace gets the mounts, which must not be able to undo
    /// their restrictions.
    pub(crate) locks: bool,
    /// True if a bind mount receives the mounts that the host makes on its source
    /// (`linux.rootfsPropagation`).
    pub(crate) receives: bool,
}

/// A process that mounts in a mount namespace of its own, on the path of the rootfs, and sends a
/// detached clone of the result. A path of the host leads to the same file here as in the caller.
/// Nothing is mounted in the caller's namespace, so nothing has to be unmounted there, even if
/// every process is killed.
pub(crate) struct RootfsMaker<'a> {
    /// True if the process hides itself, see [`Plan::hide`](crate::boundary::plan::Plan::hide).
    pub(crate) hides: bool,
    pub(crate) place: &'a Place<'a>,
    pub(crate) mounts: &'a mut [Mount],
    /// The host's procfs.
    pub(crate) proc: &'a Proc,
    pub(crate) channel: &'a ChildEnd,
    /// The descriptors that the process keeps open.
    pub(crate) holds: &'a mut [RawFd],
}

impl ChildMain for RootfsMaker<'_> {
    fn run(self) -> ! {
        runtime_sys::signal::reset_in_child(Ignored::ALL);
        let channel = self.channel;
        report_and_exit(self.make(), channel)
    }
}

impl RootfsMaker<'_> {
    fn make(self) -> Result<Infallible, StepFailure> {
        if self.hides {
            hide()?;
        }
        close_others(self.holds)?;
        fd::umask(0);
        let mut root = self.enter().step(Step::Propagation)?;
        let suppliers = Suppliers::new(self.channel, &None);
        attach_below(&mut root, self.mounts, suppliers, self.proc)?;
        let send = || -> StepResult {
            let tree = if self.place.locks { clone_locked(&root)? } else { clone(&root)? };
            self.channel.send_with(Reply::Ready, tree).during(Call::SendFd)
        };
        send().step(Step::Rootfs)?;
        runtime_sys::exec::exit(0)
    }

    /// Enters a new mount namespace. Returns the directory of the rootfs in it.
    fn enter(&self) -> StepResult<OwnedFd> {
        // The working directory moves along, and other descriptors do not.
        fchdir(self.place.dir).during(Call::Chdir)?;
        unshare(libc::CLONE_NEWNS).during(Call::Unshare)?;
        let dir = fd::open(fd::CWD, c".", libc::O_PATH | libc::O_DIRECTORY, 0).during(Call::Open)?;
        let mut is_chrooted = self.place.may_be_chrooted;
        cut_off(&mut is_chrooted, self.proc)?;
        Ok(dir)
    }
}

fn clone(root: &OwnedFd) -> StepResult<OwnedFd> {
    mount::clone_tree(root, c"", Depth::All, 0).during(Call::CloneTree)
}

/// Clones a tree with its restrictions locked. The kernel locks the copies that it makes for the mount
/// namespace of a new user namespace (mount_namespaces(7), "Restrictions on mount namespaces"), and
/// clones of them stay locked.
fn clone_locked(root: &OwnedFd) -> StepResult<OwnedFd> {
    fchdir(root).during(Call::Chdir)?;
    unshare(libc::CLONE_NEWUSER | libc::CLONE_NEWNS).during(Call::Unshare)?;
    mount::clone_tree(fd::CWD, c"", Depth::All, 0).during(Call::CloneTree)
}
