// SPDX-License-Identifier: Apache-2.0
//! runc's command line on `runtime-core`.
//!
//! `main` parses ([`args`]), opens the log ([`log`]), and hands over to one file
//! of [`cmd`]; what comes back is printed once, here.

mod args;
mod cmd;
mod foreground;
mod log;
mod output;
mod relay;

use args::{Invocation, Request};
use log::Log;
use std::process::ExitCode;

fn main() -> ExitCode {
    let invocation = match args::parse(std::env::args_os()) {
        Ok(invocation) => invocation,
        Err(usage) => return usage.report(),
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

fn run(invocation: &Invocation) -> ExitCode {
    let log = match Log::open(&invocation.globals) {
        Ok(log) => log,
        Err(error) => {
            Log::to_stderr().fatal(&error.to_string());
            return ExitCode::FAILURE;
        }
    };
    match cmd::run(invocation, &log) {
        Ok(status) => ExitCode::from(status),
        Err(failure) => {
            log.fatal(&failure.text);
            ExitCode::from(failure.status)
        }
    }
}
