// SPDX-License-Identifier: Apache-2.0
//! execve(2) and its argument vectors.

use nix::errno::Errno;
use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, AsRawFd};
use std::ptr;

/// A null-terminated array of C strings for execve.
pub struct StringArray {
    /// The strings, each with its NUL. They are heap blocks, so moving the struct does not move them.
    strings: Vec<Vec<u8>>,
    pointers: Vec<*const libc::c_char>,
}

impl std::fmt::Debug for StringArray {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.strings.iter().map(|s| String::from_utf8_lossy(s))).finish()
    }
}

// SAFETY: the pointers lead to the heap blocks of `strings`, which move with the struct to the
// other thread and have no other owner.
unsafe impl Send for StringArray {}
// SAFETY: only `patch` changes the strings, and it takes the struct by an exclusive reference.
unsafe impl Sync for StringArray {}

impl StringArray {
    /// Makes the array. Parent only (heap).
    pub fn new(strings: Vec<CString>) -> Self {
        let strings: Vec<Vec<u8>> = strings.into_iter().map(CString::into_bytes_with_nul).collect();
        let pointers = strings.iter().map(|s| s.as_ptr().cast()).chain([ptr::null()]).collect();
        StringArray { strings, pointers }
    }

    /// Returns the strings, each without its NUL.
    pub fn strings(&self) -> impl Iterator<Item = &[u8]> {
        self.strings.iter().map(|string| string.split(|byte| *byte == 0).next().unwrap_or_default())
    }

    /// Overwrites what follows the first `keep` bytes of string `index` with
    /// `tail`, in place. Returns false, and changes nothing, if the string has no
    /// room for `tail`.
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
    // SAFETY: `path` is a C string, and a `StringArray` is a null-terminated array of C strings,
    // all of which are borrowed during the call.
    unsafe { libc::syscall(libc::SYS_execve, path.as_ptr(), argv.as_ptr(), envp.as_ptr()) };
    Errno::last()
}

/// `int execveat(int fd, "", argv, envp, AT_EMPTY_PATH)`: executes the file that
/// `fd` refers to. Returns only on failure. ENOENT: the file is a script and `fd`
/// is close-on-exec, so the script's interpreter could not open the file.
pub fn execve_fd(fd: impl AsFd, argv: &StringArray, envp: &StringArray) -> Errno {
    // SAFETY: as in `execve`, with an empty C string as the path.
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

/// `void exit_group(int status)`: ends the process without running destructors or exit handlers.
/// Child only.
///
/// Under a system call filter that forbids it, abort(3) ends the process, if need be by an
/// instruction that the CPU refuses. (musl's _exit(2) would repeat the call for ever.)
pub fn exit(status: i32) -> ! {
    // SAFETY: an integer only. The call runs no handlers and takes no locks, so the state of other
    // threads does not matter.
    unsafe { libc::syscall(libc::SYS_exit_group, status) };
    std::process::abort()
}
