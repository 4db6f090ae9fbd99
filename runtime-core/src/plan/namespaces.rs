// SPDX-License-Identifier: Apache-2.0
//! Namespaces: files to join, flags to clone with, clocks to set.

use crate::config::Config;
use crate::config::field::invalid;
use crate::config::namespaces::{Kind, Namespaces, Origin};
use crate::error::{Context, Error, ErrorKind, Result};
use crate::init::plan::Join;
use crate::path::show;
use crate::sys::{Errno, fd, ns};
use std::ffi::{CStr, CString};
use std::os::fd::OwnedFd;

/// Opens the namespace files to join, in the order in which that works.
pub(super) fn joins(config: &Config) -> Result<Box<[Join]>> {
    let mut joins = Vec::new();
    for (kind, path) in config.namespaces.paths() {
        let fd = open(kind, path)?;
        if is_own(kind, &fd)? {
            check_own(kind, path, config)?;
            // The kernel refuses to enter the user namespace that one is in, and children
            // are in the pid namespace that one is in anyway.
            if matches!(kind, Kind::User | Kind::Pid) {
                continue;
            }
        }
        joins.push(Join { fd, flags: kind.flag() });
    }
    Ok(joins.into())
}

/// A path that leads to the runtime's own namespace: what changes that is refused,
/// as it is without the path.
fn check_own(kind: Kind, path: &CStr, config: &Config) -> Result<()> {
    let field = match kind {
        // pivot_root(2) would change the root of every process in it.
        Kind::Mount => Some("linux.namespaces".to_owned()),
        Kind::Uts if config.hostname.is_some() => Some("hostname".to_owned()),
        Kind::Uts if config.domainname.is_some() => Some("domainname".to_owned()),
        _ => config
            .sysctls
            .iter()
            .find(|sysctl| sysctl.namespace == kind)
            .map(|sysctl| format!("linux.sysctl.{}", sysctl.name)),
    };
    match field {
        None => Ok(()),
        Some(field) => Err(invalid(
            field,
            format_args!(
                "it would change the host: {} namespace {} is the runtime's own",
                kind.name(),
                show(path)
            ),
        )),
    }
}

pub(super) fn open(kind: Kind, path: &CStr) -> Result<OwnedFd> {
    let at = || format!("linux.namespaces: {} namespace {}", kind.name(), show(path));
    let file = fd::open_follow(fd::CWD, path, libc::O_RDONLY | libc::O_NONBLOCK, 0)
        .context(|| format!("open {}", show(path)))
        .map_err(|error| error.of_kind(ErrorKind::InvalidConfig).wrap(at()))?;
    match ns::namespace_type(&file) {
        Ok(flag) if flag == kind.flag() => Ok(file),
        Ok(_) => Err(invalid(at(), format_args!("not a namespace of type {}", kind.name()))),
        Err(Errno::ENOTTY) => Err(invalid(at(), "not a namespace file")),
        Err(errno) => Err(Error::os(errno, "ioctl(NS_GET_NSTYPE)").wrap(at())),
    }
}

/// True if the namespace is the one that the calling process is in.
pub(super) fn is_own(kind: Kind, file: &OwnedFd) -> Result<bool> {
    let path = CString::new(format!("/proc/self/ns/{}", kind.file())).unwrap_or_default();
    let own = fd::stat_at(fd::CWD, &path, 0).context(|| format!("stat {}", show(&path)))?;
    let other = fd::stat(file).context(|| "stat namespace file")?;
    Ok((own.st_dev, own.st_ino) == (other.st_dev, other.st_ino))
}

/// True if the namespace of this file belongs to the user namespace that the calling
/// process is in.
pub(super) fn belongs_to_own_user(kind: Kind, path: &CStr) -> Result<bool> {
    match ns::owner(open(kind, path)?) {
        Ok(owner) => is_own(Kind::User, &owner),
        Err(Errno::EPERM) => Ok(false),
        Err(errno) => Err(Error::os(errno, "ioctl(NS_GET_USERNS)").wrap(format!(
            "{} namespace {}",
            kind.name(),
            show(path)
        ))),
    }
}

/// The flags for the clone. The cgroup and time namespaces are made later, by
/// the child: the one when it is in its cgroup, the other so that it can set clocks.
pub(super) fn clone_flags(namespaces: &Namespaces) -> i32 {
    Kind::ALL
        .into_iter()
        .filter(|kind| namespaces.is_new(*kind) && !matches!(kind, Kind::Cgroup | Kind::Time))
        .fold(0, |flags, kind| flags | kind.flag())
        & !late(namespaces)
}

/// CLONE_NEW* of what the process makes when it is root of its user namespace, as some
/// objects of namespaces get their owner when they are made. The root of mqueue belongs to
/// whoever makes the ipc namespace. The files of procfs and sysfs for a network belong
/// to root of the user namespace, or if that has no id maps yet, of the host.
pub(super) fn late(namespaces: &Namespaces) -> i32 {
    let flag = |kind: Kind| if namespaces.is_new(kind) { kind.flag() } else { 0 };
    match namespaces.origin(Kind::User) {
        Origin::Shared => 0,
        Origin::Path(_) => flag(Kind::Ipc),
        Origin::New => flag(Kind::Ipc) | flag(Kind::Network),
    }
}

/// What is written into timens_offsets (time_namespaces(7)).
pub(super) fn time_offsets(namespaces: &Namespaces) -> CString {
    let mut text = String::new();
    for (clock, secs, nanosecs) in &namespaces.time_offsets {
        text.push_str(&format!("{clock} {secs} {nanosecs}\n"));
    }
    super::c_string(&text)
}
