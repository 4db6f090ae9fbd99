// SPDX-License-Identifier: Apache-2.0
//! Each row on a host that lacks what the row is about.

use crate::support::{Answer, answer, here, on, runtime};
use conformance::change::{push, with_user_namespace};
use conformance::host::{self, HostSnapshot};
use conformance::runtime::finish;
use conformance::{Bundle, bundle};
use nix::libc;
use serde_json::json;
use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use sys_testing::filter;

/// Runs `check` under a filter with which a call with these arguments has this result.
fn filtered(number: libc::c_long, arguments: &[(usize, u32)], result: u32) -> Answer {
    let mut command = runtime().command(&["check", "--format", "json"]);
    sys_testing::command::under_filter(&mut command, filter::of_call(number, arguments, result));
    answer(command)
}

fn without(number: libc::c_long, result: u32) -> Answer {
    filtered(number, &[], result)
}

fn errno(number: i32) -> u32 {
    libc::SECCOMP_RET_ERRNO | number as u32
}

#[test]
fn the_names_of_the_rows_are_those_of_the_page() {
    let page = include_str!("../../../docs/check.md");
    let table = page.lines().skip_while(|line| *line != "## Rows").take_while(|line| *line != "## A bundle");
    let page: Vec<&str> = table.filter_map(|line| line.strip_prefix("| `")?.split('`').next()).collect();
    let as_root = here(&[]);
    assert_eq!(as_root.names(), page);
    let user = on("mount -t tmpfs x /mnt; cp \"$RUNTIME\" /mnt/runtime; RUNTIME=/mnt/runtime
         by='setpriv --reuid=4321 --regid=4321 --clear-groups'");
    assert_eq!(user.names(), page);
    user.expect("caller.capabilities", "works", "ordinary user");
    assert_eq!(
        (user.json["caller"]["uid"].as_u64(), user.json["caller"]["is_root"].as_bool()),
        (Some(4321), Some(false))
    );
}

#[test]
fn a_call_that_is_hidden_or_denied_is_missing() {
    let works = here(&[]);
    for (call, row) in [
        (libc::SYS_clone3, "kernel.clone3"),
        (libc::SYS_openat2, "kernel.openat2"),
        (libc::SYS_close_range, "kernel.close-range"),
        (libc::SYS_faccessat2, "kernel.faccessat2"),
        (libc::SYS_pidfd_open, "kernel.pidfd"),
        (libc::SYS_pidfd_send_signal, "kernel.pidfd"),
        (libc::SYS_pidfd_getfd, "kernel.pidfd-getfd"),
        (libc::SYS_open_tree, "kernel.mount-api"),
        (libc::SYS_fsopen, "kernel.mount-api"),
        (libc::SYS_fsconfig, "kernel.mount-api"),
        (libc::SYS_fsmount, "kernel.mount-api"),
        (libc::SYS_move_mount, "kernel.mount-api"),
        (libc::SYS_mount_setattr, "kernel.mount-api"),
        (libc::SYS_setns, "kernel.setns"),
        (libc::SYS_pivot_root, "kernel.pivot-root"),
        (libc::SYS_bpf, "kernel.device-filter"),
        (libc::SYS_seccomp, "kernel.seccomp"),
        (libc::SYS_seccomp, "kernel.seccomp-notify"),
    ] {
        works.expect(row, "works", "");
        for (number, words) in
            [(libc::ENOSYS, "function not implemented"), (libc::EPERM, "operation not permitted")]
        {
            let answer = without(call, errno(number));
            answer.expect(row, "missing", words);
            let required = answer.row(row)["required"] == true;
            assert_eq!(answer.status == 4, required, "{row}: {}", answer.json);
        }
    }
}

/// A call that fails for lack of memory or descriptors may work later.
#[test]
fn a_shortage_makes_a_row_unknown() {
    for (call, row) in [
        (libc::SYS_openat2, "kernel.openat2"),
        (libc::SYS_clone3, "kernel.clone3"),
        (libc::SYS_clone3, "namespace.user"),
        (libc::SYS_fsopen, "kernel.mount-api"),
        (libc::SYS_mount_setattr, "kernel.idmap.root"),
    ] {
        for number in [libc::EMFILE, libc::ENFILE, libc::ENOMEM] {
            let answer = without(call, errno(number));
            answer.expect(row, "unknown", "");
        }
    }
}

/// A filter kills at the call, and the other rows are there.
#[test]
fn a_call_that_kills_is_missing() {
    for (call, row) in [
        (libc::SYS_pidfd_getfd, "kernel.pidfd-getfd"),
        (libc::SYS_mount_setattr, "kernel.mount-api"),
        (libc::SYS_pivot_root, "kernel.pivot-root"),
        (libc::SYS_bpf, "kernel.device-filter"),
    ] {
        let answer = without(call, libc::SECCOMP_RET_KILL_PROCESS);
        answer.expect(row, "missing", "kills the caller");
        for other in
            ["kernel.openat2", "kernel.seccomp", "kernel.setns", "kernel.close-range", "procfs.fresh"]
        {
            answer.expect(other, "works", "");
        }
    }
}

/// The caller's mounts are shared with the host's, and its filter denies making them slaves.
#[test]
fn nothing_is_mounted_that_could_stay_on_the_host() {
    let runtime = runtime();
    let script = "before=$(cat /proc/self/mountinfo)
        \"$RUNTIME\" --root \"$STATE\" check --format json; status=$?
        test \"$before\" = \"$(cat /proc/self/mountinfo)\" || exit 99; exit $status";
    for (result, words) in [
        (errno(libc::EPERM), "mount: operation not permitted"),
        (libc::SECCOMP_RET_KILL_PROCESS, "mount: kills the caller"),
    ] {
        let mut command = Command::new("unshare");
        command.args(["--mount", "--propagation", "shared", "sh", "-uc", script]);
        command.env("RUNTIME", runtime.program()).env("STATE", runtime.root());
        let slave = (3, (libc::MS_REC | libc::MS_SLAVE) as u32);
        let filter = filter::of_call(libc::SYS_mount, &[slave], result);
        sys_testing::command::under_filter(&mut command, filter);
        let answer = answer(command);
        assert_eq!(answer.status, 4, "{}", answer.json);
        answer.expect("kernel.mount-api", "missing", words);
    }
}

#[test]
fn this_host_has_what_the_tests_need() {
    let here = here(&[]);
    for row in [
        "procfs.fresh",
        "procfs.fresh-in-user-namespace",
        "namespace.user",
        "users.user-namespace",
        "cgroup.mounted",
        "cgroup.writable",
    ] {
        here.expect(row, "works", "");
    }
    let controllers = host::controllers();
    for name in ["cpu", "cpuset", "memory", "io", "pids", "hugetlb", "rdma"] {
        let has = controllers.iter().any(|one| one == name);
        here.expect(&format!("cgroup.controller.{name}"), if has { "works" } else { "missing" }, "");
    }
}

/// Attributes, ids and layers are tried with real mounts.
#[test]
fn mounts_are_really_made() {
    let rows = ["kernel.idmap.tmpfs", "kernel.idmap.root", "kernel.idmap.var-lib"];
    let here = here(&[]);
    let without_attributes = without(libc::SYS_mount_setattr, errno(libc::EINVAL));
    for row in rows {
        here.expect(row, "works", "");
        without_attributes.expect(row, "missing", "invalid argument");
    }
    if std::fs::read_to_string("/proc/filesystems").unwrap().contains("\toverlay\n") {
        here.expect("kernel.overlay", "works", "");
        without(libc::SYS_mkdirat, errno(libc::EPERM)).expect("kernel.overlay", "missing", "not permitted");
    }
}

#[test]
fn a_flag_of_seccomp_that_is_unknown_is_named() {
    let listener =
        libc::SECCOMP_FILTER_FLAG_NEW_LISTENER as u32 | libc::SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV as u32;
    let answer = filtered(libc::SYS_seccomp, &[(1, listener)], errno(libc::EINVAL));
    answer.expect("kernel.seccomp-flags", "limited", "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV");
    answer.expect("kernel.seccomp-notify", "works", "");
}

/// Linux before 6.13 has no request for it.
#[test]
fn a_pidfd_without_exit_status_is_seen() {
    let answer = without(libc::SYS_ioctl, errno(libc::ENOTTY));
    answer.expect("kernel.pidfd-exit-status", "missing", "");
    let mut child = Command::new("/bin/true").spawn().unwrap();
    let pidfd = runtime_sys::process::pidfd_open(child.id() as i32).unwrap();
    child.wait().unwrap();
    let has = runtime_sys::process::exit_of_reaped(pidfd).unwrap().is_some();
    here(&[]).expect("kernel.pidfd-exit-status", if has { "works" } else { "missing" }, "");
}

#[test]
fn each_namespace_has_its_own_row() {
    for (flag, kind) in [
        (libc::CLONE_NEWUTS, "uts"),
        (libc::CLONE_NEWIPC, "ipc"),
        (libc::CLONE_NEWNET, "network"),
        (libc::CLONE_NEWPID, "pid"),
        (libc::CLONE_NEWCGROUP, "cgroup"),
        (libc::CLONE_NEWTIME, "time"),
        (libc::CLONE_NEWNS, "mount"),
    ] {
        let answer = filtered(libc::SYS_unshare, &[(0, flag as u32)], errno(libc::EINVAL));
        for other in ["uts", "ipc", "network", "pid", "cgroup", "time", "mount"] {
            let want = if other == kind { "missing" } else { "works" };
            assert_eq!(answer.fitness(&format!("namespace.{other}")), want, "without {kind}");
        }
    }
}

#[test]
fn user_namespaces_that_are_turned_off_are_named_with_the_parameter() {
    let answer = on("by() { unshare --user --map-root-user sh -c 'echo 0 >/proc/sys/user/max_user_namespaces; exec \"$@\"' sh \"$@\"; }
        by=by");
    for row in ["namespace.user", "users.user-namespace"] {
        answer.expect(row, "missing", "user.max_user_namespaces=0");
    }
    // Ubuntu's restriction lets a user make the namespace, and denies the mount.
    let answer = without(libc::SYS_fsopen, errno(libc::EPERM));
    answer.expect("users.user-namespace", "missing", "made, but without rights");
}

#[test]
fn a_procfs_that_is_covered_is_seen() {
    let answer = on("mount --bind /proc/sys /proc/sys; mount --bind /dev/null /proc/cmdline");
    answer.expect("procfs.own", "works", "");
    answer.expect("procfs.fresh", "works", "");
    answer.expect("procfs.fresh-in-user-namespace", "missing", "/proc/cmdline");
    // LXC: the runtime is in that user namespace.
    let answer = on("mount --bind /proc/sys /proc/sys; by='unshare --user --map-root-user --mount'");
    answer.expect("procfs.fresh", "missing", "/proc/sys");
    assert_eq!(answer.row("procfs.fresh")["required"], false, "containers with the host's pids can be made");
}

#[test]
fn a_host_without_its_own_procfs_is_unfit() {
    for make in ["umount -l /proc", "by='unshare --pid --fork'"] {
        let answer = on(make);
        answer.expect("procfs.own", "missing", "/proc");
        assert_eq!(answer.status, 4);
    }
}

#[test]
fn cgroups_that_are_missing_or_read_only_are_seen() {
    let hierarchy = host::hierarchy();
    let hierarchy = hierarchy.display();
    let answer = on(&format!("mount --bind {hierarchy} {hierarchy}; mount -o remount,bind,ro {hierarchy}"));
    answer.expect("cgroup.writable", "missing", "read-only file system");
    assert_eq!(answer.status, 4);
    let answer = on("umount -l /sys");
    answer.expect("cgroup.mounted", "missing", "/sys/fs/cgroup");
    answer.expect("cgroup.controller.memory", "unknown", "");
    assert_eq!(answer.status, 4);
    let unified =
        on(&format!("test {hierarchy} = /sys/fs/cgroup || mount --bind {hierarchy} /sys/fs/cgroup"));
    unified.expect("cgroup.unified", "works", "");
    let hybrid = on(&format!(
        "mount --bind {hierarchy} /mnt; mount -t tmpfs x /sys/fs/cgroup; mkdir /sys/fs/cgroup/unified
         mount --move /mnt /sys/fs/cgroup/unified"
    ));
    hybrid.expect("cgroup.unified", "limited", "version 1");
}

/// Linux before 5.14: directories of another file system are put over all cgroups.
#[test]
fn a_cgroup_without_its_kill_file_is_seen() {
    let path = host::hierarchy().join(format!("check-{}-kill", std::process::id()));
    std::fs::create_dir(&path).unwrap();
    let has = here(&[]);
    let lacks = on(&format!(
        "for dir in {}/*/; do mount -t tmpfs x $dir; : >$dir/cgroup.type; done",
        host::hierarchy().display()
    ));
    std::fs::remove_dir(&path).unwrap();
    has.expect("cgroup.kill", "works", "");
    lacks.expect("cgroup.kill", "missing", "no file cgroup.kill");
    assert_eq!(lacks.status, 4);
}

/// A cgroup whose processes keep controllers from those below it.
#[test]
fn a_controller_that_cannot_be_enabled_names_the_cgroup() {
    let Some(controller) = host::controllers().into_iter().find(|one| one == "hugetlb" || one == "memory")
    else {
        return;
    };
    let top = format!("check-{}", std::process::id());
    let path = host::hierarchy().join(&top);
    // Runs a command in the cgroup.
    let in_cgroup = |command: &str| {
        on(&format!(
            "mkdir -p {0}/own; echo $$ >{0}/cgroup.procs
             by() {{
                 sh -c 'echo $$ >{0}/own/cgroup.procs; exec {command}' sh \"$@\"
                 status=$?; echo $$ >{0}/../cgroup.procs; rmdir {0}/own {0}; return $status
             }}
             by=by",
            path.display()
        ))
    };
    let answer = in_cgroup("\"$@\"");
    assert!(!path.exists());
    let row = format!("cgroup.controller.{controller}");
    answer.expect(&row, "missing", &format!("{top}: it has processes of its own"));
    // A limit on it fails there, but not in the slice of systemd.
    let limit = match controller.as_str() {
        "hugetlb" => json!({ "hugepageLimits": [{ "pageSize": "2MB", "limit": 0 }] }),
        _ => json!({ "memory": { "limit": 1 << 30 } }),
    };
    let bundle = Bundle::new(&[]).unwrap().with(|config| config["linux"]["resources"] = limit).unwrap();
    let check = format!("--root \"$3\" check --format json --bundle {}", bundle.path().display());
    let said = |options: &str| {
        let answer = in_cgroup(&format!("\"$1\" {options} {check}"));
        answer.json["bundle"]["findings"].to_string().contains("is not available")
    };
    assert!(said("") && !said("--cgroup-manager systemd"));
    here(&[]).expect(&row, "works", "");
}

#[test]
fn the_state_directory_is_best_on_a_tmpfs() {
    let on_tmpfs = on("mount -t tmpfs -o noexec,nosuid tmpfs /mnt; STATE=/mnt/none/yet");
    on_tmpfs.expect("state.directory", "works", "/mnt/none/yet (to be made in /mnt), nosuid,noexec");
    on("STATE=/var/tmp").expect("state.directory", "limited", "not on a tmpfs");
    for (options, words) in [("uid=4321", "belongs to user 4321"), ("mode=777", "can be changed by others")] {
        let refused = on(&format!("mount -t tmpfs -o {options} tmpfs /mnt; STATE=/mnt"));
        refused.expect("state.directory", "missing", words);
        assert_eq!(refused.status, 4);
    }
    let read_only = on("mount -t tmpfs -o ro tmpfs /mnt; STATE=/mnt/state");
    read_only.expect("state.directory", "missing", "read-only file system");
    assert_eq!(read_only.status, 4);
}

#[test]
fn rights_and_limits_are_those_of_the_caller() {
    let answer = on("by='setpriv --bounding-set=-mknod --inh-caps=-mknod'");
    answer.expect("caller.capabilities", "limited", "CAP_MKNOD");
    let answer = on("by='setpriv --bounding-set=-sys_admin --inh-caps=-sys_admin'");
    answer.expect("caller.capabilities", "missing", "CAP_SYS_ADMIN");
    assert_eq!(answer.status, 4);
    let answer = on("by='setpriv --bounding-set=-sys_chroot --inh-caps=-sys_chroot'");
    answer.expect("kernel.setns", "missing", "not permitted");
    assert!(answer.row("kernel.setns")["remedy"].as_str().unwrap().contains("CAP_SYS_CHROOT"));
    on("by='prlimit --nofile=64:128'").expect("limit.open-files", "limited", "64, at most 128");
    on("ulimit -n 512").expect("limit.open-files", "works", "");
    here(&[]).expect("limit.processes", "works", "");
    on("by='setpriv --reuid=4321 --regid=4321 --clear-groups prlimit --nproc=50'; mount -t tmpfs x /mnt
        cp \"$RUNTIME\" /mnt/runtime; RUNTIME=/mnt/runtime")
    .expect("limit.processes", "limited", "RLIMIT_NPROC=50");
}

#[test]
fn helpers_for_ids_need_their_rights_and_ranges() {
    let with = |mode: &str, options: &str, range: &str| {
        on(&format!(
            "mount -t tmpfs -o {options} tmpfs /mnt; for name in newuidmap newgidmap; do cp /bin/true /mnt/$name; chmod {mode} /mnt/$name; done
             echo '{range}' >/mnt/range; for file in subuid subgid; do test -e /etc/$file || exit 77; mount --bind /mnt/range /etc/$file; done
             mount -o remount,suid /mnt; mount -o remount,{options} /mnt; PATH=/mnt:$PATH"
        ))
    };
    let works = with("4755", "suid", "user:100000:65536");
    for row in ["users.newuidmap", "users.newgidmap"] {
        works.expect(row, "works", "setuid root");
        with("755", "suid", "").expect(row, "missing", "neither setuid root nor has a file capability");
        with("4755", "nosuid", "").expect(row, "missing", "nosuid mount");
    }
    // The user may execute the helper, and may not read it.
    let unreadable = on("mount -t tmpfs x /mnt; cp \"$RUNTIME\" /mnt/runtime; RUNTIME=/mnt/runtime
         mkdir /mnt/bin; cp /bin/true /mnt/bin/newuidmap; chmod 4711 /mnt/bin/newuidmap; PATH=/mnt/bin:/bin:/usr/bin
         by='setpriv --reuid=4321 --regid=4321 --clear-groups'");
    unreadable.expect("users.newuidmap", "works", "/mnt/bin/newuidmap, setuid root");
    for row in ["users.subuid", "users.subgid"] {
        works.expect(row, "works", "1 user");
        with("4755", "suid", "").expect(row, "missing", "no user has a range");
    }
    on("PATH=/nowhere; by=/usr/bin/env; test -x $by || by=/bin/env").expect(
        "users.newuidmap",
        "missing",
        "not in PATH",
    );
}

#[test]
fn the_ranges_of_a_user_are_counted() {
    let with = |range: &str| {
        on(&format!(
            "mount -t tmpfs x /mnt; cp \"$RUNTIME\" /mnt/runtime; RUNTIME=/mnt/runtime; echo '{range}' >/mnt/range
             mount --bind /mnt/range /etc/subuid; by='setpriv --reuid=4321 --regid=4321 --clear-groups'"
        ))
    };
    with("4321:100000:65536").expect("users.subuid", "works", "65536 ids");
    with("4321:100000:1000").expect("users.subuid", "limited", "only 1000 ids");
    let other = with("other:100000:65536");
    other.expect("users.subuid", "unknown", "user 4321 has no name in /etc/passwd");
    let named = "mount -t tmpfs x /srv; echo 'name:x:4321:4321::/:' >/srv/passwd; mount --bind /srv/passwd /etc/passwd; ";
    let answer = on(&format!(
        "{named}mount -t tmpfs x /mnt; cp \"$RUNTIME\" /mnt/runtime; RUNTIME=/mnt/runtime
             echo other:1:1 >/mnt/range; mount --bind /mnt/range /etc/subuid
             by='setpriv --reuid=4321 --regid=4321 --clear-groups'"
    ));
    answer.expect("users.subuid", "missing", "no range for user name");
}

#[test]
fn other_parts_of_the_host_are_looked_at() {
    let answer = on("mount -t ramfs x /var/lib");
    answer.expect("kernel.idmap.var-lib", "missing", "(ramfs): invalid argument");
    answer.expect("kernel.idmap.tmpfs", "works", "");
    on("grep -v overlay /proc/filesystems >/dev/shm/list.$$; mount --bind /dev/shm/list.$$ /proc/filesystems; rm /dev/shm/list.$$")
        .expect("kernel.overlay", "unknown", "not loaded");
    on("mount -t tmpfs x /sys/module; mkdir -p /sys/module/apparmor/parameters; echo Y >/sys/module/apparmor/parameters/enabled")
        .expect("lsm.module", "works", "AppArmor");
    on("mount -t tmpfs x /sys/module; umount -l /sys/fs/selinux 2>/dev/null").expect(
        "lsm.module",
        "missing",
        "neither",
    );
    if !std::path::Path::new("/sys/fs/resctrl/schemata").exists() {
        here(&[]).expect("resctrl.mounted", "missing", "no resctrl file system");
    }
    if Command::new("criu").arg("--version").output().is_ok() {
        here(&[]).expect("program.criu", "works", "CRIU ");
    }
    if host::has_systemd() {
        here(&[]).expect("cgroup.systemd", "works", "systemd ");
        here(&[]).expect("cgroup.driver", "works", "systemd");
    }
    on("PATH=/nowhere; by=/usr/bin/env; test -x $by || by=/bin/env").expect(
        "program.criu",
        "missing",
        "not in PATH",
    );
    // A program that answers nothing.
    let answer = on(
        "mount -t tmpfs x /mnt; printf '#!/bin/sh\\nexit 1\\n' >/mnt/criu; chmod +x /mnt/criu; PATH=/mnt:$PATH",
    );
    assert_eq!(answer.fitness("program.criu"), "missing");
    assert!(!answer.found("program.criu").contains("PATH"));
}

/// A bus that accepts and says nothing.
#[test]
fn a_bus_that_does_not_answer_is_given_up() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("bus");
    let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    let begin = std::time::Instant::now();
    let mut command = runtime().command(&["check", "--format", "json"]);
    command.env("DBUS_SYSTEM_BUS_ADDRESS", format!("unix:path={}", socket.display()));
    let answer = answer(command);
    answer.expect("cgroup.systemd", "missing", "connecting to systemd");
    answer.expect("cgroup.driver", "works", "cgroupfs");
    assert!(begin.elapsed() < std::time::Duration::from_secs(8));
}

#[test]
fn nothing_is_left_on_the_host() {
    let _alone = host::alone();
    let entries = |dir: &str| -> BTreeSet<_> {
        std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name()).collect()
    };
    let before = HostSnapshot::take().unwrap();
    let dirs = ["/", "/run", "/var/lib", "/etc"];
    let files = dirs.map(entries);
    let runtime = runtime();
    let none = runtime.root().join("none");
    let bundle = Bundle::new(&["exit", "0"]).unwrap();
    for args in [&["check"][..], &["check", "--bundle", bundle.path().to_str().unwrap()]] {
        let mut command = Command::new(runtime.program());
        command.args(["--root", none.to_str().unwrap()]).args(args);
        let output = finish(command).unwrap();
        assert!(output.stderr.is_empty(), "{output}");
    }
    before.check(&runtime).unwrap();
    assert_eq!(files, dirs.map(entries));
    // The command does not make a user's directory for records, either.
    let dir = tempfile::tempdir().unwrap();
    std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o777)).unwrap();
    std::fs::copy(runtime.program(), dir.path().join("runtime")).unwrap();
    let mut command = Command::new("setpriv");
    command.args(["--reuid=4321", "--regid=4321", "--clear-groups"]).arg(dir.path().join("runtime"));
    command.args(["check", "--format", "json"]).env("XDG_RUNTIME_DIR", dir.path()).env("USER", "user");
    let answer = Answer::of(&finish(command).unwrap());
    assert!(
        answer.found("state.directory").starts_with(&format!("{}/runc (to be made", dir.path().display()))
    );
    assert!(!dir.path().join("runc").exists());
}

