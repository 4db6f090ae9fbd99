// SPDX-License-Identifier: Apache-2.0
//! The directory with the state of containers (docs/decisions/state-root.md).

use crate::args::Values;
use crate::args::flags::ROOT;
use crate::failure::Failure;
use std::fs::DirBuilder;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Component, Path, PathBuf};

/// Returns the directory of --root, or the default directory. A user other than root has a
/// default directory of their own, if XDG_RUNTIME_DIR is set.
pub(super) fn find(globals: &Values) -> Result<PathBuf, Failure> {
    match given(globals)? {
        Some(root) => Ok(root),
        None => default_root().map_or_else(|| Ok(SYSTEM.into()), make_of_user),
    }
}

/// Returns the directory as [`find`] does, and makes nothing.
pub(super) fn name(globals: &Values) -> Result<PathBuf, Failure> {
    Ok(given(globals)?.or_else(default_root).unwrap_or_else(|| SYSTEM.into()))
}

/// The directory of root, and of users without a directory of their own.
const SYSTEM: &str = "/run/runc";

/// Returns the directory of --root.
fn given(globals: &Values) -> Result<Option<PathBuf>, Failure> {
    let Some(root) = globals.get(ROOT).map(Path::new) else { return Ok(None) };
    if root.as_os_str().is_empty() {
        return Err(Failure::new("Option --root argument should not be empty"));
    }
    let absolute = std::path::absolute(root).map_err(|error| Failure::new(error.to_string()))?;
    let mut clean = PathBuf::new();
    for component in absolute.components() {
        match component {
            Component::ParentDir => drop(clean.pop()),
            Component::CurDir => {}
            other => clean.push(other),
        }
    }
    if clean == Path::new("/") {
        return Err(Failure::new("Option --root argument should not be set to /"));
    }
    Ok(Some(clean))
}

/// Returns the default directory of a user; `None` if it is that of root.
fn default_root() -> Option<PathBuf> {
    let user = std::env::var_os("XDG_RUNTIME_DIR").filter(|dir| !dir.is_empty())?;
    let is_root = nix::unistd::geteuid().is_root() && !is_fake_root();
    (!is_root).then(|| PathBuf::from(user).join("runc"))
}

fn make_of_user(root: PathBuf) -> Result<PathBuf, Failure> {
    let fail = |error| Failure::io(format_args!("mkdir {}", root.display()), &error);
    DirBuilder::new().recursive(true).mode(0o700).create(&root).map_err(fail)?;
    // The sticky bit keeps cleaners of old files away (XDG Base Directory Specification).
    std::fs::set_permissions(&root, PermissionsExt::from_mode(0o1700)).map_err(fail)?;
    Ok(root)
}

/// Returns true if root is only the root of a user namespace that an ordinary user has made.
/// Returns false if /proc does not show the user namespace.
fn is_fake_root() -> bool {
    let in_user_namespace = runtime_core::is_initial_user_namespace().is_ok_and(|initial| !initial);
    in_user_namespace && std::env::var_os("USER").is_none_or(|user| user != "root")
}
