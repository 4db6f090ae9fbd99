// SPDX-License-Identifier: Apache-2.0
//! Questions to the kernel, for the report about a host: a short-lived process makes the system calls
//! of a container, and reports the error of each. Whatever they make is in its own namespaces, and
//! ends with it.

use crate::path::proc::Proc;
use nix::sys::prctl;
use nix::sys::signal::Signal;
use nix::unistd::{fchdir, pivot_root};
use runtime_sys::bpf::{self, Insn};
use runtime_sys::clone::ChildMain;
use runtime_sys::fd::{self, resolve};
use runtime_sys::mount::{self, Depth, MountAttr, attr};
use runtime_sys::signal::Ignored;
use runtime_sys::{Errno, Result, cred, ns, process};
use seccomp::Instruction;
use std::ffi::CStr;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

/// A question. Some build on the answers before them: [`Fsconfig`](Question::Fsconfig) on
/// [`Fsopen`](Question::Fsopen), for example. If that has failed, the question is not asked, and the
/// answer is EBADF.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Question<'a> {
    /// May the process become this user, with this group alone?
    Become(u32),
    /// May the process write these maps of its own user namespace?
    MapIds {
        uid: &'a [u8],
        gid: &'a [u8],
    },
    /// May the process make namespaces of these types?
    Unshare(i32),
    Openat2,
    CloseRange,
    Faccessat2,
    PidfdOpen,
    PidfdSendSignal,
    PidfdGetfd,
    /// May the process join a mount namespace by a pidfd? It joins its own, whose root directory
    /// becomes its own.
    Join,
    /// May the process keep its mounts from the host? If not, the questions that mount are not asked.
    Slave,
    Fsopen(&'a CStr),
    Fsconfig,
    Fsmount,
    OpenTree,
    MountSetattr,
    /// May the process attach the new mount? It attaches it on top of the root directory.
    MoveMount,
    /// May the process mount an overlay? Its layers are directories of the attached mount.
    Overlay,
    /// Can a mount of the file system at `path` have other ids? An empty path means `dir` itself, which
    /// has to be of the process's mount namespace.
    IdMap {
        dir: BorrowedFd<'a>,
        path: &'a CStr,
        ids: BorrowedFd<'a>,
    },
    /// Can a mount of a new file system have other ids?
    IdMapNew {
        fstype: &'a CStr,
        ids: BorrowedFd<'a>,
    },
    /// May the process make the attached mount its root directory?
    PivotRoot,
    /// May the process mount a new procfs?
    Procfs,
    NoNewPrivileges,
    SeccompFlag(u32),
    SeccompFilter(&'a [Instruction]),
    SeccompListener(&'a [Instruction]),
    DeviceFilter,
}

/// The length of an [`answer`] in bytes.
pub(crate) const ANSWER: usize = 4;

/// Encodes the answer to the question with this index: the number of its error, or 0.
fn answer(index: usize, answer: Result<()>) -> [u8; ANSWER] {
    let errno = answer.map_or_else(|errno| errno as i32 as u16, |()| 0);
    let ([a, b], [c, d]) = ((index as u16).to_ne_bytes(), errno.to_ne_bytes());
    [a, b, c, d]
}

/// Decodes an answer: the index of the question, and the number of the error, or 0.
pub(crate) fn parse(answer: [u8; ANSWER]) -> (usize, i32) {
    let [a, b, c, d] = answer;
    (u16::from_ne_bytes([a, b]).into(), u16::from_ne_bytes([c, d]).into())
}

/// The process that asks the questions, in their order.
///
/// It has a copy of the parent's descriptors, and the host's root directory. So it hides itself before
/// the first question. Its maps of ids are the exception: an ordinary user could not write them afterwards.
/// It hides again when it has become another user, because fs.suid_dumpable may make it dumpable then.
/// Where it cannot hide, it asks nothing in another user namespace.
pub(crate) struct Asker<'a> {
    /// False if the process hides itself only after it has written the maps of its ids.
    pub(crate) hides_first: bool,
    /// True if the process was cloned into a new user namespace.
    pub(crate) in_user_namespace: bool,
    pub(crate) questions: &'a [Question<'a>],
    /// Bit n is set if question n is left out.
    pub(crate) skipped: u64,
    /// The pipe for the answers. The process has been killed by a question if it has no answer.
    pub(crate) answers: &'a OwnedFd,
}

