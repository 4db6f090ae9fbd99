// SPDX-License-Identifier: Apache-2.0
//! Descriptors and what is reached through them: opening, reading, describing.

use super::{Result, check, check_int, done, new_fd};
use nix::errno::Errno;
use std::ffi::CStr;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

/// The current working directory, in place of a directory descriptor.
pub(crate) const CWD: BorrowedFd<'static> = at_fdcwd();

const fn at_fdcwd() -> BorrowedFd<'static> {
    // SAFETY: AT_FDCWD is not -1, and as a constant of the ABI it is never closed.
    unsafe { BorrowedFd::borrow_raw(libc::AT_FDCWD) }
}

/// Standard input, output or error (0, 1, 2) of the calling process.
pub(crate) fn stdio(n: u8) -> BorrowedFd<'static> {
    debug_assert!(n < 3);
    // SAFETY: std's runtime makes sure that 0, 1 and 2 are open when a program
    // starts, and nothing in this crate closes them (it replaces them by dup3).
    unsafe { BorrowedFd::borrow_raw(RawFd::from(n)) }
}

/// `int openat(int dirfd, const char *path, int flags, mode_t mode)`, never
/// following a symbolic link in the last component. Close-on-exec.
pub(crate) fn open(dir: impl AsFd, path: &CStr, flags: i32, mode: u32) -> Result<OwnedFd> {
    open_follow(dir, path, flags | libc::O_NOFOLLOW, mode)
}

/// As [`open`], but a link in the last component is followed: for paths that
/// the administrator or the engine controls, never below a rootfs.
pub(crate) fn open_follow(dir: impl AsFd, path: &CStr, flags: i32, mode: u32) -> Result<OwnedFd> {
    // SAFETY: `path` is a C string; openat only reads it.
    new_fd(unsafe {
        libc::syscall(
            libc::SYS_openat,
            dir.as_fd().as_raw_fd(),
            path.as_ptr(),
            flags | libc::O_CLOEXEC | libc::O_LARGEFILE,
            mode,
        )
    })
}

/// How [`openat2`] resolves a path: RESOLVE_* of openat2(2).
pub(crate) mod resolve {
    pub(crate) const NO_XDEV: u64 = 0x01;
    pub(crate) const NO_MAGICLINKS: u64 = 0x02;
    pub(crate) const NO_SYMLINKS: u64 = 0x04;
    pub(crate) const BENEATH: u64 = 0x08;
    pub(crate) const IN_ROOT: u64 = 0x10;
}

/// `long openat2(int dirfd, const char *path, struct open_how *how, size_t size)`,
/// since 5.6. Close-on-exec. EAGAIN means that a rename raced with `..` below the
/// root; it is tried again a bounded number of times, as openat2(2) asks.
pub(crate) fn openat2(dir: impl AsFd, path: &CStr, flags: i32, mode: u32, resolve: u64) -> Result<OwnedFd> {
    #[repr(C)]
    struct OpenHow {
        flags: u64,
        mode: u64,
        resolve: u64,
    }
    let how = OpenHow { flags: (flags | libc::O_CLOEXEC) as u64, mode: u64::from(mode), resolve };
    let mut tries = 0;
    loop {
        // SAFETY: `path` is a C string and `how` a whole open_how; both outlive the call.
        let fd = new_fd(unsafe {
            libc::syscall(
                libc::SYS_openat2,
                dir.as_fd().as_raw_fd(),
                path.as_ptr(),
                &raw const how,
                size_of::<OpenHow>(),
            )
        });
        match fd {
            Err(Errno::EAGAIN | Errno::EINTR) if tries < 128 => tries += 1,
            other => return other,
        }
    }
}

/// `ssize_t read(int fd, void *buf, size_t count)`, tried again after EINTR.
pub(crate) fn read(fd: impl AsFd, buf: &mut [u8]) -> Result<usize> {
    loop {
        // SAFETY: the buffer is valid for writes of its length.
        let n = unsafe { libc::syscall(libc::SYS_read, fd.as_fd().as_raw_fd(), buf.as_mut_ptr(), buf.len()) };
        match check(n) {
            Err(Errno::EINTR) => {}
            other => return other.map(|n| n as usize),
        }
    }
}

