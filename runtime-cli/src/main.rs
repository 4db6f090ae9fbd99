// SPDX-License-Identifier: Apache-2.0
//! runc's command line on `runtime-core`.
//!
//! `start` parses ([`args`]), opens the log ([`log`]), and hands over to one file
//! of [`cmd`]; what comes back is printed once, here.
#![cfg_attr(not(test), no_main)]

mod args;
mod cmd;
#[cfg(all(target_arch = "x86_64", any(test, target_env = "musl")))]
mod copy;
mod foreground;
mod input;
mod log;
mod notify;
mod output;
mod relay;
mod timeline;

use args::{Invocation, Request, Usage};
use log::Log;
use spinning_top::RawSpinlock;
use std::alloc::System;
use std::ffi::OsString;
#[cfg(not(test))]
use std::ffi::{c_char, c_int};
use talc::TalcLock;
use talc::source::GlobalAllocSource;
use timeline::Timeline;

/// Six hundred small pieces in a millisecond: musl's allocator, which looks for mistakes
/// of C programs, takes 1.6 times as many instructions (docs/decisions/musl.md).
#[global_allocator]
static HEAP: TalcLock<RawSpinlock, GlobalAllocSource<System>> =
    TalcLock::new(GlobalAllocSource::with_block_size(System, 128 << 10));

/// What the C library calls. Rust's own entry would make itself a handler for
/// stack overflows first, which takes more system calls than a whole `state`.
#[cfg(not(test))]
#[allow(unsafe_code)] // Nobody else defines a `main`.
#[unsafe(no_mangle)]
extern "C" fn main(count: c_int, arguments: *const *const c_char) -> c_int {
    // SAFETY: this is `main`, and these are its arguments.
    match unsafe { runtime_core::begin_program(count, arguments) } {
        Ok(arguments) => start(arguments).into(),
        Err(error) => {
            Log::to_stderr().fatal(&error.report());
            1
        }
    }
}

/// The test harness brings the other one.
#[cfg(test)]
fn main() -> std::process::ExitCode {
    start(std::env::args_os().collect()).into()
}

/// The exit status of the program.
fn start(arguments: Vec<OsString>) -> u8 {
    runtime_core::stop_ignoring_children();
    let invocation = match args::parse(arguments) {
        Ok(invocation) => invocation,
        Err(usage) => return report(&usage),
    };
    match &invocation.request {
        Request::Help(topic) => {
            output::print(&args::help(&invocation.program, *topic));
            0
        }
        Request::Version => {
            output::print(&output::version(&invocation.program));
            0
        }
        Request::Run(_) => run(&invocation),
    }
}

/// The arguments are wrong, so it is not known where the log is.
fn report(usage: &Usage) -> u8 {
    let (help, complaint) = usage.advice();
    output::complain(&complaint);
    output::print(&help);
    Log::to_stderr().fatal(&usage.text());
    usage.status()
}

fn run(invocation: &Invocation) -> u8 {
    // Before the log, or anything else, takes one of their numbers.
    let preserved = cmd::check_preserved_fds(invocation);
    let log = match Log::open(&invocation.globals) {
        Ok(log) => log,
        Err(error) => {
            Log::to_stderr().fatal(&error.to_string());
            return 1;
        }
    };
    let timeline = preserved.and_then(|()| Timeline::begin(&invocation.globals));
    let result = timeline.and_then(|timeline| {
        let result = cmd::run(invocation, &log);
        if let Some(timeline) = timeline {
            timeline.write(&log);
        }
        result
    });
    match result {
        Ok(status) => status,
        Err(failure) => {
            failure.warnings.iter().for_each(|warning| log.warning(warning));
            match failure.plain {
                true => output::complain(&format!("{}\n", failure.text)),
                false => log.fatal(&failure.text),
            }
            failure.status
        }
    }
}
