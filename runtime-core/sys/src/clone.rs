// SPDX-License-Identifier: Apache-2.0
//! clone3(2), the one system call that this project is about.

use super::{Result, check, new_fd};
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};

/// Since 5.5: every signal that has a handler is back to its default in the
/// child, before it runs. Ignored signals stay ignored.
const CLONE_CLEAR_SIGHAND: u64 = 0x1_0000_0000;
/// Since 5.7: the child is born in the cgroup whose directory is given.
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

/// What runs on the other side of a clone.
///
/// The child of a program with several threads must call nothing that takes a
/// lock or the heap, in this crate or in libc: a thread that does not exist in
/// the child may hold them. And it must never return into code that does not
/// know of the clone. The only implementors are in runtime-core's `child`, which
/// is written for that, and a test with an allocator that aborts watches over it.
pub trait Child {
    /// Runs the child to its end.
    fn run(self) -> !;
}

/// `long clone3(struct clone_args *args, size_t size)`, since 5.3, without
/// CLONE_VM: the child has a copy of the memory and of the calling thread, as
/// after fork(2), with all signal handlers at their default. The child's pid in
/// the caller's pid namespace, and its pidfd.
///
/// `namespaces` are CLONE_NEW* flags; with `sibling` (CLONE_PARENT) the child's
/// parent is the caller's parent.
///
/// Errors: EBUSY (the cgroup is not a leaf, or controllers forbid it), EACCES,
/// ENOSPC/EUSERS (namespace limits), EAGAIN (pids.max, RLIMIT_NPROC), EPERM.
pub fn clone3(
    namespaces: i32,
    sibling: bool,
    cgroup: Option<BorrowedFd<'_>>,
    child: impl Child,
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
        // clone3 wants no exit signal here: the child takes over the caller's own.
        args.flags |= libc::CLONE_PARENT as u64;
    } else {
        args.exit_signal = libc::SIGCHLD as u64;
    }
    if let Some(cgroup) = cgroup {
        args.flags |= CLONE_INTO_CGROUP;
        args.cgroup = cgroup.as_raw_fd() as u64;
    }
    // SAFETY: `args` and `pidfd` outlive the call. No stack is given, so the
    // child goes on with its copy of ours; it only runs `child` (see there).
    let pid =
        check(unsafe { libc::syscall(libc::SYS_clone3, &raw mut args, size_of::<libc::clone_args>()) })?;
    if pid == 0 {
        let _guard = NeverUnwind;
        child.run();
    }
    // CLONE_PIDFD has stored a new descriptor.
    Ok((pid as i32, new_fd(pidfd.into())?))
}

/// `long clone(CLONE_PARENT, NULL, NULL, NULL, 0)`: a child with a copy of the memory,
/// and with the caller's parent for its own: its pid. By the old call, which filters of
/// system calls allow: of clone3's flags, which are in memory, they see nothing.
///
/// Errors: EAGAIN (pids.max, RLIMIT_NPROC), ENOMEM (also if the first process of the
/// pid namespace, which the caller has entered for its children, has ended).
pub fn sibling(child: impl Child) -> Result<i32> {
    // SAFETY: as in `clone3`. All other arguments are 0, in whatever order.
    let pid =
        check(unsafe { libc::syscall(libc::SYS_clone, SIBLING_FLAGS, 0usize, 0usize, 0usize, 0usize) })?;
    if pid == 0 {
        let _guard = NeverUnwind;
        child.run();
    }
    Ok(pid as i32)
}

/// The first argument of the clone(2) of [`sibling`].
pub const SIBLING_FLAGS: libc::c_long = (libc::CLONE_PARENT | libc::SIGCHLD) as libc::c_long;

/// A panic in the child must not unwind into its copy of the caller, which would
/// go on there as if it were itself.
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

    impl Child for Panics {
        fn run(self) -> ! {
            // Without the hook, which takes locks.
            std::panic::resume_unwind(Box::new(()));
        }
    }

    #[test]
    fn a_panic_in_the_child_ends_there() {
        let own = std::process::id();
        let cloned = std::panic::catch_unwind(|| clone3(0, false, None, Panics));
        if std::process::id() != own {
            // The child, in the caller's code.
            crate::exec::exit(1);
        }
        let (_, pidfd) = cloned.unwrap().unwrap();
        assert_eq!(wait(pidfd, 0).unwrap(), ExitStatus::Exited(101));
    }
}
