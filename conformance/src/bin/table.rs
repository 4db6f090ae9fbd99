// SPDX-License-Identifier: Apache-2.0
//! Judges runtimes and writes the outcomes between two marks of two documents, the numbers and each
//! case, as tables: `table OVERVIEW CASES [NAME=]PATH...`
//!
//! `table requirements` writes the numbers of requirements.tsv into docs/conformance.md.
//!
//! On a host with both versions of cgroups, only version 2 is visible.
#![allow(clippy::disallowed_methods, clippy::print_stderr)]

use conformance::{
    CaseOutcome, Doing, Result, Verdict, between, ensure, host, requirements, runtime, verdict,
};
use std::path::Path;
use std::process::{Command, ExitCode};

const BEGIN: &str = "<!-- The table: written by `make conformance-table`. -->";
const END: &str = "<!-- The end of the table. -->";

/// A runtime and the outcomes of its cases.
struct Column {
    name: String,
    version: String,
    verdicts: Vec<Verdict>,
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match run(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("table: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &[String]) -> Result {
    if args == ["requirements"] {
        return requirements::write_page(Path::new("."));
    }
    let [overview, cases, runtimes @ ..] = args else {
        return Err("usage: table OVERVIEW CASES [NAME=]PATH... | table requirements".into());
    };
    let runtimes = runtimes.iter().map(|argument| runtime::named(argument)).collect::<Result<Vec<_>>>()?;
    host::isolate()?;
    host::unify_cgroups()?;
    let columns = runtimes.iter().map(|(name, path)| judge(name, path)).collect::<Result<Vec<_>>>()?;
    for (document, text) in [(overview, numbers(&columns)?), (cases, each_case(&columns)?)] {
        let old = std::fs::read_to_string(document).doing(document)?;
        let new = between(&old, BEGIN, END, &text).map_err(|why| format!("{document}: {why}"))?;
        std::fs::write(document, new).doing(document)?;
    }
    Ok(())
}

/// Runs the cases on a runtime. Failed cases are no error; their reasons are in
/// target/conformance-NAME.log.
fn judge(name: &str, program: &Path) -> Result<Column> {
    eprintln!("table: {name}");
    let version = Command::new(program).arg("--version").output().doing("--version")?;
    let version = String::from_utf8_lossy(&version.stdout).into_owned();
    let file = tempfile::NamedTempFile::new().doing("temporary file")?;
    let log = format!("target/conformance-{name}.log");
    let log = std::fs::File::create(&log).doing(&log)?;
    let mut command = Command::new("cargo");
    command.args(["test", "--quiet", "--package", "conformance", "--test", "cases", "--", "--quiet"]);
    command.env("RUNTIME", program).env(verdict::VARIABLE, file.path());
    command.stdout(log.try_clone().doing("dup")?).stderr(log);
    let status = command.status().doing("cargo")?;
    let verdicts = verdict::read(file.path())?;
    ensure!(!verdicts.is_empty(), "no cases for {name}: {status}");
    Ok(Column { name: name.to_owned(), version: version_line(&version), verdicts })
}

/// Returns the version and the commit, without the additions of a build.
fn version_line(text: &str) -> String {
    let lines = text.lines().filter(|line| line.contains(" version ") || line.starts_with("commit: "));
    lines.map(|line| line.trim_start_matches("commit: ")).collect::<Vec<_>>().join(", ")
}

fn numbers(columns: &[Column]) -> Result<String> {
    let first = columns.first().ok_or("no runtime given")?;
    let kernel = nix::sys::utsname::uname().doing("uname")?;
    let kernel = kernel.release().to_string_lossy().into_owned();
    let release: Vec<_> = kernel.split(['.', '-']).take(2).collect();
    let mut text = format!(
        "{} cases on Linux {}, with only cgroup2. *no*: the runtime violates the sentence; *leaves*: it follows the \
         sentence, but leaves something behind. Cases without a sentence of the specification check a behaviour \
         of runc that callers rely on, or a published vulnerability.\n\n\
         | runtime | version | the specification: yes | leaves | no | other cases: yes | leaves | no |\n\
         |---|---|--:|--:|--:|--:|--:|--:|\n",
        first.verdicts.len(),
        release.join("."),
    );
    for column in columns {
        text += &format!("| {} | {} |", column.name, column.version);
        for of_the_specification in [true, false] {
            let cases = column.verdicts.iter().filter(|case| case.is_specified() == of_the_specification);
            for outcome in [CaseOutcome::Passed, CaseOutcome::Leaves, CaseOutcome::Failed] {
                text += &format!(" {} |", cases.clone().filter(|case| case.outcome == outcome).count());
            }
        }
        text.push('\n');
    }
    Ok(text)
}

fn each_case(columns: &[Column]) -> Result<String> {
    let first = columns.first().ok_or("no runtime given")?;
    let names: Vec<_> = columns.iter().map(|column| column.name.as_str()).collect();
    let mut text =
        format!("| group | case | {} |\n|---|---|{}\n", names.join(" | "), "---|".repeat(names.len()));
    for (i, case) in first.verdicts.iter().enumerate() {
        let cells = columns
            .iter()
            .map(|column| {
                let verdict = column.verdicts.get(i).filter(|v| v.group == case.group && v.name == case.name);
                verdict.map(|verdict| word(verdict.outcome)).ok_or(format!("{}: other cases", column.name))
            })
            .collect::<Result<Vec<_>>>()?;
        let quote = short(&case.quote).replace('|', "\\|");
        text += &format!("| {} | **{}**: {quote} | {} |\n", case.group, case.name, cells.join(" | "));
    }
    Ok(text)
}

fn word(outcome: CaseOutcome) -> &'static str {
    match outcome {
        CaseOutcome::Passed => "yes",
        CaseOutcome::Leaves => "*leaves*",
        CaseOutcome::Failed => "*no*",
    }
}

/// Returns the beginning of a quote, and its source.
fn short(quote: &str) -> String {
    const LENGTH: usize = 160;
    let (text, place) = match quote.rfind(" (").filter(|_| quote.ends_with(')')) {
        Some(i) => quote.split_at(i),
        None => (quote, ""),
    };
    if text.len() <= LENGTH {
        return quote.to_owned();
    }
    let end = text.char_indices().take_while(|(i, _)| *i < LENGTH).filter(|(_, c)| *c == ' ').last();
    format!("{} ...{place}", &text[..end.map_or(0, |(i, _)| i)])
}
