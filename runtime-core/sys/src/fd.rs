// SPDX-License-Identifier: Apache-2.0
//! File descriptors: opening, reading, writing, and the attributes of files.

use super::result::{Result, check, check_int, done, new_fd};
use nix::errno::Errno;
use nix::fcntl::{AtFlags, FcntlArg, FdFlag, OFlag, OpenHow, ResolveFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout};
use nix::sys::stat::{FchmodatFlags, Mode, SFlag};
use nix::unistd::{Gid, Uid};
use std::ffi::CStr;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

/// The current working directory, in place of a directory descriptor.
pub use nix::fcntl::AT_FDCWD as CWD;

/// Returns standard input, output or error (0, 1, 2) of the calling process.
pub fn stdio(n: u8) -> BorrowedFd<'static> {
    debug_assert!(n < 3);
    // SAFETY: the entry of Rust's standard library, and that of runtime-cli, make sure that 0, 1
    // and 2 are open. Nothing in this crate closes them: dup3 only replaces them.
    unsafe { BorrowedFd::borrow_raw(RawFd::from(n)) }
}

/// `int openat(int dirfd, const char *path, int flags, mode_t mode)`: opens a file
/// without following a symbolic link in the last component. Close-on-exec.
pub fn open(dir: impl AsFd, path: &CStr, flags: i32, mode: u32) -> Result<OwnedFd> {
    open_follow(dir, path, flags | libc::O_NOFOLLOW, mode)
}

/// Opens a file as [`open`] does, but follows a symbolic link in the last component.
/// For paths that the administrator or the engine controls, never below a rootfs.
pub fn open_follow(dir: impl AsFd, path: &CStr, flags: i32, mode: u32) -> Result<OwnedFd> {
    let flags = OFlag::from_bits_retain(flags) | OFlag::O_CLOEXEC;
    nix::fcntl::openat(dir, path, flags, Mode::from_bits_retain(mode))
}

/// The RESOLVE_* flags of [`openat2`].
#[allow(missing_docs)] // The names are the kernel's.
pub mod resolve {
    pub const NO_XDEV: u64 = 0x01;
    pub const NO_MAGICLINKS: u64 = 0x02;
    pub const NO_SYMLINKS: u64 = 0x04;
    pub const BENEATH: u64 = 0x08;
    pub const IN_ROOT: u64 = 0x10;
}

/// `long openat2(int dirfd, const char *path, struct open_how *how, size_t size)`,
/// since 5.6. Opens a file, close-on-exec. Tries again at most 128 times after EINTR and
/// after EAGAIN, which means that a rename raced with the resolution of `..` (openat2(2)
/// recommends a limit).
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

/// `ssize_t read(int fd, void *buf, size_t count)`: tries again after EINTR.
pub fn read(fd: impl AsFd, buf: &mut [u8]) -> Result<usize> {
    again(|| nix::unistd::read(&fd, buf))
}

/// `ssize_t write(int fd, const void *buf, size_t count)`: tries again after EINTR.
pub fn write(fd: impl AsFd, buf: &[u8]) -> Result<usize> {
    again(|| nix::unistd::write(&fd, buf))
}

/// Repeats `call` until its result is not EINTR.
pub(crate) fn again<T>(mut call: impl FnMut() -> Result<T>) -> Result<T> {
    loop {
        match call() {
            Err(Errno::EINTR) => {}
            other => return other,
        }
    }
}

/// Writes all of `buf`. After a short write, writes the rest.
pub fn write_all(fd: impl AsFd, mut buf: &[u8]) -> Result<()> {
    while !buf.is_empty() {
        match write(&fd, buf)? {
            0 => return Err(Errno::EIO),
            n => buf = buf.get(n..).unwrap_or_default(),
        }
    }
    Ok(())
}

/// Reads a file to its end. EFBIG: the file has more than `limit` bytes. Parent only (heap).
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

/// Reads a regular file to its end. `expected` is its size, which may be out of date. Once that
/// many bytes are read, a read that leaves room in the buffer is taken for the last one, so
/// most files take one read. EFBIG: the file has more than `limit` bytes. Parent only (heap).
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

