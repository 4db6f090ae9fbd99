// SPDX-License-Identifier: Apache-2.0
//! Counts of open(2) of a file, except with O_PATH.

use crate::result::{Doing, Result};
use nix::errno::Errno;
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use std::path::Path;

/// A watch of one file, of any type.
#[derive(Debug)]
pub struct Opens(Inotify);

impl Opens {
    /// Begins to watch the file that a path leads to.
    pub fn of(path: &Path) -> Result<Self> {
        let inotify = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK).doing("inotify_init")?;
        inotify.add_watch(path, AddWatchFlags::IN_OPEN).doing(&format!("watch {}", path.display()))?;
        Ok(Opens(inotify))
    }

    /// Returns how often the file was opened since the last call.
    pub fn count(&self) -> Result<usize> {
        match self.0.read_events() {
            Ok(events) => Ok(events.len()),
            Err(Errno::EAGAIN) => Ok(0),
            Err(errno) => Err(format!("inotify: {errno}")),
        }
    }
}
