// SPDX-License-Identifier: Apache-2.0
//! `ps`.

use super::context::CommandContext;
use crate::args::flags::FORMAT;
use crate::failure::Failure;
use crate::output;
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::process::{Command, Stdio};

pub(super) fn ps(context: &CommandContext<'_>) -> Result<u8, Failure> {
    let pids = context.container()?.pids()?;
    match context.flags.get(FORMAT).map(|format| format.to_string_lossy()).as_deref() {
        Some("json") if pids.is_empty() => output::print("null\n"),
        Some("json") => output::print(&format!("{}\n", serde_json::json!(pids))),
        Some("table") | None => output::print(&table(context.arguments.get(1..).unwrap_or_default(), &pids)?),
        Some(_) => return Err(Failure::new("invalid format option")),
    }
    Ok(0)
}

/// Returns the table of ps(1), without processes outside the container.
fn table(options: &[OsString], pids: &[i32]) -> Result<String, Failure> {
    let default = [OsString::from("-ef")];
    let options = if options.is_empty() { &default } else { options };
    let ran = Command::new("ps").args(options).stderr(Stdio::inherit()).output();
    let ran = ran.map_err(|error| Failure::io("exec: \"ps\"", &error))?;
    if !ran.status.success() {
        return Err(Failure::new(format!("ps: {}", ran.status)));
    }
    select(&String::from_utf8_lossy(&ran.stdout), pids)
        .ok_or_else(|| Failure::new("the output of ps(1) has no PID column"))
}

fn select(table: &str, pids: &[i32]) -> Option<String> {
    let mut lines = table.lines();
    let header = lines.next()?;
    let pids: BTreeSet<i32> = pids.iter().copied().collect();
    let column = header.split_ascii_whitespace().position(|title| title == "PID")?;
    let is_ours = |line: &&str| {
        let pid = line.split_ascii_whitespace().nth(column).and_then(|pid| pid.parse::<i32>().ok());
        pid.is_some_and(|pid| pids.contains(&pid))
    };
    let mut selected = format!("{header}\n");
    for line in lines.filter(is_ours) {
        selected.push_str(line);
        selected.push('\n');
    }
    Some(selected)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_and_the_containers_processes_are_selected() {
        let table = "UID   PID PPID CMD\nroot    1    0 init\nroot   12    1 sh 1\nu     112    1 x 12\n";
        assert_eq!(select(table, &[12]).unwrap(), "UID   PID PPID CMD\nroot   12    1 sh 1\n");
        assert_eq!(select(table, &[]).unwrap(), "UID   PID PPID CMD\n");
        assert_eq!(select("USER CMD\n", &[1]), None);
    }
}