/// Runs `check` in a container of this runtime.
fn inside(change: impl FnOnce(&mut serde_json::Value)) -> Answer {
    let _alone = host::alone();
    let runtime = runtime();
    let directory = bundle::beside("runtime-cli").parent().unwrap().to_owned();
    let bundle = Bundle::new(&[]).unwrap();
    std::fs::create_dir(bundle.rootfs("runtime")).unwrap();
    let bundle = bundle
        .with(|config| {
            config["process"]["args"] =
                json!(["/runtime/runtime-cli", "--root", "/dev/shm/state", "check", "--format", "json"]);
            config["linux"]["cgroupsPath"] = json!(format!("/check-{}", std::process::id()));
            push(
                config,
                json!({ "destination": "/runtime", "source": directory, "options": ["bind", "ro"] }),
            );
            change(config);
        })
        .unwrap();
    let output = runtime.run_in(&bundle, &["run", "c"]);
    drop(runtime.run(&["delete", "--force", "c"]));
    Answer::of(&output.unwrap())
}

#[test]
fn a_plain_container_is_no_host_for_others() {
    let answer = inside(|_| ());
    answer.expect("caller.capabilities", "missing", "CAP_SYS_ADMIN");
    answer.expect("kernel.openat2", "works", "");
    assert_eq!(answer.status, 4);
}

