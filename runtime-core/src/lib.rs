// SPDX-License-Identifier: Apache-2.0
//! A low-level OCI container runtime for Linux, as a library for Rust programs.
//! `runtime-cli` is the command line of this library.
//!
//! ```
//! use runtime_core::spec::{Root, Spec};
//! use runtime_core::{ContainerId, Runtime, Stdio};
//!
//! # use std::os::unix::fs::MetadataExt;
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # // Users without rights: see the example `rootless`.
//! # if std::fs::metadata("/proc/self")?.uid() != 0 { return Ok(()) }
//! // The configuration that `runc spec` writes, with another program. The root file system is
//! // the host's here, read-only.
//! let mut spec = Spec::example(runtime_core::is_unified());
//! spec.root = Some(Root { path: "/".into(), readonly: true });
//! if let Some(process) = &mut spec.process {
//!     process.terminal = false;
//!     process.args = vec!["/bin/echo".into(), "hello".into()];
//! }
//!
//! let runtime = Runtime::new("/run/runtime-example");
//! let id = ContainerId::new(&format!("front-page-{}", std::process::id()))?;
//! let mut init = runtime.builder(id, "/").spec(spec).stdout(Stdio::Piped).run()?;
//! let output = init.wait_with_output(1 << 20)?;
//! init.delete()?;
//! assert_eq!(output.stdout, b"hello\n");
//! # Ok(())
//! # }
//! ```
//!
//! # Where to begin
//!
//! A [`Runtime`] is a directory with the state of containers. [`Runtime::builder`] makes a new
//! container, [`Runtime::container`] opens an existing one, [`Runtime::list`] finds all.
//!
//! | task | how | example |
//! |---|---|---|
//! | run and wait | [`ContainerBuilder::run`], [`Process::wait`] | `run` |
//! | wait for a container of another program | [`Container::wait`] | |
//! | collect output | [`Stdio::Piped`], [`Process::wait_with_output`] | `output` |
//! | create now, start later | [`ContainerBuilder::create`], [`Container::start`] | |
//! | execute one more process | [`Container::exec`], [`ExecBuilder::output`] | `exec_server` |
//! | in an asynchronous program | the feature `tokio`: `run_async`, `wait_async`, ...; see below | `exec_server` |
//! | from many threads | every method; see below | `pool` |
//! | a terminal | [`ContainerBuilder::terminal`], [`Terminal`] | `terminal` |
//! | limits, and kills by the OOM killer | `linux.resources`, [`Process::oom_killed`], [`Container::events`] | `memory_limit` |
//! | hooks that are functions | [`ContainerBuilder::create_runtime_hook`] | `hooks` |
//! | a root file system of overlays and other mounts | [`ContainerBuilder::rootfs_mounts`] | |
//! | from a `Spec` of oci-spec | the feature `oci-spec`: `TryFrom` of [`spec::Spec`] | `oci_spec` |
//! | suspend into files, and resume | [`Container::checkpoint`], [`Runtime::restore`]: needs CRIU | |
//! | find out what a host can do | [`Runtime::check`], [`Runtime::check_bundle`] | |
//! | show the steps of a creation, without taking them | [`ContainerBuilder::plan_create`], [`dry_run`] | |
//! | without rights | [`spec::Spec::into_rootless`], [`protect_program`] | `rootless` |
//!
//! The examples are in the repository, in `runtime-core/examples/`.
//!
//! # Kernel
//!
//! Linux 5.14 with cgroup v2. An item that needs a newer kernel says so. The repository's
//! `docs/kernel-features.md` has the list.
//!
//! # Effects on the calling process
//!
//! The library never changes the working directory, a namespace, `oom_score_adj` or the
//! dumpable flag of the calling process, not even temporarily. Only the calling thread is
//! affected: its signals are blocked during the clone, and it is bound to
//! `execCPUAffinity.initial`. The library starts no threads (unless [`ContainerBuilder::parallel`]
//! allows one), has no global state and logs nothing. Any thread may call it, also in a
//! program with hundreds of threads. ([`protect_program`] is the exception to all of this, and the
//! [asynchronous forms](#in-an-asynchronous-program) keep threads.)
//!
//! The init of a container is a child of the calling process, which has to wait for it
//! (see [`Process`]). When the calling thread ends, the kernel sends a process that it has made the
//! parent-death signal, if the process wants one (PR_SET_PDEATHSIG in
//! [prctl(2)](https://man7.org/linux/man-pages/man2/PR_SET_PDEATHSIG.2const.html)). Most containers
//! need root, or a user namespace in its place.
//!
//! # How long a call blocks
//!
//! | call | blocks |
//! |---|---|
//! | [`run`](ContainerBuilder::run), [`create`](ContainerBuilder::create), [`prepare`](ContainerBuilder::prepare), [`spawn`](ExecBuilder::spawn), [`Pending::start`] | for milliseconds; for as long as hooks run; up to 10 s for the peer of a socket, up to 30 s for systemd. For ever if another process of the container stops the new one. [`cancel`](ContainerBuilder::cancel) ends it, but for the poststop hooks of a creation that is undone. |
//! | [`Container::start`] | until another operation on the container ends; for as long as startContainer and poststart hooks run |
//! | [`Process::wait`], [`Container::wait`], [`Process::wait_with_output`], [`Events`] | for as long as the process runs, until the next event |
//! | [`ExecBuilder::output`] | for as long as the process runs; [`cancel`](ExecBuilder::cancel) ends it |
//! | [`Container::kill`] | up to 20 ms after SIGKILL |
//! | [`Container::delete`], [`Process::delete`] | up to 10 s for another operation on the container to end, up to 10 s for the init to end; for as long as poststop hooks run |
//! | [`Container::pause`] | until another operation on the container ends; up to 10 s, until all processes are frozen |
//! | [`CheckpointBuilder::dump`], [`RestoreBuilder::restore`] | for as long as CRIU takes to write or read the memory; for as long as hooks run. [`cancel`](RestoreBuilder::cancel) ends it |
//! | [`Container::resume`] | until another operation on the container ends |
//! | [`Container::update`] | until another operation on the container ends; up to 30 s for systemd, if it made the cgroup |
//! | [`state`](Container::state), [`pids`](Container::pids), [`stats`](Container::stats), [`metrics`](Container::metrics), [`list`](Runtime::list) | not at all |
//!
//! Each call may wait for the file system of the state directory or of the root file system.
//!
//! # In an asynchronous program
//!
//! With the feature `tokio`, each method that blocks has a form that ends in `_async`, such as
//! `start_async` for [`Container::start`]; `next_async` is that of [`Events`]. A wait for a process or
//! for events takes no thread. Every other operation takes a thread of tokio's pool for blocking
//! calls. Those that make processes also take a thread of the library, which never ends: the program
//! keeps as many as it has made processes at the same time. If a future is dropped after it was polled, the operation
//!
//! - is cancelled and undone: `run_async`, `create_async`, `prepare_async`, `restore_async`, and `start_async`
//!   of [`Pending`]. A process of an exec is killed: `spawn_async`, `output_async`;
//! - goes on to its end: `start_async`, `kill_async`, `pause_async`, `resume_async`, `update_async`,
//!   `dump_async` and `delete_async`. A hook that hangs keeps its thread, so hooks should have a `timeout`;
//! - ends, and nothing is lost: `wait_async`, `next_async`. With `wait_with_output_async`, the output
//!   read so far is lost and the pipes are closed: the program gets SIGPIPE at its next write.
//!
//! A runtime of tokio that is dropped waits for its threads, unless `shutdown_timeout` limits that. If
//! its pool has no thread and the kernel allows no new one, tokio panics.
//!
//! # Errors
//!
//! The documentation of a method names the kinds of errors that it may return, besides these:
//!
//! - every method of [`Container`] that acts on the container: [`ErrorKind::NotFound`] if there is none
//!   with its id, and [`ErrorKind::BadRecord`] if the record of it is damaged;
//! - every method that returns a [`Result`]: [`ErrorKind::System`] if a system call fails, for example
//!   because the caller lacks rights. [`Error::errno`] is the kernel's error number.
//!
//! An [`Error`] has a text of one line for the user ([`Error::report`]), and for programs the kind, the
//! property of config.json ([`Error::field`]) and the step that failed ([`Error::step`]).
//!
//! # When the calling program fails
//!
//! - **A handle is dropped.** [`Pending`]: the process is killed, and its container has stopped.
//!   [`Process`]: the process goes on, and has to be waited for with waitpid(2): while a process of
//!   [`Container::exec`] has ended and is not waited for, the kernel does not let the container's
//!   init end, and `delete` fails. A container is found again with [`Runtime::container`]. For a
//!   future, see above.
//! - **A hook panics** ([`ContainerBuilder::create_runtime_hook`]): the container is destroyed,
//!   then the panic goes on.
//! - **The program is killed.** A container that was being made ends; `delete` with
//!   [`DeleteOptions::force`] removes what is left of it. A container that runs goes on.
//! - **Descriptors run out.** The call fails with EMFILE, and has removed what it made. If other
//!   threads take every free descriptor meanwhile, the hint of the error says what is left.
//! - **SIGPIPE has its default action.** A hook that closes its standard input ends the program, as
//!   it does with any pipe. Rust programs ignore the signal.
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
mod criu;
pub mod dry_run;
mod error;
mod exit_status;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod for_fuzzing;
mod hook;
pub mod host;
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
pub use exit_status::ExitStatus;
pub use id::ContainerId;
pub use ops::{
    CgroupManager, CheckpointBuilder, Container, ContainerBuilder, DeleteOptions, Event, Events, ExecBuilder,
    Finding, HookResult, Listed, ManageCgroups, Output, Pending, Process, RestoreBuilder, Rootless, Runtime,
    Severity, State, check_preserved_fds, features,
};
pub use parent::self_exe::{Protection, protect_program, protection};
pub use stdio::Stdio;
#[cfg(feature = "tokio")]
pub use terminal::AsyncTerminal;
pub use terminal::Terminal;
pub use userns::is_initial_user_namespace;
