// SPDX-License-Identifier: Apache-2.0
//! Trees of mounts: clones of what the host has at a path.

use super::step::{Call, During, StepResult};
use crate::sys::mount::{self, Depth, MountAttr};
use crate::sys::{self, fd};
use std::ffi::CString;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// What is cloned, and how.
#[derive(Debug)]
pub(crate) struct Source {
    /// On the host.
    pub(crate) path: CString,
    pub(crate) depth: Depth,
    /// AT_SYMLINK_NOFOLLOW, or 0.
    pub(crate) flags: i32,
    /// The propagation of the clone: in this order.
    pub(crate) propagation: [Option<(libc::c_ulong, Depth)>; 2],
}

/// A clone that will be attached.
#[derive(Debug)]
pub(crate) struct Tree {
    source: Source,
    cloned: Option<OwnedFd>,
}

/// Who clones: the parent, that is, or a child that is root of a new user
/// namespace, for a parent without CAP_SYS_ADMIN. The child has the host's mounts
/// as copies in a namespace of its own, so it cannot use descriptors of the
/// parent's, and goes by paths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cloner {
    Parent,
    Child,
}

impl Source {
    fn clone_tree(&self) -> StepResult<OwnedFd> {
        let tree = mount::clone_tree(fd::CWD, &self.path, self.depth, self.flags).during(Call::CloneTree)?;
        for (propagation, depth) in self.propagation.iter().flatten() {
            let change = MountAttr { propagation: *propagation, ..MountAttr::default() };
            mount::set_attr(&tree, *depth, &change).during(Call::MountSetattr)?;
        }
        Ok(tree)
    }
}

impl Tree {
    /// Parent only.
    pub(crate) fn new(source: Source, cloner: Cloner) -> StepResult<Self> {
        let cloned = match cloner {
            Cloner::Parent => Some(source.clone_tree()?),
            Cloner::Child => None,
        };
        Ok(Tree { source, cloned })
    }

    /// What `look` says of the root of the tree.
    pub(crate) fn look<T>(&self, look: impl FnOnce(BorrowedFd<'_>) -> sys::Result<T>) -> sys::Result<T> {
        if let Some(tree) = &self.cloned {
            return look(tree.as_fd());
        }
        let no_follow = if self.source.flags == libc::AT_SYMLINK_NOFOLLOW { libc::O_NOFOLLOW } else { 0 };
        let path = fd::open_follow(fd::CWD, &self.source.path, libc::O_PATH | no_follow, 0)?;
        look(path.as_fd())
    }

    /// The tree, if the parent has cloned it.
    pub(crate) fn cloned(&self) -> Option<&OwnedFd> {
        self.cloned.as_ref()
    }

    /// The tree, cloned by now.
    pub(crate) fn get(&mut self) -> StepResult<&OwnedFd> {
        Ok(match &mut self.cloned {
            Some(tree) => tree,
            none => none.insert(self.source.clone_tree()?),
        })
    }

    /// The tree, to keep.
    pub(crate) fn take(&mut self) -> StepResult<OwnedFd> {
        match self.cloned.take() {
            Some(tree) => Ok(tree),
            None => self.source.clone_tree(),
        }
    }
}
