// SPDX-License-Identifier: Apache-2.0
//! `--trace FILE`: a timeline of the operation, for the trace viewer of a browser.

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
    /// Begins a timeline if the global flags ask for one. The file is opened now, so that a wrong
    /// path is an error before the operation.
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

    /// Writes the file. A failure is a warning: the operation has already succeeded or failed.
    pub(crate) fn write(mut self, log: &Log) {
        if let Err(error) = self.file.write_all(self.trace.to_json().as_bytes()) {
            log.warning(&format!("--trace: write {}: {}", self.path.display(), io_text(&error)));
        }
    }
}
