// SPDX-License-Identifier: Apache-2.0
//! What the configuration and the mounts of a bundle mean for the shim.

use crate::options::Options;
use crate::proto::common::Mount;
use crate::status::{Result, Status};
use runtime_core::CgroupManager;
use runtime_core::spec::{self, Spec};
use std::path::Path;

/// Returns the manager that makes the cgroup.
pub(super) fn manager_of(spec: Option<&Spec>, options: &Options) -> CgroupManager {
    let linux = spec.and_then(|spec| spec.linux.as_ref());
    // The CRI tells systemd's form of the path to every runtime, and the option to runc's shim only.
    let by_path = linux.is_some_and(|linux| {
        !linux.cgroups_path.starts_with('/') && linux.cgroups_path.matches(':').count() == 2
    });
    if options.systemd_cgroup || by_path { CgroupManager::Systemd } else { CgroupManager::Fs }
}

/// Returns true if a security module may refuse the process a fifo of the host: AppArmor decides by the
/// path, SELinux by the label of the file.
pub(super) fn is_confined(program: &spec::Process) -> bool {
    !matches!(program.apparmor_profile.as_str(), "" | "unconfined") || !program.selinux_label.is_empty()
}

/// Makes the directory on which the library mounts the root file system.
pub(super) fn make_rootfs(bundle: &Path) -> Result<()> {
    let path = bundle.join("rootfs");
    let made = std::os::unix::fs::DirBuilderExt::mode(&mut std::fs::DirBuilder::new(), 0o711).create(&path);
    match made {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
            Err(Status::io(&error, format_args!("mkdir {}", path.display())))
        }
        _ => Ok(()),
    }
}

pub(super) fn mount_of(mount: &Mount) -> spec::Mount {
    spec::Mount {
        destination: mount.target.clone(),
        kind: mount.kind.clone(),
        source: mount.source.clone(),
        options: mount.options.clone(),
        ..spec::Mount::default()
    }
}
