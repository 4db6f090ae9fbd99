// SPDX-License-Identifier: Apache-2.0
//! `list`.

use super::{Context, Failure};
use crate::args::flags::{FORMAT, QUIET, ROOT};
use crate::output;
use runtime_core::{ErrorKind, State};

pub(super) fn list(context: &Context<'_>) -> Result<u8, Failure> {
    let format = context.flags.get(FORMAT).map(|format| format.to_string_lossy()).unwrap_or("table".into());
    if format != "table" && format != "json" {
        return Err(Failure::new("invalid format option"));
    }
    let listed = match context.runtime()?.list() {
        // Nobody has made a container yet; but a directory that was named must be there.
        Err(error) if error.kind() == ErrorKind::NotFound && context.globals.path(ROOT).is_none() => {
            Vec::new()
        }
        other => other?,
    };
    let mut states: Vec<State> = Vec::with_capacity(listed.len());
    for entry in listed {
        match entry.state {
            Ok(state) => states.push(state),
            Err(error) => output::complain(&format!("{}\n", error.report())),
        }
    }
    if context.flags.is_set(QUIET) {
        output::print(&states.iter().map(|state| format!("{}\n", state.id)).collect::<String>());
    } else if format == "table" {
        output::print(&output::state_table(&states));
    } else if states.is_empty() {
        output::print("null");
    } else {
        output::print(&serde_json::to_string(&states).map_err(|error| Failure::new(error.to_string()))?);
    }
    Ok(0)
}
