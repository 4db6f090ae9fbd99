// SPDX-License-Identifier: Apache-2.0
//! `check`, which runc does not have (docs/check.md).

use super::context::CommandContext;
use super::create::cgroup_manager;
use super::state_root;
use crate::args::flags::{BUNDLE, FORMAT};
use crate::failure::Failure;
use crate::layout::{GREEN, GREY, RED, Style, YELLOW};
use crate::output;
use runtime_core::host::{Caller, Fitness, Report, Row};
use runtime_core::{Finding, Runtime, Severity};
use serde::Serialize;
use std::borrow::Cow;

/// The exit statuses. 1 is that of an error of the command, 3 that of an unknown command.
const ALL_WELL: u8 = 0;
const LIMITED: u8 = 2;
const UNFIT: u8 = 4;

pub(super) fn check(context: &CommandContext<'_>) -> Result<u8, Failure> {
    let format = context.flags.get(FORMAT).map(|format| format.to_string_lossy()).unwrap_or("table".into());
    if format != "table" && format != "json" {
        return Err(Failure::new("invalid format option"));
    }
    if let Err(error) = runtime_core::protect_program() {
        // A host without /proc gets its report too: the processes that ask hide themselves.
        context.log.debug(&error.to_string());
    }
    let runtime = Runtime::new(state_root::name(context.globals)?);
    let manager = cgroup_manager(context)?;
    let report = runtime.check();
    let bundle = context.flags.path(BUNDLE);
    let findings = bundle.map(|bundle| runtime.check_bundle(bundle, manager, &report));
    let fitness = findings.as_deref().map_or_else(|| report.fitness(), of_findings);
    if format == "json" {
        let bundle = bundle
            .zip(findings.as_deref())
            .map(|(path, findings)| Bundle { path: path.to_string_lossy(), findings });
        let document = Document { fitness, caller: &report.caller, rows: &report.rows, bundle };
        let json =
            serde_json::to_string_pretty(&document).map_err(|error| Failure::new(error.to_string()))?;
        output::print(&format!("{json}\n"));
    } else {
        let style = Style::of_stdout();
        output::print(&match &findings {
            Some(findings) => findings_text(findings, style),
            None => report_text(&report, style),
        });
    }
    Ok(match fitness {
        Fitness::Works => ALL_WELL,
        Fitness::Missing => UNFIT,
        _ => LIMITED,
    })
}

fn of_findings(findings: &[Finding]) -> Fitness {
    match findings.iter().map(|finding| finding.severity).max() {
        None => Fitness::Works,
        Some(Severity::Error) => Fitness::Missing,
        Some(_) => Fitness::Limited,
    }
}

/// The document of `--format json`.
#[derive(Serialize)]
struct Document<'a> {
    fitness: Fitness,
    caller: &'a Caller,
    rows: &'a [Row],
    #[serde(skip_serializing_if = "Option::is_none")]
    bundle: Option<Bundle<'a>>,
}

#[derive(Serialize)]
struct Bundle<'a> {
    /// JSON has no text for other bytes than UTF-8.
    path: Cow<'a, str>,
    findings: &'a [Finding],
}

/// The width of the column with the fitness or the severity.
const FIRST: usize = 9;

fn fitness_word(fitness: Fitness, required: bool) -> (&'static str, u8) {
    match fitness {
        Fitness::Works => ("works", GREEN),
        Fitness::Limited => ("limited", YELLOW),
        Fitness::Missing if required => ("MISSING", RED),
        Fitness::Missing => ("missing", YELLOW),
        _ => ("unknown", GREY),
    }
}

fn report_text(report: &Report, style: Style) -> String {
    let mut out = String::new();
    let who = match (report.caller.is_root, report.caller.in_initial_user_namespace) {
        (true, Some(false)) => "root of a user namespace".to_owned(),
        (true, _) => "root".to_owned(),
        (false, _) => format!("user {}", report.caller.uid),
    };
    out.push_str(&format!("This host, for containers of {who}:\n\n"));
    let names = report.rows.iter().map(|row| row.name.len()).max().unwrap_or_default() + 2;
    for row in &report.rows {
        let (word, colour) = fitness_word(row.fitness, row.required);
        out.push_str(&style.word(word, FIRST, colour));
        if row.found.is_empty() {
            out.push_str(&format!("{}\n", row.name));
        } else {
            out.push_str(&format!("{:names$}", row.name));
            style.wrap(&mut out, &row.found, FIRST + names, FIRST + names);
        }
        for (title, text) in [("means: ", row.effect), ("mend:  ", row.remedy)] {
            if !text.is_empty() {
                out.push_str(&format!("{:FIRST$}{title}", ""));
                style.wrap(&mut out, text, FIRST + title.len(), FIRST + title.len());
            }
        }
    }
    out.push('\n');
    let lacking = |fitness| report.rows.iter().filter(|row| row.fitness == fitness).count();
    let summary = match report.fitness() {
        Fitness::Works => "All is well: containers can be made, and nothing is lacking.".to_owned(),
        Fitness::Missing => {
            let names = report.rows.iter().filter(|row| row.required && row.fitness == Fitness::Missing);
            let names: Vec<&str> = names.map(|row| row.name).collect();
            format!("No container can be made here: {}.", names.join(", "))
        }
        _ => format!(
            "Containers can be made here, but not all: {} limited, {} missing.",
            lacking(Fitness::Limited),
            lacking(Fitness::Missing)
        ),
    };
    style.wrap(&mut out, &summary, 0, 0);
    out
}

fn findings_text(findings: &[Finding], style: Style) -> String {
    let mut out = String::new();
    for finding in findings {
        let (word, colour) = match finding.severity {
            Severity::Warning => ("warning", YELLOW),
            _ => ("error", RED),
        };
        out.push_str(&style.word(word, FIRST, colour));
        style.wrap(&mut out, &finding.text, FIRST, FIRST);
        if let Some(hint) = &finding.hint {
            out.push_str(&format!("{:FIRST$}mend:  ", ""));
            style.wrap(&mut out, hint, FIRST + 7, FIRST + 7);
        }
    }
    out.push_str(match of_findings(findings) {
        Fitness::Works => "Nothing was found that keeps this bundle from working here.\n",
        Fitness::Missing => "This bundle fails here.\n",
        _ => "This bundle can work here.\n",
    });
    out
}
