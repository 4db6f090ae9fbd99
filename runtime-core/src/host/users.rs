// SPDX-License-Identifier: Apache-2.0
//! Rows about users who map more ids than their own (subuid(5), newuidmap(1)).

use super::caller::Caller;
use super::files;
use super::row::{Fitness, Row, Topic, optional, text};
use crate::error::Context;
use crate::path::proc;
use nix::sys::stat::fstat;
use runtime_sys::fd;
use std::ffi::CStr;
use std::os::fd::OwnedFd;

const OWN_ID: &str = "an ordinary user can map only its own id, so the images of most engines cannot be used";
const RANGES: &str = "usermod --add-subuids 100000-165535 --add-subgids 100000-165535 USER";
const SUBUID: Topic = optional("users.subuid", OWN_ID, RANGES);
const SUBGID: Topic = optional("users.subgid", OWN_ID, RANGES);
const HELPERS: &str =
    "install newuidmap and newgidmap (Debian: uidmap; Fedora: shadow-utils), outside of a nosuid mount";
const NEWUIDMAP: Topic = optional("users.newuidmap", OWN_ID, HELPERS);
const NEWGIDMAP: Topic = optional("users.newgidmap", OWN_ID, HELPERS);

/// The number of ids that images need: 0 to 65535.
const IDS: u64 = 65_536;
const CAP_SETGID: u8 = 6;
const CAP_SETUID: u8 = 7;

pub(super) fn rows(caller: &Caller) -> Vec<Row> {
    vec![
        ids(SUBUID, c"/etc/subuid", caller),
        ids(SUBGID, c"/etc/subgid", caller),
        helper(NEWUIDMAP, "newuidmap", CAP_SETUID),
        helper(NEWGIDMAP, "newgidmap", CAP_SETGID),
    ]
}

fn ids(topic: Topic, file: &CStr, caller: &Caller) -> Row {
    let text = files::etc(file);
    let name = file.to_string_lossy();
    if caller.is_root {
        let users = users(&text);
        return match users {
            0 => topic.row(Fitness::Missing, format!("no user has a range in {name}")),
            1 => topic.works(format!("1 user has ranges in {name}; root needs none")),
            _ => topic.works(format!("{users} users have ranges in {name}; root needs none")),
        };
    }
    let user = user_name(&files::etc(c"/etc/passwd"), caller.uid);
    let OwnRanges { ranges, unseen } = own_ranges(file, caller.uid);
    let count: u64 = ranges.iter().map(|(_, count)| u64::from(*count)).sum();
    let found = format!("{count} ids in {name}");
    match (count, unseen) {
        (IDS.., _) => return topic.works(found),
        (0, Some(why)) => return topic.row(Fitness::Unknown, format!("no range is seen in {name}: {why}")),
        _ => {}
    }
    match count {
        0 => topic.row(
            Fitness::Missing,
            format!("no range for user {} in {name}", user.unwrap_or(caller.uid.to_string())),
        ),
        _ => topic.row(Fitness::Limited, format!("only {found}; {IDS} are usual")),
    }
}

/// The ranges of ids that the calling user may map besides its own.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct OwnRanges {
    /// The first id and the number of ids of each range in the file.
    pub(crate) ranges: Vec<(u32, u32)>,
    /// The reason why the user may have ranges that are not seen.
    pub(crate) unseen: Option<String>,
}

impl OwnRanges {
    /// Returns whether the user may map these ids. A range may begin where another ends, as for
    /// newuidmap(1).
    pub(crate) fn contain(&self, start: u32, count: u32) -> bool {
        let mut next = u64::from(start);
        let end = next + u64::from(count);
        while next < end {
            let ends = self.ranges.iter().map(|(start, count)| {
                let start = u64::from(*start);
                (start..start + u64::from(*count)).contains(&next).then(|| start + u64::from(*count))
            });
            let Some(reached) = ends.flatten().max() else { return false };
            next = reached;
        }
        true
    }
}

/// Returns the ranges of the calling user in this file.
pub(crate) fn own_ranges(file: &CStr, uid: u32) -> OwnRanges {
    let [passwd, switch, text] = [c"/etc/passwd", c"/etc/nsswitch.conf", file].map(files::etc);
    ranges_of(&text, &passwd, &switch, uid)
}

fn ranges_of(text: &str, passwd: &str, switch: &str, uid: u32) -> OwnRanges {
    if let Some(source) = subid_source(switch) {
        let unseen = format!("/etc/nsswitch.conf has `subid: {source}`");
        return OwnRanges { ranges: Vec::new(), unseen: Some(unseen) };
    }
    let user = user_name(passwd, uid);
    let unseen = user.is_none().then(|| format!("user {uid} has no name in /etc/passwd"));
    OwnRanges { ranges: ranges(text, user.as_deref(), uid), unseen }
}

/// Returns the source of ranges in an nsswitch.conf, unless it is the files.
fn subid_source(switch: &str) -> Option<String> {
    let line = switch.lines().find_map(|line| line.trim_start().strip_prefix("subid:"))?;
    let source = line.split('#').next().unwrap_or_default().trim();
    (source != "files").then(|| source.to_owned())
}

fn entries(text: &str) -> impl Iterator<Item = (&str, u32, u32)> {
    text.lines().filter_map(|line| {
        let mut fields = line.trim().split(':');
        let (owner, start, count) = (fields.next()?, fields.next()?, fields.next()?);
        Some((owner, start.parse().ok()?, count.parse().ok()?))
    })
}

