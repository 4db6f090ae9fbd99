// SPDX-License-Identifier: Apache-2.0
//! Bundles, and plans of them.

use conformance::{Bundle, Runtime};
use serde_json::{Value, json};

/// The id of each container.
pub(crate) const ID: &str = "dry";

pub(crate) fn runtime() -> Runtime {
    Runtime::new(&conformance::bundle::beside("runtime-cli")).unwrap()
}

/// The plan that `run --dry-run --format json` prints.
pub(crate) struct Plan(pub(crate) Value);

impl Plan {
    pub(crate) fn of_run(runtime: &Runtime, bundle: &Bundle) -> Self {
        Self::of(runtime, bundle, &["run", "--dry-run", "--format", "json", ID])
    }

    pub(crate) fn of(runtime: &Runtime, bundle: &Bundle, args: &[&str]) -> Self {
        let output = runtime.run_in(bundle, args).unwrap().ok().unwrap();
        Plan(serde_json::from_str(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output}")))
    }

    pub(crate) fn steps(&self) -> &[Value] {
        self.0["steps"].as_array().unwrap()
    }

    /// Returns the details of the steps with this name.
    pub(crate) fn details<'a>(&'a self, name: &'a str, kind: &'a str) -> impl Iterator<Item = &'a Value> {
        let named = self.steps().iter().filter(move |step| step["name"] == name);
        named.map(move |step| &step["details"][kind]).filter(|details| !details.is_null())
    }

    /// Returns the details of the only step with this name.
    pub(crate) fn only<'a>(&'a self, name: &'a str, kind: &'a str) -> &'a Value {
        let all: Vec<_> = self.details(name, kind).collect();
        assert_eq!(all.len(), 1, "{name}: {all:?}");
        all[0]
    }
}

/// Returns the texts of a list.
pub(crate) fn texts(list: &Value) -> Vec<&str> {
    list.as_array().unwrap().iter().map(|text| text.as_str().unwrap()).collect()
}

/// Makes a bundle like those of Docker: its mounts with three files from the host, capabilities, masks,
/// a filter, a hook for the network, and a user.
pub(crate) fn docker(args: &[&str]) -> Bundle {
    let bundle = Bundle::new(args).unwrap();
    for name in ["hostname", "hosts", "resolv.conf"] {
        std::fs::write(bundle.path().join(name), "\n").unwrap();
        std::fs::write(bundle.rootfs("etc").join(name), "").unwrap();
    }
    for dir in ["volume", "rootfs/volume"] {
        std::fs::create_dir(bundle.path().join(dir)).unwrap();
    }
    let source = |name: &str| bundle.path().join(name).display().to_string();
    let file = |name: &str| {
        json!({ "destination": format!("/etc/{name}"), "type": "bind", "source": source(name),
                "options": ["rbind", "rprivate"] })
    };
    let mounts = json!([
        { "destination": "/proc", "type": "proc", "source": "proc", "options": ["nosuid", "noexec", "nodev"] },
        { "destination": "/dev", "type": "tmpfs", "source": "tmpfs",
          "options": ["nosuid", "strictatime", "mode=755", "size=65536k"] },
        { "destination": "/dev/pts", "type": "devpts", "source": "devpts",
          "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"] },
        { "destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["nosuid", "noexec", "nodev", "ro"] },
        { "destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup",
          "options": ["ro", "nosuid", "noexec", "nodev"] },
        { "destination": "/dev/mqueue", "type": "mqueue", "source": "mqueue", "options": ["nosuid", "noexec", "nodev"] },
        { "destination": "/dev/shm", "type": "tmpfs", "source": "shm",
          "options": ["nosuid", "noexec", "nodev", "mode=1777", "size=67108864"] },
        file("resolv.conf"), file("hostname"), file("hosts"),
        { "destination": "/volume", "type": "bind", "source": source("volume"), "options": ["rbind", "ro", "rslave"] },
    ]);
    let capabilities = json!([
        "CAP_CHOWN",
        "CAP_DAC_OVERRIDE",
        "CAP_FSETID",
        "CAP_FOWNER",
        "CAP_MKNOD",
        "CAP_NET_RAW",
        "CAP_SETGID",
        "CAP_SETUID",
        "CAP_SETFCAP",
        "CAP_SETPCAP",
        "CAP_NET_BIND_SERVICE",
        "CAP_SYS_CHROOT",
        "CAP_KILL",
        "CAP_AUDIT_WRITE"
    ]);
    bundle
        .with(|config| {
            config["mounts"] = mounts;
            config["root"]["readonly"] = json!(false);
            let process = &mut config["process"];
            process["user"] = json!({ "uid": 1000, "gid": 1000, "additionalGids": [27, 1000], "umask": 18 });
            process["capabilities"] = json!({ "bounding": capabilities });
            process["noNewPrivileges"] = json!(false);
            process["oomScoreAdj"] = json!(500);
            process["rlimits"] = json!([
                { "type": "RLIMIT_CORE", "hard": 0, "soft": 0 },
                { "type": "RLIMIT_NOFILE", "hard": 2000, "soft": 1500 }
            ]);
            let linux = &mut config["linux"];
            linux["resources"]["unified"] = json!({ "cgroup.max.depth": "5", "cgroup.max.descendants": "7" });
            linux["sysctl"] =
                json!({ "net.ipv4.ip_unprivileged_port_start": "0", "net.ipv4.ping_group_range": "0 1" });
            linux["devices"] =
                json!([{ "path": "/dev/fuse", "type": "c", "major": 10, "minor": 229, "fileMode": 438 }]);
            linux["seccomp"] = json!({
                "defaultAction": "SCMP_ACT_ALLOW",
                "syscalls": [{ "names": ["acct", "swapon"], "action": "SCMP_ACT_ERRNO" }]
            });
            config["hooks"] =
                json!({ "prestart": [{ "path": "/bin/true", "args": ["true", "network"], "timeout": 9 }] });
        })
        .unwrap()
}
