// SPDX-License-Identifier: Apache-2.0
//! The requirements of the specification, one a line of `requirements.tsv`: the text, whether it
//! binds the runtime, the cases and tests that hold it, and how one of these was seen to fail.

use crate::ensure;
use crate::result::{Doing, Result};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The file at compile time.
pub const TEXT: &str = include_str!("../../requirements.tsv");
/// The number of requirements for Linux in version 1.3 of the specification.
const COUNT: usize = 346;
/// The page with their numbers, between two marks.
const PAGE: &str = "docs/conformance.md";
const BEGIN: &str = "<!-- The requirements: written by `make requirements`. -->";
const END: &str = "<!-- The end of the requirements. -->";
/// The first line: the names of the columns.
const COLUMNS: &str = "id\tword\tsince\tplace\trequirement\tbinds the runtime\theld by\tseen to fail";

/// One requirement.
#[derive(Debug)]
pub struct Requirement<'a> {
    /// Its number.
    pub id: usize,
    /// `MUST`, `SHOULD NOT`, `REQUIRED` ...
    pub word: &'a str,
    /// The version of the specification that added it, if not 1.0.
    pub since: &'a str,
    /// File and section.
    pub place: &'a str,
    /// The requirement, in our words.
    pub text: &'a str,
    /// `yes`, or the party that is bound instead.
    pub binds: &'a str,
    /// The names `group::case`, and `path::function` of tests.
    pub held_by: Vec<&'a str>,
    /// The way in which one of its tests was seen to fail.
    pub seen: &'a str,
}

impl Requirement<'_> {
    /// Returns true if it binds the runtime.
    pub fn is_binding(&self) -> bool {
        self.binds == "yes"
    }

    /// Returns the file of the specification.
    fn document(&self) -> &str {
        self.place.split(',').next().unwrap_or_default()
    }
}

/// Parses the lines of the file.
pub fn parse(text: &str) -> Result<Vec<Requirement<'_>>> {
    let mut lines = text.lines();
    ensure!(lines.next() == Some(COLUMNS), "the first line is not {COLUMNS:?}");
    lines.map(line).collect()
}

fn line(line: &str) -> Result<Requirement<'_>> {
    let columns: Vec<_> = line.split('\t').collect();
    let &[id, word, since, place, text, binds, held_by, seen] = columns.as_slice() else {
        return Err(format!("not eight columns: {line}"));
    };
    let held_by = held_by.split("; ").filter(|name| !name.is_empty()).collect();
    Ok(Requirement { id: id.parse().doing(line)?, word, since, place, text, binds, held_by, seen })
}

