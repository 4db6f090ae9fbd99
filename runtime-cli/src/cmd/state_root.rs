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
    let Some(root) = globals.get(ROOT).map(Path::new) else { return default_root() };
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
    Ok(clean)
}

fn default_root() -> Result<PathBuf, Failure> {
    let system = PathBuf::from("/run/runc");
    let Some(user) = std::env::var_os("XDG_RUNTIME_DIR").filter(|dir| !dir.is_empty()) else {
        return Ok(system);
    };
    if nix::unistd::geteuid().is_root() && !is_fake_root() {
        return Ok(system);
    }
    let root = PathBuf::from(user).join("runc");
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
