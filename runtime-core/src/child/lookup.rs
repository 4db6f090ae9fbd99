// SPDX-License-Identifier: Apache-2.0
//! The lookup of the user's home and of the program inside the container.

use super::places::View;
use crate::boundary::plan::{HOME_MAX, Process, Program};
use crate::boundary::step::{Call, During, StepResult};
use crate::path::proc::is_kernels;
use crate::path::root::PathBuffer;
use nix::sys::stat::fstat;
use runtime_sys::exec::{execve, execve_fd};
use runtime_sys::{Errno, Result, fd, ignore};
use std::ffi::CStr;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

/// The limit of what is read of the image's passwd file, in bytes: hundreds of thousands of users.
const PASSWD_MAX: usize = 16 << 20;

/// Calls `found` with the home directory of `uid` in /etc/passwd, or with `/`. The file belongs to
/// the image: lines that are not in the format of passwd(5) are skipped, and a file that cannot be
/// read counts as empty.
pub(super) fn home<T>(view: &View<'_>, uid: u32, found: impl FnOnce(&[u8]) -> T) -> T {
    let mut line = Line::default();
    if let Ok(file) = open_passwd(view) {
        let mut buf = [0; 4096];
        let mut left = PASSWD_MAX;
        while let Ok(n @ 1..) = fd::read(&file, &mut buf) {
            for byte in buf.get(..n).unwrap_or_default() {
                if let Some(home) = line.push(*byte).and_then(|entry| home_in(entry, uid)) {
                    return found(home);
                }
            }
            left = match left.checked_sub(n) {
                Some(left) => left,
                None => return found(b"/"),
            };
        }
        // The last line may lack its newline.
        if let Some(home) = line.push(b'\n').and_then(|entry| home_in(entry, uid)) {
            return found(home);
        }
    }
    found(b"/")
}

/// Opens /etc/passwd if it is a regular file with content, and not in procfs or sysfs. Reading a
/// file of those can have effects on the host (/proc/kmsg returns the kernel's log only once), and
/// opening a device can, too.
fn open_passwd(view: &View<'_>) -> Result<OwnedFd> {
    let file = view.places.root.open(c"etc/passwd", libc::O_PATH)?;
    let st = fstat(&file)?;
    let is_readable = st.st_mode & libc::S_IFMT == libc::S_IFREG && st.st_size > 0;
    if !is_readable || is_kernels(fd::filesystem(&file)?) {
        return Err(Errno::EINVAL);
    }
    view.proc.reopen(&file, libc::O_RDONLY | libc::O_NONBLOCK)
}

/// Reads a passwd file for a few users; for the fuzz target.
#[cfg(feature = "fuzzing")]
pub(crate) fn parse_passwd(text: &[u8]) {
    let mut line = Line::default();
    for byte in text.iter().chain(b"\n") {
        if let Some(entry) = line.push(*byte) {
            for home in [0, 1, 1000].into_iter().filter_map(|uid| home_in(entry, uid)) {
                assert!(home.len() < HOME_MAX && !home.contains(&0));
            }
        }
    }
}

/// One line of the passwd file. A line that does not fit is skipped.
struct Line {
    text: [u8; HOME_MAX],
    len: usize,
    too_long: bool,
    done: bool,
}

impl Default for Line {
    fn default() -> Self {
        Line { text: [0; HOME_MAX], len: 0, too_long: false, done: false }
    }
}

impl Line {
    /// Takes one byte. Returns the whole line if the byte was its end.
    fn push(&mut self, byte: u8) -> Option<&[u8]> {
        if std::mem::take(&mut self.done) {
            self.len = 0;
            self.too_long = false;
        }
        if byte == b'\n' {
            self.done = true;
            return if self.too_long { None } else { self.text.get(..self.len) };
        }
        match self.text.get_mut(self.len) {
            Some(place) => {
                *place = byte;
                self.len += 1;
            }
            None => self.too_long = true,
        }
        None
    }
}

/// Returns the home of an entry `name:password:uid:gid:gecos:home:shell`, if the entry has this
/// `uid`.
fn home_in(entry: &[u8], uid: u32) -> Option<&[u8]> {
    let mut fields = entry.split(|b| *b == b':');
    let entry_uid = fields.nth(2)?;
    let home = fields.nth(2)?;
    if parse_u32(entry_uid)? != uid || home.is_empty() || home.contains(&0) { None } else { Some(home) }
}

fn parse_u32(text: &[u8]) -> Option<u32> {
    if text.is_empty() {
        return None;
    }
    text.iter().try_fold(0u32, |n, b| {
        let digit = b.checked_sub(b'0').filter(|d| *d < 10)?;
        n.checked_mul(10)?.checked_add(u32::from(digit))
    })
}