/// `ssize_t write(int fd, const void *buf, size_t count)`, tried again after EINTR.
pub(crate) fn write(fd: impl AsFd, buf: &[u8]) -> Result<usize> {
    loop {
        // SAFETY: the buffer is valid for reads of its length.
        let n = unsafe { libc::syscall(libc::SYS_write, fd.as_fd().as_raw_fd(), buf.as_ptr(), buf.len()) };
        match check(n) {
            Err(Errno::EINTR) => {}
            other => return other.map(|n| n as usize),
        }
    }
}

/// Writes all of `buf`; a short write goes on with the rest.
pub(crate) fn write_all(fd: impl AsFd, mut buf: &[u8]) -> Result<()> {
    while !buf.is_empty() {
        match write(&fd, buf)? {
            0 => return Err(Errno::EIO),
            n => buf = buf.get(n..).unwrap_or_default(),
        }
    }
    Ok(())
}

/// Reads to the end of a file, at most `limit` bytes: EFBIG beyond. Parent only (heap).
pub(crate) fn read_all(fd: impl AsFd, limit: usize) -> Result<Vec<u8>> {
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
pub(crate) fn read_expected(fd: impl AsFd, expected: usize, limit: usize) -> Result<Vec<u8>> {
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
    let spare = all.spare_capacity_mut();
    loop {
        // SAFETY: the spare capacity is valid for writes of its length.
        let n =
            unsafe { libc::syscall(libc::SYS_read, fd.as_fd().as_raw_fd(), spare.as_mut_ptr(), spare.len()) };
        match check(n) {
            Ok(n) => {
                // SAFETY: read has just initialised the first n bytes of the spare capacity.
                unsafe { all.set_len(all.len() + n as usize) };
                return Ok(n as usize);
            }
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno),
        }
    }
}

/// Reads a file that the kernel writes in one piece (single_open of seq_file.h):
/// most of procfs and cgroupfs, but no list of pids, mappings or mounts. A read that
/// leaves room has come to the end, so it takes one. Parent only (heap).
pub(crate) fn read_piece(dir: impl AsFd, path: &CStr) -> Result<Vec<u8>> {
    let file = open_follow(dir, path, libc::O_RDONLY, 0)?;
    let mut piece = Vec::with_capacity(4096);
    while read_more(&file, &mut piece)? != 0 && piece.len() == piece.capacity() {
        piece.reserve(piece.len());
    }
    Ok(piece)
}

/// Opens `path`, reads all of it, closes it. Parent only (heap).
pub(crate) fn read_file(dir: impl AsFd, path: &CStr, limit: usize) -> Result<Vec<u8>> {
    read_all(open_follow(dir, path, libc::O_RDONLY, 0)?, limit)
}

/// Opens an existing file for writing and writes `content` in one piece: the
/// way of procfs and cgroupfs. A short write is EIO.
pub(crate) fn write_file(dir: impl AsFd, path: &CStr, content: &[u8]) -> Result<()> {
    let file = open(dir, path, libc::O_WRONLY, 0)?;
    if write(file, content)? == content.len() { Ok(()) } else { Err(Errno::EIO) }
}

/// `int fstatat(int dirfd, const char *path, struct stat *st, int flags)`; a
/// symbolic link is described, not followed, unless `flags` say otherwise.
pub(crate) fn stat_at(dir: impl AsFd, path: &CStr, flags: i32) -> Result<libc::stat> {
    let mut st = MaybeUninit::uninit();
    // SAFETY: `path` is a C string, `st` has room for a struct stat.
    check_int(unsafe { libc::fstatat(dir.as_fd().as_raw_fd(), path.as_ptr(), st.as_mut_ptr(), flags) })?;
    // SAFETY: fstatat has succeeded, so it has filled the struct.
    Ok(unsafe { st.assume_init() })
}

/// `int fstat(int fd, struct stat *st)`; works on O_PATH descriptors too.
pub(crate) fn stat(fd: impl AsFd) -> Result<libc::stat> {
    stat_at(fd, c"", libc::AT_EMPTY_PATH)
}

