// SPDX-License-Identifier: Apache-2.0
//! A run of the program: its arguments, its log, its command, and its error.

use crate::args::{Invocation, Request, Usage};
use crate::log::Log;
use crate::timeline::Timeline;
use crate::{args, cmd, output, version};
use std::ffi::OsString;

/// Runs the program and returns its exit status.
pub(crate) fn start(arguments: Vec<OsString>) -> u8 {
    runtime_sys::signal::stop_ignoring_children();
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
            output::print(&version::version(&invocation.program));
            0
        }
        Request::Run(_) => run(&invocation),
    }
}

/// Prints an error of the arguments to standard error, because the log is not open yet. Prints
/// the help to standard output. The hint comes last, after the text of runc.
fn report(usage: &Usage) -> u8 {
    let (help, usage_error) = usage.advice();
    output::print_error(&usage_error);
    output::print(&help);
    Log::to_stderr().fatal(&usage.text());
    if let Some(hint) = usage.hint() {
        output::print_error(&format!("{hint}\n"));
    }
    usage.status()
}

fn run(invocation: &Invocation) -> u8 {
    // Checked first. Otherwise the log, or another file, could get the number of a descriptor that
    // must be passed on but is not open.
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
            if failure.plain {
                output::print_error(&format!("{}\n", failure.text));
                failure.hint.iter().for_each(|hint| log.hint(hint));
            } else {
                log.fatal(&failure.text);
            }
            failure.status
        }
    }
}
