// SPDX-License-Identifier: Apache-2.0
//! `linux.seccomp` for serde, and its conversion to a `Profile`, as a runtime has to write it.
#![allow(clippy::unwrap_used, reason = "a test")]

use serde::Deserialize;

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct LinuxSeccomp {
    pub(crate) default_action: String,
    pub(crate) default_errno_ret: Option<u32>,
    #[serde(default)]
    pub(crate) architectures: Vec<String>,
    pub(crate) flags: Option<Vec<String>>,
    #[serde(default)]
    pub(crate) listener_path: String,
    #[serde(default)]
    pub(crate) listener_metadata: String,
    #[serde(default)]
    pub(crate) syscalls: Vec<LinuxSyscall>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct LinuxSyscall {
    pub(crate) names: Vec<String>,
    pub(crate) action: String,
    pub(crate) errno_ret: Option<u32>,
    #[serde(default)]
    pub(crate) args: Vec<LinuxSeccompArg>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct LinuxSeccompArg {
    pub(crate) index: u32,
    pub(crate) value: u64,
    #[serde(default)]
    pub(crate) value_two: u64,
    pub(crate) op: String,
}

impl LinuxSeccomp {
    pub(crate) fn parse(json: &str) -> LinuxSeccomp {
        serde_json::from_str(json).unwrap()
    }

    pub(crate) fn profile(&self) -> seccomp::Profile<'_> {
        fn strs(strings: &[String]) -> Vec<&str> {
            strings.iter().map(String::as_str).collect()
        }
        seccomp::Profile {
            default_action: &self.default_action,
            default_errno_ret: self.default_errno_ret,
            architectures: strs(&self.architectures),
            flags: self.flags.as_deref().map(strs),
            listener_path: &self.listener_path,
            listener_metadata: &self.listener_metadata,
            syscalls: self
                .syscalls
                .iter()
                .map(|rule| seccomp::SyscallRule {
                    names: strs(&rule.names),
                    action: &rule.action,
                    errno_ret: rule.errno_ret,
                    args: rule
                        .args
                        .iter()
                        .map(|arg| seccomp::Arg {
                            index: arg.index,
                            value: arg.value,
                            value_two: arg.value_two,
                            op: &arg.op,
                        })
                        .collect(),
                })
                .collect(),
        }
    }
}