/// `f_type` of `int fstatfs(int fd, struct statfs *buf)`: which kind of file system
/// it is on. C libraries do not agree on its type; all values are positive.
#[allow(clippy::unnecessary_cast)] // Not with musl.
pub(crate) fn filesystem(fd: impl AsFd) -> Result<i64> {
    let mut st = MaybeUninit::<libc::statfs>::uninit();
    // SAFETY: `st` has room for a struct statfs.
    check_int(unsafe { libc::fstatfs(fd.as_fd().as_raw_fd(), st.as_mut_ptr()) })?;
    // SAFETY: fstatfs has succeeded, so it has filled the struct.
    Ok(unsafe { st.assume_init() }.f_type as i64)
}

/// `int statx(int fd, "", AT_EMPTY_PATH, STATX_MNT_ID, struct statx *st)`, since
/// 5.8: the id of the mount that the descriptor is on.
pub(crate) fn mount_id(fd: impl AsFd) -> Result<u64> {
    let mut st = MaybeUninit::<libc::statx>::uninit();
    let (fd, flags) = (fd.as_fd().as_raw_fd(), libc::AT_EMPTY_PATH);
    // SAFETY: the path is a C string, `st` has room for a struct statx.
    check_int(unsafe { libc::statx(fd, c"".as_ptr(), flags, libc::STATX_MNT_ID, st.as_mut_ptr()) })?;
    // SAFETY: statx has succeeded, so it has filled the struct.
    Ok(unsafe { st.assume_init() }.stx_mnt_id)
}

/// The mount that the directory at a path is on, and its number there.
pub(crate) fn place(path: &CStr) -> Result<(u64, u64)> {
    place_at(CWD, path, 0)
}

/// As [`place`], of an opened file.
pub(crate) fn place_of(fd: impl AsFd) -> Result<(u64, u64)> {
    place_at(fd, c"", libc::AT_EMPTY_PATH)
}

/// `int statx(int dir, path, flags, STATX_INO | STATX_MNT_ID, struct statx *st)`, since 5.8.
fn place_at(dir: impl AsFd, path: &CStr, flags: i32) -> Result<(u64, u64)> {
    let mut st = MaybeUninit::<libc::statx>::uninit();
    let mask = libc::STATX_INO | libc::STATX_MNT_ID;
    let dir = dir.as_fd().as_raw_fd();
    // SAFETY: `path` is a C string, `st` has room for a struct statx.
    check_int(unsafe { libc::statx(dir, path.as_ptr(), flags, mask, st.as_mut_ptr()) })?;
    // SAFETY: statx has succeeded, so it has filled the struct.
    let st = unsafe { st.assume_init() };
    Ok((st.stx_mnt_id, st.stx_ino))
}

/// `int fstatvfs(int fd, struct statvfs *buf)`: the ST_* flags of the mount that
/// the file is on, and of its file system.
pub(crate) fn mount_flags(fd: impl AsFd) -> Result<u64> {
    let mut st = MaybeUninit::<libc::statvfs>::uninit();
    // SAFETY: `st` has room for a struct statvfs.
    check_int(unsafe { libc::fstatvfs(fd.as_fd().as_raw_fd(), st.as_mut_ptr()) })?;
    // SAFETY: fstatvfs has succeeded, so it has filled the struct.
    Ok(unsafe { st.assume_init() }.f_flag)
}

/// `int mkdirat(int dirfd, const char *path, mode_t mode)`
pub(crate) fn mkdir(dir: impl AsFd, path: &CStr, mode: u32) -> Result<()> {
    // SAFETY: `path` is a C string.
    done(unsafe { libc::syscall(libc::SYS_mkdirat, dir.as_fd().as_raw_fd(), path.as_ptr(), mode) })
}

/// `int mknodat(int dirfd, const char *path, mode_t mode, dev_t dev)`
pub(crate) fn mknod(dir: impl AsFd, path: &CStr, mode: u32, dev: u64) -> Result<()> {
    // SAFETY: `path` is a C string.
    check_int(unsafe { libc::mknodat(dir.as_fd().as_raw_fd(), path.as_ptr(), mode, dev) }).map(drop)
}

