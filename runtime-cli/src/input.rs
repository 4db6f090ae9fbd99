// SPDX-License-Identifier: Apache-2.0
//! The documents of `exec --process` and `update --resources`.

use crate::failure::Failure;
use runtime_core::spec::JSON_MAX;
use std::fs::File;
use std::io::{Read, stdin};
use std::path::Path;

/// Reads and parses the document at `path`, or standard input for `-`. An error names the file.
pub(crate) fn parse<T>(
    path: &Path,
    parse: impl FnOnce(&[u8]) -> runtime_core::Result<T>,
) -> Result<T, Failure> {
    parse(&read(path)?).map_err(|error| Failure::from(error).during(&name(path)))
}

fn name(path: &Path) -> String {
    if path == Path::new("-") { "standard input".to_owned() } else { path.display().to_string() }
}

/// Reads a document. It may come from a pipe without an end, so a document larger than the limit
/// is an error.
fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    if path == Path::new("-") {
        return read_all(stdin().lock(), path);
    }
    // The caller of the program names the file, and may read it.
    #[allow(clippy::disallowed_methods)]
    let file =
        File::open(path).map_err(|error| Failure::io(format_args!("open {}", path.display()), &error))?;
    read_all(file, path)
}

fn read_all(from: impl Read, path: &Path) -> Result<Vec<u8>, Failure> {
    let mut document = Vec::new();
    let limit = JSON_MAX as u64 + 1;
    from.take(limit)
        .read_to_end(&mut document)
        .map_err(|error| Failure::io(format_args!("read {}", name(path)), &error))?;
    if document.len() > JSON_MAX {
        return Err(Failure::new(format!("read {}: larger than {} MiB", name(path), JSON_MAX >> 20)));
    }
    Ok(document)
}
