// SPDX-License-Identifier: Apache-2.0
//! Signals: masks, dispositions, signalfd(2), and descriptions.

use super::result::new_fd;
use nix::errno::Errno;
use std::cell::Cell;
use std::os::fd::OwnedFd;

/// The kernel's signal set: one bit for each signal. This is not the C library's
/// `sigset_t`, whose functions leave out the signals that the library reserves.
pub(crate) type Set = u64;

const ALL: Set = Set::MAX;

/// `int rt_sigprocmask(int how, const Set *set, Set *old, sizeof(Set))`: changes the mask
/// of the calling thread and returns the old one. Cannot fail with a valid `how`.
fn change_mask(how: i32, set: Set) -> Set {
    let mut old = 0;
    // SAFETY: both pointers are to whole sets of the size that is passed; the kernel reads the first
    // and writes the second.
    unsafe { libc::syscall(libc::SYS_rt_sigprocmask, how, &raw const set, &raw mut old, size_of::<Set>()) };
    old
}

/// A guard that keeps signals blocked in the calling thread, and restores the thread's
/// mask when it is dropped. The masks of an embedder's other threads stay unchanged.
#[derive(Debug)]
pub struct Blocked {
    old: Set,
}

impl Blocked {
    /// Blocks every signal.
    pub fn all() -> Self {
        Blocked { old: change_mask(libc::SIG_SETMASK, ALL) }
    }
}

impl Drop for Blocked {
    fn drop(&mut self) {
        change_mask(libc::SIG_SETMASK, self.old);
    }
}

thread_local! {
    /// The mask that the thread had before [`take_all`] changed it.
    static BEFORE: Cell<Option<Set>> = const { Cell::new(None) };
}

/// Returns the mask that the calling thread had before [`take_all`], `None` if the
/// thread has not called that function.
pub fn mask_of_caller() -> Option<Set> {
    BEFORE.get()
}

/// Sets the mask of the calling thread.
pub fn set_mask(set: Set) {
    change_mask(libc::SIG_SETMASK, set);
}

/// Blocks all signals of the calling thread, including those that C libraries reserve. Returns
/// a descriptor to read the signals from. [`mask_of_caller`] returns the mask from before.
/// Errors: EMFILE, ENFILE, ENOMEM.
pub fn take_all() -> super::result::Result<OwnedFd> {
    let before = change_mask(libc::SIG_SETMASK, ALL);
    BEFORE.set(BEFORE.get().or(Some(before)));
    signal_fd(ALL)
}

/// Returns a descriptor that is readable as long as SIGHUP, SIGINT, SIGQUIT or SIGTERM is
/// pending. Errors: EMFILE, ENFILE, ENOMEM.
pub fn ending() -> super::result::Result<OwnedFd> {
    signal_fd(ENDING.iter().fold(0, |set, signal| set | 1 << (signal - 1)))
}

/// Reads the next signal, if one has come. Does not wait. Skips a SIGPIPE that the calling
/// process caused itself, by a write to a hook that has closed its input: that signal is not
/// for the container.
pub fn next(signals: &OwnedFd) -> super::result::Result<Option<i32>> {
    loop {
        // struct signalfd_siginfo begins with four 32-bit fields: the signal's number, an errno,
        // a code, and the sender's pid.
        let mut info = [0; 128];
        match super::fd::read(signals, &mut info) {
            Err(Errno::EAGAIN) => return Ok(None),
            other => drop(other?),
        }
        let [a, b, c, d, _, _, _, _, _, _, _, _, e, f, g, h, ..] = info;
        let (signal, sender) = (i32::from_ne_bytes([a, b, c, d]), u32::from_ne_bytes([e, f, g, h]));
        if signal != libc::SIGPIPE || sender != std::process::id() {
            return Ok(Some(signal));
        }
    }
}

/// `int signalfd4(-1, const Set *set, sizeof(Set), SFD_CLOEXEC | SFD_NONBLOCK)`: opens a signalfd.
fn signal_fd(set: Set) -> super::result::Result<OwnedFd> {
    let flags = libc::SFD_CLOEXEC | libc::SFD_NONBLOCK;
    // SAFETY: the pointer is to a whole set of the size that is passed, which the kernel only reads.
    // -1 asks for a new descriptor.
    new_fd(unsafe { libc::syscall(libc::SYS_signalfd4, -1, &raw const set, size_of::<Set>(), flags) })
}

/// The signals that ask a program to end.
const ENDING: [i32; 4] = [libc::SIGHUP, libc::SIGINT, libc::SIGQUIT, libc::SIGTERM];

/// The last signal (signal(7)).
const LAST: u32 = 64;

/// The set of signals that a process ignores.
#[derive(Clone, Copy, Debug)]
pub struct Ignored(u64);

impl Ignored {
    /// Every signal, in place of an unknown set.
    pub const ALL: Self = Ignored(u64::MAX);

