// SPDX-License-Identifier: Apache-2.0
//! `linux.namespaces`, id mappings and time offsets: the namespaces that the container
//! creates, joins, or shares with the runtime.

use super::field::{c_string, invalid, lookup};
use crate::error::Result;
use crate::spec;
use crate::values::IdRange;
use std::ffi::CString;
use std::fmt::Display;

/// A type of namespace. The order is that in which a process joins existing namespaces: the
/// user namespace first, because it gives the privileges to join the others; the mount
/// namespace last, because it changes the meaning of paths.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(usize)]
pub(crate) enum NamespaceKind {
    User,
    Ipc,
    Uts,
    Network,
    Pid,
    Cgroup,
    Time,
    Mount,
}

/// The types by their names in config.json.
pub(crate) const NAMESPACE_KINDS: &[(&str, NamespaceKind)] = &[
    ("cgroup", NamespaceKind::Cgroup),
    ("ipc", NamespaceKind::Ipc),
    ("mount", NamespaceKind::Mount),
    ("network", NamespaceKind::Network),
    ("pid", NamespaceKind::Pid),
    ("time", NamespaceKind::Time),
    ("user", NamespaceKind::User),
    ("uts", NamespaceKind::Uts),
];

impl NamespaceKind {
    pub(crate) const ALL: [NamespaceKind; 8] = [
        NamespaceKind::User,
        NamespaceKind::Ipc,
        NamespaceKind::Uts,
        NamespaceKind::Network,
        NamespaceKind::Pid,
        NamespaceKind::Cgroup,
        NamespaceKind::Time,
        NamespaceKind::Mount,
    ];

    /// Returns the CLONE_NEW* flag.
    pub(crate) fn flag(self) -> i32 {
        match self {
            NamespaceKind::User => libc::CLONE_NEWUSER,
            NamespaceKind::Ipc => libc::CLONE_NEWIPC,
            NamespaceKind::Uts => libc::CLONE_NEWUTS,
            NamespaceKind::Network => libc::CLONE_NEWNET,
            NamespaceKind::Pid => libc::CLONE_NEWPID,
            NamespaceKind::Cgroup => libc::CLONE_NEWCGROUP,
            NamespaceKind::Time => libc::CLONE_NEWTIME,
            NamespaceKind::Mount => libc::CLONE_NEWNS,
        }
    }

    /// Returns the name of the type's file in /proc/PID/ns.
    pub(crate) fn file(self) -> &'static str {
        match self {
            NamespaceKind::User => "user",
            NamespaceKind::Ipc => "ipc",
            NamespaceKind::Uts => "uts",
            NamespaceKind::Network => "net",
            NamespaceKind::Pid => "pid",
            NamespaceKind::Cgroup => "cgroup",
            NamespaceKind::Time => "time",
            NamespaceKind::Mount => "mnt",
        }
    }

    /// Returns the name of the type in runc's state.json.
    pub(crate) fn clone_name(self) -> &'static str {
        match self {
            NamespaceKind::User => "NEWUSER",
            NamespaceKind::Ipc => "NEWIPC",
            NamespaceKind::Uts => "NEWUTS",
            NamespaceKind::Network => "NEWNET",
            NamespaceKind::Pid => "NEWPID",
            NamespaceKind::Cgroup => "NEWCGROUP",
            NamespaceKind::Time => "NEWTIME",
            NamespaceKind::Mount => "NEWNS",
        }
    }

    /// Returns the name of the type in config.json.
    pub(crate) fn name(self) -> &'static str {
        NAMESPACE_KINDS.iter().find(|(_, kind)| *kind == self).map_or("?", |(name, _)| name)
    }
}

/// The origin of one namespace of the container.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Origin {
    /// The runtime's own namespace.
    #[default]
    Shared,
    /// A new namespace for the container.
    New,
    /// The existing namespace of this namespace file.
    Path(CString),
}

