// SPDX-License-Identifier: Apache-2.0
//! Processes besides the init, for steps that take a process of their own.

use super::inside::clone_inside;
use super::mounting::Octal;
use super::process::{close_all_but, hide};
use super::report::report_and_exit;
use crate::boundary::channel::ChildEnd;
use crate::boundary::plan::{MountKind, Plan, Rootfs, Sysctl};
use crate::boundary::reply::Reply;
use crate::boundary::step::{Call, During, InStep, Step, StepFailure, StepResult};
use crate::boundary::tree::{Cloner, FileId, NewNode, TreeSource};
use crate::path::proc::Proc;
use crate::path::root::Root;
use nix::unistd::{chroot, fchdir};
use runtime_sys::clone::ChildMain;
use runtime_sys::mount::{self, Depth, attr};
use runtime_sys::signal::Ignored;
use runtime_sys::{Errno, fd, socket};
use std::convert::Infallible;
use std::ffi::CString;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

/// Closes all descriptors that a helper does not need. The standard streams too: a helper prints
/// nothing.
pub(super) fn close_others(holds: &mut [RawFd]) -> Result<(), StepFailure> {
    close_all_but(0, holds).during(Call::CloseRange).step(Step::CloseOthers)
}

/// A process that clones trees for the init ([`Cloner::Helper`]): with the caller's rights, in the
/// container's mount namespace.
pub(crate) struct TreeCloner<'a> {
    pub(crate) plan: &'a Plan,
    /// The owner on the host of each device node that is made here.
    pub(crate) owners: &'a [(u32, u32)],
    /// The socket to the init. The init, or a process in another mount namespace ([`MntnsHolder`]), first
    /// sends its root directory and its mount namespace.
    pub(crate) socket: &'a OwnedFd,
    pub(crate) channel: &'a ChildEnd,
    /// The descriptors that the helper keeps open, as in [`FirstChild`](super::FirstChild). The
    /// init's end of the socket is not among them.
    pub(crate) holds: &'a mut [RawFd],
}

impl ChildMain for TreeCloner<'_> {
    fn run(self) -> ! {
        runtime_sys::signal::reset_in_child(Ignored::ALL);
        let closed = close_others(self.holds);
        report_and_exit(closed.and_then(|()| self.serve()), self.channel)
    }
}

