// SPDX-License-Identifier: Apache-2.0
//! Rows about the kernel: each system call and each namespace is tried in a child. Versions are never
//! compared.

use super::caller::Caller;
use super::files;
use super::row::{Fitness, Row, Topic, optional, required, text};
use crate::child::probe::Question;
use crate::config::namespaces::NamespaceKind;
use crate::parent::helpers::user_namespace;
use crate::parent::questions::{Answer, ask, keeps_exit_status};
use crate::values::IdRange;
use runtime_sys::Errno;
use seccomp::{Arch, Flag, Policy, Profile, Program};
use std::ffi::CStr;
use std::os::fd::{AsFd, OwnedFd};

const CALL: &str =
    "use a newer kernel, or allow the call in the seccomp filter of the host's service or container";
const NO_CONTAINER: &str = "no container can be made";

const CLONE3: Topic = required("kernel.clone3", NO_CONTAINER, CALL);
const OPENAT2: Topic = required("kernel.openat2", NO_CONTAINER, CALL);
const CLOSE_RANGE: Topic = required("kernel.close-range", NO_CONTAINER, CALL);
const FACCESSAT2: Topic = required("kernel.faccessat2", NO_CONTAINER, CALL);
const PIDFD: Topic = required("kernel.pidfd", NO_CONTAINER, CALL);
const PIDFD_GETFD: Topic =
    optional("kernel.pidfd-getfd", "a container whose seccomp filter notifies an agent is refused", CALL);
const PIDFD_EXIT: Topic = optional(
    "kernel.pidfd-exit-status",
    "the exit status of a container is unknown to programs that did not start it",
    "use Linux 6.15 or newer",
);
const MOUNT_API: Topic = required("kernel.mount-api", NO_CONTAINER, CALL);
const SETNS: Topic = required("kernel.setns", "no process can be executed in a container", CALL);
const SETNS_DENIED: &str = "give the runtime CAP_SYS_CHROOT and CAP_SYS_ADMIN, or allow the call in the seccomp filter of the host's service or container";
const PIVOT_ROOT: Topic = optional(
    "kernel.pivot-root",
    "containers can only be made with --no-pivot, which is less safe",
    "start the host from a file system in place of the initramfs, or use --no-pivot",
);
const SECCOMP: Topic = optional(
    "kernel.seccomp",
    "a configuration with linux.seccomp, which all engines write, is refused",
    "use a kernel with CONFIG_SECCOMP_FILTER",
);
const SECCOMP_NOTIFY: Topic = optional(
    "kernel.seccomp-notify",
    "a configuration with the action SCMP_ACT_NOTIFY is refused",
    "allow seccomp(2) in the filter of the host's service or container; a process has one listener at most",
);
const SECCOMP_FLAGS: Topic = optional(
    "kernel.seccomp-flags",
    "a configuration with one of these flags is refused",
    "use a newer kernel",
);
const DEVICE_FILTER: Topic = optional(
    "kernel.device-filter",
    "containers outside of a user namespace cannot be made: no filter would keep them from the host's devices",
    "use a kernel with CONFIG_CGROUP_BPF, and give the runtime CAP_BPF and CAP_NET_ADMIN, or CAP_SYS_ADMIN",
);
const OVERLAY: Topic = optional(
    "kernel.overlay",
    "engines have to copy the layers of an image (driver vfs), or to use fuse-overlayfs",
    "modprobe overlay; users need a kernel that allows overlays in user namespaces",
);
const IDMAP_TMPFS: Topic = idmap("kernel.idmap.tmpfs");
const IDMAP_ROOT: Topic = idmap("kernel.idmap.root");
const IDMAP_VAR_LIB: Topic = idmap("kernel.idmap.var-lib");

const IDMAP_USERS: &str = "call the runtime as root; users: let the files belong to ids of /etc/subuid";

