// SPDX-License-Identifier: Apache-2.0
//! `tmpcopyup`: copies the directory that a new tmpfs will cover into the tmpfs, before it is
//! attached.
//!
//! The files belong to the image. So no link is followed, no device is opened, and a tree deeper
//! than [`DEPTH_MAX`] is an error instead of a stack overflow.

use crate::boundary::step::{Call, During, StepResult};
use crate::path::proc::{Proc, is_kernels};
use nix::sys::stat::fstat;
use nix::unistd::symlinkat;
use runtime_sys::{Errno, dir, exe, fd};
use std::ffi::CStr;
use std::os::fd::OwnedFd;

/// The limit of nested directories. Each level takes a stack frame with a buffer.
const DEPTH_MAX: usize = 100;
/// The size of the buffer for directory entries, in bytes. The longest entry takes 280.
const NAMES: usize = 1024;

/// Copies the content of `from` to `to`. The directories themselves are not changed.
pub(super) fn copy(from: &OwnedFd, to: &OwnedFd, proc: &Proc) -> StepResult {
    copy_content(&open_dir(from, c".")?, &open_dir(to, c".")?, proc, DEPTH_MAX)
}

fn open_dir(dir: &OwnedFd, name: &CStr) -> StepResult<OwnedFd> {
    fd::open(dir, name, libc::O_RDONLY | libc::O_DIRECTORY, 0).during(Call::Open)
}

fn copy_content(from: &OwnedFd, to: &OwnedFd, proc: &Proc, depth: usize) -> StepResult {
    let depth = depth.checked_sub(1).ok_or((Call::CopyUp, Errno::ELOOP))?;
    if is_kernels(fd::filesystem(from).during(Call::Statfs)?) {
        // Reading a file of the kernel can have effects on the host.
        return Err((Call::CopyUp, Errno::EPERM));
    }
    let mut buf = [0; NAMES];
    loop {
        let names = dir::read_some(from, &mut buf).during(Call::Getdents)?;
        if names.is_empty() {
            return Ok(());
        }
        for (name, _) in names.filter(|(name, _)| *name != c"." && *name != c"..") {
            copy_entry(from, to, name, proc, depth)?;
        }
    }
}

fn copy_entry(from: &OwnedFd, to: &OwnedFd, name: &CStr, proc: &Proc, depth: usize) -> StepResult {
    let st = fd::stat_at(from, name, libc::AT_SYMLINK_NOFOLLOW).during(Call::Stat)?;
    match st.st_mode & libc::S_IFMT {
        libc::S_IFDIR => {
            fd::mkdir(to, name, 0o700).during(Call::Mkdir)?;
            let (from, to) = (open_dir(from, name)?, open_dir(to, name)?);
            copy_content(&from, &to, proc, depth)?;
            set_owner_and_mode(&to, &st)
        }
        libc::S_IFREG => copy_file(from, to, name, &st, proc),
        libc::S_IFLNK => {
            let mut target = [0; libc::PATH_MAX as usize];
            let len = fd::readlink(from, name, &mut target).during(Call::Readlink)?.len();
            let target = target.get(..=len).and_then(|bytes| CStr::from_bytes_with_nul(bytes).ok());
            symlinkat(target.ok_or((Call::Readlink, Errno::ENAMETOOLONG))?, to, name)
                .during(Call::Symlink)?;
            chown(to, name, &st)
        }
        _ => {
            fd::mknod(to, name, st.st_mode, st.st_rdev).during(Call::Mknod)?;
            chown(to, name, &st)
        }
    }
}