/// `int symlinkat(const char *target, int dirfd, const char *path)`
pub(crate) fn symlink(target: &CStr, dir: impl AsFd, path: &CStr) -> Result<()> {
    // SAFETY: both are C strings.
    done(unsafe {
        libc::syscall(libc::SYS_symlinkat, target.as_ptr(), dir.as_fd().as_raw_fd(), path.as_ptr())
    })
}

/// `int unlinkat(int dirfd, const char *path, int flags)`
pub(crate) fn unlink(dir: impl AsFd, path: &CStr, flags: i32) -> Result<()> {
    // SAFETY: `path` is a C string.
    done(unsafe { libc::syscall(libc::SYS_unlinkat, dir.as_fd().as_raw_fd(), path.as_ptr(), flags) })
}

/// `int renameat(int olddirfd, const char *old, int newdirfd, const char *new)`
pub(crate) fn rename(old_dir: impl AsFd, old: &CStr, new_dir: impl AsFd, new: &CStr) -> Result<()> {
    // SAFETY: both are C strings.
    check_int(unsafe {
        libc::renameat(old_dir.as_fd().as_raw_fd(), old.as_ptr(), new_dir.as_fd().as_raw_fd(), new.as_ptr())
    })
    .map(drop)
}

/// `ssize_t readlinkat(int dirfd, const char *path, char *buf, size_t size)`:
/// the part of `buf` that holds the link's text (cut off at its length).
pub(crate) fn readlink<'a>(dir: impl AsFd, path: &CStr, buf: &'a mut [u8]) -> Result<&'a [u8]> {
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
pub(crate) fn chown_at(dir: impl AsFd, path: &CStr, uid: u32, gid: u32, flags: i32) -> Result<()> {
    // SAFETY: `path` is a C string.
    done(unsafe {
        libc::syscall(libc::SYS_fchownat, dir.as_fd().as_raw_fd(), path.as_ptr(), uid, gid, flags)
    })
}

/// `int fchmod(int fd, mode_t mode)`
pub(crate) fn chmod(fd: impl AsFd, mode: u32) -> Result<()> {
    // SAFETY: plain integers.
    done(unsafe { libc::syscall(libc::SYS_fchmod, fd.as_fd().as_raw_fd(), mode) })
}

/// `int fchmodat(int dirfd, const char *path, mode_t mode, 0)`, which follows links.
pub(crate) fn chmod_at(dir: impl AsFd, path: &CStr, mode: u32) -> Result<()> {
    // SAFETY: `path` is a C string.
    done(unsafe { libc::syscall(libc::SYS_fchmodat, dir.as_fd().as_raw_fd(), path.as_ptr(), mode) })
}

/// `int faccessat2(int dirfd, const char *path, int mode, int flags)`, since 5.8.
pub(crate) fn access(dir: impl AsFd, path: &CStr, mode: i32, flags: i32) -> Result<()> {
    // SAFETY: `path` is a C string.
    done(unsafe { libc::syscall(libc::SYS_faccessat2, dir.as_fd().as_raw_fd(), path.as_ptr(), mode, flags) })
}

/// `ssize_t fgetxattr(int fd, const char *name, void *value, size_t size)`: the
/// part of `buf` that holds it. ENODATA: there is none.
pub(crate) fn get_xattr<'a>(fd: impl AsFd, name: &CStr, buf: &'a mut [u8]) -> Result<&'a [u8]> {
    let fd = fd.as_fd().as_raw_fd();
    // SAFETY: `name` is a C string, the buffer is valid for writes of its length.
    let n =
        check(unsafe { libc::syscall(libc::SYS_fgetxattr, fd, name.as_ptr(), buf.as_mut_ptr(), buf.len()) })?;
    Ok(buf.get(..n as usize).unwrap_or_default())
}

/// `int fsetxattr(int fd, const char *name, const void *value, size_t size, 0)`
pub(crate) fn set_xattr(fd: impl AsFd, name: &CStr, value: &[u8]) -> Result<()> {
    let fd = fd.as_fd().as_raw_fd();
    // SAFETY: `name` is a C string, the value is valid for reads of its length.
    done(unsafe { libc::syscall(libc::SYS_fsetxattr, fd, name.as_ptr(), value.as_ptr(), value.len(), 0) })
}