const fn idmap(name: &'static str) -> Topic {
    optional(
        name,
        "a mount of this file system with uidMappings is refused: files in volumes and images keep the host's ids",
        "use a kernel whose file system supports id-mapped mounts (mount_setattr(2)), as root",
    )
}

const SYSCTL_LIMIT: &str = "raise the limit of these namespaces: sysctl user.max_..._namespaces";

fn namespace(kind: NamespaceKind) -> Topic {
    match kind {
        NamespaceKind::Mount => required("namespace.mount", NO_CONTAINER, SYSCTL_LIMIT),
        NamespaceKind::Pid => optional("namespace.pid", REFUSED, SYSCTL_LIMIT),
        NamespaceKind::Network => optional("namespace.network", REFUSED, SYSCTL_LIMIT),
        NamespaceKind::Uts => optional("namespace.uts", REFUSED, SYSCTL_LIMIT),
        NamespaceKind::Ipc => optional("namespace.ipc", REFUSED, SYSCTL_LIMIT),
        NamespaceKind::Cgroup => optional("namespace.cgroup", REFUSED, SYSCTL_LIMIT),
        NamespaceKind::Time => optional("namespace.time", REFUSED, SYSCTL_LIMIT),
        NamespaceKind::User => {
            optional("namespace.user", "containers with a user namespace of their own cannot be made", USERNS)
        }
    }
}

const REFUSED: &str = "a configuration with a new namespace of this type is refused";
const USERNS: &str = "sysctl user.max_user_namespaces=15000; leave a chroot; allow CLONE_NEWUSER in the filter of the host's service or container";

const USERS_USERNS: Topic = optional(
    "users.user-namespace",
    "ordinary users can make no containers (rootless Podman and Docker)",
    "sysctl user.max_user_namespaces=15000, kernel.unprivileged_userns_clone=1",
);
const APPARMOR_USERNS: &str = "AppArmor takes the capabilities away: give the runtime a profile with `userns,`, or sysctl kernel.apparmor_restrict_unprivileged_userns=0";

const PROC: Topic = optional(
    "procfs.fresh",
    "a container with a pid namespace of its own gets no /proc",
    "give the outer container a procfs without mounts over it (LXC, Incus: security.nesting=true; Docker: --security-opt systempaths=unconfined)",
);
const PROC_USERNS: Topic =
    optional("procfs.fresh-in-user-namespace", "a container in a user namespace gets no /proc", PROC.remedy);

/// The user and group that stand for all ordinary users.
const NOBODY: u32 = 65534;

/// The rights of the process that asks about mounts.
const ROOTS: i32 = libc::CLONE_NEWNS | libc::CLONE_NEWPID;
const USERS: i32 = ROOTS | libc::CLONE_NEWUSER;

/// Asks the kernel, and returns the rows.
pub(super) fn rows(caller: &Caller) -> Vec<Row> {
    let mut rows = calls();
    rows.extend(mounts(caller));
    rows.extend(namespaces(caller));
    rows
}

/// The outcome of questions: the answers, or the error of the process that was to ask them.
type Outcome = runtime_sys::Result<Vec<Answer>>;

fn at(outcome: &Outcome, n: usize) -> Answer {
    outcome.as_ref().map_or(Answer::Unasked, |answers| answers.get(n).copied().unwrap_or_default())
}

/// Makes the row of a topic that needs all of these calls.
fn all(topic: Topic, calls: &[(&str, Answer)]) -> Row {
    // EBADF: an earlier call has failed, so that this one could not be tried.
    let failed = calls.iter().filter(|(_, answer)| !matches!(*answer, Answer::Yes | UNTRIED));
    let words: Vec<String> = failed.map(|(call, answer)| format!("{call}: {}", words(*answer))).collect();
    let is_untried = |(_, answer): &(&str, Answer)| *answer == UNTRIED;
    if words.is_empty() {
        return match calls.iter().any(is_untried) {
            true => topic.row(Fitness::Unknown, self::words(Answer::Unasked)),
            false => topic.works(""),
        };
    }
    let is_unknown = |answer: Answer| {
        answer == Answer::Unasked || matches!(answer, Answer::No(errno) if is_shortage(errno))
    };
    let are_unknown =
        calls.iter().all(|(_, answer)| is_unknown(*answer) || matches!(*answer, Answer::Yes | UNTRIED));
    topic.row(if are_unknown { Fitness::Unknown } else { Fitness::Missing }, words.join(", "))
}

