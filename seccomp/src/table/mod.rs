// SPDX-License-Identifier: Apache-2.0
//! The system calls of all architectures, by name and by number.

mod calls;
mod rows;
mod syscall;

pub(crate) use calls::Calls;
pub(crate) use syscall::Syscall;
