// SPDX-License-Identifier: Apache-2.0
//! The data that crosses the clone: the plan on the way there, steps and replies on the way back.

pub(crate) mod channel;
pub(crate) mod plan;
pub(crate) mod seal;
pub(crate) mod step;
pub(crate) mod tree;