/// The answer to a question that builds on one that has failed.
const UNTRIED: Answer = Answer::No(Errno::EBADF);

/// Returns true for an error that says nothing about the call: there are too many open files, or too
/// little memory.
fn is_shortage(errno: Errno) -> bool {
    matches!(errno, Errno::EMFILE | Errno::ENFILE | Errno::ENOMEM)
}

/// Returns the fitness that the error of a call shows.
fn fitness_after(errno: Errno) -> Fitness {
    if is_shortage(errno) { Fitness::Unknown } else { Fitness::Missing }
}

fn words(answer: Answer) -> String {
    match answer {
        Answer::Yes => "works".to_owned(),
        Answer::No(errno) => text(errno),
        Answer::Killed => "kills the caller".to_owned(),
        Answer::Unasked => "could not be tried".to_owned(),
    }
}

/// A filter that allows everything.
fn allow_all() -> Option<Program> {
    let profile = Profile { default_action: "SCMP_ACT_ALLOW", ..Profile::default() };
    seccomp::compile(&Policy::new(&profile, Arch::NATIVE?).ok()?).ok()
}

fn calls() -> Vec<Row> {
    let filter = allow_all();
    let filter = filter.as_ref().map_or(&[][..], Program::instructions);
    let mut questions = vec![
        Question::Openat2,
        Question::CloseRange,
        Question::Faccessat2,
        Question::PidfdOpen,
        Question::PidfdSendSignal,
        Question::PidfdGetfd,
        Question::DeviceFilter,
        Question::NoNewPrivileges,
        Question::SeccompFilter(filter),
        Question::SeccompListener(filter),
    ];
    let before = questions.len();
    questions.extend(Flag::ALL.map(|flag| Question::SeccompFlag(flag_bits(flag))));
    let outcome = ask(0, &questions);
    let answer = |n| at(&outcome, n);
    let clone3 = match &outcome {
        Ok(_) => CLONE3.works(""),
        Err(errno) => CLONE3.row(fitness_after(*errno), text(*errno)),
    };
    let missing: Vec<&str> = Flag::ALL
        .into_iter()
        .enumerate()
        .filter(|(n, _)| matches!(answer(before + n), Answer::No(_) | Answer::Killed))
        .map(|(_, flag)| flag.name())
        .collect();
    let flags = match (missing.is_empty(), answer(before)) {
        (_, Answer::Unasked) => SECCOMP_FLAGS.row(Fitness::Unknown, words(Answer::Unasked)),
        (true, _) => SECCOMP_FLAGS.works("all flags of the specification"),
        (false, _) => SECCOMP_FLAGS.row(Fitness::Limited, format!("missing: {}", missing.join(", "))),
    };
    let exit = match keeps_exit_status() {
        Ok(true) => PIDFD_EXIT.works(""),
        Ok(false) => PIDFD_EXIT.row(Fitness::Missing, "no exit status of a reaped process"),
        Err(_) => PIDFD_EXIT.row(Fitness::Unknown, words(Answer::Unasked)),
    };
    vec![
        clone3,
        all(OPENAT2, &[("openat2", answer(0))]),
        all(CLOSE_RANGE, &[("close_range", answer(1))]),
        all(FACCESSAT2, &[("faccessat2", answer(2))]),
        all(PIDFD, &[("pidfd_open", answer(3)), ("pidfd_send_signal", answer(4))]),
        all(PIDFD_GETFD, &[("pidfd_getfd", answer(5))]),
        exit,
        all(SECCOMP, &[("prctl", answer(7)), ("seccomp", answer(8))]),
        all(SECCOMP_NOTIFY, &[("seccomp", answer(9))]),
        flags,
        device_filter(answer(6)),
    ]
}

