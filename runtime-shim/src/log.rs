// SPDX-License-Identifier: Apache-2.0
//! The log of the shim: the fifo `log` in the bundle, which containerd copies to its own log. Without
//! a reader, or if the reader is too slow, lines are dropped: nothing waits for the log.

use runtime_sys::fd;
use std::fmt::Arguments;
use std::os::fd::OwnedFd;
use std::sync::OnceLock;
use std::time::SystemTime;

/// The name of the runtime in containerd's configuration.
pub(crate) const RUNTIME: &str = "io.containerd.runtime-core.v2";

static LOG: OnceLock<(OwnedFd, bool)> = OnceLock::new();

/// Opens the fifo in the working directory. Without it, there is no log.
pub(crate) fn open(debug: bool) {
    // Open for reading too, so that a restart of containerd does not end the log.
    if let Ok(fifo) = fd::open(fd::CWD, c"log", libc::O_RDWR | libc::O_NONBLOCK, 0) {
        // It is the first time.
        runtime_sys::ignore(LOG.set((fifo, debug)));
    }
}

pub(crate) fn debug(text: Arguments<'_>) {
    if LOG.get().is_some_and(|(_, debug)| *debug) {
        write("debug", text);
    }
}

pub(crate) fn warn(text: Arguments<'_>) {
    write("warning", text);
}

fn write(level: &str, text: Arguments<'_>) {
    let Some((fifo, _)) = LOG.get() else { return };
    let time = humantime::format_rfc3339_nanos(SystemTime::now());
    let message = format!("{text}");
    let line = format!("time=\"{time}\" level={level} msg={message:?} runtime={RUNTIME}\n");
    // Without a reader the pipe is full at some time.
    runtime_sys::ignore(fd::write(fifo, line.as_bytes()));
}
