// SPDX-License-Identifier: Apache-2.0
//! The data that crosses the clone: the plan for the child, and the child's steps and replies.

pub(crate) mod channel;
pub(crate) mod plan;
pub(crate) mod reply;
pub(crate) mod seal;
pub(crate) mod step;
pub(crate) mod tree;
