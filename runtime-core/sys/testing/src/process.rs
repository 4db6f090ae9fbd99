// SPDX-License-Identifier: Apache-2.0
//! Processes that are copies of their parent, and their end.

use nix::Result;
use nix::errno::Errno;
use nix::sched::CloneFlags;
use nix::sys::signal::{SigHandler, Signal, signal};
use nix::unistd::{ForkResult, Pid};
use std::ffi::{CStr, c_char};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::null;

pub use runtime_sys::exec::exit;

/// The exit status of a child whose function has panicked.
pub const PANICKED: i32 = 101;

/// `pid_t fork(void)`: starts a process that calls `child` and exits with the result, or with
/// [`PANICKED`]. It runs no exit handlers.
///
/// The caller promises: `child` takes no lock that another thread of this program may hold. The C
/// library sees to it that the heap works in the child.
pub fn fork(child: impl FnOnce() -> i32) -> Result<Pid> {
    // SAFETY: the caller's promise. The child never returns into the caller's code.
    match unsafe { nix::unistd::fork() }? {
        ForkResult::Parent { child } => Ok(child),
        ForkResult::Child => exit(catch_unwind(AssertUnwindSafe(child)).unwrap_or(PANICKED)),
    }
}

unsafe extern "C" {
    /// No longer in POSIX, but in the C library.
    fn ualarm(micros: u32, interval: u32) -> u32;
}

/// Ends the process by SIGALRM after a number of microseconds.
pub fn end_after(micros: u32) {
    // SAFETY: the function takes integers.
    unsafe { ualarm(micros, 0) };
}

/// Replaces the calling process by its child, so that its pid changes: forks, and the parent exits.
///
/// The caller promises: the program has one thread.
pub fn change_pid() -> Result<()> {
    // SAFETY: the caller's promise.
    match unsafe { nix::unistd::fork() }? {
        ForkResult::Parent { .. } => exit(0),
        ForkResult::Child => Ok(()),
    }
}

/// Starts a process that exits at once, and whose parent is the caller's parent (CLONE_PARENT), as that
/// of a restore by CRIU is.
///
/// The caller promises: its parent waits for the process.
pub fn clone_sibling() -> Result<Pid> {
    let stack = Box::leak(vec![0; 1 << 16].into_boxed_slice());
    // SAFETY: the child has a copy of this memory and a stack of its own, and only exits.
    unsafe { nix::sched::clone(Box::new(|| 0), stack, CloneFlags::CLONE_PARENT, Some(libc::SIGCHLD)) }
}

/// Starts a process as [`fork`] does, but one that shares the caller's descriptor table
/// (CLONE_FILES).
///
/// The caller promises: the program has one thread.
pub fn fork_sharing_files(mut child: impl FnMut() -> i32) -> Result<Pid> {
    let stack = Box::leak(vec![0; 1 << 18].into_boxed_slice());
    let entry = Box::new(move || child() as isize);
    // SAFETY: the child has a copy of this memory and a stack of its own, and the program has one
    // thread, by the caller's promise.
    unsafe { nix::sched::clone(entry, stack, CloneFlags::CLONE_FILES, Some(libc::SIGCHLD)) }
}

/// Starts a process with a given pid (`set_tid` of clone3(2)), which waits for a signal. EEXIST: the
/// pid is in use.
pub fn sleeper(pid: i32) -> Result<Pid> {
    let mut pids = [pid];
    let arguments = libc::clone_args {
        flags: 0,
        pidfd: 0,
        child_tid: 0,
        parent_tid: 0,
        exit_signal: libc::SIGCHLD as u64,
        stack: 0,
        stack_size: 0,
        tls: 0,
        set_tid: pids.as_mut_ptr().expose_provenance() as u64,
        set_tid_size: 1,
        cgroup: 0,
    };
    // SAFETY: `arguments` and `pids` outlive the call. Without CLONE_VM the child has a copy of all
    // memory. It makes system calls only, and never returns.
    let pid = unsafe { libc::syscall(libc::SYS_clone3, &raw const arguments, size_of_val(&arguments)) };
    if pid == 0 {
        loop {
            nix::unistd::pause();
        }
    }
    Errno::result(pid).map(|pid| Pid::from_raw(pid as i32))
}

/// `void exit(int status)` of the kernel: ends the calling thread alone.
///
/// The caller promises: no other thread uses something of this one.
pub fn exit_thread() -> ! {
    loop {
        // SAFETY: the caller's promise. The call does not return.
        unsafe { libc::syscall(libc::SYS_exit, 0) };
    }
}

/// Ends the process with the status 128 + N when signal N comes.
pub fn exit_on(number: Signal) -> Result<()> {
    extern "C" fn handler(number: libc::c_int) {
        exit(128 + number);
    }
    // SAFETY: the handler only calls _exit, which is async-signal-safe.
    unsafe { signal(number, SigHandler::Handler(handler)) }.map(drop)
}

/// `int execve(const char *path, char *const argv[], char *const envp[])`, without the heap. Returns
/// only on failure. E2BIG: more than 7 arguments or variables.
pub fn execve(path: &CStr, arguments: &[&CStr], environment: &[&CStr]) -> Errno {
    let pointers = |strings: &[&CStr]| -> Option<[*const c_char; 8]> {
        let mut array = [null(); 8];
        let (places, _end) = array.split_at_mut(7);
        for (place, string) in places.get_mut(..strings.len())?.iter_mut().zip(strings) {
            *place = string.as_ptr();
        }
        Some(array)
    };
    let (Some(argv), Some(envp)) = (pointers(arguments), pointers(environment)) else {
        return Errno::E2BIG;
    };
    // SAFETY: `path` is a C string. Both arrays end in a null pointer, and the pointers before it
    // are to C strings that are borrowed during the call.
    unsafe { libc::execve(path.as_ptr(), argv.as_ptr(), envp.as_ptr()) };
    Errno::last()
}
