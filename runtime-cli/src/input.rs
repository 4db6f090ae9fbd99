// SPDX-License-Identifier: Apache-2.0
//! Documents that the caller names: of `exec --process` and of `update --resources`.

use crate::failure::Failure;
use runtime_core::spec::JSON_MAX;
use std::fs::File;
use std::io::{Read, stdin};
use std::path::Path;

/// Reads the document at `path`, or from standard input for `-`. It may be a pipe, of which
/// nobody knows the size before it was read: what does not end is an error.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    if path == Path::new("-") {
        return read_all(stdin().lock(), path);
    }
    // It is the caller's own word that this is to be read.
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
        .map_err(|error| Failure::io(format_args!("read {}", path.display()), &error))?;
    if document.len() > JSON_MAX {
        return Err(Failure::new(format!("read {}: larger than {} MiB", path.display(), JSON_MAX >> 20)));
    }
    Ok(document)
}
