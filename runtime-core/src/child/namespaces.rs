// SPDX-License-Identifier: Apache-2.0
//! Joining namespaces, and the steps in new ones.

use crate::boundary::channel::ChildEnd;
use crate::boundary::plan::{InitPlan, Join, Keeps, Plan};
use crate::boundary::reply::Reply;
use crate::boundary::step::{Call, During, InStep, Step, StepFailure, StepResult};
use crate::path::proc::Proc;
use nix::unistd::sethostname;
use runtime_sys::{Errno, cred, fd, net, ns};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

/// Enters the network namespace that was made before the clone, if there is one.
pub(super) fn enter_network(container: &InitPlan) -> Result<(), StepFailure> {
    match &container.network {
        Some(network) => ns::setns(network, libc::CLONE_NEWNET).during(Call::Setns).step(Step::Network),
        None => Ok(()),
    }
}

/// Makes and enters the time namespace. This comes before the process hides itself, because then
/// its own files in /proc no longer belong to it.
pub(super) fn set_clocks(container: &InitPlan, proc: &Proc) -> Result<(), StepFailure> {
    match &container.time_namespace {
        Some(offsets) => enter_time_namespace(offsets.to_bytes(), proc).step(Step::TimeNamespace),
        None => Ok(()),
    }
}

/// Returns true if the new user namespace denies setgroups(2). An unprivileged parent has to deny
/// it, and child namespaces inherit this (user_namespaces(7)). Then the caller's groups, which
/// cannot be dropped, stay.
pub(super) fn denies_groups(proc: &Proc) -> Result<bool, StepFailure> {
    let read = || -> StepResult<bool> {
        let file = proc.open_own(c"self/setgroups", libc::O_RDONLY).during(Call::Open)?;
        let mut text = [0; 8];
        let n = fd::read(&file, &mut text).during(Call::Read)?;
        Ok(text.get(..n).is_some_and(|text| text.starts_with(b"deny")))
    };
    read().step(Step::NamespaceRoot)
}

/// Drops the caller's supplementary groups before a user namespace is joined. Once the process is
/// in it, they could not be dropped if it denies setgroups(2), as a user namespace does that an
/// unprivileged process has mapped (user_namespaces(7)).
pub(super) fn drop_groups(plan: &Plan) -> Result<(), StepFailure> {
    let joins_user = plan.joins.iter().any(|join| join.flags & libc::CLONE_NEWUSER != 0);
    if !joins_user || plan.process.keeps == Keeps::All {
        return Ok(());
    }
    match cred::set_groups(&[]) {
        // EPERM: the caller may not drop groups. Then its groups are no more dangerous than its
        // other rights.
        Ok(()) | Err(Errno::EPERM) => Ok(()),
        Err(errno) => Err((Call::Setgroups, errno)).step(Step::User),
    }
}

/// Makes new namespaces for the calling process, which has joined others. A new user namespace owns
/// the rest, like with clone3(2).
pub(super) fn unshare(flags: i32) -> Result<(), StepFailure> {
    if flags == 0 {
        return Ok(());
    }
    ns::unshare(flags).during(Call::Unshare).step(Step::Unshare)
}

/// Joins existing namespaces. The user namespace may give the rights to join the others, or take
/// them away: a namespace need not belong to the user namespace that is joined beside it. So each
/// is tried before the user namespace, and again after it if it failed with EPERM.
pub(super) fn join(joins: &[Join]) -> Result<(), StepFailure> {
    let is_user = |join: &Join| join.flags == libc::CLONE_NEWUSER;
    let setns =
        |i: usize, join: &Join| ns::setns(&join.fd, join.flags).during(Call::Setns).item(Step::Join, i);
    let has_user = joins.iter().any(is_user);
    // One bit for each namespace: there are eight types.
    let mut pending = 0u32;
    for (i, join) in joins.iter().enumerate().filter(|(_, join)| !is_user(join)) {
        match setns(i, join) {
            Err(StepFailure { errno: Errno::EPERM, .. }) if has_user => pending |= 1 << i,
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

/// Becomes root of the user namespace. New files then belong to that root, and its rights apply:
/// the process's previous ids may be those of the host's root, and may have no mapping at all.
pub(super) fn become_root() -> Result<(), StepFailure> {
    let change = || {
        cred::set_gid(0).during(Call::Setgid)?;
        cred::set_uid(0).during(Call::Setuid)
    };
    change().step(Step::NamespaceRoot)
}

/// Makes the remaining namespaces, and sets up the new ones.
pub(super) fn finish(container: &InitPlan, channel: &ChildEnd) -> Result<(), StepFailure> {
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
        // The clone does not make it: there, kernels root the namespace at the parent's cgroup, and
        // systemd's driver moves the process after the clone.
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

/// Makes, sets and enters the time namespace, in this order. Offsets can be set as long as the
/// namespace has no process, and unshare puts only future children there (time_namespaces(7)).
fn enter_time_namespace(offsets: &[u8], proc: &Proc) -> StepResult {
    ns::unshare(libc::CLONE_NEWTIME).during(Call::Unshare)?;
    if !offsets.is_empty() {
        let file = proc.open_own(c"self/timens_offsets", libc::O_WRONLY).during(Call::Open)?;
        fd::write_all(file, offsets).during(Call::Write)?;
    }
    // Not opened with NO_MAGICLINKS, which refuses namespace files. This file is the process's own.
    let namespace =
        fd::openat2(proc, c"self/ns/time_for_children", libc::O_RDONLY, 0, 0).during(Call::Open)?;
    ns::setns(namespace, libc::CLONE_NEWTIME).during(Call::Setns)
}
