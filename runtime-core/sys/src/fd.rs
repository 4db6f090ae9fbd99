// SPDX-License-Identifier: Apache-2.0
//! Descriptors and what is reached through them: opening, reading, describing.

use super::{Result, check, check_int, done, new_fd};
use nix::errno::Errno;
use nix::fcntl::{AtFlags, FcntlArg, FdFlag, OFlag, OpenHow, ResolveFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout};
use nix::sys::stat::{FchmodatFlags, Mode, SFlag};
use nix::unistd::{Gid, Uid};
use std::ffi::CStr;
use std::io::IoSlice;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

/// The current working directory, in place of a directory descriptor.
pub use nix::fcntl::AT_FDCWD as CWD;

/// Standard input, output or error (0, 1, 2) of the calling process.
pub fn stdio(n: u8) -> BorrowedFd<'static> {
    debug_assert!(n < 3);
    // SAFETY: std's runtime makes sure that 0, 1 and 2 are open when a program
    // starts, and nothing in this crate closes them (it replaces them by dup3).
    unsafe { BorrowedFd::borrow_raw(RawFd::from(n)) }
}

/// `int openat(int dirfd, const char *path, int flags, mode_t mode)`, never
/// following a symbolic link in the last component. Close-on-exec.
pub fn open(dir: impl AsFd, path: &CStr, flags: i32, mode: u32) -> Result<OwnedFd> {
    open_follow(dir, path, flags | libc::O_NOFOLLOW, mode)
}

/// As [`open`], but a link in the last component is followed: for paths that
/// the administrator or the engine controls, never below a rootfs.
pub fn open_follow(dir: impl AsFd, path: &CStr, flags: i32, mode: u32) -> Result<OwnedFd> {
    let flags = OFlag::from_bits_retain(flags) | OFlag::O_CLOEXEC;
    nix::fcntl::openat(dir, path, flags, Mode::from_bits_retain(mode))
}

/// How [`openat2`] resolves a path: RESOLVE_* of openat2(2).
#[allow(missing_docs)] // The names are the kernel's.
pub mod resolve {
    pub const NO_XDEV: u64 = 0x01;
    pub const NO_MAGICLINKS: u64 = 0x02;
    pub const NO_SYMLINKS: u64 = 0x04;
    pub const BENEATH: u64 = 0x08;
    pub const IN_ROOT: u64 = 0x10;
}

/// `long openat2(int dirfd, const char *path, struct open_how *how, size_t size)`,
/// since 5.6. Close-on-exec. EAGAIN means that a rename raced with `..` below the
/// root; it is tried again a bounded number of times, as openat2(2) asks.
pub fn openat2(dir: impl AsFd, path: &CStr, flags: i32, mode: u32, resolve: u64) -> Result<OwnedFd> {
    let how = OpenHow::new()
        .flags(OFlag::from_bits_retain(flags) | OFlag::O_CLOEXEC)
        .mode(Mode::from_bits_retain(mode))
        .resolve(ResolveFlag::from_bits_retain(resolve));
    let mut tries = 0;
    loop {
        match nix::fcntl::openat2(&dir, path, how) {
            Err(Errno::EAGAIN | Errno::EINTR) if tries < 128 => tries += 1,
            other => return other,
        }
    }
}

/// `ssize_t read(int fd, void *buf, size_t count)`, tried again after EINTR.
pub fn read(fd: impl AsFd, buf: &mut [u8]) -> Result<usize> {
    again(|| nix::unistd::read(&fd, buf))
}

/// `ssize_t write(int fd, const void *buf, size_t count)`, tried again after EINTR.
pub fn write(fd: impl AsFd, buf: &[u8]) -> Result<usize> {
    again(|| nix::unistd::write(&fd, buf))
}

/// Calls until the result is another one than EINTR.
pub(crate) fn again<T>(mut call: impl FnMut() -> Result<T>) -> Result<T> {
    loop {
        match call() {
            Err(Errno::EINTR) => {}
            other => return other,
        }
    }
}