/// The kernel refuses WAIT_KILLABLE_RECV without NEW_LISTENER.
fn flag_bits(flag: Flag) -> u32 {
    let with = if flag == Flag::WaitKillableRecv { libc::SECCOMP_FILTER_FLAG_NEW_LISTENER as u32 } else { 0 };
    flag.bit() | with
}

fn device_filter(answer: Answer) -> Row {
    match answer {
        Answer::No(Errno::EPERM) if !nix::unistd::geteuid().is_root() => {
            let topic = DEVICE_FILTER
                .mended_by("none needed: the devices that a container of a user gets are bind mounts");
            Row {
                effect: "linux.resources.devices has no effect for containers of an ordinary user",
                ..topic.row(Fitness::Limited, "needs root")
            }
        }
        answer => all(DEVICE_FILTER, &[("bpf", answer)]),
    }
}

/// Maps of the user namespace that the asking process of an ordinary user is in.
fn own_maps(caller: &Caller) -> [String; 2] {
    [caller.uid, caller.gid].map(|id| format!("0 {id} 1\n"))
}

fn mounts(caller: &Caller) -> Vec<Row> {
    let [uid, gid] = own_maps(caller);
    let ids = idmapped();
    let (overlay, var_lib) = (files::is_filesystem_loaded("overlay"), c"/var/lib");
    let mut questions = Vec::new();
    if !caller.may_admin {
        questions.push(Question::MapIds { uid: uid.as_bytes(), gid: gid.as_bytes() });
    }
    let begin = questions.len();
    questions.extend([
        Question::Procfs,
        Question::OpenTree,
        Question::PidfdOpen,
        Question::Fsopen(c"tmpfs"),
        Question::Fsconfig,
        Question::Fsmount,
        Question::MountSetattr,
    ]);
    let places: [(Topic, &CStr); 2] = [(IDMAP_ROOT, c"/"), (IDMAP_VAR_LIB, var_lib)];
    let id_maps = questions.len();
    if let Some(ids) = &ids {
        questions.push(Question::IdMapNew { fstype: c"tmpfs", ids: ids.as_fd() });
        questions.extend(places.map(|(_, path)| Question::IdMap {
            dir: runtime_sys::fd::CWD,
            path,
            ids: ids.as_fd(),
        }));
    }
    let attached = questions.len();
    // Joining leaves a chroot, so that the root directory is that of a mount.
    questions.extend([Question::Join, Question::Slave, Question::MoveMount]);
    let overlay_at = questions.len();
    questions.extend(overlay.then_some(Question::Overlay));
    let pivot = questions.len();
    questions.push(Question::PivotRoot);
    let outcome = ask(if caller.may_admin { ROOTS } else { USERS }, &questions);
    let answer = |n: usize| at(&outcome, n);

    let mut rows = vec![
        all(
            MOUNT_API,
            &[
                ("open_tree", answer(begin + 1)),
                ("fsopen", answer(begin + 3)),
                ("fsconfig", answer(begin + 4)),
                ("fsmount", answer(begin + 5)),
                ("mount_setattr", answer(begin + 6)),
                ("mount", answer(attached + 1)),
                ("move_mount", answer(attached + 2)),
            ],
        ),
        match answer(attached) {
            denied @ Answer::No(Errno::EPERM) => all(SETNS.mended_by(SETNS_DENIED), &[("setns", denied)]),
            other => all(SETNS, &[("setns", other)]),
        },
        all(PIVOT_ROOT, &[("pivot_root", answer(pivot))]),
        match overlay {
            true => all(OVERLAY, &[("overlay", answer(overlay_at))]),
            false => OVERLAY.row(Fitness::Unknown, "not loaded; it may be a module"),
        },
    ];
    rows.push(id_map(IDMAP_TMPFS, "tmpfs", ids.as_ref().map(|_| answer(id_maps))));
    for (n, (topic, path)) in places.into_iter().enumerate() {
        let place = format!("{} ({})", path.to_string_lossy(), fstype_at(path));
        rows.push(id_map(topic, &place, ids.as_ref().map(|_| answer(id_maps + 1 + n))));
    }
    let covers = covers();
    rows.push(procfs(PROC, answer(begin), &covers));
    let in_user_namespace = match caller.may_admin {
        true => at(&ask(USERS, &[Question::Procfs]), 0),
        false => answer(begin),
    };
    rows.push(procfs(PROC_USERNS, in_user_namespace, &covers));
    rows
}

