// SPDX-License-Identifier: Apache-2.0
//! `mounts`: options as in mount(8), destinations, and what may be below /proc.

use super::field::{c_string, invalid, lookup, unsupported};
use super::namespaces::check_map;
use crate::error::Result;
use crate::path::clean;
use crate::spec;
use crate::sys::mount::{Depth, MountAttr, attr};
use libc::{
    MS_BIND, MS_DIRSYNC, MS_I_VERSION, MS_LAZYTIME, MS_MANDLOCK, MS_NOATIME, MS_NODEV, MS_NODIRATIME,
    MS_NOEXEC, MS_NOSUID, MS_PRIVATE, MS_RDONLY, MS_REC, MS_RELATIME, MS_REMOUNT, MS_SHARED, MS_SILENT,
    MS_SLAVE, MS_STRICTATIME, MS_SYNCHRONOUS, MS_UNBINDABLE, c_ulong,
};
use std::collections::BTreeMap;
use std::ffi::{CStr, CString};

/// MS_NOSYMFOLLOW of mount(2), since 5.10.
pub(crate) const MS_NOSYMFOLLOW: c_ulong = 256;

/// Flags that are properties of a mount, not of its file system.
const ATIME_FLAGS: c_ulong = MS_NOATIME | MS_NODIRATIME | MS_RELATIME | MS_STRICTATIME;

/// What an option does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Effect {
    /// Nothing: `defaults`.
    None,
    /// Sets a flag of mount(2).
    Set(c_ulong),
    /// Clears one.
    Clear(c_ulong),
    /// Sets the propagation.
    Propagation(c_ulong, Depth),
    /// Sets an attribute on all mounts of the tree.
    SetAll(u64),
    /// Clears one.
    ClearAll(u64),
    /// Fills a new tmpfs with what it covers.
    CopyUp,
    /// Maps ids.
    IdMap(Depth),
    /// crun's: do not follow a link at the end of the source.
    SourceNoFollow,
    /// crun's: do not follow a link at the end of the destination.
    DestinationNoFollow,
    /// crun's: copy a link instead of mounting what it leads to.
    CopySymlink,
}

use Effect::{Clear, ClearAll, CopyUp, Propagation, Set, SetAll};

/// RELATIME is the value 0 of the field [`attr::ATIME`].
const ATTR_RELATIME: u64 = 0;

/// Every option that is not handed to the file system. `features` prints them.
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

/// The options that `features` lists: `idmap` and `ridmap` have a place of their own there.
pub(crate) fn known_options() -> impl Iterator<Item = &'static str> {
    OPTIONS.iter().filter(|(_, effect)| !matches!(effect, Effect::IdMap(_))).map(|(name, _)| *name)
}

/// Files of procfs that may be covered, because lxcfs and its like provide them
/// and because nothing that the runtime reads or writes is among them.
const PROC_FILES: &[&str] = &[
    "proc/cpuinfo",
    "proc/diskstats",
    "proc/loadavg",
    "proc/meminfo",
    "proc/slabinfo",
    "proc/stat",
    "proc/swaps",
    "proc/sys/crypto/fips_enabled",
    "proc/sys/kernel/ns_last_pid",
    "proc/uptime",
];

/// One mount, checked.
#[derive(Debug)]
pub(crate) struct Mount {
    /// Where, relative to the container's root and lexically clean.
    pub(crate) destination: CString,
    pub(crate) source: Source,
    /// Flags of mount(2) that were given, and those that were taken back.
    pub(crate) flags: c_ulong,
    pub(crate) cleared: c_ulong,
    /// Attributes for all mounts of the tree.
    pub(crate) all: MountAttr,
    pub(crate) propagation: Vec<(c_ulong, Depth)>,
    /// A link at the end of the destination is not followed.
    pub(crate) no_follow: bool,
}

/// What is mounted.
#[derive(Debug)]
pub(crate) enum Source {
    /// What is at a path of the host.
    Bind { path: CString, depth: Depth, follow: Follow, id_map: Option<IdMap> },
    /// A new file system.
    New { kind: Filesystem, fstype: CString, source: CString, options: Vec<FsOption>, copy_up: bool },
    /// The mount that is there already, with other flags.
    Remount,
}

/// What to do about a symbolic link at the end of a bind mount's source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Follow {
    /// Mount what it leads to.
    Yes,
    /// Mount the link itself.
    No,
    /// Make the same link in the container.
    Copy,
}

