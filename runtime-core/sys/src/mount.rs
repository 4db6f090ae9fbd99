// SPDX-License-Identifier: Apache-2.0
//! The mount interface of Linux 5.2 (5.12 for attributes): makes a detached mount,
//! sets its attributes, and attaches it at a descriptor.

use super::fd;
use super::result::{Result, done, new_fd};
use nix::mount::MsFlags;
use std::ffi::CStr;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::ptr;

const OPEN_TREE_CLONE: u32 = 1;
const OPEN_TREE_CLOEXEC: u32 = libc::O_CLOEXEC as u32;
const AT_RECURSIVE: u32 = 0x8000;
const MOVE_MOUNT_F_EMPTY_PATH: u32 = 0x04;
const MOVE_MOUNT_T_EMPTY_PATH: u32 = 0x40;
const FSOPEN_CLOEXEC: u32 = 1;
const FSMOUNT_CLOEXEC: u32 = 1;
const FSCONFIG_SET_FLAG: u32 = 0;
const FSCONFIG_SET_STRING: u32 = 1;
const FSCONFIG_SET_FD: u32 = 5;
const FSCONFIG_CMD_CREATE: u32 = 6;
const FSCONFIG_CMD_RECONFIGURE: u32 = 7;
const FSPICK_CLOEXEC: u32 = 1;
const FSPICK_EMPTY_PATH: u32 = 8;

/// MOUNT_ATTR_* of mount_setattr(2): properties of a mount, not of its file system.
#[allow(missing_docs)] // The names are the kernel's.
pub mod attr {
    pub const RDONLY: u64 = 0x1;
    pub const NOSUID: u64 = 0x2;
    pub const NODEV: u64 = 0x4;
    pub const NOEXEC: u64 = 0x8;
    /// The mask of the values RELATIME (0), NOATIME and STRICTATIME.
    pub const ATIME: u64 = 0x70;
    pub const NOATIME: u64 = 0x10;
    pub const STRICTATIME: u64 = 0x20;
    pub const NODIRATIME: u64 = 0x80;
    pub const IDMAP: u64 = 0x10_0000;
    /// Since 5.14.
    pub const NOSYMFOLLOW: u64 = 0x20_0000;
}

/// `struct mount_attr` of mount_setattr(2).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MountAttr {
    /// [`attr`] bits to set.
    pub set: u64,
    /// [`attr`] bits to clear.
    pub clear: u64,
    /// MS_SHARED, MS_SLAVE, MS_PRIVATE, MS_UNBINDABLE, or 0 to leave the propagation unchanged.
    pub propagation: u64,
    /// The user namespace with the mappings of [`attr::IDMAP`].
    pub userns_fd: u64,
}

impl MountAttr {
    /// Returns true if the attributes change nothing.
    pub fn is_noop(&self) -> bool {
        self.set == 0 && self.clear == 0 && self.propagation == 0
    }
}

/// The mounts that a call is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// The mount itself only.
    One,
    /// The mount and every mount below it (AT_RECURSIVE).
    All,
}

impl Depth {
    fn flag(self) -> u32 {
        match self {
            Depth::One => 0,
            Depth::All => AT_RECURSIVE,
        }
    }
}

/// `int open_tree(int dirfd, const char *path, unsigned flags)` with
/// OPEN_TREE_CLONE: makes a detached copy of the mount at `path`. Returns an O_PATH
/// descriptor of the copy. An empty path means `dir` itself. Needs CAP_SYS_ADMIN.
/// EINVAL: the mount is unbindable, or belongs to another mount namespace.
pub fn clone_tree(dir: impl AsFd, path: &CStr, depth: Depth, flags: i32) -> Result<OwnedFd> {
    let flags =
        OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | libc::AT_EMPTY_PATH as u32 | depth.flag() | flags as u32;
    // SAFETY: `path` is a C string, and the kernel only reads it.
    new_fd(unsafe { libc::syscall(libc::SYS_open_tree, dir.as_fd().as_raw_fd(), path.as_ptr(), flags) })
}

/// `int move_mount(int from, "", int to, "", unsigned flags)`: attaches the
/// detached mount `tree` on top of `target`. EINVAL: the target belongs to another mount
/// namespace, or only one of the two is a directory. ELOOP: `tree` contains a bind mount of
/// the file of the caller's mount namespace, or of an older one.
pub fn attach(tree: impl AsFd, target: impl AsFd) -> Result<()> {
    attach_at(tree, target, c"")
}

/// Attaches a detached mount as [`attach`] does, at `path` below `dir`. An empty path means
/// `dir` itself. A symbolic link in the last component is not followed.
pub fn attach_at(tree: impl AsFd, dir: impl AsFd, path: &CStr) -> Result<()> {
    let mut flags = MOVE_MOUNT_F_EMPTY_PATH;
    if path.is_empty() {
        flags |= MOVE_MOUNT_T_EMPTY_PATH;
    }
    // SAFETY: both paths are C strings, and the kernel only reads them.
    done(unsafe {
        libc::syscall(
            libc::SYS_move_mount,
            tree.as_fd().as_raw_fd(),
            c"".as_ptr(),
            dir.as_fd().as_raw_fd(),
            path.as_ptr(),
            flags,
        )
    })
}

