// SPDX-License-Identifier: Apache-2.0
//! The nodes and links in /dev, made below an opened directory and never at a path.

use super::places::{Dir, Places};
use crate::boundary::channel::ChildEnd;
use crate::boundary::plan::{Node, Rootfs};
use crate::boundary::step::{Call, During, InStep, Step, StepFailure, StepResult};
use crate::boundary::tree::Suppliers;
use crate::path::proc::Proc;
use crate::path::root::Root;
use nix::sys::stat::fstat;
use nix::unistd::{UnlinkatFlags, symlinkat, unlinkat};
use runtime_sys::{Errno, fd, mount};
use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// A device of which the host and the container each have a node of their own.
pub(crate) struct Shared {
    pub(crate) path: &'static CStr,
    dev: u64,
}

const fn memory_device(path: &'static CStr, minor: u32) -> Shared {
    Shared { path, dev: libc::makedev(1, minor) }
}

pub(super) const NULL: Shared = memory_device(c"dev/null", 3);

/// The devices whose host nodes callers pass on as standard streams.
pub(crate) const SHARED: [Shared; 5] = [
    NULL,
    memory_device(c"dev/zero", 5),
    memory_device(c"dev/full", 7),
    memory_device(c"dev/random", 8),
    memory_device(c"dev/urandom", 9),
];

impl Shared {
    pub(crate) fn is(&self, st: &libc::stat) -> bool {
        st.st_mode & libc::S_IFMT == libc::S_IFCHR && st.st_rdev == self.dev
    }

    /// Opens (O_PATH) the container's node. It must be this device, and not a link or a file that
    /// an image or another container has put there (CVE-2025-31133).
    pub(super) fn inspect(&self, places: &Places<'_>) -> StepResult<OwnedFd> {
        let (root, path) = places.find(self.path);
        let node = root.open_no_symlinks(path, libc::O_PATH).during(Call::Open)?;
        let st = fstat(&node).during(Call::Stat)?;
        if self.is(&st) { Ok(node) } else { Err((Call::CheckDevice, Errno::ENODEV)) }
    }

    /// Opens the container's node for use. Opens the file that was checked, because opening some
    /// devices has an effect.
    pub(super) fn open(&self, places: &Places<'_>, proc: &Proc) -> StepResult<OwnedFd> {
        proc.reopen(&self.inspect(places)?, libc::O_RDWR | libc::O_NOCTTY).during(Call::Open)
    }
}

/// The mode of a new node for which config.json has none.
pub(crate) const DEVICE_MODE: u32 = 0o666;

/// Makes the nodes, and the links in /dev. Leaves a volume unchanged, unless the path in config.json
/// is below the destination of that volume: a link of the image may lead from /dev to a volume, or
/// from the destination of a volume to /dev.
pub(super) fn make(rootfs: &mut Rootfs, proc: &Proc, channel: &ChildEnd) -> Result<(), StepFailure> {
    let Rootfs { root, mounts, covered, dev, helper, .. } = rootfs;
    let mounts = mounts.get(*covered..).unwrap_or_default();
    let suppliers = Suppliers::new(channel, helper);
    let places = Places { root: Root::new(root), mounts, dev: dev.place };
    let at_dev = places.own_dev().step(Step::Device)?;
    let mut parents = Parents { places, dev: at_dev.as_ref(), last: None };
    for (i, node) in dev.nodes.iter_mut().enumerate() {
        make_node(&mut parents, node, proc, suppliers).item(Step::Device, i)?;
    }
    for (i, (target, path)) in dev.links.iter().enumerate() {
        make_link(&mut parents, target, path).item(Step::DeviceLink, i)?;
    }
    Ok(())
}

/// The directory of the last path, because the next path is usually in it too.
struct Parents<'a> {
    places: Places<'a>,
    /// The container's /dev, if it is the container's own.
    dev: Option<&'a Dir<'a>>,
    last: Option<(&'a [u8], OwnedFd)>,
}

impl<'a> Parents<'a> {
    /// Returns the directory and the name of a path. `None` if the path is in a /dev that is not
    /// the container's own.
    fn of<'s>(&'s mut self, path: &'a CStr) -> StepResult<Option<(BorrowedFd<'s>, &'a CStr)>> {
        let in_dev = path.to_bytes_with_nul().strip_prefix(b"dev/");
        let (root, bytes) = match (in_dev, self.dev) {
            (Some(_), None) => return Ok(None),
            (Some(below), Some(dev)) => (Root::new(dev), below),
            (None, _) => (self.places.root, path.to_bytes_with_nul()),
        };
        let name_of = |bytes| CStr::from_bytes_with_nul(bytes).map_err(|_inner| (Call::Open, Errno::EINVAL));
        let start = bytes.iter().rposition(|b| *b == b'/').map_or(0, |slash| slash + 1);
        let (parent, name) = bytes.split_at(start);
        let name = name_of(name)?;
        if let (true, Some(dev)) = (parent.is_empty(), self.dev.filter(|_| in_dev.is_some())) {
            return Ok(Some((dev.as_fd(), name)));
        }
        // The directory, like `parent`, but relative to the root.
        let whole = path.to_bytes().strip_suffix(name.to_bytes()).unwrap_or_default();
        if !matches!(&self.last, Some((last, _)) if *last == whole) {
            let dir = root.parent_of(name_of(bytes)?).during(Call::Open)?.0;
            if !self.places.allow(&dir, path)? {
                return Err((Call::Open, Errno::EXDEV));
            }
            self.last = Some((whole, dir));
        }
        Ok(self.last.as_ref().map(|(_, dir)| (dir.as_fd(), name)))
    }
}

