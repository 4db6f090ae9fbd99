// SPDX-License-Identifier: Apache-2.0
//! Trees of the host's mounts: the process that clones each tree, and the time.

use super::namespaces;
use crate::boundary::step::{Call, During, StepResult};
use crate::boundary::tree::{Cloner, FileId, Later, Shape, Tree, TreeSource, open_no_links};
use crate::config::Config;
use crate::config::namespaces::{NamespaceKind, Origin};
use crate::error::{Context, Result};
use crate::path::of_fd;
use crate::path::root::Leaf;
use runtime_sys::{Errno, cred, fd};
use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;

/// A file or directory of the host, opened with O_PATH.
#[derive(Debug)]
pub(super) struct HostFile {
    file: OwnedFd,
    pub(super) leaf: Leaf,
}

impl AsFd for HostFile {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

impl HostFile {
    /// Opens a path that only the host controls.
    pub(super) fn open(path: &CStr) -> runtime_sys::Result<Self> {
        Self::either(|leaf| fd::open_follow(fd::CWD, path, libc::O_PATH | leaf.open_flag(), 0))
    }

    /// Opens the host's root directory.
    pub(super) fn root() -> runtime_sys::Result<Self> {
        Self::open(c"/")
    }

    /// Opens a path like [`open`](Self::open), but does not follow a link at its end.
    pub(super) fn open_last(path: &CStr) -> runtime_sys::Result<Self> {
        Self::either(|leaf| fd::open(fd::CWD, path, libc::O_PATH | leaf.open_flag(), 0))
    }

    /// Opens a path like [`open`](Self::open). ELOOP: the path contains a link. With `no_follow`, a
    /// link at the end is allowed and opened itself.
    pub(super) fn open_no_links(path: &CStr, no_follow: bool) -> runtime_sys::Result<Self> {
        Self::either(|leaf| open_no_links(path, leaf, no_follow))
    }

    /// Calls `open` for a directory first, then for a file: only O_DIRECTORY triggers an automount.
    pub(super) fn either(open: impl Fn(Leaf) -> runtime_sys::Result<OwnedFd>) -> runtime_sys::Result<Self> {
        match open(Leaf::Directory) {
            Err(Errno::ENOTDIR) => open(Leaf::File).map(|file| HostFile { file, leaf: Leaf::File }),
            other => other.map(|file| HostFile { file, leaf: Leaf::Directory }),
        }
    }

    /// Returns the descriptor.
    pub(super) fn into(self) -> OwnedFd {
        self.file
    }
}

/// Returns a source by which another process finds the same file.
fn source(file: BorrowedFd<'_>, leaf: Leaf) -> runtime_sys::Result<TreeSource> {
    let name = of_fd(file)?;
    match CString::new(name.as_os_str().as_bytes()) {
        Ok(name) if name.as_bytes().starts_with(b"/") => {
            Ok(TreeSource::Named { name, leaf, id: FileId::of(file)? })
        }
        _ => {
            let copy = file.try_clone_to_owned();
            copy.map(TreeSource::Open)
                .map_err(|error| Errno::from_raw(error.raw_os_error().unwrap_or(libc::EMFILE)))
        }
    }
}

/// The maker of one container's trees.
#[derive(Debug)]
pub(super) struct Trees {
    cloner: Cloner,
    /// The number of further trees that the parent may hold open until the child takes them. `None`
    /// if nothing may be made: then no tree is cloned ahead.
    room: Option<usize>,
}

/// The largest number of trees that are cloned ahead. Further trees are cloned when they are
/// mounted. Each tree cloned ahead takes a descriptor in the parent and in the child, and a
/// common limit of descriptors is 256.
const HELD_MAX: usize = 32;

impl Trees {
    pub(super) fn new(config: &Config, makes: bool) -> Result<Self> {
        Ok(Trees { cloner: cloner(config)?, room: makes.then_some(HELD_MAX) })
    }

    pub(super) fn cloner(&self) -> Cloner {
        self.cloner
    }

    /// Clones the tree at `file` if the parent is the cloner. The clone is made now, so that errors
    /// are reported early.
    pub(super) fn clone(&self, file: impl AsFd, shape: &Shape) -> StepResult<Option<OwnedFd>> {
        match self.cloner {
            Cloner::Parent if self.room.is_some() => shape.clone_tree(file.as_fd()).map(Some),
            Cloner::Parent | Cloner::Helper | Cloner::Child => Ok(None),
        }
    }

    /// Returns the tree at `file`. `cloned` is the result of [`clone`](Self::clone).
    pub(super) fn tree(
        &mut self,
        cloned: Option<OwnedFd>,
        file: impl AsFd,
        leaf: Leaf,
        shape: Shape,
    ) -> StepResult<Tree> {
        if let (Some(cloned), Some(room)) = (cloned, self.room.and_then(|room| room.checked_sub(1))) {
            self.room = Some(room);
            return Ok(Tree::Cloned(cloned));
        }
        let source = source(file.as_fd(), leaf).during(Call::Readlink)?;
        Ok(Tree::Later(Later { cloner: self.cloner, source, shape }))
    }

    /// Returns the tree at `file`, to be cloned by the child in its own mount namespace. This works
    /// for a mount that is unbindable on the host, because in the child's namespace all mounts are
    /// slaves.
    pub(super) fn of_child(file: impl AsFd, leaf: Leaf, shape: Shape) -> StepResult<Tree> {
        let source = source(file.as_fd(), leaf).during(Call::Readlink)?;
        Ok(Tree::Later(Later { cloner: Cloner::Child, source, shape }))
    }

    /// Calls [`clone`](Self::clone), then [`tree`](Self::tree).
    pub(super) fn plain(&mut self, file: impl AsFd, leaf: Leaf, shape: Shape) -> StepResult<Tree> {
        let cloned = self.clone(&file, &shape)?;
        self.tree(cloned, file, leaf, shape)
    }
}

/// Returns the cloner of the trees: the parent, unless the kernel would lock their mounts in the
/// container's mount namespace. The kernel does so if the mount namespace is owned by another
/// user namespace than the parent's.
fn cloner(config: &Config) -> Result<Cloner> {
    let namespaces = &config.namespaces;
    let is_locked = match namespaces.origin(NamespaceKind::Mount) {
        Origin::Shared => false,
        Origin::New => namespaces.is_own(NamespaceKind::User),
        Origin::Path(path) => {
            namespaces.is_own(NamespaceKind::User)
                || !namespaces::belongs_to_own_user(NamespaceKind::Mount, path)?
        }
    };
    if !is_locked {
        return Ok(Cloner::Parent);
    }
    let needed = [cred::CAP_SYS_ADMIN, cred::CAP_SYS_CHROOT];
    let effective = cred::cap_get().context(|| "capget")?.effective;
    let may_help = needed.iter().all(|cap| effective & 1 << cap != 0);
    Ok(if may_help { Cloner::Helper } else { Cloner::Child })
}
