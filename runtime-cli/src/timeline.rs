// SPDX-License-Identifier: Apache-2.0
//! `--trace FILE`: where the time went, for a browser to show.

use crate::args::Values;
use crate::args::flags::TRACE;
use crate::failure::{Failure, io_text};
use crate::log::Log;
use runtime_core::trace::Trace;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::PathBuf;

#[derive(Debug)]
pub(crate) struct Timeline {
    trace: Trace,
    file: File,
    path: PathBuf,
}

impl Timeline {
    /// Begins one, if the global flags ask for it. A file that cannot be written
    /// is known before anything else is done.
    pub(crate) fn begin(globals: &Values) -> Result<Option<Self>, Failure> {
        let Some(path) = globals.path(TRACE) else { return Ok(None) };
        let file = OpenOptions::new()
            .create(true)
            .truncate(true)
            .write(true)
            .open(path)
            .map_err(|error| Failure::io(format_args!("--trace: open {}", path.display()), &error))?;
        Ok(Some(Timeline { trace: Trace::begin()?, file, path: path.to_owned() }))
    }

    /// Writes the file. The operation is over, and stays what it was.
    pub(crate) fn write(mut self, log: &Log) {
        if let Err(error) = self.file.write_all(self.trace.to_json().as_bytes()) {
            log.warning(&format!("--trace: write {}: {}", self.path.display(), io_text(&error)));
        }
    }
}
