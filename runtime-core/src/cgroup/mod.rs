// SPDX-License-Identifier: Apache-2.0
//! Control groups, version 2: a container's place in the hierarchy.
//!
//! A [`Cgroup`] is a directory descriptor. All operations on a container as a whole
//! (kill, freeze, list) use the files in that directory.

mod apply;
pub(crate) mod controllers;
mod delegate;
pub(crate) mod devices;
pub(crate) mod driver;
pub(crate) mod fs;
mod group;
mod hierarchy;
mod leaf;
pub(crate) mod limits;
mod metrics;
pub(crate) mod oom;
pub(crate) mod record;
mod snapshot;
pub mod stats;
pub(crate) mod survey;
pub(crate) mod systemd;
mod walk;

pub(crate) use group::{Cgroup, keyed, parse_events};
pub(crate) use hierarchy::Hierarchy;
pub use hierarchy::is_unified;

/// Parses any text as each of the files that are read here. For the fuzz target.
#[cfg(feature = "fuzzing")]
pub(crate) fn parse_files(text: &[u8]) {
    group::parse_events(text);
    hierarchy::own_path(&String::from_utf8_lossy(text));
    systemd::check_parsers(text);
    stats::check_parsers(&String::from_utf8_lossy(text));
}
