// SPDX-License-Identifier: Apache-2.0
//! Rows about the rest of the system: rights, /proc, security modules, programs, the state directory,
//! limits.

use super::caller::Caller;
use super::files;
use super::row::{Fitness, Row, Topic, optional, reason, required, text};
use crate::config::caps;
use crate::criu::Criu;
use crate::path::proc;
use crate::prepare::labels;
use crate::state::owner::check_owner;
use crate::values::RLIMITS;
use nix::sys::stat::fstat;
use nix::unistd::geteuid;
use runtime_sys::{Errno, cred, fd, process};
use std::os::fd::OwnedFd;
use std::path::Path;

const CAPABILITIES: Topic = required(
    "caller.capabilities",
    "operations that need these capabilities fail",
    "run as root with all capabilities (sudo; Docker: --privileged), or as an ordinary user with a user namespace",
);
const PROC: Topic = required(
    "procfs.own",
    "no container can be made",
    "mount -t proc proc /proc, in the pid namespace of the runtime (unshare --mount-proc)",
);
const LSM: Topic = optional(
    "lsm.module",
    "configurations with an AppArmor profile or an SELinux label are refused, and containers are confined without them",
    "boot with a kernel that has AppArmor or SELinux (lsm=, security=)",
);
const CRIU: Topic = optional(
    "program.criu",
    "checkpoint and restore are refused",
    "install CRIU 3.16 or newer (Debian: criu), and call it as root",
);
const STATE: Topic = required(
    "state.directory",
    "the state of containers cannot be written",
    "choose another directory with --root; users: set XDG_RUNTIME_DIR",
);
const LASTING: Topic = optional(
    "state.directory",
    "the records of containers outlive a reboot, after which `delete` has to remove them",
    "choose a directory on a tmpfs, such as /run, with --root",
);
const FILES: Topic = optional(
    "limit.open-files",
    "a container with many mounts fails",
    "raise the limit (ulimit -n, LimitNOFILE=)",
);
const PROCESSES: Topic = optional(
    "limit.processes",
    "new containers fail when the limit is reached",
    "raise the limit (ulimit -u, LimitNPROC=, TasksMax=)",
);
const RESCTRL: Topic = optional(
    "resctrl.mounted",
    "linux.intelRdt is refused",
    "mount -t resctrl resctrl /sys/fs/resctrl, if the processor supports it",
);

/// The number of descriptors that a container with many mounts takes.
const DESCRIPTORS: u64 = 256;
const TASKS: u64 = 100;

pub(super) fn rows(caller: &Caller, state: &Path) -> Vec<Row> {
    vec![
        capabilities(caller),
        procfs(),
        lsm(),
        criu(),
        directory(state),
        open_files(),
        processes(),
        match crate::resctrl::Resctrl::find() {
            Ok(_) => RESCTRL.works("/sys/fs/resctrl"),
            Err(error) => RESCTRL.row(Fitness::Missing, reason(&error)),
        },
    ]
}

fn capabilities(caller: &Caller) -> Row {
    if !caller.is_root {
        return match caller.may_admin {
            true => CAPABILITIES.works("a user with CAP_SYS_ADMIN"),
            false => CAPABILITIES.works("an ordinary user: containers need a user namespace"),
        };
    }
    let has = cred::cap_get().map_or(0, |sets| sets.effective);
    let lacks = caps::names(cred::known() & !has);
    if !caller.may_admin {
        return CAPABILITIES.row(Fitness::Missing, format!("root without {}", lacks.join(", ")));
    }
    match lacks.is_empty() {
        true => CAPABILITIES.works("root with all capabilities"),
        false => CAPABILITIES.row(Fitness::Limited, format!("root without {}", lacks.join(", "))),
    }
}

fn procfs() -> Row {
    match proc::host() {
        Ok(_) => PROC.works("/proc"),
        Err(error) => PROC.row(Fitness::Missing, reason(&error)),
    }
}

fn lsm() -> Row {
    match (labels::has_apparmor(), labels::has_selinux()) {
        (false, false) => LSM.row(Fitness::Missing, "neither AppArmor nor SELinux"),
        (true, true) => LSM.works("AppArmor, SELinux"),
        (true, false) => LSM.works("AppArmor"),
        (false, true) => LSM.works("SELinux"),
    }
}