impl TreeCloner<'_> {
    /// Sends the trees in the order in which the init takes them. The kernel queues a few of them
    /// until the init receives them.
    fn serve(&self) -> Result<Infallible, StepFailure> {
        self.enter().step(Step::Rootfs)?;
        if let Some(container) = &self.plan.container {
            self.send_all(&container.rootfs)?;
        }
        // The parent reads this message only when it next waits for the init.
        runtime_sys::ignore(self.channel.send(Reply::Ready));
        runtime_sys::exec::exit(0)
    }

    fn send_all(&self, rootfs: &Rootfs) -> Result<(), StepFailure> {
        self.send_root(rootfs).step(Step::Rootfs)?;
        for (i, mount) in rootfs.mounts.iter().enumerate() {
            let tree = match &mount.what {
                MountKind::Tree { tree, .. } => match tree.for_cloner(Cloner::Helper) {
                    Some(later) => later.clone_tree(),
                    None => continue,
                },
                // The init sends a message when this mount's turn comes.
                MountKind::FromContainer(inside) if inside.by_helper => {
                    let before = rootfs.mounts.get(..i).unwrap_or_default();
                    self.await_turn().and_then(|root| clone_inside(Root::new(&root), before, mount))
                }
                _ => continue,
            };
            tree.and_then(|tree| self.send(&tree)).item(Step::Mount, i)?;
        }
        let mut own = None;
        for (i, node) in rootfs.dev.nodes.iter().enumerate() {
            let Some(later) = node.host.as_ref().and_then(|tree| tree.for_cloner(Cloner::Helper)) else {
                continue;
            };
            let tree = match &later.source {
                TreeSource::New(node) => self.new_node(&mut own, i, node),
                TreeSource::Named { .. } | TreeSource::Open(_) => later.clone_tree(),
            };
            tree.and_then(|tree| self.send(&tree)).item(Step::Device, i)?;
        }
        Ok(())
    }

    /// Makes a device node on a tmpfs, which is kept in `own`, and clones the node from there. The
    /// host's nodes have to be cloned before: making the tmpfs leaves the container's mount
    /// namespace.
    fn new_node(&self, own: &mut Option<OwnedFd>, i: usize, node: &NewNode) -> StepResult<OwnedFd> {
        let dir = match own {
            Some(dir) => dir,
            None => own.insert(self.own_tmpfs()?),
        };
        let name = Octal::new(i as u32);
        let name = name.as_c_str();
        fd::mknod(&*dir, name, node.mode, node.dev).during(Call::Mknod)?;
        let (uid, gid) = *self.owners.get(i).ok_or((Call::Chown, Errno::EINVAL))?;
        fd::chown_at(&*dir, name, uid, gid, libc::AT_SYMLINK_NOFOLLOW).during(Call::Chown)?;
        mount::clone_tree(&*dir, name, Depth::One, 0).during(Call::CloneTree)
    }

    /// Mounts a tmpfs in a new mount namespace of this process: before Linux 6.15 only a mount of
    /// the own mount namespace can be cloned.
    fn own_tmpfs(&self) -> StepResult<OwnedFd> {
        fd::umask(0);
        runtime_sys::ns::unshare(libc::CLONE_NEWNS).during(Call::Unshare)?;
        let context = mount::fsopen(c"tmpfs").during(Call::Fsopen)?;
        if let Some((option, label)) = self.plan.container.as_ref().and_then(|c| c.mask_label.as_ref()) {
            mount::fsconfig_set(&context, option, Some(label)).during(Call::Fsconfig)?;
        }
        mount::fsconfig_create(&context).during(Call::FsconfigCreate)?;
        let tmpfs = mount::fsmount(&context, attr::NOSUID | attr::NOEXEC).during(Call::Fsmount)?;
        let flags = libc::O_PATH | libc::O_DIRECTORY;
        let target = fd::open(fd::CWD, c"/", flags, 0).during(Call::Open)?;
        mount::attach(&tmpfs, target).during(Call::AttachMount)?;
        Ok(tmpfs)
    }

    /// Enters the mount namespace, and in it the copy of the caller's root directory: the rootfs
    /// may be mounted on the namespace's own root directory by now.
    fn enter(&self) -> StepResult {
        let receive = || -> StepResult<OwnedFd> {
            let (_, file) = socket::recv_fd(self.socket, &mut [0]).during(Call::ReceiveTree)?;
            file.ok_or((Call::ReceiveTree, Errno::EPIPE))
        };
        let (root, namespace) = (receive()?, receive()?);
        runtime_sys::ns::setns(namespace, libc::CLONE_NEWNS).during(Call::Setns)?;
        fchdir(root).during(Call::Chdir)?;
        chroot(c".").during(Call::Chroot)
    }

    /// Sends the rootfs, unless the init has it, and its mount point, which the init may have no
    /// permission to reach.
    fn send_root(&self, rootfs: &Rootfs) -> StepResult {
        if let Some(later) = rootfs.tree.for_cloner(Cloner::Helper) {
            self.send(&later.clone_tree()?)?;
        }
        if rootfs.uses_mntns_holder() {
            return Ok(());
        }
        let flags = libc::O_PATH | libc::O_DIRECTORY;
        let mount_point = fd::open_follow(fd::CWD, &rootfs.mount_point, flags, 0).during(Call::Open)?;
        self.send(&mount_point)
    }

    /// Waits until the init asks for a tree. Returns the root directory below which to clone it.
    fn await_turn(&self) -> StepResult<OwnedFd> {
        let (_, root) = socket::recv_fd(self.socket, &mut [0]).during(Call::Read)?;
        root.ok_or((Call::Read, Errno::EPIPE))
    }

    fn send(&self, tree: &OwnedFd) -> StepResult {
        socket::send_fd(self.socket, b"m", tree).during(Call::SendFd).map(drop)
    }
}

/// A process that holds a copy of the caller's mount namespace, which belongs to a new user namespace.
/// The trees for an existing mount namespace are cloned in that copy.
pub(crate) struct MntnsHolder<'a> {
    /// True if the process hides itself, see [`Plan::hide`].
    pub(crate) hides: bool,
    pub(crate) to_helper: &'a OwnedFd,
    pub(crate) channel: &'a ChildEnd,
}

