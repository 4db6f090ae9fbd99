// SPDX-License-Identifier: Apache-2.0
//! What has to be true of a process before a program of ours begins.

use super::{Result, check_int, fd};
use std::ffi::{CStr, OsString, c_char, c_int};
use std::os::fd::{AsRawFd, IntoRawFd};
use std::os::unix::ffi::OsStringExt;

const DEV_NULL: &CStr = c"/dev/null";

/// Opens those of the descriptors 0, 1 and 2 that the caller has left closed:
/// or the next file that is opened would be standard output. Only in a program
/// with one thread.
pub(crate) fn open_standard_descriptors() -> Result<()> {
    let mut fds = [0, 1, 2].map(|fd| libc::pollfd { fd, events: 0, revents: 0 });
    // SAFETY: three whole pollfd; with no time to wait the call only looks.
    check_int(unsafe { libc::poll(fds.as_mut_ptr(), 3, 0) })?;
    for closed in fds.iter().filter(|fd| fd.revents & libc::POLLNVAL != 0) {
        // The lowest number that is free: this one, because those below it are open.
        let null = fd::open_follow(fd::CWD, DEV_NULL, libc::O_RDWR, 0)?;
        debug_assert_eq!(null.as_raw_fd(), closed.fd);
        let null = null.into_raw_fd();
        // SAFETY: a descriptor of our own, which stays open from now on.
        check_int(unsafe { libc::fcntl(null, libc::F_SETFD, 0) })?;
    }
    Ok(())
}

/// From now on, a write to a pipe that nobody reads is EPIPE, and not the end.
pub(crate) fn ignore_sigpipe() {
    // SAFETY: SIG_IGN is a valid disposition.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_IGN) };
}

/// The arguments of C's `main` (execve(2)).
///
/// # Safety
///
/// `arguments` are `count` pointers to C strings, which nobody writes to meanwhile.
pub(crate) unsafe fn arguments(count: c_int, arguments: *const *const c_char) -> Vec<OsString> {
    // SAFETY: the caller's.
    let arguments = unsafe { std::slice::from_raw_parts(arguments, usize::try_from(count).unwrap_or(0)) };
    // SAFETY: C strings, by the caller's promise.
    let bytes = |argument: &*const c_char| unsafe { CStr::from_ptr(*argument) }.to_bytes().to_vec();
    arguments.iter().map(bytes).map(OsString::from_vec).collect()
}

/// `int mallopt(M_ARENA_MAX, 1)` (mallopt(3)): a thread gets no heap of its own, for
/// which glibc makes five system calls. Other C libraries have one for all anyway.
pub(crate) fn share_the_heap() {
    #[cfg(target_env = "gnu")]
    // SAFETY: only sets a parameter of the allocator; there is one thread.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 1)
    };
}
