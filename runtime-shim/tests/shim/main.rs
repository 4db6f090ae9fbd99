// SPDX-License-Identifier: Apache-2.0
//! The shim, as containerd drives it: its commands, calls over ttrpc, fifos, events. No containerd is
//! needed.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::disallowed_methods)]

mod bad_input;
mod calls;
mod containerd;
mod lifecycle;
mod pods;
mod process;
#[allow(dead_code)]
#[path = "../../src/proto/mod.rs"]
mod proto;
mod restore;
mod streams;
