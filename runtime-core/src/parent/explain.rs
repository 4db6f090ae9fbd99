// SPDX-License-Identifier: Apache-2.0
//! Error messages for the child's eight bytes: what failed and where, the cause, and a hint.

use crate::boundary::channel::NotExecuted;
use crate::boundary::plan::{FsOptions, Mount, MountKind, NewMount, Plan, Program};
use crate::boundary::step::{Call, Step, StepFailure};
use crate::child::devices;
use crate::error::{Error, ErrorKind};
use crate::path::{executable, show};
use crate::values::rlimit_name;
use runtime_sys::Errno;
use std::ffi::CStr;

/// The subject of [`Step::Loopback`] in messages.
pub(super) const LOOPBACK: &str = "bringing the loopback interface up";

/// Makes the error for a failed clone.
pub(super) fn clone(errno: Errno) -> Error {
    namespaces(errno, "clone3")
}

/// Makes the error for a failed call that makes namespaces.
pub(super) fn namespaces(errno: Errno, call: &str) -> Error {
    let error = Error::os(errno, call).of_kind(ErrorKind::Setup);
    match errno {
        Errno::EPERM => error.with_hint(
            "new namespaces need CAP_SYS_ADMIN, or a new user namespace with them; a seccomp filter of the host may \
             forbid them, and in a chroot the kernel makes no user namespaces",
        ),
        Errno::ENOSPC | Errno::EUSERS => error
            .with_hint("a limit on the number of namespaces is reached (/proc/sys/user/max_*_namespaces)"),
        Errno::EAGAIN => {
            error.with_hint("a limit on the number of processes is reached (RLIMIT_NPROC, pids.max)")
        }
        Errno::EBUSY => {
            error.with_hint("the container's cgroup has controllers enabled for its child cgroups")
        }
        Errno::EINVAL => error.with_hint("the kernel lacks one of the namespaces that config.json asks for"),
        _ => error,
    }
}

/// Adds runc's words for failures inside of a container.
pub(crate) fn start_failed(error: Error) -> Error {
    error.wrap("unable to start container process: error during container init")
}

/// Makes the error for a failure that the child has reported. `words` is the kernel's message, if
/// there is one.
pub(super) fn failure(failure: StepFailure, words: Option<&str>, plan: &Plan) -> Error {
    let StepFailure { step, call, errno, .. } = failure;
    let item = failure.item as usize;
    let error = match step {
        Step::Mount | Step::ReadonlyMount => mount(item, call, errno, words, plan),
        Step::FindProgram => program(call, errno, plan),
        Step::Cwd => cwd(call, errno, plan),
        Step::Stdio if matches!((call, errno), (Call::Open, Errno::ENOENT)) => {
            let error = plain(call, errno).with_hint(
                "standard input, output or error is this device of the host, and the container does not have it",
            );
            error.wrap(subject(step, item, plan))
        }
        Step::Device if call == Call::CheckDevice && is_repeated(item, plan) => {
            let error = Error::os(errno, call.name())
                .with_hint("another entry of linux.devices has the same path and describes another device");
            error.wrap(subject(step, item, plan))
        }
        Step::Stdio if call == Call::CheckDevice => {
            let error = Error::os(errno, call.name())
                .with_hint("linux.devices, or the image if /dev is the image's, has another file there");
            error.wrap(subject(step, item, plan))
        }
        Step::Device if matches!((call, errno), (Call::Open, Errno::EXDEV)) => {
            let error = plain(call, errno).with_hint(
                "a link of the image leads into a volume, in which only files with a path in config.json are made",
            );
            error.wrap(subject(step, item, plan))
        }
        Step::Label if matches!((call, errno), (Call::Write, Errno::ENOENT | Errno::EINVAL)) => {
            plain(call, errno)
                .with_hint("the kernel has no such profile or label: load it (apparmor_parser, semodule)")
                .wrap(subject(step, item, plan))
        }
        Step::Sysctl => sysctl(item, call, errno, plan).wrap(subject(step, item, plan)),
        Step::BoundingSet if errno == Errno::EPERM => {
            plain(call, errno).with_hint("this requires CAP_SETPCAP").wrap(subject(step, item, plan))
        }
        Step::Loopback if errno == Errno::EPERM => {
            plain(call, errno).with_hint("this requires CAP_NET_ADMIN").wrap(subject(step, item, plan))
        }
        Step::Ready if errno == Errno::EPIPE => Error::new(ErrorKind::Setup, "the runtime has ended"),
        _ => plain(call, errno).wrap(subject(step, item, plan)),
    };
    let error = error.of_kind(ErrorKind::Setup).in_step(step);
    match field(step, item) {
        Some(field) => error.at(&field),
        None => error,
    }
}