/// Reads once, into the spare capacity of `all`. Returns the number of bytes.
fn read_more(fd: impl AsFd, all: &mut Vec<u8>) -> Result<usize> {
    let fd = fd.as_fd().as_raw_fd();
    let spare = all.spare_capacity_mut();
    let n = again(|| {
        // SAFETY: the pointer and the length are those of the spare capacity, which the kernel
        // only writes. (nix's `read` wants it initialised, which costs a pass over the memory.)
        check(unsafe { libc::syscall(libc::SYS_read, fd, spare.as_mut_ptr(), spare.len()) })
    })? as usize;
    // SAFETY: read has initialised the first n bytes of the spare capacity, and n is at most its length.
    unsafe { all.set_len(all.len() + n) };
    Ok(n)
}

/// Reads a file that the kernel makes in one piece (single_open of seq_file.h):
/// most of procfs and cgroupfs, but no list of pids, mappings or mounts. A read that
/// leaves room in the buffer has reached the end, so one read is enough for most.
/// Parent only (heap).
pub fn read_piece(dir: impl AsFd, path: &CStr) -> Result<Vec<u8>> {
    let file = open_follow(dir, path, libc::O_RDONLY, 0)?;
    let mut piece = Vec::with_capacity(4096);
    while read_more(&file, &mut piece)? != 0 && piece.len() == piece.capacity() {
        piece.reserve(piece.len());
    }
    Ok(piece)
}

/// Reads the file at `path` to its end. EFBIG: it has more than `limit` bytes. Parent only (heap).
pub fn read_file(dir: impl AsFd, path: &CStr, limit: usize) -> Result<Vec<u8>> {
    read_all(open_follow(dir, path, libc::O_RDONLY, 0)?, limit)
}

/// Writes `content` to an existing file in one write, as procfs and cgroupfs require.
/// A short write is EIO.
pub fn write_file(dir: impl AsFd, path: &CStr, content: &[u8]) -> Result<()> {
    let file = open(dir, path, libc::O_WRONLY, 0)?;
    if write(file, content)? == content.len() { Ok(()) } else { Err(Errno::EIO) }
}

/// `int fstatat(int dirfd, const char *path, struct stat *st, int flags)`: follows a
/// symbolic link unless `flags` have AT_SYMLINK_NOFOLLOW.
pub fn stat_at(dir: impl AsFd, path: &CStr, flags: i32) -> Result<libc::stat> {
    nix::sys::stat::fstatat(dir, path, AtFlags::from_bits_retain(flags))
}

/// `int fstatfs(int fd, struct statfs *buf)`: returns `f_type`, the type of the file system
/// that the file is on. C libraries declare `f_type` differently; all values are positive.
#[allow(clippy::unnecessary_cast)] // The cast is necessary with musl.
pub fn filesystem(fd: impl AsFd) -> Result<i64> {
    Ok(nix::sys::statfs::fstatfs(fd)?.filesystem_type().0 as i64)
}

/// Returns the id of the mount that the file is on.
pub fn mount_id(fd: impl AsFd) -> Result<u64> {
    Ok(statx(fd, c"", libc::AT_EMPTY_PATH, libc::STATX_MNT_ID)?.stx_mnt_id)
}

/// Returns the id of the mount whose root the open file is; `None` if it is not the root of a mount.
/// STATX_ATTR_MOUNT_ROOT is known since 5.8.
pub fn mount_of_root(fd: impl AsFd) -> Result<Option<u64>> {
    let st = statx(fd, c"", libc::AT_EMPTY_PATH, libc::STATX_MNT_ID)?;
    let is_root = st.stx_attributes & libc::STATX_ATTR_MOUNT_ROOT as u64 != 0;
    Ok(is_root.then_some(st.stx_mnt_id))
}

/// Returns the mount id and the inode number of the file at a path.
pub fn place(path: &CStr) -> Result<(u64, u64)> {
    place_at(CWD, path, 0)
}

/// Returns the mount id and the inode number of an open file.
pub fn place_of(fd: impl AsFd) -> Result<(u64, u64)> {
    place_at(fd, c"", libc::AT_EMPTY_PATH)
}