/// File systems that are more than a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Filesystem {
    Proc,
    Sysfs,
    Tmpfs,
    Cgroup,
    Mqueue,
    Other,
}

impl Filesystem {
    /// Whether a label can be a mount option. procfs, sysfs and cgroup2 have
    /// labels for each file by the policy, mqueue takes an extended attribute.
    pub(crate) fn takes_label(self) -> bool {
        matches!(self, Filesystem::Tmpfs | Filesystem::Other)
    }
}

/// An option for the file system: `key=value`, or a word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FsOption {
    pub(crate) key: CString,
    pub(crate) value: Option<CString>,
}

/// The mappings of an id-mapped mount; without ranges: those of the container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct IdMap {
    pub(crate) depth: Depth,
    pub(crate) uid: Vec<spec::IdMapping>,
    pub(crate) gid: Vec<spec::IdMapping>,
}

#[derive(Default)]
struct Parsed {
    set: c_ulong,
    cleared: c_ulong,
    all: MountAttr,
    propagation: Vec<(c_ulong, Depth)>,
    data: Vec<(usize, FsOption)>,
    id_map: Option<Depth>,
    copy_up: bool,
    source_no_follow: bool,
    destination_no_follow: bool,
    copy_symlink: bool,
}

impl Parsed {
    fn new(at: &str, options: &[String]) -> Result<Self> {
        let mut parsed = Parsed::default();
        for (i, option) in options.iter().enumerate() {
            match OPTIONS.binary_search_by_key(&option.as_str(), |(name, _)| name) {
                Ok(found) => parsed.apply(OPTIONS.get(found).map_or(Effect::None, |(_, effect)| *effect)),
                Err(_) => parsed.data.push((i, fs_option(&format!("{at}.options[{i}]"), option)?)),
            }
        }
        Ok(parsed)
    }