/// `int fchdir(int fd)`. Child only: the working directory belongs to the process.
pub(crate) fn chdir_fd(fd: impl AsFd) -> Result<()> {
    // SAFETY: plain integers.
    done(unsafe { libc::syscall(libc::SYS_fchdir, fd.as_fd().as_raw_fd()) })
}

/// `int chdir(const char *path)`. Child only.
pub(crate) fn chdir(path: &CStr) -> Result<()> {
    // SAFETY: `path` is a C string.
    done(unsafe { libc::syscall(libc::SYS_chdir, path.as_ptr()) })
}

/// `int chroot(const char *path)`. Child only.
pub(crate) fn chroot(path: &CStr) -> Result<()> {
    // SAFETY: `path` is a C string.
    done(unsafe { libc::syscall(libc::SYS_chroot, path.as_ptr()) })
}

/// `long getcwd(char *buf, size_t size)`: the part of `buf` that holds the path.
/// The raw call answers `(unreachable)/...` for a directory outside of the root.
pub(crate) fn getcwd(buf: &mut [u8]) -> Result<&[u8]> {
    // SAFETY: the buffer is valid for writes of its length.
    let n = check(unsafe { libc::syscall(libc::SYS_getcwd, buf.as_mut_ptr(), buf.len()) })?;
    // The length counts the terminating NUL.
    Ok(buf.get(..(n as usize).saturating_sub(1)).unwrap_or_default())
}

/// `mode_t umask(mode_t mask)`: the old one. Child only.
pub(crate) fn umask(mask: u32) -> u32 {
    // SAFETY: plain integers; umask cannot fail.
    unsafe { libc::syscall(libc::SYS_umask, mask) as u32 }
}

/// `int dup3(int old, int new, 0)`: makes `new` a copy of `old` that survives
/// execve; if they are the same, only clears close-on-exec. Child only: what was
/// `new` is gone.
pub(crate) fn dup_onto(old: impl AsFd, new: RawFd) -> Result<()> {
    let old = old.as_fd().as_raw_fd();
    if old == new {
        // SAFETY: plain integers.
        return check_int(unsafe { libc::fcntl(old, libc::F_SETFD, 0) }).map(drop);
    }
    // SAFETY: plain integers. The caller gives up whatever `new` was.
    done(unsafe { libc::syscall(libc::SYS_dup3, old, new, 0) })
}

/// `int fcntl(int fd, F_DUPFD_CLOEXEC, 0)`: the same open file by another number.
pub(crate) fn duplicate(file: impl AsFd) -> Result<OwnedFd> {
    // SAFETY: plain integers.
    new_fd(check_int(unsafe { libc::fcntl(file.as_fd().as_raw_fd(), libc::F_DUPFD_CLOEXEC, 0) })?.into())
}

/// The number that the next new descriptor will have. Child only: in a process
/// with threads it would be out of date at once.
pub(crate) fn lowest_free() -> Result<RawFd> {
    // SAFETY: copies a descriptor to a new number, which is closed right here.
    let fd = new_fd(check_int(unsafe { libc::fcntl(0, libc::F_DUPFD_CLOEXEC, 0) })?.into())?;
    Ok(fd.as_raw_fd())
}

/// `int pipe2(int fds[2], O_CLOEXEC)`: the end to read from, the end to write to.
pub(crate) fn pipe() -> Result<(OwnedFd, OwnedFd)> {
    let mut fds = [0; 2];
    // SAFETY: `fds` has room for two descriptors.
    check_int(unsafe { libc::pipe2(fds.as_mut_ptr(), libc::O_CLOEXEC) })?;
    Ok((new_fd(fds[0].into())?, new_fd(fds[1].into())?))
}

/// O_RDONLY, O_WRONLY or O_RDWR, as the descriptor was opened (F_GETFL of fcntl(2)).
pub(crate) fn access_mode(fd: impl AsFd) -> Result<i32> {
    // SAFETY: F_GETFL only asks.
    check_int(unsafe { libc::fcntl(fd.as_fd().as_raw_fd(), libc::F_GETFL) }).map(|f| f & libc::O_ACCMODE)
}

/// True if descriptor number `fd` is open.
pub(crate) fn is_open(fd: RawFd) -> bool {
    // SAFETY: F_GETFD only asks; a closed number is EBADF.
    unsafe { libc::fcntl(fd, libc::F_GETFD) != -1 }
}

