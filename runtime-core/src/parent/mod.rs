// SPDX-License-Identifier: Apache-2.0
//! The parent's side of the clone: before it, around it, and until the child is ready.

pub(crate) mod agent;
pub(crate) mod attributes;
pub(crate) mod child;
mod cloned;
pub(crate) mod execution;
pub(crate) mod explain;
pub(crate) mod helpers;
pub(crate) mod hooks;
pub(crate) mod ids;
pub(crate) mod network;
pub(crate) mod peer;
pub(crate) mod questions;
pub(crate) mod reap;
pub(crate) mod self_exe;
