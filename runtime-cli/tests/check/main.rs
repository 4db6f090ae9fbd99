// SPDX-License-Identifier: Apache-2.0
//! The command `check`, on hosts that lack one thing each, and with bundles that have one fault each.
#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

mod bundle;
mod host;
mod support;
