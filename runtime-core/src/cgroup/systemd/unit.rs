// SPDX-License-Identifier: Apache-2.0
//! Names of systemd's units, and the paths of their cgroups.

use super::variant;
use super::wire::Value;
use crate::config::field::invalid;
use crate::error::Result;
use std::collections::BTreeMap;

const FIELD: &str = "linux.cgroupsPath";

/// The name of a scope that is to be made, from `linux.cgroupsPath`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Name {
    /// The slice, for example `machine.slice`; `None`: the manager's default.
    pub(crate) slice: Option<String>,
    /// The unit, for example `libpod-1234.scope`.
    pub(crate) unit: String,
}

/// Parses `slice:prefix:name`. Without a path, the container's id is the name.
pub(crate) fn name(path: &str, id: &str) -> Result<Name> {
    let (slice, prefix, name) = match path.split(':').collect::<Vec<_>>()[..] {
        [""] => ("", "runc", id),
        [slice, prefix, name] => (slice, prefix, name),
        _ => {
            let why = format_args!(
                "expected cgroupsPath to be of format \"slice:prefix:name\" for systemd cgroups, got {path:?} instead"
            );
            return Err(invalid(FIELD, why));
        }
    };
    if name.is_empty() {
        return Err(invalid(FIELD, format_args!("{path:?} has no name")));
    }
    if name.ends_with(".slice") {
        let why = format_args!("{path:?} names a slice, in which no process can be");
        return Err(invalid(FIELD, why));
    }
    let unit = format!("{prefix}-{name}.scope");
    // The characters of unit names (systemd.unit(5)).
    let known = |b: u8| b.is_ascii_alphanumeric() || b":-_.\\".contains(&b);
    if unit.len() > 255 || !unit.bytes().all(known) {
        let why = format_args!(
            "{unit:?} is not the name of a unit: at most 255 ASCII letters, digits, and : - _ . \\"
        );
        return Err(invalid(FIELD, why));
    }
    if !slice.is_empty() {
        slice_path(slice)?;
    }
    Ok(Name { slice: (!slice.is_empty()).then(|| slice.to_owned()), unit })
}

/// Returns the path of a slice relative to the manager's cgroup: `a-b.slice` is in `a.slice`
/// (systemd.slice(5)).
pub(crate) fn slice_path(slice: &str) -> Result<String> {
    let bad = || invalid(FIELD, format_args!("invalid slice name: {slice}"));
    let name = slice.strip_suffix(".slice").ok_or_else(bad)?;
    if name == "-" {
        return Ok(String::new());
    }
    let known = |b: u8| b.is_ascii_alphanumeric() || b":_.\\".contains(&b);
    let mut path = String::new();
    let mut prefix = String::new();
    for part in name.split('-') {
        // No component can be `..`, because each gets the suffix `.slice`.
        if part.is_empty() || !part.bytes().all(known) || slice.len() > 255 {
            return Err(bad());
        }
        if !path.is_empty() {
            path.push('/');
            prefix.push('-');
        }
        prefix.push_str(part);
        path.push_str(&prefix);
        path.push_str(".slice");
    }
    Ok(path)
}

/// The prefix of annotations that set properties of the unit.
pub(crate) const PROPERTY: &str = "org.systemd.property.";

/// The annotation, from crun, with the name of the leaf; empty for no leaf.
pub(crate) const LEAF: &str = "run.oci.systemd.subgroup";

/// Returns the name of the cgroup in the scope that the processes are to be in; empty for the
/// scope's own. Without the annotation it is crun's default name if memory is limited, so that
/// processes may be OOM-killed (see [`leaf`](crate::cgroup)).
pub(crate) fn leaf(annotations: &BTreeMap<String, String>, limits_memory: bool) -> Result<String> {
    let Some(name) = annotations.get(LEAF) else {
        return Ok(if limits_memory { "container".to_owned() } else { String::new() });
    };
    // A dot is refused, because the names of the kernel's files have one.
    if name.len() > 255 || name.contains(['/', '.', '\n', '\0']) {
        let why = format_args!("{name:?} is not the name of a cgroup: at most 255 bytes without / and .");
        return Err(invalid(format_args!("annotations.{LEAF}"), why));
    }
    Ok(name.clone())
}

/// The properties that only the driver sets. With another value, the scope would not be in
/// the place that the record has, or would have foreign processes in it that are killed with
/// the container, or the runtime would lose control of the cgroup.
const DRIVERS: &[&str] = &[
    "CPUAccounting",
    "Delegate",
    "DelegateControllers",
    "DelegateSubgroup",
    "Description",
    "IOAccounting",
    "MemoryAccounting",
    "PIDFDs",
    "PIDs",
    "Slice",
    "TasksAccounting",
];

