// SPDX-License-Identifier: Apache-2.0
//! A program that starts and exits: the least that any command costs.

fn main() {}