/// Makes the error for the kernel parameter `item`.
fn sysctl(item: usize, call: Call, errno: Errno, plan: &Plan) -> Error {
    let error = plain(call, errno);
    let sysctl = plan.container.as_ref().and_then(|container| container.sysctls.get(item));
    match (call, errno, sysctl) {
        (Call::Open, Errno::ENOENT, _) => {
            error.with_hint("the kernel has no such parameter; the module that brings it may not be loaded")
        }
        (Call::Write, Errno::EINVAL | Errno::ERANGE, Some(sysctl)) => error.with_hint(format!(
            "the kernel refuses the value {:?}",
            sysctl.line.to_string_lossy().trim_end()
        )),
        _ => error,
    }
}

/// Returns true if a node before the node `item` has the same path.
fn is_repeated(item: usize, plan: &Plan) -> bool {
    let nodes = plan.container.as_ref().map_or(&[][..], |container| &container.rootfs.dev.nodes);
    let before = nodes.get(..item).unwrap_or_default();
    nodes.get(item).is_some_and(|node| before.iter().any(|other| other.path == node.path))
}

/// Returns the property of config.json that a step carries out, if it is one.
fn field(step: Step, item: usize) -> Option<String> {
    let field = match step {
        Step::Mount | Step::ReadonlyMount => return Some(format!("mounts[{item}]")),
        Step::Rlimit => return Some(format!("process.rlimits[{item}]")),
        Step::NamespaceRoot => "linux.uidMappings",
        Step::TimeNamespace => "linux.timeOffsets",
        Step::Hostname => "hostname",
        Step::Rootfs | Step::PivotRoot => "root.path",
        Step::Device => "linux.devices",
        Step::Sysctl => "linux.sysctl",
        Step::ReadonlyPath => "linux.readonlyPaths",
        Step::MaskedPath => "linux.maskedPaths",
        Step::ReadonlyRootfs => "root.readonly",
        Step::RootPropagation => "linux.rootfsPropagation",
        Step::Personality => "linux.personality",
        Step::MemoryPolicy => "linux.memoryPolicy",
        Step::NoNewPrivileges => "process.noNewPrivileges",
        Step::BoundingSet => "process.capabilities.bounding",
        Step::Capabilities => "process.capabilities",
        Step::User => "process.user",
        Step::Seccomp => "linux.seccomp",
        Step::Console => "process.terminal",
        Step::Cwd => "process.cwd",
        Step::FindProgram | Step::Exec => "process.args[0]",
        _ => return None,
    };
    Some(field.to_owned())
}

