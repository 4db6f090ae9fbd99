// SPDX-License-Identifier: Apache-2.0
//! Cgroups and their limits: bad input leaves the old state and nothing else, and no state of a
//! cgroup makes a command hang. With SYSTEMD_CGROUP in the environment, systemd makes the cgroups.
#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

#[path = "../common/mod.rs"]
mod common;
mod hierarchy;
mod limits;
mod support;
mod systemd;