/// Returns the ranges of a user, which a line names by the name or by the id.
fn ranges(text: &str, user: Option<&str>, uid: u32) -> Vec<(u32, u32)> {
    let uid = uid.to_string();
    entries(text)
        .filter(|(owner, _, _)| Some(*owner) == user || *owner == uid)
        .map(|(_, start, count)| (start, count))
        .collect()
}

fn users(text: &str) -> usize {
    entries(text).map(|(owner, _, _)| owner).collect::<std::collections::BTreeSet<_>>().len()
}

fn user_name(passwd: &str, uid: u32) -> Option<String> {
    let uid = uid.to_string();
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)? == uid).then(|| name.to_owned())
    })
}

fn helper(topic: Topic, program: &str, capability: u8) -> Row {
    let Some((path, file)) = files::find_program(program) else {
        return topic.row(Fitness::Missing, "not in PATH");
    };
    let found = path.display().to_string();
    let st = match fstat(&file) {
        Ok(st) => st,
        Err(errno) => return topic.row(Fitness::Unknown, format!("{found}: {}", text(errno))),
    };
    let is_setuid = st.st_mode & libc::S_ISUID != 0 && st.st_uid == 0;
    let has_capability = has_capability(&file, capability);
    let is_nosuid = fd::mount_flags(&file).is_ok_and(|flags| flags & libc::ST_NOSUID != 0);
    match (is_setuid, has_capability, is_nosuid) {
        (_, _, true) => topic.row(Fitness::Missing, format!("{found} is on a nosuid mount")),
        (true, ..) => topic.works(format!("{found}, setuid root")),
        (_, true, _) => topic.works(format!("{found}, with a file capability")),
        _ => topic.row(Fitness::Missing, format!("{found} is neither setuid root nor has a file capability")),
    }
}

/// Returns whether a program has a file capability. An attribute of a file that the caller may not read
/// is not seen.
fn has_capability(file: &OwnedFd, capability: u8) -> bool {
    let mut value = [0; 32];
    let opened = proc::host().and_then(|proc| {
        proc.reopen(file, libc::O_RDONLY | libc::O_NONBLOCK).context(|| "reopening a program")
    });
    opened.is_ok_and(|file| {
        fd::get_xattr(file, c"security.capability", &mut value).is_ok_and(|value| grants(value, capability))
    })
}

/// Returns whether the permitted set of a `struct vfs_cap_data` has the capability.
fn grants(value: &[u8], capability: u8) -> bool {
    let permitted = value.get(4..8).and_then(|bytes| bytes.try_into().ok()).map_or(0, u32::from_le_bytes);
    permitted & 1 << capability != 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_those_of_the_name_or_of_the_id() {
        let text = "alice:100000:65536\nbob:165536:65536\n1000:300000:10\n# no line\nalice:x:1\n";
        assert_eq!(ranges(text, Some("alice"), 1000), [(100_000, 65_536), (300_000, 10)]);
        assert_eq!(ranges(text, None, 1), []);
        assert_eq!(users(text), 3);
    }

    #[test]
    fn adjacent_ranges_are_one() {
        let ranges = vec![(300, 100), (100, 100), (200, 100), (500, 10), (u32::MAX, 1)];
        let ranges = OwnRanges { ranges, unseen: None };
        assert!(ranges.contain(100, 300) && ranges.contain(150, 250) && ranges.contain(509, 1));
        assert!(!ranges.contain(100, 301) && !ranges.contain(99, 2) && !ranges.contain(505, 6));
        assert!(ranges.contain(u32::MAX, 1) && !ranges.contain(u32::MAX, 2));
    }

    #[test]
    fn ranges_of_a_directory_are_not_seen() {
        let (text, passwd) = ("alice:100:10\n1000:200:10\n", "alice:x:1000:1000::/:\n");
        let of = |passwd, switch| ranges_of(text, passwd, switch, 1000);
        let both = OwnRanges { ranges: vec![(100, 10), (200, 10)], unseen: None };
        assert_eq!(of(passwd, "passwd: sss\n"), both);
        assert_eq!(of(passwd, "subid: files # only\n"), both);
        assert!(of(passwd, "subid: sss\n").ranges.is_empty());
        assert!(of(passwd, "subid:\tsss\n").unseen.unwrap().contains("subid: sss"));
        let nameless = of("", "");
        assert_eq!(nameless.ranges, [(200, 10)]);
        assert!(nameless.unseen.unwrap().contains("no name"));
    }

    #[test]
    fn a_user_has_the_name_of_its_first_line() {
        let passwd = "root:x:0:0::/:\nalice:x:1000:1000::/home/alice:/bin/sh\nother:x:1000:1::/:\n";
        assert_eq!(user_name(passwd, 1000).as_deref(), Some("alice"));
        assert_eq!(user_name(passwd, 1), None);
    }

    #[test]
    fn a_file_capability_is_a_bit_of_the_permitted_set() {
        let value = |permitted: u32| [[0, 0, 0, 2], permitted.to_le_bytes(), [0; 4], [0; 4], [0; 4]].concat();
        assert!(grants(&value(1 << CAP_SETUID), CAP_SETUID));
        assert!(!grants(&value(1 << CAP_SETUID), CAP_SETGID));
        assert!(!grants(b"", CAP_SETUID));
    }
}