/// Finds the program, and puts its path into `buf`. Like execvp(3), skips a directory of the search
/// path in which the program must not be executed, and returns EACCES if no other has it.
pub(super) fn program<'a>(program: &'a Program, buf: &'a mut PathBuffer) -> StepResult<&'a CStr> {
    match program {
        Program::Path(path) => check(path).map(|()| path.as_ref()),
        Program::OfHost { path, file, .. } => {
            check_at(file, c"", libc::AT_EMPTY_PATH).map(|()| path.as_ref())
        }
        Program::Search { name, directories } => {
            let mut denied = None;
            let mut found = None;
            for (i, directory) in directories.iter().enumerate() {
                let Ok(path) = buf.join(directory.to_bytes(), name.to_bytes()) else { continue };
                match check(path) {
                    Ok(()) => {
                        found = Some(i);
                        break;
                    }
                    Err((Call::Access, errno)) => return Err((Call::Access, errno)),
                    Err((call, Errno::EACCES)) => denied = denied.or(Some(call)),
                    Err(_) => {}
                }
            }
            match found.and_then(|i| directories.get(i)) {
                Some(directory) => buf
                    .join(directory.to_bytes(), name.to_bytes())
                    .map_err(|errno| (Call::CheckProgram, errno)),
                None => Err(denied.map_or((Call::CheckProgram, Errno::ENOENT), |call| (call, Errno::EACCES))),
            }
        }
    }
}

/// Fails unless the process, with its current user, may execute the file.
fn check(path: &CStr) -> StepResult {
    check_at(fd::CWD, path, 0)
}

fn check_at(dir: impl AsFd, path: &CStr, flags: i32) -> StepResult {
    let st = fd::stat_at(&dir, path, flags).during(Call::CheckExecutable)?;
    if st.st_mode & libc::S_IFMT == libc::S_IFDIR {
        return Err((Call::CheckExecutable, Errno::EISDIR));
    }
    if st.st_mode & 0o111 == 0 {
        // With CAP_DAC_OVERRIDE, access(2) succeeds for some of these.
        return Err((Call::CheckMode, Errno::EACCES));
    }
    match fd::access(&dir, path, libc::X_OK, libc::AT_EACCESS | flags) {
        Err(Errno::EACCES) if is_noexec(&dir, path, flags) => Err((Call::CheckNoexec, Errno::EACCES)),
        // Caused by a filter of the host, not by the file.
        Err(errno @ (Errno::ENOSYS | Errno::EPERM)) => Err((Call::Access, errno)),
        result => result.during(Call::CheckExecutable),
    }
}

/// Returns true if the file is on a mount without executable files. False if that is unknown.
fn is_noexec(dir: impl AsFd, path: &CStr, flags: i32) -> bool {
    let mount_flags = match flags & libc::AT_EMPTY_PATH {
        0 => fd::open_follow(dir, path, libc::O_PATH, 0).and_then(fd::mount_flags),
        _ => fd::mount_flags(dir),
    };
    mount_flags.is_ok_and(|flags| flags & libc::ST_NOEXEC != 0)
}

/// Executes the program that [`program`] has found at `path`; returns only on failure.
pub(super) fn execute(path: &CStr, process: &Process) -> Errno {
    match &process.program {
        Program::OfHost { file, by_path, .. } if !(*by_path && is_at(path, file)) => {
            // Without close-on-exec, so that the interpreter of a script can open the file again.
            // If dup fails, the file stays close-on-exec and execveat reports the error.
            ignore(fd::dup_onto(file, file.as_raw_fd()));
            execve_fd(file, &process.args, &process.env)
        }
        _ => execve(path, &process.args, &process.env),
    }
}

fn is_at(path: &CStr, file: &OwnedFd) -> bool {
    let id = |st: libc::stat| (st.st_dev, st.st_ino);
    let there = fd::stat_at(fd::CWD, path, 0).map(id);
    there.is_ok() && there == fstat(file).map(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_home_of_a_uid_is_found() {
        let home = |entry: &str, uid| {
            home_in(entry.as_bytes(), uid).map(|h| String::from_utf8_lossy(h).into_owned())
        };
        assert_eq!(home("u:x:1000:1000:U,,,:/home/u:/bin/sh", 1000).as_deref(), Some("/home/u"));
        assert_eq!(home("u:x:1000:1000::/home/u", 1000).as_deref(), Some("/home/u"));
        assert_eq!(home("u:x:1000:1000::/home/u:/bin/sh", 100), None);
        assert_eq!(home("1000:x:0:0::/root:/bin/sh", 1000), None, "a name is not an id");
        for broken in ["", ":::", "u:x:1000", "u:x:+1:0:::", "u:x:99999999999:0::/x:", "u:x:1000:1000:::"] {
            assert_eq!(home(broken, 1000), None, "{broken}");
        }
    }

    #[test]
    fn long_lines_are_skipped_whole() {
        let mut line = Line::default();
        let mut lines = Vec::new();
        let text = format!("{}\nshort\n\nend\n", "x".repeat(5000));
        for byte in text.bytes() {
            if let Some(found) = line.push(byte) {
                lines.push(found.to_vec());
            }
        }
        assert_eq!(lines, [b"short".to_vec(), b"".to_vec(), b"end".to_vec()]);
    }
}
