// SPDX-License-Identifier: Apache-2.0
//! Warnings about unknown properties whose names are similar to that of a known one. Only
//! documents that have unknown properties are searched.

use super::json_path;
use super::known::NAMES;
use crate::error::Warning;

/// The maximum number of warnings. More of them in one document are unlikely to be typing
/// errors.
const MOST: usize = 20;

/// Returns the warnings about a document that has the JSON path `at` in config.json.
pub(super) fn find(json: &[u8], at: &str) -> Vec<Warning> {
    let unknown = json_path::unknown(json, at, NAMES);
    let near = unknown.iter().filter_map(|path| {
        let (outer, name) = path.rsplit_once('.').unwrap_or(("", path));
        let known = nearest(name, &pattern(at, outer))?;
        Some(Warning(format!("{path}: unknown property, ignored; is {known:?} meant?")))
    });
    near.take(MOST).collect()
}

/// Returns the path of an object in the form of [`NAMES`]: with `[]` for each index, and
/// `*` where any name may stand.
fn pattern(at: &str, path: &str) -> String {
    let mut pattern = at.to_owned();
    for part in path.split('.').filter(|part| !part.is_empty()) {
        let (name, index) = part.split_once('[').map_or((part, ""), |(name, _)| (name, "[]"));
        let below = if pattern.is_empty() { String::new() } else { format!("{pattern}.") };
        let any = format!("{below}*");
        let name = if NAMES.binary_search(&any.as_str()).is_ok() { "*" } else { name };
        pattern = format!("{below}{name}{index}");
    }
    pattern
}

/// Returns the known property of the object `outer` whose name is nearest to `name`, if its
/// distance is small enough.
fn nearest(name: &str, outer: &str) -> Option<&'static str> {
    let siblings = NAMES.iter().filter_map(|known| {
        let below = if outer.is_empty() { known } else { known.strip_prefix(outer)?.strip_prefix('.')? };
        (!below.contains(['.', '[', '*'])).then_some(below)
    });
    // Short names are near to many others.
    let limit = if name.chars().count() <= 4 { 1 } else { 2 };
    let distance = |known: &'static str| (distance(name, known), known);
    siblings.map(distance).filter(|(distance, _)| *distance <= limit).min().map(|(_, known)| known)
}

/// Returns the edit distance of two names: the number of insertions, deletions,
/// substitutions and swaps of neighbouring letters. ASCII case is ignored. Names whose
/// lengths differ by more than 2 have the distance `usize::MAX`.
fn distance(a: &str, b: &str) -> usize {
    let letters = |text: &str| text.chars().map(|c| c.to_ascii_lowercase()).collect::<Vec<_>>();
    let (a, b) = (letters(a), letters(b));
    // One of the names comes from a document and may have any length.
    if a.len().abs_diff(b.len()) > 2 {
        return usize::MAX;
    }
    let at = |row: &[usize], j: usize| row.get(j).copied().unwrap_or(usize::MAX - 1);
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, y) in b.iter().enumerate() {
            let other = usize::from(x != y);
            let mut least = (at(&above, j) + other).min(at(&above, j + 1) + 1).min(at(&row, j) + 1);
            let swapped = i > 0 && j > 0 && a.get(i - 1) == Some(y) && b.get(j - 1) == Some(x);
            if swapped && other == 1 {
                least = least.min(at(&before, j - 1) + 1);
            }
            row.push(least);
        }
        before = std::mem::replace(&mut above, row);
    }
    at(&above, b.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::{Process, Resources, Spec};

    #[test]
    fn a_distance_counts_the_edits() {
        for (a, b, want) in [
            ("limit", "limit", 0),
            ("Limit", "limit", 0),
            ("limitt", "limit", 1),
            ("imit", "limit", 1),
            ("lmiit", "limit", 1),
            ("lamit", "limit", 1),
            ("", "ab", 2),
            ("swap", "limit", 5),
            ("x", "limit", usize::MAX),
        ] {
            assert_eq!(distance(a, b), want, "{a} {b}");
            assert_eq!(distance(b, a), want, "{a} {b}");
        }
    }

    #[test]
    fn the_nearest_name_is_named() {
        let json = br#"{
            "hostnam": "x",
            "process": { "noNewPrivilges": true, "CWD": "/", "user": { "UID": 1, "username": "x" } },
            "mounts": [{}, { "option": [] }],
            "annotations": { "hostnam": "x" },
            "linux": {
                "resources": { "memory": { "limits": 1 }, "rdma": { "a.b": { "hcahandle": 1 }, "c": { "hcahandle": 1 } } },
                "maskedpath": [], "seccmp": {}
            },
            "org.example.mounts": 1, "windows": {}, "solaris": {}, "vm": {}, "zos": {}, "freebsd": {}
        }"#;
        let warnings = Spec::from_json_warning(json).unwrap().1;
        let texts: Vec<_> = warnings.iter().map(ToString::to_string).collect();
        let expected = [
            ("hostnam", "hostname"),
            ("process.noNewPrivilges", "noNewPrivileges"),
            ("process.CWD", "cwd"),
            ("process.user.UID", "uid"),
            ("mounts[1].option", "options"),
            ("linux.resources.memory.limits", "limit"),
            ("linux.resources.rdma.c.hcahandle", "hcaHandles"),
            ("linux.maskedpath", "maskedPaths"),
            ("linux.seccmp", "seccomp"),
        ];
        let expected =
            expected.map(|(path, known)| format!("{path}: unknown property, ignored; is {known:?} meant?"));
        assert_eq!(texts, expected);
    }

    #[test]
    fn a_part_of_a_configuration_is_searched_too() {
        let process = Process::from_json_warning(br#"{"arg": ["x"]}"#).unwrap().1;
        assert_eq!(process[0].to_string(), "arg: unknown property, ignored; is \"args\" meant?");
        let resources = Resources::from_json_warning(br#"{"memory": {"limt": 1}}"#).unwrap().1;
        assert_eq!(resources[0].to_string(), "memory.limt: unknown property, ignored; is \"limit\" meant?");
    }

    #[test]
    fn a_dissimilar_name_is_no_warning() {
        let json = serde_json::to_vec(&Spec::example(true)).unwrap();
        assert!(Spec::from_json_warning(&json).unwrap().1.is_empty());
        let many: String = (0..1000).map(|i| format!("\"hostnam{}\":1,", i % 10)).collect();
        let json = format!("{{{many}\"{}\":1}}", "x".repeat(1 << 20));
        assert_eq!(Spec::from_json_warning(json.as_bytes()).unwrap().1.len(), MOST);
    }
}
