// SPDX-License-Identifier: Apache-2.0
//! `mounts[].options`: the option names of mount(8), runc and crun, and their effects.

use super::super::field::{c_string, invalid};
use super::flags::{ATTR_RELATIME, Flags, MS_NOSYMFOLLOW};
use crate::error::Result;
use libc::{
    MS_BIND, MS_DIRSYNC, MS_I_VERSION, MS_LAZYTIME, MS_MANDLOCK, MS_NOATIME, MS_NODEV, MS_NODIRATIME,
    MS_NOEXEC, MS_NOSUID, MS_PRIVATE, MS_RDONLY, MS_REC, MS_RELATIME, MS_REMOUNT, MS_SHARED, MS_SILENT,
    MS_SLAVE, MS_STRICTATIME, MS_SYNCHRONOUS, MS_UNBINDABLE, c_ulong,
};
use runtime_sys::mount::{Depth, MountAttr, attr};
use std::ffi::{CStr, CString};
use std::fmt::Arguments;

/// The effect of an option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Effect {
    /// Changes nothing (`defaults`).
    None,
    /// Sets a flag of mount(2).
    Set(c_ulong),
    /// Clears a flag of mount(2).
    Clear(c_ulong),
    /// Sets the propagation.
    Propagation(c_ulong, Depth),
    /// Sets an attribute on all mounts of the tree.
    SetAll(u64),
    /// Clears an attribute on all mounts of the tree.
    ClearAll(u64),
    /// Fills a new tmpfs with the files that it covers.
    CopyUp,
    /// Makes an id-mapped mount.
    IdMap(Depth),
    /// Does not follow a link at the end of the source (an option of crun).
    SourceNoFollow,
    /// Does not follow a link at the end of the destination (an option of crun).
    DestinationNoFollow,
    /// Copies a link instead of mounting its target (an option of crun).
    CopySymlink,
}

use Effect::{Clear, ClearAll, CopyUp, Propagation, Set, SetAll};

/// The options that are not passed on to the file system. `features` prints them.
const OPTIONS: &[(&str, Effect)] = &[
    ("async", Clear(MS_SYNCHRONOUS)),
    ("atime", Clear(MS_NOATIME)),
    ("bind", Set(MS_BIND)),
    ("copy-symlink", Effect::CopySymlink),
    ("defaults", Effect::None),
    ("dest-nofollow", Effect::DestinationNoFollow),
    ("dev", Clear(MS_NODEV)),
    ("diratime", Clear(MS_NODIRATIME)),
    ("dirsync", Set(MS_DIRSYNC)),
    ("exec", Clear(MS_NOEXEC)),
    ("idmap", Effect::IdMap(Depth::One)),
    ("iversion", Set(MS_I_VERSION)),
    ("lazytime", Set(MS_LAZYTIME)),
    ("loud", Clear(MS_SILENT)),
    ("mand", Set(MS_MANDLOCK)),
    ("noatime", Set(MS_NOATIME)),
    ("nodev", Set(MS_NODEV)),
    ("nodiratime", Set(MS_NODIRATIME)),
    ("noexec", Set(MS_NOEXEC)),
    ("noiversion", Clear(MS_I_VERSION)),
    ("nolazytime", Clear(MS_LAZYTIME)),
    ("nomand", Clear(MS_MANDLOCK)),
    ("norelatime", Clear(MS_RELATIME)),
    ("nostrictatime", Clear(MS_STRICTATIME)),
    ("nosuid", Set(MS_NOSUID)),
    ("nosymfollow", Set(MS_NOSYMFOLLOW)),
    ("private", Propagation(MS_PRIVATE, Depth::One)),
    ("ratime", ClearAll(attr::NOATIME)),
    ("rbind", Set(MS_BIND | MS_REC)),
    ("rdev", ClearAll(attr::NODEV)),
    ("rdiratime", ClearAll(attr::NODIRATIME)),
    ("relatime", Set(MS_RELATIME)),
    ("remount", Set(MS_REMOUNT)),
    ("rexec", ClearAll(attr::NOEXEC)),
    ("ridmap", Effect::IdMap(Depth::All)),
    ("rnoatime", SetAll(attr::NOATIME)),
    ("rnodev", SetAll(attr::NODEV)),
    ("rnodiratime", SetAll(attr::NODIRATIME)),
    ("rnoexec", SetAll(attr::NOEXEC)),
    ("rnorelatime", ClearAll(ATTR_RELATIME)),
    ("rnostrictatime", ClearAll(attr::STRICTATIME)),
    ("rnosuid", SetAll(attr::NOSUID)),
    ("rnosymfollow", SetAll(attr::NOSYMFOLLOW)),
    ("ro", Set(MS_RDONLY)),
    ("rprivate", Propagation(MS_PRIVATE, Depth::All)),
    ("rrelatime", SetAll(ATTR_RELATIME)),
    ("rro", SetAll(attr::RDONLY)),
    ("rrw", ClearAll(attr::RDONLY)),
    ("rshared", Propagation(MS_SHARED, Depth::All)),
    ("rslave", Propagation(MS_SLAVE, Depth::All)),
    ("rstrictatime", SetAll(attr::STRICTATIME)),
    ("rsuid", ClearAll(attr::NOSUID)),
    ("rsymfollow", ClearAll(attr::NOSYMFOLLOW)),
    ("runbindable", Propagation(MS_UNBINDABLE, Depth::All)),
    ("rw", Clear(MS_RDONLY)),
    ("shared", Propagation(MS_SHARED, Depth::One)),
    ("silent", Set(MS_SILENT)),
    ("slave", Propagation(MS_SLAVE, Depth::One)),
    ("src-nofollow", Effect::SourceNoFollow),
    ("strictatime", Set(MS_STRICTATIME)),
    ("suid", Clear(MS_NOSUID)),
    ("symfollow", Clear(MS_NOSYMFOLLOW)),
    ("sync", Set(MS_SYNCHRONOUS)),
    ("tmpcopyup", CopyUp),
    ("unbindable", Propagation(MS_UNBINDABLE, Depth::One)),
];