/// The origins of all eight namespaces, the mappings of the user namespace, and the offsets of
/// the time namespace.
#[derive(Debug, Default)]
pub(crate) struct Namespaces {
    origins: [Origin; 8],
    /// The types whose path in config.json leads to the runtime's own namespace.
    led_back: Vec<NamespaceKind>,
    /// The mappings of a new user namespace, or those that config.json states for an existing
    /// one.
    pub(crate) uid_map: Vec<IdRange>,
    pub(crate) gid_map: Vec<IdRange>,
    /// The offsets of a new time namespace: (clock, seconds, nanoseconds).
    pub(crate) time_offsets: Vec<(&'static str, i64, u32)>,
}

impl Namespaces {
    /// Checks the namespaces, mappings and time offsets. `own` has the types whose paths lead to
    /// the runtime's own namespaces. Such a namespace is shared, as if config.json did not list
    /// it.
    pub(crate) fn new(linux: &spec::Linux, own: &[NamespaceKind]) -> Result<Self> {
        let mut seen = Vec::new();
        let mut all = Namespaces {
            uid_map: ranges(&linux.uid_mappings),
            gid_map: ranges(&linux.gid_mappings),
            ..Namespaces::default()
        };
        for (i, namespace) in linux.namespaces.iter().enumerate() {
            let at = format_args!("linux.namespaces[{i}]");
            let kind = lookup(
                format_args!("{at}.type"),
                "no such namespace type:",
                &namespace.kind,
                NAMESPACE_KINDS,
            )?;
            let Some(origin) = all.origins.get_mut(kind as usize) else { continue };
            if seen.contains(&kind) {
                return Err(invalid(at, format_args!("duplicate namespace {:?}", namespace.kind)));
            }
            seen.push(kind);
            *origin = match namespace.path.as_str() {
                "" => Origin::New,
                path if !path.starts_with('/') => {
                    return Err(invalid(format_args!("{at}.path"), format_args!("{path:?} is not absolute")));
                }
                _ if own.contains(&kind) => {
                    all.led_back.push(kind);
                    Origin::Shared
                }
                path => Origin::Path(c_string(format_args!("{at}.path"), path)?),
            };
        }
        all.check_mappings()?;
        all.set_time_offsets(linux)?;
        Ok(all)
    }

    /// Returns the origin of the container's namespace of this type.
    pub(crate) fn origin(&self, kind: NamespaceKind) -> &Origin {
        self.origins.get(kind as usize).unwrap_or(&Origin::Shared)
    }

    /// Returns true if the container's namespace of this type is a new one.
    pub(crate) fn is_new(&self, kind: NamespaceKind) -> bool {
        *self.origin(kind) == Origin::New
    }

    /// Returns true if the container's namespace of this type is not the runtime's.
    pub(crate) fn is_own(&self, kind: NamespaceKind) -> bool {
        *self.origin(kind) != Origin::Shared
    }

    /// Returns a note for the error about a namespace that is not the container's own, or "".
    pub(crate) fn note(&self, kind: NamespaceKind) -> &'static str {
        if self.led_back.contains(&kind) { " (the one in linux.namespaces is the runtime's)" } else { "" }
    }

    /// Returns the existing namespaces to join.
    pub(crate) fn paths(&self) -> impl Iterator<Item = (NamespaceKind, &CString)> {
        NamespaceKind::ALL.into_iter().filter_map(|kind| match self.origin(kind) {
            Origin::Path(path) => Some((kind, path)),
            _ => None,
        })
    }

    fn check_mappings(&self) -> Result<()> {
        let fields = [("linux.uidMappings", &self.uid_map), ("linux.gidMappings", &self.gid_map)];
        let origin = self.origin(NamespaceKind::User);
        for (field, map) in fields {
            match origin {
                Origin::Shared if !map.is_empty() && !self.led_back.contains(&NamespaceKind::User) => {
                    return Err(invalid(field, "there is no user namespace for these mappings"));
                }
                Origin::New if map.is_empty() => {
                    return Err(invalid(field, "a new user namespace needs mappings"));
                }
                _ => check_map(field, map)?,
            }
        }
        Ok(())
    }

