// SPDX-License-Identifier: Apache-2.0
//! A single limit: its conversion, and the errors and warnings about it.

use crate::config::field::{invalid, unsupported};
use crate::error::{Result, Warning};
use std::fmt::Display;

pub(super) const AT: &str = "linux.resources";

/// A limit in the form of the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Limit {
    /// No limit.
    Max,
    At(u64),
}

impl Display for Limit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Limit::Max => f.write_str("max"),
            Limit::At(value) => value.fmt(f),
        }
    }
}

/// Warns of a 0 in a field without a counterpart in cgroup v2. In cgroup v1, 0 was a limit,
/// but in the documented input of runc's `update`, 0 means "leave unchanged".
pub(super) fn no_limit<T: PartialEq + From<u8>>(field: &str, value: Option<T>, warnings: &mut Vec<Warning>) {
    if value == Some(T::from(0)) {
        warnings.push(Warning(format!("{AT}.{field}: 0 is ignored: cgroup v2 has no such setting")));
    }
}

pub(super) fn only_version_1(field: &str) -> crate::error::Error {
    unsupported(format_args!("{AT}.{field}"), "cgroup v2 has no such setting")
}

/// Converts a limit for which 0 is a limit, too.
pub(super) fn any_limit(field: &str, value: i64) -> Result<Limit> {
    match value {
        -1 => Ok(Limit::Max),
        value => u64::try_from(value).map(Limit::At).map_err(|_negative| {
            invalid(format_args!("{AT}.{field}"), format_args!("expected -1 or more, got {value}"))
        }),
    }
}

/// Converts a limit for which 0 means "not set".
pub(super) fn limit(field: &str, value: Option<i64>) -> Result<Option<Limit>> {
    value.filter(|value| *value != 0).map(|value| any_limit(field, value)).transpose()
}