/// Checks that the requirements are complete: each number once and in order; each binding one with
/// a case or a test; each other one with the party that is bound; and that the names exist. `cases`
/// are the names of all cases. `sources` is the directory of the workspace, if it is available to
/// look for tests.
pub fn check(requirements: &[Requirement<'_>], cases: &[String], sources: Option<&Path>) -> Result {
    let ids: Vec<_> = requirements.iter().map(|requirement| requirement.id).collect();
    ensure!(ids.iter().copied().eq(1..=COUNT), "not the numbers 1 to {COUNT}, each once and in order");
    let mut wrong = Vec::new();
    let mut files = Files::default();
    for requirement in requirements {
        let id = requirement.id;
        if requirement.is_binding() && requirement.held_by.is_empty() {
            wrong.push(format!("{id}: no case and no test holds it"));
        }
        if requirement.binds.is_empty() || requirement.text.is_empty() || requirement.place.is_empty() {
            wrong.push(format!("{id}: what is required, where, and of whom, must be said"));
        }
        for name in &requirement.held_by {
            if !files.is_known(name, cases, sources) {
                wrong.push(format!("{id}: there is no {name}"));
            }
        }
    }
    ensure!(wrong.is_empty(), "requirements.tsv:\n{}", wrong.join("\n"));
    Ok(())
}

/// Checks that the decisions are complete: each `**T1, ...` of the page has a row `| T1 | cases |
/// ...` in its table, with existing names.
pub fn check_decisions(cases: &[String], sources: &Path) -> Result {
    const PAGE: &str = "docs/decisions/traps.md";
    let page = std::fs::read_to_string(sources.join(PAGE)).doing(PAGE)?;
    let row = |line: &str| -> Option<(String, String)> {
        let mut cells = line.strip_prefix("| T")?.split(" | ");
        Some((format!("T{}", cells.next()?), cells.next()?.to_owned()))
    };
    let rows: BTreeMap<_, _> = page.lines().filter_map(row).collect();
    let mut files = Files::default();
    let mut wrong = Vec::new();
    for id in page.lines().filter_map(|line| line.strip_prefix("**T")?.split_once(',')).map(|(id, _)| id) {
        let held_by = rows.get(&format!("T{id}")).map(String::as_str).unwrap_or_default();
        for name in held_by.split("; ") {
            if !files.is_known(name, cases, Some(sources)) {
                wrong.push(format!("T{id}: there is no {name:?}"));
            }
        }
    }
    ensure!(wrong.is_empty(), "{PAGE}:\n{}", wrong.join("\n"));
    Ok(())
}

/// Returns the numbers of binding requirements whose tests were never seen to fail.
pub fn unseen(requirements: &[Requirement<'_>]) -> Vec<usize> {
    requirements.iter().filter(|one| one.is_binding() && one.seen.is_empty()).map(|one| one.id).collect()
}

/// The test files that have been read.
#[derive(Default)]
struct Files(BTreeMap<PathBuf, String>);

impl Files {
    /// Returns true if a case or a test has this name. Without sources every test is known.
    fn is_known(&mut self, name: &str, cases: &[String], sources: Option<&Path>) -> bool {
        match (name.split_once(".rs::"), sources) {
            (None, _) => cases.iter().any(|case| case == name),
            (Some((path, function)), Some(sources)) => {
                self.has_test(&sources.join(format!("{path}.rs")), function)
            }
            (Some(_), None) => true,
        }
    }

    /// Returns true if a file has this function with `#[test]`.
    fn has_test(&mut self, path: &Path, function: &str) -> bool {
        let text = self
            .0
            .entry(path.to_owned())
            .or_insert_with(|| std::fs::read_to_string(path).unwrap_or_default());
        let signature = format!("fn {function}()");
        // The signature, and other attributes, stand before the function's body.
        text.split("#[test]")
            .skip(1)
            .any(|after| after.split('{').next().unwrap_or(after).contains(&signature))
    }
}

/// Writes the numbers into the page.
pub fn write_page(workspace: &Path) -> Result {
    let page = workspace.join(PAGE);
    let old = std::fs::read_to_string(&page).doing(PAGE)?;
    std::fs::write(&page, with_summary(&old, &parse(TEXT)?)?).doing(PAGE)
}

/// Compares the page with the file.
pub fn check_page(workspace: &Path, requirements: &[Requirement<'_>]) -> Result {
    let page = std::fs::read_to_string(workspace.join(PAGE)).doing(PAGE)?;
    ensure!(page == with_summary(&page, requirements)?, "{PAGE} is out of date: make requirements");
    Ok(())
}

/// Compares the numbers of cases on the page, of each group and of all, with the cases.
pub fn check_groups(workspace: &Path, cases: &[String]) -> Result {
    let page = std::fs::read_to_string(workspace.join(PAGE)).doing(PAGE)?;
    let mut listed = BTreeMap::new();
    for line in page.lines().filter(|line| line.starts_with("| `")) {
        let mut cells = line.trim_matches('|').split(" | ").map(str::trim);
        let (Some(groups), Some(counts)) = (cells.next(), cells.next()) else { continue };
        let counts: Vec<usize> = counts.split(", ").filter_map(|count| count.parse().ok()).collect();
        let groups: Vec<&str> = groups.split(", ").map(|group| group.trim_matches('`')).collect();
        if groups.len() == counts.len() {
            listed.extend(groups.into_iter().zip(counts));
        }
    }
    let mut counted = BTreeMap::new();
    for (group, _) in cases.iter().filter_map(|case| case.split_once("::")) {
        *counted.entry(group).or_insert(0) += 1;
    }
    ensure!(listed == counted, "{PAGE}: the numbers of cases are {counted:?}, and not {listed:?}");
    let all = format!("There are {} cases,", cases.len());
    ensure!(page.contains(&all), "{PAGE}: expected \"{all}\"");
    Ok(())
}

/// Returns the page with the numbers of requirements between two marks.
fn with_summary(page: &str, requirements: &[Requirement<'_>]) -> Result<String> {
    crate::results::page::between(page, BEGIN, END, &summary(requirements))
        .map_err(|why| format!("{PAGE}: {why}"))
}

fn summary(requirements: &[Requirement<'_>]) -> String {
    let mut text = String::from("| | requirements | bind the runtime |\n|---|--:|--:|\n");
    let mut documents: Vec<&str> = requirements.iter().map(Requirement::document).collect();
    documents.dedup();
    let row = |name: &str, of: &[&Requirement<'_>]| {
        let binding = of.iter().filter(|one| one.is_binding()).count();
        format!("| {name} | {} | {binding} |\n", of.len())
    };
    for document in documents {
        let of: Vec<_> = requirements.iter().filter(|one| one.document() == document).collect();
        text += &row(document, &of);
    }
    text + &row("all", &requirements.iter().collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn incomplete_lines_are_errors() {
        let cases: Vec<String> =
            parse(TEXT).unwrap().iter().flat_map(|one| one.held_by.clone()).map(str::to_owned).collect();
        let outcome = |text: &str| check(&parse(text).unwrap(), &cases, None);
        assert_eq!(outcome(TEXT), Ok(()));
        let changed = |id: &str, column: usize, value: &str| {
            let lines = TEXT.lines().map(|line| {
                let mut columns: Vec<_> = line.split('\t').collect();
                if columns[0] == id {
                    columns[column] = value;
                }
                columns.join("\t")
            });
            outcome(&lines.collect::<Vec<_>>().join("\n")).unwrap_err()
        };
        assert!(changed("57", 6, "").contains("57: no case and no test holds it"));
        assert!(changed("57", 6, "lifecycle::kill").contains("57: there is no lifecycle::kill"));
        assert!(changed("57", 5, "").contains("57: what is required, where, and of whom"));
        assert!(changed("57", 0, "58").contains("not the numbers 1 to 346"));
        let without_the_last = TEXT.trim_end().rsplit_once('\n').unwrap().0;
        assert!(outcome(without_the_last).unwrap_err().contains("not the numbers 1 to 346"));
    }

    #[test]
    fn a_test_is_a_function_with_its_attribute() {
        let mut files = Files::default();
        let path = Path::new("x.rs");
        files.0.insert(
            path.into(),
            "#[test]\n#[allow(x)]\nfn one() {}\nfn two() {}\n#[test]\nfn three() {}".into(),
        );
        assert!(files.has_test(path, "one") && files.has_test(path, "three"));
        assert!(!files.has_test(path, "two") && !files.has_test(path, "hree"));
    }
}