/// Makes a user namespace for id-mapped mounts; `None` if the caller may not.
fn idmapped() -> Option<OwnedFd> {
    let map = [IdRange { inside: 0, outside: 100_000, size: 65_536 }];
    nix::unistd::geteuid().is_root().then(|| user_namespace(&map, &map).ok())?
}

fn id_map(topic: Topic, place: &str, answer: Option<Answer>) -> Row {
    match answer {
        None => topic.mended_by(IDMAP_USERS).row(Fitness::Missing, format!("{place}: needs root")),
        Some(Answer::Yes) => topic.works(place),
        // There is no such directory.
        Some(Answer::No(Errno::ENOENT)) => topic.row(Fitness::Unknown, format!("{place}: does not exist")),
        Some(Answer::Unasked) => topic.row(Fitness::Unknown, format!("{place}: {}", words(Answer::Unasked))),
        Some(Answer::No(errno)) => topic.row(fitness_after(errno), format!("{place}: {}", text(errno))),
        Some(answer) => topic.row(Fitness::Missing, format!("{place}: {}", words(answer))),
    }
}

/// Returns whether a mount of this file can have other ids.
pub(crate) fn maps_ids_at(file: &OwnedFd) -> Option<bool> {
    let ids = idmapped()?;
    // The file is of the caller's mount namespace. Its clone is never attached.
    match at(&ask(0, &[Question::IdMap { dir: file.as_fd(), path: c"", ids: ids.as_fd() }]), 0) {
        Answer::Yes => Some(true),
        Answer::No(Errno::EINVAL) => Some(false),
        _ => None,
    }
}

/// Returns the type of the file system at a path.
fn fstype_at(path: &CStr) -> String {
    let id = runtime_sys::fd::open_follow(runtime_sys::fd::CWD, path, libc::O_PATH, 0)
        .and_then(runtime_sys::fd::mount_id);
    let line = id.ok().and_then(|id| files::mounts().into_iter().find(|line| line.id == id));
    line.map_or_else(|| "?".to_owned(), |line| line.fstype)
}

/// Returns the mounts over files and directories of /proc.
fn covers() -> Vec<String> {
    files::mounts().into_iter().map(|line| line.mount_point).filter(|at| at.starts_with("/proc/")).collect()
}

fn procfs(topic: Topic, answer: Answer, covers: &[String]) -> Row {
    let row = all(topic, &[("mounting a procfs", answer)]);
    if row.fitness == Fitness::Works || covers.is_empty() {
        return row;
    }
    let some: Vec<&str> = covers.iter().take(3).map(String::as_str).collect();
    let found = format!("{}; mounts over parts of /proc ({}): {}", row.found, covers.len(), some.join(", "));
    Row { found, ..row }
}

