// SPDX-License-Identifier: Apache-2.0
//! A container's persistent state, kept between commands.

pub(crate) mod entry;
pub(crate) mod filter;
pub(crate) mod owner;
pub(crate) mod pid_file;
pub(crate) mod process;
pub(crate) mod record;
pub(crate) mod store;