/// Makes the error for a program that was not executed.
pub(crate) fn not_executed(not: &NotExecuted<'_>) -> Error {
    let StepFailure { call, errno, .. } = not.failure;
    let filter = call == Call::Seccomp;
    let doing = if filter { ": loading the system call filter" } else { "" };
    let program = String::from_utf8_lossy(not.program);
    let error = Error::os(errno, format!("exec {program}{doing}")).of_kind(ErrorKind::NotExecuted);
    if let Some(sentence) = executable::sentence(not.reason) {
        return error.with_hint(sentence);
    }
    // The program was looked up before, so an error of execve(2) is about more than the file itself.
    match errno {
        Errno::ENOENT if !filter => {
            error.with_hint("the file exists; the interpreter of its #! line or its dynamic linker does not")
        }
        Errno::ENOEXEC => {
            error.with_hint("it is neither a program for this architecture nor a script with #!")
        }
        Errno::EPERM if !filter => error.with_hint(
            "the file may have a capability that process.capabilities.bounding lacks (getcap(8)), \
             or linux.seccomp may deny execve",
        ),
        _ => error,
    }
}

/// Makes the error `call: errno`, with a hint if there is one for the two.
fn plain(call: Call, errno: Errno) -> Error {
    let error = Error::os(errno, call.name());
    match (call, errno) {
        (Call::Prlimit, Errno::EPERM) => error.with_hint("raising the hard limit needs CAP_SYS_RESOURCE"),
        (Call::Setgroups, Errno::EPERM) => error.with_hint(
            "process.user.additionalGids: setting groups, even none, requires CAP_SETGID; in a user namespace \
             of an unprivileged user no groups can be set",
        ),
        (Call::Setuid | Call::Setgid | Call::Setgroups, Errno::EINVAL) => {
            error.with_hint("the user namespace has no such id: see linux.uidMappings and linux.gidMappings")
        }
        (Call::Setns, Errno::EPERM) => error.with_hint(
            "this requires CAP_SYS_ADMIN over the namespace, and for a mount namespace also CAP_SYS_CHROOT; a \
             seccomp filter of the host may forbid it",
        ),
        (Call::Keyctl, Errno::EPERM | Errno::EACCES) => error.with_hint(
            "a seccomp filter of the host may forbid keyctl(2); with --no-new-keyring the container stays in the \
             caller's session keyring",
        ),
        (Call::Keyctl, Errno::EDQUOT) => error.with_hint(
            "the user's quota of keys is used up (/proc/sys/kernel/keys/maxkeys); with --no-new-keyring the \
             container stays in the caller's session keyring",
        ),
        (Call::MountPropagation, Errno::EACCES | Errno::EPERM) => error.with_hint(
            "a security module of the host may forbid mounts, such as AppArmor with \
             kernel.apparmor_restrict_unprivileged_userns",
        ),
        (Call::SetMempolicy, Errno::EINVAL) => {
            error.with_hint("the host lacks one of the nodes, or the kernel the mode or a flag")
        }
        (Call::SetMempolicy, Errno::ENOSYS) => error.with_hint("the kernel was built without CONFIG_NUMA"),
        (Call::MountProcfs, Errno::EPERM) => error.with_hint(
            "the host's /proc/sys is read-only, covered or missing, and in a user namespace the kernel mounts \
             a new procfs only if another procfs without mounts on it is visible (LXC and Incus: allow nesting)",
        ),
        (Call::CheckRoot, _) => error.with_hint(
            "a link of the image leads to the root directory, which only a mount with the destination \"/\" may cover",
        ),
        (Call::PivotRoot, Errno::EINVAL) => {
            error.with_hint("an initramfs cannot be left by pivot_root(2): use --no-pivot")
        }
        // The kernel starts no process in a pid namespace whose init has ended (pid_namespaces(7)).
        (Call::Clone | Call::Clone3, Errno::ENOMEM) => error.with_hint(
            "the first process of the pid namespace to join has ended (or there is too little memory)",
        ),
        (Call::Clone | Call::Clone3, Errno::EAGAIN) => {
            error.with_hint("a limit on the number of processes is reached (RLIMIT_NPROC, pids.max)")
        }
        (Call::CheckDevice, _) => error.with_hint("the image has a file of another type there"),
        (Call::Mmap, Errno::EPERM) => {
            error.with_hint("without CAP_SYS_ADMIN, call runtime_core::protect_program() at the start of main")
        }
        // These calls take no capability.
        (Call::Access | Call::CloseRange, Errno::EPERM) => {
            error.with_hint("a seccomp filter of the host may forbid it")
        }
        (_, Errno::EPERM) => {
            error.with_hint("the runtime lacks a capability for it, or a seccomp filter of the host forbids it")
        }
        _ => error,
    }
}

