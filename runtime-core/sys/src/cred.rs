// SPDX-License-Identifier: Apache-2.0
//! The credentials of a process: user and group ids, supplementary groups and
//! capabilities (credentials(7), capabilities(7)).
//!
//! All are raw system calls, for the reason in the rules of [`super`].

use super::result::{Result, done};
use nix::errno::Errno;

/// `int setresuid(uid_t r, uid_t e, uid_t s)`: sets all three to one id. Child only.
/// EINVAL: the id has no mapping in the caller's user namespace.
pub fn set_uid(uid: u32) -> Result<()> {
    // SAFETY: integers only, so the kernel gets no pointer.
    done(unsafe { libc::syscall(libc::SYS_setresuid, uid, uid, uid) })
}

/// `int setresgid(gid_t r, gid_t e, gid_t s)`: sets all three to one id. Child only.
pub fn set_gid(gid: u32) -> Result<()> {
    // SAFETY: integers only, so the kernel gets no pointer.
    done(unsafe { libc::syscall(libc::SYS_setresgid, gid, gid, gid) })
}

/// `int setgroups(size_t n, const gid_t *list)`: replaces all supplementary
/// groups. Child only. EPERM: the user namespace denies setgroups(2).
pub fn set_groups(gids: &[u32]) -> Result<()> {
    // SAFETY: the pointer and the length are those of one slice, which the kernel only reads.
    done(unsafe { libc::syscall(libc::SYS_setgroups, gids.len(), gids.as_ptr()) })
}

/// The number of CAP_SYS_CHROOT.
pub const CAP_SYS_CHROOT: u8 = 18;

/// The number of CAP_MKNOD.
pub const CAP_MKNOD: u8 = 27;

/// The number of CAP_SYS_PTRACE.
pub const CAP_SYS_PTRACE: u8 = 19;

/// The number of CAP_SYS_ADMIN.
pub const CAP_SYS_ADMIN: u8 = 21;

/// The three capability sets of capget(2) and capset(2). Bit n is capability n.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)] // The names are the kernel's.
pub struct CapSets {
    pub effective: u64,
    pub permitted: u64,
    pub inheritable: u64,
}

#[repr(C)]
struct CapHeader {
    version: u32,
    pid: i32,
}

#[repr(C)]
#[derive(Clone, Copy, Default)]
struct CapData {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

const LINUX_CAPABILITY_VERSION_3: u32 = 0x2008_0522;

/// `int capget(cap_user_header_t hdr, cap_user_data_t data)`: returns the sets of the
/// calling thread.
pub fn cap_get() -> Result<CapSets> {
    let mut header = CapHeader { version: LINUX_CAPABILITY_VERSION_3, pid: 0 };
    let mut data = [CapData::default(); 2];
    // SAFETY: for version 3, which the header names, the kernel fills two CapData: `data` has two.
    done(unsafe { libc::syscall(libc::SYS_capget, &raw mut header, data.as_mut_ptr()) })?;
    let [low, high] = data;
    let join = |low: u32, high: u32| u64::from(high) << 32 | u64::from(low);
    Ok(CapSets {
        effective: join(low.effective, high.effective),
        permitted: join(low.permitted, high.permitted),
        inheritable: join(low.inheritable, high.inheritable),
    })
}

/// `int capset(cap_user_header_t hdr, const cap_user_data_t data)`: replaces the sets
/// of the calling thread. EPERM: the rules of capset(2) forbid a capability in a set.
pub fn cap_set(sets: &CapSets) -> Result<()> {
    let mut header = CapHeader { version: LINUX_CAPABILITY_VERSION_3, pid: 0 };
    let half = |shift: u32| CapData {
        effective: (sets.effective >> shift) as u32,
        permitted: (sets.permitted >> shift) as u32,
        inheritable: (sets.inheritable >> shift) as u32,
    };
    let data = [half(0), half(32)];
    // SAFETY: for version 3, which the header names, the kernel reads two CapData: `data` has two.
    done(unsafe { libc::syscall(libc::SYS_capset, &raw mut header, data.as_ptr()) })
}

/// Drops all capabilities but these, from the bounding set too. Empties the inheritable set.
pub fn keep_only(capabilities: u64) -> Result<()> {
    for cap in (0..64u8).filter(|cap| capabilities & 1 << cap == 0) {
        match drop_bounding(cap) {
            // The kernel does not know this number, nor any greater one.
            Err(Errno::EINVAL) => break,
            other => other?,
        }
    }
    cap_set(&CapSets { effective: capabilities, permitted: capabilities, inheritable: 0 })
}

/// `int prctl(int option, unsigned long a, unsigned long b, 0, 0)`: for the options about
/// capabilities, which nix lacks.
fn prctl(option: i32, a: u64, b: u64) -> Result<i32> {
    // SAFETY: the options used below take integers only, so the kernel gets no pointer.
    // PR_CAP_AMBIENT refuses unused arguments that are not 0.
    match unsafe { libc::syscall(libc::SYS_prctl, option, a, b, 0u64, 0u64) } {
        -1 => Err(Errno::last()),
        value => Ok(value as i32),
    }
}

/// Returns all capabilities that the kernel knows. Those up to CAP_CHECKPOINT_RESTORE are
/// known since 5.9. Each greater one is asked for (PR_CAPBSET_READ), because a host may not
/// show /proc/sys/kernel/cap_last_cap.
pub fn known() -> u64 {
    const CAP_CHECKPOINT_RESTORE: u64 = 40;
    let knows = |cap: &u64| prctl(libc::PR_CAPBSET_READ, *cap, 0).is_ok();
    let last = (CAP_CHECKPOINT_RESTORE + 1..64).take_while(knows).last().unwrap_or(CAP_CHECKPOINT_RESTORE);
    u64::MAX >> (63 - last)
}

/// Drops one capability from the bounding set. EINVAL: the kernel does not know its number.
pub fn drop_bounding(cap: u8) -> Result<()> {
    prctl(libc::PR_CAPBSET_DROP, cap.into(), 0).map(drop)
}

/// Raises one capability in the ambient set. EPERM: the capability is not both permitted and
/// inheritable.
pub fn raise_ambient(cap: u8) -> Result<()> {
    prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_RAISE as u64, cap.into()).map(drop)
}

/// Empties the ambient set.
pub fn clear_ambient() -> Result<()> {
    prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_CLEAR_ALL as u64, 0).map(drop)
}