/// Returns the properties that annotations ask for.
pub(crate) fn properties(annotations: &BTreeMap<String, String>) -> Result<Vec<(String, Value)>> {
    let mut properties = Vec::new();
    for (key, text) in annotations {
        let Some(name) = key.strip_prefix(PROPERTY) else { continue };
        let at = || format!("annotations.{key:?}");
        if name.len() < 3 || !name.bytes().all(|b| b.is_ascii_alphabetic()) {
            return Err(invalid(at(), "the name of a property consists of at least 3 letters"));
        }
        if DRIVERS.contains(&name) {
            return Err(invalid(at(), "is set by the runtime itself, and cannot have another value"));
        }
        let value =
            variant::parse(text).map_err(|why| invalid(at(), format_args!("value parse error: {why}")))?;
        let seconds =
            name.strip_suffix("Sec").filter(|stem| stem.ends_with(|c: char| c.is_ascii_lowercase()));
        properties.push(match seconds {
            None => (name.to_owned(), value),
            Some(stem) => {
                let value = variant::microseconds(&value)
                    .ok_or_else(|| invalid(at(), "value parse error: not a number of seconds"))?;
                (format!("{stem}USec"), value)
            }
        });
    }
    Ok(properties)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cgroups_path_names_slice_and_unit() {
        let of = |path: &str| name(path, "id").map_err(|error| error.report());
        let want =
            |slice: Option<&str>, unit: &str| Name { slice: slice.map(str::to_owned), unit: unit.into() };
        assert_eq!(of(""), Ok(want(None, "runc-id.scope")));
        assert_eq!(of("system.slice:docker:1234"), Ok(want(Some("system.slice"), "docker-1234.scope")));
        assert_eq!(of(":libpod:1"), Ok(want(None, "libpod-1.scope")));
        for (path, error) in [
            ("/a/b", "expected cgroupsPath to be of format"),
            ("a:b", "expected cgroupsPath to be of format"),
            ("a.slice:b:c:d", "expected cgroupsPath to be of format"),
            ("a.slice:b:", "has no name"),
            ("a.slice:b:c.slice", "names a slice"),
            ("a.slice:b:c/d", "is not the name of a unit"),
            ("a.slice:b:ä", "is not the name of a unit"),
            ("a:b:c", "invalid slice name: a"),
            ("../x.slice:b:c", "invalid slice name"),
        ] {
            let report = of(path).unwrap_err();
            assert!(report.starts_with("linux.cgroupsPath: ") && report.contains(error), "{path}: {report}");
        }
        assert!(of(&format!("a.slice:b:{}", "c".repeat(300))).is_err());
    }

    #[test]
    fn slices_are_nested_by_their_names() {
        let of = |slice: &str| slice_path(slice).map_err(|error| error.report());
        assert_eq!(of("system.slice"), Ok("system.slice".into()));
        assert_eq!(of("a-b-c.slice"), Ok("a.slice/a-b.slice/a-b-c.slice".into()));
        assert_eq!(of("-.slice"), Ok(String::new()));
        for bad in [
            "",
            ".slice",
            "a",
            "a.scope",
            "-a.slice",
            "a--b.slice",
            "a-.slice",
            "a/b.slice",
            "..",
            "a b.slice",
        ] {
            assert_eq!(of(bad), Err(format!("linux.cgroupsPath: invalid slice name: {bad}")));
        }
    }

    #[test]
    fn the_leaf_is_crun_s() {
        let of = |name: &str| {
            let annotations = BTreeMap::from([(LEAF.to_owned(), name.to_owned())]);
            leaf(&annotations, true).map_err(|error| error.report())
        };
        let by_default = |limits_memory| leaf(&BTreeMap::new(), limits_memory).unwrap();
        assert_eq!([by_default(true), by_default(false)], ["container", ""]);
        assert_eq!([of(""), of("inner")], [Ok(String::new()), Ok("inner".to_owned())]);
        for bad in ["a/b", "..", ".", "cgroup.procs", "memory.max", "a\nb", "a\0b", &"a".repeat(256)] {
            let error = of(bad).unwrap_err();
            assert!(error.starts_with("annotations.run.oci.systemd.subgroup: "), "{error}");
        }
    }

    #[test]
    fn annotations_become_properties() {
        let of = |key: &str, value: &str| {
            properties(&BTreeMap::from([(key.to_owned(), value.to_owned())])).map_err(|error| error.report())
        };
        assert_eq!(of("other", "x"), Ok(Vec::new()));
        assert_eq!(
            of("org.systemd.property.CollectMode", "'inactive-or-failed'"),
            Ok(vec![("CollectMode".into(), Value::str("inactive-or-failed"))])
        );
        assert_eq!(
            of("org.systemd.property.TimeoutStopSec", "uint64 3"),
            Ok(vec![("TimeoutStopUSec".into(), Value::Uint64(3_000_000))])
        );
        // Only the suffix `Sec` means a number of seconds.
        assert_eq!(of("org.systemd.property.FooSEC", "1"), Ok(vec![("FooSEC".into(), Value::Int32(1))]));
        for name in ["PIDs", "PIDFDs", "Slice", "Delegate", "DelegateSubgroup", "MemoryAccounting"] {
            let error = of(&format!("org.systemd.property.{name}"), "true").unwrap_err();
            assert!(
                error.ends_with(": is set by the runtime itself, and cannot have another value"),
                "{error}"
            );
        }
        // Callers may change this default, as with runc and crun.
        assert!(of("org.systemd.property.DefaultDependencies", "true").is_ok());
        assert!(of("org.systemd.property.A", "1").unwrap_err().contains("at least 3 letters"));
        assert!(of("org.systemd.property.Exec-Start", "1").unwrap_err().contains("at least 3 letters"));
        assert!(of("org.systemd.property.TimeoutStopSec", "'x'").unwrap_err().contains("seconds"));
        assert_eq!(
            of("org.systemd.property.CollectMode", "inactive").unwrap_err(),
            "annotations.\"org.systemd.property.CollectMode\": value parse error: expected a value at byte 0 of \"inactive\""
        );
    }
}
