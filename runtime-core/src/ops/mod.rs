// SPDX-License-Identifier: Apache-2.0
//! The operations on containers, one in each file.

#[cfg(feature = "tokio")]
mod asynchronous;
mod bundle;
mod caller_hooks;
mod check;
mod checkpoint;
mod container;
mod container_hooks;
mod create;
mod delete;
mod dry_run;
mod events;
mod exec;
mod features;
mod host_mount;
mod images;
mod inherited;
mod join;
mod kill;
mod list;
#[cfg(feature = "tokio")]
mod makers;
mod mount_points;
mod notify;
#[cfg(feature = "tokio")]
mod off_thread;
mod options;
mod pause;
mod process;
mod ps;
mod restore;
mod rootfs_mounts;
mod start;
mod state;
mod target;
mod transaction;
mod update;
mod wait;

pub use caller_hooks::HookResult;
pub use check::{Finding, Severity};
pub use checkpoint::CheckpointBuilder;
pub use container::{Container, Runtime};
pub use create::ContainerBuilder;
pub use delete::DeleteOptions;
pub use events::{Event, Events};
pub use exec::ExecBuilder;
pub use features::features;
pub use images::ManageCgroups;
pub use list::Listed;
pub use options::check_preserved_fds;
pub use process::{Output, Pending, Process};
pub use restore::RestoreBuilder;
pub use state::State;
pub use target::{CgroupManager, Rootless};
