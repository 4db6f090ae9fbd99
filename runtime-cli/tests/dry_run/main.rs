// SPDX-License-Identifier: Apache-2.0
//! `create --dry-run` and `run --dry-run`.
#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

mod container;
mod nothing;
mod script;
mod shown;
mod support;
