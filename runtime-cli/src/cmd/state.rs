// SPDX-License-Identifier: Apache-2.0
//! `state`.

use super::context::CommandContext;
use crate::failure::Failure;
use crate::output;

pub(super) fn state(context: &CommandContext<'_>) -> Result<u8, Failure> {
    let state = context.container()?.state()?;
    let text = serde_json::to_string_pretty(&state).map_err(|error| Failure::new(error.to_string()))?;
    output::print(&text);
    Ok(0)
}