impl ChildMain for MntnsHolder<'_> {
    fn run(self) -> ! {
        if let Err(failure) = self.show() {
            report_and_exit(Err(failure), self.channel);
        }
        // The parent kills this process. If the parent is killed, the wait ends.
        runtime_sys::ignore(self.channel.wait_go());
        runtime_sys::exec::exit(0)
    }
}

impl MntnsHolder<'_> {
    fn show(&self) -> Result<(), StepFailure> {
        if self.hides {
            hide()?;
        }
        let [channel, parent] = self.channel.descriptors();
        close_others(&mut [channel, parent, self.to_helper.as_raw_fd()])?;
        send_place(self.to_helper).step(Step::Rootfs)?;
        self.channel.send(Reply::Ready).during(Call::Write).step(Step::Rootfs)
    }
}

/// Sends the root directory and the mount namespace of the calling process to a [`TreeCloner`],
/// which could not join the mount namespace by a pidfd without CAP_SYS_PTRACE.
pub(super) fn send_place(helper: &OwnedFd) -> StepResult {
    let root = fd::open(fd::CWD, c"/", libc::O_PATH | libc::O_DIRECTORY, 0).during(Call::Open)?;
    socket::send_fd(helper, b"/", root).during(Call::SendFd)?;
    let namespace = fd::open_follow(fd::CWD, c"/proc/self/ns/mnt", libc::O_RDONLY, 0).during(Call::Open)?;
    socket::send_fd(helper, b"n", namespace).during(Call::SendFd).map(drop)
}

/// A process that opens a socket in the network namespace of the init, and sends it to the parent.
pub(crate) struct RouteOpener<'a> {
    pub(crate) init: BorrowedFd<'a>,
    pub(crate) channel: &'a ChildEnd,
}

impl ChildMain for RouteOpener<'_> {
    fn run(self) -> ! {
        runtime_sys::signal::reset_in_child(Ignored::ALL);
        report_and_exit(self.open(), self.channel)
    }
}

impl RouteOpener<'_> {
    fn open(&self) -> Result<Infallible, StepFailure> {
        let [channel, parent] = self.channel.descriptors();
        close_others(&mut [channel, parent, self.init.as_raw_fd()])?;
        runtime_sys::ns::setns(self.init, libc::CLONE_NEWNET).during(Call::Setns).step(Step::Join)?;
        let socket = runtime_sys::net::route_socket().during(Call::Socket).step(Step::Join)?;
        self.channel.send_with(Reply::Ready, &socket).during(Call::SendFd).step(Step::Join)?;
        runtime_sys::exec::exit(0)
    }
}

/// A process that does in the namespaces of a restored init what create's child does in its own and
/// CRIU does not.
pub(crate) struct RestoredFinisher<'a> {
    pub(crate) init: BorrowedFd<'a>,
    pub(crate) steps: &'a Finish,
    pub(crate) proc: &'a Proc,
    pub(crate) channel: &'a ChildEnd,
}

/// The steps of a [`RestoredFinisher`].
#[derive(Debug)]
pub(crate) struct Finish {
    /// Brings lo up.
    pub(crate) loopback: bool,
    /// The parameters of the network namespace to set.
    pub(crate) sysctls: Box<[Sysctl]>,
    /// The bind mounts to check and to restrict.
    pub(crate) binds: Box<[RestoredBind]>,
    /// Makes the root directory read-only.
    pub(crate) readonly: bool,
}

/// A bind mount that CRIU has made.
#[derive(Debug)]
pub(crate) struct RestoredBind {
    /// Its index in the configuration.
    pub(crate) index: usize,
    pub(crate) destination: CString,
    /// True if a link at the end of the destination is not followed.
    pub(crate) no_follow: bool,
    pub(crate) source: FileId,
    /// The attributes to set. Others stay: nothing is allowed that is forbidden already.
    pub(crate) restrictions: u64,
}