/// Returns the options that `features` prints.
pub(crate) fn known_options() -> impl Iterator<Item = &'static str> {
    OPTIONS.iter().map(|(name, _)| *name)
}

/// An option for the file system: `key=value` or `key`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FsOption {
    pub(crate) key: CString,
    pub(crate) value: Option<CString>,
}

/// The parsed options of one mount.
#[derive(Default)]
pub(super) struct Options {
    pub(super) flags: Flags,
    pub(super) all: MountAttr,
    pub(super) propagation: Vec<(c_ulong, Depth)>,
    /// The options for the file system, with their indices in the list.
    pub(super) data: Vec<(usize, FsOption)>,
    pub(super) id_map: Option<Depth>,
    pub(super) copy_up: bool,
    pub(super) source_no_follow: bool,
    pub(super) destination_no_follow: bool,
    pub(super) copy_symlink: bool,
}

impl Options {
    /// Parses the options of a mount of the type `fstype`.
    pub(super) fn new(at: Arguments<'_>, fstype: &str, options: &[String]) -> Result<Self> {
        let mut parsed = Options::default();
        for (i, option) in options.iter().enumerate() {
            let Ok(found) = OPTIONS.binary_search_by_key(&option.as_str(), |(name, _)| name) else {
                // Engines write empty options (`podman run --systemd=always`); mount(2) skips them.
                for part in parts(fstype, option).filter(|part| !part.is_empty()) {
                    parsed.data.push((i, fs_option(format_args!("{at}.options[{i}]"), part)?));
                }
                continue;
            };
            parsed.apply(OPTIONS.get(found).map_or(Effect::None, |(_, effect)| *effect));
        }
        Ok(parsed)
    }

    fn apply(&mut self, effect: Effect) {
        // The atime attributes are values of one field. To set a value, mount_setattr(2)
        // requires that the whole field is cleared.
        let field =
            |bits: u64| if bits & attr::ATIME != 0 || bits == ATTR_RELATIME { attr::ATIME } else { bits };
        match effect {
            Effect::None => {}
            Set(flag) => {
                self.flags.set |= flag;
                self.flags.cleared &= !flag;
            }
            Clear(flag) => {
                self.flags.set &= !flag;
                self.flags.cleared |= flag;
            }
            Propagation(flag, depth) => self.propagation.push((flag, depth)),
            SetAll(bits) => {
                if field(bits) == attr::ATIME {
                    self.all.set &= !attr::ATIME;
                    self.all.clear |= attr::ATIME;
                } else {
                    self.all.clear &= !bits;
                }
                self.all.set |= bits;
            }
            ClearAll(bits) => {
                self.all.set &= !bits;
                self.all.clear |= field(bits);
            }
            CopyUp => self.copy_up = true,
            Effect::IdMap(depth) => self.id_map = Some(depth),
            Effect::SourceNoFollow => self.source_no_follow = true,
            Effect::DestinationNoFollow => self.destination_no_follow = true,
            Effect::CopySymlink => self.copy_symlink = true,
        }
    }
}

/// The mount options of SELinux. Their values may have commas.
pub(crate) const LABEL_OPTIONS: [&CStr; 4] = [c"context", c"defcontext", c"fscontext", c"rootcontext"];

/// Splits an option at its commas in the way that the file system splits the data of
/// mount(2).
fn parts<'a>(fstype: &'a str, option: &'a str) -> impl Iterator<Item = &'a str> {
    let mut rest = Some(option);
    std::iter::from_fn(move || {
        let (first, others) = split_first(fstype, rest?);
        rest = others;
        Some(first)
    })
}