fn criu() -> Row {
    if files::find_program(crate::criu::PROGRAM).is_none() {
        return CRIU.row(Fitness::Missing, "not in PATH");
    }
    match Criu::find_version() {
        Ok(version) if geteuid().is_root() => CRIU.works(format!("CRIU {version}")),
        Ok(version) => CRIU.row(Fitness::Limited, format!("CRIU {version} needs root")),
        Err(error) => CRIU.row(Fitness::Missing, reason(&error)),
    }
}

/// The file systems that a reboot empties.
const TMPFS_MAGIC: i64 = 0x0102_1994;
const RAMFS_MAGIC: i64 = 0x8584_58f6;

fn directory(state: &Path) -> Row {
    let (path, dir) = match files::nearest_directory(state) {
        Ok(found) => found,
        Err(errno) => return STATE.row(Fitness::Missing, format!("{}: {}", state.display(), text(errno))),
    };
    let at = match path == state {
        true => state.display().to_string(),
        false => format!("{} (to be made in {})", state.display(), path.display()),
    };
    if let Err(errno) = fd::access(&dir, c"", libc::W_OK, libc::AT_EACCESS | libc::AT_EMPTY_PATH) {
        return STATE.row(Fitness::Missing, format!("{at}: {}", text(errno)));
    }
    if path == state
        && let Ok(st) = fstat(&dir)
        && let Err(error) = check_owner(&st, || at.clone())
    {
        return STATE.row(Fitness::Missing, reason(&error));
    }
    let found = format!("{at}, {}", flags(&dir));
    match fd::filesystem(&dir) {
        Ok(TMPFS_MAGIC | RAMFS_MAGIC) => STATE.works(found),
        _ => LASTING.row(Fitness::Limited, format!("{found}, not on a tmpfs")),
    }
}

/// Returns the options of the mount. None of these matters: programs and devices of containers are
/// never in the state directory.
fn flags(dir: &OwnedFd) -> String {
    let flags = fd::mount_flags(dir).unwrap_or_default();
    let names = [
        (libc::ST_RDONLY, "ro"),
        (libc::ST_NOSUID, "nosuid"),
        (libc::ST_NODEV, "nodev"),
        (libc::ST_NOEXEC, "noexec"),
    ];
    let set: Vec<&str> =
        names.into_iter().filter(|(flag, _)| flags & flag != 0).map(|(_, name)| name).collect();
    if set.is_empty() { "rw".to_owned() } else { set.join(",") }
}

/// Returns the soft and the hard limit of the resource with this name.
fn own_limit(name: &str) -> runtime_sys::Result<(u64, u64)> {
    let resource = RLIMITS.iter().find(|(one, _)| *one == name).ok_or(Errno::EINVAL)?;
    process::own_rlimit_of(resource.1)
}

fn open_files() -> Row {
    match own_limit("RLIMIT_NOFILE") {
        Ok((soft, hard)) => {
            let found = format!("{soft}, at most {hard}");
            if soft.max(hard) < DESCRIPTORS { FILES.row(Fitness::Limited, found) } else { FILES.works(found) }
        }
        Err(errno) => FILES.row(Fitness::Unknown, text(errno)),
    }
}

fn processes() -> Row {
    let limit = own_limit("RLIMIT_NPROC").map_or(u64::MAX, |(soft, _)| soft);
    let pid_max =
        files::kernel(c"/proc/sys/kernel/pid_max").and_then(|text| text.parse().ok()).unwrap_or(u64::MAX);
    // RLIMIT_NPROC does not hold for root (getrlimit(2)).
    let limit = if geteuid().is_root() { u64::MAX } else { limit };
    let found = match limit {
        u64::MAX => format!("kernel.pid_max={pid_max}"),
        _ => format!("RLIMIT_NPROC={limit}, kernel.pid_max={pid_max}"),
    };
    if limit.min(pid_max) < TASKS { PROCESSES.row(Fitness::Limited, found) } else { PROCESSES.works(found) }
}