impl ChildMain for RestoredFinisher<'_> {
    fn run(self) -> ! {
        runtime_sys::signal::reset_in_child(Ignored::ALL);
        report_and_exit(self.finish(), self.channel)
    }
}

impl RestoredFinisher<'_> {
    fn finish(&self) -> Result<Infallible, StepFailure> {
        // Processes of others may be in a network namespace that the container joins.
        hide()?;
        let [channel, parent] = self.channel.descriptors();
        close_others(&mut [channel, parent, self.init.as_raw_fd(), self.proc.as_fd().as_raw_fd()])?;
        let join = |kind| runtime_sys::ns::setns(self.init, kind).during(Call::Setns).step(Step::Join);
        let steps = self.steps;
        if steps.loopback || !steps.sysctls.is_empty() {
            join(libc::CLONE_NEWNET)?;
        }
        if steps.loopback {
            runtime_sys::net::loopback_up().during(Call::Ioctl).step(Step::Loopback)?;
        }
        for (i, sysctl) in steps.sysctls.iter().enumerate() {
            let file = self.proc.open(&sysctl.path, libc::O_WRONLY).during(Call::Open);
            file.and_then(|file| fd::write_all(file, sysctl.line.to_bytes()).during(Call::Write))
                .item(Step::Sysctl, i)?;
        }
        if steps.readonly || !steps.binds.is_empty() {
            // This makes the root of the namespace the root directory.
            join(libc::CLONE_NEWNS)?;
            let root = fd::open(fd::CWD, c"/", libc::O_PATH | libc::O_DIRECTORY, 0);
            let root = root.during(Call::Open).step(Step::Rootfs)?;
            for bind in &steps.binds {
                bind.restrict(Root::new(&root)).item(Step::Mount, bind.index)?;
            }
            if steps.readonly {
                set(&root, attr::RDONLY).step(Step::ReadonlyRootfs)?;
            }
        }
        // Without a parent there is no process to report to.
        runtime_sys::ignore(self.channel.send(Reply::Ready));
        runtime_sys::exec::exit(0)
    }
}

impl RestoredBind {
    /// Sets the attributes of the mount at the destination, which must be one of the source. CRIU has
    /// found the source by its path, and takes the attributes from the images.
    fn restrict(&self, root: Root<'_>) -> StepResult {
        let link = if self.no_follow { libc::O_NOFOLLOW } else { 0 };
        let mount = root.open(&self.destination, libc::O_PATH | link).during(Call::Open)?;
        let is_mount = fd::is_mount_root(&mount).during(Call::Stat)?;
        if !is_mount || FileId::of(&mount).during(Call::Stat)? != self.source {
            return Err((Call::CheckSource, Errno::ESTALE));
        }
        if self.restrictions == 0 { Ok(()) } else { set(&mount, self.restrictions) }
    }
}

fn set(mount: &OwnedFd, attributes: u64) -> StepResult {
    let change = mount::MountAttr { set: attributes, ..mount::MountAttr::default() };
    mount::set_attr(mount, Depth::One, &change).during(Call::MountSetattr)
}

/// A process that holds a user namespace until the parent has written its id maps. It sends a
/// descriptor of the namespace to the parent.
pub(crate) struct UsernsHolder<'a> {
    /// True if the process hides itself, see [`Plan::hide`].
    pub(crate) hides: bool,
    pub(crate) channel: &'a ChildEnd,
}

impl ChildMain for UsernsHolder<'_> {
    fn run(self) -> ! {
        if let Err(failure) = self.show() {
            report_and_exit(Err(failure), self.channel);
        }
        // The parent kills this process. If the parent is killed, the wait ends.
        runtime_sys::ignore(self.channel.wait_go());
        runtime_sys::exec::exit(0)
    }
}

impl UsernsHolder<'_> {
    fn show(&self) -> Result<(), StepFailure> {
        if self.hides {
            hide()?;
        }
        close_others(&mut self.channel.descriptors())?;
        let open =
            || runtime_sys::fd::open_follow(runtime_sys::fd::CWD, c"/proc/self/ns/user", libc::O_RDONLY, 0);
        let namespace = open().during(Call::Open).step(Step::Join)?;
        self.channel.send_with(Reply::Ready, &namespace).during(Call::SendFd).step(Step::Join)
    }
}
