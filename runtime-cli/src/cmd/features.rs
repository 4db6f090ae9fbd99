// SPDX-License-Identifier: Apache-2.0
//! `features`. CRI-O reads standard output and error together, so nothing else may be printed.

use super::context::CommandContext;
use crate::failure::Failure;
use crate::output;

pub(super) fn features(_context: &CommandContext<'_>) -> Result<u8, Failure> {
    output::print(&pretty_json(&runtime_core::features())?);
    Ok(0)
}

/// Returns JSON in the layout of runc's `features`: four spaces a level.
fn pretty_json(value: &impl serde::Serialize) -> Result<String, Failure> {
    let mut bytes = Vec::new();
    let format = serde_json::ser::PrettyFormatter::with_indent(b"    ");
    value
        .serialize(&mut serde_json::Serializer::with_formatter(&mut bytes, format))
        .map_err(|error| Failure::new(format!("writing JSON: {error}")))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned() + "\n")
}