fn name(path: Option<&CStr>) -> String {
    match path {
        None => "?".to_owned(),
        Some(path) if path == c"." => "/".to_owned(),
        Some(path) => format!("/{}", show(path)),
    }
}

/// Returns the subject of a step.
fn subject(step: Step, item: usize, plan: &Plan) -> String {
    let container = plan.container.as_ref();
    match step {
        Step::Hide => "making the process not dumpable".to_owned(),
        Step::Join => "joining an existing namespace".to_owned(),
        Step::Unshare => "making new namespaces".to_owned(),
        Step::Clone => "cloning the init".to_owned(),
        Step::EnterPid => "entering the existing pid namespace".to_owned(),
        Step::SealExe => "protecting /proc/self/exe".to_owned(),
        Step::WaitGo | Step::Ready | Step::Barrier | Step::DeviceFilter => {
            "communicating with the runtime".to_owned()
        }
        Step::NamespaceRoot => {
            "becoming root of the new user namespace (linux.uidMappings, linux.gidMappings)".to_owned()
        }
        Step::LateNamespaces => "making the ipc and network namespaces".to_owned(),
        Step::CgroupNamespace => "making the cgroup namespace".to_owned(),
        Step::TimeNamespace => "making the time namespace (linux.timeOffsets)".to_owned(),
        Step::Keyring => "joining a session keyring".to_owned(),
        Step::Network => "entering the new network namespace".to_owned(),
        Step::Loopback => LOOPBACK.to_owned(),
        Step::Hostname => "setting hostname and domainname".to_owned(),
        Step::Propagation => "separating the mount table from the host's".to_owned(),
        Step::Rootfs => "attaching the rootfs".to_owned(),
        Step::Device => {
            let node = container.and_then(|c| c.rootfs.dev.nodes.get(item));
            format!("making device {}", name(node.map(|node| node.path.as_c_str())))
        }
        Step::DeviceLink => {
            let link = container.and_then(|c| c.rootfs.dev.links.get(item));
            format!("making the link {}", name(link.map(|(_, path)| *path)))
        }
        Step::Sysctl => {
            let sysctl = container.and_then(|c| c.sysctls.get(item));
            format!("linux.sysctl: setting /proc{}", name(sysctl.map(|sysctl| sysctl.path.as_c_str())))
        }
        Step::PivotRoot => "error jailing process inside rootfs".to_owned(),
        Step::Console => "setting up the terminal".to_owned(),
        Step::ReadonlyPath => {
            let path = container.and_then(|c| c.readonly_paths.get(item));
            format!("can't make {:?} read-only", name(path.map(AsRef::as_ref)))
        }
        Step::MaskedPath => {
            let path = container.and_then(|c| c.masked_paths.get(item));
            format!("can't mask path {:?}", name(path.map(AsRef::as_ref)))
        }
        Step::ReadonlyRootfs => "error setting rootfs as readonly".to_owned(),
        Step::RootPropagation => {
            "unable to apply root propagation flags (linux.rootfsPropagation)".to_owned()
        }
        Step::Stdio => {
            let device = name(devices::SHARED.get(item).map(|device| device.path));
            format!("reopening {device} inside the container")
        }
        Step::Rlimit => {
            let limit = plan.process.rlimits.get(item).map_or("?", |limit| rlimit_name(limit.resource));
            format!("process.rlimits[{item}]: error setting rlimit type {limit}")
        }
        Step::Personality => "linux.personality".to_owned(),
        Step::MemoryPolicy => "linux.memoryPolicy".to_owned(),
        Step::Label => match plan.labels.as_ref().and_then(|labels| labels.writes.get(item)) {
            Some(label) => {
                format!("{}: /proc/{}: {}", label.field, show(&label.file), label.content.to_string_lossy())
            }
            None => "setting the security label".to_owned(),
        },
        Step::NoNewPrivileges => "process.noNewPrivileges".to_owned(),
        Step::BoundingSet => "process.capabilities.bounding".to_owned(),
        Step::User => format!("process.user (uid {}, gid {})", plan.process.uid, plan.process.gid),
        Step::Capabilities => "can't apply capabilities".to_owned(),
        Step::CloseOthers | Step::CloseFds => "closing descriptors".to_owned(),
        Step::Seccomp => "loading the system call filter (linux.seccomp)".to_owned(),
        Step::Mount | Step::ReadonlyMount => format!("mounts[{item}]"),
        Step::Cwd | Step::Home => "process.cwd".to_owned(),
        Step::FindProgram | Step::Exec => "process.args[0]".to_owned(),
    }
}

