// SPDX-License-Identifier: Apache-2.0
//! `list`.

use super::context::CommandContext;
use crate::args::flags::{FORMAT, QUIET, ROOT};
use crate::failure::Failure;
use crate::output;
use runtime_core::{ErrorKind, State};

pub(super) fn list(context: &CommandContext<'_>) -> Result<u8, Failure> {
    let format = context.flags.get(FORMAT).map(|format| format.to_string_lossy()).unwrap_or("table".into());
    if format != "table" && format != "json" {
        return Err(Failure::new("invalid format option"));
    }
    let listed = match context.runtime()?.list() {
        // The default directory does not exist before the first container is made. The directory
        // of --root must exist.
        Err(error) if error.kind() == ErrorKind::NotFound && context.globals.path(ROOT).is_none() => {
            Vec::new()
        }
        other => other?,
    };
    let mut states: Vec<State> = Vec::with_capacity(listed.len());
    for entry in listed {
        match entry.state {
            Ok(state) => states.push(state),
            Err(error) => output::print_error(&format!("{}\n", error.report())),
        }
    }
    if context.flags.is_set(QUIET) {
        output::print(&states.iter().map(|state| format!("{}\n", state.id)).collect::<String>());
    } else if format == "table" {
        output::print(&state_table(&states));
    } else if states.is_empty() {
        output::print("null");
    } else {
        output::print(&serde_json::to_string(&states).map_err(|error| Failure::new(error.to_string()))?);
    }
    Ok(0)
}

/// Returns a table in the layout of Go's text/tabwriter: cells at least 12 wide and 3 apart.
fn table(rows: &[[&str; 6]]) -> String {
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

/// Returns the table of containers.
fn state_table(states: &[State]) -> String {
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
}
