// SPDX-License-Identifier: Apache-2.0
//! The pid file that a caller asks for.

use crate::error::{Context, Error, ErrorKind, Result};
use crate::path::c_path;
use nix::fcntl::renameat;
use nix::unistd::{UnlinkatFlags, unlinkat};
use runtime_sys::{Errno, fd};
use std::path::Path;

/// Writes a file atomically, replacing an older one. For the pid file, whose readers may
/// already be waiting for it to appear.
pub(crate) fn write_atomically(path: &Path, content: &[u8]) -> Result<()> {
    let bad = |what: &str| Error::new(ErrorKind::InvalidConfig, format!("{}: {what}", path.display()));
    let name = path.file_name().ok_or_else(|| bad("not the name of a file"))?;
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut hidden = std::ffi::OsString::from(".");
    hidden.push(name);
    let write = || -> runtime_sys::Result<()> {
        let (name, temporary) = (c_path(Path::new(name))?, c_path(Path::new(&hidden))?);
        let dir = fd::open_follow(fd::CWD, &c_path(parent)?, libc::O_PATH | libc::O_DIRECTORY, 0)?;
        let make = || fd::open(&dir, &temporary, libc::O_WRONLY | libc::O_CREAT | libc::O_EXCL, 0o666);
        let file = match make() {
            // Left by a runtime that was killed.
            Err(Errno::EEXIST) => {
                unlinkat(&dir, temporary.as_c_str(), UnlinkatFlags::NoRemoveDir)?;
                make()
            }
            other => other,
        }?;
        let written = fd::write_all(file, content)
            .and_then(|()| renameat(&dir, temporary.as_c_str(), &dir, name.as_c_str()));
        if written.is_err() {
            // The first error is the one to report.
            runtime_sys::ignore(unlinkat(&dir, temporary.as_c_str(), UnlinkatFlags::NoRemoveDir));
        }
        written
    };
    write().context(|| format!("write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_with_a_nul_byte_is_not_written() {
        let dir = tempfile::tempdir().unwrap();
        let report = write_atomically(&dir.path().join("a\0b"), b"1").unwrap_err().report();
        assert!(report.ends_with("invalid argument"), "{report}");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
