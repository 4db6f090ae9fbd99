// SPDX-License-Identifier: Apache-2.0
//! The view of a process in a container: of itself and of its environment.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The report that `probe report` prints as JSON.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Its process id.
    pub pid: i32,
    /// The process id of its parent.
    pub ppid: i32,
    /// The id of its session.
    pub sid: i32,
    /// Real, effective, saved and file system user id.
    pub uids: Vec<u32>,
    /// Real, effective, saved and file system group id.
    pub gids: Vec<u32>,
    /// Supplementary groups.
    pub groups: Vec<u32>,
    /// The capability sets of /proc/self/status: `CapBnd` and so on, as hexadecimal numbers.
    pub capabilities: BTreeMap<String, String>,
    /// Other fields of /proc/self/status (`NoNewPrivs`, `Seccomp`, `SigIgn`, ...).
    pub status: BTreeMap<String, String>,
    /// The umask.
    pub umask: u32,
    /// The working directory.
    pub cwd: String,
    /// The program and its arguments.
    pub args: Vec<String>,
    /// The environment, in its order.
    pub env: Vec<String>,
    /// The host name.
    pub hostname: String,
    /// The machine, from uname(2).
    pub machine: String,
    /// The NIS domain name.
    pub domainname: String,
    /// Open descriptors and their links.
    pub fds: BTreeMap<i32, String>,
    /// Soft and hard limits by name.
    pub rlimits: BTreeMap<String, (u64, u64)>,
    /// The mounts, in the order of mountinfo.
    pub mounts: Vec<Mount>,
    /// The entries of /dev.
    pub dev: BTreeMap<String, Node>,
    /// Network interfaces: true if they are up.
    pub interfaces: BTreeMap<String, bool>,
    /// The namespaces, as /proc/self/ns has them.
    pub namespaces: BTreeMap<String, String>,
    /// The line of /proc/self/cgroup for cgroup2.
    pub cgroup: String,
    /// /proc/self/oom_score_adj.
    pub oom_score_adj: i32,
    /// The session keyring of /proc/keys, if it can be read.
    pub keyring: String,
    /// Processes of the pid namespace.
    pub processes: Vec<i32>,
}

/// One line of /proc/self/mountinfo.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Mount {
    /// The mount point.
    pub target: String,
    /// The source, by its name.
    pub source: String,
    /// The type of the file system.
    pub fstype: String,
    /// Options of the mount.
    pub options: Vec<String>,
    /// Options of the file system.
    pub super_options: Vec<String>,
    /// `shared:N`, `master:N`, ...
    pub propagation: Vec<String>,
}

/// The view of a hook, that `probe hook` writes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct HookReport {
    /// The name that the probe was given.
    pub name: String,
    /// The state, from its standard input.
    pub state: serde_json::Value,
    /// The program of the process in the state, as /proc shows it to the hook.
    pub exe: String,
    /// The environment, in its order.
    pub env: Vec<String>,
    /// The namespaces, as /proc/self/ns has them.
    pub namespaces: BTreeMap<String, String>,
    /// The mounts, in the order of mountinfo.
    pub mounts: Vec<Mount>,
}

/// A file of the container.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Node {
    /// `char 1:3`, `block 8:0`, `link TARGET`, `dir`, `file`, ...
    pub kind: String,
    /// Permission bits.
    pub mode: u32,
    /// Owner and group.
    pub owner: (u32, u32),
}

impl Report {
    /// Returns the topmost mount at `target`.
    pub fn mount(&self, target: &str) -> Option<&Mount> {
        self.mounts.iter().rev().find(|m| m.target == target)
    }

    /// Returns the value of an environment variable.
    pub fn variable(&self, name: &str) -> Option<&str> {
        self.env.iter().find_map(|entry| entry.strip_prefix(name)?.strip_prefix('='))
    }
}
