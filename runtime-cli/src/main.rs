// SPDX-License-Identifier: Apache-2.0
//! runc's command line on `runtime-core`.
//!
//! [`program`] parses the arguments ([`args`]), opens the log ([`log`]), runs one file of [`cmd`],
//! and prints the error that is returned. Only the entry in `startup` also prints an error that
//! ends the program.
#![forbid(unsafe_code)]
#![cfg_attr(all(feature = "startup", not(test)), no_main)]

mod args;
mod cmd;
mod failure;
mod foreground;
mod input;
mod layout;
mod log;
mod notify;
mod output;
mod program;
mod relay;
mod signals;
#[cfg(feature = "startup")]
mod startup;
mod timeline;
mod version;

/// The entry of the tests, and of the program without the feature `startup`.
#[cfg(any(test, not(feature = "startup")))]
fn main() -> std::process::ExitCode {
    program::start(std::env::args_os().collect()).into()
}
