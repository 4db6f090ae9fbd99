// SPDX-License-Identifier: Apache-2.0
//! `check`, which runc does not have (docs/check.md).

use super::context::CommandContext;
use super::create::cgroup_manager;
use super::state_root;
use crate::args::flags::{BUNDLE, FORMAT};
use crate::failure::Failure;
use crate::output;
use runtime_core::host::{Caller, Fitness, Report, Row};
use runtime_core::{Finding, Runtime, Severity};
use serde::Serialize;
use std::borrow::Cow;
use std::io::IsTerminal;

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

/// The way in which a text is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Style {
    colours: bool,
    /// The number of characters in a line; `None` if lines are never broken.
    width: Option<usize>,
}

impl Style {
    /// Returns colours and the width of the terminal, or plain lines if standard output is none.
    /// NO_COLOR (no-color.org) and TERM=dumb turn colours off.
    fn of_stdout() -> Self {
        let stdout = std::io::stdout();
        let is_terminal = stdout.is_terminal();
        let is_set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let is_dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
        let size = runtime_sys::tty::size(&stdout).ok().filter(|_| is_terminal);
        let columns = size.map(|(_, columns)| usize::from(columns)).filter(|columns| *columns > 0);
        Style { colours: is_terminal && !is_set("NO_COLOR") && !is_dumb, width: columns.map(|n| n.max(60)) }
    }

    /// Returns the word, padded to `width`, in the colour of the fitness.
    fn word(self, word: &str, width: usize, colour: u8) -> String {
        match self.colours {
            true => format!("\x1b[{colour}m{word:width$}\x1b[0m"),
            false => format!("{word:width$}"),
        }
    }

    /// Appends the text, whose first line begins at the column `first`, and the others at `indent`.
    fn wrap(self, out: &mut String, text: &str, first: usize, indent: usize) {
        let mut column = first;
        for (n, word) in text.split_whitespace().enumerate() {
            let length = word.chars().count();
            if n > 0 && self.width.is_some_and(|width| column + 1 + length > width) {
                out.push('\n');
                out.push_str(&" ".repeat(indent));
                column = indent;
            } else if n > 0 {
                out.push(' ');
                column += 1;
            }
            // The text of files and of the kernel must not control the terminal.
            out.extend(word.chars().map(|c| if c.is_control() { '?' } else { c }));
            column += length;
        }
        out.push('\n');
    }
}

const GREEN: u8 = 32;
const YELLOW: u8 = 33;
const RED: u8 = 31;
const GREY: u8 = 90;

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_broken_between_words_at_the_width() {
        let style = Style { colours: false, width: Some(20) };
        let mut out = "12345678 ".to_owned();
        style.wrap(&mut out, "one two three four-and-five-and-six x\x1b[31m", 9, 9);
        assert_eq!(
            out,
            "12345678 one two\n         three\n         four-and-five-and-six\n         x?[31m\n"
        );
        let mut out = String::new();
        Style { width: None, ..style }.wrap(&mut out, "one two three four five six seven eight", 9, 9);
        assert_eq!(out.lines().count(), 1);
    }

    #[test]
    fn a_word_has_its_colour_on_a_terminal_alone() {
        let plain = Style { colours: false, width: None };
        assert_eq!(plain.word("works", 9, GREEN), "works    ");
        assert_eq!(Style { colours: true, ..plain }.word("works", 7, GREEN), "\x1b[32mworks  \x1b[0m");
    }
}