#[test]
fn a_privileged_container_is_a_host_for_others() {
    let privileged = |config: &mut serde_json::Value| {
        let all = runtime().run(&["features"]).unwrap().stdout;
        let all: serde_json::Value = serde_json::from_str(&all).unwrap();
        let all = &all["linux"]["capabilities"];
        config["process"]["capabilities"] = json!({ "bounding": all, "effective": all, "permitted": all });
        config["linux"]["maskedPaths"] = json!([]);
        config["linux"]["readonlyPaths"] = json!([]);
        config["linux"]["resources"] = json!({ "devices": [{ "allow": true, "access": "rwm" }] });
        let mounts = config["mounts"].as_array_mut().unwrap().iter_mut();
        for mount in mounts.filter(|mount| mount["destination"] != "/runtime") {
            if let Some(options) = mount["options"].as_array_mut() {
                options.retain(|option| option != "ro");
            }
        }
    };
    let answer = inside(privileged);
    assert_eq!(answer.status, 2, "{}", answer.json);
    for row in [
        "procfs.fresh",
        "procfs.fresh-in-user-namespace",
        "kernel.mount-api",
        "kernel.pivot-root",
        "cgroup.writable",
    ] {
        answer.expect(row, "works", "");
    }
    // As with LXC: covered files, in a user namespace. They are locked in the next one.
    let answer = inside(|config| {
        privileged(config);
        with_user_namespace(config);
        config["linux"]["maskedPaths"] = json!(["/proc/cmdline"]);
    });
    answer.expect("procfs.fresh", "works", "");
    answer.expect("procfs.fresh-in-user-namespace", "missing", "/proc/cmdline");
}

#[test]
fn the_table_is_plain_where_no_terminal_is() {
    let _alone = host::alone();
    let output = runtime().run(&["check"]).unwrap();
    assert!(!output.stdout.contains('\x1b'), "{output}");
    assert!(output.stdout.lines().any(|line| line == "works    kernel.openat2"), "{output}");
    runtime().run(&["check", "--format", "yaml"]).unwrap().failed_with(1, "invalid format option").unwrap();
}