/// `int mount_setattr(int fd, "", unsigned flags, struct mount_attr *attr, size_t size)`,
/// since 5.12. Changes the attributes of mounts. EPERM: a flag is locked, because the
/// mount came from a more privileged mount namespace. EINVAL with IDMAP: the file system
/// does not support id-mapped mounts.
pub fn set_attr(tree: impl AsFd, depth: Depth, attr: &MountAttr) -> Result<()> {
    // SAFETY: the path is a C string. `attr` is a whole struct mount_attr, of the size that is
    // passed, and the kernel only reads it.
    done(unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            tree.as_fd().as_raw_fd(),
            c"".as_ptr(),
            libc::AT_EMPTY_PATH as u32 | depth.flag(),
            ptr::from_ref(attr),
            size_of::<MountAttr>(),
        )
    })
}

/// `int fsopen(const char *fstype, unsigned flags)`: opens a context for a new superblock.
/// ENODEV: the kernel does not know the file system.
pub fn fsopen(fstype: &CStr) -> Result<OwnedFd> {
    // SAFETY: `fstype` is a C string, and the kernel only reads it.
    new_fd(unsafe { libc::syscall(libc::SYS_fsopen, fstype.as_ptr(), FSOPEN_CLOEXEC) })
}

/// `int fsconfig(int fd, FSCONFIG_SET_STRING, key, value, 0)`: sets an option. Without a
/// value, uses FSCONFIG_SET_FLAG. The kernel takes at most 255 bytes of each.
pub fn fsconfig_set(context: impl AsFd, key: &CStr, value: Option<&CStr>) -> Result<()> {
    let command = if value.is_some() { FSCONFIG_SET_STRING } else { FSCONFIG_SET_FLAG };
    fsconfig(context, command, Some(key), value, 0)
}

/// `int fsconfig(int fd, unsigned command, const char *key, const char *value, int aux)`: for the
/// commands whose value is a string or null.
fn fsconfig(
    context: impl AsFd,
    command: u32,
    key: Option<&CStr>,
    value: Option<&CStr>,
    aux: RawFd,
) -> Result<()> {
    let context = context.as_fd().as_raw_fd();
    let pointer = |text: Option<&CStr>| text.map_or(ptr::null(), CStr::as_ptr);
    // SAFETY: key and value are C strings, which the kernel only reads, or null. The kernel refuses
    // null for a command that needs a string.
    done(unsafe { libc::syscall(libc::SYS_fsconfig, context, command, pointer(key), pointer(value), aux) })
}

/// `int fsconfig(int fd, FSCONFIG_SET_FD, key, NULL, value)`: sets an option to a descriptor.
/// EINVAL: the file system has no such option, or does not accept the descriptor.
pub fn fsconfig_set_fd(context: impl AsFd, key: &CStr, value: impl AsFd) -> Result<()> {
    fsconfig(context, FSCONFIG_SET_FD, Some(key), None, value.as_fd().as_raw_fd())
}

/// `int fsconfig(int fd, FSCONFIG_CMD_CREATE, NULL, NULL, 0)`: makes the superblock.
pub fn fsconfig_create(context: impl AsFd) -> Result<()> {
    fsconfig(context, FSCONFIG_CMD_CREATE, None, None, 0)
}

/// `int fspick(int dirfd, "", unsigned flags)`: opens a context for changes of the superblock
/// of the mount whose root is `root`. EINVAL: `root` is not the root of a mount.
pub fn fspick(root: impl AsFd) -> Result<OwnedFd> {
    let flags = FSPICK_CLOEXEC | FSPICK_EMPTY_PATH;
    // SAFETY: the path is a C string, and the kernel only reads it.
    new_fd(unsafe { libc::syscall(libc::SYS_fspick, root.as_fd().as_raw_fd(), c"".as_ptr(), flags) })
}

/// `int fsconfig(int fd, FSCONFIG_CMD_RECONFIGURE, NULL, NULL, 0)`: changes the superblock.
pub fn fsconfig_reconfigure(context: impl AsFd) -> Result<()> {
    fsconfig(context, FSCONFIG_CMD_RECONFIGURE, None, None, 0)
}

/// Returns the text of the last message in a context, which explains its last failure.
/// read(2) returns one message at a time (Documentation/filesystems/mount_api.rst,
/// "Message logging"), with the prefix `e` (error), `w` (warning) or `i` (information).
/// Returns `None` if there is no message, or the last one is information.
pub fn last_words(context: impl AsFd, buf: &mut [u8]) -> Option<&[u8]> {
    let mut last = None;
    while let Ok(n @ 1..) = fd::read(&context, buf) {
        last = Some(n);
    }
    let message = buf.get(..last?)?.trim_ascii_end();
    message.strip_prefix(b"e ").or_else(|| message.strip_prefix(b"w "))
}

/// `int fsmount(int fd, unsigned flags, unsigned attr)`: makes a detached mount of the superblock.
pub fn fsmount(context: impl AsFd, attr: u64) -> Result<OwnedFd> {
    // SAFETY: integers only, so the kernel gets no pointer.
    new_fd(unsafe {
        libc::syscall(libc::SYS_fsmount, context.as_fd().as_raw_fd(), FSMOUNT_CLOEXEC, attr as u32)
    })
}

/// `int mount(source, path, fstype, MS_*, data)`: mounts a new file system at `path`. Child only.
pub fn mount(source: &CStr, path: &CStr, fstype: &CStr, flags: libc::c_ulong, data: &CStr) -> Result<()> {
    nix::mount::mount(Some(source), path, Some(fstype), MsFlags::from_bits_retain(flags), Some(data))
}

/// `int mount(NULL, path, NULL, MS_*, NULL)`: changes the propagation of the
/// mount at `path`. With MS_REC, changes that of all mounts below it too.
pub fn set_propagation(path: &CStr, flags: libc::c_ulong) -> Result<()> {
    const NONE: Option<&CStr> = None;
    nix::mount::mount(NONE, path, NONE, MsFlags::from_bits_retain(flags), NONE)
}
