// SPDX-License-Identifier: Apache-2.0
//! A faster start than that of an ordinary Rust program: an entry of its own and another
//! allocator. docs/decisions/startup.md has what each gains.
//!
//! Both are the feature `startup` of this package. Without the feature the program is an
//! ordinary one, which does the same.

#[cfg(not(test))] // The test harness has an entry, too.
mod entry;
mod heap;
