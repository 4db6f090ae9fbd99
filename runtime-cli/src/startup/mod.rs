// SPDX-License-Identifier: Apache-2.0
//! A faster start than that of an ordinary Rust program: an entry of its own and another
//! allocator. docs/decisions/startup.md says what each gains.
//!
//! Both belong to the feature `startup` of this package. Without the feature, the program has
//! Rust's entry and the C library's allocator, and behaves the same.

#[cfg(not(test))] // The test harness has its own entry.
mod entry;
mod heap;
