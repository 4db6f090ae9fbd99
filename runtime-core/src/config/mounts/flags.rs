// SPDX-License-Identifier: Apache-2.0
//! The flags of a mount: the conversion from mount(2) flags to mount_setattr(2) attributes.

use libc::{
    MS_DIRSYNC, MS_LAZYTIME, MS_MANDLOCK, MS_NOATIME, MS_NODEV, MS_NODIRATIME, MS_NOEXEC, MS_NOSUID,
    MS_RDONLY, MS_RELATIME, MS_STRICTATIME, MS_SYNCHRONOUS, c_ulong,
};
use runtime_sys::mount::{MountAttr, attr};
use std::ffi::CStr;

/// MS_NOSYMFOLLOW of mount(2), since 5.10.
pub(crate) const MS_NOSYMFOLLOW: c_ulong = 256;

/// The atime flags, which are properties of a mount and not of its file system.
const ATIME_FLAGS: c_ulong = MS_NOATIME | MS_NODIRATIME | MS_RELATIME | MS_STRICTATIME;

/// MOUNT_ATTR_RELATIME, the value 0 of the field [`attr::ATIME`].
pub(super) const ATTR_RELATIME: u64 = 0;

/// The flags of mount(2) that the options set, and those that the options clear.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Flags {
    pub(crate) set: c_ulong,
    pub(crate) cleared: c_ulong,
}

impl Flags {
    /// Returns true if the mount is to be read-only.
    pub(crate) fn is_readonly(self) -> bool {
        self.set & MS_RDONLY != 0
    }

    /// Returns the attributes of a new mount with these flags, as mount(2) derives them.
    pub(crate) fn new_attr(self) -> u64 {
        attr_of(self.set)
    }

    /// Returns the change that these flags make to the attributes of a bind mount, or `None` if
    /// no flag is given. As with mount(8), any flag causes a remount, and a remount clears the
    /// flags that are not given. The atime flags are kept unless one of them is given.
    pub(crate) fn bind_attr(self) -> Option<MountAttr> {
        (self.set != 0 || self.cleared != 0).then(|| change_to(self.set))
    }

    /// Returns the same change as [`bind_attr`](Self::bind_attr) for a source with the flags
    /// `source` (ST_* of statvfs(3)), which the kernel would lock in the container's mount
    /// namespace. Locked flags that the options do not name are kept. Read-only is kept even if
    /// the options clear it. The error is the name of a locked flag that would have to be
    /// cleared.
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
        // Engines write `rw` by default. It does not promise a writable mount: the file system
        // itself may be read-only, too.
        let asked = self.cleared & !MS_RDONLY;
        // Only a locked flag that the options clear is an error. The error for any atime flag
        // has the same name.
        if let Some((_, _, name)) = LOCKED.iter().find(|(_, flag, _)| locked & asked & flag != 0) {
            return Err(name);
        }
        if !keeps_atime || atime & self.cleared != 0 {
            return Err("atime");
        }
        Ok(Some(change_to(self.set | locked | atime)))
    }

    /// Returns the flags of the file system itself, as words for fsconfig(2).
    pub(crate) fn superblock_words(self) -> impl Iterator<Item = &'static CStr> {
        SUPERBLOCK.into_iter().filter(move |(flag, _)| self.set & flag != 0).map(|(_, word)| word)
    }

    /// Returns the changes that these flags make to an existing file system, as words for
    /// fsconfig(2).
    pub(crate) fn superblock_changes(self) -> impl Iterator<Item = &'static CStr> {
        let cleared = [(MS_SYNCHRONOUS, c"async"), (MS_LAZYTIME, c"nolazytime"), (MS_MANDLOCK, c"nomand")];
        let cleared = cleared.into_iter().filter(move |(flag, _)| self.cleared & flag != 0);
        self.superblock_words().chain(cleared.map(|(_, word)| word))
    }

    /// Returns whether the mount is to be read-only, or `None` if the options do not tell.
    pub(crate) fn readonly(self) -> Option<bool> {
        let is_named = (self.set | self.cleared) & MS_RDONLY != 0;
        is_named.then(|| self.is_readonly())
    }

    /// Returns the flags of the file system itself, for mount(2).
    pub(crate) fn superblock(self) -> c_ulong {
        SUPERBLOCK.iter().fold(0, |all, (flag, _)| all | self.set & flag)
    }
}

/// The flags of a file system. MS_SILENT is left out because it only silences the kernel's
/// log, and MS_I_VERSION because file systems do this by themselves since 6.0.
const SUPERBLOCK: [(c_ulong, &CStr); 4] =
    [(MS_SYNCHRONOUS, c"sync"), (MS_DIRSYNC, c"dirsync"), (MS_LAZYTIME, c"lazytime"), (MS_MANDLOCK, c"mand")];

/// The flags that the kernel locks: the ST_* flag of statvfs(3), the MS_* flag of mount(2),
/// and the name.
const LOCKED: [(u64, c_ulong, &str); 4] = [
    (libc::ST_RDONLY, MS_RDONLY, "ro"),
    (libc::ST_NOSUID, MS_NOSUID, "nosuid"),
    (libc::ST_NODEV, MS_NODEV, "nodev"),
    (libc::ST_NOEXEC, MS_NOEXEC, "noexec"),
];

/// The attributes that take a right away from the users of a mount.
pub(crate) const RESTRICTIONS: u64 =
    attr::RDONLY | attr::NOSUID | attr::NODEV | attr::NOEXEC | attr::NOSYMFOLLOW;

/// Returns the restrictions of a mount with the flags `source` (ST_* of statvfs(3)).
pub(crate) fn restrictions_of(source: u64) -> u64 {
    attr_of(LOCKED.iter().filter(|(st, _, _)| source & st != 0).map(|(_, flag, _)| flag).sum()) & RESTRICTIONS
}

/// ST_RELATIME of linux/statfs.h, which not every C library defines.
pub(super) const ST_RELATIME: u64 = 0x1000;

/// The atime flags, which the kernel locks together: the ST_* flag and the MS_* flag.
const ATIME: [(u64, c_ulong); 3] =
    [(libc::ST_NOATIME, MS_NOATIME), (libc::ST_NODIRATIME, MS_NODIRATIME), (ST_RELATIME, MS_RELATIME)];

/// Returns the change that sets these flags of a mount and clears the others.
fn change_to(flags: c_ulong) -> MountAttr {
    let mut clear = RESTRICTIONS;
    if flags & ATIME_FLAGS != 0 {
        clear |= attr::ATIME | attr::NODIRATIME;
    }
    let set = attr_of(flags);
    // The kernel refuses to set an atime value unless the whole field is cleared. No other
    // bit is put in both masks.
    let clear = (clear & !set) | (clear & attr::ATIME);
    let set = if clear & attr::ATIME == 0 { set & !attr::ATIME } else { set };
    MountAttr { set, clear, ..MountAttr::default() }
}

/// Returns the MOUNT_ATTR_* bits for MS_* flags.
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
    // As in path_mount() of the kernel: strictatime overrides noatime, which overrides relatime.
    plain
        | if flags & MS_STRICTATIME != 0 {
            attr::STRICTATIME
        } else if flags & MS_NOATIME != 0 {
            attr::NOATIME
        } else {
            ATTR_RELATIME
        }
}
