// SPDX-License-Identifier: Apache-2.0
//! `pause` and `resume`.

use super::context::CommandContext;
use crate::failure::Failure;

pub(super) fn pause(context: &CommandContext<'_>) -> Result<u8, Failure> {
    context.container()?.pause()?;
    Ok(0)
}

pub(super) fn resume(context: &CommandContext<'_>) -> Result<u8, Failure> {
    context.container()?.resume()?;
    Ok(0)
}
