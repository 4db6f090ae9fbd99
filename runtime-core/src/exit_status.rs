// SPDX-License-Identifier: Apache-2.0
//! The way in which a process has ended.

use runtime_sys::{process, signal};
use std::fmt;

/// The exit status of a process of a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitStatus {
    /// The process has called exit(2) with this status, from 0 to 255.
    Exited(i32),
    /// This signal has ended the process. See [`Process::oom_killed`](crate::Process::oom_killed) for
    /// SIGKILL.
    Signaled(i32),
}

impl ExitStatus {
    pub(crate) fn new(status: process::ExitStatus) -> Self {
        match status {
            process::ExitStatus::Exited(status) => ExitStatus::Exited(status),
            process::ExitStatus::Signaled(signal) => ExitStatus::Signaled(signal),
        }
    }

    /// Returns the status as a shell does, which is also the exit status of `runc run`: the status of
    /// exit(2), or 128 + N for signal N.
    #[must_use]
    pub fn code(self) -> i32 {
        match self {
            ExitStatus::Exited(status) => status,
            ExitStatus::Signaled(signal) => 128 + signal,
        }
    }
}

/// `exit status 1` or `signal: killed`.
impl fmt::Display for ExitStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            ExitStatus::Exited(status) => write!(f, "exit status {status}"),
            ExitStatus::Signaled(signal) => write!(f, "signal: {}", signal::describe(signal)),
        }
    }
}
