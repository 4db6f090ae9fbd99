// SPDX-License-Identifier: Apache-2.0
//! A procfs for another pid namespace than that of the process that mounts it.
//!
//! Before Linux 6.18 a procfs shows the pid namespace of the process that has opened its mount
//! context. Opening it takes CAP_SYS_ADMIN in the user namespace that owns the opener's mount
//! namespace, and a process in a pid namespace can be taken over by other processes there. So
//! the opener has a user namespace and a mount namespace of its own, both empty, no descriptor but
//! its socket, a session of its own, and a filter for system calls:
//!
//! ```text
//!  the init ── clone ──▶ the guide: outside of the pid namespace, like the init
//!                        closes everything, leaves the caller's session, enters a new
//!                        user and a new mount namespace, makes the root of the latter
//!                        empty, and loads the filter
//!                        └── clone ──▶ the opener: in the pid namespace
//!                                      fsopen("proc"), the context to the init, exit
//! ```
//!
//! The other namespaces of the opener are those of the caller. The filter keeps a process that has
//! taken the opener over from using them: it can make no socket in the host's network, and open
//! no file, such as the caller's terminal.
//!
//! The guide is cloned before the init joins any namespace. Afterwards the init's children would be
//! in the pid namespace, and could be taken over with all descriptors of the init. An init that has
//! joined a user namespace cannot go back to its own pid namespace.

use super::mounting::empty_tmpfs;
use super::process::close_all_but;
use crate::boundary::plan::{InitPlan, MountKind, NewMount};
use crate::boundary::reply::{Reply, WIRE_LEN};
use crate::boundary::step::{Call, During, InStep, Step, StepFailure, StepResult};
use libc::{CLONE_NEWNS, CLONE_NEWPID, CLONE_NEWUSER};
use nix::mount::{MntFlags, umount2};
use nix::sys::prctl;
use nix::sys::socket::SockType;
use nix::unistd::{chdir, chroot, fchdir, pivot_root, setsid};
use runtime_sys::clone::{ChildMain, clone3};
use runtime_sys::{Errno, cred, fd, mount, ns, process, socket};
use seccomp::{Arch, Instruction};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

/// Opens the mount contexts of procfs that show an existing pid namespace, if the kernel has no
/// option for that. If the runtime lacks the rights, no context is opened.
pub(super) fn open_ahead(container: &mut InitPlan) -> Result<(), StepFailure> {
    for (i, mount) in container.rootfs.mounts.iter_mut().enumerate() {
        let MountKind::New(NewMount { shows: Some(namespace), .. }) = &mut mount.what else { continue };
        namespace.context = match context_of(&namespace.joined) {
            Err((_, Errno::EPERM)) => None,
            opened => opened.item(Step::Mount, i)?,
        };
    }
    Ok(())
}

/// Returns the mount context of a procfs that shows the pid namespace `joined`, or `None` if the
/// kernel has the option `pidns`.
fn context_of(joined: &OwnedFd) -> StepResult<Option<OwnedFd>> {
    let probe = mount::fsopen(c"proc").during(Call::Fsopen)?;
    // KERNEL(6.18): the option. Errors other than the missing option are those of the mount.
    if mount::fsconfig_set_fd(&probe, c"pidns", joined) != Err(Errno::EINVAL) {
        return Ok(None);
    }
    drop(probe);
    let (ours, theirs) = socket::pair(SockType::SeqPacket).during(Call::Socket)?;
    let guide = Guide { joined, socket: theirs.as_fd(), other_end: ours.as_fd().as_raw_fd() };
    let (_, pidfd) = clone3(0, false, None, guide).during(Call::Clone3)?;
    drop(theirs);
    let mut reply = [0; WIRE_LEN];
    let received = socket::recv_fd(&ours, &mut reply).during(Call::Read);
    process::wait(pidfd, 0).during(Call::Wait)?;
    match (received?, Reply::decode(reply)) {
        ((WIRE_LEN, Some(context)), Some(Reply::Ready)) => check(context).map(Some),
        (_, Some(Reply::Failed(failure))) => Err((failure.call, failure.errno)),
        _ => Err((Call::Fsopen, Errno::EPIPE)),
    }
}

/// Checks that the context is that of a procfs, which the kernel names in its messages. A process
/// that has taken the opener over may have sent the context of another file system, with its own
/// options.
fn check(context: OwnedFd) -> StepResult<OwnedFd> {
    let mut buf = [0; 128];
    if mount::fsconfig_set(&context, c"which-is-it", None) == Err(Errno::EINVAL)
        && mount::last_words(&context, &mut buf).is_some_and(|words| words.starts_with(b"proc: "))
    {
        return Ok(context);
    }
    Err((Call::CheckProc, Errno::EPERM))
}

/// The process between the init and the opener.
struct Guide<'a> {
    joined: &'a OwnedFd,
    socket: BorrowedFd<'a>,
    /// The init's end of the socket. The guide closes it first, so that the init sees the guide's
    /// end.
    other_end: RawFd,
}

impl ChildMain for Guide<'_> {
    fn run(self) -> ! {
        // EBADF at worst: the descriptor is closed already.
        runtime_sys::ignore(fd::close_range(self.other_end, self.other_end, 0));
        if let Err(failure) = self.lead() {
            report(self.socket, failure);
        }
        runtime_sys::exec::exit(0)
    }
}

