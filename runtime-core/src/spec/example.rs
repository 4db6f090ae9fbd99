// SPDX-License-Identifier: Apache-2.0
//! The configuration that the command `spec` writes. It is the same as runc's, so that tools
//! that edit the configuration of `runc spec` work here, too.

use super::document::*;
use super::linux::*;
use super::process::*;
use super::resources::{DeviceCgroup, Resources};
use super::state::OCI_VERSION;

fn strings(list: &[&str]) -> Vec<String> {
    list.iter().map(|s| (*s).to_owned()).collect()
}

fn mount(destination: &str, kind: &str, source: &str, options: &[&str]) -> Mount {
    Mount {
        destination: destination.to_owned(),
        kind: kind.to_owned(),
        source: source.to_owned(),
        options: strings(options),
        ..Mount::default()
    }
}

fn namespace(kind: &str) -> Namespace {
    Namespace { kind: kind.to_owned(), path: String::new() }
}

impl Spec {
    /// Returns the configuration of a container that runs `sh` on a terminal in `rootfs`. The
    /// container has pid, network, ipc, uts and mount namespaces of its own, and with
    /// `cgroup_namespace` a cgroup namespace (which runc adds if cgroup2 is mounted at
    /// /sys/fs/cgroup).
    pub fn example(cgroup_namespace: bool) -> Self {
        let caps = strings(&["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"]);
        let mut namespaces: Vec<_> = ["pid", "network", "ipc", "uts", "mount"].map(namespace).into();
        if cgroup_namespace {
            namespaces.push(namespace("cgroup"));
        }
        Spec {
            oci_version: OCI_VERSION.to_owned(),
            root: Some(Root { path: "rootfs".to_owned(), readonly: true }),
            process: Some(Process {
                terminal: true,
                user: User { uid: Some(0), gid: Some(0), ..User::default() },
                args: strings(&["sh"]),
                env: strings(&[
                    "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                    "TERM=xterm",
                ]),
                cwd: "/".to_owned(),
                no_new_privileges: true,
                capabilities: Some(Capabilities {
                    bounding: caps.clone(),
                    effective: caps.clone(),
                    permitted: caps,
                    ..Capabilities::default()
                }),
                rlimits: vec![Rlimit { kind: "RLIMIT_NOFILE".to_owned(), hard: 1024, soft: 1024 }],
                ..Process::default()
            }),
            hostname: "runc".to_owned(),
            mounts: vec![
                mount("/proc", "proc", "proc", &[]),
                mount("/dev", "tmpfs", "tmpfs", &["nosuid", "strictatime", "mode=755", "size=65536k"]),
                mount(
                    "/dev/pts",
                    "devpts",
                    "devpts",
                    &["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"],
                ),
                mount("/dev/shm", "tmpfs", "shm", &["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"]),
                mount("/dev/mqueue", "mqueue", "mqueue", &["nosuid", "noexec", "nodev"]),
                mount("/sys", "sysfs", "sysfs", &["nosuid", "noexec", "nodev", "ro"]),
                mount("/sys/fs/cgroup", "cgroup", "cgroup", &["nosuid", "noexec", "nodev", "relatime", "ro"]),
            ],
            linux: Some(Linux {
                resources: Some(Resources {
                    devices: vec![DeviceCgroup { access: "rwm".to_owned(), ..DeviceCgroup::default() }],
                    ..Resources::default()
                }),
                namespaces,
                masked_paths: strings(&[
                    "/proc/acpi",
                    "/proc/asound",
                    "/proc/kcore",
                    "/proc/keys",
                    "/proc/latency_stats",
                    "/proc/timer_list",
                    "/proc/timer_stats",
                    "/proc/sched_debug",
                    "/sys/firmware",
                    "/proc/scsi",
                ]),
                readonly_paths: strings(&[
                    "/proc/bus",
                    "/proc/fs",
                    "/proc/irq",
                    "/proc/sys",
                    "/proc/sysrq-trigger",
                ]),
                ..Linux::default()
            }),
            ..Spec::default()
        }
    }

    /// Changes the example into a configuration that an unprivileged user can run: with a user
    /// namespace in which `uid` and `gid` are root, the host's network, a bind mount of the
    /// host's /sys, and no limits.
    pub fn into_rootless(mut self, uid: u32, gid: u32) -> Self {
        let one = |host_id| vec![IdMapping { container_id: 0, host_id, size: 1 }];
        if let Some(linux) = &mut self.linux {
            linux.namespaces.retain(|ns| ns.kind != "network" && ns.kind != "user");
            linux.namespaces.push(namespace("user"));
            linux.uid_mappings = one(uid);
            linux.gid_mappings = one(gid);
            linux.resources = None;
        }
        for m in &mut self.mounts {
            if m.destination == "/sys" {
                *m = mount("/sys", "none", "/sys", &["rbind", "nosuid", "noexec", "nodev", "ro"]);
            }
            // These options need ids that are not mapped.
            m.options.retain(|o| !o.starts_with("gid=") && !o.starts_with("uid="));
        }
        self
    }
}
