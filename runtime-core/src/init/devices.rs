// SPDX-License-Identifier: Apache-2.0
//! /dev: nodes and links, made below an opened directory, never at a path.

use super::plan::{Node, Rootfs};
use super::step::{Call, During, Failure, InStep, Step, StepResult};
use crate::path::proc::Proc;
use crate::path::root::Root;
use crate::sys::{Errno, fd, mount};
use std::ffi::CStr;
use std::os::fd::OwnedFd;

/// A device that the host and the container both have, each its own node of it.
pub(crate) struct Shared {
    pub(crate) path: &'static CStr,
    dev: u64,
}

const fn memory_device(path: &'static CStr, minor: u32) -> Shared {
    Shared { path, dev: libc::makedev(1, minor) }
}

pub(super) const NULL: Shared = memory_device(c"dev/null", 3);

/// Callers pass the host's nodes of these on without a thought.
pub(crate) const SHARED: [Shared; 5] = [
    NULL,
    memory_device(c"dev/zero", 5),
    memory_device(c"dev/full", 7),
    memory_device(c"dev/random", 8),
    memory_device(c"dev/urandom", 9),
];

impl Shared {
    pub(super) fn is(&self, st: &libc::stat) -> bool {
        st.st_mode & libc::S_IFMT == libc::S_IFCHR && st.st_rdev == self.dev
    }

    /// Opens (O_PATH) the container's node, which must be that device, not a link or a file
    /// that an image or another container has put there (CVE-2025-31133).
    pub(super) fn look(&self, root: Root<'_>) -> StepResult<OwnedFd> {
        let node = root.open_proper(self.path, libc::O_PATH).during(Call::Open)?;
        let st = fd::stat(&node).during(Call::Stat)?;
        if self.is(&st) { Ok(node) } else { Err((Call::CheckDevice, Errno::ENODEV)) }
    }

    /// Opens the container's node for use: the one that was looked at, as some devices do
    /// something when they are opened.
    pub(super) fn open(&self, root: Root<'_>, proc: &Proc) -> StepResult<OwnedFd> {
        proc.reopen(&self.look(root)?, libc::O_RDWR | libc::O_NOCTTY).during(Call::Open)
    }
}

pub(super) fn make(rootfs: &mut Rootfs) -> Result<(), Failure> {
    let Some(dev) = &mut rootfs.dev else { return Ok(()) };
    let mut parents = Parents { root: Root::new(&rootfs.root), last: None };
    for (i, node) in dev.nodes.iter_mut().enumerate() {
        make_node(&mut parents, node).item(Step::Device, i)?;
    }
    for (i, (target, path)) in dev.links.iter().enumerate() {
        make_link(&mut parents, target, path).item(Step::DeviceLink, i)?;
    }
    Ok(())
}

/// The directory of the last path, because the next is most often in it too.
struct Parents<'a> {
    root: Root<'a>,
    last: Option<(&'a [u8], OwnedFd)>,
}

impl<'a> Parents<'a> {
    fn of<'s>(&'s mut self, path: &'a CStr) -> StepResult<(&'s OwnedFd, &'a CStr)> {
        let bytes = path.to_bytes_with_nul();
        let start = bytes.iter().rposition(|b| *b == b'/').map_or(0, |slash| slash + 1);
        let (parent, name) = bytes.split_at(start);
        if !matches!(&self.last, Some((last, _)) if *last == parent) {
            self.last = Some((parent, self.root.parent_of(path).during(Call::Open)?.0));
        }
        match (&self.last, CStr::from_bytes_with_nul(name)) {
            (Some((_, dir)), Ok(name)) => Ok((dir, name)),
            _ => Err((Call::Open, Errno::EINVAL)),
        }
    }
}

fn make_node<'a>(parents: &mut Parents<'a>, node: &'a mut Node) -> StepResult {
    let Node { path, host, .. } = node;
    let (dir, name) = parents.of(path)?;
    if let Some(host) = host {
        return bind_node(dir, name, host.get()?);
    }
    match fd::mknod(dir, name, node.mode, node.dev) {
        Ok(()) => {}
        Err(Errno::EEXIST) => return check_existing(dir, name, node.mode, node.dev),
        Err(errno) => return Err((Call::Mknod, errno)),
    }
    if node.uid != 0 || node.gid != 0 {
        fd::chown_at(dir, name, node.uid, node.gid, libc::AT_SYMLINK_NOFOLLOW).during(Call::Chown)?;
    }
    Ok(())
}

/// What the image has at the path must be the device that was asked for.
fn check_existing(dir: &OwnedFd, name: &CStr, mode: u32, dev: u64) -> StepResult {
    let st = fd::stat_at(dir, name, libc::AT_SYMLINK_NOFOLLOW).during(Call::Stat)?;
    let same_type = st.st_mode & libc::S_IFMT == mode & libc::S_IFMT;
    let is_fifo = mode & libc::S_IFMT == libc::S_IFIFO;
    if same_type && (is_fifo || st.st_rdev == dev) { Ok(()) } else { Err((Call::CheckDevice, Errno::EEXIST)) }
}

fn bind_node(dir: &OwnedFd, name: &CStr, host: &OwnedFd) -> StepResult {
    match fd::mknod(dir, name, libc::S_IFREG, 0) {
        Ok(()) | Err(Errno::EEXIST) => {}
        Err(errno) => return Err((Call::Mknod, errno)),
    }
    let target = fd::open(dir, name, libc::O_PATH, 0).during(Call::Open)?;
    if fd::stat(&target).during(Call::Stat)?.st_mode & libc::S_IFMT == libc::S_IFLNK {
        return Err((Call::CheckDevice, Errno::ELOOP));
    }
    mount::attach(host, target).during(Call::AttachMount)
}

fn make_link<'a>(parents: &mut Parents<'a>, target: &CStr, path: &'a CStr) -> StepResult {
    let (dir, name) = parents.of(path)?;
    if path == c"dev/ptmx" {
        // Of the container's own devpts, whatever the image has there.
        match fd::unlink(dir, name, 0) {
            Ok(()) | Err(Errno::ENOENT) => {}
            Err(errno) => return Err((Call::Unlink, errno)),
        }
    }
    match fd::symlink(target, dir, name) {
        Ok(()) | Err(Errno::EEXIST) => Ok(()),
        Err(errno) => Err((Call::Symlink, errno)),
    }
}
