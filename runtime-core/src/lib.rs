// SPDX-License-Identifier: Apache-2.0
//! A low-level OCI container runtime for Linux, as a library for Rust programs.
//! `runtime-cli` is the command line of this library.
//!
//! ```no_run
//! use runtime_core::{ContainerId, Runtime};
//!
//! # fn main() -> runtime_core::Result<()> {
//! let runtime = Runtime::new("/run/my-program");
//! let id = ContainerId::new("web-1")?;
//!
//! let init = runtime.builder(id, "/path/to/bundle").run()?;
//! let status = init.wait()?; // or poll its pidfd, from any event loop
//! init.delete()?;
//! # Ok(())
//! # }
//! ```
//!
//! # Effects on the calling process
//!
//! The library never changes the working directory, a namespace, `oom_score_adj` or the
//! dumpable flag of the calling process, not even temporarily. Only the calling thread is
//! affected: its signals are blocked during the clone, and it is bound to
//! `execCPUAffinity.initial`. The library starts no threads (unless [`ContainerBuilder::parallel`]
//! allows one), has no global state and logs nothing. Any thread may call it, also in a
//! program with hundreds of threads.
//!
//! The init of a container is a child of the calling process, which has to wait for it
//! (see [`Process`]). Most containers need root, or a user namespace in its place.
//!
//! # The steps of `create`
//!
//! 1. `ops/create.rs` opens the bundle and reads config.json into a [`spec::Spec`].
//! 2. `config/` validates the configuration; each error has its JSON path.
//! 3. `state/` reserves the id and records what will be made.
//! 4. `cgroup/` makes the cgroup.
//! 5. `prepare/` opens the sources of mounts, makes C strings and compiles the seccomp filter.
//!    All allocation and all validation is done by now.
//! 6. `parent/` clones the child into its cgroup and its namespaces.
//! 7. The child, in `child/`, mounts, pivots and drops its privileges. It then reports that it
//!    is ready, or which step failed with which error number.
//! 8. The parent completes the record. The child waits for `start`.
//!
//! The repository's `docs/architecture.md` has the picture.

#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod boundary;
mod byte_enum;
mod cgroup;
mod child;
mod config;
mod error;
#[cfg(feature = "fuzzing")]
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
pub mod spec;
mod state;
mod stdio;
mod terminal;
pub mod trace;
mod userns;
mod values;
mod watch;

pub use cgroup::{is_unified, stats};
pub use error::{Error, ErrorKind, OsError, Result, Warning};
pub use id::ContainerId;
pub use ops::{
    CgroupManager, Container, ContainerBuilder, DeleteOptions, Event, Events, ExecBuilder, HookResult,
    Listed, Output, Pending, Process, Runtime, State, check_preserved_fds, features,
};
pub use parent::self_exe::{Protection, protect_program, protection};
pub use runtime_sys::process::ExitStatus;
pub use stdio::Stdio;
#[cfg(feature = "tokio")]
pub use terminal::AsyncTerminal;
pub use terminal::Terminal;
pub use userns::is_initial_user_namespace;