/// Writes all of `buf`; a short write goes on with the rest.
pub fn write_all(fd: impl AsFd, mut buf: &[u8]) -> Result<()> {
    while !buf.is_empty() {
        match write(&fd, buf)? {
            0 => return Err(Errno::EIO),
            n => buf = buf.get(n..).unwrap_or_default(),
        }
    }
    Ok(())
}

/// Reads to the end of a file, at most `limit` bytes: EFBIG beyond. Parent only (heap).
pub fn read_all(fd: impl AsFd, limit: usize) -> Result<Vec<u8>> {
    let mut all = Vec::with_capacity(4096.min(limit));
    loop {
        if all.len() == all.capacity() {
            all.reserve(all.len().max(4096));
        }
        if read_more(&fd, &mut all)? == 0 {
            return Ok(all);
        }
        if all.len() > limit {
            return Err(Errno::EFBIG);
        }
    }
}

/// Reads to the end of a regular file that is said to have `expected` bytes, and may have
/// more, at most `limit`: EFBIG beyond. Behind the expected bytes a read that leaves room has
/// come to the end. Parent only (heap).
pub fn read_expected(fd: impl AsFd, expected: usize, limit: usize) -> Result<Vec<u8>> {
    let mut all = Vec::with_capacity(expected.saturating_add(1).max(4096));
    loop {
        let n = read_more(&fd, &mut all)?;
        let is_end = n == 0 || expected > 0 && all.len() >= expected && all.len() < all.capacity();
        if all.len() > limit {
            return Err(Errno::EFBIG);
        }
        if is_end {
            return Ok(all);
        }
        if all.len() == all.capacity() {
            all.reserve(all.len().max(4096));
        }
    }
}

/// Reads once, as much as there is room for: how much it was.
fn read_more(fd: impl AsFd, all: &mut Vec<u8>) -> Result<usize> {
    let fd = fd.as_fd().as_raw_fd();
    let spare = all.spare_capacity_mut();
    let n = again(|| {
        // SAFETY: the spare capacity is valid for writes of its length. nix's `read` would
        // want it initialised, which costs a pass over the memory.
        check(unsafe { libc::syscall(libc::SYS_read, fd, spare.as_mut_ptr(), spare.len()) })
    })? as usize;
    // SAFETY: read has just initialised the first n bytes of the spare capacity.
    unsafe { all.set_len(all.len() + n) };
    Ok(n)
}

/// Reads a file that the kernel writes in one piece (single_open of seq_file.h):
/// most of procfs and cgroupfs, but no list of pids, mappings or mounts. A read that
/// leaves room has come to the end, so it takes one. Parent only (heap).
pub fn read_piece(dir: impl AsFd, path: &CStr) -> Result<Vec<u8>> {
    let file = open_follow(dir, path, libc::O_RDONLY, 0)?;
    let mut piece = Vec::with_capacity(4096);
    while read_more(&file, &mut piece)? != 0 && piece.len() == piece.capacity() {
        piece.reserve(piece.len());
    }
    Ok(piece)
}

/// Opens `path`, reads all of it, closes it. Parent only (heap).
pub fn read_file(dir: impl AsFd, path: &CStr, limit: usize) -> Result<Vec<u8>> {
    read_all(open_follow(dir, path, libc::O_RDONLY, 0)?, limit)
}

/// Opens an existing file for writing and writes `content` in one piece: the
/// way of procfs and cgroupfs. A short write is EIO.
pub fn write_file(dir: impl AsFd, path: &CStr, content: &[u8]) -> Result<()> {
    let file = open(dir, path, libc::O_WRONLY, 0)?;
    if write(file, content)? == content.len() { Ok(()) } else { Err(Errno::EIO) }
}

/// `int fstatat(int dirfd, const char *path, struct stat *st, int flags)`; a
/// symbolic link is described, not followed, unless `flags` say otherwise.
pub fn stat_at(dir: impl AsFd, path: &CStr, flags: i32) -> Result<libc::stat> {
    nix::sys::stat::fstatat(dir, path, AtFlags::from_bits_retain(flags))
}

