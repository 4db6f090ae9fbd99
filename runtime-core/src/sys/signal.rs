// SPDX-License-Identifier: Apache-2.0
//! Signals: masks around the clone, and words for them.

use std::mem::MaybeUninit;

/// A set of signals to block, restored when it goes out of scope. Of the
/// calling thread only, so it never changes what an embedder's others see.
#[derive(Debug)]
pub(crate) struct Blocked {
    old: libc::sigset_t,
}

fn full_set() -> libc::sigset_t {
    let mut set = MaybeUninit::uninit();
    // SAFETY: sigfillset initialises the set and cannot fail.
    unsafe { libc::sigfillset(set.as_mut_ptr()) };
    // SAFETY: initialised above.
    unsafe { set.assume_init() }
}

fn empty_set() -> libc::sigset_t {
    let mut set = MaybeUninit::uninit();
    // SAFETY: sigemptyset initialises the set and cannot fail.
    unsafe { libc::sigemptyset(set.as_mut_ptr()) };
    // SAFETY: initialised above.
    unsafe { set.assume_init() }
}

fn set_mask(set: &libc::sigset_t) -> libc::sigset_t {
    let mut old = MaybeUninit::uninit();
    // SAFETY: two whole sets; with a valid `how` the call cannot fail.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, set, old.as_mut_ptr()) };
    // SAFETY: filled by the call above.
    unsafe { old.assume_init() }
}

impl Blocked {
    /// Blocks every signal.
    pub(crate) fn all() -> Self {
        Blocked { old: set_mask(&full_set()) }
    }
}

impl Drop for Blocked {
    fn drop(&mut self) {
        set_mask(&self.old);
    }
}

/// The last signal (signal(7)).
const LAST: u32 = 64;

/// Signals that a process ignores.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ignored(u64);

impl Ignored {
    /// Whatever it is that they are.
    pub(crate) const ALL: Self = Ignored(u64::MAX);

    /// Those that the calling process ignores. Parent only (heap).
    pub(crate) fn by_caller() -> Self {
        let status = super::fd::read_piece(super::fd::CWD, c"/proc/self/status").unwrap_or_default();
        from_status(&String::from_utf8_lossy(&status)).map_or(Self::ALL, Ignored)
    }
}

/// What proc_pid_status(5) says of ignored signals.
fn from_status(status: &str) -> Option<u64> {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"))?;
    u64::from_str_radix(mask.trim(), 16).ok()
}

/// For the child, before it executes another program: no signal is blocked, and
/// none is ignored, whatever the caller ignores, and Rust programs ignore SIGPIPE.
/// (Handlers were cleared by the clone.)
pub(crate) fn reset_in_child(ignored: Ignored) {
    // The kernel's struct sigaction, which is smaller, with SIG_DFL in it: 0.
    let default = [0u64; 8];
    let no_old = std::ptr::null_mut::<u64>();
    for signal in (1..=LAST).filter(|signal| ignored.0 & 1 << (signal - 1) != 0) {
        // SAFETY: a whole struct sigaction that names no handler. By a raw call,
        // as libc keeps two signals to itself. EINVAL: SIGKILL, SIGSTOP.
        unsafe { libc::syscall(libc::SYS_rt_sigaction, signal, default.as_ptr(), no_old, size_of::<u64>()) };
    }
    set_mask(&empty_set());
}

/// Lets the calling program wait for its children, even if it was executed with
/// SIGCHLD ignored, which is inherited: the kernel would reap them. To be called
/// first thing in `main`.
pub fn stop_ignoring_children() {
    // SAFETY: SIG_DFL is a valid disposition; no handler is installed.
    unsafe { libc::signal(libc::SIGCHLD, libc::SIG_DFL) };
}

/// Makes the signals that people end programs with end this one, even if it is
/// the first process of a pid namespace, for which the kernel does nothing by
/// default. Child only; execve takes the handlers away.
pub(crate) fn exit_when_terminated() {
    extern "C" fn exit(signal: libc::c_int) {
        super::exec::exit(128 + signal);
    }
    let handler = exit as extern "C" fn(libc::c_int);
    for signal in [libc::SIGHUP, libc::SIGINT, libc::SIGQUIT, libc::SIGTERM] {
        #[expect(clippy::fn_to_numeric_cast_any, reason = "sighandler_t is an integer")]
        // SAFETY: the handler only calls _exit, which any handler may.
        unsafe {
            libc::signal(signal, handler as libc::sighandler_t)
        };
    }
}

/// What strsignal(3) says of a signal, in the words that Go uses too.
pub(crate) fn describe(signal: i32) -> &'static str {
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
            from_status("SigBlk:\t0000000000000001\nSigIgn:\t8000000000001000\n"),
            Some(1 << 63 | 1 << 12)
        );
        assert_eq!(from_status("SigBlk:\t0000000000000001\n"), None);
        // Rust's own main ignores it.
        assert_ne!(Ignored::by_caller().0 & 1 << (libc::SIGPIPE - 1), 0);
    }
}
