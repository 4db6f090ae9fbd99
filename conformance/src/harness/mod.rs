// SPDX-License-Identifier: Apache-2.0
//! A bundle, a runtime, and the host around them.

pub mod agent;
pub mod bundle;
pub mod change;
pub mod console;
pub mod host;
pub mod opens;
pub mod payload;
pub mod runtime;
pub mod volume;
