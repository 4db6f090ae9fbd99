// SPDX-License-Identifier: Apache-2.0
//! Namespaces: the files to join, the flags of clone(2), the clocks of a time namespace.

use crate::boundary::plan::Join;
use crate::config::Config;
use crate::config::field::invalid;
use crate::config::namespaces::{NamespaceKind, Namespaces, Origin};
use crate::error::{Context, Error, ErrorKind, Result};
use crate::path::show;
use nix::sys::stat::fstat;
use runtime_sys::{Errno, fd, ns};
use std::ffi::{CStr, CString};
use std::os::fd::OwnedFd;

/// Opens the namespace files, in the order in which they have to be joined.
pub(crate) fn joins(config: &Config) -> Result<Box<[Join]>> {
    let mut joins = Vec::new();
    for (kind, path) in config.namespaces.paths() {
        let fd = open(kind, path)?;
        if is_own(kind, &fd)? {
            // In the runtime's mount namespace, pivot_root(2) would change the root of every
            // process there. For other types, the path has led to another namespace when the
            // configuration was checked.
            return Err(invalid(
                "linux.namespaces",
                format_args!(
                    "it would change the host: {} namespace {} is the runtime's own",
                    kind.name(),
                    show(path)
                ),
            ));
        }
        joins.push(Join { fd, flags: kind.flag() });
    }
    Ok(joins.into())
}

/// Returns true if the container has a new cgroup namespace, or joins one that is not the
/// initial one. In the initial one, a new mount of cgroup2 resets the options of the whole
/// hierarchy.
pub(super) fn has_cgroups_apart(namespaces: &Namespaces) -> Result<bool> {
    match namespaces.origin(NamespaceKind::Cgroup) {
        Origin::Shared => Ok(false),
        Origin::New => Ok(true),
        Origin::Path(path) => {
            let file = fstat(open(NamespaceKind::Cgroup, path)?).context(|| "stat namespace file")?;
            Ok(!ns::is_initial_cgroup_namespace(&file))
        }
    }
}

/// Opens the namespace file at `path`, and checks its type.
pub(super) fn open(kind: NamespaceKind, path: &CStr) -> Result<OwnedFd> {
    let at = || format!("linux.namespaces: {} namespace {}", kind.name(), show(path));
    let file = fd::open_follow(fd::CWD, path, libc::O_RDONLY | libc::O_NONBLOCK, 0).map_err(|errno| {
        let error = Error::os(errno, format!("open {}", show(path))).of_kind(ErrorKind::InvalidConfig);
        let error = match errno {
            Errno::ENOENT if path.to_bytes().starts_with(b"/proc/") => {
                error.with_hint("the process has ended, or has no such namespace")
            }
            _ => error,
        };
        error.wrap(format!("linux.namespaces: {} namespace", kind.name())).at("linux.namespaces")
    })?;
    match ns::namespace_type(&file) {
        Ok(flag) if flag == kind.flag() => Ok(file),
        Ok(_) => Err(invalid(at(), format_args!("not a namespace of type {}", kind.name()))),
        Err(Errno::ENOTTY) => {
            Err(invalid(at(), "not a namespace file").with_hint("no namespace is mounted there any more"))
        }
        Err(errno) => Err(Error::os(errno, "ioctl(NS_GET_NSTYPE)").wrap(at())),
    }
}

/// Returns true if the calling process is in this namespace.
fn is_own(kind: NamespaceKind, file: &OwnedFd) -> Result<bool> {
    let file = fstat(file).context(|| "stat namespace file")?;
    ns::is_own(kind.file(), &file).context(|| format!("stat /proc/self/ns/{}", kind.file()))
}