/// Returns the first option in `rest`, and the options after its comma.
fn split_first<'a>(fstype: &str, rest: &'a str) -> (&'a str, Option<&'a str>) {
    let is_label = rest.split_once('=').is_some_and(|(key, _)| is_label(key));
    let mut quoted = false;
    let mut escaped = false;
    for (i, byte) in rest.bytes().enumerate() {
        let digit_follows = || rest.as_bytes().get(i + 1).is_some_and(u8::is_ascii_digit);
        match byte {
            // As in selinux_sb_eat_lsm_opts() of the kernel: `context="user:role:type:s0:c1,c2"`.
            b'"' if is_label => quoted = !quoted,
            // As in ovl_next_opt(): a backslash escapes the next byte.
            b'\\' if fstype == "overlay" && !escaped => {
                escaped = true;
                continue;
            }
            // As in shmem_next_opt(): `mpol=bind:0,2`.
            b',' if quoted || escaped || fstype == "tmpfs" && digit_follows() => {}
            b',' => {
                let (first, others) = rest.split_at(i);
                return (first, others.strip_prefix(','));
            }
            _ => {}
        }
        escaped = false;
    }
    (rest, None)
}

fn is_label(key: &str) -> bool {
    LABEL_OPTIONS.iter().any(|option| option.to_bytes() == key.as_bytes())
}

fn fs_option(at: Arguments<'_>, option: &str) -> Result<FsOption> {
    let (key, value) = match option.split_once('=') {
        Some((key, value)) => (key, Some(value)),
        None => (option, None),
    };
    if key.is_empty() {
        return Err(invalid(at, format_args!("{option:?} has no name")));
    }
    let value = value.map(|value| if is_label(key) { value.replace('"', "") } else { value.to_owned() });
    Ok(FsOption { key: c_string(at, key)?, value: value.map(|value| c_string(at, &value)).transpose()? })
}

/// Returns the flag and the depth of `linux.rootfsPropagation`.
pub(crate) fn rootfs_propagation(value: &str) -> Result<Option<(c_ulong, Depth)>> {
    if value.is_empty() {
        return Ok(None);
    }
    match OPTIONS.iter().find(|(name, _)| *name == value) {
        Some((_, Propagation(flag, depth))) => Ok(Some((*flag, *depth))),
        _ => Err(invalid(
            "linux.rootfsPropagation",
            format_args!(
                "{value:?} is not supported (known: [r]private, [r]shared, [r]slave, [r]unbindable)"
            ),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted() {
        assert!(OPTIONS.is_sorted_by_key(|(name, _)| name));
    }

    #[test]
    fn an_empty_option_is_ignored() {
        let options = ["", "ro", "", "size=1k", ""].map(str::to_owned);
        let parsed = Options::new(format_args!("mounts[0]"), "tmpfs", &options).unwrap();
        assert_eq!(parsed.flags.set, MS_RDONLY);
        let size = FsOption { key: c"size".into(), value: Some(c"1k".into()) };
        assert_eq!(parsed.data, [(3, size)]);
    }

    #[test]
    fn options_in_one_string_are_split() {
        let split = |fstype: &str, option: &str| {
            let parsed = Options::new(format_args!("mounts[0]"), fstype, &[option.to_owned()]).unwrap();
            let text = |(_, option): &(usize, FsOption)| match &option.value {
                Some(value) => format!("{}={}", option.key.to_string_lossy(), value.to_string_lossy()),
                None => option.key.to_string_lossy().into_owned(),
            };
            parsed.data.iter().map(text).collect::<Vec<_>>()
        };
        assert_eq!(split("tmpfs", ",size=64m,,mode=0700,"), ["size=64m", "mode=0700"]);
        assert_eq!(split("tmpfs", "mpol=bind:0,2-3,size=1k"), ["mpol=bind:0,2-3", "size=1k"]);
        assert_eq!(split("ext4", "x=0,2"), ["x=0", "2"]);
        assert_eq!(split("overlay", r"lowerdir=/a\,b:/c,index=off"), [r"lowerdir=/a\,b:/c", "index=off"]);
        assert_eq!(split("overlay", r"lowerdir=/a\\,index=off"), [r"lowerdir=/a\\", "index=off"]);
        assert_eq!(split("tmpfs", r"a\,b"), [r"a\", "b"]);
        let label = r#"context="u:object_r:t:s0:c1,c2",size=1k"#;
        assert_eq!(split("tmpfs", label), ["context=u:object_r:t:s0:c1,c2", "size=1k"]);
        assert_eq!(split("x", r#"name="a,b""#), [r#"name="a"#, r#"b""#]);
    }

    #[test]
    fn the_propagation_of_the_rootfs_is_parsed() {
        assert_eq!(rootfs_propagation("rslave").unwrap(), Some((MS_SLAVE, Depth::All)));
        assert_eq!(rootfs_propagation("").unwrap(), None);
        assert!(
            rootfs_propagation("ro").unwrap_err().report().starts_with("linux.rootfsPropagation: \"ro\"")
        );
    }
}
