// SPDX-License-Identifier: Apache-2.0
//! What the program prints: the only place that writes to its own standard
//! output and error.

use crate::cmd::Failure;
use runtime_core::{OsError, State};
use std::io::Write;

/// Prints to standard output. Whoever closed it does not want to know.
pub(crate) fn print(text: &str) {
    let mut stdout = std::io::stdout();
    let _written = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
}

/// Prints to standard error, in one write: conmon reads an error with one read.
pub(crate) fn complain(text: &str) {
    let _written = std::io::stderr().write_all(text.as_bytes());
}

/// An error of the standard library in the words of the kernel.
pub(crate) fn io_text(error: &std::io::Error) -> String {
    error.raw_os_error().map_or_else(|| error.to_string(), |errno| OsError(errno).to_string())
}

/// JSON as runc prints features, with four spaces for each level.
pub(crate) fn pretty_json(value: &impl serde::Serialize) -> Result<String, Failure> {
    let mut bytes = Vec::new();
    let format = serde_json::ser::PrettyFormatter::with_indent(b"    ");
    value
        .serialize(&mut serde_json::Serializer::with_formatter(&mut bytes, format))
        .map_err(|error| Failure::new(format!("writing JSON: {error}")))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned() + "\n")
}

/// What `--version` prints. go-runc, dockerd and others parse it.
pub(crate) fn version(program: &str) -> String {
    format!(
        "{program} version {}\ncommit: {}\nspec: {}\n",
        env!("CARGO_PKG_VERSION"),
        env!("RUNTIME_COMMIT"),
        runtime_core::spec::OCI_VERSION
    )
}

/// A table as Go's text/tabwriter makes it: cells at least 12 wide, 3 apart.
pub(crate) fn table(rows: &[[&str; 6]]) -> String {
    let mut widths = [0; 6];
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (cell.chars().count() + 3).max(12).max(*width);
        }
    }
    let mut text = String::new();
    for row in rows {
        let [cells @ .., last] = row;
        for (width, cell) in widths.iter().zip(cells) {
            text.push_str(&format!("{cell:<width$}"));
        }
        text.push_str(last);
        text.push('\n');
    }
    text
}

/// The table of `list`.
pub(crate) fn state_table(states: &[State]) -> String {
    let pids: Vec<String> = states.iter().map(|state| state.pid.to_string()).collect();
    let mut rows = vec![["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"]];
    rows.extend(
        states
            .iter()
            .zip(&pids)
            .map(|(s, pid)| [s.id.as_str(), pid, s.status.as_str(), &s.bundle, &s.created, &s.owner]),
    );
    table(&rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_aligned() {
        let text =
            table(&[["ID", "B", "C", "D", "E", "F"], ["a-long-container-id", "1", "2", "3", "4", "5"]]);
        let [first, second] = text.lines().collect::<Vec<_>>()[..] else { panic!("{text}") };
        assert_eq!(first.find('B'), second.find('1'));
        assert_eq!(first.find('B'), Some(22));
        assert_eq!(first.find('C'), Some(34));
        assert!(first.ends_with('F'));
    }

    #[test]
    fn the_version_begins_with_the_program() {
        let text = version("runc");
        assert!(text.starts_with("runc version 0."));
        assert!(text.contains("\ncommit: ") && text.ends_with("\nspec: 1.3.0\n"));
    }
}