/// Returns true if the file is the root of the mount that it is on. STATX_ATTR_MOUNT_ROOT is known since
/// 5.8.
pub fn is_mount_root(fd: impl AsFd) -> Result<bool> {
    const STATX_ATTR_MOUNT_ROOT: u64 = 0x2000;
    Ok(statx(fd, c"", libc::AT_EMPTY_PATH, 0)?.stx_attributes & STATX_ATTR_MOUNT_ROOT != 0)
}

fn place_at(dir: impl AsFd, path: &CStr, flags: i32) -> Result<(u64, u64)> {
    let st = statx(dir, path, flags, libc::STATX_INO | libc::STATX_MNT_ID)?;
    Ok((st.stx_mnt_id, st.stx_ino))
}

/// `int statx(int dir, const char *path, int flags, unsigned mask, struct statx *st)`:
/// STATX_MNT_ID is known since 5.8.
fn statx(dir: impl AsFd, path: &CStr, flags: i32, mask: u32) -> Result<libc::statx> {
    let mut st = MaybeUninit::<libc::statx>::uninit();
    let dir = dir.as_fd().as_raw_fd();
    // SAFETY: `path` is a C string, and `st` has the size of the struct statx that the call fills.
    check_int(unsafe { libc::statx(dir, path.as_ptr(), flags, mask, st.as_mut_ptr()) })?;
    // SAFETY: statx has succeeded, so it has filled the struct, for which any bytes are valid.
    Ok(unsafe { st.assume_init() })
}

/// `int fstatvfs(int fd, struct statvfs *buf)`: returns the ST_* flags of the mount
/// that the file is on, and of its file system.
pub fn mount_flags(fd: impl AsFd) -> Result<u64> {
    let mut st = MaybeUninit::<libc::statvfs>::uninit();
    // SAFETY: `st` has the size of the struct statvfs that the call fills.
    check_int(unsafe { libc::fstatvfs(fd.as_fd().as_raw_fd(), st.as_mut_ptr()) })?;
    // SAFETY: fstatvfs has succeeded, so it has filled the struct, for which any bytes are valid.
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
/// returns the part of `buf` that holds the link's target. A target longer than
/// `buf` is cut off.
pub fn readlink<'a>(dir: impl AsFd, path: &CStr, buf: &'a mut [u8]) -> Result<&'a [u8]> {
    // SAFETY: `path` is a C string, and the pointer and the length are those of one slice,
    // borrowed exclusively.
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

/// `int fchownat(int dirfd, const char *path, uid_t uid, gid_t gid, int flags)`: leaves an
/// id of `u32::MAX` unchanged. With an empty path and AT_EMPTY_PATH, changes `dir` itself,
/// which may be an O_PATH descriptor.
pub fn chown_at(dir: impl AsFd, path: &CStr, uid: u32, gid: u32, flags: i32) -> Result<()> {
    let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
    nix::unistd::fchownat(dir, path, Some(uid), Some(gid), AtFlags::from_bits_retain(flags))
}

/// `int fchmod(int fd, mode_t mode)`
pub fn chmod(fd: impl AsFd, mode: u32) -> Result<()> {
    nix::sys::stat::fchmod(fd, Mode::from_bits_retain(mode))
}

/// `int fchmodat(int dirfd, const char *path, mode_t mode, 0)`: follows symbolic links.
pub fn chmod_at(dir: impl AsFd, path: &CStr, mode: u32) -> Result<()> {
    nix::sys::stat::fchmodat(dir, path, Mode::from_bits_retain(mode), FchmodatFlags::FollowSymlink)
}

/// `int faccessat2(int dirfd, const char *path, int mode, int flags)`, since 5.8.
pub fn access(dir: impl AsFd, path: &CStr, mode: i32, flags: i32) -> Result<()> {
    // SAFETY: `path` is a C string, and the kernel only reads it.
    done(unsafe { libc::syscall(libc::SYS_faccessat2, dir.as_fd().as_raw_fd(), path.as_ptr(), mode, flags) })
}