fn namespaces(caller: &Caller) -> Vec<Row> {
    let kinds = NamespaceKind::ALL.map(|kind| (kind, Question::Unshare(kind.flag())));
    let others = kinds.iter().filter(|(kind, _)| *kind != NamespaceKind::User);
    let questions: Vec<Question<'_>> = others.clone().map(|(_, question)| *question).collect();
    let user = ask(libc::CLONE_NEWUSER, &questions);
    let plain = caller.may_admin.then(|| ask(0, &questions));
    let outcome = plain.as_ref().unwrap_or(&user);
    let mut rows: Vec<Row> = others
        .enumerate()
        .map(|(n, (kind, _))| match (outcome, caller.may_admin) {
            (Err(errno), false) => namespace(*kind).row(
                fitness_after(*errno),
                format!("a user needs a user namespace for it: {}", text(*errno)),
            ),
            _ => all(namespace(*kind), &[("unshare", at(outcome, n))]),
        })
        .collect();
    rows.push(match &user {
        // Without one, an ordinary user has no container.
        Err(errno) => Row {
            required: !caller.may_admin,
            ..namespace(NamespaceKind::User)
                .row(fitness_after(*errno), format!("clone3: {}{}", text(*errno), restrictions()))
        },
        Ok(_) => namespace(NamespaceKind::User).works(""),
    });
    rows.push(users_namespace(caller));
    rows
}

/// Tries what an ordinary user does first: a user namespace, and a mount in it.
fn users_namespace(caller: &Caller) -> Row {
    let steps = [
        Question::Unshare(libc::CLONE_NEWUSER),
        Question::Unshare(libc::CLONE_NEWNS),
        Question::Fsopen(c"tmpfs"),
        Question::Fsconfig,
    ];
    let as_nobody = caller.is_root.then(|| {
        let questions = [&[Question::Become(NOBODY)][..], &steps].concat();
        let mut answers = ask(0, &questions).ok()?;
        // Root of a user namespace may have no other users.
        (answers.remove(0) == Answer::Yes).then_some(Ok(answers))
    });
    let outcome = as_nobody.flatten().unwrap_or_else(|| ask(0, &steps));
    let with = |words: String| format!("{words}{}", restrictions());
    match (at(&outcome, 0), [1, 2, 3].map(|n| at(&outcome, n))) {
        (Answer::Unasked, _) => USERS_USERNS.row(Fitness::Unknown, words(Answer::Unasked)),
        (Answer::Yes, [Answer::Yes, Answer::Yes, Answer::Yes]) => USERS_USERNS.works(""),
        (Answer::Yes, rest) => {
            let denied = rest.into_iter().find(|answer| *answer != Answer::Yes).unwrap_or_default();
            let topic = if crate::prepare::labels::has_apparmor() {
                USERS_USERNS.mended_by(APPARMOR_USERNS)
            } else {
                USERS_USERNS
            };
            topic.row(Fitness::Missing, with(format!("made, but without rights: {}", words(denied))))
        }
        (denied, _) => USERS_USERNS.row(Fitness::Missing, with(format!("unshare: {}", words(denied)))),
    }
}

/// Returns the kernel parameters that keep users from user namespaces, in parentheses.
fn restrictions() -> String {
    const PARAMETERS: [(&CStr, &str, &str); 3] = [
        (c"/proc/sys/user/max_user_namespaces", "0", "user.max_user_namespaces=0"),
        (c"/proc/sys/kernel/unprivileged_userns_clone", "0", "kernel.unprivileged_userns_clone=0"),
        (
            c"/proc/sys/kernel/apparmor_restrict_unprivileged_userns",
            "1",
            "kernel.apparmor_restrict_unprivileged_userns=1",
        ),
    ];
    let is_set =
        |(path, value, _): &(&CStr, &str, &str)| files::kernel(path).is_some_and(|text| text == *value);
    let set: Vec<&str> = PARAMETERS.into_iter().filter(is_set).map(|(_, _, words)| words).collect();
    if set.is_empty() { String::new() } else { format!(" ({})", set.join(", ")) }
}
