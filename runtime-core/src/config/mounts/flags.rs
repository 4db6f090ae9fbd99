// SPDX-License-Identifier: Apache-2.0
//! The flags of a mount: from those of mount(2) to the attributes of mount_setattr(2).

use libc::{
    MS_DIRSYNC, MS_LAZYTIME, MS_MANDLOCK, MS_NOATIME, MS_NODEV, MS_NODIRATIME, MS_NOEXEC, MS_NOSUID,
    MS_RDONLY, MS_RELATIME, MS_STRICTATIME, MS_SYNCHRONOUS, c_ulong,
};
use runtime_sys::mount::{MountAttr, attr};
use std::ffi::CStr;

/// MS_NOSYMFOLLOW of mount(2), since 5.10.
pub(crate) const MS_NOSYMFOLLOW: c_ulong = 256;

/// Flags that are properties of a mount, not of its file system.
const ATIME_FLAGS: c_ulong = MS_NOATIME | MS_NODIRATIME | MS_RELATIME | MS_STRICTATIME;

/// RELATIME is the value 0 of the field [`attr::ATIME`].
pub(super) const ATTR_RELATIME: u64 = 0;

/// Flags of mount(2): those that were given, and those that were taken back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Flags {
    pub(crate) set: c_ulong,
    pub(crate) cleared: c_ulong,
}

impl Flags {
    /// True if the mount is to be read-only.
    pub(crate) fn is_readonly(self) -> bool {
        self.set & MS_RDONLY != 0
    }

    /// The attributes of a new mount with these flags, as mount(2) derives them.
    pub(crate) fn new_attr(self) -> u64 {
        attr_of(self.set)
    }

    /// The change to a bind mount's attributes that these flags mean, `None` if
    /// none was given. As with mount(8), one flag makes a remount, and a remount
    /// without a flag takes that flag away; but atime stays unless it is named.
    pub(crate) fn bind_attr(self) -> Option<MountAttr> {
        (self.set != 0 || self.cleared != 0).then(|| change_to(self.set))
    }

    /// As [`bind_attr`](Self::bind_attr), for a source with the flags `source` (ST_*
    /// of statvfs(3)) that the kernel would lock in the container's mount namespace:
    /// what is not named is kept, and so is read-only. The name of a flag that would have
    /// to go.
    pub(crate) fn locked_attr(self, source: u64) -> std::result::Result<Option<MountAttr>, &'static str> {
        if self.set == 0 && self.cleared == 0 {
            return Ok(None);
        }
        let locked: c_ulong =
            LOCKED.iter().filter(|(st, _, _)| source & st != 0).map(|(_, flag, _)| flag).sum();
        let mut atime: c_ulong = ATIME.iter().filter(|(st, _)| source & st != 0).map(|(_, flag)| flag).sum();
        if atime & (MS_NOATIME | MS_RELATIME) == 0 {
            atime |= MS_STRICTATIME;
        }
        let wanted_atime = self.set & ATIME_FLAGS;
        let keeps_atime = wanted_atime == 0 || wanted_atime == atime;
        if locked & !self.set == 0 && keeps_atime {
            return Ok(Some(change_to(self.set)));
        }
        // Engines write `rw` unless they are told otherwise, and it promises no more of a
        // file system that is read-only itself.
        let asked = self.cleared & !MS_RDONLY;
        // Not of its own accord; atime has one name for all of its values.
        if let Some((_, _, name)) = LOCKED.iter().find(|(_, flag, _)| locked & asked & flag != 0) {
            return Err(name);
        }
        if !keeps_atime || atime & self.cleared != 0 {
            return Err("atime");
        }
        Ok(Some(change_to(self.set | locked | atime)))
    }

    /// The flags of the file system itself, as words for fsconfig(2).
    pub(crate) fn superblock_words(self) -> impl Iterator<Item = &'static CStr> {
        SUPERBLOCK.into_iter().filter(move |(flag, _)| self.set & flag != 0).map(|(_, word)| word)
    }

    /// What these flags change in a file system that is there, as words for fsconfig(2).
    pub(crate) fn superblock_changes(self) -> impl Iterator<Item = &'static CStr> {
        let cleared = [(MS_SYNCHRONOUS, c"async"), (MS_LAZYTIME, c"nolazytime"), (MS_MANDLOCK, c"nomand")];
        let cleared = cleared.into_iter().filter(move |(flag, _)| self.cleared & flag != 0);
        self.superblock_words().chain(cleared.map(|(_, word)| word))
    }

    /// Whether the mount is to be read-only or not, if that is said.
    pub(crate) fn readonly(self) -> Option<bool> {
        let is_named = (self.set | self.cleared) & MS_RDONLY != 0;
        is_named.then(|| self.is_readonly())
    }

    /// The flags of the file system itself, for mount(2).
    pub(crate) fn superblock(self) -> c_ulong {
        SUPERBLOCK.iter().fold(0, |all, (flag, _)| all | self.set & flag)
    }
}

/// The flags of a file system. MS_SILENT and MS_I_VERSION are not among them: the first
/// only quietens the kernel's log, the second is what file systems do by themselves
/// since 6.0.
const SUPERBLOCK: [(c_ulong, &CStr); 4] =
    [(MS_SYNCHRONOUS, c"sync"), (MS_DIRSYNC, c"dirsync"), (MS_LAZYTIME, c"lazytime"), (MS_MANDLOCK, c"mand")];

/// Flags that the kernel locks: as statvfs(3) has them, as mount(2) has them.
const LOCKED: [(u64, c_ulong, &str); 4] = [
    (libc::ST_RDONLY, MS_RDONLY, "ro"),
    (libc::ST_NOSUID, MS_NOSUID, "nosuid"),
    (libc::ST_NODEV, MS_NODEV, "nodev"),
    (libc::ST_NOEXEC, MS_NOEXEC, "noexec"),
];

/// Of linux/statfs.h; not every C library has it.
pub(super) const ST_RELATIME: u64 = 0x1000;

/// As [`LOCKED`], together.
const ATIME: [(u64, c_ulong); 3] =
    [(libc::ST_NOATIME, MS_NOATIME), (libc::ST_NODIRATIME, MS_NODIRATIME), (ST_RELATIME, MS_RELATIME)];

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
