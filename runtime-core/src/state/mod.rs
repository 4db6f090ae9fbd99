// SPDX-License-Identifier: Apache-2.0
//! What is remembered of a container between commands.

pub(crate) mod filter;
pub(crate) mod process;
pub(crate) mod record;
pub(crate) mod store;
