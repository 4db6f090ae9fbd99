// SPDX-License-Identifier: Apache-2.0
//! Signals: masks around the clone, and words for them.

use super::{Errno, new_fd};
use std::cell::Cell;
use std::os::fd::OwnedFd;

/// Signals, a bit for each, as the kernel has them. Not a `sigset_t`: of that each C
/// library keeps some signals to itself.
pub(crate) type Set = u64;

const ALL: Set = Set::MAX;

/// `int rt_sigprocmask(int how, const Set *set, Set *old, sizeof(Set))` of the calling
/// thread: what it was before. Cannot fail with a valid `how`.
fn change_mask(how: i32, set: Set) -> Set {
    let mut old = 0;
    // SAFETY: two whole sets.
    unsafe { libc::syscall(libc::SYS_rt_sigprocmask, how, &raw const set, &raw mut old, size_of::<Set>()) };
    old
}

/// A set of signals to block, restored when it goes out of scope. Of the
/// calling thread only, so it never changes what an embedder's others see.
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

/// The mask that the calling thread had before [`take_all`], `None` if
/// nothing has changed it.
pub fn mask_of_caller() -> Option<Set> {
    BEFORE.get()
}

/// Sets the mask of the calling thread.
pub fn set_mask(set: Set) {
    change_mask(libc::SIG_SETMASK, set);
}

/// Blocks all signals of the calling thread, those included that C libraries keep to
/// themselves, and returns what they can be read from. [`mask_of_caller`] is the mask from
/// before. Errors: EMFILE, ENFILE, ENOMEM.
pub fn take_all() -> super::Result<OwnedFd> {
    let before = change_mask(libc::SIG_SETMASK, ALL);
    BEFORE.set(BEFORE.get().or(Some(before)));
    signal_fd(ALL)
}

/// Returns a descriptor that can be read as long as a signal is pending that people end
/// programs with. Errors: EMFILE, ENFILE, ENOMEM.
pub fn ending() -> super::Result<OwnedFd> {
    signal_fd(ENDING.iter().fold(0, |set, signal| set | 1 << (signal - 1)))
}

/// Reads the next signal, if one has come. Does not wait. A SIGPIPE that the calling process
/// has raised itself, by a write to a hook that does not read, is left out: it is not for the
/// container.
pub fn next(signals: &OwnedFd) -> super::Result<Option<i32>> {
    loop {
        // struct signalfd_siginfo begins with the signal's number, an errno, a code, and
        // the sender.
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

/// `int signalfd4(-1, const Set *set, sizeof(Set), SFD_CLOEXEC | SFD_NONBLOCK)`
fn signal_fd(set: Set) -> super::Result<OwnedFd> {
    let flags = libc::SFD_CLOEXEC | libc::SFD_NONBLOCK;
    // SAFETY: a whole set; -1 asks for a new descriptor.
    new_fd(unsafe { libc::syscall(libc::SYS_signalfd4, -1, &raw const set, size_of::<Set>(), flags) })
}

/// The signals that people end programs with.
const ENDING: [i32; 4] = [libc::SIGHUP, libc::SIGINT, libc::SIGQUIT, libc::SIGTERM];

/// The last signal (signal(7)).
const LAST: u32 = 64;

/// Signals that a process ignores.
#[derive(Clone, Copy, Debug)]
pub struct Ignored(u64);

impl Ignored {
    /// Whatever it is that they are.
    pub const ALL: Self = Ignored(u64::MAX);

    /// Those that the calling process ignores. Parent only (heap).
    pub fn by_caller() -> Self {
        let status = super::fd::read_piece(super::fd::CWD, c"/proc/self/status").unwrap_or_default();
        from_status(&status).map_or(Self::ALL, Ignored)
    }
}

/// What proc_pid_status(5) says of ignored signals.
fn from_status(status: &[u8]) -> Option<Set> {
    let lines = &mut status.split(|byte| *byte == b'\n');
    let mask = lines.find_map(|line| line.strip_prefix(b"SigIgn:\t"))?;
    u64::from_str_radix(std::str::from_utf8(mask).ok()?, 16).ok()
}

/// For the child, before it executes another program: no signal is blocked, and
/// none is ignored, whatever the caller ignores, and Rust programs ignore SIGPIPE.
/// (Handlers were cleared by the clone.)
pub fn reset_in_child(ignored: Ignored) {
    // The kernel's struct sigaction, which is smaller, with SIG_DFL in it: 0.
    let default = [0u64; 8];
    let no_old = std::ptr::null_mut::<u64>();
    for signal in (1..=LAST).filter(|signal| ignored.0 & 1 << (signal - 1) != 0) {
        // SAFETY: a whole struct sigaction that names no handler. By a raw call,
        // as libc keeps two signals to itself. EINVAL: SIGKILL, SIGSTOP.
        unsafe { libc::syscall(libc::SYS_rt_sigaction, signal, default.as_ptr(), no_old, size_of::<u64>()) };
    }
    change_mask(libc::SIG_SETMASK, 0);
}

/// Lets the calling program wait for its children, even if it was executed with
/// SIGCHLD ignored, which is inherited: the kernel would reap them. To be called
/// first thing in `main`.
pub fn stop_ignoring_children() {
    set_action(libc::SIGCHLD, Action::Default);
}

/// Makes the signals that people end programs with end this one, even if it is
/// the first process of a pid namespace, for which the kernel does nothing by
/// default. Child only; execve takes the handlers away.
pub fn exit_when_terminated() {
    for signal in ENDING {
        set_action(signal, Action::Exit);
    }
}

/// What a signal does to the process that it comes to.
#[derive(Clone, Copy, Debug)]
enum Action {
    /// What signal(7) says.
    Default,
    /// Ends it with the status 128 + N.
    Exit,
}

/// `sighandler_t signal(int signal, sighandler_t handler)`: EINVAL, which is ignored, for
/// SIGKILL and SIGSTOP.
fn set_action(signal: i32, action: Action) {
    extern "C" fn exit(signal: libc::c_int) {
        super::exec::exit(128 + signal);
    }
    let handler = match action {
        Action::Default => libc::SIG_DFL,
        #[expect(clippy::fn_to_numeric_cast_any, reason = "sighandler_t is an integer")]
        Action::Exit => exit as extern "C" fn(libc::c_int) as libc::sighandler_t,
    };
    // SAFETY: a valid disposition; the handler only calls _exit, which any handler may.
    unsafe { libc::signal(signal, handler) };
}

/// What strsignal(3) says of a signal, in the words that Go uses too.
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
        // Rust's own main ignores it.
        assert_ne!(Ignored::by_caller().0 & 1 << (libc::SIGPIPE - 1), 0);
    }
}