fn mount(i: usize, call: Call, errno: Errno, words: Option<&str>, plan: &Plan) -> Error {
    match plan.container.as_ref().and_then(|c| c.rootfs.mounts.get(i)) {
        Some(m) => of_mount(&format!("mounts[{i}]"), m, call, errno, words),
        None => plain(call, errno).wrap(format!("mounts[{i}]")),
    }
}

/// Makes the error for the mount `m`, which is called `at`.
fn of_mount(at: &str, m: &Mount, call: Call, errno: Errno, words: Option<&str>) -> Error {
    let destination = name(Some(&m.destination));
    let cause = match (call, errno) {
        (Call::Open, Errno::ELOOP | Errno::ENOTDIR) if m.no_follow => {
            let fstype = match &m.what {
                MountKind::New(new) => show(&new.fstype).to_string(),
                _ => "bind".to_owned(),
            };
            plain(call, errno).wrap(format!("filesystem {fstype:?} must be mounted on ordinary directory"))
        }
        (Call::Open, Errno::EXDEV) => plain(call, errno).with_hint("the path of the mount point leads out of the rootfs"),
        (Call::Open, Errno::EROFS) => plain(call, errno)
            .with_hint("the mount point is missing, and the file system there is read-only: make it in the image"),
        (Call::Open, Errno::EACCES) => plain(call, errno).with_hint(
            "the container's root may not search a directory of this path, or not make the mount point in it",
        ),
        (Call::CheckProc, _) => Error::new(
            ErrorKind::Setup,
            format!(
                "check proc-safety of mount: {destination:?} cannot be mounted because it is inside /proc"
            ),
        ),
        (Call::FsconfigPidns, Errno::EINVAL) => plain(call, errno).with_hint(
            "before Linux 6.18 this takes CAP_SYS_ADMIN over the pid namespace before a user namespace is joined",
        ),
        (Call::CloneTree, Errno::EINVAL | Errno::EPERM) => plain(call, errno).with_hint(NOT_CLONED),
        (Call::MapIds, _) => map_ids(plain(call, errno), errno),
        (Call::CheckSource, Errno::EPERM) => Error::os(errno, call.name()).with_hint(
            "the source is in the rootfs, and is the container's procfs or sysfs or has them below it: in the \
             new place they would be without linux.maskedPaths; before /proc and /sys in mounts, or without \
             the r of rbind, the mount is possible",
        ),
        (Call::CheckSource, Errno::ESTALE) => {
            plain(call, errno).with_hint("another file has taken its place meanwhile")
        }
        (Call::Fsopen | Call::FsconfigCreate, Errno::EPERM)
            if matches!(&m.what, MountKind::New(new) if new.fstype.as_c_str() == c"sysfs") =>
        {
            plain(call, errno).with_hint(
                "the network namespace belongs to another user namespace; with the option ro, the host's /sys is mounted instead",
            )
        }
        (Call::Fsopen | Call::Mount, Errno::ENODEV) => {
            plain(call, errno).with_hint("the kernel does not know this file system")
        }
        (Call::FsconfigCreate | Call::Fsmount, Errno::EPERM) if is_kernels(&m.what) => plain(call, errno)
            .with_hint(
                "in a user namespace the kernel mounts it only for a pid or network namespace of that user \
                 namespace, and only if another one without mounts on it is visible (LXC and Incus: allow \
                 nesting); a seccomp filter of the host may forbid it",
            ),
        (Call::CheckSuperblock, _) => {
            plain(call, errno).with_hint(format!(
                "{} would change a file system that this container has not made; a remount with bind only changes the mount",
                names(&m.what).join(", ")
            ))
        }
        (Call::Fsconfig | Call::FsconfigCreate | Call::FsconfigReconfigure | Call::Fsmount, _)
            if words.is_some() =>
        {
            plain(call, errno).with_hint(match words.unwrap_or_default() {
                words if words.contains("Invalid gid") || words.contains("Invalid uid") => {
                    format!("the kernel reports {words:?}: the user namespace does not map this id")
                }
                words => format!("the kernel reports {words:?}"),
            })
        }
        (Call::Fsconfig | Call::FsconfigCreate | Call::FsconfigReconfigure | Call::Mount, Errno::EINVAL) => {
            plain(call, errno).with_hint(refused(&m.what))
        }
        (Call::AttachMount, Errno::ENOTDIR) => {
            plain(call, errno).with_hint("a file cannot be mounted on a directory, nor a directory on a file")
        }
        (Call::AttachMount, Errno::ELOOP) => {
            plain(call, errno).with_hint("a mount namespace cannot be mounted in itself")
        }
        _ => plain(call, errno),
    };
    let source = m.source.to_string_lossy();
    cause.wrap(format!("error mounting {source:?} to rootfs at {destination:?} ({at})"))
}