fn copy_file(from: &OwnedFd, to: &OwnedFd, name: &CStr, st: &libc::stat, proc: &Proc) -> StepResult {
    let file = fd::open(from, name, libc::O_PATH, 0).during(Call::Open)?;
    let now = fstat(&file).during(Call::Stat)?;
    if (now.st_dev, now.st_ino) != (st.st_dev, st.st_ino) {
        return Err((Call::CopyUp, Errno::EBUSY));
    }
    let source = proc.reopen(&file, libc::O_RDONLY | libc::O_NONBLOCK).during(Call::Open)?;
    let flags = libc::O_WRONLY | libc::O_CREAT | libc::O_EXCL;
    let target = fd::open(to, name, flags, 0o600).during(Call::Open)?;
    while exe::copy_some(&source, &target).during(Call::CopyUp)? > 0 {}
    set_owner_and_mode(&target, st)?;
    // After the change of owner, which clears the capability.
    let mut capability = [0; 64];
    match fd::get_xattr(&source, c"security.capability", &mut capability) {
        Ok(value) => fd::set_xattr(&target, c"security.capability", value).during(Call::SetXattr),
        Err(Errno::ENODATA | Errno::EOPNOTSUPP) => Ok(()),
        Err(errno) => Err((Call::SetXattr, errno)),
    }
}

fn chown(dir: &OwnedFd, name: &CStr, st: &libc::stat) -> StepResult {
    fd::chown_at(dir, name, st.st_uid, st.st_gid, libc::AT_SYMLINK_NOFOLLOW).during(Call::Chown)
}

fn set_owner_and_mode(file: &OwnedFd, st: &libc::stat) -> StepResult {
    fd::chown_at(file, c"", st.st_uid, st.st_gid, libc::AT_EMPTY_PATH).during(Call::Chown)?;
    fd::chmod(file, st.st_mode & 0o7777).during(Call::Chmod)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{FileTypeExt, PermissionsExt, symlink};
    use std::path::Path;

    fn opened(path: &Path) -> OwnedFd {
        fd::open(fd::CWD, &crate::path::c_path(path).unwrap(), libc::O_PATH | libc::O_DIRECTORY, 0).unwrap()
    }

    #[test]
    #[allow(clippy::disallowed_methods)]
    fn every_kind_of_file_is_copied() {
        let dir = tempfile::tempdir().unwrap();
        let (from, to) = (dir.path().join("from"), dir.path().join("to"));
        std::fs::create_dir_all(from.join("a/b/c")).unwrap();
        std::fs::create_dir(&to).unwrap();
        for i in 0..200 {
            std::fs::write(from.join(format!("a/{}{i}", "x".repeat(200))), "").unwrap();
        }
        let content = vec![7u8; 300_000];
        std::fs::write(from.join("a/b/file"), &content).unwrap();
        std::fs::set_permissions(from.join("a/b/file"), PermissionsExt::from_mode(0o4751)).unwrap();
        std::fs::set_permissions(from.join("a/b/c"), PermissionsExt::from_mode(0o1777)).unwrap();
        symlink("/nowhere", from.join("a/link")).unwrap();
        fd::mknod(opened(&from), c"fifo", libc::S_IFIFO | 0o640, 0).unwrap();
        copy(&opened(&from), &opened(&to), &Proc::host().unwrap()).unwrap();
        assert_eq!(std::fs::read(to.join("a/b/file")).unwrap(), content);
        let mode = |path: &str| to.join(path).symlink_metadata().unwrap().permissions().mode() & 0o7777;
        assert_eq!((mode("a/b/file"), mode("a/b/c")), (0o4751, 0o1777));
        assert_eq!(std::fs::read_link(to.join("a/link")).unwrap(), Path::new("/nowhere"));
        assert!(to.join("fifo").symlink_metadata().unwrap().file_type().is_fifo());
        assert_eq!(std::fs::read_dir(to.join("a")).unwrap().count(), 202);
    }

    #[test]
    fn a_file_system_of_the_kernel_is_refused() {
        let to = tempfile::tempdir().unwrap();
        let copied =
            copy(&opened(Path::new("/proc/sys/kernel/keys")), &opened(to.path()), &Proc::host().unwrap());
        assert_eq!(copied.unwrap_err(), (Call::CopyUp, Errno::EPERM));
    }

    #[test]
    #[allow(clippy::disallowed_methods)]
    fn a_tree_that_is_too_deep_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let (from, to) = (dir.path().join("from"), dir.path().join("to"));
        std::fs::create_dir_all(from.join("d/".repeat(DEPTH_MAX))).unwrap();
        std::fs::create_dir(&to).unwrap();
        assert_eq!(
            copy(&opened(&from), &opened(&to), &Proc::host().unwrap()).unwrap_err(),
            (Call::CopyUp, Errno::ELOOP)
        );
    }
}
