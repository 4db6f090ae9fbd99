// SPDX-License-Identifier: Apache-2.0
//! ptrace(2), where nix's functions cannot report a stop by a realtime signal, or need a C library
//! that knows PTRACE_GET_SYSCALL_INFO.

use nix::Result;
use nix::errno::Errno;
use nix::unistd::Pid;

#[cfg(target_env = "gnu")]
type Request = libc::c_uint;
#[cfg(not(target_env = "gnu"))]
type Request = libc::c_int;

/// `pid_t waitpid(pid_t pid, int *status, __WALL)`: waits for one process, or for all (-1). Returns
/// the process and its status.
pub fn wait(pid: i32) -> Result<(Pid, i32)> {
    let mut status = 0;
    // SAFETY: the kernel writes an integer to `status`.
    let pid = unsafe { libc::waitpid(pid, &raw mut status, libc::__WALL) };
    Errno::result(pid).map(|pid| (Pid::from_raw(pid), status))
}

/// Resumes a process, with a signal unless it is 0 (PTRACE_CONT). ESRCH: it was killed meanwhile.
pub fn resume(pid: Pid, signal: i32) -> Result<()> {
    request(libc::PTRACE_CONT, pid, signal)
}

/// Resumes a process as [`resume`] does, until its next system call begins or ends
/// (PTRACE_SYSCALL).
pub fn resume_to_call(pid: Pid, signal: i32) -> Result<()> {
    request(libc::PTRACE_SYSCALL, pid, signal)
}

fn request(request: Request, pid: Pid, signal: i32) -> Result<()> {
    // SAFETY: these requests take integers only, and change no memory of this process.
    Errno::result(unsafe { libc::ptrace(request, pid.as_raw(), 0, signal) }).map(drop)
}

/// Returns the number of the system call at whose beginning a process has stopped
/// (PTRACE_GET_SYSCALL_INFO), `None` at the end of one.
pub fn beginning_call(pid: Pid) -> Option<u64> {
    const GET_SYSCALL_INFO: i32 = 0x420e;
    const ENTRY: u8 = 1;
    let mut info = [0u8; 128];
    // SAFETY: the pointer and the length are those of `info`, which the kernel only writes.
    let length = unsafe { libc::ptrace(GET_SYSCALL_INFO as _, pid.as_raw(), info.len(), info.as_mut_ptr()) };
    let number = info.get(24..32)?.try_into().ok()?;
    (length > 0 && info.first() == Some(&ENTRY)).then(|| u64::from_ne_bytes(number))
}
