// SPDX-License-Identifier: Apache-2.0
//! The files of the shim in a bundle: its address, and, if it is not the default, the directory of the
//! container's record. `delete` needs that directory after the shim has died.

use crate::status::{Result, Status};
use runtime_sys::{fd, text};
use std::path::{Path, PathBuf};

const FILE: &str = "runtime-core-root";
const ADDRESS: &str = "address";
/// The directory of the records, if the options name no other.
const ROOT: &str = "/run/containerd/runtime-core";

/// Returns the directory of the records of a namespace.
pub(crate) fn root(option: &str, namespace: &str) -> PathBuf {
    Path::new(if option.is_empty() { ROOT } else { option }).join(namespace)
}

/// Writes the option `Root` into the bundle. An empty one is the default, and not written.
pub(crate) fn write(bundle: &Path, option: &str) -> Result<()> {
    if option.is_empty() { Ok(()) } else { replace(bundle, FILE, option) }
}

/// Writes the address of the shim into the bundle. containerd before version 2 finds the shim by this
/// file when it has restarted.
pub(crate) fn write_address(bundle: &Path, address: &str) -> Result<()> {
    replace(bundle, ADDRESS, address)
}

/// Removes the address of a shim that could not be started.
pub(crate) fn remove_address(bundle: &Path) -> Result<()> {
    std::fs::remove_file(bundle.join(ADDRESS))
        .map_err(|error| Status::io(&error, format_args!("unlink {ADDRESS}")))
}

/// Writes a file of the bundle, at once.
fn replace(bundle: &Path, name: &str, content: &str) -> Result<()> {
    let path = bundle.join(name);
    let unfinished = bundle.join(format!(".{name}"));
    let failed =
        |errno: runtime_sys::Errno| Status::io(&errno.into(), format_args!("write {}", path.display()));
    let c_path = text::c_str(unfinished.as_os_str().as_encoded_bytes()).map_err(failed)?;
    let flags = libc::O_WRONLY | libc::O_CREAT | libc::O_TRUNC;
    let file = fd::open(fd::CWD, &c_path, flags, 0o600).map_err(failed)?;
    fd::write_all(file, content.as_bytes()).map_err(failed)?;
    std::fs::rename(&unfinished, &path)
        .map_err(|error| Status::io(&error, format_args!("write {}", path.display())))
}

/// Reads the option `Root` from the bundle; empty without one.
pub(crate) fn read(bundle: &Path) -> Result<String> {
    content(bundle, FILE)
}

/// Reads the address of the shim from the bundle; empty without one.
pub(crate) fn read_address(bundle: &Path) -> Result<String> {
    content(bundle, ADDRESS)
}

fn content(bundle: &Path, name: &str) -> Result<String> {
    let path = bundle.join(name);
    let failed =
        |errno: runtime_sys::Errno| Status::io(&errno.into(), format_args!("read {}", path.display()));
    let name = text::c_str(path.as_os_str().as_encoded_bytes()).map_err(failed)?;
    match fd::read_file(fd::CWD, &name, libc::PATH_MAX as usize) {
        Ok(text) => Ok(String::from_utf8_lossy(&text).into_owned()),
        Err(runtime_sys::Errno::ENOENT) => Ok(String::new()),
        Err(errno) => Err(failed(errno)),
    }
}