/// `f_type` of `int fstatfs(int fd, struct statfs *buf)`: which kind of file system
/// it is on. C libraries do not agree on its type; all values are positive.
#[allow(clippy::unnecessary_cast)] // Not with musl.
pub fn filesystem(fd: impl AsFd) -> Result<i64> {
    Ok(nix::sys::statfs::fstatfs(fd)?.filesystem_type().0 as i64)
}

/// The id of the mount that the descriptor is on.
pub fn mount_id(fd: impl AsFd) -> Result<u64> {
    Ok(statx(fd, c"", libc::AT_EMPTY_PATH, libc::STATX_MNT_ID)?.stx_mnt_id)
}

/// The mount that the directory at a path is on, and its number there.
pub fn place(path: &CStr) -> Result<(u64, u64)> {
    place_at(CWD, path, 0)
}

/// As [`place`], of an opened file.
pub fn place_of(fd: impl AsFd) -> Result<(u64, u64)> {
    place_at(fd, c"", libc::AT_EMPTY_PATH)
}

fn place_at(dir: impl AsFd, path: &CStr, flags: i32) -> Result<(u64, u64)> {
    let st = statx(dir, path, flags, libc::STATX_INO | libc::STATX_MNT_ID)?;
    Ok((st.stx_mnt_id, st.stx_ino))
}

/// `int statx(int dir, const char *path, int flags, unsigned mask, struct statx *st)`;
/// STATX_MNT_ID since 5.8.
fn statx(dir: impl AsFd, path: &CStr, flags: i32, mask: u32) -> Result<libc::statx> {
    let mut st = MaybeUninit::<libc::statx>::uninit();
    let dir = dir.as_fd().as_raw_fd();
    // SAFETY: `path` is a C string, `st` has room for a struct statx.
    check_int(unsafe { libc::statx(dir, path.as_ptr(), flags, mask, st.as_mut_ptr()) })?;
    // SAFETY: statx has succeeded, so it has filled the struct.
    Ok(unsafe { st.assume_init() })
}

/// `int fstatvfs(int fd, struct statvfs *buf)`: the ST_* flags of the mount that
/// the file is on, and of its file system.
pub fn mount_flags(fd: impl AsFd) -> Result<u64> {
    let mut st = MaybeUninit::<libc::statvfs>::uninit();
    // SAFETY: `st` has room for a struct statvfs.
    check_int(unsafe { libc::fstatvfs(fd.as_fd().as_raw_fd(), st.as_mut_ptr()) })?;
    // SAFETY: fstatvfs has succeeded, so it has filled the struct.
    Ok(unsafe { st.assume_init() }.f_flag)
}

/// `int mkdirat(int dirfd, const char *path, mode_t mode)`
pub fn mkdir(dir: impl AsFd, path: &CStr, mode: u32) -> Result<()> {
    nix::sys::stat::mkdirat(dir, path, Mode::from_bits_retain(mode))
}

/// `int mknodat(int dirfd, const char *path, mode_t mode, dev_t dev)`
pub fn mknod(dir: impl AsFd, path: &CStr, mode: u32, dev: u64) -> Result<()> {
    let (kind, mode) = (SFlag::from_bits_truncate(mode), Mode::from_bits_truncate(mode));
    nix::sys::stat::mknodat(dir, path, kind, mode, dev)
}

/// `ssize_t readlinkat(int dirfd, const char *path, char *buf, size_t size)`:
/// the part of `buf` that holds the link's text (cut off at its length).
pub fn readlink<'a>(dir: impl AsFd, path: &CStr, buf: &'a mut [u8]) -> Result<&'a [u8]> {
    // SAFETY: `path` is a C string; the buffer is valid for writes of its length.
    let n = check(unsafe {
        libc::syscall(
            libc::SYS_readlinkat,
            dir.as_fd().as_raw_fd(),
            path.as_ptr(),
            buf.as_mut_ptr(),
            buf.len(),
        )
    })?;
    Ok(buf.get(..n as usize).unwrap_or_default())
}

