// SPDX-License-Identifier: Apache-2.0
//! docs/limits.md names a test for each limit, and each of them is there.
#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

use std::fs;
use std::path::{Path, PathBuf};

/// The Rust files of the workspace below `dir`.
fn sources(dir: &Path, all: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.ends_with("target") {
            sources(&path, all);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            all.push(path);
        }
    }
}

#[test]
fn each_limit_has_its_test() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let page = fs::read_to_string(root.join("docs/limits.md")).unwrap();
    let mut files = Vec::new();
    ["conformance", "runtime-cli", "runtime-core"]
        .iter()
        .for_each(|dir| sources(&root.join(dir), &mut files));
    let cases = fs::read_to_string(root.join("conformance/tests/cases/input.rs")).unwrap();
    let rows: Vec<_> = page.lines().filter(|line| line.starts_with("| ")).skip(1).collect();
    assert!(rows.len() > 20);
    for row in rows {
        let tests = row.trim_end_matches('|').rsplit('|').next().unwrap();
        let mut names = tests.split('`').skip(1).step_by(2).peekable();
        assert!(names.peek().is_some(), "no test: {row}");
        // A name behind that of a file is that of a function in it.
        let mut text = None;
        for name in names {
            if name.ends_with(".rs") {
                let file =
                    files.iter().find(|file| file.ends_with(name)).unwrap_or_else(|| panic!("{name}: {row}"));
                let content = fs::read_to_string(file).unwrap();
                assert!(content.contains("#[test]"), "{name} has no tests: {row}");
                text = Some(content);
            } else if let Some(text) = text.as_ref().filter(|text| text.contains(&format!("fn {name}("))) {
                assert!(text.contains("#[test]"), "{row}");
            } else {
                assert!(cases.contains(&format!("name: \"{name}\"")), "there is no test {name:?}: {row}");
            }
        }
    }
}
