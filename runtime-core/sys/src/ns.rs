// SPDX-License-Identifier: Apache-2.0
//! Namespaces: joining, leaving, and the names inside of one.

use super::ioctl::{self, Number};
use super::{Result, done, new_fd};
use nix::sched::CloneFlags;
use std::ffi::CString;
use std::os::fd::{AsFd, OwnedFd};

/// `int setns(int fd, int nstype)`: `fd` is a namespace file, or (since 5.8) a
/// pidfd, in which case `types` may name several. Child only.
///
/// EINVAL: not a namespace of that type, or the process has threads (user,
/// time). EPERM: no CAP_SYS_ADMIN in the user namespace that owns it.
pub fn setns(fd: impl AsFd, types: i32) -> Result<()> {
    nix::sched::setns(fd, CloneFlags::from_bits_retain(types))
}

/// `int unshare(int flags)`. Child only, or a thread that ends with it.
pub fn unshare(flags: i32) -> Result<()> {
    nix::sched::unshare(CloneFlags::from_bits_retain(flags))
}

/// `int ioctl(int fd, NS_GET_NSTYPE)`: the CLONE_NEW* flag of a namespace file.
/// ENOTTY: not a namespace file.
pub fn namespace_type(fd: impl AsFd) -> Result<i32> {
    ioctl::number(fd, Number::NamespaceType, 0)
}

/// `int ioctl(int fd, NS_GET_USERNS)`: the user namespace that owns another namespace.
/// EPERM: it is none of the caller's, nor below it.
pub fn owner(fd: impl AsFd) -> Result<OwnedFd> {
    new_fd(ioctl::number(fd, Number::NamespaceOwner, 0)?.into())
}

/// Whether a file of nsfs is the namespace of the calling thread's that has the name `name`
/// in /proc/PID/ns.
pub fn is_own(name: &str, file: &libc::stat) -> Result<bool> {
    let path = CString::new(format!("/proc/thread-self/ns/{name}")).unwrap_or_default();
    let own = super::fd::stat_at(super::fd::CWD, &path, 0)?;
    Ok((own.st_dev, own.st_ino) == (file.st_dev, file.st_ino))
}

/// Whether a file of nsfs is the initial cgroup namespace (PROC_CGROUP_INIT_INO).
pub fn is_initial_cgroup_namespace(file: &libc::stat) -> bool {
    file.st_ino == 0xEFFF_FFFB
}

/// Whether the calling process is in the initial user namespace, whose file has
/// had the same number since 3.8 (PROC_USER_INIT_INO; since 6.18 in linux/nsfs.h).
pub fn is_initial_user_namespace() -> Result<bool> {
    const USER_NS_INIT_INO: u64 = 0xEFFF_FFFD;
    Ok(super::fd::stat_at(super::fd::CWD, c"/proc/self/ns/user", 0)?.st_ino == USER_NS_INIT_INO)
}

/// `int setdomainname(const char *name, size_t len)`: at most 64 bytes.
pub fn set_domainname(name: &[u8]) -> Result<()> {
    // SAFETY: the buffer is valid for reads of its length.
    done(unsafe { libc::syscall(libc::SYS_setdomainname, name.as_ptr(), name.len()) })
}
