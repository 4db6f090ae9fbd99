// SPDX-License-Identifier: Apache-2.0
//! The messages of containerd: `containerd.task.v2` and `containerd.task.v3`, which have the same
//! fields, the events, the bootstrap of a shim, and the options. The numbers are those of the files
//! api/**/*.proto of containerd, and of cgroup2/stats/metrics.proto of containerd/cgroups.
//!
//! A field that a newer containerd has and this file has not is ignored, as everywhere in Protocol
//! Buffers.

pub(crate) mod bootstrap;
pub(crate) mod common;
pub(crate) mod events;
pub(crate) mod metrics;
pub(crate) mod options;
pub(crate) mod rpc;
pub(crate) mod task;
