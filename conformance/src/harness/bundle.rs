// SPDX-License-Identifier: Apache-2.0
//! Bundles for single cases: a configuration to change, and a rootfs with the probe as its only
//! program.

use crate::result::{Doing, Result};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// A bundle in a temporary directory.
#[derive(Debug)]
pub struct Bundle {
    dir: tempfile::TempDir,
    /// config.json, written by [`save`](Bundle::save).
    pub config: Value,
}

impl Bundle {
    /// Makes a bundle with the configuration of `runc spec`, without a terminal, whose program is
    /// `probe` with these arguments.
    pub fn new(probe_args: &[&str]) -> Result<Self> {
        let dir = tempfile::Builder::new().prefix("bundle-").tempdir().doing("temporary directory")?;
        // Users other than root must be able to reach the rootfs.
        std::fs::set_permissions(dir.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755))
            .doing("chmod")?;
        let rootfs = dir.path().join("rootfs");
        for name in ["dev", "etc", "proc", "root", "run", "sys", "tmp"] {
            std::fs::create_dir_all(rootfs.join(name)).doing("mkdir")?;
        }
        std::fs::write(
            rootfs.join("etc/passwd"),
            "root:x:0:0:root:/root:/probe\nuser:x:1000:1000::/home/user:/probe\n",
        )
        .doing("write passwd")?;
        std::fs::copy(probe(), rootfs.join("probe")).doing("copy probe")?;
        let mut config = example();
        let args = ["/probe"].iter().chain(probe_args).copied().collect::<Vec<_>>();
        config["process"]["args"] = json!(args);
        let bundle = Bundle { dir, config };
        bundle.save()?;
        Ok(bundle)
    }

    /// Changes the configuration and writes it.
    pub fn with(mut self, change: impl FnOnce(&mut Value)) -> Result<Self> {
        change(&mut self.config);
        self.save()?;
        Ok(self)
    }

    /// Writes config.json.
    pub fn save(&self) -> Result {
        let text = serde_json::to_string_pretty(&self.config).doing("config.json")?;
        std::fs::write(self.path().join("config.json"), text).doing("write config.json")
    }

    /// Returns the bundle's directory.
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Returns a path below the rootfs.
    pub fn rootfs(&self, below: &str) -> PathBuf {
        self.path().join("rootfs").join(below)
    }
}

/// Returns the static program of the containers.
pub fn probe() -> PathBuf {
    beside("probe")
}

/// Returns a program of this workspace, from the directory of the calling program, or from the one
/// above if the caller is a test.
pub fn beside(name: &str) -> PathBuf {
    let exe = std::env::current_exe().unwrap_or_default();
    let candidates = exe.ancestors().skip(1).take(2).map(|dir| dir.join(name));
    candidates.filter(|path| path.exists()).last().unwrap_or_else(|| PathBuf::from(name))
}

/// Returns the configuration of `runc spec`, without a terminal and with a cgroup namespace.
pub fn example() -> Value {
    let caps = json!(["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"]);
    json!({
        "ociVersion": "1.2.0",
        "process": {
            "user": { "uid": 0, "gid": 0 },
            "args": [],
            "env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/", "TERM=xterm"],
            "cwd": "/",
            "capabilities": { "bounding": caps, "effective": caps, "permitted": caps },
            "rlimits": [{ "type": "RLIMIT_NOFILE", "hard": 1024, "soft": 1024 }],
            "noNewPrivileges": true
        },
        "root": { "path": "rootfs", "readonly": true },
        "hostname": "inside",
        "mounts": [
            { "destination": "/proc", "type": "proc", "source": "proc" },
            { "destination": "/dev", "type": "tmpfs", "source": "tmpfs",
              "options": ["nosuid", "strictatime", "mode=755", "size=65536k"] },
            { "destination": "/dev/pts", "type": "devpts", "source": "devpts",
              "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"] },
            { "destination": "/dev/shm", "type": "tmpfs", "source": "shm",
              "options": ["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"] },
            { "destination": "/dev/mqueue", "type": "mqueue", "source": "mqueue",
              "options": ["nosuid", "noexec", "nodev"] },
            { "destination": "/sys", "type": "sysfs", "source": "sysfs",
              "options": ["nosuid", "noexec", "nodev", "ro"] },
            { "destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup",
              "options": ["nosuid", "noexec", "nodev", "relatime", "ro"] }
        ],
        "linux": {
            "resources": { "devices": [{ "allow": false, "access": "rwm" }] },
            "namespaces": [
                { "type": "pid" }, { "type": "network" }, { "type": "ipc" },
                { "type": "uts" }, { "type": "mount" }, { "type": "cgroup" }
            ],
            "maskedPaths": [
                "/proc/acpi", "/proc/asound", "/proc/kcore", "/proc/keys", "/proc/latency_stats",
                "/proc/timer_list", "/proc/timer_stats", "/proc/sched_debug", "/sys/firmware", "/proc/scsi"
            ],
            "readonlyPaths": ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"]
        }
    })
}