/// `int fchownat(int dirfd, const char *path, uid_t uid, gid_t gid, int flags)`;
/// `u32::MAX` leaves an id alone. With an empty path it works on O_PATH descriptors.
pub fn chown_at(dir: impl AsFd, path: &CStr, uid: u32, gid: u32, flags: i32) -> Result<()> {
    let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
    nix::unistd::fchownat(dir, path, Some(uid), Some(gid), AtFlags::from_bits_retain(flags))
}

/// `int fchmod(int fd, mode_t mode)`
pub fn chmod(fd: impl AsFd, mode: u32) -> Result<()> {
    nix::sys::stat::fchmod(fd, Mode::from_bits_retain(mode))
}

/// `int fchmodat(int dirfd, const char *path, mode_t mode, 0)`, which follows links.
pub fn chmod_at(dir: impl AsFd, path: &CStr, mode: u32) -> Result<()> {
    nix::sys::stat::fchmodat(dir, path, Mode::from_bits_retain(mode), FchmodatFlags::FollowSymlink)
}

/// `int faccessat2(int dirfd, const char *path, int mode, int flags)`, since 5.8.
pub fn access(dir: impl AsFd, path: &CStr, mode: i32, flags: i32) -> Result<()> {
    // SAFETY: `path` is a C string.
    done(unsafe { libc::syscall(libc::SYS_faccessat2, dir.as_fd().as_raw_fd(), path.as_ptr(), mode, flags) })
}

/// `ssize_t fgetxattr(int fd, const char *name, void *value, size_t size)`: the
/// part of `buf` that holds it. ENODATA: there is none.
pub fn get_xattr<'a>(fd: impl AsFd, name: &CStr, buf: &'a mut [u8]) -> Result<&'a [u8]> {
    let fd = fd.as_fd().as_raw_fd();
    // SAFETY: `name` is a C string, the buffer is valid for writes of its length.
    let n =
        check(unsafe { libc::syscall(libc::SYS_fgetxattr, fd, name.as_ptr(), buf.as_mut_ptr(), buf.len()) })?;
    Ok(buf.get(..n as usize).unwrap_or_default())
}

/// `int fsetxattr(int fd, const char *name, const void *value, size_t size, 0)`
pub fn set_xattr(fd: impl AsFd, name: &CStr, value: &[u8]) -> Result<()> {
    let fd = fd.as_fd().as_raw_fd();
    // SAFETY: `name` is a C string, the value is valid for reads of its length.
    done(unsafe { libc::syscall(libc::SYS_fsetxattr, fd, name.as_ptr(), value.as_ptr(), value.len(), 0) })
}

/// `long getcwd(char *buf, size_t size)`: the part of `buf` that holds the path.
/// The raw call answers `(unreachable)/...` for a directory outside of the root.
pub fn getcwd(buf: &mut [u8]) -> Result<&[u8]> {
    // SAFETY: the buffer is valid for writes of its length.
    let n = check(unsafe { libc::syscall(libc::SYS_getcwd, buf.as_mut_ptr(), buf.len()) })?;
    // The length counts the terminating NUL.
    Ok(buf.get(..(n as usize).saturating_sub(1)).unwrap_or_default())
}

/// `mode_t umask(mode_t mask)`: the old one. Child only.
pub fn umask(mask: u32) {
    nix::sys::stat::umask(Mode::from_bits_truncate(mask));
}

/// `int dup3(int old, int new, 0)`: makes `new` a copy of `old` that survives
/// execve; if they are the same, only clears close-on-exec. Child only: what was
/// `new` is gone.
pub fn dup_onto(old: impl AsFd, new: RawFd) -> Result<()> {
    let number = old.as_fd().as_raw_fd();
    if number == new {
        return fcntl(old, FcntlArg::F_SETFD(FdFlag::empty())).map(drop);
    }
    // SAFETY: plain integers. The caller gives up whatever `new` was.
    done(unsafe { libc::syscall(libc::SYS_dup3, number, new, 0) })
}

/// `int fcntl(int fd, F_DUPFD_CLOEXEC, 0)`: the same open file by another number.
pub fn duplicate(file: impl AsFd) -> Result<OwnedFd> {
    new_fd(fcntl(file, FcntlArg::F_DUPFD_CLOEXEC(0))?.into())
}

