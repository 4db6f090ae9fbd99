// SPDX-License-Identifier: Apache-2.0
//! The names and links in the pages: each test that a page names exists, and so does each file and
//! each section that a page links to.
#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

use std::fs;
use std::path::{Path, PathBuf};

/// The pages, and the sources of all tests.
struct Pages {
    root: PathBuf,
    sources: Vec<(PathBuf, String)>,
}

impl Pages {
    fn new() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned();
        let mut sources = Vec::new();
        ["conformance", "runtime-cli", "runtime-core", "runtime-shim"]
            .iter()
            .for_each(|dir| read_all(&root.join(dir), &mut sources));
        Pages { root, sources }
    }

    /// Returns the rows of the tables of a page, between two of its lines.
    fn rows(&self, page: &str, from: &str, to: &str) -> Vec<Vec<String>> {
        let text = fs::read_to_string(self.root.join("docs").join(page)).unwrap();
        let lines = text.lines().skip_while(|line| !line.starts_with(from));
        let rows = lines.skip(1).take_while(|line| to.is_empty() || !line.starts_with(to));
        rows.filter(|line| line.starts_with("| "))
            .map(|row| row.trim_matches('|').split(" | ").map(|cell| cell.trim().to_owned()).collect())
            .collect()
    }

    /// Returns true if a file of this name has tests or cases.
    fn has_tests(&self, file: &str) -> bool {
        let mut found = self.sources.iter().filter(|(path, _)| path.ends_with(file));
        found.any(|(_, text)| text.contains("#[test]") || text.contains("Case {"))
    }

    /// Returns true if a file of this name has a test, a case or an attack of this name.
    fn has(&self, file: &str, test: &str) -> bool {
        self.sources.iter().filter(|(path, _)| path.ends_with(file)).any(|(_, text)| {
            text.contains(&format!("name: \"{test}\""))
                || text.contains("#[test]") && text.contains(&format!("fn {test}("))
        })
    }
}

/// Reads the Rust files below `dir`.
fn read_all(dir: &Path, all: &mut Vec<(PathBuf, String)>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.ends_with("target") {
            read_all(&path, all);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            all.push((path, text));
        }
    }
}

/// Returns the texts in backquotes.
fn quoted(cell: &str) -> Vec<&str> {
    cell.split('`').skip(1).step_by(2).collect()
}

#[test]
fn each_limit_has_its_test() {
    let pages = Pages::new();
    let rows = pages.rows("limits.md", "# Limits", "");
    assert!(rows.len() > 20);
    for row in rows.iter().skip(1) {
        let names = quoted(row.last().unwrap());
        assert!(!names.is_empty(), "no test: {row:?}");
        // A test behind the name of a file is in this file.
        let mut file = "cases/input.rs";
        for name in names {
            if name.ends_with(".rs") {
                assert!(pages.has_tests(name), "{name} has no tests: {row:?}");
                file = name;
            } else {
                let is_there = pages.has(file, name) || pages.has("cases/input.rs", name);
                assert!(is_there, "there is no test {name:?}: {row:?}");
            }
        }
    }
}

#[test]
fn each_attack_has_a_row_and_a_test() {
    let pages = Pages::new();
    let kinds = pages.rows("attacks.md", "## Attacks and their tests", "## Published");
    let published = pages.rows("attacks.md", "## Published", "## Vulnerable runtimes");
    let numbers: Vec<_> = kinds.iter().skip(1).map(|row| row[0].clone()).collect();
    assert_eq!(numbers, (1..=34).map(|n| n.to_string()).collect::<Vec<_>>());
    assert!(published.len() > 30);
    let mut named = Vec::new();
    for (row, cell) in kinds.iter().map(|row| (row, 2)).chain(published.iter().map(|row| (row, 1))) {
        for name in quoted(&row[cell]) {
            let (area, test) = name.split_once(": ").unwrap_or_else(|| panic!("{name}: {row:?}"));
            let file = if area.ends_with(".rs") { area.to_owned() } else { format!("{area}.rs") };
            assert!(pages.has(&file, test), "there is no test {name:?}: {row:?}");
            named.push(name.to_owned());
        }
    }
    for row in kinds.iter().chain(&published).filter(|row| !row[0].starts_with("---")) {
        assert!(!row[1].is_empty() && !row.last().unwrap().is_empty(), "{row:?}");
    }
    // The reverse direction.
    for (path, text) in
        pages.sources.iter().filter(|(path, _)| path.parent().unwrap().ends_with("tests/attacks"))
    {
        let area = path.file_stem().unwrap().to_string_lossy();
        for name in text.split("        name: \"").skip(1).filter_map(|rest| rest.split('"').next()) {
            let name = format!("{area}: {name}");
            assert!(named.contains(&name), "docs/attacks.md has no row with {name:?}");
        }
    }
}

/// Returns the Markdown pages: those of the root directory and of docs/.
fn markdown(root: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut dirs = vec![root.join("docs")];
    let is_page = |path: &Path| path.extension().is_some_and(|extension| extension == "md");
    found.extend(fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path()).filter(|path| is_page(path)));
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                dirs.push(path);
            } else if is_page(&path) {
                found.push(path);
            }
        }
    }
    found
}

/// Returns the text of a page without its code blocks.
fn prose(path: &Path) -> String {
    fs::read_to_string(path).unwrap().split("```").step_by(2).collect()
}

/// Returns the anchors of the headings of a page, as GitHub makes them.
fn anchors(path: &Path) -> Vec<String> {
    let text = prose(path);
    let headings = text.lines().filter_map(|line| line.strip_prefix('#'));
    headings
        .map(|heading| {
            let heading = heading.trim_start_matches('#').trim().to_lowercase().replace(' ', "-");
            heading.chars().filter(|c| c.is_alphanumeric() || matches!(c, '-' | '_')).collect()
        })
        .collect()
}

#[test]
fn each_link_leads_to_a_file_and_a_section() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut wrong = Vec::new();
    for page in markdown(root) {
        let text = prose(&page);
        for target in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
            if file.contains("://") {
                continue;
            }
            let file = if file.is_empty() { page.clone() } else { page.parent().unwrap().join(file) };
            let is_there = file.exists() && (anchor.is_empty() || anchors(&file).iter().any(|a| a == anchor));
            if !is_there {
                wrong.push(format!("{}: {target}", page.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "links that lead nowhere:\n{}", wrong.join("\n"));
}

#[test]
fn each_decision_is_in_the_index() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("docs/decisions");
    let index = fs::read_to_string(root.join("README.md")).unwrap();
    for page in
        markdown(&root.join("../..")).iter().filter(|page| page.parent().unwrap().ends_with("decisions"))
    {
        let name = page.file_name().unwrap().to_str().unwrap();
        let text = fs::read_to_string(page).unwrap();
        if name != "README.md" {
            let row = index.lines().find(|line| line.contains(&format!("]({name}) |")));
            let row = row.unwrap_or_else(|| panic!("the index has no row for {name}"));
            let date = row.split(" | ").nth(1).unwrap();
            assert!(text.contains(&format!("\nAccepted on {date}")), "{name} and the index have other dates");
        }
    }
}