    fn apply(&mut self, effect: Effect) {
        // An atime attribute is a value of a field: whoever sets one value
        // clears the field first (mount_setattr(2)).
        let field =
            |bits: u64| if bits & attr::ATIME != 0 || bits == ATTR_RELATIME { attr::ATIME } else { bits };
        match effect {
            Effect::None => {}
            Set(flag) => {
                self.set |= flag;
                self.cleared &= !flag;
            }
            Clear(flag) => {
                self.set &= !flag;
                self.cleared |= flag;
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

/// The longest key or value that fsconfig(2) takes.
const FS_OPTION_MAX: usize = 255;

fn fs_option(at: &str, option: &str) -> Result<FsOption> {
    let (key, value) = match option.split_once('=') {
        Some((key, value)) => (key, Some(value)),
        None => (option, None),
    };
    if key.is_empty() {
        return Err(invalid(at, format_args!("{option:?} has no name")));
    }
    if key.len() > FS_OPTION_MAX || value.is_some_and(|value| value.len() > FS_OPTION_MAX) {
        return Err(unsupported(
            at,
            format_args!("longer than {FS_OPTION_MAX} bytes, the limit of fsconfig(2)"),
        ));
    }
    Ok(FsOption { key: c_string(at, key)?, value: value.map(|value| c_string(at, value)).transpose()? })
}

impl Mount {
    /// `bundle` is where a relative source begins; `rootfs` is the path of the
    /// rootfs, as [`clean`] has it.
    pub(crate) fn new(i: usize, spec: &spec::Mount, bundle: &str, rootfs: &str) -> Result<Self> {
        let at = format!("mounts[{i}]");
        let parsed = Parsed::new(&at, &spec.options)?;
        let destination = in_container(&clean(&spec.destination), rootfs).to_owned();
        if spec.destination.is_empty() || destination.is_empty() {
            return Err(invalid(
                format_args!("{at}.destination"),
                format_args!("{:?} is not a place below the container's root", spec.destination),
            ));
        }
        let is_bind = parsed.set & MS_BIND != 0 || spec.kind == "bind";
        let source = if parsed.set & MS_REMOUNT != 0 {
            Source::Remount
        } else if is_bind {
            bind(&at, spec, bundle, &parsed)?
        } else {
            new_filesystem(&at, spec, &parsed)?
        };
        check_proc(&at, &destination, &source)?;
        let proper = matches!(source, Source::New { kind: Filesystem::Proc | Filesystem::Sysfs, .. });
        Ok(Mount {
            destination: c_string(format_args!("{at}.destination"), &destination)?,
            source,
            flags: parsed.set & !(MS_BIND | MS_REC | MS_REMOUNT),
            cleared: parsed.cleared,
            all: parsed.all,
            propagation: parsed.propagation,
            // CVE-2019-19921, CVE-2023-27561: an image's /proc may be a link.
            no_follow: parsed.destination_no_follow || proper,
        })
    }

    /// True if the mount is to be read-only.
    pub(crate) fn is_readonly(&self) -> bool {
        self.flags & MS_RDONLY != 0
    }

    /// True for `idmap` and `ridmap` without mappings of the mount's own.
    pub(crate) fn takes_mappings_of_container(&self) -> bool {
        matches!(&self.source, Source::Bind { id_map: Some(map), .. } if map.uid.is_empty())
    }

    /// The attributes of a new mount with these flags, as mount(2) derives them.
    pub(crate) fn new_attr(&self) -> u64 {
        attr_of(self.flags)
    }

    /// The change to a bind mount's attributes that these flags mean, `None` if
    /// none was given. As with mount(8), one flag makes a remount, and a remount
    /// without a flag takes that flag away; but atime stays unless it is named.
    pub(crate) fn bind_attr(&self) -> Option<MountAttr> {
        (self.flags != 0 || self.cleared != 0).then(|| change_to(self.flags))
    }

    /// As [`bind_attr`](Self::bind_attr), for a source with the flags `source` (ST_*
    /// of statvfs(3)) that the kernel would lock in the container's mount namespace:
    /// what is not named is kept. The name of a flag that would have to go.
    pub(crate) fn locked_attr(&self, source: u64) -> std::result::Result<Option<MountAttr>, &'static str> {
        if self.flags == 0 && self.cleared == 0 {
            return Ok(None);
        }
        let locked: c_ulong =
            LOCKED.iter().filter(|(st, _, _)| source & st != 0).map(|(_, flag, _)| flag).sum();
        let mut atime: c_ulong = ATIME.iter().filter(|(st, _)| source & st != 0).map(|(_, flag)| flag).sum();
        if atime & (MS_NOATIME | MS_RELATIME) == 0 {
            atime |= MS_STRICTATIME;
        }
        let wanted_atime = self.flags & ATIME_FLAGS;
        let keeps_atime = wanted_atime == 0 || wanted_atime == atime;
        if locked & !self.flags == 0 && keeps_atime {
            return Ok(Some(change_to(self.flags)));
        }
        // Not of its own accord; atime has one name for all of its values.
        if let Some((_, _, name)) = LOCKED.iter().find(|(_, flag, _)| locked & self.cleared & flag != 0) {
            return Err(name);
        }
        if !keeps_atime || atime & self.cleared != 0 {
            return Err("atime");
        }
        Ok(Some(change_to(self.flags | locked | atime)))
    }

    /// The flags of the file system itself, as words for fsconfig(2).
    /// MS_SILENT and MS_I_VERSION have none: the first only quietens the
    /// kernel's log, the second is what file systems do by themselves since 6.0.
    pub(crate) fn superblock_flags(&self) -> impl Iterator<Item = &'static CStr> {
        let kinds = [
            (MS_SYNCHRONOUS, c"sync"),
            (MS_DIRSYNC, c"dirsync"),
            (MS_LAZYTIME, c"lazytime"),
            (MS_MANDLOCK, c"mand"),
        ];
        let flags = self.flags;
        kinds.into_iter().filter(move |(flag, _)| flags & flag != 0).map(|(_, word)| word)
    }
}

/// Flags that the kernel locks: as statvfs(3) has them, as mount(2) has them.
const LOCKED: [(u64, c_ulong, &str); 4] = [
    (libc::ST_RDONLY, MS_RDONLY, "ro"),
    (libc::ST_NOSUID, MS_NOSUID, "nosuid"),
    (libc::ST_NODEV, MS_NODEV, "nodev"),
    (libc::ST_NOEXEC, MS_NOEXEC, "noexec"),
];

/// As [`LOCKED`], together.
const ATIME: [(u64, c_ulong); 3] =
    [(libc::ST_NOATIME, MS_NOATIME), (libc::ST_NODIRATIME, MS_NODIRATIME), (libc::ST_RELATIME, MS_RELATIME)];

/// The change that gives a mount these flags and takes the others away.
fn change_to(flags: c_ulong) -> MountAttr {
    let mut clear = attr::RDONLY | attr::NOSUID | attr::NODEV | attr::NOEXEC | attr::NOSYMFOLLOW;
    if flags & ATIME_FLAGS != 0 {
        clear |= attr::ATIME | attr::NODIRATIME;
    }
    let set = attr_of(flags);
    // The kernel refuses an atime value without the whole field cleared,
    // and wants nothing else in both masks.
    let clear = (clear & !set) | (clear & attr::ATIME);
    let set = if clear & attr::ATIME == 0 { set & !attr::ATIME } else { set };
    MountAttr { set, clear, ..MountAttr::default() }
}

/// MOUNT_ATTR_* for MS_*.
pub(crate) fn attr_of(flags: c_ulong) -> u64 {
    let bits = [
        (MS_RDONLY, attr::RDONLY),
        (MS_NOSUID, attr::NOSUID),
        (MS_NODEV, attr::NODEV),
        (MS_NOEXEC, attr::NOEXEC),
        (MS_NODIRATIME, attr::NODIRATIME),
        (MS_NOSYMFOLLOW, attr::NOSYMFOLLOW),
    ];
    let plain = bits.iter().filter(|(flag, _)| flags & flag != 0).fold(0, |all, (_, bit)| all | bit);
    // path_mount() of the kernel: strictatime beats noatime beats relatime.
    plain
        | if flags & MS_STRICTATIME != 0 {
            attr::STRICTATIME
        } else if flags & MS_NOATIME != 0 {
            attr::NOATIME
        } else {
            ATTR_RELATIME
        }
}

fn bind(at: &str, spec: &spec::Mount, bundle: &str, parsed: &Parsed) -> Result<Source> {
    if let Some((i, option)) = parsed.data.first() {
        return Err(invalid(
            format_args!("{at}.options[{i}]"),
            format_args!(
                "unknown option {:?}: bind mounts cannot have any filesystem-specific options applied",
                option.key.to_string_lossy()
            ),
        ));
    }
    if parsed.copy_up {
        return Err(invalid(format_args!("{at}.options"), "tmpcopyup is for tmpfs only"));
    }
    if spec.source.is_empty() {
        return Err(invalid(format_args!("{at}.source"), "a bind mount needs a source"));
    }
    let path =
        if spec.source.starts_with('/') { spec.source.clone() } else { format!("{bundle}/{}", spec.source) };
    Ok(Source::Bind {
        path: c_string(format_args!("{at}.source"), &path)?,
        depth: if parsed.set & MS_REC != 0 { Depth::All } else { Depth::One },
        follow: match (parsed.copy_symlink, parsed.source_no_follow) {
            (true, _) => Follow::Copy,
            (false, true) => Follow::No,
            (false, false) => Follow::Yes,
        },
        id_map: id_map(at, spec, parsed)?,
    })
}

fn id_map(at: &str, spec: &spec::Mount, parsed: &Parsed) -> Result<Option<IdMap>> {
    if spec.uid_mappings.is_empty() != spec.gid_mappings.is_empty() {
        return Err(invalid(at, "uidMappings and gidMappings come together or not at all"));
    }
    if spec.uid_mappings.is_empty() && parsed.id_map.is_none() {
        return Ok(None);
    }
    check_map(&format!("{at}.uidMappings"), &spec.uid_mappings)?;
    check_map(&format!("{at}.gidMappings"), &spec.gid_mappings)?;
    Ok(Some(IdMap {
        depth: parsed.id_map.unwrap_or(Depth::One),
        uid: spec.uid_mappings.clone(),
        gid: spec.gid_mappings.clone(),
    }))
}

fn new_filesystem(at: &str, spec: &spec::Mount, parsed: &Parsed) -> Result<Source> {
    if spec.kind.is_empty() {
        return Err(invalid(format_args!("{at}.type"), "needed unless the options have bind or rbind"));
    }
    if parsed.id_map.is_some() || !spec.uid_mappings.is_empty() || !spec.gid_mappings.is_empty() {
        return Err(invalid(at, "id-mapped mounts are only supported for bind-mounts"));
    }
    if parsed.source_no_follow || parsed.copy_symlink {
        return Err(invalid(
            format_args!("{at}.options"),
            "src-nofollow and copy-symlink are for bind mounts only",
        ));
    }
    let kind = match spec.kind.as_str() {
        "proc" => Filesystem::Proc,
        "sysfs" => Filesystem::Sysfs,
        "tmpfs" => Filesystem::Tmpfs,
        "cgroup" | "cgroup2" => Filesystem::Cgroup,
        "mqueue" => Filesystem::Mqueue,
        _ => Filesystem::Other,
    };
    if parsed.copy_up && kind != Filesystem::Tmpfs {
        return Err(invalid(format_args!("{at}.options"), "tmpcopyup is for tmpfs only"));
    }
    Ok(Source::New {
        kind,
        fstype: match kind {
            // The specification's name for whatever control groups the host has.
            Filesystem::Cgroup => c"cgroup2".to_owned(),
            _ => c_string(format_args!("{at}.type"), &spec.kind)?,
        },
        source: match spec.source.as_str() {
            "" => c_string(format_args!("{at}.type"), &spec.kind)?,
            source => c_string(format_args!("{at}.source"), source)?,
        },
        options: parsed.data.iter().map(|(_, option)| option.clone()).collect(),
        copy_up: parsed.copy_up,
    })
}

/// A destination that begins with the path of the rootfs is taken from there:
/// callers that know the container by its path on the host rely on runc for that.
fn in_container<'a>(destination: &'a str, rootfs: &str) -> &'a str {
    match destination.strip_prefix(rootfs).filter(|_| !rootfs.is_empty()) {
        Some("") => "",
        Some(rest) => rest.strip_prefix('/').unwrap_or(destination),
        None => destination,
    }
}