    fn set_time_offsets(&mut self, linux: &spec::Linux) -> Result<()> {
        for (clock, offset) in &linux.time_offsets {
            let at = format_args!("linux.timeOffsets.{clock}");
            if !self.is_new(NamespaceKind::Time) {
                return Err(invalid(at, "time namespace is not enabled, or is an existing one"));
            }
            let clock =
                lookup(at, "no such clock:", clock, &[("boottime", "boottime"), ("monotonic", "monotonic")])?;
            if offset.nanosecs > 999_999_999 {
                return Err(invalid(format_args!("{at}.nanosecs"), "must be less than 1000000000"));
            }
            self.time_offsets.push((clock, offset.secs, offset.nanosecs));
        }
        Ok(())
    }
}

/// Returns whether a new network namespace can be created before the clone. The configuration
/// need not have been checked. With a new user namespace, the clone has to create the network
/// namespace, which must belong to it. With a namespace that the child joins, processes in that
/// namespace could inspect the child before it has entered the network namespace.
pub(crate) fn network_can_be_ahead(spec: &spec::Spec) -> bool {
    let Some(linux) = &spec.linux else { return false };
    let all = &linux.namespaces;
    let is_new = all.iter().any(|namespace| namespace.kind == "network");
    let is_alone = all.iter().all(|namespace| namespace.kind != "user" && namespace.path.is_empty());
    // Network devices are moved while the child is being set up.
    is_new && is_alone && linux.net_devices.is_empty()
}

/// Returns the ranges of `uidMappings` or `gidMappings`.
pub(crate) fn ranges(map: &[spec::IdMapping]) -> Vec<IdRange> {
    map.iter()
        .map(|range| IdRange { inside: range.container_id, outside: range.host_id, size: range.size })
        .collect()
}

