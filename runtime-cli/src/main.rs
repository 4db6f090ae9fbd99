// SPDX-License-Identifier: Apache-2.0
//! runc's command line on `runtime-core`.
//!
//! `main` parses ([`args`]), opens the log ([`log`]), and hands over to one file
//! of [`cmd`]; what comes back is printed once, here.

mod args;
mod cmd;
mod foreground;
mod log;
mod notify;
mod output;
mod relay;
mod timeline;

use args::{Invocation, Request, Usage};
use log::Log;
use std::process::ExitCode;
use timeline::Timeline;

fn main() -> ExitCode {
    runtime_core::stop_ignoring_children();
    let invocation = match args::parse(std::env::args_os()) {
        Ok(invocation) => invocation,
        Err(usage) => return report(&usage),
    };
    match &invocation.request {
        Request::Help(topic) => {
            output::print(&args::help(&invocation.program, *topic));
            ExitCode::SUCCESS
        }
        Request::Version => {
            output::print(&output::version(&invocation.program));
            ExitCode::SUCCESS
        }
        Request::Run(_) => run(&invocation),
    }
}

/// The arguments are wrong, so it is not known where the log is.
fn report(usage: &Usage) -> ExitCode {
    let (help, complaint) = usage.advice();
    output::complain(&complaint);
    output::print(&help);
    Log::to_stderr().fatal(&usage.text());
    ExitCode::from(usage.status())
}

fn run(invocation: &Invocation) -> ExitCode {
    // Before the log, or anything else, takes one of their numbers.
    let preserved = cmd::check_preserved_fds(invocation);
    let log = match Log::open(&invocation.globals) {
        Ok(log) => log,
        Err(error) => {
            Log::to_stderr().fatal(&error.to_string());
            return ExitCode::FAILURE;
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
        Ok(status) => ExitCode::from(status),
        Err(failure) => {
            log.fatal(&failure.text);
            ExitCode::from(failure.status)
        }
    }
}