/// `ssize_t fgetxattr(int fd, const char *name, void *value, size_t size)`: returns
/// the part of `buf` that holds the value. ENODATA: the file has no such attribute.
pub fn get_xattr<'a>(fd: impl AsFd, name: &CStr, buf: &'a mut [u8]) -> Result<&'a [u8]> {
    let fd = fd.as_fd().as_raw_fd();
    // SAFETY: `name` is a C string, and the pointer and the length are those of one slice,
    // borrowed exclusively.
    let n =
        check(unsafe { libc::syscall(libc::SYS_fgetxattr, fd, name.as_ptr(), buf.as_mut_ptr(), buf.len()) })?;
    Ok(buf.get(..n as usize).unwrap_or_default())
}

/// `int fsetxattr(int fd, const char *name, const void *value, size_t size, 0)`
pub fn set_xattr(fd: impl AsFd, name: &CStr, value: &[u8]) -> Result<()> {
    let fd = fd.as_fd().as_raw_fd();
    // SAFETY: `name` is a C string, and the pointer and the length are those of one slice, which
    // the kernel only reads.
    done(unsafe { libc::syscall(libc::SYS_fsetxattr, fd, name.as_ptr(), value.as_ptr(), value.len(), 0) })
}

/// `long getcwd(char *buf, size_t size)`: returns the part of `buf` that holds the path.
/// For a directory outside of the root, the raw call returns `(unreachable)/...`.
pub fn getcwd(buf: &mut [u8]) -> Result<&[u8]> {
    // SAFETY: the pointer and the length are those of one slice, borrowed exclusively.
    let n = check(unsafe { libc::syscall(libc::SYS_getcwd, buf.as_mut_ptr(), buf.len()) })?;
    // The length counts the terminating NUL.
    Ok(buf.get(..(n as usize).saturating_sub(1)).unwrap_or_default())
}

/// `mode_t umask(mode_t mask)`: sets the mask, and returns the former one. Only for a child, and for a program
/// with one thread.
pub fn umask(mask: u32) -> u32 {
    // Not nix's, which can panic: a panic formats, and this is the child.
    // SAFETY: umask(2) takes an integer and cannot fail.
    unsafe { libc::umask(mask) }
}

/// `int dup3(int old, int new, 0)`: makes `new` a copy of `old` that survives
/// execve. If they are the same, only clears close-on-exec. Child only: closes the
/// former `new`, even if it has an owner.
pub fn dup_onto(old: impl AsFd, new: RawFd) -> Result<()> {
    let number = old.as_fd().as_raw_fd();
    if number == new {
        return fcntl(old, FcntlArg::F_SETFD(FdFlag::empty())).map(drop);
    }
    // SAFETY: integers only, so the kernel gets no pointer.
    // In the child, no owner of the descriptor that `new` was runs again.
    done(unsafe { libc::syscall(libc::SYS_dup3, number, new, 0) })
}

/// `int fcntl(int fd, F_DUPFD_CLOEXEC, 0)`: duplicates a descriptor.
pub fn duplicate(file: impl AsFd) -> Result<OwnedFd> {
    new_fd(fcntl(file, FcntlArg::F_DUPFD_CLOEXEC(0))?.into())
}

/// `int fcntl(int fd, F_DUPFD_CLOEXEC, int least)`: duplicates a descriptor to the lowest free number
/// that is not below `least`.
pub fn duplicate_above(file: impl AsFd, least: RawFd) -> Result<OwnedFd> {
    new_fd(fcntl(file, FcntlArg::F_DUPFD_CLOEXEC(least))?.into())
}

/// `int fcntl(int fd, F_DUPFD_CLOEXEC, 0)`: duplicates a descriptor that the calling program was
/// started with, by its number. EBADF: it is not open.
pub fn duplicate_number(number: RawFd) -> Result<OwnedFd> {
    // SAFETY: integers only, so the kernel gets no pointer. The descriptor itself is left alone, so
    // it may have any owner.
    new_fd(unsafe { libc::syscall(libc::SYS_fcntl, number, libc::F_DUPFD_CLOEXEC, 0) })
}

/// Takes a descriptor that the calling program was started with, by its number, which is closed. The
/// descriptor must have no owner yet. EBADF: it is not open.
pub fn take_number(number: RawFd) -> Result<OwnedFd> {
    let taken = duplicate_number(number)?;
    close_range(number, number, 0)?;
    Ok(taken)
}

