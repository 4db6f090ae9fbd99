// SPDX-License-Identifier: Apache-2.0
//! config-linux.md, "Seccomp": filters, and agents that answer for them.

pub(crate) mod agents;
pub(crate) mod filters;
mod support;
