// SPDX-License-Identifier: Apache-2.0
//! The mounts that the caller gives for the root file system: the rules that they have besides those
//! of `mounts`.

use super::field::{invalid, unsupported};
use super::mounts::{Filesystem, Follow, IdMap, Mount, MountSource};
use super::namespaces::{check_map, ranges};
use crate::error::{Result, Warning};
use crate::path::clean;
use crate::spec;
use runtime_sys::mount::Depth;
use std::fmt::Arguments;

/// A mount of the root file system, checked.
#[derive(Debug)]
pub(crate) struct RootfsMount {
    pub(crate) mount: Mount,
    /// The id mappings of the lower layers of an overlay.
    pub(crate) layers: Option<IdMap>,
}

/// Checks the mounts. A relative source begins at `bundle`. `rootfs` is the absolute path of the rootfs.
pub(crate) fn checked(
    mut given: Vec<spec::Mount>,
    bundle: &str,
    rootfs: &str,
    warnings: &mut Vec<Warning>,
) -> Result<Vec<RootfsMount>> {
    if let Some(first) = given.first().filter(|first| !clean(&first.destination).is_empty()) {
        let why = format!(
            "{:?}: the first mount is the root itself, whose destination is empty",
            first.destination
        );
        return Err(invalid("rootfs_mounts[0].destination", why));
    }
    if given.is_empty() {
        return Err(invalid("rootfs_mounts", "there is no mount"));
    }
    let mounts = given.iter_mut().enumerate().map(|(i, mount)| {
        if mount.destination.is_empty() {
            "/".clone_into(&mut mount.destination);
        }
        let at = format_args!("rootfs_mounts[{i}]");
        take_mappings(at, mount)?;
        // A bind mount has the mappings itself, whatever its type is called.
        let is_bind = mount.options.iter().any(|option| option == "bind" || option == "rbind");
        let layers = if mount.kind == "overlay" && !is_bind { layer_map(at, i, mount)? } else { None };
        let checked = Mount::checked(at, mount, bundle, &clean(rootfs))?;
        checked.warn_of_ignored_options(at, warnings);
        let unfit = match &checked.source {
            MountSource::Remount { .. } => Some("options"),
            MountSource::Bind { follow: Follow::Copy, .. } => Some("options"),
            MountSource::Bind { id_map: Some(map), .. } if map.uid.is_empty() => Some("options"),
            MountSource::New { kind, .. } if !matches!(kind, Filesystem::Tmpfs | Filesystem::Other) => {
                Some("type")
            }
            _ => None,
        };
        match unfit {
            Some("type") => Err(unsupported(
                format_args!("{at}.type"),
                format_args!("{:?} belongs into the mounts of config.json", mount.kind),
            )),
            Some(field) => Err(unsupported(
                format_args!("{at}.{field}"),
                "remount, copy-symlink, and idmap without mappings of its own are for the mounts of config.json",
            )),
            None => Ok(RootfsMount { mount: checked, layers }),
        }
    });
    mounts.collect()
}

/// Turns containerd's options `uidmap` and `gidmap` into the properties of config.json. The other options
/// keep their indices, which are in errors: an empty option has no effect.
fn take_mappings(at: Arguments<'_>, mount: &mut spec::Mount) -> Result<()> {
    for (i, option) in mount.options.iter_mut().enumerate() {
        let (ranges, mappings) = if let Some(ranges) = option.strip_prefix("uidmap=") {
            (ranges, &mut mount.uid_mappings)
        } else if let Some(ranges) = option.strip_prefix("gidmap=") {
            (ranges, &mut mount.gid_mappings)
        } else {
            continue;
        };
        for range in ranges.split(',') {
            let mut numbers = range.split(':').map(str::parse);
            let (Some(Ok(container_id)), Some(Ok(host_id)), Some(Ok(size)), None) =
                (numbers.next(), numbers.next(), numbers.next(), numbers.next())
            else {
                let why = format_args!("{option:?}: ranges have the form CONTAINER_ID:HOST_ID:SIZE");
                return Err(invalid(format_args!("{at}.options[{i}]"), why));
            };
            mappings.push(spec::IdMapping { container_id, host_id, size });
        }
        option.clear();
    }
    Ok(())
}

/// Takes the mappings of an overlay, which are for its lower layers.
fn layer_map(at: Arguments<'_>, i: usize, mount: &mut spec::Mount) -> Result<Option<IdMap>> {
    let (uid, gid) = (ranges(&mount.uid_mappings), ranges(&mount.gid_mappings));
    if uid.is_empty() && gid.is_empty() {
        return Ok(None);
    }
    if uid.is_empty() || gid.is_empty() {
        return Err(invalid(format_args!("{at}.options"), "uidmap and gidmap must be given together"));
    }
    if i > 0 {
        let why = "the layers of an overlay are id-mapped only if it is the first mount";
        return Err(unsupported(format_args!("{at}.options"), why));
    }
    check_map(format_args!("{at}.uidMappings"), &uid)?;
    check_map(format_args!("{at}.gidMappings"), &gid)?;
    mount.uid_mappings.clear();
    mount.gid_mappings.clear();
    Ok(Some(IdMap { depth: Depth::One, uid, gid }))
}
