// SPDX-License-Identifier: Apache-2.0
//! Makes the child's [`Plan`] from a validated [`Config`]: opens files and converts text to C
//! strings. **This is the last place that refuses a configuration or allocates memory for the
//! child.**

mod extras;
pub(crate) mod hook;
pub(crate) mod labels;
mod mounts;
pub(crate) mod namespaces;
mod process;
pub(crate) mod restored;
mod rootfs;
pub(crate) mod rootfs_mounts;
pub(crate) mod seccomp;
mod source;
mod trees;

pub(crate) use extras::{Extras, Host, Mode, RootfsMounts, set_env, stand_in};
pub(crate) use process::{attributes, needs_console_socket, needs_no_console_socket, streams};
pub(crate) use rootfs::mounted_nodes;

use crate::boundary::plan::{Hide, InitPlan, Join, Plan, Sysctl};
use crate::boundary::seal;
use crate::config::Config;
use crate::config::namespaces::{NamespaceKind, Namespaces};
use crate::config::process::Process as ProcessConfig;
use crate::error::{Context, Result};
use crate::parent::ids;
use crate::path::proc;
use extras::c_string;
use runtime_sys::cred;
use std::ffi::CString;

/// Makes the plan of a container's first process.
pub(crate) fn for_create(config: &Config, id: &str, host: &Host<'_>, extras: Extras) -> Result<Plan> {
    let namespaces = &config.namespaces;
    let joins = namespaces::joins(config)?;
    let has_user = namespaces.is_own(NamespaceKind::User);
    let is_new = |kind| namespaces.is_new(kind);
    let barrier = config.hooks.are_before_pivot() || extras.has_caller_hooks;
    let container = InitPlan {
        namespace_root: has_user,
        late_namespaces: namespaces::late(namespaces),
        awaits_devices: !config.net_devices.is_empty(),
        cgroup_namespace: is_new(NamespaceKind::Cgroup),
        time_namespace: is_new(NamespaceKind::Time)
            .then(|| namespaces::time_offsets(namespaces))
            .transpose()?,
        network: None,
        loopback: is_new(NamespaceKind::Network),
        hostname: config.hostname.as_deref().map(c_string).transpose()?,
        domainname: config.domainname.as_deref().map(c_string).transpose()?,
        rootfs: {
            let given = extras.rootfs_mounts.as_ref();
            rootfs::rootfs(config, host, &joins, barrier, extras.no_pivot, given)?
        },
        sysctls: config
            .sysctls
            .iter()
            .map(|s| Sysctl { path: s.path.clone(), line: s.line.clone() })
            .collect(),
        barrier,
        awaits_filter: false,
        mask_label: config.mount_label.clone().map(|label| (label.option, label.label)),
        readonly_paths: config.readonly_paths.clone().into(),
        masked_paths: config.masked_paths.clone().into(),
    };
    let enters_pid = namespaces::enters_pid(&joins);
    Ok(Plan {
        joins,
        clone_flags: namespaces::clone_flags(namespaces),
        seal: seal::prepare()?,
        labels: labels::labels(&config.process, !extras.no_new_keyring)?,
        wait_go: is_new(NamespaceKind::User),
        hide: hide(namespaces)?,
        proc: Some(proc::host()?),
        root: None,
        becomes_root: false,
        enter: None,
        container: Some(container),
        process: process::init_process(config, id, enters_pid, extras)?,
    })
}

/// Makes the plan of an exec process of the container `id`.
pub(crate) fn for_exec(
    config: &ProcessConfig,
    id: &str,
    in_user_namespace: bool,
    joins: Box<[Join]>,
    root: CString,
    extras: Extras,
) -> Result<Plan> {
    let joins_user = joins.iter().any(|join| join.flags & libc::CLONE_NEWUSER != 0);
    let enters_pid = namespaces::enters_pid(&joins);
    Ok(Plan {
        joins,
        clone_flags: 0,
        seal: seal::prepare()?,
        labels: labels::labels(config, !extras.no_new_keyring)?,
        wait_go: false,
        hide: Hide::AtOnce,
        proc: None,
        root: Some(root),
        becomes_root: joins_user,
        enter: None,
        container: None,
        process: process::exec_process(config, id, in_user_namespace, enters_pid, extras)?,
    })
}

/// Returns when the child becomes non-dumpable. In a new user namespace of an unprivileged
/// user, only that user and root have power over the child, so the child may stay dumpable for
/// longer.
fn hide(namespaces: &Namespaces) -> Result<Hide> {
    let is_new = |kind| namespaces.is_new(kind);
    if !(is_new(NamespaceKind::User) || is_new(NamespaceKind::Time)) || !ids::is_rootless()? {
        return Ok(Hide::AtOnce);
    }
    let may_look = cred::cap_get().context(|| "capget")?.effective & 1 << cred::CAP_SYS_PTRACE != 0;
    Ok(if may_look || !is_new(NamespaceKind::User) { Hide::AfterMaps } else { Hide::Never })
}