/// Checks one map by the rules of user_namespaces(7).
pub(crate) fn check_map(field: impl Display, map: &[IdRange]) -> Result<()> {
    /// The maximum number of ranges: UID_GID_MAP_MAX_EXTENTS of the kernel.
    const MAX_EXTENTS: usize = 340;
    if map.len() > MAX_EXTENTS {
        return Err(invalid(field, format_args!("{} ranges; the kernel accepts {MAX_EXTENTS}", map.len())));
    }
    for (i, range) in map.iter().enumerate() {
        let at = format_args!("{field}[{i}]");
        if range.size == 0 {
            return Err(invalid(format_args!("{at}.size"), "must not be 0"));
        }
        // The id -1 is never valid, so a range must end before it.
        for (name, first) in [("containerID", range.inside), ("hostID", range.outside)] {
            if first.checked_add(range.size).is_none() {
                return Err(invalid(
                    format_args!("{at}.{name}"),
                    "the range goes beyond the last id, 4294967294",
                ));
            }
        }
        for (j, other) in map.iter().enumerate().take(i) {
            let overlap = |a: u32, b: u32| a < b + other.size && b < a + range.size;
            if overlap(range.inside, other.inside) || overlap(range.outside, other.outside) {
                return Err(invalid(at, format_args!("overlaps {field}[{j}]")));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn linux(namespaces: &[(&str, &str)]) -> spec::Linux {
        let namespaces = namespaces
            .iter()
            .map(|(kind, path)| spec::Namespace { kind: (*kind).into(), path: (*path).into() })
            .collect();
        spec::Linux { namespaces, ..Default::default() }
    }

    fn report(linux: &spec::Linux) -> String {
        Namespaces::new(linux, &[]).unwrap_err().report()
    }

    #[test]
    fn namespaces_are_new_joined_or_shared() {
        let all = Namespaces::new(&linux(&[("pid", ""), ("network", "/run/netns/x")]), &[]).unwrap();
        assert!(all.is_new(NamespaceKind::Pid));
        assert!(!all.is_own(NamespaceKind::Uts));
        assert_eq!(all.paths().map(|(kind, _)| kind).collect::<Vec<_>>(), [NamespaceKind::Network]);
        for (i, kind) in NamespaceKind::ALL.into_iter().enumerate() {
            assert_eq!(kind as usize, i, "ALL is indexed by kind");
            assert_ne!(kind.name(), "?");
        }
    }

    #[test]
    fn the_runtimes_namespace_by_its_path_is_shared() {
        let spec = linux(&[("uts", "/proc/self/ns/uts"), ("ipc", "/proc/1/ns/ipc")]);
        let all = Namespaces::new(&spec, &[NamespaceKind::Uts]).unwrap();
        assert!(!all.is_own(NamespaceKind::Uts) && all.is_own(NamespaceKind::Ipc));
        assert!(
            all.note(NamespaceKind::Uts).contains("is the runtime's")
                && all.note(NamespaceKind::Ipc).is_empty()
        );
        let relative =
            Namespaces::new(&linux(&[("uts", "uts")]), &[NamespaceKind::Uts]).unwrap_err().report();
        assert_eq!(relative, "linux.namespaces[0].path: \"uts\" is not absolute");
        let twice = linux(&[("uts", "/proc/self/ns/uts"), ("uts", "")]);
        let report = Namespaces::new(&twice, &[NamespaceKind::Uts]).unwrap_err().report();
        assert_eq!(report, "linux.namespaces[1]: duplicate namespace \"uts\"");
    }

    #[test]
    fn refusals_of_namespaces_name_the_field() {
        assert!(
            report(&linux(&[("bogus", "")]))
                .starts_with("linux.namespaces[0].type: no such namespace type: \"bogus\"")
        );
        assert_eq!(
            report(&linux(&[("pid", ""), ("pid", "/x")])),
            "linux.namespaces[1]: duplicate namespace \"pid\""
        );
        assert_eq!(report(&linux(&[("pid", "x")])), "linux.namespaces[0].path: \"x\" is not absolute");
        assert!(report(&linux(&[("user", "")])).starts_with("linux.uidMappings: "));
        let mut no_time = linux(&[]);
        no_time.time_offsets.insert("boottime".into(), spec::TimeOffset::default());
        assert!(report(&no_time).starts_with("linux.timeOffsets.boottime: time namespace is not enabled"));
    }

    #[test]
    fn a_map_has_no_empty_or_overlapping_range() {
        let range = |inside, outside, size| IdRange { inside, outside, size };
        let check = |map: &[IdRange]| check_map("m", map).map_err(|e| e.report());
        assert!(check(&[range(0, 1000, 10), range(10, 0, 5)]).is_ok());
        assert_eq!(check(&[range(0, 0, 0)]).unwrap_err(), "m[0].size: must not be 0");
        assert!(
            check(&[range(0, 100, 10), range(5, 500, 1)]).unwrap_err().starts_with("m[1]: overlaps m[0]")
        );
        assert!(check(&[range(0, 100, 10), range(50, 109, 1)]).unwrap_err().starts_with("m[1]: overlaps"));
        assert!(check(&[range(5, 500, 1), range(0, 100, 10)]).unwrap_err().starts_with("m[1]: overlaps"));
        assert!(check(&[range(10, 0, 5), range(0, 1000, 10), range(15, 5, 5)]).is_ok());
        assert!(check(&[range(u32::MAX, 0, 1)]).unwrap_err().starts_with("m[0].containerID"));
        assert!(check(&vec![range(0, 0, 1); 341]).unwrap_err().contains("340"));
    }

    #[test]
    fn only_some_network_namespaces_can_be_made_ahead() {
        let own = |kind| json!({ "type": kind });
        let joined = json!({ "type": "ipc", "path": "/proc/1/ns/ipc" });
        let lists = [
            (true, json!([own("mount"), own("network")])),
            (false, json!([own("mount"), own("pid")])),
            (false, json!([own("network"), own("user")])),
            (false, json!([joined, own("network")])),
            (false, json!([])),
        ];
        for (ahead, list) in lists {
            let config = json!({
                "ociVersion": "1.2.0",
                "hostname": "network",
                "root": { "path": "rootfs" },
                "linux": { "namespaces": list, "devices": [{ "path": "/dev/x", "type": "p" }] },
            });
            let spec = spec::Spec::from_json(config.to_string().as_bytes()).unwrap();
            assert_eq!(network_can_be_ahead(&spec), ahead, "{config}");
        }
    }
}
