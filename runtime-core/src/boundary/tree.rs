// SPDX-License-Identifier: Apache-2.0
//! Mount trees: clones of the mounts that the host has at a path.

use super::step::{Call, During, StepResult};
use crate::boundary::channel::ChildEnd;
use crate::boundary::reply::Reply;
use crate::path::root::{Leaf, Root};
use nix::sys::stat::fstat;
use runtime_sys::fd::{self, resolve};
use runtime_sys::mount::{self, Depth, MountAttr, attr};
use runtime_sys::{Errno, socket};
use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

/// The helper that clones trees for the init.
#[derive(Debug)]
pub(crate) struct TreeHelper {
    /// The init's socket to the helper, made with the clone.
    pub(crate) socket: Option<OwnedFd>,
    /// True if the helper works in a mount namespace of its own, because the container's mount
    /// namespace exists already and lacks the host's mounts.
    pub(crate) uses_mntns_holder: bool,
}

/// The id mappings of a mount, which are those of a user namespace.
#[derive(Debug)]
pub(crate) struct IdMap {
    /// The user namespace, shared by all mounts with the same mappings.
    pub(crate) namespace: Arc<OwnedFd>,
    pub(crate) depth: Depth,
}

impl IdMap {
    /// Maps the ids of a detached mount.
    pub(crate) fn apply(&self, tree: &OwnedFd) -> runtime_sys::Result<()> {
        let change = MountAttr {
            set: attr::IDMAP,
            userns_fd: self.namespace.as_raw_fd() as u64,
            ..MountAttr::default()
        };
        mount::set_attr(tree, self.depth, &change)
    }
}

/// A tree that will be attached.
#[derive(Debug)]
pub(crate) enum Tree {
    /// A tree that the parent has cloned.
    Cloned(OwnedFd),
    /// A tree that is cloned when its turn comes.
    Later(Later),
    /// A tree that the child has taken.
    Taken,
}

/// A tree that is not cloned yet.
#[derive(Debug)]
pub(crate) struct Later {
    pub(crate) cloner: Cloner,
    pub(crate) source: TreeSource,
    pub(crate) shape: Shape,
}

/// The process that clones a tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cloner {
    /// The parent, in its own mount namespace.
    Parent,
    /// A helper with the parent's rights, in the container's mount namespace. There the kernel has
    /// locked the copies of the host's mounts, because the namespace belongs to a less privileged
    /// user namespace (mount_namespaces(7), "Restrictions on mount namespaces"). A tree cloned on
    /// the host would come without locks, and root of the container could undo the host's
    /// restrictions.
    Helper,
    /// The child, in the same mount namespace, for a parent without the right to clone mounts.
    Child,
}

/// The object that is the root of a tree.
#[derive(Debug)]
pub(crate) enum TreeSource {
    /// The object with this name on the host: an absolute path without links, as the kernel writes
    /// it. In another mount namespace another mount is there, so a descriptor of the parent cannot
    /// be used; `id` ensures that the object is the same.
    Named { name: CString, leaf: Leaf, id: FileId },
    /// An object without a name, such as a namespace file.
    Open(OwnedFd),
    /// A device node that the helper makes, on a file system of its own.
    New(NewNode),
}

/// A device node to make outside of the container's user namespace, in which mknod(2) is forbidden.
#[derive(Debug)]
pub(crate) struct NewNode {
    /// The type and the permissions.
    pub(crate) mode: u32,
    pub(crate) dev: u64,
    /// The uid of the owner, in the container.
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

/// The identity of a file: its file system and its inode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FileId {
    pub(crate) device: u64,
    pub(crate) inode: u64,
}

impl FileId {
    pub(crate) fn of(file: impl AsFd) -> runtime_sys::Result<Self> {
        let st = fstat(file)?;
        Ok(FileId { device: st.st_dev, inode: st.st_ino })
    }
}

impl TreeSource {
    fn clone_tree(&self, shape: &Shape) -> StepResult<OwnedFd> {
        match self {
            TreeSource::Named { name, leaf, id } => {
                let file = open_no_links(name, *leaf, true).during(Call::OpenSource)?;
                if FileId::of(&file).during(Call::Stat)? != *id {
                    return Err((Call::CheckSource, Errno::ESTALE));
                }
                shape.clone_tree(file.as_fd())
            }
            TreeSource::Open(file) => shape.clone_tree(file.as_fd()),
            // The caller makes the node: it needs the file system.
            TreeSource::New(_) => Err((Call::Mknod, Errno::EINVAL)),
        }
    }
}