impl ChildMain for Asker<'_> {
    fn run(self) -> ! {
        runtime_sys::signal::reset_in_child(Ignored::ALL);
        // The parent's patience ends the process too.
        runtime_sys::ignore(end_with_parent());
        let hidden = if self.hides_first { hide() } else { Ok(()) };
        if hidden.is_err() && self.in_user_namespace {
            // The parent sees that nothing has been asked.
            runtime_sys::exec::exit(1);
        }
        let mut asked = Made { hidden, pidfd: None, context: None, mount: None, is_slave: false };
        for (i, question) in self.questions.iter().enumerate() {
            if self.skipped & 1 << i == 0 {
                let result = asked.ask(*question, self.answers);
                // Without the parent nothing has to be answered.
                runtime_sys::ignore(fd::write_all(self.answers, &answer(i, result)));
            }
        }
        runtime_sys::exec::exit(0)
    }
}

/// Forbids other processes to trace this one, or to read its /proc/PID.
fn hide() -> Result<()> {
    prctl::set_dumpable(false)
}

/// Lets the process end with the parent, which would otherwise have killed it after its patience. A
/// change of ids undoes this.
fn end_with_parent() -> Result<()> {
    prctl::set_pdeathsig(Signal::SIGKILL)
}

/// The results of questions that later ones build on.
struct Made {
    hidden: Result<()>,
    pidfd: Option<OwnedFd>,
    context: Option<OwnedFd>,
    mount: Option<OwnedFd>,
    /// True once no mount reaches another mount namespace.
    is_slave: bool,
}

/// Returns the descriptor that an earlier question has opened.
fn made(fd: &Option<OwnedFd>) -> Result<&OwnedFd> {
    fd.as_ref().ok_or(Errno::EBADF)
}