/// Returns the names of the options of a file system. Their values may be secret.
fn names(what: &MountKind) -> Vec<String> {
    let parameters = match what {
        MountKind::New(NewMount { options: FsOptions::Parameters(parameters), .. }) => parameters,
        MountKind::Remount(change) => &change.parameters,
        _ => return Vec::new(),
    };
    let names = parameters.iter().map(|(key, _)| show(key).to_string());
    names.filter(|name| name != "source").collect()
}

/// Returns the hint for a file system that has refused its options without a word.
fn refused(what: &MountKind) -> String {
    let names = names(what);
    let mut hint = "the file system refused an option".to_owned();
    if !names.is_empty() {
        hint.push_str(&format!(" ({})", names.join(", ")));
    }
    if names.iter().any(|name| name == "uid" || name == "gid") {
        hint.push_str("; the user namespace may not map the uid or gid");
    }
    hint
}

/// Makes the error for a failure of the process that makes the root file system of `mounts`.
/// `origins`: see [`make_rootfs`](super::helpers::make_rootfs).
pub(super) fn rootfs_maker(
    failure: StepFailure,
    words: Option<&str>,
    mounts: &[Mount],
    origins: &[usize],
) -> Error {
    let StepFailure { step, call, errno, item } = failure;
    let mount = mounts.get(item as usize).zip(origins.get(item as usize));
    let error = match mount.filter(|_| step == Step::Mount) {
        Some((m, origin)) => {
            let at = format!("rootfs_mounts[{origin}]");
            of_mount(&at, m, call, errno, words).at(&at)
        }
        None => {
            let cause =
                if call == Call::Unshare { namespaces(errno, call.name()) } else { plain(call, errno) };
            cause.wrap("rootfs_mounts: making the root file system").at("rootfs_mounts")
        }
    };
    error.of_kind(ErrorKind::Setup).in_step(step)
}