fn make_node<'a>(
    parents: &mut Parents<'a>,
    node: &'a mut Node,
    proc: &Proc,
    suppliers: Suppliers<'_>,
) -> StepResult {
    // Taken even if it is not needed: the helper sends the next tree after this one.
    let host = node.host.as_mut().map(|host| host.take(0, suppliers)).transpose()?;
    let Some((dir, name)) = parents.of(&node.path)? else { return Ok(()) };
    if let Some(host) = &host {
        return bind_node(dir, name, node.kind, node.dev, host);
    }
    match fd::mknod(dir, name, node.kind | node.mode.unwrap_or(DEVICE_MODE), node.dev) {
        Ok(()) if node.uid.unwrap_or(0) == 0 && node.gid.unwrap_or(0) == 0 => return Ok(()),
        Ok(()) | Err(Errno::EEXIST) => {}
        Err(errno) => return Err((Call::Mknod, errno)),
    }
    set_attributes(dir, name, node, proc)
}

/// Gives a node the mode and the owner from config.json. A file of the image at the path must be
/// the requested device.
fn set_attributes(dir: BorrowedFd<'_>, name: &CStr, node: &Node, proc: &Proc) -> StepResult {
    let file = fd::open(dir, name, libc::O_PATH, 0).during(Call::Open)?;
    let st = fstat(&file).during(Call::Stat)?;
    if !is_device(&st, node.kind, node.dev) {
        return Err((Call::CheckDevice, Errno::EEXIST));
    }
    let differs = |given: Option<u32>, is: u32| given.is_some_and(|given| given != is);
    if differs(node.uid, st.st_uid) || differs(node.gid, st.st_gid) {
        let (uid, gid) = (node.uid.unwrap_or(u32::MAX), node.gid.unwrap_or(u32::MAX));
        fd::chown_at(&file, c"", uid, gid, libc::AT_EMPTY_PATH).during(Call::Chown)?;
    }
    match node.mode {
        Some(mode) if st.st_mode & 0o7777 != mode => proc.chmod(&file, mode).during(Call::Chmod),
        _ => Ok(()),
    }
}

fn is_device(st: &libc::stat, kind: u32, dev: u64) -> bool {
    // The device numbers of a fifo have no meaning.
    st.st_mode & libc::S_IFMT == kind && (kind == libc::S_IFIFO || st.st_rdev == dev)
}

/// Mounts a node on the device that the image has at the path, or on an empty file. This function
/// makes the file if it is missing, and the file stays in the rootfs.
fn bind_node(dir: BorrowedFd<'_>, name: &CStr, kind: u32, dev: u64, node: &OwnedFd) -> StepResult {
    let made = match fd::mknod(dir, name, libc::S_IFREG, 0) {
        Ok(()) => true,
        Err(Errno::EEXIST) => false,
        Err(errno) => return Err((Call::Mknod, errno)),
    };
    let target = fd::open(dir, name, libc::O_PATH, 0).during(Call::Open)?;
    let st = fstat(&target).during(Call::Stat)?;
    let is_empty = st.st_mode & libc::S_IFMT == libc::S_IFREG && st.st_size == 0;
    if !is_empty && (made || !is_device(&st, kind, dev)) {
        return Err((Call::CheckDevice, Errno::EEXIST));
    }
    mount::attach(node, target).during(Call::AttachMount)
}

fn make_link<'a>(parents: &mut Parents<'a>, target: &CStr, path: &'a CStr) -> StepResult {
    let Some((dir, name)) = parents.of(path)? else { return Ok(()) };
    if path == c"dev/ptmx" {
        // The link leads to the container's own devpts, whatever the image has there.
        match unlinkat(dir, name, UnlinkatFlags::NoRemoveDir) {
            Ok(()) | Err(Errno::ENOENT) => {}
            Err(errno) => return Err((Call::Unlink, errno)),
        }
    }
    match symlinkat(target, dir, name) {
        Ok(()) | Err(Errno::EEXIST) => Ok(()),
        Err(errno) => Err((Call::Symlink, errno)),
    }
}
