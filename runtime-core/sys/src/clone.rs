// SPDX-License-Identifier: Apache-2.0
//! clone3(2) and clone(2).

use super::result::{Result, check, new_fd};
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};

/// Resets every signal that has a handler to its default action in the child,
/// before the child runs. Ignored signals stay ignored. Since 5.5.
const CLONE_CLEAR_SIGHAND: u64 = 0x1_0000_0000;
/// Makes the child in the cgroup whose directory is given. Since 5.7.
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

/// The code that a cloned child runs.
///
/// The child of a program with several threads must not use the heap or take a
/// lock, in this crate or in libc: a thread that the child does not have may hold
/// the lock. The child must never return into the code that called clone. The only
/// implementors are in runtime-core's `child`, which is written for these rules, and
/// in a test. The heap is checked by a test whose allocator aborts in the child.
pub trait ChildMain {
    /// Runs the child to its end.
    fn run(self) -> !;
}

/// `long clone3(struct clone_args *args, size_t size)`, since 5.3, without
/// CLONE_VM: the child has a copy of the memory and of the calling thread, as
/// after fork(2), but no signal handlers. Returns the child's pid in the caller's
/// pid namespace, and its pidfd.
///
/// `namespaces` are CLONE_NEW* flags. With `sibling` (CLONE_PARENT), the caller's
/// parent becomes the child's parent.
///
/// Errors: EBUSY (the cgroup is not a leaf, or controllers forbid it), EACCES,
/// ENOSPC/EUSERS (namespace limits), EAGAIN (pids.max, RLIMIT_NPROC), EPERM.
pub fn clone3(
    namespaces: i32,
    sibling: bool,
    cgroup: Option<BorrowedFd<'_>>,
    child: impl ChildMain,
) -> Result<(i32, OwnedFd)> {
    let mut pidfd: RawFd = -1;
    let mut args = libc::clone_args {
        flags: u64::from(namespaces as u32) | libc::CLONE_PIDFD as u64 | CLONE_CLEAR_SIGHAND,
        pidfd: (&raw mut pidfd).expose_provenance() as u64,
        child_tid: 0,
        parent_tid: 0,
        exit_signal: 0,
        stack: 0,
        stack_size: 0,
        tls: 0,
        set_tid: 0,
        set_tid_size: 0,
        cgroup: 0,
    };
    if sibling {
        // clone3 refuses an exit signal here: the child gets the caller's.
        args.flags |= libc::CLONE_PARENT as u64;
    } else {
        args.exit_signal = libc::SIGCHLD as u64;
    }
    if let Some(cgroup) = cgroup {
        args.flags |= CLONE_INTO_CGROUP;
        args.cgroup = cgroup.as_raw_fd() as u64;
    }
    // SAFETY: `args` and `pidfd` outlive the call. Without CLONE_VM and without a new
    // stack, the child has a copy of this stack and of all memory. The child only runs
    // `child`, which keeps the rules of `ChildMain`, and never returns from this function.
    let pid =
        check(unsafe { libc::syscall(libc::SYS_clone3, &raw mut args, size_of::<libc::clone_args>()) })?;
    if pid == 0 {
        let _guard = NeverUnwind;
        child.run();
    }
    // CLONE_PIDFD has stored a new descriptor in `pidfd`.
    Ok((pid as i32, new_fd(pidfd.into())?))
}

/// `long clone(CLONE_PARENT | SIGCHLD, NULL, NULL, NULL, 0)`: makes a child with a copy
/// of the memory, whose parent is the caller's parent. Returns the child's pid. clone3 is
/// not used: its flags are in memory, where a seccomp filter cannot see them, so a filter
/// may allow clone only.
///
/// Errors: EAGAIN (pids.max, RLIMIT_NPROC), ENOMEM (also if the caller has entered a pid
/// namespace for its children, and the init of that namespace has ended).
pub fn sibling(child: impl ChildMain) -> Result<i32> {
    // SAFETY: as in `clone3`. The order of clone(2)'s other arguments depends on the
    // architecture, but all of them are 0.
    let pid =
        check(unsafe { libc::syscall(libc::SYS_clone, SIBLING_FLAGS, 0usize, 0usize, 0usize, 0usize) })?;
    if pid == 0 {
        let _guard = NeverUnwind;
        child.run();
    }
    Ok(pid as i32)
}

/// The flags that [`sibling`] passes to clone(2), as the first argument.
pub const SIBLING_FLAGS: libc::c_long = (libc::CLONE_PARENT | libc::SIGCHLD) as libc::c_long;

/// A guard that ends the child when a panic unwinds through it. Otherwise the child
/// would unwind into its copy of the caller, and run the caller's code a second time.
struct NeverUnwind;

impl Drop for NeverUnwind {
    fn drop(&mut self) {
        super::exec::exit(101);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::{ExitStatus, wait};

    struct Panics;

    impl ChildMain for Panics {
        fn run(self) -> ! {
            // Skips the panic hook, which takes locks.
            std::panic::resume_unwind(Box::new(()));
        }
    }

    #[test]
    fn a_panic_in_the_child_ends_there() {
        let own = std::process::id();
        let cloned = std::panic::catch_unwind(|| clone3(0, false, None, Panics));
        if std::process::id() != own {
            // The child has unwound into the caller's code.
            crate::exec::exit(1);
        }
        let (_, pidfd) = cloned.unwrap().unwrap();
        assert_eq!(wait(pidfd, 0).unwrap(), ExitStatus::Exited(101));
    }
}
