// SPDX-License-Identifier: Apache-2.0
//! What is left to do in new namespaces once the process is in them.

use crate::boundary::channel::{ChildEnd, Reply};
use crate::boundary::plan::{Container, Join, Keeps, Plan};
use crate::boundary::step::{Call, During, Failure, InStep, Step, StepResult};
use crate::path::proc::Proc;
use nix::unistd::sethostname;
use runtime_sys::{Errno, cred, fd, net, ns};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

/// Leaves the host's network, if the clone has not.
pub(super) fn enter_network(container: &Container) -> Result<(), Failure> {
    match &container.network {
        Some(network) => ns::setns(network, libc::CLONE_NEWNET).during(Call::Setns).step(Step::Network),
        None => Ok(()),
    }
}

/// Makes and enters the time namespace. Before the process hides itself, for
/// then its own files in /proc belong to somebody else.
pub(super) fn set_clocks(container: &Container, proc: &Proc) -> Result<(), Failure> {
    match &container.time_namespace {
        Some(offsets) => enter_time_namespace(offsets.to_bytes(), proc).step(Step::TimeNamespace),
        None => Ok(()),
    }
}

/// Whether the new user namespace denies setgroups(2): an unprivileged parent has
/// to do that, and it is inherited (user_namespaces(7)). The groups of the caller,
/// which nobody can drop then, stay.
pub(super) fn denies_groups(proc: &Proc) -> Result<bool, Failure> {
    let read = || -> StepResult<bool> {
        let file = proc.open_own(c"self/setgroups", libc::O_RDONLY).during(Call::Open)?;
        let mut text = [0; 8];
        let n = fd::read(&file, &mut text).during(Call::Read)?;
        Ok(text.get(..n).is_some_and(|text| text.starts_with(b"deny")))
    };
    read().step(Step::NamespaceRoot)
}

/// Drops the caller's supplementary groups before a user namespace is joined: once in
/// it, they could not be dropped if it denies setgroups(2), and root of a user namespace
/// may have any process of its own say so, as the one whose namespaces are joined.
pub(super) fn drop_groups(plan: &Plan) -> Result<(), Failure> {
    let joins_user = plan.joins.iter().any(|join| join.flags & libc::CLONE_NEWUSER != 0);
    if !joins_user || plan.process.keeps == Keeps::All {
        return Ok(());
    }
    match cred::set_groups(&[]) {
        // Who has no right to drop groups has not been given any that matter more than
        // the rest of what the caller may do.
        Ok(()) | Err(Errno::EPERM) => Ok(()),
        Err(errno) => Err((Call::Setgroups, errno)).step(Step::User),
    }
}

/// Makes new namespaces for the calling process, which has joined others. A new user
/// namespace owns the rest, as with clone3(2).
pub(super) fn unshare(flags: i32) -> Result<(), Failure> {
    if flags == 0 {
        return Ok(());
    }
    ns::unshare(flags).during(Call::Unshare).step(Step::Unshare)
}

/// Joins existing namespaces. The user namespace may give the rights for the
/// others, or take them: a namespace need not belong to the user namespace that is
/// joined beside it. So each is tried before, and what was not allowed after it.
pub(super) fn join(joins: &[Join]) -> Result<(), Failure> {
    let is_user = |join: &Join| join.flags == libc::CLONE_NEWUSER;
    let setns =
        |i: usize, join: &Join| ns::setns(&join.fd, join.flags).during(Call::Setns).item(Step::Join, i);
    let has_user = joins.iter().any(is_user);
    // One bit for each: there are eight types.
    let mut pending = 0u32;
    for (i, join) in joins.iter().enumerate().filter(|(_, join)| !is_user(join)) {
        match setns(i, join) {
            Err(Failure { errno: Errno::EPERM, .. }) if has_user => pending |= 1 << i,
            other => other?,
        }
    }
    for (i, join) in joins.iter().enumerate().filter(|(_, join)| is_user(join)) {
        setns(i, join)?;
    }
    for (i, join) in joins.iter().enumerate().filter(|(i, _)| pending & 1 << i != 0) {
        setns(i, join)?;
    }
    Ok(())
}

/// Becomes root of the user namespace. Files that are made from now on belong to it, and
/// what is done is done with its rights: the ids that the process comes with may be those
/// of the host's root, and have no mapping at all.
pub(super) fn become_root() -> Result<(), Failure> {
    let change = || {
        cred::set_gid(0).during(Call::Setgid)?;
        cred::set_uid(0).during(Call::Setuid)
    };
    change().step(Step::NamespaceRoot)
}

/// All the other namespaces.
pub(super) fn finish(container: &Container, channel: &ChildEnd) -> Result<(), Failure> {
    if container.namespace_root {
        become_root()?;
    }
    if container.late_namespaces != 0 {
        ns::unshare(container.late_namespaces).during(Call::Unshare).step(Step::LateNamespaces)?;
    }
    if container.awaits_devices {
        channel.send(Reply::Namespaces).during(Call::Write).step(Step::LateNamespaces)?;
        channel.wait_go().during(Call::Read).step(Step::LateNamespaces)?;
    }
    if container.cgroup_namespace {
        // Not by the clone: kernels root the namespace at the parent's cgroup
        // there, and systemd's driver moves the process after it.
        ns::unshare(libc::CLONE_NEWCGROUP).during(Call::Unshare).step(Step::CgroupNamespace)?;
    }
    if container.loopback {
        net::loopback_up().during(Call::Ioctl).step(Step::Loopback)?;
    }
    if let Some(name) = &container.hostname {
        sethostname(OsStr::from_bytes(name.to_bytes())).during(Call::Sethostname).step(Step::Hostname)?;
    }
    if let Some(name) = &container.domainname {
        ns::set_domainname(name.to_bytes()).during(Call::Setdomainname).step(Step::Hostname)?;
    }
    Ok(())
}

/// Offsets can be set as long as nobody is in the namespace, and unshare puts
/// only future children there (time_namespaces(7)). So: make it, set it, enter it.
fn enter_time_namespace(offsets: &[u8], proc: &Proc) -> StepResult {
    ns::unshare(libc::CLONE_NEWTIME).during(Call::Unshare)?;
    if !offsets.is_empty() {
        let file = proc.open_own(c"self/timens_offsets", libc::O_WRONLY).during(Call::Open)?;
        fd::write_all(file, offsets).during(Call::Write)?;
    }
    // A namespace file is what NO_MAGICLINKS is there to refuse; this one is our own.
    let namespace =
        fd::openat2(proc, c"self/ns/time_for_children", libc::O_RDONLY, 0, 0).during(Call::Open)?;
    ns::setns(namespace, libc::CLONE_NEWTIME).during(Call::Setns)
}