/// Returns true if the namespace at `path` is owned by the user namespace of the calling
/// process.
pub(super) fn belongs_to_own_user(kind: NamespaceKind, path: &CStr) -> Result<bool> {
    match ns::owner(open(kind, path)?) {
        Ok(owner) => is_own(NamespaceKind::User, &owner),
        Err(Errno::EPERM) => Ok(false),
        Err(errno) => Err(Error::os(errno, "ioctl(NS_GET_USERNS)").wrap(format!(
            "{} namespace {}",
            kind.name(),
            show(path)
        ))),
    }
}

/// Returns the flags for the clone. The child makes two namespaces later: the cgroup namespace
/// when it is in its cgroup, and the time namespace, whose clocks it has to set first.
pub(super) fn clone_flags(namespaces: &Namespaces) -> i32 {
    NamespaceKind::ALL
        .into_iter()
        .filter(|kind| {
            namespaces.is_new(*kind) && !matches!(kind, NamespaceKind::Cgroup | NamespaceKind::Time)
        })
        .fold(0, |flags, kind| flags | kind.flag())
        & !late(namespaces)
}

/// Returns the CLONE_NEW* flags of the namespaces that the process makes when it is root of its
/// user namespace. Some objects of a namespace get their owner when the namespace is made. The
/// root of mqueue belongs to the user that makes the ipc namespace. The files of procfs and
/// sysfs for a network namespace belong to root of the user namespace, or to root of the host
/// if the user namespace has no id maps yet.
pub(super) fn late(namespaces: &Namespaces) -> i32 {
    let flag = |kind: NamespaceKind| if namespaces.is_new(kind) { kind.flag() } else { 0 };
    match namespaces.origin(NamespaceKind::User) {
        Origin::Shared => 0,
        Origin::Path(_) => flag(NamespaceKind::Ipc),
        Origin::New => flag(NamespaceKind::Ipc) | flag(NamespaceKind::Network),
    }
}

/// Returns the content for timens_offsets (time_namespaces(7)).
pub(super) fn time_offsets(namespaces: &Namespaces) -> Result<CString> {
    let mut text = String::new();
    for (clock, secs, nanosecs) in &namespaces.time_offsets {
        text.push_str(&format!("{clock} {secs} {nanosecs}\n"));
    }
    super::extras::c_string(&text)
}

/// Returns true if one of the namespaces is a pid namespace.
pub(super) fn enters_pid(joins: &[Join]) -> bool {
    joins.iter().any(|join| join.flags & NamespaceKind::Pid.flag() != 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec;

    #[test]
    fn a_file_that_is_no_namespace_of_the_type_is_refused() {
        assert!(open(NamespaceKind::Network, c"/proc/self/ns/net").is_ok());
        let report = open(NamespaceKind::Uts, c"/proc/self/ns/net").unwrap_err().report();
        assert!(report.contains("not a namespace of type uts"), "{report}");
        let report = open(NamespaceKind::Uts, c"/proc/self/stat").unwrap_err().report();
        assert!(report.contains("not a namespace file"), "{report}");
    }

    #[test]
    fn a_namespace_belongs_to_the_user_namespace_of_its_maker() {
        assert!(belongs_to_own_user(NamespaceKind::Mount, c"/proc/self/ns/mnt").unwrap());
    }

    #[test]
    #[allow(clippy::disallowed_methods)]
    fn a_cgroup_namespace_of_its_own_is_not_the_hosts() {
        let is_apart = |path: &str| {
            let namespaces = vec![spec::Namespace { kind: "cgroup".into(), path: path.into() }];
            let linux = spec::Linux { namespaces, ..Default::default() };
            has_cgroups_apart(&Namespaces::new(&linux, &[]).unwrap()).unwrap()
        };
        // Only this thread leaves its cgroup namespace, so other tests are not affected.
        let apart = std::thread::spawn(move || {
            ns::unshare(libc::CLONE_NEWCGROUP).unwrap();
            (is_apart("/proc/thread-self/ns/cgroup"), is_apart(""))
        });
        assert_eq!(apart.join().unwrap(), (true, true));
    }
}
