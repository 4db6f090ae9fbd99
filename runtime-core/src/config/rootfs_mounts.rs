// SPDX-License-Identifier: Apache-2.0
//! The mounts that the caller gives for the root file system: the rules that they have besides those
//! of `mounts`.

use super::field::{invalid, unsupported};
use super::mounts::{Filesystem, Follow, Mount, MountSource};
use crate::error::Result;
use crate::path::clean;
use crate::spec;

/// Checks the mounts. A relative source begins at `bundle`. `rootfs` is the absolute path of the rootfs.
pub(crate) fn checked(mut given: Vec<spec::Mount>, bundle: &str, rootfs: &str) -> Result<Vec<Mount>> {
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
        let checked = Mount::checked(at, mount, bundle, &clean(rootfs))?;
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
            None => Ok(checked),
        }
    });
    mounts.collect()
}
