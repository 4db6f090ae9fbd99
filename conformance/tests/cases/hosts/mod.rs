// SPDX-License-Identifier: Apache-2.0
//! Restricted hosts: the runtime runs in a container, in a hardened service, in a
//! chroot, or without something that it needs. docs/hosts.md has the table.

mod lifecycle;

use crate::support::Case;
use conformance::change::without_namespace;
use conformance::runtime::finish;
use conformance::{Bundle, Doing, Result, Runtime, ensure, ensure_eq, host};
use lifecycle::{
    TREE, add_user_namespace, has_lived, in_user_namespace, inside, lives, refuses, was_refused,
};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

pub(crate) const CASES: &[Case] = &[
    Case {
        name: "a container works where /proc/sys is a mount",
        quote: "runc#4968: linux.sysctl, which Docker always sets, where /proc/sys is a separate mount",
        run: |runtime| lives(runtime, "mount --bind /proc/sys /proc/sys"),
    },
    Case {
        name: "a container works with ProtectKernelTunables",
        quote: "systemd.exec(5): kernel variables accessible through /proc/sys/, /sys/, /proc/sysrq-trigger, \
                /proc/latency_stats, ... will be made read-only",
        run: |runtime| {
            lives(
                runtime,
                "for path in /proc/sys /proc/sysrq-trigger /proc/fs /proc/bus /proc/irq /proc/acpi \
                     /proc/timer_stats /proc/latency_stats /proc/mtrr /proc/apm /proc/scsi /proc/asound /sys; do
                     test -e $path || continue
                     mount --rbind $path $path
                     mount -o remount,bind,ro $path
                 done
                 for path in /proc/kallsyms /proc/kcore; do
                     test ! -e $path || mount --bind /dev/null $path
                 done",
            )
        },
    },
    Case {
        name: "a container works with files of lxcfs and a mostly read-only /proc/sys",
        quote: "lxc.container.conf(5): proc:mixed: mount /proc as read-write, but remount /proc/sys and \
                /proc/sysrq-trigger read-only",
        run: |runtime| {
            lives(
                runtime,
                "mount --bind /proc/sys/net /proc/tty
                 mount --bind /proc/sys /proc/sys
                 mount -o remount,bind,ro /proc/sys
                 mount --move /proc/tty /proc/sys/net
                 mount -t tmpfs lxcfs /mnt
                 for file in cpuinfo diskstats loadavg meminfo stat swaps uptime; do
                     cat /proc/$file >/mnt/$file
                     mount --bind /mnt/$file /proc/$file
                 done
                 mount -o remount,bind,ro /sys
                 mount --bind /mnt /sys/devices/system/cpu",
            )
        },
    },
    Case {
        name: "a container works with ProcSubset=pid and ProtectProc=invisible",
        quote: "systemd.exec(5): ProcSubset=pid, ProtectProc=invisible",
        run: |runtime| lives(runtime, "mount -t proc -o subset=pid,hidepid=invisible proc /proc"),
    },
    Case {
        name: "a user namespace works with ProcSubset=pid and ProtectProc=invisible",
        quote: "dockerd --userns-remap: the capabilities are all that the kernel knows, whatever /proc/sys shows",
        run: |runtime| {
            has_lived(&in_user_namespace(
                runtime,
                "mount -t proc -o subset=pid,hidepid=invisible proc /proc; mount -t proc proc /mnt",
            )?)
        },
    },
    Case {
        name: "a container works with hidepid=2 and without CAP_SYS_PTRACE",
        quote: "proc(5): hidepid=2: /proc/pid/ directories belonging to other users become invisible",
        run: |runtime| {
            lives(
                runtime,
                "mount -t proc -o hidepid=2 proc /proc
                 by='setpriv --bounding-set=-sys_ptrace --inh-caps=-sys_ptrace'",
            )
        },
    },
    Case {
        name: "a user namespace works without CAP_SYS_PTRACE",
        quote: "docker run --cap-add SYS_ADMIN: setns(2) by a pidfd is checked like ptrace(2)",
        run: |runtime| {
            let make = "by='setpriv --bounding-set=-sys_ptrace --inh-caps=-sys_ptrace'";
            has_lived(&in_user_namespace(runtime, make)?)
        },
    },
    Case {
        name: "a container works where all of /proc is read-only",
        quote: "bwrap(1): --ro-bind /proc /proc",
        run: |runtime| lives(runtime, "mount -o remount,bind,ro /proc"),
    },
    Case {
        name: "a container works if the runtime has no_new_privs",
        quote: "systemd.exec(5): NoNewPrivileges=",
        run: |runtime| lives(runtime, "by='setpriv --no-new-privs'"),
    },
    Case {
        name: "a container works if the runtime's umask is 0777",
        quote: "umask(2): all files of the runtime's own would be without any permission",
        run: |runtime| lives(runtime, "umask 0777"),
    },
    Case {
        name: "a container works if the standard streams are closed",
        quote: "file descriptors 0, 1 and 2 would be the first files that the runtime opens",
        run: |runtime| {
            lives(
                runtime,
                r#"rt() {
                    case $1 in
                        state | exec) "$RUNTIME" --root "$STATE" "$@" <&- 2>&- ;;
                        *) "$RUNTIME" --root "$STATE" "$@" <&- >&- 2>&- ;;
                    esac
                }"#,
            )
        },
    },
    Case {
        name: "a container works in a chroot",
        quote: "chroot(2): pivot_root and setns begin at the root of the mount namespace",
        run: |runtime| lives(runtime, &format!("R=$BUNDLE/root; mkdir $R; {TREE} by=\"chroot $R\"")),
    },
    Case {
        name: "a container works in a chroot that is a mount",
        quote: "chroot(2): as of a rescue system, mount /dev/sda1 /mnt; chroot /mnt",
        run: |runtime| {
            lives(runtime, &format!("R=$BUNDLE/root; mkdir $R; mount --bind $R $R; {TREE} by=\"chroot $R\""))
        },
    },
    Case {
        name: "a container works in a chroot without pivot_root",
        quote: "runc-create(8): --no-pivot",
        run: |runtime| {
            lives(runtime, &format!("R=$BUNDLE/root; mkdir $R; {TREE} by=\"chroot $R\" create=--no-pivot"))
        },
    },
    Case {
        name: "a container works in a user namespace that maps every id to itself",
        quote: "systemd.exec(5): PrivateUsers=full",
        run: |runtime| lives(runtime, FULL),
    },
    Case {
        name: "a container is refused in a user namespace that can mount no procfs",
        quote: "user_namespaces(7): existing mounts are locked in a new namespace, and a new procfs would show \
                the covered files: PrivateUsers= with ProtectKernelTunables=",
        run: |runtime| {
            // In the outer namespace only; the script runs in both.
            let cover = "test -n \"${go-}\" || mount --bind /dev/null /proc/cmdline";
            refuses(runtime, &[cover, FULL].join("\n"), "without mounts on it is visible")
        },
    },
    Case {
        name: "a new user namespace is refused where /proc is covered",
        quote: "user_namespaces(7): a new procfs would show root of the namespace the files that the host covers",
        run: |runtime| {
            let output = in_user_namespace(runtime, "mount --bind /proc/sys /proc/sys")?;
            was_refused(&output, "without mounts on it is visible")
        },
    },
    Case {
        name: "a new user namespace is refused in a chroot",
        quote: "user_namespaces(7): EPERM: the root directory of the caller is not that of its mount namespace",
        run: |runtime| {
            let make = format!("R=$BUNDLE/root; mkdir $R; {TREE} by=\"chroot $R\"");
            was_refused(&in_user_namespace(runtime, &make)?, "in a chroot")
        },
    },
    Case {
        name: "a container works in a privileged container",
        quote: "docker run --privileged docker:dind",
        run: |runtime| has_lived(&inside(runtime, |_| (), "")?),
    },
    Case {
        name: "a container works in a privileged container in a user namespace",
        quote: "dockerd --userns-remap, or Incus with nesting, and Docker in it",
        run: |runtime| has_lived(&inside(runtime, add_user_namespace, "")?),
    },
    Case {
        name: "a container works in another with a read-only /proc/sys",
        quote: "podman run --cap-add SYS_ADMIN, and Podman in it",
        run: |runtime| {
            let change = |config: &mut Value| {
                add_user_namespace(config);
                config["linux"]["readonlyPaths"] = json!(["/proc/sys"]);
            };
            has_lived(&inside(runtime, change, "")?)
        },
    },
    Case {
        name: "a container works in another without a cgroup namespace",
        quote: "lxc.container.conf(5): lxc.mount.auto = cgroup: the container's cgroup is mounted at /sys/fs/cgroup",
        run: |runtime| {
            let change = |config: &mut Value| {
                without_namespace(config, "cgroup");
                let cgroup = host::hierarchy().join("outer");
                if let Some(mounts) = config["mounts"].as_array_mut() {
                    mounts.retain(|mount| mount["destination"] != "/sys/fs/cgroup");
                    mounts.push(json!({
                        "destination": "/sys/fs/cgroup", "source": cgroup, "type": "bind", "options": ["bind"],
                    }));
                }
            };
            has_lived(&inside(runtime, change, "")?)
        },
    },
    Case {
        name: "a container is refused where namespaces are forbidden",
        quote: "systemd.exec(5): RestrictNamespaces=: clone3() is blocked with ENOSYS, and clone(), unshare(), setns() with EPERM",
        run: |runtime| was_refused(&inside(runtime, restrict_namespaces, "")?, "operation not permitted"),
    },
    Case {
        name: "a container is refused where openat2 is forbidden or missing",
        quote: "systemd.exec(5): RestrictSUIDSGID= denies openat2() with ENOSYS, because no filter can check its \
                arguments; without it no path of an image can be trusted",
        run: |runtime| {
            for errno in [1, 38] {
                refuses_without(runtime, &["openat2"], errno)?;
            }
            Ok(())
        },
    },
    Case {
        name: "a container is refused where a call of the mount API is forbidden",
        quote: "a filter as Docker's, which has no rule for open_tree(2) without CAP_SYS_ADMIN",
        run: |runtime| {
            let calls = ["open_tree", "move_mount", "fsopen", "fsconfig", "fsmount", "mount_setattr"];
            for errno in [1, 38] {
                refuses_without(runtime, &calls, errno)?;
                for call in calls {
                    refuses_without(runtime, &[call], errno)?;
                }
            }
            Ok(())
        },
    },
    Case {
        name: "a container is refused where another needed call does not exist",
        quote: "a filter that was written before these calls answers with ENOSYS, or EPERM where its default is that",
        run: |runtime| {
            for call in ["clone3", "close_range", "faccessat2", "pidfd_open", "pivot_root", "setns"] {
                refuses_without(runtime, &[call], 38)?;
            }
            refuses_without(runtime, &["faccessat2"], 1)
        },
    },
    Case {
        name: "a container works with a private /tmp",
        quote: "systemd.exec(5): PrivateTmp=",
        run: |runtime| {
            lives(
                runtime,
                r#"mount -t tmpfs tmpfs /mnt
                   cp -r "$BUNDLE" /mnt/bundle
                   mount -t tmpfs tmpfs /var/tmp
                   mount --move /mnt /tmp
                   BUNDLE=/tmp/bundle STATE=/tmp/state"#,
            )
        },
    },
    Case {
        name: "a container works without CAP_MKNOD",
        quote: "docker run --privileged --cap-drop MKNOD: bind mounts of the host's nodes",
        run: |runtime| lives(runtime, "by='setpriv --bounding-set=-mknod --inh-caps=-mknod'"),
    },
    Case {
        name: "a container works with a limit of 64 descriptors, at most 256",
        quote: "getrlimit(2): RLIMIT_NOFILE",
        run: |runtime| lives(runtime, "by='prlimit --nofile=64:256'"),
    },
    Case {
        name: "a container is refused if only three descriptors are free",
        quote: "getrlimit(2): RLIMIT_NOFILE",
        run: |runtime| refuses(runtime, "by='prlimit --nofile=6:6'", "open files"),
    },
    Case {
        name: "a container works on a host without /dev",
        quote: "the container's devices are its own",
        run: |runtime| lives(runtime, "mount -t tmpfs tmpfs /dev; mkdir /dev/shm; mknod /dev/null c 1 3"),
    },
    Case {
        name: "a container is refused without /proc",
        quote: "one error that names the missing feature",
        run: |runtime| refuses(runtime, "umount -l /proc", "/proc"),
    },
    Case {
        name: "a container is refused if /proc is of another pid namespace",
        quote: "pid_namespaces(7): /proc shows the processes of the pid namespace of the process that mounted it",
        run: |runtime| refuses(runtime, "by='unshare --pid --fork'", "another pid namespace"),
    },
    Case {
        name: "a container is refused without cgroups",
        quote: "one error that names the missing feature",
        run: |runtime| refuses(runtime, "umount -l /sys", "/sys/fs/cgroup"),
    },
    Case {
        name: "a container is refused if cgroups are read-only",
        quote: "systemd.exec(5): ProtectControlGroups=",
        run: |runtime| {
            let make =
                format!("mount --bind {0} {0}; mount -o remount,bind,ro {0}", host::hierarchy().display());
            refuses(runtime, &make, "read-only")
        },
    },
    Case {
        name: "existing containers work if the state's file system is full",
        quote: "statvfs(3): existing containers can be used and deleted",
        run: |runtime| {
            lives(
                runtime,
                "mount -t tmpfs -o size=256k tmpfs \"$STATE\"; full=$STATE; STATE=$full/state
                 created() {
                     cat /dev/zero >\"$full/fill\" 2>/dev/null || :
                     step other rt create --bundle \"$BUNDLE\" other 2>&1 | grep -i 'no space left' >/dev/null
                     ! rt state other 2>/dev/null
                 }",
            )
        },
    },
    Case {
        name: "exec without pivot_root is in the container's root",
        quote: "exec executes a program in the container, never one of the host's",
        run: |runtime| exec_is_inside(runtime, &["--no-pivot"], "none"),
    },
    Case {
        name: "exec in the host's mount namespace is in the container's root",
        quote: "exec executes a program in the container, never one of the host's",
        run: |runtime| exec_is_inside(runtime, &[], "mount"),
    },
];

