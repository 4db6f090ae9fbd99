// SPDX-License-Identifier: Apache-2.0
//! Labels of the Linux security modules (SELinux, AppArmor): the files of procfs that the
//! process writes, and whether the host has the module.

use crate::boundary::plan::{Label, Labels};
use crate::config::field::unsupported;
use crate::config::process::Process;
use crate::error::{Context, Result};
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