/// Returns the number that the next new descriptor will get. Child only: in a process
/// with threads the number would be out of date at once.
pub fn lowest_free() -> Result<RawFd> {
    Ok(duplicate(stdio(0))?.as_raw_fd())
}

/// `int pipe2(int fds[2], O_CLOEXEC)`: returns the read end and the write end.
pub fn pipe() -> Result<(OwnedFd, OwnedFd)> {
    nix::unistd::pipe2(OFlag::O_CLOEXEC)
}

/// Returns O_RDONLY, O_WRONLY or O_RDWR, as the file was opened (F_GETFL of fcntl(2)).
pub fn access_mode(fd: impl AsFd) -> Result<i32> {
    fcntl(fd, FcntlArg::F_GETFL).map(|flags| flags & libc::O_ACCMODE)
}

/// Returns true if descriptor number `fd` is open.
pub fn is_open(fd: RawFd) -> bool {
    // SAFETY: F_GETFD changes nothing, so it may be asked of a descriptor of any owner. A closed
    // number is EBADF.
    unsafe { libc::fcntl(fd, libc::F_GETFD) != -1 }
}

/// `int close_range(unsigned first, unsigned last, unsigned flags)`, since 5.9
/// (CLOSE_RANGE_CLOEXEC: 5.11). Closes descriptors even if they have owners, so it is for the child only,
/// and for numbers that have no owner ([`take_number`]).
pub fn close_range(first: RawFd, last: RawFd, flags: u32) -> Result<()> {
    if first > last {
        return Ok(());
    }
    // SAFETY: integers only, so the kernel gets no pointer.
    // In the child, no owner of these descriptors runs again. The caller of `take_number` promises that
    // its number has none.
    done(unsafe { libc::syscall(libc::SYS_close_range, first, last, flags) })
}

/// `int flock(int fd, int operation)`: tries again after EINTR.
pub fn flock(fd: impl AsFd, operation: i32) -> Result<()> {
    let fd = fd.as_fd().as_raw_fd();
    // SAFETY: integers only, so the kernel gets no pointer.
    // `fd` is borrowed during the call, so it is open.
    again(|| check_int(unsafe { libc::flock(fd, operation) })).map(drop)
}

/// `int poll(struct pollfd *fds, nfds_t n, int timeout)`: waits for one descriptor.
/// Returns the events that came, 0 after `timeout_ms` (-1: no limit).
pub fn poll(fd: impl AsFd, events: i16, timeout_ms: i32) -> Result<i16> {
    poll_many([Some((fd.as_fd(), events))], timeout_ms).map(|[events]| events)
}

/// The most bytes that [`write_parts`] writes: a path, and words around it.
const PARTS_MAX: usize = libc::PATH_MAX as usize + 512;

/// `ssize_t write(int fd, const void *buf, size_t count)`: writes the parts, up to 4,608 bytes
/// together, as one message. Joins them on the stack: writev(2) may not be among the calls that
/// the system call filter of the process allows, where write(2) is.
pub fn write_parts<const N: usize>(fd: impl AsFd, parts: [&[u8]; N]) -> Result<usize> {
    let mut joined = [0; PARTS_MAX];
    let mut rest = joined.as_mut_slice();
    for part in parts {
        let (space, behind) = rest.split_at_mut(part.len().min(rest.len()));
        space.copy_from_slice(part.get(..space.len()).unwrap_or_default());
        rest = behind;
    }
    let left = rest.len();
    write(fd, joined.get(..PARTS_MAX - left).unwrap_or_default())
}

/// `ssize_t pread(int fd, void *buf, size_t count, 0)`: reads a file that the kernel makes anew
/// for each read.
pub fn read_at_start(fd: impl AsFd, buf: &mut [u8]) -> Result<usize> {
    nix::sys::uio::pread(fd, buf, 0)
}

/// `int poll(struct pollfd *fds, nfds_t n, int timeout)`: returns the events of each
/// descriptor, 0 in the place of a `None`.
pub fn poll_many<const N: usize>(
    fds: [Option<(BorrowedFd<'_>, i16)>; N],
    timeout_ms: i32,
) -> Result<[i16; N]> {
    let mut entries = fds.map(|entry| {
        // poll(2) ignores a negative descriptor number, such as that of CWD.
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
