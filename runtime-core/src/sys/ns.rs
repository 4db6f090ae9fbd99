// SPDX-License-Identifier: Apache-2.0
//! Namespaces: joining, leaving, and the names inside of one.

use super::{Result, check_int, done, new_fd};
use std::ffi::CString;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

/// `int setns(int fd, int nstype)`: `fd` is a namespace file, or (since 5.8) a
/// pidfd, in which case `types` may name several. Child only.
///
/// EINVAL: not a namespace of that type, or the process has threads (user,
/// time). EPERM: no CAP_SYS_ADMIN in the user namespace that owns it.
pub(crate) fn setns(fd: impl AsFd, types: i32) -> Result<()> {
    // SAFETY: plain integers.
    check_int(unsafe { libc::setns(fd.as_fd().as_raw_fd(), types) }).map(drop)
}

/// `int unshare(int flags)`. Child only, or a thread that ends with it.
pub(crate) fn unshare(flags: i32) -> Result<()> {
    // SAFETY: plain integers.
    check_int(unsafe { libc::unshare(flags) }).map(drop)
}

/// `int ioctl(int fd, NS_GET_NSTYPE)`: the CLONE_NEW* flag of a namespace file.
/// ENOTTY: not a namespace file.
pub(crate) fn namespace_type(fd: impl AsFd) -> Result<i32> {
    const NS_GET_NSTYPE: libc::c_ulong = 0xb703;
    // SAFETY: NS_GET_NSTYPE takes no argument.
    check_int(unsafe { libc::ioctl(fd.as_fd().as_raw_fd(), NS_GET_NSTYPE as _) })
}

/// `int ioctl(int fd, NS_GET_USERNS)`: the user namespace that owns another namespace.
/// EPERM: it is none of the caller's, nor below it.
pub(crate) fn owner(fd: impl AsFd) -> Result<OwnedFd> {
    const NS_GET_USERNS: libc::c_ulong = 0xb701;
    // SAFETY: NS_GET_USERNS takes no argument.
    let owner = check_int(unsafe { libc::ioctl(fd.as_fd().as_raw_fd(), NS_GET_USERNS as _) })?;
    new_fd(owner.into())
}

/// Whether a file of nsfs is the namespace of the calling thread's that has the name `name`
/// in /proc/PID/ns.
pub(crate) fn is_own(name: &str, file: &libc::stat) -> Result<bool> {
    let path = CString::new(format!("/proc/thread-self/ns/{name}")).unwrap_or_default();
    let own = super::fd::stat_at(super::fd::CWD, &path, 0)?;
    Ok((own.st_dev, own.st_ino) == (file.st_dev, file.st_ino))
}

/// Whether a file of nsfs is the initial cgroup namespace (PROC_CGROUP_INIT_INO).
pub(crate) fn is_initial_cgroup_namespace(file: &libc::stat) -> bool {
    file.st_ino == 0xEFFF_FFFB
}

/// Whether the calling process is in the initial user namespace, whose file has
/// had the same number since 3.8 (PROC_USER_INIT_INO; since 6.18 in linux/nsfs.h).
pub(crate) fn is_initial_user_namespace() -> Result<bool> {
    const USER_NS_INIT_INO: u64 = 0xEFFF_FFFD;
    Ok(super::fd::stat_at(super::fd::CWD, c"/proc/self/ns/user", 0)?.st_ino == USER_NS_INIT_INO)
}

/// `int sethostname(const char *name, size_t len)`: at most 64 bytes.
pub(crate) fn set_hostname(name: &[u8]) -> Result<()> {
    // SAFETY: the buffer is valid for reads of its length.
    done(unsafe { libc::syscall(libc::SYS_sethostname, name.as_ptr(), name.len()) })
}

/// `int setdomainname(const char *name, size_t len)`: at most 64 bytes.
pub(crate) fn set_domainname(name: &[u8]) -> Result<()> {
    // SAFETY: the buffer is valid for reads of its length.
    done(unsafe { libc::syscall(libc::SYS_setdomainname, name.as_ptr(), name.len()) })
}
