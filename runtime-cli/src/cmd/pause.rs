// SPDX-License-Identifier: Apache-2.0
//! `pause` and `resume`.

use super::context::Context;
use crate::failure::Failure;

pub(super) fn pause(context: &Context<'_>) -> Result<u8, Failure> {
    context.container()?.pause()?;
    Ok(0)
}

pub(super) fn resume(context: &Context<'_>) -> Result<u8, Failure> {
    context.container()?.resume()?;
    Ok(0)
}
