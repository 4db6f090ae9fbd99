// SPDX-License-Identifier: Apache-2.0
//! The tables of docs/authority.md and docs/authority/tables.md, as read and as they should be.

use crate::table::{COLUMNS, Seen};
use std::collections::BTreeSet;

const TABLES: &str = include_str!("../../../docs/authority/tables.md");
const SHORT: &str = include_str!("../../../docs/authority.md");
const STEPS_PAGE: &str = include_str!("../../../docs/architecture.md");

/// A step that needs a security module, which the host may not have.
const OPTIONAL: &str = "Label";

/// Returns the steps in their order.
pub(super) fn steps() -> Vec<&'static str> {
    let section = STEPS_PAGE.split("\n## ").find(|section| section.starts_with("The steps")).unwrap();
    section.lines().filter_map(|row| row.strip_prefix("| `")?.split('`').next()).collect()
}

/// A row of a full table: its steps and its cells.
struct Row<'a> {
    steps: Vec<&'a str>,
    cells: Vec<BTreeSet<String>>,
}

/// Returns the sections of the full tables: their names and their rows.
fn sections() -> Vec<(&'static str, Vec<Row<'static>>)> {
    let sections = TABLES.split("\n## ").skip(1);
    sections.map(|section| (section.lines().next().unwrap_or_default(), rows(section))).collect()
}

/// Returns the rows of a section.
fn rows(section: &str) -> Vec<Row<'_>> {
    let lines = section.lines().filter(|line| line.starts_with("| `"));
    lines
        .map(|line| {
            let mut cells = line.trim_matches('|').split('|');
            let steps = cells.next().unwrap_or_default().split('`').skip(1).step_by(2).collect();
            let terms = |cell: &str| {
                cell.split(',').map(|term| term.trim().to_owned()).filter(|term| !term.is_empty()).collect()
            };
            Row { steps, cells: cells.map(terms).collect() }
        })
        .collect()
}

/// Returns the differences between the full tables and the observed cells.
pub(super) fn compare(seen: &Seen) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut all = BTreeSet::new();
    let sections = sections();
    for (name, _) in sections.iter().filter(|(name, _)| !seen.contains_key(name)) {
        wrong.push(format!("{name}: no process of this kind was seen"));
    }
    for (name, observed) in seen {
        let rows = sections.iter().find(|(other, _)| other == name).map_or(&[][..], |(_, rows)| rows);
        let listed: Vec<&str> = rows.iter().flat_map(|row| row.steps.iter().copied()).collect();
        all.extend(listed.iter().copied());
        let in_order: Vec<&str> = observed.iter().map(|(step, _)| step.as_str()).collect();
        let compared: Vec<&str> = listed.into_iter().filter(|step| *step != OPTIONAL).collect();
        if in_order != compared {
            wrong.push(format!("{name}: the steps are {in_order:?}, and not {compared:?}"));
        }
        for row in rows {
            let cells = observed.iter().filter(|(step, _)| row.steps.contains(&step.as_str()));
            for (i, column) in COLUMNS.iter().enumerate() {
                let got: BTreeSet<_> =
                    cells.clone().flat_map(|(_, cells)| cells.get(column)).flatten().cloned().collect();
                let want = row.cells.get(i).cloned().unwrap_or_default();
                if cells.clone().next().is_none() || got == want {
                    continue;
                }
                let differ = |a: &BTreeSet<String>, b: &BTreeSet<String>| {
                    a.difference(b).cloned().collect::<Vec<_>>().join(", ")
                };
                wrong.push(format!(
                    "{name}: {}: {column}: there is [{}], and there is not [{}]",
                    row.steps.join(" "),
                    differ(&got, &want),
                    differ(&want, &got)
                ));
            }
        }
    }
    for step in steps().into_iter().filter(|step| !all.contains(step)) {
        wrong.push(format!("no section has the step {step}"));
    }
    wrong
}

/// Returns the full tables that the page should have.
pub(super) fn tables(seen: &Seen) -> String {
    let mut text = String::new();
    for (section, found) in seen {
        text += &format!("\n## {section}\n\n| step | {} |\n|{}\n", COLUMNS.join(" | "), "---|".repeat(11));
        let mut found = found.iter().peekable();
        while let Some((step, cells)) = found.next() {
            let mut steps = vec![format!("`{step}`")];
            while let Some((step, _)) = found.next_if(|(_, other)| other == cells) {
                steps.push(format!("`{step}`"));
            }
            text += &format!("| {} |", steps.join(" "));
            for column in COLUMNS {
                let terms = cells.get(column).into_iter().flatten().cloned().collect::<Vec<_>>();
                text += &format!(" {} |", terms.join(", "));
            }
            text.push('\n');
        }
    }
    text
}

/// Returns the short tables: those that follow from the full ones, and those of the page.
pub(super) fn short_tables() -> (String, String) {
    let mut wanted = String::new();
    for (name, rows) in sections() {
        wanted += &format!("### {name}\n\n| step | gets | gives up |\n|---|---|---|\n");
        for (i, row) in rows.iter().enumerate() {
            let before = i.checked_sub(1).map(|i| &rows[i]);
            let gets = difference(row, before);
            let gives_up = rows.get(i + 1).map(|next| difference(row, Some(next))).unwrap_or_default();
            let (first, last) = (row.steps[0], row.steps[row.steps.len() - 1]);
            let changes = if first == last {
                vec![(first, gets.as_str(), gives_up.as_str())]
            } else {
                vec![(first, gets.as_str(), ""), (last, "", gives_up.as_str())]
            };
            for (step, gets, gives_up) in changes {
                if !(gets.is_empty() && gives_up.is_empty()) {
                    wanted += &format!("| `{step}` | {gets} | {gives_up} |\n");
                }
            }
        }
        wanted += "\n";
    }
    let of_page = |line: &&str| line.starts_with("### ") || line.starts_with("| `");
    let strip = |text: &str| text.lines().filter(of_page).collect::<Vec<_>>().join("\n");
    let page = SHORT.split("\n## ").find(|section| section.starts_with("Step by step")).unwrap_or_default();
    if strip(&wanted) == strip(page) {
        return (wanted.clone(), wanted);
    }
    (wanted, page.to_owned())
}

/// Returns the terms of a row that another row does not have.
fn difference(row: &Row<'_>, other: Option<&Row<'_>>) -> String {
    let mut parts = Vec::new();
    for (i, (column, cell)) in COLUMNS.iter().zip(&row.cells).enumerate() {
        let others = other.and_then(|other| other.cells.get(i));
        let terms: Vec<_> = cell
            .iter()
            .filter(|term| !others.is_some_and(|others| others.contains(*term)))
            .cloned()
            .collect();
        if !terms.is_empty() {
            let column = if i == 0 { String::new() } else { format!("{column}: ") };
            parts.push(column + &terms.join(", "));
        }
    }
    parts.join("; ")
}