impl Guide<'_> {
    fn lead(&self) -> StepResult {
        let (joined, socket) = (self.joined.as_raw_fd(), self.socket.as_raw_fd());
        // The standard descriptors too: they may be the caller's terminal.
        close_all_but(0, &mut [joined, socket]).during(Call::CloseRange)?;
        ns::setns(self.joined, CLONE_NEWPID).during(Call::Setns)?;
        setsid().during(Call::Setsid)?;
        // The capabilities that the opener needs are valid only in these namespaces.
        match ns::unshare(CLONE_NEWUSER | CLONE_NEWNS) {
            Ok(()) => empty_root()?,
            // The host allows no user namespaces.
            Err(Errno::EPERM | Errno::ENOSPC | Errno::EUSERS | Errno::EINVAL) => {
                ns::unshare(CLONE_NEWNS).during(Call::Unshare)?;
                empty_root()?;
                cred::keep_only(1 << cred::CAP_SYS_ADMIN).during(Call::Capset)?;
            }
            Err(errno) => return Err((Call::Unshare, errno)),
        }
        close_all_but(0, &mut [socket]).during(Call::CloseRange)?;
        prctl::set_no_new_privs().during(Call::Prctl)?;
        load_filter().during(Call::Seccomp)?;
        let (_, pidfd) = clone3(0, false, None, Opener { socket: self.socket }).during(Call::Clone3)?;
        process::wait(pidfd, 0).during(Call::Wait).map(drop)
    }
}

/// Loads the filter of the guide and the opener. It allows only the calls that they still make, and
/// answers EPERM to all others. A tracer cannot get around it: the kernel checks each call after the
/// tracer has seen it.
fn load_filter() -> runtime_sys::Result<()> {
    // BPF_LD | BPF_W | BPF_ABS, BPF_JMP | BPF_JEQ | BPF_K, BPF_RET | BPF_K.
    const LOAD: u16 = 0x20;
    const IS_EQUAL: u16 = 0x15;
    const RETURN: u16 = 0x06;
    // Offsets in struct seccomp_data.
    const NR: u32 = 0;
    const ARCH: u32 = 4;
    let step = |code, jt, jf, k| Instruction { code, jt, jf, k };
    let allow = |call: libc::c_long, jt| step(IS_EQUAL, jt, 0, call as u32);
    let Some(arch) = Arch::NATIVE else { return Err(Errno::ENOSYS) };
    let filter = [
        step(LOAD, 0, 0, ARCH),
        step(IS_EQUAL, 0, 8, arch.audit()),
        step(LOAD, 0, 0, NR),
        allow(libc::SYS_clone3, 7),
        allow(libc::SYS_waitid, 6),
        allow(libc::SYS_fsopen, 5),
        allow(libc::SYS_sendmsg, 4),
        allow(libc::SYS_sendto, 3),
        allow(libc::SYS_close, 2),
        allow(libc::SYS_exit_group, 1),
        step(RETURN, 0, 0, libc::SECCOMP_RET_ERRNO | libc::EPERM as u32),
        step(RETURN, 0, 0, libc::SECCOMP_RET_ALLOW),
    ];
    runtime_sys::seccomp::load(&filter, 0)
}

/// Replaces all mounts of the calling process's own mount namespace by an empty one.
fn empty_root() -> StepResult {
    // Without this, shared mounts would propagate the unmount to the host.
    mount::set_propagation(c"/", libc::MS_REC | libc::MS_PRIVATE).during(Call::MountPropagation)?;
    let root = empty_tmpfs(None)?;
    mount::attach_at(&root, fd::CWD, c"/").during(Call::AttachMount)?;
    fchdir(&root).during(Call::Chdir)?;
    match pivot_root(c".", c".") {
        Ok(()) => umount2(c".", MntFlags::MNT_DETACH).during(Call::Umount)?,
        // EINVAL: the root is an initramfs.
        Err(Errno::EINVAL) => chroot(c".").during(Call::Chroot)?,
        Err(errno) => return Err((Call::PivotRoot, errno)),
    }
    chdir(c"/").during(Call::Chdir)
}

/// The process in the pid namespace, which opens the mount context.
struct Opener<'a> {
    socket: BorrowedFd<'a>,
}

impl ChildMain for Opener<'_> {
    fn run(self) -> ! {
        let open = || -> StepResult {
            let context = mount::fsopen(c"proc").during(Call::Fsopen)?;
            socket::send_fd(self.socket, &Reply::Ready.encode(), context).during(Call::SendFd).map(drop)
        };
        if let Err(failure) = open() {
            report(self.socket, failure);
        }
        runtime_sys::exec::exit(0)
    }
}

fn report(socket: BorrowedFd<'_>, (call, errno): (Call, Errno)) {
    let failure = StepFailure { step: Step::Mount, item: 0, call, errno };
    // If the init is gone too, there is no process to report to.
    runtime_sys::ignore(socket::send(socket, &Reply::Failed(failure).encode()));
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Makes calls under the filter that a process which has taken over the opener would make.
    struct Prober;

    impl ChildMain for Prober {
        fn run(self) -> ! {
            let is_denied = |result: runtime_sys::Result<()>| result == Err(Errno::EPERM);
            let socket = || socket::pair(SockType::Stream).map(drop);
            let file = || fd::open(fd::CWD, c"/", libc::O_PATH, 0).map(drop);
            let join = || ns::unshare(0);
            let are_allowed = [socket(), file(), join()].iter().all(Result::is_ok);
            let is_loaded = prctl::set_no_new_privs().is_ok() && load_filter().is_ok();
            let are_denied = is_denied(socket()) && is_denied(file()) && is_denied(join());
            runtime_sys::exec::exit(i32::from(!(are_allowed && is_loaded && are_denied)))
        }
    }

    #[test]
    fn the_filter_of_the_opener_allows_no_socket_no_file_and_no_namespace() {
        let (_, pidfd) = clone3(0, false, None, Prober).unwrap();
        assert_eq!(process::wait(pidfd, 0).unwrap(), process::ExitStatus::Exited(0));
    }
}
