// SPDX-License-Identifier: Apache-2.0
//! A low-level OCI container runtime for Linux, as a library.

mod cgroup;
mod config;
pub mod console;
mod error;
#[doc(hidden)]
pub mod for_fuzzing;
mod id;
mod init;
mod launch;
mod ops;
mod path;
mod plan;
pub mod spec;
mod state;
mod sys;

pub use cgroup::is_unified;
pub use error::{Error, ErrorKind, OsError, Result, Warning};
pub use id::ContainerId;
pub use launch::self_exe::{Protection, protect_program, protection};
pub use ops::{Container, Create, Created, Exec, Held, Listed, Process, Runtime, State, check_preserved_fds};
pub use sys::process::ExitStatus;
