// SPDX-License-Identifier: Apache-2.0
//! The last message of a process that has failed.

use crate::boundary::channel::ChildEnd;
use crate::boundary::reply::Reply;
use crate::boundary::step::StepFailure;
use std::convert::Infallible;

/// Reports the failure to the parent, and exits.
pub(super) fn report_and_exit(result: Result<Infallible, StepFailure>, channel: &ChildEnd) -> ! {
    let Err(failure) = result;
    // If the parent is gone too, there is no process to report to.
    runtime_sys::ignore(channel.send(Reply::Failed(failure)));
    runtime_sys::exec::exit(1)
}
