// SPDX-License-Identifier: Apache-2.0
//! `process` of config.json, and the document of `exec --process`.

use super::absent::{is_false, is_zero, null_default};
use serde::de::{Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use std::fmt;

/// The program to run, and its user (config.md, "Process").
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Process {
    /// True if a pseudoterminal is to be the program's standard input, output and error.
    #[serde(skip_serializing_if = "is_false", deserialize_with = "null_default")]
    pub terminal: bool,
    /// The terminal's initial size.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub console_size: Option<ConsoleSize>,
    /// The ids that the program runs with.
    #[serde(deserialize_with = "null_default")]
    pub user: User,
    /// The program and its arguments.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_default")]
    pub args: Vec<String>,
    /// The program's environment, as `NAME=value`.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_default")]
    pub env: Vec<String>,
    /// The absolute path of the working directory.
    pub cwd: String,
    /// The capability sets.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub capabilities: Option<Capabilities>,
    /// The resource limits.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_default")]
    pub rlimits: Vec<Rlimit>,
    /// True if execve must not give the program more privileges (PR_SET_NO_NEW_PRIVS).
    #[serde(skip_serializing_if = "is_false", deserialize_with = "null_default")]
    pub no_new_privileges: bool,
    /// The AppArmor profile.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub apparmor_profile: String,
    /// The adjustment of the OOM killer's score, -1000 to 1000 (proc_pid_oom_score_adj(5)).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oom_score_adj: Option<i32>,
    /// The CPU scheduling policy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scheduler: Option<Scheduler>,
    /// The SELinux label.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub selinux_label: String,
    /// The I/O scheduling class and priority.
    #[serde(rename = "ioPriority", skip_serializing_if = "Option::is_none")]
    pub io_priority: Option<IoPriority>,
    /// The CPUs of an exec'd process.
    #[serde(rename = "execCPUAffinity", skip_serializing_if = "Option::is_none")]
    pub exec_cpu_affinity: Option<CpuAffinity>,
}

/// The size of a terminal in characters.
///
/// Without a terminal, the size must be ignored whatever its value (config.md, "Process").
/// So a value of a wrong type is not an error here, but becomes [`ConsoleSize::INVALID`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ConsoleSize {
    /// Rows.
    pub height: u64,
    /// Columns.
    pub width: u64,
}

impl ConsoleSize {
    /// The value of a number that is missing or of a wrong type. No terminal is that large.
    pub const INVALID: u64 = u64::MAX;
}

impl<'de> Deserialize<'de> for ConsoleSize {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match deserializer.deserialize_any(AnyVisitor)? {
            Any::Size { height, width } => Ok(ConsoleSize { height, width }),
            Any::Number(_) | Any::Other => {
                Ok(ConsoleSize { height: ConsoleSize::INVALID, width: ConsoleSize::INVALID })
            }
        }
    }
}

/// Any JSON value: a number, an object with a height and a width, or something else.
enum Any {
    Number(u64),
    Size { height: u64, width: u64 },
    Other,
}

impl<'de> Deserialize<'de> for Any {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyVisitor)
    }
}

struct AnyVisitor;

impl<'de> Visitor<'de> for AnyVisitor {
    type Value = Any;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Any, E> {
        Ok(Any::Number(number))
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<Any, E> {
        Ok(Any::Other)
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Any, E> {
        Ok(Any::Other)
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Any, E> {
        Ok(Any::Other)
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<Any, E> {
        Ok(Any::Other)
    }

    fn visit_unit<E: Error>(self) -> Result<Any, E> {
        Ok(Any::Other)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Any, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Any::Other)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Any, A::Error> {
        let (mut height, mut width) = (ConsoleSize::INVALID, ConsoleSize::INVALID);
        while let Some(name) = object.next_key::<String>()? {
            let number = match name.as_str() {
                "height" => &mut height,
                "width" => &mut width,
                _ => {
                    object.next_value::<IgnoredAny>()?;
                    continue;
                }
            };
            if let Any::Number(value) = object.next_value()? {
                *number = value;
            }
        }
        Ok(Any::Size { height, width })
    }
}

/// The ids of a process, as seen inside the container.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct User {
    /// The user id. It is REQUIRED, but runc and crun use root if it is missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uid: Option<u32>,
    /// The group id, REQUIRED in the same way.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gid: Option<u32>,
    /// The file mode creation mask (umask(2)).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub umask: Option<u32>,
    /// The supplementary groups.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_default")]
    pub additional_gids: Vec<u32>,
}

/// The five capability sets, by name (`CAP_KILL`): capabilities(7).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Capabilities {
    /// The bounding set: the limit on the capabilities that execve(2) grants.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_default")]
    pub bounding: Vec<String>,
    /// The effective set: the capabilities in force.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_default")]
    pub effective: Vec<String>,
    /// The inheritable set: kept across execve(2), and permitted afterwards if the file's
    /// inheritable set has it, too.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_default")]
    pub inheritable: Vec<String>,
    /// The permitted set: the limit on the effective set.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_default")]
    pub permitted: Vec<String>,
    /// The ambient set: kept across execve(2) of a program without file capabilities.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_default")]
    pub ambient: Vec<String>,
}

/// One resource limit of getrlimit(2).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rlimit {
    /// The resource: `RLIMIT_NOFILE`, ...
    #[serde(rename = "type")]
    pub kind: String,
    /// The hard limit, the ceiling of the soft limit, in the resource's unit: bytes, seconds, ...
    pub hard: u64,
    /// The soft limit, which is in force, in the same unit.
    pub soft: u64,
}

/// The CPU scheduling attributes of sched_setattr(2).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Scheduler {
    /// The policy: `SCHED_OTHER`, `SCHED_FIFO`, ...
    pub policy: String,
    /// The nice value, -20 to 19, for the policies that have one.
    #[serde(skip_serializing_if = "is_zero", deserialize_with = "null_default")]
    pub nice: i32,
    /// The static priority, 1 to 99, for SCHED_FIFO and SCHED_RR.
    #[serde(skip_serializing_if = "is_zero", deserialize_with = "null_default")]
    pub priority: i32,
    /// The flags: `SCHED_FLAG_RESET_ON_FORK`, ...
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_default")]
    pub flags: Vec<String>,
    /// The runtime of SCHED_DEADLINE in nanoseconds.
    #[serde(skip_serializing_if = "is_zero", deserialize_with = "null_default")]
    pub runtime: u64,
    /// The deadline of SCHED_DEADLINE in nanoseconds.
    #[serde(skip_serializing_if = "is_zero", deserialize_with = "null_default")]
    pub deadline: u64,
    /// The period of SCHED_DEADLINE in nanoseconds.
    #[serde(skip_serializing_if = "is_zero", deserialize_with = "null_default")]
    pub period: u64,
}

/// The I/O scheduling class and priority of ioprio_set(2).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct IoPriority {
    /// `IOPRIO_CLASS_RT`, `IOPRIO_CLASS_BE` or `IOPRIO_CLASS_IDLE`.
    pub class: String,
    /// The priority within the class, 0 (highest) to 7. It is REQUIRED, but `IOPRIO_CLASS_IDLE` has
    /// no priorities: runc and crun do without it there, and so does this crate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority: Option<i32>,
}

/// The CPU lists (`0-3,7`) of an exec'd process.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct CpuAffinity {
    /// The CPUs before the process moves to the container's cgroup.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub initial: String,
    /// The CPUs after the process has moved to the container's cgroup.
    #[serde(rename = "final", skip_serializing_if = "String::is_empty")]
    pub last: String,
}
