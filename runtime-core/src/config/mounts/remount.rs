// SPDX-License-Identifier: Apache-2.0
//! The option `remount`, which changes the options of an existing mount.

use super::options::{FsOption, Options};
use super::source::MountSource;
use crate::config::field::{invalid, unsupported};
use crate::error::Result;
use crate::spec;
use libc::MS_BIND;
use std::fmt::Arguments;

/// The longest key or value that fsconfig(2) takes, in bytes.
const PARAMETER_MAX: usize = 255;

/// Checks the options of a remount. With `bind`, a remount changes only the mount; without
/// `bind`, it also changes the file system (mount(2)).
pub(super) fn remount(at: Arguments<'_>, spec: &spec::Mount, options: &Options) -> Result<MountSource> {
    let is_bind = options.flags.set & MS_BIND != 0;
    for (i, FsOption { key, value }) in &options.data {
        let at = format_args!("{at}.options[{i}]");
        if is_bind {
            let why = "a remount with bind cannot change options of the file system";
            return Err(invalid(at, format_args!("unknown option {:?}: {why}", key.to_string_lossy())));
        }
        let longest = value.as_ref().map_or(0, |value| value.as_bytes().len()).max(key.as_bytes().len());
        if longest > PARAMETER_MAX {
            let why = format_args!("{longest} bytes; in a remount the kernel accepts {PARAMETER_MAX}");
            return Err(unsupported(at, why));
        }
    }
    let given = [
        ("options", options.id_map.is_some(), "ids cannot be mapped by a remount"),
        ("options", options.copy_up, "tmpcopyup is for a new tmpfs only"),
        ("options", options.source_no_follow || options.copy_symlink, "a remount has no source"),
        ("uidMappings", !spec.uid_mappings.is_empty(), "ids cannot be mapped by a remount"),
        ("gidMappings", !spec.gid_mappings.is_empty(), "ids cannot be mapped by a remount"),
    ];
    match given.iter().find(|(_, is_given, _)| *is_given) {
        Some((field, _, why)) => Err(invalid(format_args!("{at}.{field}"), why)),
        None => Ok(MountSource::Remount {
            is_bind,
            options: options.data.iter().map(|(_, option)| option.clone()).collect(),
        }),
    }
}
