// SPDX-License-Identifier: Apache-2.0
//! Waiting until a process executes its program. The execve closes a descriptor. But a process that
//! another thread of the caller has cloned meanwhile has a copy of that descriptor, until it
//! executes a program itself. So the state of the process is checked, too.

use super::explain;
use crate::boundary::channel::{self, NotExecuted, ParentEnd, START};
use crate::boundary::reply::{MESSAGE_MAX, Reply, WIRE_LEN};
use crate::error::{Context, Error, ErrorKind, Result};
use crate::state::process::{Execution, ProcessId};
use runtime_sys::{Errno, fd};
use std::os::fd::{BorrowedFd, OwnedFd};

/// The pauses between checks of the process, in milliseconds. Usually there is no check.
const PAUSES_MS: std::ops::RangeInclusive<i32> = 10..=50;

/// Waits for the end of the `channel` to the child `pid`. Fails if the program could not be
/// executed, or if `cancel` becomes readable.
pub(crate) fn by_channel(channel: &ParentEnd, pid: i32, cancel: Option<BorrowedFd<'_>>) -> Result<()> {
    let has_come = await_event(
        |limit_ms| channel.is_readable(limit_ms, cancel),
        // The child has not been waited for, so the pid is not reused.
        || ProcessId::of(pid)?.execution(),
    )?;
    // The event may have come after the last wait for it.
    if !has_come && !channel.is_readable(0, None)? {
        return Ok(());
    }
    match channel.receive().context(|| "recv")? {
        Some(Reply::Failed(failure)) => {
            let words = channel.kernel_message().unwrap_or_default();
            Err(explain::not_executed(&NotExecuted::new(failure, words.as_bytes())))
        }
        // End of file.
        _ => Ok(()),
    }
}

/// Waits for the end of the fifo of `start`, to which [`START`] was written; `fifo` is its reading
/// end. Fails if the program could not be executed, or if init ended before it read.
pub(crate) fn by_fifo(fifo: &OwnedFd, process: ProcessId) -> Result<()> {
    await_event(
        |limit_ms| Ok(fd::poll(fifo, 0, limit_ms).context(|| "poll exec.fifo")? != 0),
        || process.execution(),
    )?;
    let mut bytes = [0; WIRE_LEN + MESSAGE_MAX + libc::PATH_MAX as usize];
    let length = match fd::read(fifo, &mut bytes) {
        Err(Errno::EAGAIN) => 0,
        read => read.context(|| "read exec.fifo")?,
    };
    let bytes = bytes.get(..length).unwrap_or_default();
    if bytes == START {
        let text = "container init did not wait to be started: it has ended";
        return Err(Error::new(ErrorKind::InvalidState, text));
    }
    match channel::answer(bytes) {
        Some(failed) => Err(explain::not_executed(&failed)),
        None => Ok(()),
    }
}

/// Waits for an event, or until `check` shows that there is nothing to wait for any more. Returns
/// true for the event.
fn await_event(
    has_come: impl Fn(i32) -> Result<bool>,
    check: impl Fn() -> Result<Execution>,
) -> Result<bool> {
    let mut pause_ms = *PAUSES_MS.start();
    loop {
        if has_come(pause_ms)? {
            return Ok(true);
        }
        if check()? != Execution::ToCome {
            return Ok(false);
        }
        pause_ms = (2 * pause_ms).min(*PAUSES_MS.end());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_init_that_ends_before_it_reads_the_fifo_is_an_error() {
        let (read, write) = fd::pipe().unwrap();
        let this = ProcessId::of(std::process::id() as i32).unwrap();
        fd::write_all(&write, START).unwrap();
        drop(write);
        let error = by_fifo(&read, this).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidState, "{}", error.report());
    }

    #[test]
    fn an_init_that_has_read_the_fifo_has_executed_its_program() {
        let (read, write) = fd::pipe().unwrap();
        let this = ProcessId::of(std::process::id() as i32).unwrap();
        drop(write);
        by_fifo(&read, this).unwrap();
    }
}