/// Nothing but procfs on /proc, and below it only files that the runtime never
/// uses: its writes of labels and kernel parameters must reach the kernel
/// (CVE-2019-16884). Where the path leads inside the image is checked again by
/// `init`, on the opened target.
fn check_proc(at: &str, destination: &str, source: &Source) -> Result<()> {
    let path = format_args!("{at}.destination").to_string();
    match source {
        Source::Remount => Ok(()),
        // A bind of a procfs is fine; the plan looks at what the source is.
        Source::Bind { .. } | Source::New { kind: Filesystem::Proc, .. } if destination == "proc" => Ok(()),
        _ if destination == "proc" => {
            Err(invalid(path, "\"/proc\" cannot be mounted because it is not of type proc"))
        }
        _ if destination.starts_with("proc/") && !is_proc_file(destination.as_bytes()) => Err(invalid(
            path,
            format_args!("\"/{destination}\" cannot be mounted because it is inside /proc"),
        )),
        _ => Ok(()),
    }
}

/// True if `path` (relative to the container's root) is a file of procfs that may be covered.
pub(crate) fn is_proc_file(path: &[u8]) -> bool {
    PROC_FILES.iter().any(|file| file.as_bytes() == path)
}

/// crun's annotation for which of a mount's labels `linux.mountLabel` is.
pub(crate) const LABEL_ANNOTATION: &str = "run.oci.mount_context_type";

