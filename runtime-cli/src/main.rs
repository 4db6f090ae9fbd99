// SPDX-License-Identifier: Apache-2.0
//! runc's command line on runtime-core.
fn main() {}
