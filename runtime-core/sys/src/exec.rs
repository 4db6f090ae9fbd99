// SPDX-License-Identifier: Apache-2.0
//! execve(2) and the argument vectors that it wants.

use nix::errno::Errno;
use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, AsRawFd};
use std::ptr;

/// A null-terminated array of C strings, as execve takes it.
pub struct StringArray {
    /// Each with its NUL. Heap blocks: moving the struct moves no string.
    strings: Vec<Vec<u8>>,
    pointers: Vec<*const libc::c_char>,
}

impl std::fmt::Debug for StringArray {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.strings.iter().map(|s| String::from_utf8_lossy(s))).finish()
    }
}

// SAFETY: the pointers lead into `strings`, which the struct owns.
unsafe impl Send for StringArray {}
// SAFETY: as above; access through a shared reference only reads.
unsafe impl Sync for StringArray {}

impl StringArray {
    /// Parent only (heap).
    pub fn new(strings: Vec<CString>) -> Self {
        let strings: Vec<Vec<u8>> = strings.into_iter().map(CString::into_bytes_with_nul).collect();
        let pointers = strings.iter().map(|s| s.as_ptr().cast()).chain([ptr::null()]).collect();
        StringArray { strings, pointers }
    }

    /// Overwrites what follows the first `keep` bytes of string `index` with
    /// `tail`, in place. False, and nothing changed, if it is too long for that.
    pub fn patch(&mut self, index: usize, keep: usize, tail: &[u8]) -> bool {
        let (Some(string), Some(pointer)) = (self.strings.get_mut(index), self.pointers.get_mut(index))
        else {
            return false;
        };
        let Some(room) = string.get_mut(keep..) else { return false };
        let Some((text, [end, ..])) = room.split_at_mut_checked(tail.len()) else { return false };
        text.copy_from_slice(tail);
        *end = 0;
        *pointer = string.as_ptr().cast();
        true
    }

    fn as_ptr(&self) -> *const *const libc::c_char {
        self.pointers.as_ptr()
    }
}

/// `int execve(const char *path, char *const argv[], char *const envp[])`:
/// returns only on failure. Child only.
pub fn execve(path: &CStr, argv: &StringArray, envp: &StringArray) -> Errno {
    // SAFETY: a C string and two null-terminated arrays of C strings.
    unsafe { libc::syscall(libc::SYS_execve, path.as_ptr(), argv.as_ptr(), envp.as_ptr()) };
    Errno::last()
}

/// `int execveat(int fd, "", argv, envp, AT_EMPTY_PATH)`: executes what `fd`
/// refers to; returns only on failure. ENOENT for a script whose `fd` is
/// close-on-exec, because its interpreter could not open it again.
pub fn execve_fd(fd: impl AsFd, argv: &StringArray, envp: &StringArray) -> Errno {
    // SAFETY: as for execve.
    unsafe {
        libc::syscall(
            libc::SYS_execveat,
            fd.as_fd().as_raw_fd(),
            c"".as_ptr(),
            argv.as_ptr(),
            envp.as_ptr(),
            libc::AT_EMPTY_PATH,
        )
    };
    Errno::last()
}

/// `void _exit(int status)`: ends the process, running nothing on the way. Child only.
pub fn exit(status: i32) -> ! {
    // SAFETY: _exit runs no handlers, takes no locks and does not return.
    unsafe { libc::_exit(status) }
}
