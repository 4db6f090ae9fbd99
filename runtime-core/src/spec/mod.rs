// SPDX-License-Identifier: Apache-2.0
//! config.json as written: the OCI runtime specification 1.3 for Linux as plain
//! data. Nothing is checked here. `config` converts these types; the rooms that get
//! its result do not see them.
//!
//! A new version of the specification adds fields. So a value that is made in a program should end
//! in `..Default::default()`.
//!
//! The types keep what the specification distinguishes. A field is an `Option` if its
//! absence has a meaning of its own: an absent `pids.limit` is not 0, and an absent
//! list of seccomp flags is not an empty list. Names of capabilities and seccomp actions
//! stay strings: the check in `config` decides what an unknown name means. Sections for
//! other platforms (`windows`, `solaris`, `vm`, `zos`, `freebsd`) are properties unknown
//! to a Linux runtime. The specification says to ignore unknown properties.

mod absent;
mod document;
mod example;
mod features;
mod json_path;
mod known;
mod linux;
mod names;
#[cfg(feature = "oci-spec")]
mod oci;
mod process;
mod resources;
pub(crate) mod state;
mod strict;
mod typos;

pub use document::*;
pub use features::*;
pub use linux::*;
pub use names::Names;
pub use process::*;
pub use resources::*;
pub use state::*;

#[cfg(test)]
pub(crate) use known::NAMES;
