// SPDX-License-Identifier: Apache-2.0
//! The entry of the program. It replaces the entry of Rust's standard library, which installs a
//! handler for stack overflows with many system calls (docs/decisions/startup.md).
//!
//! Both entries open the descriptors 0, 1 and 2 if they are closed, and ignore SIGPIPE, so that a
//! write to a pipe without a reader returns an error. The program relies on both.

use crate::failure::io_text;
use crate::log::Log;
use runtime_sys::startup::{Arguments, ignore_sigpipe, open_standard_descriptors};
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

runtime_sys::entry!(start);

fn start(arguments: Arguments) -> u8 {
    if let Err(error) = open_standard_descriptors() {
        let error = io_text(&error.into());
        let operation = "opening /dev/null for a closed standard descriptor";
        Log::to_stderr().fatal(&format!("{operation}: {error}"));
        return 1;
    }
    ignore_sigpipe();
    crate::program::start(
        arguments.iter().map(|argument| OsString::from_vec(argument.to_bytes().to_vec())).collect(),
    )
}
