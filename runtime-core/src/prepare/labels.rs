// SPDX-License-Identifier: Apache-2.0
//! Labels of the Linux security modules (SELinux, AppArmor): the files of procfs that the
//! process writes, and whether the host has the module.

use crate::boundary::plan::{Label, Labels};
use crate::config::field::unsupported;
use crate::config::process::Process;
use crate::error::{Context, Error, ErrorKind, Result};
use crate::path::proc;
use runtime_sys::text::concat;
use runtime_sys::{Errno, fd};
use std::ffi::CStr;

const SELINUX_MAGIC: i64 = 0xf97c_ff8c;

/// Returns the labels of `config`; `None` if it has none. `keyring` is true if the process will
/// join a session keyring, which is then labeled too.
pub(super) fn labels(config: &Process, keyring: bool) -> Result<Option<Labels>> {
    let mut writes = Vec::new();
    if let Some(label) = &config.selinux_label {
        require_selinux("process.selinuxLabel")?;
        let mut write = |file: &CStr| {
            writes.push(Label {
                field: "process.selinuxLabel",
                file: file.to_owned(),
                content: label.clone(),
            });
        };
        write(c"self/attr/exec");
        if keyring {
            write(c"self/attr/keycreate");
        }
    }
    if let Some(profile) = &config.apparmor_profile {
        let field = "process.apparmorProfile";
        if !has_apparmor() {
            return Err(unsupported(
                field,
                format_args!("{} is specified, but AppArmor is not enabled on the host", show(profile)),
            ));
        }
        writes.push(Label {
            field,
            file: apparmor_file()?.to_owned(),
            content: concat(&[c"exec ", profile]),
        });
    }
    if writes.is_empty() {
        return Ok(None);
    }
    let proc = proc::host()?;
    Ok(Some(Labels { proc, writes: writes.into() }))
}

/// Refuses an SELinux label on a host without SELinux.
pub(super) fn require_selinux(field: &str) -> Result<()> {
    if has_selinux() {
        return Ok(());
    }
    Err(unsupported(field, "a label is specified, but SELinux is not enabled on the host"))
}

/// Returns whether SELinux is enabled on the host.
pub(crate) fn has_selinux() -> bool {
    fd::open_follow(fd::CWD, c"/sys/fs/selinux", libc::O_PATH, 0)
        .and_then(fd::filesystem)
        .is_ok_and(|magic| magic == SELINUX_MAGIC)
}

/// Returns whether AppArmor is enabled on the host.
pub(crate) fn has_apparmor() -> bool {
    fd::read_file(fd::CWD, c"/sys/module/apparmor/parameters/enabled", 16)
        .is_ok_and(|text| text.starts_with(b"Y"))
}

/// Fails if the kernel has no AppArmor profile with this name. Accepts names of several profiles, or of
/// another namespace, and everything on a host that does not list the profiles.
pub(crate) fn check_loaded(field: &str, profile: &str) -> Result<()> {
    const LIST_MAX: usize = 16 << 20;
    let list = fd::read_file(fd::CWD, c"/sys/kernel/security/apparmor/profiles", LIST_MAX);
    match list {
        Ok(list) if !is_listed(&list, profile) => {
            let why = format!("the kernel has no AppArmor profile {profile:?}");
            Err(Error::new(ErrorKind::InvalidConfig, why).wrap(field).at(field))
        }
        _ => Ok(()),
    }
}

/// Returns whether a list with lines such as `name (enforce)` has the profile.
fn is_listed(list: &[u8], profile: &str) -> bool {
    let is_simple =
        !matches!(profile, "" | "unconfined") && !profile.contains("//&") && !profile.starts_with(':');
    let names = String::from_utf8_lossy(list);
    let mut names = names.lines().filter_map(|line| line.rsplit_once(" (")).map(|(name, _mode)| name);
    !is_simple || names.any(|name| name == profile)
}

/// Returns the file for AppArmor's label. KERNEL(5.8): AppArmor has its own directory, which
/// also works together with SELinux.
fn apparmor_file() -> Result<&'static CStr> {
    match fd::access(fd::CWD, c"/proc/self/attr/apparmor/exec", libc::F_OK, 0) {
        Ok(()) => Ok(c"self/attr/apparmor/exec"),
        Err(Errno::ENOENT) => Ok(c"self/attr/exec"),
        Err(errno) => Err(errno).context(|| "access /proc/self/attr/apparmor/exec"),
    }
}

fn show(text: &CStr) -> std::borrow::Cow<'_, str> {
    text.to_string_lossy()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_that_is_not_loaded() {
        let list = b"one (enforce)\n/usr/bin/two three (complain)\none//child (unconfined)\n";
        for name in ["one", "/usr/bin/two three", "one//child", "", "unconfined", "one//&four", ":ns:five"] {
            assert!(is_listed(list, name), "{name}");
        }
        for name in ["on", "one (enforce)", "two", "three"] {
            assert!(!is_listed(list, name), "{name}");
        }
    }
}