    /// Returns the set of the calling process. Parent only (heap).
    pub fn by_caller() -> Self {
        let status = super::fd::read_piece(super::fd::CWD, c"/proc/self/status").unwrap_or_default();
        from_status(&status).map_or(Self::ALL, Ignored)
    }
}

/// Parses the set of ignored signals in /proc/PID/status (proc_pid_status(5)).
fn from_status(status: &[u8]) -> Option<Set> {
    let lines = &mut status.split(|byte| *byte == b'\n');
    let mask = lines.find_map(|line| line.strip_prefix(b"SigIgn:\t"))?;
    u64::from_str_radix(std::str::from_utf8(mask).ok()?, 16).ok()
}

/// Unblocks all signals and resets those in `ignored` to their default action. For the
/// child: the program that it executes must not inherit the signals that the caller
/// ignores, such as SIGPIPE in Rust programs. (The clone has reset the handlers.)
pub fn reset_in_child(ignored: Ignored) {
    // Larger than the kernel's struct sigaction. Zeros mean SIG_DFL without flags.
    let default = [0u64; 8];
    let no_old = std::ptr::null_mut::<u64>();
    for signal in (1..=LAST).filter(|signal| ignored.0 & 1 << (signal - 1) != 0) {
        // SAFETY: `default` is larger than the kernel's struct sigaction and names no handler, so
        // the kernel reads within it and no code of the process is called. A raw call, because
        // libc refuses the signals that it reserves. EINVAL: SIGKILL, SIGSTOP.
        unsafe { libc::syscall(libc::SYS_rt_sigaction, signal, default.as_ptr(), no_old, size_of::<u64>()) };
    }
    change_mask(libc::SIG_SETMASK, 0);
}

/// Resets SIGCHLD to its default action, so that the calling program can wait for its
/// children. A program that is executed with SIGCHLD ignored inherits that, and the kernel
/// would reap its children. To be called first in `main`.
pub fn stop_ignoring_children() {
    set_action(libc::SIGCHLD, SignalAction::Default);
}

/// Installs handlers that exit on SIGHUP, SIGINT, SIGQUIT and SIGTERM. The init of a pid
/// namespace needs them: the kernel does not end it by a signal's default action. Child
/// only. execve removes the handlers.
pub fn exit_when_terminated() {
    for signal in ENDING {
        set_action(signal, SignalAction::Exit);
    }
}

/// Ignores SIGPIPE, also in the program that the process executes. Child only.
pub(crate) fn ignore_pipe_in_child() {
    set_action(libc::SIGPIPE, SignalAction::Ignore);
}

/// The action of a signal on the process that receives it.
#[derive(Clone, Copy, Debug)]
enum SignalAction {
    /// The default action of signal(7).
    Default,
    /// None.
    Ignore,
    /// Ends the process with the status 128 + N.
    Exit,
}

/// `sighandler_t signal(int signal, sighandler_t handler)`: sets the action of a signal. Ignores
/// EINVAL, the error for SIGKILL and SIGSTOP.
fn set_action(signal: i32, action: SignalAction) {
    extern "C" fn exit(signal: libc::c_int) {
        super::exec::exit(128 + signal);
    }
    let handler = match action {
        SignalAction::Default => libc::SIG_DFL,
        SignalAction::Ignore => libc::SIG_IGN,
        #[expect(clippy::fn_to_numeric_cast_any, reason = "sighandler_t is an integer")]
        SignalAction::Exit => exit as extern "C" fn(libc::c_int) as libc::sighandler_t,
    };
    // SAFETY: SIG_DFL and SIG_IGN run no code, and `exit` only calls _exit, which is async-signal-safe.
    unsafe { libc::signal(signal, handler) };
}

/// Returns the description of a signal, as strsignal(3) does, but in Go's texts.
pub fn describe(signal: i32) -> &'static str {
    match signal {
        libc::SIGABRT => "aborted",
        libc::SIGALRM => "alarm clock",
        libc::SIGBUS => "bus error",
        libc::SIGFPE => "floating point exception",
        libc::SIGHUP => "hangup",
        libc::SIGILL => "illegal instruction",
        libc::SIGINT => "interrupt",
        libc::SIGKILL => "killed",
        libc::SIGPIPE => "broken pipe",
        libc::SIGQUIT => "quit",
        libc::SIGSEGV => "segmentation fault",
        libc::SIGSYS => "bad system call",
        libc::SIGTERM => "terminated",
        libc::SIGTRAP => "trace/breakpoint trap",
        libc::SIGXCPU => "CPU time limit exceeded",
        libc::SIGXFSZ => "file size limit exceeded",
        _ => "unknown signal",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ignored_signals_are_read() {
        assert_eq!(
            from_status(b"SigBlk:\t0000000000000001\nSigIgn:\t8000000000001000\n"),
            Some(1 << 63 | 1 << 12)
        );
        assert_eq!(from_status(b"SigBlk:\t0000000000000001\n"), None);
        // Rust's entry ignores SIGPIPE.
        assert_ne!(Ignored::by_caller().0 & 1 << (libc::SIGPIPE - 1), 0);
    }
}