/// The number that the next new descriptor will have. Child only: in a process
/// with threads it would be out of date at once.
pub fn lowest_free() -> Result<RawFd> {
    Ok(duplicate(stdio(0))?.as_raw_fd())
}

/// `int pipe2(int fds[2], O_CLOEXEC)`: the end to read from, the end to write to.
pub fn pipe() -> Result<(OwnedFd, OwnedFd)> {
    nix::unistd::pipe2(OFlag::O_CLOEXEC)
}

/// O_RDONLY, O_WRONLY or O_RDWR, as the descriptor was opened (F_GETFL of fcntl(2)).
pub fn access_mode(fd: impl AsFd) -> Result<i32> {
    fcntl(fd, FcntlArg::F_GETFL).map(|flags| flags & libc::O_ACCMODE)
}

/// True if descriptor number `fd` is open.
pub fn is_open(fd: RawFd) -> bool {
    // SAFETY: F_GETFD only asks; a closed number is EBADF.
    unsafe { libc::fcntl(fd, libc::F_GETFD) != -1 }
}

/// `int close_range(unsigned first, unsigned last, unsigned flags)`, since 5.9
/// (CLOSE_RANGE_CLOEXEC: 5.11). Child only: it closes what others may own.
pub fn close_range(first: RawFd, last: RawFd, flags: u32) -> Result<()> {
    if first > last {
        return Ok(());
    }
    // SAFETY: plain integers. In the child no owner of these descriptors runs again.
    done(unsafe { libc::syscall(libc::SYS_close_range, first, last, flags) })
}

/// `int flock(int fd, int operation)`, tried again after EINTR.
pub fn flock(fd: impl AsFd, operation: i32) -> Result<()> {
    let fd = fd.as_fd().as_raw_fd();
    // SAFETY: plain integers.
    again(|| check_int(unsafe { libc::flock(fd, operation) })).map(drop)
}

/// `int poll(struct pollfd *fds, nfds_t n, int timeout)` on one descriptor:
/// the events that came, 0 after `timeout_ms` (-1: wait for ever).
pub fn poll(fd: impl AsFd, events: i16, timeout_ms: i32) -> Result<i16> {
    poll_many([Some((fd.as_fd(), events))], timeout_ms).map(|[events]| events)
}

/// `ssize_t writev(int fd, const struct iovec *iov, int n)`
pub fn write_parts<const N: usize>(fd: impl AsFd, parts: [&[u8]; N]) -> Result<usize> {
    nix::sys::uio::writev(fd, &parts.map(IoSlice::new))
}

/// `ssize_t pread(int fd, void *buf, size_t count, 0)`: for files that are made anew at each read.
pub fn read_at_start(fd: impl AsFd, buf: &mut [u8]) -> Result<usize> {
    nix::sys::uio::pread(fd, buf, 0)
}

/// `int poll(struct pollfd *fds, nfds_t n, int timeout)`: the events of each, 0
/// for those that `None` leaves out.
pub fn poll_many<const N: usize>(
    fds: [Option<(BorrowedFd<'_>, i16)>; N],
    timeout_ms: i32,
) -> Result<[i16; N]> {
    let mut entries = fds.map(|entry| {
        // A negative number, as the one of CWD, is passed over.
        let (fd, events) = entry.unwrap_or((CWD, 0));
        PollFd::new(fd, PollFlags::from_bits_retain(events))
    });
    let timeout = PollTimeout::try_from(timeout_ms).unwrap_or(PollTimeout::NONE);
    again(|| nix::poll::poll(&mut entries, timeout))?;
    Ok(entries.map(|entry| entry.revents().unwrap_or(PollFlags::all()).bits()))
}

/// Makes reads and writes return EAGAIN instead of waiting (O_NONBLOCK).
pub fn set_nonblocking(fd: impl AsFd) -> Result<()> {
    let flags = OFlag::from_bits_retain(fcntl(&fd, FcntlArg::F_GETFL)?);
    fcntl(fd, FcntlArg::F_SETFL(flags | OFlag::O_NONBLOCK)).map(drop)
}
