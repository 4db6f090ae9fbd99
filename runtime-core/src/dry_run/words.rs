// SPDX-License-Identifier: Apache-2.0
//! The names of flags, and the words for paths.

use crate::config::namespaces::NamespaceKind;
use crate::path::show;
use crate::values::IdRange;
use libc::{MS_PRIVATE, MS_SHARED, MS_SLAVE, MS_UNBINDABLE};
use runtime_sys::mount::{Depth, attr};
use std::ffi::CStr;
use std::fmt::{self, Display};

/// Returns the absolute form of a path in the container.
pub(super) fn absolute(path: &CStr) -> String {
    if path == c"." { "/".to_owned() } else { format!("/{}", show(path)) }
}

/// Returns the text for people of bytes that are mostly UTF-8.
pub(super) fn text(bytes: &CStr) -> String {
    bytes.to_string_lossy().into_owned()
}

/// A path or a name in a text for people: with quotes if it has blanks, or characters that are not shown.
pub(super) struct Name<'a>(pub(super) &'a str);

impl Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Debug escapes what is not printable.
        let is_plain = |c: char| !c.is_whitespace() && c.escape_debug().eq([c]);
        match !self.0.is_empty() && self.0.chars().all(is_plain) {
            true => f.write_str(self.0),
            false => write!(f, "{:?}", self.0),
        }
    }
}

/// Returns the types of the namespaces with these CLONE_NEW* flags, as in config.json.
pub(super) fn namespaces(flags: i32) -> Vec<&'static str> {
    let kinds = NamespaceKind::ALL.into_iter().filter(|kind| flags & kind.flag() != 0);
    kinds.map(NamespaceKind::name).collect()
}

/// The attributes of a mount: the bit, the option that sets it, and the option that clears it.
const ATTRIBUTES: [(u64, &str, &str); 6] = [
    (attr::RDONLY, "ro", "rw"),
    (attr::NOSUID, "nosuid", "suid"),
    (attr::NODEV, "nodev", "dev"),
    (attr::NOEXEC, "noexec", "exec"),
    (attr::NODIRATIME, "nodiratime", "diratime"),
    (attr::NOSYMFOLLOW, "nosymfollow", "symfollow"),
];

/// Returns the options that set these attributes, without those for the access time.
fn plain(bits: u64, depth: Depth) -> impl Iterator<Item = String> {
    let set = ATTRIBUTES.into_iter().filter(move |(bit, ..)| bits & bit != 0);
    set.map(move |(_, name, _)| with_depth(name, depth))
}

/// Returns the options for the attributes of a new mount.
pub(super) fn attributes(bits: u64) -> Vec<String> {
    plain(bits, Depth::One).chain([atime(bits, Depth::One)]).collect()
}

/// Returns the options for the attributes that `set` sets where `clear` clears the previous ones.
pub(super) fn set_attributes(set: u64, clear: u64, depth: Depth) -> Vec<String> {
    let time = (clear & attr::ATIME != 0).then(|| atime(set, depth));
    plain(set, depth).chain(time).collect()
}

/// Returns the options for the attributes that `clear` clears for good.
pub(super) fn cleared_attributes(set: u64, clear: u64, depth: Depth) -> Vec<String> {
    let cleared = ATTRIBUTES.into_iter().filter(|(bit, ..)| clear & !set & bit != 0);
    cleared.map(|(_, _, name)| with_depth(name, depth)).collect()
}

fn atime(bits: u64, depth: Depth) -> String {
    let name = match bits & attr::ATIME {
        attr::NOATIME => "noatime",
        attr::STRICTATIME => "strictatime",
        _ => "relatime",
    };
    with_depth(name, depth)
}

/// Returns the option for a propagation type.
pub(super) fn propagation(flag: libc::c_ulong, depth: Depth) -> String {
    let name = match flag {
        MS_SHARED => "shared",
        MS_SLAVE => "slave",
        MS_PRIVATE => "private",
        MS_UNBINDABLE => "unbindable",
        _ => "?",
    };
    with_depth(name, depth)
}

fn with_depth(name: &str, depth: Depth) -> String {
    if depth == Depth::All { format!("r{name}") } else { name.to_owned() }
}

/// Returns the lines of a map, as in uid_map.
pub(super) fn id_map(ranges: &[IdRange]) -> Vec<String> {
    ranges.iter().map(|range| format!("{} {} {}", range.inside, range.outside, range.size)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attribute_is_set_or_cleared_but_not_both() {
        let (set, clear) = (attr::RDONLY | attr::NOATIME, attr::NOSUID | attr::ATIME);
        assert_eq!(set_attributes(set, clear, Depth::One), ["ro", "noatime"]);
        assert_eq!(cleared_attributes(set, clear, Depth::All), ["rsuid"]);
        assert_eq!(attributes(attr::NODEV), ["nodev", "relatime"]);
        assert_eq!(set_attributes(0, attr::NOEXEC, Depth::One), Vec::<String>::new());
    }
}
