// SPDX-License-Identifier: Apache-2.0
//! Namespaces: joining them, making them, and their identity. The NIS domain name.

use super::ioctl::{self, Number};
use super::result::{Result, done, new_fd};
use super::text::c_str;
use nix::sched::CloneFlags;
use std::os::fd::{AsFd, OwnedFd};

/// `int setns(int fd, int nstype)`: joins a namespace. `fd` is a namespace file, or
/// (since 5.8) a pidfd, with which `types` may name several namespaces. Child only.
///
/// EINVAL: the namespace is not of that type, or it is a user namespace and the process
/// has threads. EUSERS: it is a time namespace and the process has threads. EPERM: the
/// caller lacks CAP_SYS_ADMIN in the user namespace that owns the namespace.
pub fn setns(fd: impl AsFd, types: i32) -> Result<()> {
    nix::sched::setns(fd, CloneFlags::from_bits_retain(types))
}

/// `int unshare(int flags)`: makes new namespaces for the calling thread. Only for the child,
/// or for a thread that does nothing else.
pub fn unshare(flags: i32) -> Result<()> {
    nix::sched::unshare(CloneFlags::from_bits_retain(flags))
}

/// `int ioctl(int fd, NS_GET_NSTYPE)`: returns the CLONE_NEW* flag of a namespace file.
/// ENOTTY: `fd` is not a namespace file.
pub fn namespace_type(fd: impl AsFd) -> Result<i32> {
    ioctl::number(fd, Number::NamespaceType, 0)
}

/// `int ioctl(int fd, NS_GET_USERNS)`: opens the user namespace that owns a namespace.
/// EPERM: the owner is neither the caller's user namespace nor a descendant of it.
pub fn owner(fd: impl AsFd) -> Result<OwnedFd> {
    new_fd(ioctl::number(fd, Number::NamespaceOwner, 0)?.into())
}

/// Returns whether a file of nsfs is a namespace that the calling thread is in. `name` is its
/// name in /proc/PID/ns. Parent only (heap).
pub fn is_own(name: &str, file: &libc::stat) -> Result<bool> {
    let path = c_str(format!("/proc/thread-self/ns/{name}"))?;
    let own = super::fd::stat_at(super::fd::CWD, &path, 0)?;
    Ok((own.st_dev, own.st_ino) == (file.st_dev, file.st_ino))
}

/// Returns whether a file of nsfs is the initial cgroup namespace (PROC_CGROUP_INIT_INO).
pub fn is_initial_cgroup_namespace(file: &libc::stat) -> bool {
    file.st_ino == 0xEFFF_FFFB
}

/// Returns whether the calling process is in the initial user namespace. Its file has had
/// the same inode number since 3.8 (PROC_USER_INIT_INO; since 6.18 in linux/nsfs.h).
pub fn is_initial_user_namespace() -> Result<bool> {
    const USER_NS_INIT_INO: u64 = 0xEFFF_FFFD;
    Ok(super::fd::stat_at(super::fd::CWD, c"/proc/self/ns/user", 0)?.st_ino == USER_NS_INIT_INO)
}

/// `int setdomainname(const char *name, size_t len)`: sets the NIS domain name, of at most 64 bytes.
pub fn set_domainname(name: &[u8]) -> Result<()> {
    // SAFETY: the pointer and the length are those of one slice, which the kernel only reads.
    done(unsafe { libc::syscall(libc::SYS_setdomainname, name.as_ptr(), name.len()) })
}
