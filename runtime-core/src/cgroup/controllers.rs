// SPDX-License-Identifier: Apache-2.0
//! Controllers, which each cgroup gets from its parent. They are enabled from the root
//! downwards. If a limit needs a controller that cannot be enabled, the error says why.

use super::group::Cgroup;
use super::hierarchy::Hierarchy;
use crate::error::{Context, Error, ErrorKind, Result};
use crate::path;
use runtime_sys::text::c_str;
use runtime_sys::{Errno, fd};
use std::ffi::CStr;
use std::os::fd::{AsFd, OwnedFd};

const AVAILABLE: &CStr = c"cgroup.controllers";
const ENABLED: &CStr = c"cgroup.subtree_control";

fn list(dir: impl AsFd, file: &CStr) -> runtime_sys::Result<Vec<String>> {
    let text = fd::read_piece(dir, file)?;
    Ok(String::from_utf8_lossy(&text).split_ascii_whitespace().map(str::to_owned).collect())
}

fn enable(dir: impl AsFd, controllers: &[String]) -> runtime_sys::Result<()> {
    fd::write_file(dir, ENABLED, format!("+{}", controllers.join(" +")).as_bytes())
}

/// Opens each directory from the root of the hierarchy to the parent of `path`.
fn ancestors(
    hierarchy: &Hierarchy,
    path: &str,
) -> impl Iterator<Item = runtime_sys::Result<(String, OwnedFd)>> {
    let parts: Vec<&str> = path.split('/').collect();
    let above = (0..parts.len()).map(move |n| parts.get(..n).unwrap_or_default().join("/"));
    above.map(|name| {
        let relative = if name.is_empty() { c".".to_owned() } else { c_str(name.as_str())? };
        Ok((hierarchy.absolute(&name), hierarchy.open_dir(&relative)?))
    })
}

impl Cgroup {
    /// Enables every available controller for the cgroup, as far as possible. A missing
    /// controller is no error here: [`check`] reports one that a limit needs.
    pub(super) fn enable_controllers(&self, hierarchy: &Hierarchy) -> Result<()> {
        let Some(path) = hierarchy.relative(&self.path) else { return Ok(()) };
        enable_all(hierarchy, path, self).context(|| format!("enable controllers for {}", self.path))
    }
}

fn enable_all(hierarchy: &Hierarchy, path: &str, cgroup: &Cgroup) -> runtime_sys::Result<()> {
    let all = list(&hierarchy.root, AVAILABLE)?;
    if list(&cgroup.dir, AVAILABLE)?.len() == all.len() {
        return Ok(());
    }
    for ancestor in ancestors(hierarchy, path) {
        let (_, dir) = ancestor?;
        let enabled = list(&dir, ENABLED)?;
        let mut missing = list(&dir, AVAILABLE)?;
        missing.retain(|controller| !enabled.contains(controller));
        if missing.is_empty() {
            continue;
        }
        match enable(&dir, &missing) {
            Ok(()) => {}
            // The ancestor has processes of its own. Threaded controllers could be
            // enabled one by one. But they would make the ancestor the root of a threaded
            // subtree, in which no container can run (cgroups(7), "Thread mode").
            Err(Errno::EBUSY) => break,
            Err(_) => {
                for controller in missing {
                    // A controller that no limit needs may be missing.
                    runtime_sys::ignore(enable(&dir, &[controller]));
                }
            }
        }
    }
    Ok(())
}

/// Returns the writes that enable controllers for a cgroup that is to be used: pairs of a file and its
/// text. Each of them may be refused.
pub(crate) fn planned(hierarchy: &Hierarchy, path: &str) -> runtime_sys::Result<Vec<(String, String)>> {
    let all = list(&hierarchy.root, AVAILABLE)?;
    let parts: Vec<&str> = path.split('/').collect();
    let mut writes = Vec::new();
    for n in 0..parts.len() {
        let name = parts.get(..n).unwrap_or_default().join("/");
        let relative = if name.is_empty() { c".".to_owned() } else { c_str(name.as_str())? };
        let enabled = match hierarchy.open_dir(&relative) {
            Ok(dir) => list(&dir, ENABLED)?,
            // It is to be made.
            Err(Errno::ENOENT) => Vec::new(),
            Err(errno) => return Err(errno),
        };
        let missing: Vec<_> = all.iter().filter(|controller| !enabled.contains(controller)).collect();
        if !missing.is_empty() {
            let missing: Vec<String> =
                missing.into_iter().map(|controller| format!("+{controller}")).collect();
            let dir = hierarchy.absolute(&name);
            writes
                .push((format!("{}/{}", dir.trim_end_matches('/'), path::show(ENABLED)), missing.join(" ")));
        }
    }
    Ok(writes)
}

/// Checks that the cgroup has the controllers in `needs`: pairs of a field and its controller.
pub(super) fn check(cgroup: &Cgroup, needs: &[(&str, &str)]) -> Result<()> {
    if needs.is_empty() {
        return Ok(());
    }
    let have = list(&cgroup.dir, AVAILABLE)
        .map_err(|errno| Error::os(errno, format!("read {}/cgroup.controllers", cgroup.path)))?;
    match needs.iter().find(|(_, controller)| have.iter().all(|one| one != controller)) {
        None => Ok(()),
        Some((field, controller)) => Err(missing(cgroup, field, controller)),
    }
}

/// Returns the error for a missing controller, with the reason as its hint.
fn missing(cgroup: &Cgroup, field: &str, controller: &str) -> Error {
    let error = Error::new(
        ErrorKind::Unsupported,
        format!("{field}: controller {controller:?} not available in {}", cgroup.path),
    );
    match find_break(cgroup, controller) {
        Ok(why) => error.with_hint(why),
        // The reason is only a hint: the error is complete without it.
        Err(_) => error,
    }
}

/// Finds the ancestor for which the controller cannot be enabled, and returns the reason.
fn find_break(cgroup: &Cgroup, controller: &str) -> Result<String> {
    let hierarchy = Hierarchy::find()?;
    let Some(path) = hierarchy.relative(&cgroup.path) else { return Ok(String::new()) };
    let system = |errno| Error::os(errno, "read cgroup.controllers");
    let all = list(&hierarchy.root, AVAILABLE).map_err(system)?;
    if all.iter().all(|one| one != controller) {
        let beside = if hierarchy.is_hybrid() { "; the others belong to cgroup v1 on this host" } else { "" };
        return Ok(format!("cgroup2 has these controllers here: {}{beside}", all.join(", ")));
    }
    for ancestor in ancestors(&hierarchy, path) {
        let (name, dir) = ancestor.map_err(system)?;
        if list(&dir, ENABLED).map_err(system)?.iter().any(|one| one == controller) {
            continue;
        }
        return Ok(match enable(&dir, &[controller.to_owned()]) {
            Ok(()) => continue,
            Err(Errno::EBUSY) => format!(
                "{name} has processes of its own, so it cannot have controllers for cgroups below it; \
                 choose another linux.cgroupsPath"
            ),
            Err(errno) => {
                let errno = crate::error::OsError(errno as i32);
                format!("it cannot be enabled in {name}/{}: {errno}", path::show(ENABLED))
            }
        });
    }
    Ok(String::new())
}
