// SPDX-License-Identifier: Apache-2.0
//! A low-level OCI container runtime for Linux, as a library: what
//! `runtime-cli` does, for Rust programs.
//!
//! ```no_run
//! use runtime_core::{ContainerId, Runtime};
//!
//! # fn main() -> runtime_core::Result<()> {
//! let runtime = Runtime::new("/run/my-program");
//! let id = ContainerId::new("web-1")?;
//!
//! let created = runtime.create(id.clone(), "/path/to/bundle").create()?;
//! let container = runtime.container(id);
//! container.start()?;
//! let status = created.process.wait()?; // or poll its pidfd, from any event loop
//! container.delete(false)?;
//! # Ok(())
//! # }
//! ```
//!
//! # What it does to its caller
//!
//! Nothing. No working directory, namespace, `oom_score_adj` or dumpable flag of the
//! calling process is changed, not even for a moment (the calling thread alone blocks
//! its signals while it clones, and is bound to `execCPUAffinity.initial`); it has no
//! threads of its own (unless [`Create::parallel`] allows one), no global state, and
//! logs nothing. Any thread may call
//! it, also in a program with hundreds of them. Two things are the caller's: the
//! first process of a container is a child of the calling process and has to be
//! waited for (see [`Process`]), and root, or what stands in for it, is needed for
//! most containers.
//!
//! # One `create`, in prose
//!
//! `ops/create.rs` opens the bundle and reads config.json into a [`spec::Spec`].
//! `config/` checks it, every error with its JSON path. `state/` reserves the id and
//! writes down what will be made. `cgroup/` makes the cgroup. `prepare/` opens the
//! sources of mounts, makes C strings, compiles the filter of system calls: what can
//! fail for want of memory or sense has failed by now. `parent/` clones the child,
//! in its cgroup and its namespaces. The child, `child/`, mounts, pivots, drops what it
//! must not keep, and says that it is ready, or which step failed and with
//! which error number. Then the record is completed, and the program waits for
//! `start`.
//!
//! The repository's `docs/architecture.md` has the picture.

#![forbid(unsafe_code)]

mod boundary;
mod byte_enum;
mod cgroup;
mod child;
mod config;
pub mod console;
mod error;
#[doc(hidden)]
pub mod for_fuzzing;
mod hook;
mod id;
mod marks;
mod net;
mod ops;
mod parent;
mod path;
mod prepare;
mod resctrl;
mod signals;
pub mod spec;
mod state;
pub mod trace;
mod userns;
mod values;
mod watch;

pub use cgroup::{is_unified, stats};
pub use error::{Error, ErrorKind, OsError, Result, Warning};
pub use id::ContainerId;
pub use ops::{
    Container, Create, Created, Event, Events, Exec, Held, Listed, Process, Runtime, State,
    check_preserved_fds, features,
};
pub use parent::self_exe::{Protection, protect_program, protection};
pub use runtime_sys::process::ExitStatus;
pub use runtime_sys::signal::stop_ignoring_children;
pub use signals::Signals;
pub use userns::is_initial_user_namespace;