impl Made {
    fn ask(&mut self, question: Question<'_>, open: &OwnedFd) -> Result<()> {
        match question {
            Question::Become(id) => {
                cred::set_groups(&[])?;
                cred::set_gid(id)?;
                cred::set_uid(id)?;
                self.hidden = hide();
                end_with_parent()?;
                self.hidden
            }
            Question::MapIds { uid, gid } => {
                let mapped = map_ids(uid, gid);
                // Later questions are asked even if this one has failed.
                hide().and(mapped)
            }
            Question::Unshare(types) => {
                if types & libc::CLONE_NEWUSER != 0 {
                    self.hidden?;
                }
                ns::unshare(types)
            }
            Question::Openat2 => {
                let flags = libc::O_PATH | libc::O_DIRECTORY;
                fd::openat2(fd::CWD, c"/", flags, 0, resolve::IN_ROOT | resolve::NO_MAGICLINKS).map(drop)
            }
            // No descriptor has this number.
            Question::CloseRange => fd::close_range(i32::MAX, i32::MAX, 0),
            Question::Faccessat2 => fd::access(fd::CWD, c"/", libc::F_OK, libc::AT_EACCESS),
            Question::PidfdOpen => {
                self.pidfd = Some(process::pidfd_open(std::process::id() as i32)?);
                Ok(())
            }
            Question::PidfdSendSignal => process::pidfd_send_signal(made(&self.pidfd)?, 0),
            Question::PidfdGetfd => process::pidfd_getfd(made(&self.pidfd)?, open.as_raw_fd()).map(drop),
            Question::Join => ns::setns(made(&self.pidfd)?, libc::CLONE_NEWNS),
            Question::Slave => {
                mount::set_propagation(c"/", libc::MS_REC | libc::MS_SLAVE)?;
                self.is_slave = true;
                Ok(())
            }
            Question::Fsopen(fstype) => {
                self.context = Some(mount::fsopen(fstype)?);
                Ok(())
            }
            Question::Fsconfig => mount::fsconfig_create(made(&self.context)?),
            Question::Fsmount => {
                self.mount = Some(match self.context.take() {
                    Some(context) => mount::fsmount(context, attr::NODEV)?,
                    None => return Err(Errno::EBADF),
                });
                Ok(())
            }
            // In a user namespace a mount can only be cloned with those on it, which are locked.
            Question::OpenTree => mount::clone_tree(fd::CWD, c"/", Depth::All, 0).map(drop),
            Question::MountSetattr => set(made(&self.mount)?, attr::NOSUID, 0),
            Question::MoveMount => {
                self.keeps_mounts()?;
                let root = fd::open(fd::CWD, c"/", libc::O_PATH | libc::O_DIRECTORY, 0)?;
                mount::attach(made(&self.mount)?, root)
            }
            Question::Overlay => self.overlay(),
            Question::IdMap { dir, path, ids } => id_map(mount::clone_tree(dir, path, Depth::One, 0)?, ids),
            Question::IdMapNew { fstype, ids } => {
                let context = mount::fsopen(fstype)?;
                mount::fsconfig_create(&context)?;
                id_map(mount::fsmount(context, 0)?, ids)
            }
            Question::PivotRoot => {
                self.keeps_mounts()?;
                fchdir(made(&self.mount)?)?;
                pivot_root(c".", c".")
            }
            Question::Procfs => Proc::detached().map(drop),
            Question::NoNewPrivileges => prctl::set_no_new_privs(),
            Question::SeccompFlag(flag) => runtime_sys::seccomp::check_flags(flag),
            Question::SeccompFilter(program) => runtime_sys::seccomp::load(program, 0),
            Question::SeccompListener(program) => {
                let flags = libc::SECCOMP_FILTER_FLAG_NEW_LISTENER as u32;
                runtime_sys::seccomp::load_listening(program, flags).map(drop)
            }
            Question::DeviceFilter => {
                let ret_1 = Insn { code: 0xb7, registers: 0, offset: 0, immediate: 1 };
                let exit = Insn { code: 0x95, registers: 0, offset: 0, immediate: 0 };
                bpf::load_device_filter(&[ret_1, exit]).map(drop)
            }
        }
    }

    /// Fails if a mount of this process could stay on the host.
    fn keeps_mounts(&self) -> Result<()> {
        if self.is_slave { Ok(()) } else { Err(Errno::EBADF) }
    }

    fn overlay(&self) -> Result<()> {
        self.keeps_mounts()?;
        let dir = made(&self.mount)?;
        fd::mkdir(dir, c"one", 0o755)?;
        fd::mkdir(dir, c"two", 0o755)?;
        // The kernel takes a layer from the working directory, and wants it in this mount namespace.
        fchdir(dir)?;
        let context = mount::fsopen(c"overlay")?;
        mount::fsconfig_set(&context, c"lowerdir", Some(c"one:two"))?;
        mount::fsconfig_create(&context)
    }
}

fn map_ids(uid: &[u8], gid: &[u8]) -> Result<()> {
    fd::write_file(fd::CWD, c"/proc/self/setgroups", b"deny")?;
    fd::write_file(fd::CWD, c"/proc/self/uid_map", uid)?;
    fd::write_file(fd::CWD, c"/proc/self/gid_map", gid)
}

fn id_map(mount: OwnedFd, ids: BorrowedFd<'_>) -> Result<()> {
    set(&mount, attr::IDMAP, ids.as_raw_fd() as u64)
}

fn set(mount: &OwnedFd, attribute: u64, userns_fd: u64) -> Result<()> {
    mount::set_attr(mount, Depth::One, &MountAttr { set: attribute, userns_fd, ..MountAttr::default() })
}
