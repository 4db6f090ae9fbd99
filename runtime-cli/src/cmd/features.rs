// SPDX-License-Identifier: Apache-2.0
//! `features`. CRI-O reads standard output and error together, so nothing else
//! is said.

use super::{Context, Failure};
use crate::output;

pub(super) fn features(_context: &Context<'_>) -> Result<u8, Failure> {
    output::print(&output::pretty_json(&runtime_core::features())?);
    Ok(0)
}
