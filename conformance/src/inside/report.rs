// SPDX-License-Identifier: Apache-2.0
//! What a process sees of itself and of the container around it.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The report that `probe report` prints as JSON.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Its process id.
    pub pid: i32,
    /// Its parent's.
    pub ppid: i32,
    /// Its session.
    pub sid: i32,
    /// Real, effective, saved and file system user id.
    pub uids: Vec<u32>,
    /// The same of groups.
    pub gids: Vec<u32>,
    /// Supplementary groups.
    pub groups: Vec<u32>,
    /// The capability sets of /proc/self/status: `CapBnd` to a hexadecimal number.
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
    /// Host and domain name.
    pub hostname: String,
    /// The machine that uname(2) names.
    pub machine: String,
    /// NIS domain name.
    pub domainname: String,
    /// Open descriptors and what they lead to.
    pub fds: BTreeMap<i32, String>,
    /// Soft and hard limits by name.
    pub rlimits: BTreeMap<String, (u64, u64)>,
    /// The mounts, in the order of mountinfo.
    pub mounts: Vec<Mount>,
    /// What is in /dev.
    pub dev: BTreeMap<String, Node>,
    /// Network interfaces, and whether they are up.
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
    /// Where.
    pub target: String,
    /// What is mounted, by name.
    pub source: String,
    /// Of what type.
    pub fstype: String,
    /// Properties of the mount.
    pub options: Vec<String>,
    /// Properties of the file system.
    pub super_options: Vec<String>,
    /// `shared:N`, `master:N`, ...
    pub propagation: Vec<String>,
}

/// What a hook sees, that `probe hook` writes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct HookReport {
    /// The name that it was given.
    pub name: String,
    /// Its standard input.
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
    /// The mount that is on top at `target`.
    pub fn mount(&self, target: &str) -> Option<&Mount> {
        self.mounts.iter().rev().find(|m| m.target == target)
    }

    /// The value of an environment variable.
    pub fn variable(&self, name: &str) -> Option<&str> {
        self.env.iter().find_map(|entry| entry.strip_prefix(name)?.strip_prefix('='))
    }
}