/// Opens (O_PATH) the object at `name` in the calling process's root directory. ELOOP if there is a
/// link in the path; with `no_follow` the last component may be a link, which is opened itself. A
/// directory is opened with O_DIRECTORY, which triggers an automount.
pub(crate) fn open_no_links(name: &CStr, leaf: Leaf, no_follow: bool) -> runtime_sys::Result<OwnedFd> {
    let link = if no_follow { libc::O_NOFOLLOW } else { 0 };
    fd::openat2(fd::CWD, name, libc::O_PATH | leaf.open_flag() | link, 0, resolve::NO_SYMLINKS)
}

/// The way a tree is cloned.
#[derive(Debug)]
pub(crate) struct Shape {
    pub(crate) depth: Depth,
    /// The propagation changes of the clone, in this order.
    pub(crate) propagation: [Option<(libc::c_ulong, Depth)>; 2],
    pub(crate) id_map: Option<IdMap>,
}

impl Shape {
    /// Clones the tree at `source`.
    pub(crate) fn clone_tree(&self, source: BorrowedFd<'_>) -> StepResult<OwnedFd> {
        let tree = mount::clone_tree(source, c"", self.depth, 0).during(Call::CloneTree)?;
        for (propagation, depth) in self.propagation.iter().flatten() {
            let change = MountAttr { propagation: *propagation, ..MountAttr::default() };
            mount::set_attr(&tree, *depth, &change).during(Call::MountSetattr)?;
        }
        if let Some(map) = &self.id_map {
            map.apply(&tree).during(Call::MapIds)?;
        }
        Ok(tree)
    }
}

impl Later {
    pub(crate) fn clone_tree(&self) -> StepResult<OwnedFd> {
        self.source.clone_tree(&self.shape)
    }
}

/// The processes that supply the child with trees it does not clone itself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Suppliers<'a> {
    /// The parent.
    pub(crate) channel: &'a ChildEnd,
    /// The helper, which sends its trees in the order in which the child takes them.
    pub(crate) helper: Option<&'a OwnedFd>,
}

impl<'a> Suppliers<'a> {
    pub(crate) fn new(channel: &'a ChildEnd, helper: &'a Option<TreeHelper>) -> Self {
        Suppliers { channel, helper: helper.as_ref().and_then(|helper| helper.socket.as_ref()) }
    }

    /// Receives the next mount from the helper.
    pub(crate) fn next(&self) -> StepResult<OwnedFd> {
        let helper = self.helper.ok_or((Call::ReceiveTree, Errno::ENOTCONN))?;
        let (_, tree) = socket::recv_fd(helper, &mut [0]).during(Call::ReceiveTree)?;
        // If the helper has failed, it has reported the reason to the parent.
        tree.ok_or((Call::ReceiveTree, Errno::EPIPE))
    }

    /// Asks the helper to clone the next mount below `root`, and receives it.
    pub(crate) fn ask(&self, root: Root<'_>) -> StepResult<OwnedFd> {
        let helper = self.helper.ok_or((Call::ReceiveTree, Errno::ENOTCONN))?;
        socket::send_fd(helper, b"t", root.dir()).during(Call::SendFd)?;
        self.next()
    }
}

impl Tree {
    /// Takes the tree. `i` is the index of the mount, if the tree is a mount's.
    pub(crate) fn take(&mut self, i: usize, suppliers: Suppliers<'_>) -> StepResult<OwnedFd> {
        match self {
            // The value is not replaced: it owns memory, which the child may not free.
            Tree::Later(later) => match later.cloner {
                Cloner::Parent => {
                    let channel = suppliers.channel;
                    channel.send(Reply::NeedMount(i as u32)).during(Call::Write)?;
                    channel.receive_mount().during(Call::ReceiveTree)
                }
                Cloner::Helper => suppliers.next(),
                Cloner::Child => later.clone_tree(),
            },
            Tree::Cloned(_) | Tree::Taken => match std::mem::replace(self, Tree::Taken) {
                Tree::Cloned(tree) => Ok(tree),
                _ => Err((Call::CloneTree, Errno::EBADF)),
            },
        }
    }

    /// Returns the tree if `cloner` is to clone it.
    pub(crate) fn for_cloner(&self, cloner: Cloner) -> Option<&Later> {
        match self {
            Tree::Later(later) if later.cloner == cloner => Some(later),
            _ => None,
        }
    }
}
