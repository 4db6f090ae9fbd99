// SPDX-License-Identifier: Apache-2.0
//! The container's terminal.

use super::places::Places;
use super::streams;
use crate::boundary::plan::{DevPlace, Process, TerminalPlan};
use crate::boundary::step::{Call, During, InStep, Step, StepFailure, StepResult};
use nix::sys::stat::fstat;
use runtime_sys::fd::resolve;
use runtime_sys::mount::{self, Depth};
use runtime_sys::{Errno, fd, socket, tty};
use std::os::fd::OwnedFd;

const DEVPTS_MAGIC: i64 = 0x1cd1;

/// Sets the standard streams. If the process wants a terminal, makes a pseudoterminal in the
/// container's own devpts, sends its master to the receiver, and makes the other side the standard
/// streams. For a container's init, which has `places`, also mounts the terminal on /dev/console.
pub(super) fn open(process: &mut Process, places: Option<&Places<'_>>) -> Result<(), StepFailure> {
    let controls = !process.enters_pid;
    match &process.terminal {
        None => streams::set(process).step(Step::Console),
        Some(terminal) => make(terminal, places, controls).step(Step::Console),
    }
}

/// Makes the terminal. If `controls` is true, it becomes the calling process's controlling
/// terminal.
fn make(terminal: &TerminalPlan, places: Option<&Places<'_>>, controls: bool) -> StepResult {
    let master = match places {
        Some(places) => open_master(places)?,
        None => {
            // The process's root directory is the container's by now.
            let root = fd::open(fd::CWD, c"/", libc::O_PATH | libc::O_DIRECTORY, 0).during(Call::Open)?;
            open_master(&Places::below(&root))?
        }
    };
    tty::unlock(&master).during(Call::Ioctl)?;
    // The peer is not opened by its path, which a process in the container could have replaced
    // (CVE-2025-52565).
    let peer = tty::peer(&master).during(Call::Ioctl)?;
    if let Some((rows, columns)) = terminal.size {
        tty::set_size(&master, rows, columns).during(Call::Ioctl)?;
    }
    if let Some(places) = places {
        mount_console(places, &peer)?;
    }
    socket::send_fd(&terminal.socket, b"/dev/ptmx", &master).during(Call::SendFd)?;
    for n in 0..3 {
        fd::dup_onto(&peer, n).during(Call::Dup)?;
    }
    if controls {
        tty::set_controlling(fd::stdio(0)).during(Call::Ioctl)?;
    }
    Ok(())
}

/// Opens the multiplexer of the devpts at /dev/pts. A file that the image or a volume has there is
/// not opened before it is known to be the multiplexer. On a devpts, `ptmx` is always the
/// multiplexer, because files in its root cannot be made, renamed or removed. A mount on `ptmx` is
/// not followed (RESOLVE_NO_XDEV).
fn open_master(places: &Places<'_>) -> StepResult<OwnedFd> {
    let (root, path) = places.find(c"dev/pts");
    let devpts = root.open(path, libc::O_PATH | libc::O_DIRECTORY).during(Call::Open)?;
    if fd::filesystem(&devpts).during(Call::Statfs)? != DEVPTS_MAGIC {
        return Err((Call::CheckDevpts, Errno::ENODEV));
    }
    let flags = libc::O_RDWR | libc::O_NOCTTY;
    let resolve = resolve::BENEATH | resolve::NO_XDEV | resolve::NO_SYMLINKS;
    fd::openat2(&devpts, c"ptmx", flags, 0, resolve).during(Call::Open)
}

/// Mounts the terminal on /dev/console. The mount point is also made where config.json has a volume
/// at /dev, but not where a link of the image leads to a volume: there it may be missing.
fn mount_console(places: &Places<'_>, peer: &OwnedFd) -> StepResult {
    let (root, path) = places.find(c"dev/console");
    let (dev, name) = root.parent_of(path).during(Call::Open)?;
    if places.dev == DevPlace::Given || places.own_dev()?.is_some() {
        match fd::mknod(&dev, name, libc::S_IFREG | 0o666, 0) {
            Ok(()) | Err(Errno::EEXIST) => {}
            Err(errno) => return Err((Call::Mknod, errno)),
        }
    }
    let target = match fd::open(&dev, name, libc::O_PATH, 0) {
        Err(Errno::ENOENT) => return Ok(()),
        other => other.during(Call::Open)?,
    };
    // CVE-2026-88264: the image may have a link there.
    if fstat(&target).during(Call::Stat)?.st_mode & libc::S_IFMT == libc::S_IFLNK {
        return Err((Call::Open, Errno::ELOOP));
    }
    let tree = mount::clone_tree(peer, c"", Depth::One, 0).during(Call::CloneTree)?;
    mount::attach(tree, target).during(Call::AttachMount)
}
