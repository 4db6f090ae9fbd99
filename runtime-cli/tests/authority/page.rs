// SPDX-License-Identifier: Apache-2.0
//! The tables of docs/authority.md, as read and as they should be.

use crate::{COLUMNS, Cells, Seen};
use std::collections::{BTreeMap, BTreeSet};

const PAGE: &str = include_str!("../../../docs/authority.md");
const STEPS_PAGE: &str = include_str!("../../../docs/architecture.md");

/// Rows that are no steps, or whose step leaves no mark.
const BEHIND: [&str; 3] = ["Exec", "the program", "the end"];

/// A step that needs a security module, which the host may not have.
const OPTIONAL: &str = "Label";

/// Returns the steps in their order.
pub(super) fn steps() -> Vec<&'static str> {
    let section = STEPS_PAGE.split("\n## ").find(|section| section.starts_with("The steps")).unwrap();
    section.lines().filter_map(|row| row.strip_prefix("| `")?.split('`').next()).collect()
}

/// A row of a table: its steps and its cells.
struct Row<'a> {
    steps: Vec<&'a str>,
    cells: Vec<BTreeSet<String>>,
}

/// Returns the rows of a section.
fn rows(name: &str) -> Vec<Row<'static>> {
    let heading = format!("{name}\n");
    let section = PAGE.split("\n## ").find(|section| section.starts_with(&heading));
    let lines = section.unwrap_or_default().lines().filter(|line| line.starts_with("| `"));
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

/// Returns the differences between the page and the observed cells.
pub(super) fn compare(seen: &Seen) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut all = BTreeSet::new();
    for (section, steps) in seen {
        let rows = rows(section);
        let listed: BTreeSet<_> = rows.iter().flat_map(|row| row.steps.iter().copied()).collect();
        for step in steps.keys().filter(|step| !listed.contains(step.as_str())) {
            wrong.push(format!("{section}: no row has {step}"));
        }
        for step in listed.iter().filter(|step| !steps.contains_key(**step) && **step != OPTIONAL) {
            wrong.push(format!("{section}: {step} was not seen"));
        }
        for row in &rows {
            let cells = row.steps.iter().filter_map(|step| steps.get(*step));
            for (i, column) in COLUMNS.iter().enumerate() {
                let got: BTreeSet<_> =
                    cells.clone().flat_map(|cells| cells.get(column)).flatten().cloned().collect();
                let want = row.cells.get(i).cloned().unwrap_or_default();
                if !row.steps.iter().any(|step| steps.contains_key(*step)) || got == want {
                    continue;
                }
                let differ = |a: &BTreeSet<String>, b: &BTreeSet<String>| {
                    a.difference(b).cloned().collect::<Vec<_>>().join(", ")
                };
                wrong.push(format!(
                    "{section}: {}: {column}: there is [{}], and there is not [{}]",
                    row.steps.join(" "),
                    differ(&got, &want),
                    differ(&want, &got)
                ));
            }
        }
        all.extend(listed);
    }
    for step in steps().into_iter().filter(|step| !all.contains(step)) {
        wrong.push(format!("no section has the step {step}"));
    }
    wrong
}

/// Returns the tables that the page should have.
pub(super) fn tables(seen: &Seen) -> String {
    let order: BTreeMap<_, _> =
        steps().into_iter().chain(BEHIND).enumerate().map(|(i, step)| (step, i)).collect();
    let mut text = String::new();
    for (section, found) in seen {
        let mut found: Vec<(&String, &Cells)> = found.iter().collect();
        found.sort_by_key(|(step, _)| order.get(step.as_str()).copied().unwrap_or_default());
        text += &format!("\n## {section}\n\n| step | {} |\n|{}\n", COLUMNS.join(" | "), "---|".repeat(11));
        let mut found = found.into_iter().peekable();
        while let Some((step, cells)) = found.next() {
            let mut steps = vec![format!("`{step}`")];
            while let Some((step, _)) = found.next_if(|(_, other)| *other == cells) {
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