/// Enters a user namespace like that of `PrivateUsers=full`.
const FULL: &str = r#"
if test -z "${go-}"; then
    export go=/dev/shm/go.$$
    mkfifo $go
    unshare --user --mount sh -euc "$SCRIPT" &
    until test "$(readlink /proc/$!/ns/user)" != "$(readlink /proc/self/ns/user)"; do sleep 0.01; done
    for map in uid_map gid_map; do echo 0 0 4294967295 >/proc/$!/$map; done
    echo >$go
    rm $go
    wait $!
    exit
fi
read line <$go
"#;

fn restrict_namespaces(config: &mut Value) {
    let flags =
        [0x80, 0x0002_0000, 0x0200_0000, 0x0400_0000, 0x0800_0000, 0x1000_0000, 0x2000_0000, 0x4000_0000u32];
    let denied = flags.iter().flat_map(|flag| {
        [("clone", 0), ("unshare", 0), ("setns", 1)].map(|(name, index)| {
            json!({
                "names": [name], "action": "SCMP_ACT_ERRNO", "errnoRet": 1,
                "args": [{ "index": index, "value": flag, "valueTwo": flag, "op": "SCMP_CMP_MASKED_EQ" }],
            })
        })
    });
    let clone3 = json!({ "names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38 });
    config["linux"]["seccomp"] = json!({
        "defaultAction": "SCMP_ACT_ALLOW", "syscalls": denied.chain([clone3]).collect::<Vec<_>>(),
    });
}

/// Checks that the runtime names a filter as the reason when these system calls fail.
fn refuses_without(runtime: &Runtime, calls: &[&str], errno: u32) -> Result {
    let output = inside(runtime, |config| hide_calls(config, calls, errno), "")?;
    was_refused(&output, "filter of the host")
}

/// Adds a filter with which these system calls fail.
fn hide_calls(config: &mut Value, calls: &[&str], errno: u32) {
    config["linux"]["seccomp"] = json!({
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{ "names": calls, "action": "SCMP_ACT_ERRNO", "errnoRet": errno }],
    });
}

/// Cases for a host with AppArmor.
pub(crate) const APPARMOR: &[Case] = &[Case {
    name: "a container works where AppArmor takes a detached procfs for /sys",
    quote: "runc#4968: abstractions/lxc/container-base: deny /sys/[^fdck]*{,/**} wklx",
    run: |runtime| {
        let file = tempfile::NamedTempFile::new().doing("temporary file")?;
        fs::write(file.path(), LXC_PROFILE).doing("profile")?;
        let parser = |action: &str| {
            let mut command = Command::new("apparmor_parser");
            command.arg(action).arg(file.path()).stdin(Stdio::null());
            finish(command)?.ok()
        };
        parser("--replace")?;
        let plain = lives(runtime, "by='aa-exec -p conformance-lxc --'");
        let covered = lives(runtime, "mount --bind /proc/sys /proc/sys; by='aa-exec -p conformance-lxc --'");
        parser("--remove")?;
        plain.and(covered)
    },
}];

/// The nesting profile of LXC, without its rules about mounts.
const LXC_PROFILE: &str = "profile conformance-lxc flags=(attach_disconnected,mediate_deleted) {
    file,
    capability,
    network,
    mount,
    umount,
    pivot_root,
    signal,
    ptrace,
    unix,
    deny /proc/sys/[^kn]*{,/**} wklx,
    deny /sys/[^fdck]*{,/**} wklx,
}
";

pub(crate) fn has_apparmor() -> bool {
    let loads = Path::new("/sys/kernel/security/apparmor/.load").exists();
    loads && Command::new("apparmor_parser").arg("--version").stdout(Stdio::null()).status().is_ok()
}

fn exec_is_inside(runtime: &Runtime, options: &[&str], without: &str) -> Result {
    let hook = json!([{ "path": "/bin/true" }]);
    for hooks in [json!({}), json!({ "createRuntime": hook }), json!({ "createContainer": hook })] {
        let bundle = Bundle::new(&["sleep"])?.with(|config| {
            config["hooks"] = hooks.clone();
            without_namespace(config, without);
            if without == "mount" {
                config["linux"]["maskedPaths"] = json!([]);
                config["linux"]["readonlyPaths"] = json!([]);
            }
        })?;
        runtime.run_in(&bundle, &[&["run", "--detach"], options, &["c"]].concat())?.ok()?;
        let inside = runtime.run(&["exec", "c", "/probe", "exit", "7"])?;
        let outside = runtime.run(&["exec", "c", "/bin/true"])?;
        runtime.run(&["delete", "--force", "c"])?.ok()?;
        ensure_eq!(inside.status.code(), Some(7));
        ensure!(!outside.status.success(), "with {hooks} it is a program of the host");
    }
    Ok(())
}