/// `linux.mountLabel`: the label, and the mount option that sets it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MountLabel {
    pub(crate) option: &'static CStr,
    pub(crate) label: CString,
}

/// Reads `linux.mountLabel` and the annotation that goes with it.
pub(crate) fn label(label: &str, annotations: &BTreeMap<String, String>) -> Result<Option<MountLabel>> {
    let kinds = [
        ("context", c"context"),
        ("defcontext", c"defcontext"),
        ("fscontext", c"fscontext"),
        ("rootcontext", c"rootcontext"),
    ];
    let option = match annotations.get(LABEL_ANNOTATION) {
        None => c"context",
        Some(kind) => {
            lookup(format_args!("annotations.{LABEL_ANNOTATION}"), "no such mount option:", kind, &kinds)?
        }
    };
    if label.is_empty() {
        return Ok(None);
    }
    Ok(Some(MountLabel { option, label: c_string("linux.mountLabel", label)? }))
}

/// `linux.rootfsPropagation`: the flag and how deep it goes.
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

    fn spec(destination: &str, kind: &str, source: &str, options: &[&str]) -> spec::Mount {
        spec::Mount {
            destination: destination.into(),
            kind: kind.into(),
            source: source.into(),
            options: options.iter().map(|o| (*o).into()).collect(),
            ..Default::default()
        }
    }

    fn parse(destination: &str, kind: &str, source: &str, options: &[&str]) -> Result<Mount> {
        Mount::new(3, &spec(destination, kind, source, options), "/bundle", "bundle/rootfs")
    }

    fn report(destination: &str, kind: &str, source: &str, options: &[&str]) -> String {
        parse(destination, kind, source, options).unwrap_err().report()
    }

    #[test]
    fn the_table_is_sorted() {
        assert!(OPTIONS.is_sorted_by_key(|(name, _)| name));
        assert_eq!(known_options().count(), OPTIONS.len() - 2);
    }

    #[test]
    fn options_become_flags_or_go_to_the_file_system() {
        let m =
            parse("/dev//./pts/", "devpts", "devpts", &["nosuid", "newinstance", "gid=5", "noexec", "exec"])
                .unwrap();
        assert_eq!(m.destination.as_c_str(), c"dev/pts");
        assert_eq!(m.new_attr(), attr::NOSUID);
        let Source::New { options, kind, .. } = &m.source else { panic!("{m:?}") };
        assert_eq!(*kind, Filesystem::Other);
        assert_eq!(options.len(), 2);
        assert_eq!(options[0], FsOption { key: c"newinstance".into(), value: None });
        assert_eq!(options[1], FsOption { key: c"gid".into(), value: Some(c"5".into()) });
    }

    #[test]
    fn atime_is_one_field() {
        let attr = |options: &[&str]| parse("/x", "tmpfs", "", options).unwrap().new_attr();
        assert_eq!(attr(&[]), ATTR_RELATIME);
        assert_eq!(attr(&["noatime"]), attr::NOATIME);
        assert_eq!(attr(&["noatime", "atime"]), ATTR_RELATIME);
        assert_eq!(attr(&["noatime", "strictatime"]), attr::STRICTATIME);
        let all = |options: &[&str]| parse("/x", "", "/s", &[&["rbind"], options].concat()).unwrap().all;
        assert_eq!(
            all(&["rnoatime"]),
            MountAttr { set: attr::NOATIME, clear: attr::ATIME, ..Default::default() }
        );
        assert_eq!(all(&["rnoatime", "rrelatime"]), MountAttr { clear: attr::ATIME, ..Default::default() });
        assert_eq!(all(&["rro", "rrw"]), MountAttr { clear: attr::RDONLY, ..Default::default() });
        assert_eq!(all(&["rrw", "rro"]), MountAttr { set: attr::RDONLY, ..Default::default() });
    }

    #[test]
    fn a_bind_without_flags_changes_nothing_and_one_flag_replaces_all_but_atime() {
        let m = parse("/x", "bind", "src", &[]).unwrap();
        let Source::Bind { path, depth, .. } = &m.source else { panic!("{m:?}") };
        assert_eq!((path.as_c_str(), *depth), (c"/bundle/src", Depth::One));
        assert_eq!(m.bind_attr(), None);
        let change = parse("/x", "", "/s", &["rbind", "ro"]).unwrap().bind_attr().unwrap();
        assert_eq!(change.set, attr::RDONLY);
        assert_eq!(change.clear, attr::NOSUID | attr::NODEV | attr::NOEXEC | attr::NOSYMFOLLOW);
        let change = parse("/x", "", "/s", &["rbind", "rw"]).unwrap().bind_attr().unwrap();
        assert_eq!(change.set, 0);
        assert_ne!(change.clear & attr::RDONLY, 0);
        let change = parse("/x", "", "/s", &["rbind", "noatime"]).unwrap().bind_attr().unwrap();
        assert_eq!(change.set, attr::NOATIME);
        assert_eq!(change.clear & attr::ATIME, attr::ATIME);
    }

    #[test]
    fn locked_flags_are_kept_or_refused() {
        use libc::{ST_NOATIME, ST_NODEV, ST_NOEXEC, ST_RDONLY, ST_RELATIME};
        let locked = |options: &[&str], source: u64| {
            parse("/x", "", "/s", &[&["bind"], options].concat()).unwrap().locked_attr(source)
        };
        assert_eq!(locked(&[], ST_RDONLY).unwrap(), None);
        // Nothing would have to go.
        let change = locked(&["ro"], ST_RDONLY | ST_RELATIME).unwrap().unwrap();
        assert_eq!((change.set, change.clear & attr::ATIME), (attr::RDONLY, 0));
        let change = locked(&["nosuid"], ST_RDONLY | ST_NODEV | ST_NOATIME).unwrap().unwrap();
        assert_eq!(change.set, attr::RDONLY | attr::NODEV | attr::NOSUID | attr::NOATIME);
        assert_eq!(locked(&["rw"], ST_RDONLY).unwrap_err(), "ro");
        assert_eq!(locked(&["ro", "exec"], ST_NOEXEC).unwrap_err(), "noexec");
        assert_eq!(locked(&["noatime"], ST_RELATIME).unwrap_err(), "atime");
        assert_eq!(locked(&["strictatime"], 0).unwrap().unwrap().set, attr::STRICTATIME);
    }

    #[test]
    fn destinations_by_their_path_on_the_host() {
        let destination = |path: &str| parse(path, "tmpfs", "", &[]).unwrap().destination;
        assert_eq!(destination("/bundle/rootfs/a/../b").as_c_str(), c"b");
        assert_eq!(destination("/bundle/rootfs2/a").as_c_str(), c"bundle/rootfs2/a");
        assert_eq!(destination("/x/bundle/rootfs/a").as_c_str(), c"x/bundle/rootfs/a");
    }

    #[test]
    fn what_may_be_at_and_below_proc() {
        assert!(parse("/proc", "proc", "proc", &[]).unwrap().no_follow);
        assert!(parse("/proc", "", "/proc", &["rbind"]).is_ok());
        assert!(parse("/x/../proc/meminfo", "", "/y", &["bind"]).is_ok());
        assert_eq!(
            report("/proc", "tmpfs", "", &[]),
            "mounts[3].destination: \"/proc\" cannot be mounted because it is not of type proc"
        );
        for destination in ["/proc/self", "/proc/sys", "/x/../proc/1", "/proc/cpuinfo/x"] {
            assert!(report(destination, "", "/y", &["bind"]).contains("because it is inside /proc"));
        }
        assert!(parse("/process", "tmpfs", "", &[]).is_ok());
    }

    #[test]
    fn refusals() {
        assert!(report("/", "tmpfs", "", &[]).starts_with("mounts[3].destination: "));
        assert!(report("/a/..", "tmpfs", "", &[]).starts_with("mounts[3].destination: "));
        assert!(report("", "tmpfs", "", &[]).starts_with("mounts[3].destination: "));
        assert!(
            report("/x", "", "/y", &["rbind", "size=1k"])
                .starts_with("mounts[3].options[1]: unknown option \"size\"")
        );
        assert!(report("/x", "", "", &["rbind"]).starts_with("mounts[3].source: "));
        assert!(report("/x", "", "", &[]).starts_with("mounts[3].type: "));
        assert!(report("/x", "tmpfs", "", &["idmap"]).contains("only supported for bind-mounts"));
        assert!(report("/x", "proc", "", &["tmpcopyup"]).contains("tmpcopyup is for tmpfs only"));
        assert!(report("/x", "tmpfs", "", &["=x"]).starts_with("mounts[3].options[0]: "));
        assert!(report("/x", "overlay", "", &[&"x".repeat(256)]).contains("255 bytes"));
        let mut half = spec("/x", "", "/y", &["rbind"]);
        half.uid_mappings = vec![spec::IdMapping { container_id: 0, host_id: 0, size: 1 }];
        assert!(
            Mount::new(0, &half, "/", "").unwrap_err().report().starts_with("mounts[0]: uidMappings and")
        );
    }

    #[test]
    fn labels() {
        let annotated = |kind: &str| BTreeMap::from([(LABEL_ANNOTATION.to_owned(), kind.to_owned())]);
        assert_eq!(label("", &BTreeMap::new()).unwrap(), None);
        assert_eq!(label("a:b", &BTreeMap::new()).unwrap().unwrap().option, c"context");
        assert_eq!(label("a:b", &annotated("rootcontext")).unwrap().unwrap().option, c"rootcontext");
        let report = label("", &annotated("x")).unwrap_err().report();
        assert!(report.starts_with("annotations.run.oci.mount_context_type: no such"), "{report}");
    }

    #[test]
    fn propagation_of_the_rootfs() {
        assert_eq!(rootfs_propagation("rslave").unwrap(), Some((MS_SLAVE, Depth::All)));
        assert_eq!(rootfs_propagation("").unwrap(), None);
        assert!(
            rootfs_propagation("ro").unwrap_err().report().starts_with("linux.rootfsPropagation: \"ro\"")
        );
    }
}
