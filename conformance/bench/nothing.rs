// SPDX-License-Identifier: Apache-2.0
//! A program that starts and exits: what every command costs at least.

fn main() {}
