// SPDX-License-Identifier: Apache-2.0
//! Hosts that are not pristine: the runtime itself runs in a container, under a hardened
//! service, in a chroot, or short of something. docs/hosts.md has the table.

mod life;

use crate::Case;
use crate::lifecycle::without_namespace;
use conformance::{Bundle, Result, Runtime, ensure, ensure_eq};
use life::{TREE, lives};
use serde_json::json;

pub(crate) const CASES: &[Case] = &[
    Case {
        name: "/proc/sys is a mount",
        quote: "runc#4968: linux.sysctl, which Docker always sets, where /proc/sys is a mount of its own",
        run: |runtime| lives(runtime, "mount --bind /proc/sys /proc/sys"),
    },
    Case {
        name: "ProtectKernelTunables",
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
        name: "files of lxcfs, and /proc/sys read-only but for net",
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
        name: "/proc with processes only, and other users' invisible",
        quote: "systemd.exec(5): ProcSubset=pid, ProtectProc=invisible",
        run: |runtime| lives(runtime, "mount -t proc -o subset=pid,hidepid=invisible proc /proc"),
    },
    Case {
        name: "other users' processes invisible, without CAP_SYS_PTRACE",
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
        name: "all of /proc read-only",
        quote: "bwrap(1): --ro-bind /proc /proc",
        run: |runtime| lives(runtime, "mount -o remount,bind,ro /proc"),
    },
    Case {
        name: "no privileges to gain",
        quote: "systemd.exec(5): NoNewPrivileges=",
        run: |runtime| lives(runtime, "by='setpriv --no-new-privs'"),
    },
    Case {
        name: "umask 0777",
        quote: "umask(2): all files of the runtime's own would be without any permission",
        run: |runtime| lives(runtime, "umask 0777"),
    },
    Case {
        name: "standard streams that are closed",
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
        name: "a chroot",
        quote: "chroot(2): pivot_root and setns begin at the root of the mount namespace",
        run: |runtime| lives(runtime, &format!("R=$BUNDLE/root; mkdir $R; {TREE} by=\"chroot $R\"")),
    },
    Case {
        name: "a chroot that is a mount",
        quote: "chroot(2): as of a rescue system, mount /dev/sda1 /mnt; chroot /mnt",
        run: |runtime| {
            lives(runtime, &format!("R=$BUNDLE/root; mkdir $R; mount --bind $R $R; {TREE} by=\"chroot $R\""))
        },
    },
    Case {
        name: "a chroot, without pivot_root",
        quote: "runc-create(8): --no-pivot",
        run: |runtime| {
            lives(runtime, &format!("R=$BUNDLE/root; mkdir $R; {TREE} by=\"chroot $R\" create=--no-pivot"))
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