/// The hint for a tree that cannot be cloned.
pub(crate) const NOT_CLONED: &str = "the mount of the source is unbindable; or, in a user namespace, mounts \
                                     below it hide what the container may not see, and only rbind takes them along";

/// Adds a hint to an error about the id mappings of a mount.
pub(crate) fn map_ids(error: Error, errno: Errno) -> Error {
    match errno {
        Errno::EINVAL => error.with_hint("the file system does not support id-mapped mounts"),
        Errno::EPERM => error.with_hint(
            "this requires CAP_SYS_ADMIN in the user namespace of the file system, and a mount without id mappings",
        ),
        _ => error,
    }
}

/// Returns true for a new procfs or sysfs.
fn is_kernels(what: &MountKind) -> bool {
    matches!(what, MountKind::New(new) if matches!(new.fstype.to_bytes(), b"proc" | b"sysfs"))
}

/// Makes the error for a program that was not found, in runc's words: engines match on them.
fn program(call: Call, errno: Errno, plan: &Plan) -> Error {
    let error = match &plan.process.program {
        Program::Search { name, .. } if call == Call::Access => {
            plain(call, errno).wrap(format!("exec: {:?}", name.to_string_lossy()))
        }
        Program::Path(path) | Program::OfHost { path, .. } if call == Call::Access => {
            plain(call, errno).wrap(format!("exec: {:?}", path.to_string_lossy()))
        }
        Program::Search { name, directories } if call == Call::CheckProgram => {
            let name = name.to_string_lossy();
            let text = format!("exec: {name:?}: executable file not found in $PATH");
            let hint = match name.contains(char::is_whitespace) {
                true => "it has a space: each argument is a string of its own".to_owned(),
                false => {
                    let places: Vec<_> = directories.iter().map(|place| place.to_string_lossy()).collect();
                    let places = places.iter().map(|place| match place.trim_end_matches('/') {
                        "" => "/",
                        other => other,
                    });
                    let places: Vec<_> = places.collect();
                    format!("the container has no such file in {}", places.join(":"))
                }
            };
            Error::new(ErrorKind::Setup, text).with_hint(hint)
        }
        Program::Search { name, .. } => Error::os(errno, format!("exec: {:?}", name.to_string_lossy())),
        Program::Path(path) | Program::OfHost { path, .. } => {
            let path = path.to_string_lossy();
            match errno {
                Errno::ENOENT | Errno::ENOTDIR | Errno::ELOOP => {
                    Error::os(errno, format!("stat {path}")).wrap(format!("exec: {path:?}"))
                }
                _ => Error::os(errno, format!("exec: {path:?}")),
            }
        }
    };
    match (call, errno) {
        (Call::CheckMode, _) => error.with_hint("the file has no permission to execute (chmod +x)"),
        (Call::CheckNoexec, _) => error.with_hint("its file system is mounted noexec"),
        (Call::CheckExecutable, Errno::EACCES) => {
            let uid = plan.process.uid;
            error.with_hint(format!("uid {uid} may not execute it, or not search a directory of its path"))
        }
        _ => error,
    }
}

fn cwd(call: Call, errno: Errno, plan: &Plan) -> Error {
    if call == Call::CheckCwd {
        return Error::new(
            ErrorKind::Setup,
            "current working directory is outside of container mount namespace root -- possible container breakout detected",
        );
    }
    let cwd = plan.process.cwd.to_string_lossy();
    let error = plain(call, errno);
    let error = match (call, errno) {
        (Call::Mkdir, Errno::EROFS) => {
            error.with_hint("it is missing, and the file system there is read-only: make it in the image")
        }
        (Call::Chdir, Errno::EACCES) => {
            let uid = plan.process.uid;
            error.with_hint(format!("uid {uid} may not search it, or not a directory of its path (chmod +x)"))
        }
        _ => error,
    };
    error.wrap(format!("chdir to cwd ({cwd:?}) set in config.json failed"))
}
