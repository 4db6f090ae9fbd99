// SPDX-License-Identifier: Apache-2.0
//! The check that only the caller and root can change the state directory and the records.

use crate::error::{Error, ErrorKind, Result};
use nix::unistd::{getegid, geteuid};

/// Refuses a file or directory that users other than root and the caller can change. A record
/// tells which processes to kill, which directories to remove and which hooks to run, all with
/// the caller's rights. A world-writable directory has to be sticky, like /tmp.
pub(crate) fn check_owner(st: &libc::stat, what: impl FnOnce() -> String) -> Result<()> {
    let refuse = |why: String| {
        Err(Error::new(ErrorKind::System, format!("{} {why}", what()))
            .with_hint("a record decides what is killed, removed and run, so it must belong to the caller"))
    };
    if st.st_uid != 0 && st.st_uid != geteuid().as_raw() {
        return refuse(format!("belongs to user {}", st.st_uid));
    }
    let is_sticky = st.st_mode & (libc::S_IFMT | libc::S_ISVTX) == libc::S_IFDIR | libc::S_ISVTX;
    let for_others = st.st_mode & libc::S_IWOTH != 0;
    // The caller may be the only member of its group.
    let for_group = st.st_mode & libc::S_IWGRP != 0 && st.st_gid != 0 && st.st_gid != getegid().as_raw();
    if (for_others || for_group) && !is_sticky {
        return refuse(format!("can be changed by others (mode {:04o})", st.st_mode & 0o7777));
    }
    Ok(())
}
