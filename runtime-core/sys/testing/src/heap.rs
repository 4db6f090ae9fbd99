// SPDX-License-Identifier: Apache-2.0
//! A heap that one process may use.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicU32, Ordering};

/// An allocator that aborts each process but one, as soon as it is used there.
#[derive(Debug)]
pub struct Tripwire {
    /// The process that may use the heap. 0: every process may.
    owner: AtomicU32,
}

impl Tripwire {
    /// Makes an allocator that every process may use.
    #[allow(clippy::new_without_default, reason = "for a static")]
    pub const fn new() -> Self {
        Tripwire { owner: AtomicU32::new(0) }
    }

    /// Lets only the calling process use the heap from now on.
    pub fn arm(&self) {
        self.owner.store(std::process::id(), Ordering::Relaxed);
    }

    fn check(&self) {
        let owner = self.owner.load(Ordering::Relaxed);
        if owner != 0 && owner != std::process::id() {
            std::process::abort();
        }
    }
}

// SAFETY: every call is passed on to the system's allocator.
unsafe impl GlobalAlloc for Tripwire {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        self.check();
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        self.check();
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(block, layout) }
    }
}
