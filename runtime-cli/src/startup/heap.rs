// SPDX-License-Identifier: Apache-2.0
//! The allocator of the program.

use spinning_top::RawSpinlock;
use std::alloc::System;
use talc::TalcLock;
use talc::source::GlobalAllocSource;

/// An allocator for short runs: a `run` makes six hundred small allocations. musl's allocator is
/// hardened, and takes 1.6 times as many instructions for each. This one takes memory from the C
/// library in blocks of 128 KiB.
#[global_allocator]
static HEAP: TalcLock<RawSpinlock, GlobalAllocSource<System>> =
    TalcLock::new(GlobalAllocSource::with_block_size(System, 128 << 10));
