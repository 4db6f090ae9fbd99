// SPDX-License-Identifier: Apache-2.0
//! config.json's `process`, and the document that `exec --process` takes.

use super::absent::{is_false, is_zero, null_default};
use serde::de::{Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use std::fmt;

/// The program to run, and as whom (config.md, "Process").
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Process {
    /// True if a pseudoterminal is to be its standard input and output.
    #[serde(skip_serializing_if = "is_false", deserialize_with = "null_default")]
    pub terminal: bool,
    /// The terminal's first size.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub console_size: Option<ConsoleSize>,
    /// As whom.
    #[serde(deserialize_with = "null_default")]
    pub user: User,
    /// The program and its arguments.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_default")]
    pub args: Vec<String>,
    /// Its environment, `NAME=value`.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_default")]
    pub env: Vec<String>,
    /// Its working directory, absolute.
    pub cwd: String,
    /// What it may do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub capabilities: Option<Capabilities>,
    /// Its resource limits.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_default")]
    pub rlimits: Vec<Rlimit>,
    /// True if execve must not give it more rights.
    #[serde(skip_serializing_if = "is_false", deserialize_with = "null_default")]
    pub no_new_privileges: bool,
    /// Its AppArmor profile.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub apparmor_profile: String,
    /// How readily the kernel kills it when memory runs out, -1000 to 1000.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oom_score_adj: Option<i32>,
    /// Its CPU scheduling.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scheduler: Option<Scheduler>,
    /// Its SELinux label.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub selinux_label: String,
    /// Its I/O scheduling.
    #[serde(rename = "ioPriority", skip_serializing_if = "Option::is_none")]
    pub io_priority: Option<IoPriority>,
    /// On which CPUs an exec'd process runs.
    #[serde(rename = "execCPUAffinity", skip_serializing_if = "Option::is_none")]
    pub exec_cpu_affinity: Option<CpuAffinity>,
}

/// The size of a terminal in characters.
///
/// Where there is no terminal it must be ignored, whatever it is (config.md, "Process"). So
/// a value of a wrong type is not yet an error, but [`ConsoleSize::INVALID`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ConsoleSize {
    /// Rows.
    pub height: u64,
    /// Columns.
    pub width: u64,
}

impl ConsoleSize {
    /// A number that is missing, or of a wrong type. No terminal is as large.
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

/// Any value: a number, an object that may have two of them, or what is neither.
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

/// Ids as seen inside the container.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct User {
    /// User id. It is REQUIRED, but the peers take root for one that is missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uid: Option<u32>,
    /// Group id, in the same way.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gid: Option<u32>,
    /// Which permission bits new files do not get.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub umask: Option<u32>,
    /// Supplementary groups.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_default")]
    pub additional_gids: Vec<u32>,
}

/// The five capability sets, by name (`CAP_KILL`).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Capabilities {
    /// What it can ever get.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_default")]
    pub bounding: Vec<String>,
    /// What is in force.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_default")]
    pub effective: Vec<String>,
    /// What passes execve together with the file's inheritable set.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_default")]
    pub inheritable: Vec<String>,
    /// What it may put in force.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_default")]
    pub permitted: Vec<String>,
    /// What passes execve of a program without file capabilities.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_default")]
    pub ambient: Vec<String>,
}

/// One resource limit of getrlimit(2).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rlimit {
    /// `RLIMIT_NOFILE`, ...
    #[serde(rename = "type")]
    pub kind: String,
    /// The ceiling of the soft limit.
    pub hard: u64,
    /// The limit in force.
    pub soft: u64,
}

/// CPU scheduling as of sched_setattr(2).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Scheduler {
    /// `SCHED_OTHER`, `SCHED_FIFO`, ...
    pub policy: String,
    /// Niceness, for the policies that have it.
    #[serde(skip_serializing_if = "is_zero", deserialize_with = "null_default")]
    pub nice: i32,
    /// Static priority, for SCHED_FIFO and SCHED_RR.
    #[serde(skip_serializing_if = "is_zero", deserialize_with = "null_default")]
    pub priority: i32,
    /// `SCHED_FLAG_RESET_ON_FORK`, ...
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_default")]
    pub flags: Vec<String>,
    /// SCHED_DEADLINE: budget in nanoseconds.
    #[serde(skip_serializing_if = "is_zero", deserialize_with = "null_default")]
    pub runtime: u64,
    /// SCHED_DEADLINE: deadline in nanoseconds.
    #[serde(skip_serializing_if = "is_zero", deserialize_with = "null_default")]
    pub deadline: u64,
    /// SCHED_DEADLINE: period in nanoseconds.
    #[serde(skip_serializing_if = "is_zero", deserialize_with = "null_default")]
    pub period: u64,
}

/// I/O scheduling as of ioprio_set(2).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct IoPriority {
    /// `IOPRIO_CLASS_RT`, `IOPRIO_CLASS_BE` or `IOPRIO_CLASS_IDLE`.
    pub class: String,
    /// 0 (highest) to 7.
    pub priority: i32,
}

/// CPU lists (`0-3,7`) for an exec'd process.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct CpuAffinity {
    /// Before it moves to the container's cgroup.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub initial: String,
    /// After that.
    #[serde(rename = "final", skip_serializing_if = "String::is_empty")]
    pub last: String,
}