/// `int close_range(unsigned first, unsigned last, unsigned flags)`, since 5.9
/// (CLOSE_RANGE_CLOEXEC: 5.11). Child only: it closes what others may own.
pub(crate) fn close_range(first: RawFd, last: RawFd, flags: u32) -> Result<()> {
    if first > last {
        return Ok(());
    }
    // SAFETY: plain integers. In the child no owner of these descriptors runs again.
    done(unsafe { libc::syscall(libc::SYS_close_range, first, last, flags) })
}

/// `int flock(int fd, int operation)`, tried again after EINTR.
pub(crate) fn flock(fd: impl AsFd, operation: i32) -> Result<()> {
    loop {
        // SAFETY: plain integers.
        match check_int(unsafe { libc::flock(fd.as_fd().as_raw_fd(), operation) }) {
            Err(Errno::EINTR) => {}
            other => return other.map(drop),
        }
    }
}

/// `int poll(struct pollfd *fds, nfds_t n, int timeout)` on one descriptor:
/// the events that came, 0 after `timeout_ms` (-1: wait for ever).
pub(crate) fn poll(fd: impl AsFd, events: i16, timeout_ms: i32) -> Result<i16> {
    let mut entry = libc::pollfd { fd: fd.as_fd().as_raw_fd(), events, revents: 0 };
    loop {
        // SAFETY: one valid pollfd.
        match check_int(unsafe { libc::poll(&raw mut entry, 1, timeout_ms) }) {
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno),
            Ok(_) => return Ok(entry.revents),
        }
    }
}

/// `ssize_t writev(int fd, const struct iovec *iov, int n)`
pub(crate) fn write_parts<const N: usize>(fd: impl AsFd, parts: [&[u8]; N]) -> Result<usize> {
    let iov =
        parts.map(|part| libc::iovec { iov_base: part.as_ptr().cast_mut().cast(), iov_len: part.len() });
    // SAFETY: the parts outlive the call, which only reads them.
    let n = unsafe { libc::syscall(libc::SYS_writev, fd.as_fd().as_raw_fd(), iov.as_ptr(), N) };
    check(n).map(|n| n as usize)
}

/// `ssize_t pread(int fd, void *buf, size_t count, 0)`: for files that are made anew at each read.
pub(crate) fn read_at_start(fd: impl AsFd, buf: &mut [u8]) -> Result<usize> {
    // SAFETY: the buffer is valid for writes of its length.
    let n = unsafe {
        libc::syscall(libc::SYS_pread64, fd.as_fd().as_raw_fd(), buf.as_mut_ptr(), buf.len(), 0i64)
    };
    check(n).map(|n| n as usize)
}

/// `int poll(struct pollfd *fds, nfds_t n, int timeout)`: the events of each, 0
/// for those that `None` leaves out.
pub(crate) fn poll_many<const N: usize>(
    fds: [Option<(BorrowedFd<'_>, i16)>; N],
    timeout_ms: i32,
) -> Result<[i16; N]> {
    let mut entries = fds.map(|entry| match entry {
        Some((fd, events)) => libc::pollfd { fd: fd.as_raw_fd(), events, revents: 0 },
        // A negative number is passed over.
        None => libc::pollfd { fd: -1, events: 0, revents: 0 },
    });
    loop {
        // SAFETY: N valid pollfds.
        match check_int(unsafe { libc::poll(entries.as_mut_ptr(), N as libc::nfds_t, timeout_ms) }) {
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno),
            Ok(_) => return Ok(entries.map(|entry| entry.revents)),
        }
    }
}

/// Makes reads and writes return EAGAIN instead of waiting (O_NONBLOCK).
pub(crate) fn set_nonblocking(fd: impl AsFd) -> Result<()> {
    let fd = fd.as_fd().as_raw_fd();
    // SAFETY: F_GETFL only asks.
    let flags = check_int(unsafe { libc::fcntl(fd, libc::F_GETFL) })?;
    // SAFETY: plain integers.
    check_int(unsafe { libc::fcntl(fd, libc::F_SETFL, flags | libc::O_NONBLOCK) }).map(drop)
}
